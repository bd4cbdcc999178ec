//! The run over a submit text.

use crate::options::Options;
use crate::refusal::{Refusal, frame};
use crate::submission::{CLUSTER_MARK, PROCESS_MARK, Submission, SubmitError};
use crate::world::World;

/// Expands a submit text into job ads.
///
/// # Errors
/// The text, or a file it needs, is refused; nothing of it may be submitted.
pub fn submit(text: &str, options: &Options, world: &dyn World) -> Result<Submission, SubmitError> {
    let _ = (options, world);
    if let Some(mark) = text.chars().find(|c| [CLUSTER_MARK, PROCESS_MARK].contains(c)) {
        let refusal = Refusal::ControlCharacter { code: mark as u8 };
        return Err(SubmitError { stdout_started: false, dots: 0, message: frame(&refusal), refusal });
    }
    Ok(Submission { clusters: Vec::new(), warnings: Vec::new(), needs_cluster_number: false })
}

//! Running a job: what is sent, what it leaves behind, how its end is read.

mod attempt;
mod command;
mod exit;
mod files;
mod spool;
pub(crate) mod words;

pub use attempt::{Attempt, Output, OutputKind, State, Verdict};
pub use command::{COPY_FAILED, CommandLine, Copy, SandboxNames, StreamName};
pub use exit::{exit_of, start_failure};
pub use files::{BlobUse, JobFiles, KEPT_ABOVE, Stream, TransferMode, fetch_remaps};
pub use spool::{SPOOL_ATTRIBUTE, Spool, SpooledFile};
pub use words::{split_env_v1, split_v1, split_v2};

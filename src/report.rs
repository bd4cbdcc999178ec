//! What threads and the pool tell the driver.

use std::io;

use wq_core::Input;
use wq_core::ids::{BlobId, LinkId, RecordNo};
use wq_core::io::Trouble;

use crate::links::Piece;
use crate::outputs::SinkFile;

/// One message to the driver.
#[derive(Debug)]
pub(crate) enum Report {
    /// Something the core waits for.
    Input(Input),
    /// Records up to this one are written, or cannot be for now: what waits for notes goes on.
    Noted(RecordNo),
    /// A piece of a file that is being sent.
    Piece {
        /// To whom.
        link: LinkId,
        /// Its next bytes.
        outcome: io::Result<Piece>,
        /// The blob that it is, if it is one and this is all of it.
        blob: Option<BlobId>,
    },
    /// A piece of a body was written.
    Written {
        /// From whom.
        link: LinkId,
        /// The file for the next piece, `None` once it is closed; or why it cannot be written.
        outcome: Result<Option<SinkFile>, Trouble>,
    },
}

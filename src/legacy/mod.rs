//! The doors of the original in the work dir: the spool folder `queue/` and the file `stat/latest` (decisions D11, D12).
//! The third, the file `drain`, is looked at by the driver, because every submission asks for it.
//!
//! `ripening` decides when a file of the spool folder is looked at, without clock or file; `folder` does what touches
//! files, `text` makes a submission of what a file says, `queue` brings them together. `stat` is the other door.

mod folder;
mod queue;
mod ripening;
mod stat;
mod text;

pub(crate) use folder::REJECTED;
pub(crate) use queue::watch;
pub(crate) use stat::tell;
pub(crate) use text::Submitter;

//! Everything the master can say to a peer.
//!
//! [`message`] has the closed list, [`parse`] and [`print`] read and write it, [`encode`] decides what may be sent in which
//! dialect, [`task`] writes a whole task at once, [`fields`] has the small types.

mod encode;
mod fields;
mod message;
mod parse;
mod print;
mod task;
#[cfg(test)]
mod tests;

pub use encode::{EncodeError, NameFault};
pub use fields::{FileFlags, FileMode, TaskId, ThirdPartyKind};
pub use message::ToWorker;
pub(crate) use parse::{Following, Place};
pub use task::{Infile, Outfile, TaskMessage};

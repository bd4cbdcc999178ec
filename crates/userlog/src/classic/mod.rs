//! The classic layout: a header line, body lines, a line `...`.
//!
//! ```text
//! 012 (020.000.000) 2026-11-21 19:42:42 Job was held.
//! ⇥held by test (by user alice)
//! ⇥Code 1 Subcode 0
//! ...
//! ```

mod print;
mod read;

pub use print::format;
pub(crate) use print::{RECONNECT, usage};
pub(crate) use read::{begins_event, read_block, read_usage};

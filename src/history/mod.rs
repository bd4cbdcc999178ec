//! The history: the ads of jobs that have left the queue, in one SQLite file (decision D56).
//!
//! `keeper` is the thread that writes; it alone changes the file. `store` is the file: tables, transactions, what is
//! given up as too old. `row` makes an ad small. `reader` answers a question; `readers` gives each a thread and a
//! connection of its own, so that neither the core nor the keeper ever waits for a question.
//!
//! The journal is the truth until the file is on disk, so nothing here has to be careful with a crash; and no trouble
//! with the file is a job's trouble.

mod keeper;
mod reader;
mod readers;
mod row;
mod store;

pub(crate) use keeper::Keeper;
pub(crate) use reader::{Asker, answer};
pub(crate) use readers::Readers;

/// Name of the file in the state dir, and of the door to it in the work dir.
pub(crate) const FILE_NAME: &str = "history.db";

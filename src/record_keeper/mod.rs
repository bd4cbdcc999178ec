//! The thread that writes the journal.
//!
//! Group commit without a timer: what is queued is written in one batch, and synced if a promise is among it; what
//! arrives meanwhile shares the next batch (decision D51). `handle` is what the driver has of it, `keeper` the thread,
//! `compaction` decides when the live jobs are to be written anew, `numbers` knows the core's numbers and the journal's.
//!
//! A write that fails and is undone, because the disk is full for example, is tried again until it works; submissions are
//! refused meanwhile. After a failed sync nothing more is written: whether it left anything on disk cannot be known.

mod compaction;
mod handle;
mod keeper;
mod numbers;
#[cfg(test)]
mod power_cut;

pub(crate) use compaction::Compaction;
pub(crate) use handle::RecordKeeper;

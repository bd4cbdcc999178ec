//! The thread that writes the journal.
//!
//! Group commit without a timer: what is queued is written in one batch, and synced if a promise is among it; what
//! arrives meanwhile shares the next batch (decision D51). What is done with it is the journal's own: `journal::keeper`.
//! `handle` is what the driver has of the thread, `thread` the thread.

mod handle;
#[cfg(test)]
mod power_cut;
mod thread;

pub(crate) use handle::RecordKeeper;

//! How much a thread of the shell has still to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A counter that both ends share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backlog(Arc<AtomicUsize>);

impl Backlog {
    /// So much was given.
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count, Ordering::AcqRel);
    }

    /// So much is done.
    pub(crate) fn done(&self, count: usize) {
        self.0.fetch_sub(count, Ordering::AcqRel);
    }

    /// Nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

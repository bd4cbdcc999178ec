//! Starts of jobs that are not in the journal yet: their tasks wait for that, so that a crash forgets none (decision D51).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use wq_core::ids::{LinkId, RecordNo};

/// What waits for what.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    /// The last start that was recorded.
    last: Cell<RecordNo>,
    /// Records up to this one are written.
    written: Cell<RecordNo>,
    /// Links on which a task is held back, each until its record is written.
    held: RefCell<VecDeque<(RecordNo, LinkId)>>,
}

impl Starts {
    /// A start is recorded; its task follows.
    pub(crate) fn noted(&self, no: RecordNo) {
        self.last.set(no);
    }

    /// A task is to be sent: whether it must be held back until [`Starts::written`] gives its link.
    pub(crate) fn hold(&self, link: LinkId) -> bool {
        let waits = self.last.get() > self.written.get();
        if waits {
            self.held.borrow_mut().push_back((self.last.get(), link));
        }
        waits
    }

    /// Records up to this one are written: gives the links that may go on, once for each task.
    pub(crate) fn written(&self, upto: RecordNo) -> Vec<LinkId> {
        self.written.set(self.written.get().max(upto));
        let mut held = self.held.borrow_mut();
        std::iter::from_fn(|| held.pop_front_if(|(no, _)| *no <= upto)).map(|(_, link)| link).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_waits_for_its_own_record() {
        let link = |slot| LinkId { slot, turn: 0 };
        let starts = Starts::default();
        assert!(!starts.hold(link(9)), "a task without a new start");
        starts.noted(RecordNo(5));
        assert!(starts.hold(link(1)));
        starts.noted(RecordNo(7));
        assert!(starts.hold(link(2)) && starts.hold(link(1)));
        assert_eq!(starts.written(RecordNo(6)), [link(1)]);
        assert_eq!(starts.written(RecordNo(7)), [link(2), link(1)]);
        assert!(!starts.hold(link(3)), "it is written");
        assert_eq!(starts.written(RecordNo(6)), []);
    }
}

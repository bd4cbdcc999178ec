//! Waiting jobs of one priority, ordered by number, in twelve bytes each.
//!
//! Jobs come in the order of their numbers and mostly go from the front, so a ring holds them. One that goes from the
//! middle leaves a hole; one that comes back (its worker was lost, it was released) stands in a small set beside.

use std::collections::{BTreeSet, VecDeque};

use crate::ids::JobId;
use crate::jobs::Slot;

/// No job: its entry is passed over.
const HOLE: Slot = Slot(u32::MAX);

/// One lane.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Ascending by number; neither the first nor the last is a hole.
    ring: VecDeque<(JobId, Slot)>,
    holes: usize,
    returned: BTreeSet<(JobId, Slot)>,
}

impl Lane {
    /// Jobs in the lane.
    pub(super) fn len(&self) -> usize {
        self.ring.len() - self.holes + self.returned.len()
    }

    /// The job with the lowest number.
    pub(super) fn first(&self) -> Option<(JobId, Slot)> {
        let front = self.ring.front().copied();
        let returned = self.returned.first().copied();
        match (front, returned) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Adds a job; false if it is there already.
    pub(super) fn push(&mut self, job: JobId, slot: Slot) -> bool {
        if self.returned.contains(&(job, slot)) {
            return false;
        }
        if self.ring.back().is_none_or(|(last, _)| *last < job) {
            self.ring.push_back((job, slot));
            return true;
        }
        match self.find(job) {
            Ok(at) if self.ring[at].1 == HOLE => {
                self.ring[at].1 = slot;
                self.holes -= 1;
                true
            }
            Ok(_) => false,
            Err(_) => self.returned.insert((job, slot)),
        }
    }

    /// Takes a job out; false if it is not there.
    pub(super) fn take(&mut self, job: JobId, slot: Slot) -> bool {
        match self.find(job) {
            Ok(at) if self.ring[at].1 == slot => {
                self.ring[at].1 = HOLE;
                self.holes += 1;
                self.tidy();
                true
            }
            _ => self.returned.remove(&(job, slot)),
        }
    }

    fn find(&self, job: JobId) -> Result<usize, usize> {
        self.ring.binary_search_by(|(id, _)| id.cmp(&job))
    }

    /// Drops holes at the ends at once, those inside when they are the larger half, so each is paid for once.
    fn tidy(&mut self) {
        while self.ring.front().is_some_and(|(_, slot)| *slot == HOLE) {
            self.ring.pop_front();
            self.holes -= 1;
        }
        while self.ring.back().is_some_and(|(_, slot)| *slot == HOLE) {
            self.ring.pop_back();
            self.holes -= 1;
        }
        if self.holes * 2 > self.ring.len() {
            self.ring.retain(|(_, slot)| *slot != HOLE);
            self.holes = 0;
        }
        if self.ring.capacity() > 64 && self.ring.len() * 4 < self.ring.capacity() {
            self.ring.shrink_to(self.ring.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_an_ordered_set(steps in prop::collection::vec((0u32..40, any::<bool>()), 1..200)) {
            let mut lane = Lane::default();
            let mut model: BTreeSet<(JobId, Slot)> = BTreeSet::new();
            for (number, push) in steps {
                let entry = (JobId::new(1, number), Slot(number + 7));
                let (got, want) = if push {
                    (lane.push(entry.0, entry.1), model.insert(entry))
                } else {
                    (lane.take(entry.0, entry.1), model.remove(&entry))
                };
                prop_assert_eq!(got, want);
                prop_assert_eq!(lane.len(), model.len());
                prop_assert_eq!(lane.first(), model.first().copied());
            }
        }
    }
}

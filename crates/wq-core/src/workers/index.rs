//! Which peers have room: grouped by what is free, so that a job is matched without looking at every worker.
//!
//! Memory and disk are grouped in quarter octaves; within a group the exact fit is asked of the peer itself. A farm
//! has few groups however many workers it has.

use std::collections::{BTreeMap, BTreeSet};

use super::shape::{Amount, Shape};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    cores: u32,
    gpus: u32,
    memory: u16,
    disk: u16,
}

impl Group {
    fn of(free: Amount) -> Group {
        Group { cores: free.cores, gpus: free.gpus, memory: quarter(free.memory_mb), disk: quarter(free.disk_mb) }
    }

    /// Whether a member might hold the shape.
    fn may_hold(&self, shape: Shape) -> bool {
        self.cores >= shape.cores
            && self.gpus >= shape.gpus
            && self.memory >= quarter(shape.memory_mb)
            && self.disk >= quarter(shape.disk_mb)
    }
}

/// Quarter octave of a number of MB: grows with it, 0 for 0.
fn quarter(mb: u64) -> u16 {
    if mb == 0 {
        return 0;
    }
    let octave = mb.ilog2();
    let fraction = if octave >= 2 { (mb >> (octave - 2)) & 3 } else { (mb << (2 - octave)) & 3 };
    (octave * 4) as u16 + fraction as u16 + 1
}

/// Peers with at least one free core.
#[derive(Debug, Default)]
pub struct FreeIndex {
    groups: BTreeMap<Group, BTreeSet<u32>>,
    /// Group of each peer by its slot.
    group_of: Vec<Option<Group>>,
}

impl FreeIndex {
    /// Notes what a peer has free; `None` takes it out.
    pub fn set(&mut self, slot: u32, free: Option<Amount>) {
        let at = slot as usize;
        if self.group_of.len() <= at {
            self.group_of.resize(at + 1, None);
        }
        let new = free.filter(|free| free.cores > 0).map(Group::of);
        let old = std::mem::replace(&mut self.group_of[at], new);
        if old == new {
            return;
        }
        if let Some(group) = old {
            let members = self.groups.get_mut(&group).expect("a member's group exists");
            members.remove(&slot);
            if members.is_empty() {
                self.groups.remove(&group);
            }
        }
        if let Some(group) = new {
            self.groups.entry(group).or_default().insert(slot);
        }
    }

    /// Peers that might hold the shape: the tightest group first, so that big workers stay free for big jobs.
    pub fn may_hold(&self, shape: Shape) -> impl Iterator<Item = u32> + '_ {
        let from = Group { cores: shape.cores, gpus: 0, memory: 0, disk: 0 };
        let groups = self.groups.range(from..).filter(move |(group, _)| group.may_hold(shape));
        groups.flat_map(|(_, members)| members).copied()
    }

    /// Number of groups.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Cross-checks against the truth.
    pub fn check_invariants(&self, free: impl Fn(u32) -> Option<Amount>) {
        let mut members = 0;
        for (group, slots) in &self.groups {
            for slot in slots {
                assert_eq!(self.group_of[*slot as usize], Some(*group));
                members += 1;
            }
        }
        assert_eq!(members, self.group_of.iter().flatten().count());
        for (slot, group) in self.group_of.iter().enumerate() {
            let truth = free(slot as u32).filter(|free| free.cores > 0).map(Group::of);
            assert_eq!(*group, truth, "peer in slot {slot}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount() -> impl Strategy<Value = Amount> {
        (0u32..6, 0u32..3, 0u64..5000, 0u64..5000).prop_map(|(cores, gpus, memory_mb, disk_mb)| Amount {
            cores,
            gpus,
            memory_mb,
            disk_mb,
        })
    }

    proptest! {
        #[test]
        fn finds_a_fit_exactly_when_there_is_one(free in prop::collection::vec(amount(), 1..40),
                                                 cores in 1u32..6, gpus in 0u32..3, memory_mb in 0u64..5000, disk_mb in 0u64..5000) {
            let shape = Shape { cores, gpus, memory_mb, disk_mb };
            let mut index = FreeIndex::default();
            for (slot, amount) in free.iter().enumerate() {
                index.set(slot as u32, Some(*amount));
            }
            index.check_invariants(|slot| free.get(slot as usize).copied());
            let found = index.may_hold(shape).find(|slot| free[*slot as usize].holds(shape));
            prop_assert_eq!(found.is_some(), free.iter().any(|f| f.holds(shape)));
            if let Some(slot) = found {
                prop_assert!(free[slot as usize].holds(shape));
                let tightest = free.iter().filter(|f| f.holds(shape)).map(|f| f.cores).min();
                prop_assert_eq!(Some(free[slot as usize].cores), tightest);
            }
        }

        #[test]
        fn quarter_octaves_grow(a in 0u64..1_000_000, b in 0u64..1_000_000) {
            let (small, large) = (a.min(b), a.max(b));
            prop_assert!(quarter(small) <= quarter(large));
        }
    }
}

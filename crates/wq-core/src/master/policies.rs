//! `periodic_hold`, `periodic_release`, `periodic_remove`, and `leave_in_queue` of jobs that are over: looked at when a
//! job changes its state, and by a cursor, a slice at a time (decision D46).
//!
//! Only jobs whose expressions can ever be true are visited: those with the constant `false` or nothing are not in
//! the list of clusters.

use std::collections::{BTreeMap, BTreeSet};

use super::Master;
use super::timers::Timer;
use crate::ids::{JobId, Timestamp};
use crate::jobs::{Departure, Slot, Status};

/// Every job is looked at this often …
const ROUND_S: u64 = 60;

/// … and this often with more jobs than [`MANY`]: looking takes no more than a hundredth of a core.
const LONG_ROUND_S: u64 = 300;
const MANY: usize = 100_000;

/// Jobs in one slice.
const SLICE: usize = 500;

/// The attributes with an action each.
const HOLD: &str = "periodichold";
const REMOVE: &str = "periodicremove";
const RELEASE: &str = "periodicrelease";
/// A job that is over stays in the queue while this is true.
const LEAVE: &str = "leavejobinqueue";

/// Clusters with policies, and how far the round is.
#[derive(Debug, Default)]
pub(super) struct Policies {
    clusters: Clusters,
    /// Jobs with a new state that were not asked since.
    changed: BTreeSet<JobId>,
    next: Option<JobId>,
    timer_set: bool,
    round_began: Timestamp,
}

/// Numbers of clusters in runs: a computing element's jobs all have policies, and their numbers follow each other.
#[derive(Debug, Default)]
struct Clusters {
    /// First and last of each run; runs do not overlap.
    runs: BTreeMap<u32, u32>,
}

impl Clusters {
    fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The first one that is not below `from`.
    fn from(&self, from: u32) -> Option<u32> {
        match self.runs.range(..=from).next_back() {
            Some((_, last)) if *last >= from => Some(from),
            _ => self.runs.range(from..).next().map(|(first, _)| *first),
        }
    }

    fn insert(&mut self, cluster: u32) {
        match self.runs.range_mut(..=cluster).next_back() {
            Some((_, last)) if *last >= cluster => {}
            Some((_, last)) if *last + 1 == cluster => *last = cluster,
            _ => {
                self.runs.insert(cluster, cluster);
            }
        }
    }

    fn remove(&mut self, cluster: u32) {
        let Some((first, last)) = self.runs.range(..=cluster).next_back().map(|(first, last)| (*first, *last)) else {
            return;
        };
        if last < cluster {
            return;
        }
        self.runs.remove(&first);
        if first < cluster {
            self.runs.insert(first, cluster - 1);
        }
        if cluster < last {
            self.runs.insert(cluster + 1, last);
        }
    }
}

impl Master {
    /// A cluster came: does it have a policy?
    pub(super) fn note_policies(&mut self, cluster: u32) {
        let Some((_, slot)) = self.table.of_cluster(cluster).next() else { return };
        let view = self.view(slot, Timestamp(0));
        let can_be_true = |name| view.text(name).is_some_and(|text| !text.eq_ignore_ascii_case("false"));
        let may_leave = can_be_true(LEAVE) && !view.text(LEAVE).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let live = may_leave || [HOLD, REMOVE, RELEASE].into_iter().any(can_be_true);
        if live {
            self.policies.clusters.insert(cluster);
            if self.recovery.is_none() {
                self.start_policies();
            }
        }
    }

    /// A job was edited: if a policy of its was changed, its cluster is looked at from now on.
    pub(super) fn note_edited_policies(&mut self, slot: Slot) {
        let job = self.table.get(slot);
        let cluster = job.id.cluster;
        let is_policy = |name: &str| [HOLD, REMOVE, RELEASE, LEAVE].iter().any(|own| name.eq_ignore_ascii_case(own));
        if job.story().edits.iter().any(|(name, _)| is_policy(name)) {
            self.policies.clusters.insert(cluster);
            if self.recovery.is_none() {
                self.start_policies();
            }
        }
    }

    /// After recovery: the first round begins at once.
    pub(super) fn start_policies(&mut self) {
        if !self.policies.clusters.is_empty() && !std::mem::replace(&mut self.policies.timer_set, true) {
            self.timers.set(Timestamp(0), Timer::Policies);
        }
    }

    /// A job's state is another one: its policy is asked at the end of this turn.
    pub(super) fn state_changed(&mut self, slot: Slot) {
        let job = self.table.get(slot).id;
        self.factory_due(job.cluster);
        if self.recovery.is_none() && self.policies.clusters.from(job.cluster) == Some(job.cluster) {
            self.policies.changed.insert(job);
        }
    }

    /// Asks the jobs that changed their state in this turn. What their policies do to them is no reason to ask again:
    /// two that contradict each other would go round for ever.
    pub(super) fn ask_changed(&mut self, now: Timestamp) {
        for _ in 0..SLICE {
            let Some(job) = self.policies.changed.pop_first() else { return };
            let Some(slot) = self.table.find(job) else { continue };
            // A job that fails whenever it is released must not do so without a pause.
            let may_release = self.table.get(slot).story().holds <= 1;
            self.apply_policies(now, slot, may_release);
            self.policies.changed.remove(&job);
        }
        if !self.policies.changed.is_empty() {
            self.timers.set(now, Timer::Dispatch);
        }
    }

    pub(super) fn policies_due(&mut self, now: Timestamp) {
        self.policies.timer_set = false;
        if self.store_failed.is_some() {
            // What they decide could not be recorded.
            self.policies.timer_set = true;
            return self.timers.set(now.plus_s(ROUND_S), Timer::Policies);
        }
        if self.policies.next.is_none() {
            self.policies.round_began = now;
        }
        let mut left = SLICE;
        let mut from = self.policies.next.take().unwrap_or(JobId::new(0, 0));
        while left > 0 {
            let Some(cluster) = self.policies.clusters.from(from.cluster) else { break };
            if cluster > from.cluster {
                from = JobId::new(cluster, 0);
            }
            let slots: Vec<(JobId, Slot)> =
                self.table.from(from).take_while(|(id, _)| id.cluster == cluster).take(left).collect();
            if self.table.cluster(cluster).is_none() {
                self.policies.clusters.remove(cluster);
            }
            left -= slots.len().min(left);
            let whole = slots.len() < SLICE && left > 0;
            for (id, slot) in slots {
                from = JobId::new(id.cluster, id.proc_ + 1);
                self.apply_policies(now, slot, true);
            }
            if whole {
                from = JobId::new(cluster + 1, 0);
            }
        }
        if self.policies.clusters.from(from.cluster).is_some() {
            self.policies.next = Some(from);
        }
        if !self.policies.clusters.is_empty() {
            self.policies.timer_set = true;
            // Slices of one round follow each other with a pause, so that dispatch never waits for long.
            let at = match self.policies.next {
                Some(_) => Timestamp(now.0 + 20_000),
                None => {
                    let round_s = if self.table.len() > MANY { LONG_ROUND_S } else { ROUND_S };
                    self.policies.round_began.plus_s(round_s).max(now.plus_s(1))
                }
            };
            self.timers.set(at, Timer::Policies);
        }
    }

    fn apply_policies(&mut self, now: Timestamp, slot: Slot, may_release: bool) {
        let status = self.table.get(slot).status();
        let is_true = |master: &Master, name: &str| master.view(slot, now).value(name).truth() == Some(true);
        match status {
            _ if self.table.get(slot).story().departure != Departure::None => {}
            Status::Removed if self.table.get(slot).story().attempt.is_some() => {}
            Status::Removed | Status::Completed => {
                // A removal that its log has not heard of is on its way to the disk.
                let told = status == Status::Completed || self.table.get(slot).story().told_removed;
                if told {
                    self.leave_unless_wanted(now, slot);
                }
            }
            _ if is_true(self, REMOVE) => {
                let reason = self.policy_reason(now, slot, "PeriodicRemove", "periodicremovereason");
                self.remove(now, slot, &reason);
            }
            Status::Idle | Status::Running if is_true(self, HOLD) => {
                let reason = self.policy_reason(now, slot, "PeriodicHold", "periodicholdreason");
                let subcode = self.view(slot, now).value("periodicholdsubcode").as_int().unwrap_or(0) as i32;
                self.hold_run(now, slot, (3, subcode), &reason);
            }
            Status::Held if may_release && is_true(self, RELEASE) => {
                let reason = self.policy_reason(now, slot, "PeriodicRelease", "");
                self.release(now, slot, &reason);
            }
            _ => {}
        }
    }

    fn policy_reason(&self, now: Timestamp, slot: Slot, name: &str, own: &str) -> String {
        let view = self.view(slot, now);
        view.string(own).filter(|reason| !reason.is_empty()).unwrap_or_else(|| {
            let text = view.text(&name.to_ascii_lowercase()).unwrap_or_default();
            format!("The job attribute {name} expression '{text}' evaluated to TRUE")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_are_a_set(steps in prop::collection::vec((any::<bool>(), 0u32..20), 0..60)) {
            let (mut runs, mut set) = (Clusters::default(), BTreeSet::new());
            for (insert, cluster) in steps {
                if insert {
                    runs.insert(cluster);
                    set.insert(cluster);
                } else {
                    runs.remove(cluster);
                    set.remove(&cluster);
                }
                for from in 0..21 {
                    prop_assert_eq!(runs.from(from), set.range(from..).next().copied());
                }
                prop_assert_eq!(runs.is_empty(), set.is_empty());
            }
        }
    }
}

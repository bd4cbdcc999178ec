//! Concurrency limits: how many jobs that name one thing (a licence, a disk server) may run at once.
//!
//! Jobs with equal needs form queues of their own, so matching asks once for a queue; what becomes free names the queues
//! that may be tried again. Names without a limit in the configuration are unlimited (decision D46) and need nothing here.

use std::collections::{BTreeMap, BTreeSet};

use super::idle::QueueId;

/// Amounts are kept in thousandths: `licence:0.5` is half of one.
const ONE: u64 = 1000;

/// Number of a set of needs. 0 needs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LimitsId(pub u32);

/// By limit, how much of it.
type Needs = Vec<(usize, u64)>;

#[derive(Debug)]
struct Limit {
    most: u64,
    used: u64,
    /// Queues whose jobs need it.
    queues: BTreeSet<QueueId>,
}

/// All limits, and what jobs need of them.
#[derive(Debug, Default)]
pub struct Limits {
    by_name: BTreeMap<String, usize>,
    limits: Vec<Limit>,
    by_needs: BTreeMap<Needs, LimitsId>,
    /// With the number of queues and attempts that name it.
    needs: BTreeMap<LimitsId, (Needs, u32)>,
    last: u32,
}

impl Limits {
    /// The limits of the configuration.
    pub fn new(most: &BTreeMap<String, u64>) -> Limits {
        let mut limits = Limits::default();
        for (name, most) in most {
            limits.by_name.insert(name.to_ascii_lowercase(), limits.limits.len());
            limits.limits.push(Limit { most: most.saturating_mul(ONE), used: 0, queues: BTreeSet::new() });
        }
        limits
    }

    /// What a job needs whose `ConcurrencyLimits` is this text: names with an optional `:` and amount.
    pub fn read(&mut self, text: &str) -> LimitsId {
        let mut sums = BTreeMap::new();
        for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
            let (name, amount) = part.split_once(':').unwrap_or((part, "1"));
            let amount = amount.parse::<f64>().ok().filter(|amount| *amount > 0.0).unwrap_or(1.0);
            if let Some(at) = self.by_name.get(&name.to_ascii_lowercase()) {
                let sum: &mut u64 = sums.entry(*at).or_default();
                *sum = sum.saturating_add((amount * ONE as f64) as u64);
            }
        }
        let needs: Needs = sums.into_iter().collect();
        if needs.is_empty() {
            return LimitsId::default();
        }
        if let Some(id) = self.by_needs.get(&needs) {
            return *id;
        }
        self.last += 1;
        let id = LimitsId(self.last);
        self.by_needs.insert(needs.clone(), id);
        self.needs.insert(id, (needs, 0));
        id
    }

    /// Whether one more job with these needs may start.
    pub fn have_room(&self, id: LimitsId) -> bool {
        self.of(id).iter().all(|(at, amount)| {
            let limit = &self.limits[*at];
            limit.used.saturating_add(*amount) <= limit.most
        })
    }

    /// A job with these needs starts.
    pub fn take(&mut self, id: LimitsId) {
        self.hold(id);
        for (at, amount) in self.of(id).to_vec() {
            self.limits[at].used += amount;
        }
    }

    /// A job with these needs has come to its end. The queues that may be tried again.
    pub fn give_back(&mut self, id: LimitsId) -> BTreeSet<QueueId> {
        let mut queues = BTreeSet::new();
        for (at, amount) in self.of(id).to_vec() {
            let limit = &mut self.limits[at];
            limit.used -= amount;
            queues.extend(&limit.queues);
        }
        self.let_go(id);
        queues
    }

    /// A queue of jobs with these needs is made.
    pub(super) fn join(&mut self, id: LimitsId, queue: QueueId) {
        self.hold(id);
        for (at, _) in self.of(id).to_vec() {
            self.limits[at].queues.insert(queue);
        }
    }

    /// The queue has gone.
    pub(super) fn leave(&mut self, id: LimitsId, queue: QueueId) {
        for (at, _) in self.of(id).to_vec() {
            self.limits[at].queues.remove(&queue);
        }
        self.let_go(id);
    }

    /// Sum of what is taken of all limits, for invariants.
    pub fn used(&self) -> u64 {
        self.limits.iter().map(|limit| limit.used).sum()
    }

    /// Sum of what these needs take, for invariants.
    pub fn sum(&self, id: LimitsId) -> u64 {
        self.of(id).iter().map(|(_, amount)| amount).sum()
    }

    fn of(&self, id: LimitsId) -> &[(usize, u64)] {
        self.needs.get(&id).map_or(&[], |(needs, _)| needs)
    }

    fn hold(&mut self, id: LimitsId) {
        if let Some((_, users)) = self.needs.get_mut(&id) {
            *users += 1;
        }
    }

    fn let_go(&mut self, id: LimitsId) {
        let Some((_, users)) = self.needs.get_mut(&id) else { return };
        *users -= 1;
        if *users == 0
            && let Some((needs, _)) = self.needs.remove(&id)
        {
            self.by_needs.remove(&needs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_read_as_submitted_and_only_of_limits_that_exist() {
        let mut limits = Limits::new(&BTreeMap::from([("A".to_owned(), 2), ("b".to_owned(), 1)]));
        assert_eq!(limits.read(""), LimitsId(0));
        assert_eq!(limits.read("unknown:7"), LimitsId(0));
        let both = limits.read("a:1.5,b,other");
        assert_eq!(limits.sum(both), 2500);
        assert_eq!(limits.read("B a:0.5,A:1"), both, "sums count, not spelling");
        limits.take(both);
        let one = limits.read("a:0.5");
        assert!(limits.have_room(one) && !limits.have_room(both));
        limits.take(one);
        assert!(!limits.have_room(one));
        limits.give_back(both);
        limits.give_back(one);
        assert_eq!((limits.used(), limits.needs.len(), limits.by_needs.len()), (0, 0, 0));
    }
}

//! Limits for peers that have not yet introduced themselves (requirement R-14).
//!
//! A stranger has [`DEADLINE`] for password and first message. Beyond a number of strangers the oldest has to go, so that
//! an honest worker, who needs milliseconds, always gets its turn.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wq_core::ids::LinkId;
use wq_proto::Challenge;

/// Time for the password exchange and the first message.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// How many challenges are remembered; an attacker would have to outrun this many connections to reflect one.
const CHALLENGES_MAX: usize = 8192;

/// How long the operator is not told again of failures from the same address.
const QUIET: Duration = Duration::from_secs(60);

/// Addresses of which the operator was told; beyond, the list starts anew.
const TOLD_MAX: usize = 1000;

/// Peers that failed the password, so that one of them cannot fill the log.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    told: HashMap<IpAddr, Instant>,
}

impl Failures {
    /// Whether the operator should be told of a failure from here.
    pub(crate) fn is_news(&mut self, from: IpAddr, now: Instant) -> bool {
        if self.told.get(&from).is_some_and(|told| now.duration_since(*told) < QUIET) {
            return false;
        }
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.insert(from, now);
        true
    }
}

/// Strangers in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    waiting: VecDeque<(Instant, LinkId)>,
    count: usize,
}

impl Strangers {
    /// One more; true if that is more than `max`.
    pub(crate) fn came(&mut self, now: Instant, link: LinkId, max: usize) -> bool {
        self.waiting.push_back((now, link));
        self.count += 1;
        self.count > max
    }

    /// One introduced itself or went.
    pub(crate) fn left(&mut self) {
        self.count -= 1;
    }

    /// The oldest one in the list; it may be no stranger any more.
    pub(crate) fn oldest(&mut self) -> Option<LinkId> {
        self.waiting.pop_front().map(|(_, link)| link)
    }

    /// The oldest one in the list if its time is over.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<LinkId> {
        match self.waiting.front() {
            Some((came, _)) if now.duration_since(*came) >= DEADLINE => self.oldest(),
            _ => None,
        }
    }
}

/// Challenges that we gave out lately; one that comes back is a reflection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Challenges(Rc<RefCell<VecDeque<Challenge>>>);

impl Challenges {
    /// A new one from the system's random source.
    pub(crate) fn fresh(&self) -> Challenge {
        let mut random = [0; 32];
        getrandom::fill(&mut random).expect("Linux has had getrandom since 3.17");
        let challenge = Challenge::from_random(random);
        let mut recent = self.0.borrow_mut();
        if recent.len() >= CHALLENGES_MAX {
            recent.pop_front();
        }
        recent.push_back(challenge.clone());
        challenge
    }

    /// Whether these bytes are one of them.
    pub(crate) fn contains(&self, bytes: &[u8]) -> bool {
        self.0.borrow().iter().any(|challenge| challenge.as_bytes() == bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(slot: u32) -> LinkId {
        LinkId { slot, turn: 0 }
    }

    #[test]
    fn the_oldest_goes_first_and_late_ones_go() {
        let mut strangers = Strangers::default();
        let begin = Instant::now();
        assert!(!strangers.came(begin, link(1), 2));
        assert!(!strangers.came(begin, link(2), 2));
        strangers.left();
        assert!(!strangers.came(begin + DEADLINE / 2, link(3), 2));
        assert!(strangers.came(begin + DEADLINE / 2, link(4), 2));
        assert_eq!(strangers.oldest(), Some(link(1)));
        assert_eq!(strangers.overdue(begin + DEADLINE / 4), None);
        assert_eq!(strangers.overdue(begin + DEADLINE), Some(link(2)));
        assert_eq!(strangers.overdue(begin + DEADLINE), None);
    }

    #[test]
    fn one_address_is_told_of_once_a_minute() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert!(failures.is_news(one, now) && failures.is_news(other, now));
        assert!(!failures.is_news(one, now + QUIET / 2));
        assert!(failures.is_news(one, now + QUIET));
    }

    #[test]
    fn challenges_are_remembered_and_forgotten() {
        let challenges = Challenges::default();
        let first = challenges.fresh();
        assert!(challenges.contains(first.as_bytes()));
        for _ in 0..CHALLENGES_MAX {
            challenges.fresh();
        }
        assert!(!challenges.contains(first.as_bytes()));
    }
}

//! Limits for peers that have not yet introduced themselves (requirement R-14).
//!
//! A stranger has [`DEADLINE`] for password and first message. Beyond a number of strangers the oldest has to go, so that
//! an honest worker, who needs milliseconds, always gets its turn.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wq_core::ids::LinkId;
use wq_proto::Challenge;

/// Time for the password exchange and the first message.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// How many challenges are remembered; an attacker would have to outrun this many connections to reflect one.
const CHALLENGES_MAX: usize = 8192;

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

//! Sums over all peers, kept up to date peer by peer, so that a report looks at none of them.

use std::collections::BTreeSet;

use super::peer::{Peer, Phase};
use super::shape::{Amount, Sum};

/// What one peer adds to the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Share {
    workers: u32,
    foremen: u32,
    queued: u32,
    total: Amount,
    used: Amount,
    quarantined: bool,
}

impl Share {
    fn of(peer: &Peer) -> Share {
        if peer.phase != Phase::Ready {
            return Share::default();
        }
        Share {
            workers: if peer.foreman { peer.workers } else { 1 },
            foremen: peer.foreman.into(),
            queued: peer.queued,
            total: peer.total,
            used: peer.used,
            quarantined: peer.quarantined_until.is_some(),
        }
    }
}

/// The sums over all peers that are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Workers: those that are connected themselves and those behind foremen. A foreman is none.
    pub workers: u64,
    /// Foremen.
    pub foremen: u64,
    /// Tasks that wait inside foremen for one of their workers, as the foremen say.
    pub queued: u64,
    /// What they have in all.
    pub total: Sum,
    /// What is booked.
    pub used: Sum,
}

/// The sums, and what each peer adds to them.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    sums: Tally,
    shares: Vec<Share>,
    /// Slots of peers that get no work for a while.
    quarantined: BTreeSet<u32>,
}

impl Tallies {
    /// Brings the sums up to date with a peer; `None`: it is gone.
    pub(super) fn set(&mut self, slot: u32, peer: Option<&Peer>) {
        let at = slot as usize;
        if self.shares.len() <= at {
            self.shares.resize(at + 1, Share::default());
        }
        let new = peer.map_or_else(Share::default, Share::of);
        let old = std::mem::replace(&mut self.shares[at], new);
        if old == new {
            return;
        }
        let sums = &mut self.sums;
        sums.workers = sums.workers + u64::from(new.workers) - u64::from(old.workers);
        sums.foremen = sums.foremen + u64::from(new.foremen) - u64::from(old.foremen);
        sums.queued = sums.queued + u64::from(new.queued) - u64::from(old.queued);
        sums.total.add(new.total);
        sums.total.sub(old.total);
        sums.used.add(new.used);
        sums.used.sub(old.used);
        if new.quarantined {
            self.quarantined.insert(slot);
        } else {
            self.quarantined.remove(&slot);
        }
    }

    /// The sums.
    pub(super) fn sums(&self) -> Tally {
        self.sums
    }

    /// Slots of peers in quarantine.
    pub(super) fn quarantined(&self) -> impl Iterator<Item = u32> + '_ {
        self.quarantined.iter().copied()
    }

    /// Cross-checks against the truth.
    pub(super) fn check_invariants<'a>(&self, peers: impl Iterator<Item = &'a Peer>) {
        let mut truth = Tallies::default();
        peers.for_each(|peer| truth.set(peer.link.slot, Some(peer)));
        assert_eq!(truth.sums, self.sums);
        assert_eq!(truth.quarantined, self.quarantined);
    }
}

//! Sums over all peers, kept up to date peer by peer, so that a summary looks at none of them.

use std::collections::BTreeSet;

use super::peer::{Peer, Phase};
use super::shape::{Amount, Sum};

/// What one peer adds to the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Share {
    ready: bool,
    foreman: bool,
    quarantined: bool,
    workers: u32,
    tasks: u32,
    total: Amount,
    used: Amount,
}

impl Share {
    fn of(peer: &Peer) -> Share {
        if peer.phase != Phase::Ready {
            return Share::default();
        }
        Share {
            ready: true,
            foreman: peer.foreman,
            quarantined: peer.quarantined_until.is_some(),
            workers: peer.workers_below(),
            tasks: peer.booked,
            total: peer.total,
            used: peer.used,
        }
    }
}

/// The sums over all peers that are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Workers that are connected themselves.
    pub workers: Side,
    /// Foremen.
    pub foremen: Side,
    /// What all have.
    pub total: Sum,
}

/// The sums over peers of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Side {
    /// How many there are.
    pub peers: u64,
    /// How many of them have a worker: a foreman may have none.
    pub manned: u64,
    /// How many of them have a task.
    pub busy: u64,
    /// The workers themselves, or those below foremen.
    pub workers: u64,
    /// Tasks.
    pub tasks: u64,
    /// What is booked for these.
    pub used: Sum,
}

impl Tally {
    fn add(&mut self, share: Share) {
        let side = if share.foreman { &mut self.foremen } else { &mut self.workers };
        side.peers += u64::from(share.ready);
        side.manned += u64::from(share.workers > 0);
        side.busy += u64::from(share.tasks > 0);
        side.workers += u64::from(share.workers);
        side.tasks += u64::from(share.tasks);
        side.used.add(share.used);
        self.total.add(share.total);
    }

    fn sub(&mut self, share: Share) {
        let side = if share.foreman { &mut self.foremen } else { &mut self.workers };
        side.peers -= u64::from(share.ready);
        side.manned -= u64::from(share.workers > 0);
        side.busy -= u64::from(share.tasks > 0);
        side.workers -= u64::from(share.workers);
        side.tasks -= u64::from(share.tasks);
        side.used.sub(share.used);
        self.total.sub(share.total);
    }
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
        self.sums.sub(old);
        self.sums.add(new);
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

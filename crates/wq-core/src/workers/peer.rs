//! One worker or foreman as the core knows it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use wq_proto::{Protocol, ResourceKind, TaskId};

use super::foreman::Foreman;
use super::health::{HostKey, Strikes};
use super::index::FreeIndex;
use super::kept::Kept;
use super::machine::machine;
use super::shape::{Amount, Shape};
use super::tally::{Tallies, Tally};
use crate::ids::{AttemptId, JobId, LinkId, Timestamp};
use crate::jobs::class::{ClassId, Classes};

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing said yet, or only half of the greeting.
    Greeting,
    /// Its resources are known: work may be sent.
    Ready,
    /// We hang up; nothing it says counts any more.
    Closing,
}

/// Which answer comes next: peers answer in the order of our requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// To `send_results`.
    Results {
        /// The link's only task: its result is taken for granted, its outputs are asked for already.
        ahead: Option<AttemptId>,
    },
    /// To `get` of this output.
    Output {
        /// Whose.
        attempt: AttemptId,
        /// Which.
        output: u16,
    },
}

/// Three refusals of one shape in a row: not sent there until its resources change (decision D40).
const FORSAKEN_MAX: u32 = 3;

/// Peers that are compared by rank for one job.
const RANKED_MAX: usize = 1_000;

/// Verdicts on classes that are remembered; asking again costs microseconds.
const VERDICTS_MAX: usize = 16;

/// Resources while their lines are read.
#[derive(Debug, Default)]
pub(super) struct Staged {
    pub(super) total: Amount,
    pub(super) largest: Amount,
    pub(super) workers: u32,
}

/// A worker or foreman.
#[derive(Debug)]
pub struct Peer {
    /// Its connection.
    pub link: LinkId,
    /// `ip:port`.
    pub address: Box<str>,
    /// How far it is.
    pub phase: Phase,
    /// What it speaks.
    pub protocol: Protocol,
    /// Foremen have workers of their own.
    pub foreman: bool,
    /// What only foremen have.
    pub below: Option<Box<Foreman>>,
    /// What it calls its host.
    pub host: Box<str>,
    /// Its processor, as HTCondor calls it.
    pub arch: Box<str>,
    /// Its operating system, as HTCondor calls it.
    pub op_sys: Box<str>,
    /// What it has in all.
    pub total: Amount,
    /// The most that one job can have: for a foreman its biggest worker.
    pub largest: Amount,
    /// The same while a block of `resource` lines is read.
    pub(super) staged: Option<Box<Staged>>,
    /// What it said of workers; counts for foremen.
    pub(super) workers: u32,
    /// What is booked.
    pub used: Amount,
    /// For how many tasks.
    pub booked: u32,
    /// Tasks that it ran to their end.
    pub completed: u64,
    /// Tasks by their number on this link.
    pub tasks: BTreeMap<TaskId, AttemptId>,
    pub(super) next_task: u32,
    /// Attempts whose files are being looked up.
    pub preparing: BTreeSet<AttemptId>,
    /// Answers still to come.
    pub expects: VecDeque<Expect>,
    /// `available_results` came while a collection was under way.
    pub more_results: bool,
    /// `available_results` came while nothing is begun because of a planned restart.
    pub put_off: bool,
    /// Large files in its cache, sent once (decision D29).
    pub kept: Kept,
    /// Whose body is being read.
    pub body_of: Option<Expect>,
    /// The attempt of the `result` line whose text is being read.
    pub result_of: Option<AttemptId>,
    /// Attempts whose `kill` waits for the `alive` behind it, one entry for each `check` under way.
    pub checks: VecDeque<Vec<AttemptId>>,
    /// The oldest unanswered `check`.
    pub checked_at: Option<Timestamp>,
    /// When the next look at the peer is due; timers for other times are stale.
    pub look_at: Option<Timestamp>,
    /// Last time anything was heard.
    pub heard_at: Timestamp,
    /// Whether anything is booked, and since when; for display, by [`Peer::note_activity`].
    pub active: (bool, Timestamp),
    /// It said that it is leaving.
    pub leaving: bool,
    /// Shapes it gave back, and how often in a row.
    pub(super) forsaken: Vec<(Shape, u32)>,
    /// Failures in a row that were the worker's.
    pub strikes: Strikes,
    /// Nothing is sent before this, for its own failures or its host's.
    pub quarantined_until: Option<Timestamp>,
    /// Nothing is sent but this job, which has waited long for room (decision D45).
    pub reserved: Option<JobId>,
    /// Whether it will do for the classes it was asked for of late.
    pub(super) verdicts: RefCell<Vec<(ClassId, bool)>>,
}

impl Peer {
    /// Fresh from the listener.
    pub fn new(link: LinkId, address: &str, now: Timestamp) -> Peer {
        Peer {
            link,
            address: address.into(),
            phase: Phase::Greeting,
            protocol: Protocol::V9,
            foreman: false,
            below: None,
            host: "".into(),
            arch: "".into(),
            op_sys: "".into(),
            total: Amount::default(),
            largest: Amount::default(),
            workers: 0,
            staged: None,
            used: Amount::default(),
            booked: 0,
            completed: 0,
            tasks: BTreeMap::new(),
            next_task: 1,
            preparing: BTreeSet::new(),
            expects: VecDeque::new(),
            more_results: false,
            put_off: false,
            kept: Kept::default(),
            body_of: None,
            result_of: None,
            checks: VecDeque::new(),
            checked_at: None,
            look_at: None,
            heard_at: now,
            active: (false, now),
            leaving: false,
            forsaken: Vec::new(),
            strikes: Strikes::default(),
            quarantined_until: None,
            reserved: None,
            verdicts: RefCell::default(),
        }
    }

    /// Takes one `resource` line of a block.
    pub fn stage(&mut self, kind: &ResourceKind, total: u64, largest: u64) {
        let (total, largest) = (total.min(1 << 50), largest.min(1 << 50));
        let Staged { total: all, largest: most, workers } = &mut **self.staged.get_or_insert_default();
        let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        match kind {
            ResourceKind::Cores => (all.cores, most.cores) = (narrow(total), narrow(largest)),
            ResourceKind::Gpus => (all.gpus, most.gpus) = (narrow(total), narrow(largest)),
            ResourceKind::Memory => (all.memory_mb, most.memory_mb) = (total, largest),
            ResourceKind::Disk => (all.disk_mb, most.disk_mb) = (total, largest),
            ResourceKind::Workers => *workers = narrow(total),
            _ => {}
        }
    }

    /// The block is complete. True if anything changed.
    pub fn commit_resources(&mut self) -> bool {
        let Some(staged) = self.staged.take() else { return false };
        let Staged { total, largest, workers } = *staged;
        let changed = (total, largest, workers) != (self.total, self.largest, self.workers);
        (self.total, self.largest, self.workers) = (total, largest, workers);
        if changed {
            self.forsaken.clear();
            self.verdicts.take();
        }
        changed
    }

    /// Books a task.
    pub fn book(&mut self, shape: Shape) {
        self.used.add(shape);
        self.booked += 1;
    }

    /// Gives a task's share back.
    pub fn unbook(&mut self, shape: Shape) {
        self.used.sub(shape);
        self.booked -= 1;
    }

    /// Something was booked or given back.
    pub fn note_activity(&mut self, now: Timestamp) {
        let busy = self.booked > 0;
        if busy != self.active.0 {
            self.active = (busy, now);
        }
    }

    /// Workers at this connection: those below a foreman, else one.
    pub fn workers_below(&self) -> u32 {
        if self.foreman { self.workers } else { 1 }
    }

    /// What is free for everybody, or `None` if nothing may be sent now.
    pub fn free(&self) -> Option<Amount> {
        if self.reserved.is_some() { None } else { self.room() }
    }

    /// The same for the job that it is reserved for.
    pub fn room(&self) -> Option<Amount> {
        if self.phase != Phase::Ready || self.leaving || self.quarantined_until.is_some() {
            return None;
        }
        let mut free = self.total.less(self.used);
        if self.foreman {
            // Its disk total is its own disk, not the sum over its workers: only LARGEST limits.
            free.disk_mb = self.largest.disk_mb;
        }
        Some(free)
    }

    /// A foreman of protocol 11: it looks for files in the wrong place, and dies when a task that waits there is killed
    /// (wire spec 4.6, decision D43).
    pub fn is_broken_foreman(&self) -> bool {
        self.foreman && self.protocol.dialect().foremen_broken
    }

    /// Whether a job of this shape can go there now.
    pub fn fits(&self, shape: Shape) -> bool {
        self.free().is_some_and(|free| free.holds(shape)) && self.takes(shape)
    }

    /// Whether its job, which has this shape, can go there now.
    pub fn fits_reserved(&self, shape: Shape) -> bool {
        self.room().is_some_and(|room| room.holds(shape)) && self.takes(shape)
    }

    /// Whether it takes jobs of this shape at all.
    pub fn takes(&self, shape: Shape) -> bool {
        self.largest.holds(shape)
            && !self.forsaken.iter().any(|(known, times)| *known == shape && *times >= FORSAKEN_MAX)
    }

    /// Whether it could ever hold the shape.
    pub fn could_hold(&self, shape: Shape) -> bool {
        self.phase == Phase::Ready && self.total.holds(shape) && self.largest.holds(shape)
    }

    /// Whether it will do for a class of requirements.
    pub fn suits(&self, id: ClassId, classes: &Classes, now_s: i64) -> bool {
        let Some(class) = classes.get(id) else { return true };
        let mut verdicts = self.verdicts.borrow_mut();
        if let Some((_, known)) = verdicts.iter().find(|(known, _)| *known == id) {
            return *known;
        }
        let verdict = class.accepts(&machine(self, classes.common()), now_s);
        if class.timed {
            return verdict;
        }
        if verdicts.len() >= VERDICTS_MAX {
            verdicts.clear();
        }
        verdicts.push((id, verdict));
        verdict
    }

    /// It gave a task of this shape back.
    pub fn forsook(&mut self, shape: Shape) {
        match self.forsaken.iter_mut().find(|(known, _)| *known == shape) {
            Some((_, times)) => *times += 1,
            None => self.forsaken.push((shape, 1)),
        }
    }

    /// It ran a task of this shape.
    pub fn accepted(&mut self, shape: Shape) {
        self.forsaken.retain(|(known, _)| *known != shape);
        self.completed += 1;
        self.strikes = Strikes::default();
    }

    /// Most bytes that it keeps for further tasks: a quarter of its disk, since the jobs need the rest.
    pub fn keeps_at_most(&self) -> u64 {
        // A foreman's cache is on the foreman's own disk, which its total is.
        let disk_mb = if self.foreman { self.total.disk_mb } else { self.largest.disk_mb };
        (disk_mb << 20) / 4
    }

    /// Whose failures count together with its own.
    pub fn host_key(&self) -> HostKey {
        HostKey::of(&self.address, &self.host)
    }

    /// A number for the next task, unused on this link.
    pub fn next_task(&mut self) -> TaskId {
        loop {
            let id = TaskId(self.next_task);
            self.next_task = if self.next_task >= TaskId::MAX.0 { 1 } else { self.next_task + 1 };
            let is_left = self.below.as_ref().is_some_and(|below| below.leftovers.contains_key(&id));
            if !self.tasks.contains_key(&id) && !is_left {
                return id;
            }
        }
    }
}

/// All connections.
#[derive(Debug, Default)]
pub struct Peers {
    slots: Vec<Option<Box<Peer>>>,
    index: FreeIndex,
    tallies: Tallies,
    ready: usize,
}

impl Peers {
    /// Adds a connection.
    pub fn add(&mut self, peer: Peer) {
        let at = peer.link.slot as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        assert!(self.slots[at].is_none(), "link slot {at} is taken");
        self.slots[at] = Some(Box::new(peer));
    }

    /// The peer of a link that still stands.
    pub fn get(&self, link: LinkId) -> Option<&Peer> {
        self.slots.get(link.slot as usize)?.as_deref().filter(|peer| peer.link == link)
    }

    /// The same, to write. Call [`Peers::changed`] when what is free or counted may have changed.
    pub fn get_mut(&mut self, link: LinkId) -> Option<&mut Peer> {
        self.slots.get_mut(link.slot as usize)?.as_deref_mut().filter(|peer| peer.link == link)
    }

    /// Brings index and sums up to date with the peer.
    pub fn changed(&mut self, link: LinkId) {
        let Some(peer) = self.slots.get(link.slot as usize).and_then(|peer| peer.as_deref()) else { return };
        if peer.link == link {
            self.index.set(link.slot, peer.free());
            self.tallies.set(link.slot, Some(peer));
        }
    }

    /// Removes a connection.
    pub fn remove(&mut self, link: LinkId) -> Option<Peer> {
        self.get(link)?;
        let peer = self.slots[link.slot as usize].take().expect("just seen");
        if peer.phase == Phase::Ready {
            self.ready -= 1;
        }
        self.index.set(link.slot, None);
        self.tallies.set(link.slot, None);
        Some(*peer)
    }

    /// The greeting is complete.
    pub fn make_ready(&mut self, link: LinkId) {
        if let Some(peer) = self.get_mut(link)
            && peer.phase == Phase::Greeting
        {
            peer.phase = Phase::Ready;
            self.ready += 1;
        }
    }

    /// Nothing more is sent or heard.
    pub fn make_closing(&mut self, link: LinkId) {
        if let Some(peer) = self.get_mut(link) {
            let was_ready = peer.phase == Phase::Ready;
            peer.phase = Phase::Closing;
            if was_ready {
                self.ready -= 1;
            }
            self.changed(link);
        }
    }

    /// A peer with room for the shape that will do for the class: the one it ranks highest, else a small one.
    pub fn find(&self, shape: Shape, id: ClassId, classes: &Classes, now_s: i64) -> Option<LinkId> {
        let will_do =
            |slot: &u32| self.at(*slot).is_some_and(|peer| peer.fits(shape) && peer.suits(id, classes, now_s));
        let mut found = self.index.may_hold(shape).filter(will_do);
        let slot = match classes.get(id).filter(|class| class.is_choosy()) {
            None => found.next(),
            Some(class) => {
                let rank = |slot: u32| {
                    let ad = self.at(slot).map(|peer| machine(peer, classes.common()));
                    ad.and_then(|ad| class.rank(&ad, now_s)).unwrap_or(0.0)
                };
                let ranked = found.take(RANKED_MAX).map(|slot| (rank(slot), slot));
                // Of equals the first, which is the tightest.
                ranked.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, slot)| slot)
            }
        }?;
        self.at(slot).map(|peer| peer.link)
    }

    /// Peers whose greeting is complete.
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Sums over those.
    pub fn tally(&self) -> Tally {
        self.tallies.sums()
    }

    /// Those of them that get no work for a while.
    pub fn quarantined(&self) -> impl Iterator<Item = &Peer> {
        self.tallies.quarantined().filter_map(|slot| self.at(slot))
    }

    /// Peers from this slot on.
    pub fn from(&self, slot: u32) -> impl Iterator<Item = &Peer> {
        self.slots.iter().skip(slot as usize).flatten().map(|peer| &**peer)
    }

    /// All peers, by slot.
    pub fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.from(0)
    }

    fn at(&self, slot: u32) -> Option<&Peer> {
        self.slots.get(slot as usize)?.as_deref()
    }

    /// Cross-checks the index and the bookings.
    pub fn check_invariants(&self, shape_of: impl Fn(AttemptId) -> Option<Shape>) {
        self.index.check_invariants(|slot| self.at(slot).and_then(Peer::free));
        self.tallies.check_invariants(self.iter());
        assert_eq!(self.ready, self.iter().filter(|p| p.phase == Phase::Ready).count());
        for peer in self.iter() {
            let (mut used, mut booked) = peer.below.as_ref().map(|below| below.left()).unwrap_or_default();
            for attempt in peer.tasks.values().chain(&peer.preparing) {
                if let Some(shape) = shape_of(*attempt) {
                    used.add(shape);
                    booked += 1;
                }
            }
            assert_eq!((used, booked), (peer.used, peer.booked), "bookings on link {:?}", peer.link);
        }
    }
}

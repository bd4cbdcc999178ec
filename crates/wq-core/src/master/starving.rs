//! Jobs that find no room although some worker could hold them (decision D45), and requirements that wait for a time.
//!
//! Many small jobs can keep a large one out for ever, since each core that becomes free is taken at once. So a large job that
//! has found no room for long gets a worker of its own: nothing else is sent there until it starts.

use super::Master;
use super::timers::Timer;
use crate::ids::{JobId, LinkId, Timestamp};
use crate::jobs::{QueueId, QueueKey};
use crate::workers::Shape;

/// How often queues without room are looked at.
const LOOK_S: u64 = 60;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Starving {
    timer_set: bool,
    /// Peers that are cleared for a job.
    reserved: Vec<LinkId>,
}

impl Master {
    /// A queue finds no room.
    pub(super) fn watch_starving(&mut self, now: Timestamp) {
        if !std::mem::replace(&mut self.starving.timer_set, true) {
            self.timers.set(now.plus_s(LOOK_S), Timer::Starving);
        }
    }

    pub(super) fn starving_due(&mut self, now: Timestamp) {
        self.starving.timer_set = false;
        let stuck: Vec<(QueueId, QueueKey, Timestamp)> = self.table.idle.stuck().collect();
        for (queue, key, since) in &stuck {
            let timed = self.table.idle.classes.get(key.class).is_some_and(|class| class.timed);
            if timed {
                self.table.idle.unstick_one(*queue);
                self.dirty.queue(*queue);
            } else if key.shape != Shape::default()
                && self.table.idle.limits.have_room(key.limits)
                && now >= since.plus_s(self.config.reserve_s)
            {
                self.reserve(now, *queue, *key);
            }
        }
        // The job may have started elsewhere, or be gone.
        let reserved = std::mem::take(&mut self.starving.reserved);
        for link in reserved {
            if self.peers.get(link).is_some_and(|peer| peer.reserved.is_some()) {
                self.starving.reserved.push(link);
                self.dirty.peer(link);
            }
        }
        if !stuck.is_empty() || !self.starving.reserved.is_empty() {
            self.watch_starving(now);
        }
    }

    /// Finds the worker that is nearest to having room for the queue's first job.
    fn reserve(&mut self, now: Timestamp, queue: QueueId, key: QueueKey) {
        let Some(slot) = self.table.idle.try_first(queue) else { return };
        let job = self.table.get(slot).id;
        if self.peers.iter().any(|peer| peer.reserved == Some(job)) {
            return;
        }
        let wall_s = now.seconds() + self.wall_offset_s;
        let classes = &self.table.idle.classes;
        let candidates = self.peers.iter().filter(|peer| {
            peer.free().is_some() && peer.could_hold(key.shape) && peer.suits(key.class, classes, wall_s)
        });
        let nearest = candidates.min_by_key(|peer| {
            let free = peer.free().unwrap_or_default();
            (key.shape.cores.saturating_sub(free.cores), key.shape.memory_mb.saturating_sub(free.memory_mb), peer.link)
        });
        let Some(link) = nearest.map(|peer| peer.link) else { return };
        self.peers.get_mut(link).expect("just found").reserved = Some(job);
        self.peers.changed(link);
        self.starving.reserved.push(link);
    }

    /// The peer of this link was kept free for a job before a planned restart.
    pub(super) fn keep_reserved(&mut self, now: Timestamp, link: LinkId) {
        self.starving.reserved.push(link);
        self.watch_starving(now);
    }

    /// Whether a peer is kept free for the job.
    pub(super) fn is_cleared_for(&self, job: JobId) -> bool {
        self.starving.reserved.iter().any(|link| self.peers.get(*link).is_some_and(|peer| peer.reserved == Some(job)))
    }

    /// Sends the job that the peer is reserved for, if there is room now. True if it did.
    pub(super) fn serve_reserved(&mut self, now: Timestamp, link: LinkId) -> bool {
        let Some(peer) = self.peers.get(link) else { return false };
        let Some(job) = peer.reserved else { return false };
        let slot = self.table.find(job).filter(|slot| self.table.get(*slot).is_waiting());
        let shape = slot.map(|slot| self.table.idle.shape(self.table.get(slot).queue));
        let limits = slot.map(|slot| self.table.idle.key(self.table.get(slot).queue).limits);
        let free = limits.is_some_and(|limits| self.table.idle.limits.have_room(limits));
        let fits = free && shape.is_some_and(|shape| peer.fits_reserved(shape));
        if free && !fits && shape.is_some_and(|shape| peer.could_hold(shape)) {
            return false;
        }
        // It starts, or it does not need the peer any more.
        self.peers.get_mut(link).expect("just seen").reserved = None;
        self.peers.changed(link);
        if let Some(slot) = slot.filter(|_| fits) {
            self.begin(now, slot, link);
        }
        fits
    }
}

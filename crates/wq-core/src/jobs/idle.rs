//! Idle jobs, ready to be matched: one queue for each owner and shape, ordered by priority, then by number.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::class::{ClassId, Classes};
use super::lane::Lane;
use super::limits::{Limits, LimitsId};
use crate::ids::{JobId, Timestamp};
use crate::jobs::{OwnerId, Slot};
use crate::workers::{Shape, Sum};

/// What the jobs of one queue have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueKey {
    /// Owners take turns.
    pub owner: OwnerId,
    /// What a job needs.
    pub shape: Shape,
    /// What it asks of a machine.
    pub class: ClassId,
    /// What it needs of things that are limited.
    pub limits: LimitsId,
}

/// Index of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueId(pub u32);

#[derive(Debug)]
struct Queue {
    key: QueueKey,
    /// By priority, the highest first; no lane is empty.
    lanes: BTreeMap<Reverse<i32>, Lane>,
    /// Jobs that belong here, ready or not; the queue lives as long as there are any.
    members: u32,
    /// Since when no connected worker has had room: nothing to try until one gains some.
    stuck: Option<Timestamp>,
}

impl Queue {
    fn first(&self) -> Option<(Reverse<i32>, JobId, Slot)> {
        let (prio, lane) = self.lanes.first_key_value()?;
        lane.first().map(|(job, slot)| (*prio, job, slot))
    }

    fn ready(&self) -> usize {
        self.lanes.values().map(Lane::len).sum()
    }
}

/// All queues.
#[derive(Debug, Default)]
pub struct IdleQueues {
    by_key: BTreeMap<QueueKey, QueueId>,
    slots: Vec<Option<Queue>>,
    free: Vec<u32>,
    ready: usize,
    /// Those of them that wait for the submit host.
    ready_local: usize,
    /// What the waiting jobs need in all.
    needs: Sum,
    /// The owner that was served last: the next in order comes first.
    last_owner: Option<OwnerId>,
    /// What jobs ask of machines.
    pub classes: Classes,
    /// Things of which there are only so many.
    pub limits: Limits,
}

impl IdleQueues {
    /// None yet; their jobs ask these things of machines, and share these.
    pub fn new(classes: Classes, limits: Limits) -> IdleQueues {
        IdleQueues { classes, limits, ..IdleQueues::default() }
    }

    /// The queue for a key, made if it is new; counts `members` jobs.
    pub fn join(&mut self, key: QueueKey, members: u32) -> QueueId {
        let id = match self.by_key.get(&key) {
            Some(id) => *id,
            None => {
                self.classes.join(key.class);
                let queue = Queue { key, lanes: BTreeMap::new(), members: 0, stuck: None };
                let id = match self.free.pop() {
                    Some(slot) => {
                        self.slots[slot as usize] = Some(queue);
                        QueueId(slot)
                    }
                    None => {
                        self.slots.push(Some(queue));
                        QueueId(self.slots.len() as u32 - 1)
                    }
                };
                self.by_key.insert(key, id);
                self.limits.join(key.limits, id);
                id
            }
        };
        self.queue_mut(id).members += members;
        id
    }

    /// A member is gone for good.
    pub fn leave(&mut self, id: QueueId) {
        let queue = self.queue_mut(id);
        queue.members -= 1;
        if queue.members == 0 {
            let key = queue.key;
            self.slots[id.0 as usize] = None;
            self.by_key.remove(&key);
            self.free.push(id.0);
            self.classes.leave(key.class);
            self.limits.leave(key.limits, id);
        }
    }

    /// A job waits from now on.
    pub fn push(&mut self, id: QueueId, prio: i32, job: JobId, slot: Slot) {
        let queue = self.queue_mut(id);
        let fresh = queue.lanes.entry(Reverse(prio)).or_default().push(job, slot);
        assert!(fresh, "job {job} waits twice");
        let shape = queue.key.shape;
        self.ready += 1;
        self.ready_local += usize::from(shape.is_local());
        self.needs.add(shape.into());
    }

    /// A job no longer waits.
    pub fn take(&mut self, id: QueueId, prio: i32, job: JobId, slot: Slot) {
        let queue = self.queue_mut(id);
        let shape = queue.key.shape;
        let lanes = &mut queue.lanes;
        let lane = lanes.get_mut(&Reverse(prio)).expect("a waiting job's lane exists");
        assert!(lane.take(job, slot), "job {job} did not wait");
        if lane.len() == 0 {
            lanes.remove(&Reverse(prio));
        }
        self.ready -= 1;
        self.ready_local -= usize::from(shape.is_local());
        self.needs.sub(shape.into());
    }

    /// The first job of a queue.
    pub fn first(&self, id: QueueId) -> Option<Slot> {
        self.queue(id).first().map(|(_, _, slot)| slot)
    }

    /// The same for a queue that may be gone.
    pub fn try_first(&self, id: QueueId) -> Option<Slot> {
        let queue = self.slots.get(id.0 as usize)?.as_ref()?;
        queue.first().map(|(_, _, slot)| slot)
    }

    /// What the queue's jobs need.
    pub fn shape(&self, id: QueueId) -> Shape {
        self.queue(id).key.shape
    }

    /// What they have in common.
    pub fn key(&self, id: QueueId) -> QueueKey {
        self.queue(id).key
    }

    /// Whether no worker has room for it, as far as is known.
    pub fn is_stuck(&self, id: QueueId) -> bool {
        self.queue(id).stuck.is_some()
    }

    /// Remembers that no worker has room for it.
    pub fn set_stuck(&mut self, id: QueueId, now: Timestamp) {
        self.queue_mut(id).stuck.get_or_insert(now);
    }

    /// A worker has gained room: every queue that it will do for may be tried again.
    pub fn unstick(&mut self, will_do: impl Fn(QueueKey, &Classes) -> bool) {
        for queue in self.slots.iter_mut().flatten() {
            if queue.stuck.is_some() && will_do(queue.key, &self.classes) {
                queue.stuck = None;
            }
        }
    }

    /// The queues for which no worker has had room, and since when.
    pub fn stuck(&self) -> impl Iterator<Item = (QueueId, QueueKey, Timestamp)> + '_ {
        let queues =
            self.slots.iter().enumerate().filter_map(|(at, queue)| Some((QueueId(at as u32), queue.as_ref()?)));
        queues
            .filter(|(_, queue)| !queue.lanes.is_empty())
            .filter_map(|(id, queue)| Some((id, queue.key, queue.stuck?)))
    }

    /// Whether a queue may be tried again now that time has gone by.
    pub fn unstick_one(&mut self, id: QueueId) {
        self.queue_mut(id).stuck = None;
    }

    /// The queue to serve next among those with waiting jobs for which `suits` holds: the owner after the one that
    /// was served last, and of that owner the job with the highest priority and lowest number.
    pub fn choose(&self, suits: impl Fn(QueueKey) -> bool) -> Option<QueueId> {
        let ranked = self.by_key.iter().filter_map(|(key, id)| {
            let (prio, job, _) = self.queue(*id).first()?;
            let later = self.last_owner.is_some_and(|last| key.owner <= last);
            suits(*key).then_some((later, key.owner, prio, job, *id))
        });
        ranked.min().map(|(.., id)| id)
    }

    /// Notes that a job of this queue was served.
    pub fn served(&mut self, id: QueueId) {
        self.last_owner = Some(self.queue(id).key.owner);
    }

    /// Jobs that wait in all queues.
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Those of them that wait for the submit host, not for a worker.
    pub fn ready_local(&self) -> usize {
        self.ready_local
    }

    /// What they need in all.
    pub fn needs(&self) -> Sum {
        self.needs
    }

    /// Number of queues.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// There is no queue.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Cross-checks the sums.
    pub fn check_invariants(&self) {
        assert_eq!(self.ready, self.slots.iter().flatten().map(Queue::ready).sum::<usize>());
        let local = self.slots.iter().flatten().filter(|queue| queue.key.shape.is_local());
        assert_eq!(self.ready_local, local.map(Queue::ready).sum::<usize>());
        assert_eq!(self.by_key.len(), self.slots.iter().flatten().count());
        let mut needs = Sum::default();
        for queue in self.slots.iter().flatten() {
            (0..queue.ready()).for_each(|_| needs.add(queue.key.shape.into()));
        }
        assert_eq!(needs, self.needs);
        for queue in self.slots.iter().flatten() {
            assert!(queue.members as usize >= queue.ready());
            assert!(queue.lanes.values().all(|lane| lane.len() > 0));
        }
    }

    fn queue(&self, id: QueueId) -> &Queue {
        self.slots[id.0 as usize].as_ref().expect("a job's queue exists")
    }

    fn queue_mut(&mut self, id: QueueId) -> &mut Queue {
        self.slots[id.0 as usize].as_mut().expect("a job's queue exists")
    }
}

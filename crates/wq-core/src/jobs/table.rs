//! The table of jobs with its indices: by number, by owner and state.

use std::collections::{BTreeMap, BTreeSet};

use classad::unpack_row;
use control_proto::Totals;

use super::class::{ClassId, Classes};
use super::idle::{IdleQueues, QueueId, QueueKey};
use super::limits::{Limits, LimitsId};
use super::story::{Departure, Story};
use super::template::{SortedAd, TemplateId, Templates, Text, changed};
use crate::ids::JobId;
use crate::workers::Shape;

/// Index of a job in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// `JobStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Status {
    /// Waits, or is on its way to a worker.
    Idle = 1,
    /// Its task is with a worker.
    Running = 2,
    /// Shall go; waits for its worker's confirmation.
    Removed = 3,
    /// Has ended, and its owner wants it to stay.
    Completed = 4,
    /// Waits for somebody's decision.
    Held = 5,
}

/// Index of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(pub u16);

impl OwnerId {
    fn new(index: usize) -> OwnerId {
        OwnerId(u16::try_from(index).expect("a site has fewer than 65,536 users"))
    }
}

/// Somebody who has jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Login name.
    pub name: Box<str>,
    totals: [u32; 8],
}

/// A job. Small on purpose: a million of them wait in one table.
#[derive(Debug)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// Its place among the idle.
    pub queue: QueueId,
    template: TemplateId,
    delta: Box<[u8]>,
    story: Option<Box<Story>>,
    /// Seconds of the service clock at submission.
    pub qdate_s: u32,
    /// Wall clock at submission in seconds since 1970, for `GlobalJobId`.
    wall_s: u32,
    /// `JobPrio`.
    pub prio: i32,
    /// Whose.
    pub owner: OwnerId,
    /// State; changed by [`JobTable::set_status`].
    status: Status,
    waiting: bool,
}

static NO_STORY: Story = Story {
    attempt: None,
    starts: 0,
    attempts: 0,
    losses: 0,
    holds: 0,
    system_holds: 0,
    completions: 0,
    last_status: 0,
    entered_s: None,
    hold: None,
    last_hold: None,
    release_reason: None,
    remove_reason: None,
    vacate: None,
    vacates: Vec::new(),
    edits: Vec::new(),
    first_start_s: None,
    start_s: None,
    wall_clock_s: 0,
    host: None,
    last_host: None,
    allocation: None,
    transferring_output: false,
    ending: None,
    told_removed: false,
    departure: Departure::None,
};

impl Job {
    /// The ad it has in common with others.
    pub(super) fn template(&self) -> TemplateId {
        self.template
    }

    /// Whether it waits for a worker.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// `JobStatus`.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What happened to it.
    pub fn story(&self) -> &Story {
        self.story.as_deref().unwrap_or(&NO_STORY)
    }

    /// Whether anything happened to it.
    pub fn has_story(&self) -> bool {
        self.story.is_some()
    }

    /// The same, to write.
    pub fn story_mut(&mut self) -> &mut Story {
        self.story.get_or_insert_default()
    }

    /// Seconds of the service clock at the last change of state.
    pub fn entered_s(&self) -> u32 {
        self.story().entered_s.unwrap_or(self.qdate_s)
    }
}

/// What is kept of a cluster as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterInfo {
    /// `TotalSubmitProcs`.
    pub procs: u32,
    /// Jobs still in the table.
    pub left: u32,
    /// Wall clock at submission in seconds since 1970, for `GlobalJobId`.
    pub wall_s: u32,
}

/// A cluster on its way into the table.
#[derive(Debug)]
pub struct NewCluster<'a> {
    /// Its number.
    pub cluster: u32,
    /// How many jobs it had when it was submitted, if that is known from elsewhere.
    pub submitted: Option<u32>,
    /// What they share.
    pub ad: SortedAd,
    /// Lower-case names of what differs.
    pub varying: &'a [String],
    /// Packed rows, one a job.
    pub rows: &'a [u8],
    /// Whose.
    pub owner: OwnerId,
    /// Service clock.
    pub at_s: i64,
    /// Wall clock.
    pub wall_s: i64,
}

/// What the table needs to know of each ad: facts that its texts imply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// For matching.
    pub shape: Shape,
    /// `JobPrio`.
    pub prio: i32,
    /// `hold = true`.
    pub on_hold: bool,
    /// What it asks of a machine.
    pub class: ClassId,
    /// What it needs of things that are limited.
    pub limits: LimitsId,
    /// That depends on one of the attributes that differ from job to job.
    pub class_differs: bool,
}

/// When a job may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deferral {
    /// Wall clock, seconds since 1970.
    pub at_s: i64,
    /// That time has not come yet.
    pub waits: bool,
}

/// All jobs.
#[derive(Debug, Default)]
pub struct JobTable {
    slots: Vec<Option<Job>>,
    free: Vec<u32>,
    by_id: BTreeMap<JobId, Slot>,
    /// Clusters that ever had more than one job; most submissions to a computing element have one.
    clusters: BTreeMap<u32, ClusterInfo>,
    owners: Vec<Owner>,
    templates: Templates,
    totals: [u32; 8],
    /// Jobs that may not start before a time.
    pub deferrals: BTreeMap<JobId, Deferral>,
    /// Jobs that wait for a worker.
    pub idle: IdleQueues,
}

impl JobTable {
    /// An empty one, whose jobs ask these things of machines, and share these.
    pub fn new(classes: Classes, limits: Limits) -> JobTable {
        JobTable { idle: IdleQueues::new(classes, limits), ..JobTable::default() }
    }

    /// The index of an owner, new or known.
    pub fn owner(&mut self, uid: u32, gid: u32, name: &str) -> OwnerId {
        if let Some(at) = self.owners.iter().position(|o| o.uid == uid && *o.name == *name) {
            return OwnerId::new(at);
        }
        self.owners.push(Owner { uid, gid, name: name.into(), totals: [0; 8] });
        OwnerId::new(self.owners.len() - 1)
    }

    /// Facts about an owner.
    pub fn owner_of(&self, id: OwnerId) -> &Owner {
        &self.owners[id.0 as usize]
    }

    /// The owner with this user id, if he ever had a job.
    pub fn find_owner(&self, uid: u32) -> Option<OwnerId> {
        self.owners.iter().position(|o| o.uid == uid).map(OwnerId::new)
    }

    /// Adds jobs of a cluster with these proc numbers; they do not wait yet ([`JobTable::enqueue`]). `facts` is asked once, and again for
    /// each job if one of the attributes in `watched` varies. Returns nothing if the rows are damaged.
    pub fn add_cluster(
        &mut self,
        new: NewCluster<'_>,
        procs: impl ExactSizeIterator<Item = u32>,
        watched: impl Fn(&str) -> bool,
        facts: impl Fn(&SortedAd, JobId, &mut IdleQueues) -> Facts,
    ) -> Option<()> {
        let NewCluster { cluster, submitted, mut ad, varying, mut rows, owner, at_s, wall_s } = new;
        let count = u32::try_from(procs.len()).expect("a proc has a number of its own");
        let mut procs = procs.peekable();
        let Some(first) = procs.peek().map(|proc_| JobId { cluster, proc_: *proc_ }) else { return Some(()) };
        for name in varying {
            if ad.position(name).is_none() {
                ad.insert(name, "undefined");
            }
        }
        let columns: Vec<usize> = varying.iter().filter_map(|name| ad.position(name)).collect();
        let defaults: Vec<String> = varying.iter().map(|name| ad.get(name).unwrap_or_default().to_owned()).collect();
        let wall_s = u32::try_from(wall_s).unwrap_or(u32::MAX);
        let before = self.cluster(cluster).unwrap_or(ClusterInfo { procs: 0, left: 0, wall_s });
        let mut known = facts(&ad, first, &mut self.idle);
        let ask_each = known.class_differs || varying.iter().any(|name| watched(name));
        let (template, delta) = self.templates.intern(&ad);
        let mut shared_users = 0;
        for proc_ in procs {
            let id = JobId { cluster, proc_ };
            let mut own_delta = None;
            if !columns.is_empty() {
                let (values, rest) = unpack_row(rows, columns.len())?;
                rows = rest;
                for ((at, value), default) in columns.iter().zip(&values).zip(&defaults) {
                    ad.set(*at, value.unwrap_or(default));
                }
                if ask_each {
                    known = facts(&ad, id, &mut self.idle);
                }
                own_delta = Some(self.templates.delta_for(template, &ad));
            }
            let bytes = match own_delta {
                Some(own) => own.into_boxed_slice(),
                None => {
                    shared_users += 1;
                    delta.clone().into_boxed_slice()
                }
            };
            let queue =
                self.idle.join(QueueKey { owner, shape: known.shape, class: known.class, limits: known.limits }, 1);
            let status = if known.on_hold { Status::Held } else { Status::Idle };
            let seconds = u32::try_from(at_s).unwrap_or(u32::MAX);
            let job = Job {
                id,
                queue,
                template,
                delta: bytes,
                story: None,
                qdate_s: seconds,
                wall_s: before.wall_s,
                prio: known.prio,
                owner,
                status,
                waiting: false,
            };
            self.place(job);
        }
        self.templates.add_users(template, shared_users);
        // `intern` counted one user for the cluster's own ad; the jobs have counted themselves.
        self.templates.release(template);
        let procs = submitted.unwrap_or(before.procs + count);
        if procs > 1 {
            let info = ClusterInfo { procs, left: before.left + count, ..before };
            self.clusters.insert(cluster, info);
        }
        Some(())
    }

    fn place(&mut self, job: Job) {
        let (id, owner, status) = (job.id, job.owner, job.status);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(job);
                Slot(slot)
            }
            None => {
                self.slots.push(Some(job));
                Slot(self.slots.len() as u32 - 1)
            }
        };
        let old = self.by_id.insert(id, slot);
        assert!(old.is_none(), "job {id} exists twice");
        self.count(owner, status, 1);
    }

    fn count(&mut self, owner: OwnerId, status: Status, change: i32) {
        for totals in [&mut self.totals, &mut self.owners[owner.0 as usize].totals] {
            let field = &mut totals[status as usize];
            *field = field.checked_add_signed(change).expect("totals follow the table");
        }
    }

    /// The job, which must exist.
    pub fn get(&self, slot: Slot) -> &Job {
        self.slots[slot.0 as usize].as_ref().expect("the slot holds a job")
    }

    /// The job, which must exist.
    pub fn get_mut(&mut self, slot: Slot) -> &mut Job {
        self.slots[slot.0 as usize].as_mut().expect("the slot holds a job")
    }

    /// Where a job stands.
    pub fn find(&self, id: JobId) -> Option<Slot> {
        self.by_id.get(&id).copied()
    }

    /// Jobs from this number on, ascending.
    pub fn from(&self, id: JobId) -> impl Iterator<Item = (JobId, Slot)> + '_ {
        self.by_id.range(id..).map(|(id, slot)| (*id, *slot))
    }

    /// Jobs of a cluster, ascending.
    pub fn of_cluster(&self, cluster: u32) -> impl Iterator<Item = (JobId, Slot)> + '_ {
        let range = JobId { cluster, proc_: 0 }..=JobId { cluster, proc_: u32::MAX };
        self.by_id.range(range).map(|(id, slot)| (*id, *slot))
    }

    /// What is known of a cluster that has jobs.
    pub fn cluster(&self, cluster: u32) -> Option<ClusterInfo> {
        let single = || {
            let (_, slot) = self.of_cluster(cluster).next()?;
            Some(ClusterInfo { procs: 1, left: 1, wall_s: self.get(slot).wall_s })
        };
        self.clusters.get(&cluster).copied().or_else(single)
    }

    /// Changes the state and keeps the sums.
    pub fn set_status(&mut self, slot: Slot, status: Status, now_s: i64) {
        let job = self.get_mut(slot);
        let (owner, old) = (job.owner, job.status);
        if old == status {
            return;
        }
        job.status = status;
        let story = job.story_mut();
        story.entered_s = Some(u32::try_from(now_s).unwrap_or(u32::MAX));
        story.last_status = old as u8;
        self.count(owner, old, -1);
        self.count(owner, status, 1);
    }

    /// Sets state and story of a job as they were before a restart.
    pub fn resume(&mut self, slot: Slot, status: Status, story: Option<Box<Story>>) {
        let job = self.get_mut(slot);
        let (owner, old) = (job.owner, std::mem::replace(&mut job.status, status));
        job.story = story;
        self.count(owner, old, -1);
        self.count(owner, status, 1);
    }

    /// Lets an idle job wait for a worker.
    pub fn enqueue(&mut self, slot: Slot) {
        let job = self.get_mut(slot);
        assert!(job.status == Status::Idle && !job.waiting, "only idle jobs wait, and once");
        job.waiting = true;
        let (queue, prio, id) = (job.queue, job.prio, job.id);
        self.idle.push(queue, prio, id, slot);
    }

    /// Gives a job that does not wait another class.
    pub fn set_class(&mut self, slot: Slot, class: ClassId) {
        let key = self.idle.key(self.get(slot).queue);
        self.move_to(slot, QueueKey { class, ..key });
    }

    /// Gives a job that does not wait another queue.
    pub fn move_to(&mut self, slot: Slot, key: QueueKey) {
        let job = self.get(slot);
        assert!(!job.waiting, "a waiting job stands in its queue");
        let before = job.queue;
        if self.idle.key(before) != key {
            self.get_mut(slot).queue = self.idle.join(key, 1);
            self.idle.leave(before);
        }
    }

    /// Takes a job out of the waiting, if it waits.
    pub fn dequeue(&mut self, slot: Slot) {
        let job = self.get_mut(slot);
        if std::mem::replace(&mut job.waiting, false) {
            let (queue, prio, id) = (job.queue, job.prio, job.id);
            self.idle.take(queue, prio, id, slot);
        }
    }

    /// Removes a job for good.
    pub fn remove(&mut self, slot: Slot) {
        self.dequeue(slot);
        let job = self.slots[slot.0 as usize].take().expect("the slot holds a job");
        self.free.push(slot.0);
        self.by_id.remove(&job.id);
        self.deferrals.remove(&job.id);
        self.count(job.owner, job.status, -1);
        self.templates.release(job.template);
        self.idle.leave(job.queue);
        if let Some(info) = self.clusters.get_mut(&job.id.cluster) {
            info.left -= 1;
            if info.left == 0 {
                self.clusters.remove(&job.id.cluster);
            }
        }
    }

    /// Number of jobs.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// No job at all.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Sums over all jobs, or over one owner's.
    pub fn totals(&self, owner: Option<OwnerId>) -> Totals {
        let totals = match owner {
            None => &self.totals,
            Some(id) => &self.owners[id.0 as usize].totals,
        };
        let n = |status: Status| u64::from(totals[status as usize]);
        Totals {
            jobs: totals.iter().map(|n| u64::from(*n)).sum(),
            completed: n(Status::Completed),
            removed: n(Status::Removed),
            idle: n(Status::Idle),
            running: n(Status::Running),
            held: n(Status::Held),
            suspended: 0,
        }
    }

    /// Owners who ever had a job since the start.
    pub fn owners(&self) -> usize {
        self.owners.len()
    }

    /// All of them.
    pub fn owner_ids(&self) -> impl Iterator<Item = OwnerId> + use<> {
        (0..self.owners.len()).map(OwnerId::new)
    }

    pub(super) fn text_at<'a>(&'a self, job: &'a Job, at: usize) -> Text<'a> {
        self.templates.text(job.template, &job.delta, at)
    }

    pub(super) fn position(&self, job: &Job, folded: &str) -> Option<usize> {
        self.templates.position(job.template, folded)
    }

    pub(super) fn width(&self, job: &Job) -> usize {
        self.templates.width(job.template)
    }

    pub(super) fn name_at(&self, job: &Job, at: usize) -> &str {
        self.templates.name(job.template, at)
    }

    /// How many of these jobs, from the first on, share its cluster and template; and in which attributes they differ.
    pub(super) fn alike(&self, slots: &[Slot]) -> (usize, BTreeSet<usize>) {
        let of = |slot: &Slot| {
            let job = self.get(*slot);
            (job.id.cluster, job.template)
        };
        let first = slots.first().map(of);
        let count = slots.iter().take_while(|slot| Some(of(slot)) == first).count();
        let changed = slots[..count].iter().flat_map(|slot| changed(&self.get(*slot).delta)).collect();
        (count, changed)
    }

    pub(super) fn shared_expr(&self, job: &Job, at: usize) -> Option<&classad::Expr> {
        self.templates.shared_expr(job.template, &job.delta, at)
    }

    /// Cross-checks all indices; for tests and simulation.
    pub fn check_invariants(&self) {
        self.idle.check_invariants();
        assert_eq!(self.by_id.len() + self.free.len(), self.slots.len());
        assert_eq!(self.templates.users(), self.by_id.len() as u64);
        let mut totals = [0u32; 8];
        let mut left: BTreeMap<u32, u32> = BTreeMap::new();
        let mut waiting = 0;
        for (id, slot) in &self.by_id {
            let job = self.get(*slot);
            assert_eq!(job.id, *id);
            totals[job.status as usize] += 1;
            *left.entry(id.cluster).or_default() += 1;
            waiting += usize::from(job.waiting);
            assert!(!job.waiting || (job.status == Status::Idle && job.story().attempt.is_none()), "{id}");
        }
        assert_eq!(totals, self.totals);
        assert_eq!(waiting, self.idle.ready());
        assert!(self.clusters.iter().all(|(cluster, info)| info.procs > 1 && left.contains_key(cluster)));
        for (cluster, jobs) in left {
            assert_eq!(self.cluster(cluster).map(|info| info.left), Some(jobs));
        }
    }
}

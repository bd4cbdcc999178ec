//! `max_idle` and `max_materialize`: jobs of a cluster that enter the queue one after another (decision D16).
//!
//! All jobs came with the submission. The first of them enter with it; each further run of them is a record of its own, an
//! edit of the last one with a hidden attribute, since its jobs are promised to the event log. A checkpoint of the journal has
//! those that have not entered behind those that have.

mod closing;
mod listing;
mod pausing;

use std::collections::{BTreeMap, BTreeSet};

use classad::{Expr, Scope, Value};
use journal::{CheckpointCluster, CheckpointFactory, Edited, Held, Record};
use userlog::{Event, EventJob, Kind};

use super::Master;
use super::events::Log;
use super::promises::Then;
use super::submit::AdScope;
use super::timers::Timer;
use crate::ids::{JobId, RecordNo, Timestamp};
use crate::io::Caller;
use crate::jobs::template::SortedAd;
use crate::jobs::{NewCluster, OwnerId, Status};
use crate::mending::When;
use crate::run::BlobUse;

/// Set in a record: jobs up to this one have entered.
const ENTERED: &str = "_AwqEntered";
/// Set in a record: jobs from this one on will never enter.
const DROPPED: &str = "_AwqDropped";

/// Set in a record: from here on no job enters …
const PAUSED: &str = "_AwqPaused";
/// … until this one.
const RESUMED: &str = "_AwqResumed";
/// Beside one of these: why, for the event log. In a checkpoint, whose events are written, it is missing.
const REASON: &str = "_AwqReason";

/// Jobs that are made to enter in one turn.
const RUN_MAX: u32 = 500;

/// Bytes of rows in one record of a checkpoint.
const ROWS_PIECE: usize = 256 << 10;

/// Clusters with jobs that have not entered.
#[derive(Debug, Default)]
pub(super) struct Factories {
    by_cluster: BTreeMap<u32, Factory>,
    /// More of their jobs may enter than before.
    due: BTreeSet<u32>,
}

impl Factories {
    /// Whether some jobs of the cluster have not entered and will.
    pub(super) fn has_more(&self, cluster: u32) -> bool {
        self.by_cluster.get(&cluster).is_some_and(|factory| factory.next < factory.end)
    }

    /// The clusters among these numbers that have a factory.
    pub(super) fn between(&self, clusters: std::ops::Range<u32>) -> Vec<u32> {
        self.by_cluster.range(clusters).map(|(cluster, _)| *cluster).collect()
    }
}

/// One of them.
#[derive(Debug)]
struct Factory {
    /// What its jobs share.
    ad: SortedAd,
    varying: Vec<String>,
    /// Packed rows …
    rows: Vec<u8>,
    /// … of which those from here on are of jobs that have not entered.
    rows_at: usize,
    owner: OwnerId,
    at_s: i64,
    wall_s: i64,
    /// Jobs of the submission.
    procs: u32,
    /// The first one that has not entered …
    next: u32,
    /// … and the first that is not recorded as entering.
    recorded: u32,
    /// Behind the last one.
    end: u32,
    window: Window,
    log: Option<Log>,
    /// Why jobs that are on their way into the queue shall leave it again.
    removed: Option<String>,
    /// The cluster was held: nothing more enters until it is released.
    paused: bool,
    /// Holds of jobs that were on their way into the queue at that moment.
    holding: BTreeMap<u32, Held>,
    /// Why these are released as soon as they are there.
    released: Option<String>,
}

impl Factory {
    /// The rows of the next jobs.
    fn take_rows(&mut self, count: u32) -> Vec<u8> {
        let from = std::mem::take(&mut self.rows_at);
        let rest = behind(&self.rows[from..], self.varying.len(), count).len();
        self.rows_at = self.rows.len() - rest;
        let taken = self.rows[from..self.rows_at].to_vec();
        // Not each time: a large cluster enters in many small runs.
        if self.rows_at > self.rows.len() / 2 {
            self.rows.drain(..self.rows_at);
            self.rows.shrink_to_fit();
            self.rows_at = 0;
        }
        taken
    }

    /// Files that each of its jobs names.
    fn blobs(&self) -> Vec<BlobUse> {
        let text = |name: &str| BlobUse::from_text(self.ad.get(name)?.trim_matches('"'));
        ["_awqexecutable", "_awqproxy", "_awqtoken"].into_iter().filter_map(text).collect()
    }
}

/// How many jobs may be in the queue.
#[derive(Debug, Clone, Copy)]
struct Window {
    jobs: u32,
    idle: u32,
}

impl Window {
    /// What the ad says; nothing if all jobs enter at once.
    fn of(scope: &AdScope<'_>, wall_s: i64) -> Option<Window> {
        let env = classad::Env { now_s: Some(wall_s), ..classad::Env::default() };
        let number = |name: &str| {
            let value = classad::eval(&*scope.lookup(name)?, scope, None, &env);
            value.as_int().filter(|n| *n > 0).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
        };
        match (number("jobmaterializelimit"), number("jobmaterializemaxidle")) {
            (None, None) => None,
            (jobs, idle) => Some(Window { jobs: jobs.unwrap_or(u32::MAX), idle: idle.unwrap_or(u32::MAX) }),
        }
    }
}

impl Master {
    /// How many of a new cluster's jobs enter with it. The others are kept here.
    pub(super) fn hold_back(&mut self, new: &NewCluster<'_>, procs: u32) -> u32 {
        let Some(factory) = self.factory(new, procs) else { return procs };
        let first = factory.next;
        self.factories.by_cluster.insert(new.cluster, factory);
        first
    }

    /// Of a cluster none of whose jobs has entered, with as many of them taken off as may at once.
    fn factory(&self, new: &NewCluster<'_>, procs: u32) -> Option<Factory> {
        let (cluster, wall_s) = (new.cluster, new.wall_s);
        let scope = AdScope { ad: &new.ad, id: JobId::new(cluster, 0) };
        let window = Window::of(&scope, wall_s)?;
        let env = classad::Env { now_s: Some(wall_s), ..classad::Env::default() };
        let value = |name: &str| scope.lookup(name).map(|expr| classad::eval(&expr, &scope, None, &env));
        let path = value("userlog").and_then(|path| path.as_str().map(str::to_owned));
        let xml = value("userlogusexml").is_some_and(|xml| xml.truth() == Some(true));
        let first = procs.min(window.jobs).min(window.idle);
        Some(Factory {
            ad: new.ad.clone(),
            varying: new.varying.to_vec(),
            rows: behind(new.rows, new.varying.len(), first).to_vec(),
            rows_at: 0,
            owner: new.owner,
            at_s: new.at_s,
            wall_s,
            procs,
            next: first,
            recorded: first,
            end: procs,
            window,
            // A run of the service before may have written to it.
            log: path.map(|path| Log { path, xml }),
            removed: None,
            paused: false,
            holding: BTreeMap::new(),
            released: None,
        })
    }

    /// A job of the cluster has begun, ended or left.
    pub(super) fn factory_due(&mut self, cluster: u32) {
        if self.factories.by_cluster.contains_key(&cluster) {
            self.factories.due.insert(cluster);
        }
    }

    /// After recovery.
    pub(super) fn start_factories(&mut self) {
        self.factories.due = self.factories.by_cluster.keys().copied().collect();
    }

    /// Lets jobs enter where there is room for them.
    pub(super) fn materialize(&mut self, now: Timestamp) {
        if self.stopping || self.store_failed.is_some() {
            return;
        }
        for cluster in std::mem::take(&mut self.factories.due) {
            if self.is_being_written(cluster) {
                self.factories.due.insert(cluster);
                continue;
            }
            let Some(factory) = self.factories.by_cluster.get(&cluster) else { continue };
            let (end, recorded, on_their_way) = (factory.end, factory.recorded, factory.recorded - factory.next);
            let paused = factory.paused;
            let count = self.room(cluster).saturating_sub(on_their_way).min(end - recorded);
            if count > 0 && !paused {
                let run = count.min(RUN_MAX);
                let last = JobId::new(cluster, recorded + run - 1);
                let no = self.note_in_journal(now, last, ENTERED);
                self.when_stored(no, Then::Materialized(last));
                self.factories.by_cluster.get_mut(&cluster).expect("just seen").recorded += run;
                if run < count {
                    self.factories.due.insert(cluster);
                    self.timers.set(now, Timer::Dispatch);
                }
            }
            self.close_factory(now, cluster);
        }
    }

    /// How many more jobs the window takes.
    fn room(&self, cluster: u32) -> u32 {
        let window = self.factories.by_cluster[&cluster].window;
        let left = self.table.cluster(cluster).map_or(0, |info| info.left);
        let waits = |status: Status| matches!(status, Status::Idle | Status::Held);
        let jobs = self.table.of_cluster(cluster).filter(|(_, slot)| waits(self.table.get(*slot).status()));
        // Held jobs count: those that fail must not draw in all the others.
        let waiting = if window.idle == u32::MAX { 0 } else { jobs.take(window.idle as usize).count() as u32 };
        window.jobs.saturating_sub(left).min(window.idle - waiting)
    }

    fn note_in_journal(&mut self, now: Timestamp, job: JobId, what: &str) -> RecordNo {
        let attributes = vec![(what.to_owned(), Some("true".to_owned()))];
        self.record(Record::Edited(Edited { job, at_s: now.seconds(), attributes }))
    }

    /// Jobs up to this one enter; their record is on disk.
    pub(super) fn materialized(&mut self, now: Timestamp, no: RecordNo, last: JobId) {
        for job in self.take_in(last) {
            let Some(slot) = self.table.find(job) else { continue };
            self.log_submitted(now, no, slot);
            if self.recovery.is_some() {
                continue;
            }
            let factory = self.factories.by_cluster.get_mut(&job.cluster);
            if let Some(held) = factory.and_then(|factory| factory.holding.remove(&job.proc_)) {
                self.apply_held(slot, &held);
                let factory = self.factories.by_cluster.get(&job.cluster);
                if let Some(reason) = factory.and_then(|factory| factory.released.clone()) {
                    // It becomes ready when that is on disk.
                    self.release(now, slot, &reason);
                    continue;
                }
            }
            if self.table.get(slot).status() == Status::Idle {
                self.make_ready(now, slot);
            }
            let removed = self.factories.by_cluster.get(&job.cluster).and_then(|factory| factory.removed.clone());
            if let Some(reason) = removed {
                self.remove(now, slot, &reason);
            }
        }
        self.factory_due(last.cluster);
    }

    /// Puts the jobs up to this one into the table.
    fn take_in(&mut self, last: JobId) -> Vec<JobId> {
        let Some(factory) = self.factories.by_cluster.get_mut(&last.cluster) else { return Vec::new() };
        let procs = factory.next..(last.proc_ + 1).clamp(factory.next, factory.end);
        if procs.is_empty() {
            return Vec::new();
        }
        factory.next = procs.end;
        factory.recorded = factory.recorded.max(procs.end);
        let varying = factory.varying.clone();
        let rows = factory.take_rows(procs.len() as u32);
        let new = NewCluster {
            cluster: last.cluster,
            submitted: Some(factory.procs),
            ad: factory.ad.clone(),
            varying: &varying,
            rows: &rows,
            owner: factory.owner,
            at_s: factory.at_s,
            wall_s: factory.wall_s,
        };
        self.add_jobs(new, procs.clone());
        let jobs: Vec<JobId> = procs.map(|proc| JobId::new(last.cluster, proc)).collect();
        jobs.iter().for_each(|job| self.note_hold_at_submission(*job));
        jobs
    }

    /// An edit that tells of jobs that have not entered. True if it was one.
    pub(super) fn recover_factory(&mut self, no: RecordNo, edited: &Edited) -> bool {
        let says = |what: &str| edited.attributes.iter().any(|(name, _)| name == what);
        let (entered, dropped) = (says(ENTERED), says(DROPPED));
        let (paused, resumed) = (says(PAUSED), says(RESUMED));
        let now = Timestamp(edited.at_s.max(0) as u64 * 1_000_000);
        if entered {
            self.materialized(now, no, edited.job);
        } else if dropped && let Some(factory) = self.factories.by_cluster.get_mut(&edited.job.cluster) {
            factory.end = edited.job.proc_.max(factory.next);
            self.factories.due.insert(edited.job.cluster);
            self.close_recovered(now, no);
        } else if (paused || resumed)
            && let Some(factory) = self.factories.by_cluster.get_mut(&edited.job.cluster)
        {
            factory.paused = paused;
            self.tell_recovered(now, no, edited);
        }
        entered || dropped || paused || resumed
    }

    /// Clusters that are meant and that the caller may change.
    fn factories_of(&self, now: Timestamp, caller: &Caller, which: &Meant<'_>) -> Vec<u32> {
        let may = |factory: &Factory| caller.superuser || self.table.owner_of(factory.owner).uid == caller.uid;
        let all = self.factories.by_cluster.iter().filter(|(_, factory)| may(factory)).map(|(cluster, _)| *cluster);
        all.filter(|cluster| self.is_meant(now, *cluster, which)).collect()
    }

    /// `condor_rm` of clusters: what has not entered never will. `which` says whether a cluster is meant.
    pub(super) fn drop_factories(&mut self, now: Timestamp, caller: &Caller, which: &Meant<'_>, reason: &str) {
        for cluster in self.factories_of(now, caller, which) {
            let factory = self.factories.by_cluster.get_mut(&cluster).expect("just listed");
            let first = JobId::new(cluster, factory.recorded);
            factory.removed = Some(reason.to_owned());
            if std::mem::replace(&mut factory.end, first.proc_) > first.proc_ {
                self.note_in_journal(now, first, DROPPED);
            }
            self.factories.due.insert(cluster);
        }
    }

    // ---- in a checkpoint ----------------------------------------------------------------------------------------

    /// What a checkpoint has of a cluster: what its jobs share, the files that they name, and the first of the records with
    /// those that have not entered. A run of jobs that is entering is recorded once more: they will not be walked over.
    pub(super) fn write_factory(&mut self, now: Timestamp, cluster: u32) -> Option<FactoryRecords> {
        let factory = self.factories.by_cluster.get(&cluster)?;
        let owner = self.table.owner_of(factory.owner);
        let shared = CheckpointCluster {
            cluster,
            procs: factory.procs,
            at_s: factory.at_s,
            wall_s: factory.wall_s,
            uid: owner.uid,
            gid: owner.gid,
            owner: owner.name.to_string(),
            ad: factory.ad.pairs(),
            varying: factory.varying.clone(),
            executable: None,
            proxy: None,
            token: None,
        };
        let rows = &factory.rows[factory.rows_at..];
        let entering = factory.recorded - factory.next;
        let of_entering = rows.len() - behind(rows, factory.varying.len(), entering).len();
        let first = rows.len().min(of_entering.max(ROWS_PIECE));
        let record =
            CheckpointFactory { cluster, procs: Some((factory.next, factory.end)), rows: rows[..first].to_vec() };
        let mut records = vec![record.into()];
        if entering > 0 {
            let attributes = vec![(ENTERED.to_owned(), Some("true".to_owned()))];
            let job = JobId::new(cluster, factory.recorded - 1);
            records.push(Record::Edited(Edited { job, at_s: now.seconds(), attributes }));
            records.extend(factory.holding.values().cloned().map(Record::Held));
        }
        if factory.paused {
            let attributes = vec![(PAUSED.to_owned(), Some("true".to_owned()))];
            let job = JobId::new(cluster, factory.recorded);
            records.push(Record::Edited(Edited { job, at_s: now.seconds(), attributes }));
        }
        Some(FactoryRecords { shared, blobs: factory.blobs(), records, rows_left: rows.len() - first })
    }

    /// The next record of a cluster with more rows than one takes: `left` are to follow, of which `left` of the result remain.
    pub(super) fn write_factory_rows(&self, cluster: u32, left: usize) -> Option<(CheckpointFactory, usize)> {
        // Those of a cluster that was removed meanwhile are not needed any more.
        let factory = self.factories.by_cluster.get(&cluster).filter(|factory| factory.recorded < factory.end)?;
        let rest = &factory.rows[factory.rows.len() - left..];
        let piece = rest.len().min(ROWS_PIECE);
        Some((CheckpointFactory { cluster, procs: None, rows: rest[..piece].to_vec() }, left - piece))
    }

    /// Jobs of a checkpoint that have not entered; what they share stands before them.
    pub(super) fn restore_factory(&mut self, record: &CheckpointFactory) {
        let Some((next, end)) = record.procs else {
            if let Some(factory) = self.factories.by_cluster.get_mut(&record.cluster) {
                factory.rows.extend_from_slice(&record.rows);
            }
            return;
        };
        let Some(shared) = self.restored_cluster().filter(|shared| shared.cluster == record.cluster).cloned() else {
            return;
        };
        let mut ad = SortedAd::new(&shared.ad);
        self.take_spool(shared.cluster, &mut ad);
        let varying: Vec<String> = shared.varying.iter().map(|name| name.to_ascii_lowercase()).collect();
        let new = NewCluster {
            cluster: shared.cluster,
            submitted: Some(shared.procs),
            ad,
            varying: &varying,
            rows: &[],
            owner: self.table.owner(shared.uid, shared.gid, &shared.owner),
            at_s: shared.at_s,
            wall_s: shared.wall_s,
        };
        let Some(mut factory) = self.factory(&new, shared.procs) else { return };
        (factory.next, factory.recorded, factory.end) = (next, next, end);
        factory.rows.clone_from(&record.rows);
        for used in factory.blobs() {
            *self.blobs.entry(used.id).or_default() += shared.procs - next;
        }
        self.next_cluster = self.next_cluster.max(shared.cluster + 1);
        self.factories.by_cluster.insert(shared.cluster, factory);
    }

    fn is_meant(&self, now: Timestamp, cluster: u32, which: &Meant<'_>) -> bool {
        match which {
            Meant::All => true,
            Meant::Clusters(clusters) => clusters.contains(&cluster),
            Meant::Constraint(constraint) => {
                let factory = &self.factories.by_cluster[&cluster];
                let owner = &*self.table.owner_of(factory.owner).name;
                let scope = ClusterScope { ad: AdScope { ad: &factory.ad, id: JobId::new(cluster, 0) }, owner };
                let env = classad::Env { now_s: Some(now.seconds() + self.wall_offset_s), ..classad::Env::default() };
                classad::eval(constraint, &scope, None, &env).truth() == Some(true)
            }
        }
    }

    /// Tells the logs of clusters whose jobs enter one after another.
    pub(super) fn log_cluster_submitted(&mut self, now: Timestamp, no: RecordNo, cluster: u32) {
        let kind = Kind::ClusterSubmit(self.schedd_address());
        self.tell_cluster(now, no, cluster, kind);
    }

    /// The same for what is told of a cluster later.
    pub(super) fn tell_cluster(&mut self, now: Timestamp, no: RecordNo, cluster: u32, kind: Kind) {
        let Some(factory) = self.factories.by_cluster.get(&cluster) else { return };
        let log = factory.log.clone();
        self.log_cluster(now, no, cluster, log.as_ref(), kind);
    }

    fn log_cluster(&mut self, now: Timestamp, no: RecordNo, cluster: u32, log: Option<&Log>, kind: Kind) {
        if let Some(log) = log.cloned() {
            let job = EventJob::new(cluster as i32, -1);
            self.log_to(now, no, When::Missing, log, job, |job, time| Event { job, time, kind });
        }
    }
}

/// What [`Master::write_factory`] gives.
pub(super) struct FactoryRecords {
    pub(super) shared: CheckpointCluster,
    pub(super) blobs: Vec<BlobUse>,
    pub(super) records: Vec<Record>,
    /// Bytes of rows for which the first record had no room.
    pub(super) rows_left: usize,
}

/// Whose jobs shall never enter.
pub(super) enum Meant<'a> {
    All,
    Clusters(&'a [u32]),
    Constraint(&'a Expr),
}

/// What is known of a cluster as a whole.
struct ClusterScope<'a> {
    ad: AdScope<'a>,
    owner: &'a str,
}

impl Scope for ClusterScope<'_> {
    fn lookup(&self, name: &str) -> Option<std::borrow::Cow<'_, Expr>> {
        let owned = |value: Value| Some(std::borrow::Cow::Owned(Expr::from(value)));
        match &*name.to_ascii_lowercase() {
            "clusterid" => owned(Value::Int(self.ad.id.cluster.into())),
            "procid" | "jobstatus" => None,
            "owner" => owned(Value::from(self.owner)),
            folded => self.ad.lookup(folded),
        }
    }
}

/// What stands behind the first rows.
fn behind(mut rows: &[u8], columns: usize, count: u32) -> &[u8] {
    if columns > 0 {
        for _ in 0..count {
            rows = classad::unpack_row(rows, columns).map_or(&[], |(_, rest)| rest);
        }
    }
    rows
}

//! The queue written anew, so that what the journal tells of jobs that are gone can go (decision D53); and read back.
//!
//! A cursor walks over the table in slices while everything else goes on. What happens to a job behind the cursor follows
//! its [`CheckpointJob`] in the journal; what happened before is in it. So that replay needs nothing older than the begin,
//! the end is written only when the events of all that the jobs reflect are in their logs, and the outputs of all jobs that
//! had ended by then and those of them that had left, in the history, are on disk.

use std::collections::BTreeSet;

use journal::{
    Allocation, Blob, CheckpointBegin, CheckpointBlob, CheckpointCluster, CheckpointEnd, CheckpointJob, EventsUpto,
    HistoryUpto, HoldReason, JobEnding, JobStatus, JobStory, OutputsUpto, Record,
};

use super::Master;
use super::promises::{Logged, Then};
use super::timers::Timer;
use crate::ids::{AttemptId, BlobId, JobId, RecordNo, Timestamp};
use crate::io::Effect;
use crate::jobs::template::SortedAd;
use crate::jobs::{Departure, Ending, Hold, NewCluster, Slot, Status, Story};
use crate::run::{BlobUse, SPOOL_ATTRIBUTE, State, Verdict};

/// Jobs in one slice: 0.6 ms when each is a cluster of its own with 75 attributes, the dearest case (measured).
const SLICE: usize = 100;

/// From one slice to the next, in µs: a million jobs take less than a minute, a fifth of a core meanwhile.
const PAUSE_US: u64 = 5_000;

/// From one look to the next whether logs and disk are far enough, in µs.
const LOOK_US: u64 = 100_000;

/// A checkpoint that is being written.
#[derive(Debug)]
pub(super) struct Checkpoint {
    /// Its begin.
    no: RecordNo,
    /// Clusters from this number on have their records behind the begin.
    next_cluster: u32,
    jobs: u64,
    blobs: BTreeSet<BlobId>,
    /// Clusters below this number have been walked over.
    passed: u32,
    /// Clusters with jobs that have not entered, and how many bytes of their rows are still to be written.
    unfinished: Vec<(u32, usize)>,
    /// Jobs whose end was on its way to the disk; those that are still there when it has come follow last.
    later: Vec<JobId>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Something recorded before the begin may not show in the table yet.
    Begun,
    /// This job comes next.
    Walking(JobId),
    /// These runs are being stopped; the event of a hold comes when they are. Ends on their way come to the disk.
    Stopping(Vec<AttemptId>),
    /// Everything up to the next record shall be on disk.
    Walked,
    /// Waits for what the jobs reflect.
    Settling {
        /// Outputs of ends up to this record must have come to the disk, and the history have what left.
        upto: RecordNo,
        /// Events of records up to this one are handed out.
        events_upto: RecordNo,
        /// They are written.
        logged: bool,
    },
}

/// Jobs of a checkpoint on their way into the table.
#[derive(Debug)]
pub(super) struct Restoring {
    cluster: CheckpointCluster,
    jobs: Vec<CheckpointJob>,
}

impl Master {
    // ---- writing ---------------------------------------------------------------------------------------------

    pub(super) fn begin_checkpoint(&mut self, now: Timestamp) {
        if self.checkpoint.is_some() || self.stopping || self.store_failed.is_some() {
            return;
        }
        let next_cluster = self.next_cluster;
        let no = self.record(CheckpointBegin { next_cluster, at_s: now.seconds() }.into());
        if self.marks.kept {
            self.record(OutputsUpto { seq: 0 }.into());
        }
        for file in self.taken.clone() {
            self.record(file.into());
        }
        let upto = self.last_record();
        self.when_stored(upto, Then::CheckpointBegun(no));
        self.effect(Effect::Sync { upto });
        self.checkpoint = Some(Checkpoint {
            no,
            next_cluster,
            jobs: 0,
            blobs: BTreeSet::new(),
            passed: 0,
            unfinished: Vec::new(),
            later: Vec::new(),
            stage: Stage::Begun,
        });
    }

    /// Everything recorded before the begin shows in the table.
    pub(super) fn walk_checkpoint(&mut self, now: Timestamp, begin: RecordNo) {
        if let Some(checkpoint) = self.checkpoint.as_mut().filter(|checkpoint| checkpoint.no == begin) {
            checkpoint.stage = Stage::Walking(JobId::new(0, 0));
            self.timers.set(now, Timer::Checkpoint);
        }
    }

    pub(super) fn checkpoint_due(&mut self, now: Timestamp) {
        // Taken out, so that the jobs can be recorded; put back unless it is complete.
        let Some(mut checkpoint) = self.checkpoint.take().filter(|_| !self.stopping && self.store_failed.is_none())
        else {
            return;
        };
        let mut again = None;
        match &mut checkpoint.stage {
            _ if !checkpoint.unfinished.is_empty() => {
                self.go_on_with_rows(&mut checkpoint);
                again = Some(PAUSE_US);
            }
            Stage::Begun | Stage::Walked => {}
            Stage::Walking(next) => {
                let from = *next;
                let limit = checkpoint.next_cluster;
                let slots: Vec<(JobId, Slot)> =
                    self.table.from(from).take_while(|(id, _)| id.cluster < limit).take(SLICE).collect();
                // Of the last cluster of a whole slice there may be more.
                let passed = slots.last().filter(|_| slots.len() == SLICE).map_or(limit, |(last, _)| last.cluster);
                checkpoint.stage = match slots.last() {
                    Some((last, _)) => Stage::Walking(JobId::new(last.cluster, last.proc_ + 1)),
                    None => Stage::Stopping(self.holds_under_way()),
                };
                let slots: Vec<Slot> = slots.into_iter().map(|(_, slot)| slot).collect();
                #[cfg(feature = "mistakes")]
                let slots: Vec<Slot> = if self.errs(crate::Mistake::LostAtCompaction) {
                    slots.into_iter().filter(|slot| self.table.get(*slot).status() != Status::Held).collect()
                } else {
                    slots
                };
                self.write_slice(now, &mut checkpoint, &slots);
                self.write_factories(now, &mut checkpoint, passed);
                again = Some(PAUSE_US);
            }
            Stage::Stopping(attempts) if attempts.iter().any(|id| self.attempts.contains_key(id)) => {
                again = Some(LOOK_US);
            }
            Stage::Stopping(_) if !checkpoint.later.is_empty() => {
                let later = std::mem::take(&mut checkpoint.later);
                let slots: Vec<Slot> = later.into_iter().filter_map(|job| self.table.find(job)).collect();
                self.write_slice(now, &mut checkpoint, &slots);
                // What was written now may be held.
                checkpoint.stage = Stage::Stopping(self.holds_under_way());
                again = Some(LOOK_US);
            }
            Stage::Stopping(_) => {
                let upto = self.last_record();
                self.when_stored(upto, Then::CheckpointWalked(checkpoint.no));
                self.effect(Effect::Sync { upto });
                checkpoint.stage = Stage::Walked;
            }
            Stage::Settling { upto, events_upto, logged } => {
                let (upto, events_upto, logged) = (*upto, *events_upto, *logged);
                let archived = self.history_is_on_disk(upto);
                if self.outputs_are_on_disk(now, upto) && archived && logged {
                    return self.end_checkpoint(&checkpoint, upto, events_upto);
                }
                if !archived {
                    self.effect(Effect::SyncArchive);
                }
                again = Some(LOOK_US);
            }
        }
        self.checkpoint = Some(checkpoint);
        if let Some(pause_us) = again {
            self.timers.set(Timestamp(now.0 + pause_us), Timer::Checkpoint);
        }
    }

    /// Everything that the jobs reflect is on disk up to this record, and its events are handed out.
    pub(super) fn settle_checkpoint(&mut self, now: Timestamp, begin: RecordNo, upto: RecordNo) {
        // Holds that began behind the walk are in no job's record, and their events may not be handed out yet.
        let events_upto = upto.min(self.before_holds());
        if let Some(checkpoint) = self.checkpoint.as_mut().filter(|checkpoint| checkpoint.no == begin) {
            checkpoint.stage = Stage::Settling { upto, events_upto, logged: false };
            let token = self.log_mark(Logged::Checkpoint(upto));
            self.effect(Effect::LogMark { token });
            self.timers.set(now, Timer::Checkpoint);
        }
    }

    pub(super) fn checkpoint_logged(&mut self, written: RecordNo) {
        if let Some(Stage::Settling { upto, logged, .. }) =
            self.checkpoint.as_mut().map(|checkpoint| &mut checkpoint.stage)
        {
            *logged |= *upto == written;
        }
    }

    fn end_checkpoint(&mut self, checkpoint: &Checkpoint, upto: RecordNo, events_upto: RecordNo) {
        self.record(EventsUpto { seq: events_upto.0 }.into());
        self.record(HistoryUpto { seq: upto.0 }.into());
        if self.marks.kept {
            self.record(OutputsUpto { seq: upto.0 }.into());
        }
        self.record(CheckpointEnd { begin_seq: checkpoint.no.0, jobs: checkpoint.jobs }.into());
    }

    fn holds_under_way(&self) -> Vec<AttemptId> {
        let holds = |attempt: &crate::run::Attempt| matches!(attempt.state, State::Killing(Verdict::Hold(_)));
        self.attempts.iter().filter(|(_, attempt)| holds(attempt)).map(|(id, _)| *id).collect()
    }

    fn write_slice(&mut self, now: Timestamp, checkpoint: &mut Checkpoint, slots: &[Slot]) {
        let (later, slots): (Vec<_>, Vec<_>) = slots.iter().partition(|slot| self.ends(**slot));
        checkpoint.later.extend(later.into_iter().map(|slot| self.table.get(slot).id));
        let mut slots = slots.as_slice();
        while let [first, ..] = *slots {
            let shared = self.table.share(slots);
            let (some, rest) = slots.split_at(shared.rows.len());
            slots = rest;
            let job = self.table.get(first);
            let owner = self.table.owner_of(job.owner);
            let info = self.table.cluster(job.id.cluster).expect("a job's cluster is known");
            let spool = self.spools.get(&job.id.cluster);
            let mut ad = shared.ad;
            if let (Some(spool), Some((_, text))) = (spool, ad.iter_mut().find(|(name, _)| name == SPOOL_ATTRIBUTE)) {
                *text = spool.to_text();
            }
            let mut blobs = self.blobs_of(first);
            blobs.extend(spool.iter().flat_map(|spool| spool.uses()));
            let cluster = CheckpointCluster {
                cluster: job.id.cluster,
                procs: info.procs,
                at_s: job.qdate_s.into(),
                wall_s: info.wall_s.into(),
                uid: owner.uid,
                gid: owner.gid,
                owner: owner.name.to_string(),
                ad,
                varying: shared.varying,
                // The ad names them with size and mode.
                executable: None,
                proxy: None,
                token: None,
            };
            self.write_blobs(checkpoint, cluster.uid, blobs);
            self.record(cluster.into());
            for (slot, row) in some.iter().zip(shared.rows) {
                let job = self.table.get(*slot);
                let record = CheckpointJob {
                    reflects_seq: self.next_record.0 - 1,
                    job: job.id,
                    row,
                    status: status_of(job.status()),
                    story: job.has_story().then(|| Box::new(story_of(job.story()))),
                };
                self.record(record.into());
            }
            checkpoint.jobs += some.len() as u64;
            for slot in some {
                self.repeat_start(*slot);
                self.repeat_departure(now, *slot);
            }
        }
    }

    /// Clusters up to this number have been walked over: what of their jobs has not entered follows in the same turn.
    fn write_factories(&mut self, now: Timestamp, checkpoint: &mut Checkpoint, passed: u32) {
        let from = checkpoint.passed;
        checkpoint.passed = passed.max(from);
        for cluster in self.factories.between(from..checkpoint.passed) {
            let Some(mut factory) = self.write_factory(now, cluster) else { continue };
            let spool = self.spools.get(&cluster);
            let text = factory.shared.ad.iter_mut().find(|(name, _)| name == SPOOL_ATTRIBUTE);
            if let (Some(spool), Some((_, text))) = (spool, text) {
                *text = spool.to_text();
            }
            factory.blobs.extend(spool.iter().flat_map(|spool| spool.uses()));
            self.write_blobs(checkpoint, factory.shared.uid, factory.blobs);
            self.record(factory.shared.into());
            factory.records.into_iter().for_each(|record| {
                self.record(record);
            });
            if factory.rows_left > 0 {
                checkpoint.unfinished.push((cluster, factory.rows_left));
            }
        }
    }

    /// One more record of rows. Until the last one no job of the cluster enters the queue.
    fn go_on_with_rows(&mut self, checkpoint: &mut Checkpoint) {
        let Some((cluster, left)) = checkpoint.unfinished.pop() else { return };
        if let Some((record, left)) = self.write_factory_rows(cluster, left) {
            self.record(record.into());
            if left > 0 {
                checkpoint.unfinished.push((cluster, left));
            }
        }
    }

    /// Whether a checkpoint has some of the rows of the cluster's jobs that have not entered, and not all.
    pub(super) fn is_being_written(&self, cluster: u32) -> bool {
        self.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.unfinished.iter().any(|(of, _)| *of == cluster))
    }

    fn write_blobs(&mut self, checkpoint: &mut Checkpoint, uid: u32, blobs: Vec<BlobUse>) {
        for blob in blobs {
            if checkpoint.blobs.insert(blob.id) {
                let blob = Blob { hash: blob.id.0, len: blob.size, mode: blob.mode, inline: None };
                self.record(CheckpointBlob { uid, blob }.into());
            }
        }
    }

    /// A start is recorded before it shows in the table.
    fn repeat_start(&mut self, slot: Slot) {
        let started = self.table.get(slot).story().attempt.and_then(|attempt| self.sending.get(&attempt));
        if let Some(started) = started.cloned() {
            self.record(Record::Started(started));
        }
    }

    /// Whether the end of a job is recorded and does not show in the table yet.
    pub(super) fn ends(&self, slot: Slot) -> bool {
        let attempt = self.table.get(slot).story().attempt.and_then(|attempt| self.attempts.get(&attempt));
        attempt.is_some_and(|attempt| attempt.state == State::Recording)
    }

    // ---- reading ---------------------------------------------------------------------------------------------

    pub(super) fn restore_cluster(&mut self, cluster: &CheckpointCluster) {
        let recovery = self.recovery.as_mut().expect("records are read before the start");
        recovery.restoring = Some(Restoring { cluster: cluster.clone(), jobs: Vec::new() });
    }

    /// What the jobs share whose records follow.
    pub(super) fn restored_cluster(&self) -> Option<&CheckpointCluster> {
        Some(&self.recovery.as_ref()?.restoring.as_ref()?.cluster)
    }

    pub(super) fn restore_job(&mut self, job: &CheckpointJob) {
        // One that was submitted behind the begin is there, with all its records.
        if self.table.find(job.job).is_none()
            && let Some(restoring) = self.recovery.as_mut().and_then(|recovery| recovery.restoring.as_mut())
        {
            restoring.jobs.push(job.clone());
        }
    }

    /// Puts the jobs that have come since the last record of another kind into the table.
    pub(super) fn restore_jobs(&mut self) {
        let Some(restoring) = self.recovery.as_mut().and_then(|recovery| recovery.restoring.as_mut()) else { return };
        let jobs = std::mem::take(&mut restoring.jobs);
        if jobs.is_empty() {
            return;
        }
        let cluster = &restoring.cluster;
        let rows = jobs.iter().map(|job| job.row.as_slice()).collect::<Vec<_>>().concat();
        let cluster = cluster.clone();
        let mut ad = SortedAd::new(&cluster.ad);
        self.take_spool(cluster.cluster, &mut ad);
        let varying: Vec<String> = cluster.varying.iter().map(|name| name.to_ascii_lowercase()).collect();
        let new = NewCluster {
            cluster: cluster.cluster,
            submitted: Some(cluster.procs),
            ad,
            varying: &varying,
            rows: &rows,
            owner: self.table.owner(cluster.uid, cluster.gid, &cluster.owner),
            at_s: cluster.at_s,
            wall_s: cluster.wall_s,
        };
        self.add_jobs(new, jobs.iter().map(|job| job.job.proc_));
        for job in jobs {
            let slot = self.table.find(job.job).expect("added above");
            for blob in self.blobs_of(slot) {
                *self.blobs.entry(blob.id).or_default() += 1;
            }
            let status = status_from(job.status);
            self.table.resume(slot, status, job.story.map(|story| Box::new(story_from(*story, status))));
            self.follow_edits(slot);
        }
    }
}

fn status_of(status: Status) -> JobStatus {
    match status {
        Status::Idle => JobStatus::Idle,
        Status::Running => JobStatus::Running,
        Status::Removed => JobStatus::Removed,
        Status::Completed => JobStatus::Completed,
        Status::Held => JobStatus::Held,
    }
}

fn status_from(status: JobStatus) -> Status {
    match status {
        JobStatus::Idle => Status::Idle,
        JobStatus::Running => Status::Running,
        JobStatus::Removed => Status::Removed,
        JobStatus::Completed => Status::Completed,
        JobStatus::Held => Status::Held,
    }
}

const STATUSES: [Status; 5] = [Status::Idle, Status::Running, Status::Removed, Status::Completed, Status::Held];

fn story_of(story: &Story) -> JobStory {
    // All fields by name: a new one must find its place here.
    let Story {
        attempt: _,
        starts,
        attempts,
        losses,
        holds,
        system_holds,
        completions,
        last_status,
        entered_s,
        hold,
        last_hold,
        release_reason,
        remove_reason,
        told_removed,
        vacate,
        vacates,
        edits,
        first_start_s,
        start_s,
        wall_clock_s,
        host,
        last_host,
        allocation,
        transferring_output: _,
        ending,
        departure: _,
    } = story;
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    let reason = |hold: &Hold| HoldReason { code: hold.code, subcode: hold.subcode, reason: hold.reason.to_string() };
    JobStory {
        status_since_s: entered_s.map(Into::into),
        last_status: STATUSES.into_iter().find(|status| *status as u8 == *last_status).map(status_of),
        attempts: *attempts,
        starts: *starts,
        losses: *losses,
        holds: *holds,
        system_holds: *system_holds,
        completions: *completions,
        hold: hold.as_ref().map(reason),
        last_hold: last_hold.as_ref().map(reason),
        release_reason: text(release_reason),
        remove_reason: text(remove_reason),
        told_removed: *told_removed,
        vacate: vacate.as_ref().map(|(why, at_s)| (why.to_string(), *at_s)),
        vacates: vacates.iter().map(|(name, count)| (name.to_string(), *count)).collect(),
        edits: edits.clone(),
        first_start_s: *first_start_s,
        start_s: *start_s,
        run_time_s: *wall_clock_s,
        host: text(host),
        last_host: text(last_host),
        allocation: allocation.map(|(cpus, memory_mb, disk_mb, gpus)| Allocation { cpus, memory_mb, disk_mb, gpus }),
        ending: ending.map(|ending| JobEnding {
            exit: ending.exit,
            at_s: ending.at_s,
            bytes_sent: ending.sent,
            bytes_received: ending.received,
        }),
    }
}

fn story_from(story: JobStory, status: Status) -> Story {
    // A run that was being ended for a hold or removal is over with the program that wrote this.
    let (host, last_host) = match story.host {
        Some(host) if status != Status::Running => (None, Some(host)),
        host => (host, story.last_host),
    };
    let hold = |hold: HoldReason| Hold { code: hold.code, subcode: hold.subcode, reason: hold.reason.into() };
    Story {
        attempt: None,
        starts: story.starts,
        attempts: story.attempts,
        losses: story.losses,
        holds: story.holds,
        system_holds: story.system_holds,
        completions: story.completions,
        last_status: story.last_status.map_or(0, |status| status_from(status) as u8),
        entered_s: story.status_since_s.map(|at_s| u32::try_from(at_s).unwrap_or(u32::MAX)),
        hold: story.hold.map(hold),
        last_hold: story.last_hold.map(hold),
        release_reason: story.release_reason.map(Into::into),
        remove_reason: story.remove_reason.map(Into::into),
        told_removed: story.told_removed,
        vacate: story.vacate.map(|(why, at_s)| (why.into(), at_s)),
        vacates: story.vacates.into_iter().map(|(name, count)| (name.into(), count)).collect(),
        edits: story.edits,
        first_start_s: story.first_start_s,
        start_s: story.start_s,
        wall_clock_s: story.run_time_s,
        host: host.map(Into::into),
        last_host: last_host.map(Into::into),
        allocation: story.allocation.map(|a| (a.cpus, a.memory_mb, a.disk_mb, a.gpus)),
        transferring_output: false,
        ending: story.ending.map(|ending| Ending {
            exit: ending.exit,
            at_s: ending.at_s,
            sent: ending.bytes_sent,
            received: ending.bytes_received,
        }),
        // A record that follows says so.
        departure: Departure::None,
    }
}

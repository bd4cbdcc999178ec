//! After a restart: the journal's records make the queue again; then its end: stopping.

use std::collections::{BTreeMap, BTreeSet};

use journal::{Ended, How, LeftQueue, Lost, LostReason, OutputsUpto, Record};

use super::checkpoint::Restoring;
use super::events::{BY_REMOVAL, VACATED};
use super::exits::{POLICY, POLICY_UNDEFINED};
use super::handover::Handed;
use super::history::Departures;
use super::marks::Doubt;
use super::promises::Then;
use super::transfer_data::FETCHED;
use super::{Master, doors};
use crate::ids::{BlobId, JobId, LinkId, RecordNo, Timestamp};
use crate::io::{Effect, LogEntry, Mending};
use crate::jobs::{Hold, Slot, Status};
use crate::mending::When;
use crate::run::State;

/// Codes of holds that somebody, the job's policy or its limits of time ordered: its log tells of the run as of one that was
/// vacated.
const ORDERED: [i32; 4] = [1, 3, 46, 47];

/// A job that has ended leaves at once: its end is one of so many before.
const NEAR: usize = 1000;

/// What is collected while the journal is read.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// Events of records that may be missing in the users' logs.
    events: Vec<(RecordNo, When, LogEntry)>,
    /// Ends behind the last mark, oldest first; their jobs are still in the table.
    doubts: Vec<Doubt>,
    pub(super) departures: Departures,
    /// Boot of the run that is being read.
    boot_id: Option<[u8; 16]>,
    /// Jobs of a checkpoint that are not in the table yet.
    pub(super) restoring: Option<Restoring>,
    /// Whether the records are a checkpoint's: jobs of a cluster may still follow behind others that left.
    pub(super) in_checkpoint: bool,
    /// The record, and the time, at which a job left last, of each cluster whose jobs enter one after another.
    pub(super) last_left: BTreeMap<u32, (RecordNo, Timestamp)>,
    /// Jobs whose end was taken back, while the history may have them.
    recalled: BTreeSet<JobId>,
    /// The newest `EventsUpto`.
    events_upto: u64,
    /// What an earlier program handed over.
    pub(super) handed: Option<Handed>,
}

impl Recovery {
    /// An event log may lack this event.
    pub(super) fn may_lack(&mut self, no: RecordNo, when: When, entry: LogEntry) {
        let merged = match self.events.last_mut() {
            Some((last_no, last_when, last)) => (*last_no, *last_when) == (no, when) && last.takes_in(&entry),
            None => false,
        };
        if !merged {
            self.events.push((no, when, entry));
        }
    }

    fn forget_written(&mut self) {
        self.events.retain(|(no, ..)| no.0 > self.events_upto);
    }

    /// What each event log may lack, in order, and the last record of all that.
    fn mendings(&mut self) -> (impl Iterator<Item = Mending> + use<>, Option<RecordNo>) {
        // The end of a cluster is found late: it stands where it happened, and may be in its log already.
        self.events.sort_by_key(|(no, ..)| *no);
        self.forget_written();
        let last = self.events.last().map(|(no, ..)| *no);
        let mut logs: BTreeMap<(String, bool), Vec<(When, LogEntry)>> = BTreeMap::new();
        for (_, when, entry) in std::mem::take(&mut self.events) {
            logs.entry((entry.path.clone(), entry.xml)).or_default().push((when, entry));
        }
        (logs.into_iter().map(|((path, xml), events)| Mending { path, xml, events }), last)
    }
}

impl Master {
    /// Applies one record of the journal. In order, before [`Master::start`].
    pub fn recover(&mut self, no: RecordNo, record: &Record) {
        self.next_record = RecordNo(no.0 + 1);
        if !matches!(record, Record::CheckpointJob(_)) {
            self.restore_jobs();
        }
        match record {
            Record::Submitted(submitted) => {
                self.install(submitted);
                self.taken.extend(submitted.clusters.iter().filter_map(|cluster| doors::file_of(&cluster.ad)));
                self.log_entered(at(submitted.at_s), no, submitted);
            }
            Record::Edited(edited) => {
                if !self.recover_factory(no, edited)
                    && let Some(slot) = self.table.find(edited.job)
                {
                    self.apply_edited(slot, edited);
                    if edited.attributes.iter().any(|(name, _)| name == FETCHED) {
                        // Its outputs were on disk in their places before this was written.
                        self.doubts().retain(|doubt| doubt.job != edited.job);
                    }
                }
            }
            Record::Held(held) => {
                if let Some(slot) = self.table.find(held.job) {
                    self.has_not_ended(slot);
                    // A program that has ended is not evicted by the hold that its job's policy wants for that.
                    let at_its_end = held.exit.is_some() && [POLICY, POLICY_UNDEFINED].contains(&held.code);
                    let code = if ORDERED.contains(&held.code) { (VACATED, 0) } else { (held.code, held.subcode) };
                    self.stop_recovered(no, slot, held.at_s, (!at_its_end).then_some((code, &held.reason)));
                    self.apply_held(slot, held);
                    self.log_held(at(held.at_s), no, slot, &Hold::of(held));
                }
            }
            Record::Released(released) => {
                if let Some(slot) = self.table.find(released.job) {
                    self.apply_released(slot, &released.reason, released.at_s);
                    self.log_released(at(released.at_s), no, slot);
                }
            }
            Record::Removed(removed) => {
                if let Some(slot) = self.table.find(removed.job) {
                    if self.table.get(slot).status() == Status::Completed && !self.had_stayed(slot) {
                        // It had left with its end when its outputs were looked at.
                        self.table.get_mut(slot).story_mut().told_removed = true;
                    }
                    self.has_not_ended(slot);
                    self.stop_recovered(no, slot, removed.at_s, Some(((BY_REMOVAL, 0), &removed.reason)));
                    self.apply_removed(slot, removed);
                }
            }
            Record::Started(started) => {
                let on_its_way =
                    self.recovery.as_ref().and_then(|r| r.handed.as_ref()).is_some_and(|h| h.is_sent(started));
                if !on_its_way
                    && let Some(slot) = self.table.find(started.job)
                    && self.table.get(slot).status() == Status::Idle
                {
                    self.apply_started(slot, started);
                }
            }
            Record::Lost(lost) => {
                if let Some(slot) = self.table.find(lost.job) {
                    self.log_run_lost(no, slot, lost);
                    self.log_evicted(at(lost.at_s), no, slot, (VACATED, 0), &lost.text);
                    self.apply_lost(slot, lost);
                }
            }
            Record::Ended(ended) if ended.requeued.is_some() => {
                if let Some(slot) = self.table.find(ended.job) {
                    self.log_run_of(no, slot, ended);
                    self.apply_requeued(slot, ended);
                    self.log_requeued(at(ended.at_s), no, slot, ended);
                }
            }
            Record::Ended(ended) => {
                if let Some(slot) = self.table.find(ended.job) {
                    self.log_run_of(no, slot, ended);
                    self.apply_ended(slot, ended);
                    self.log_terminated(at(ended.at_s), no, slot, (ended.run_time_us / 1_000_000) as i64);
                    if self.marks.kept {
                        self.doubts().push(Doubt::new(no, ended));
                        self.doubt(ended.job);
                    } else {
                        self.leave_recovered(slot);
                    }
                }
            }
            Record::LeftQueue(left) if self.config.history => self.recover_left(no, left),
            Record::LeftQueue(left) if left.how == How::Completed => self.left_completed(left.job),
            Record::LeftQueue(left) => {
                if let Some(slot) = self.table.find(left.job) {
                    self.tell_left(no, slot, left);
                    self.forget(slot);
                }
            }
            Record::HistoryUpto(upto) => self.recover_archived(upto.seq),
            Record::EventsUpto(upto) => {
                if let Some(recovery) = &mut self.recovery {
                    recovery.events_upto = recovery.events_upto.max(upto.seq);
                    recovery.forget_written();
                }
            }
            Record::Taken(file) => {
                self.taken.insert(*file);
            }
            Record::OutputsUpto(upto) => {
                self.marks.kept = upto.seq != OutputsUpto::ALL;
                for doubt in self.doubts().extract_if(.., |doubt| doubt.no.0 <= upto.seq).collect::<Vec<_>>() {
                    if let Some(slot) = self.completed_job(doubt.job) {
                        self.leave_recovered(slot);
                        let (no, at) = doubt.left;
                        self.close_recovered(at, no);
                    }
                }
            }
            Record::ClockMark(mark) => self.booted(mark.boot_id),
            // Contents are the shell's.
            Record::CheckpointBegin(begin) => {
                self.next_cluster = self.next_cluster.max(begin.next_cluster);
                self.recovery.as_mut().expect("records are read before the start").in_checkpoint = true;
            }
            Record::CheckpointCluster(cluster) => self.restore_cluster(cluster),
            Record::CheckpointJob(job) => self.restore_job(job),
            Record::CheckpointFactory(record) => self.restore_factory(record),
            Record::CheckpointBlob(_) => {}
            Record::CheckpointEnd(_) => self.close_restored(),
        }
        if let Record::LeftQueue(left) = record
            // Its end stands right before, or nearly.
            && left.how == How::Completed
            && let Some(doubt) = self.doubts().iter_mut().rev().take(NEAR).find(|doubt| doubt.job == left.job)
        {
            doubt.left = (no, at(left.at_s));
        }
        if let Record::LeftQueue(LeftQueue { at_s, .. }) | Record::Ended(Ended { at_s, .. }) = record {
            self.close_recovered(at(*at_s), no);
        }
    }

    fn doubts(&mut self) -> &mut Vec<Doubt> {
        &mut self.recovery.as_mut().expect("records are read before the start").doubts
    }

    /// A run of the service began in this boot of the machine.
    fn booted(&mut self, boot_id: [u8; 16]) {
        let recovery = self.recovery.as_mut().expect("records are read before the start");
        if recovery.boot_id.replace(boot_id).is_some_and(|before| before != boot_id) {
            recovery.doubts.iter_mut().for_each(|doubt| doubt.rebooted = true);
        }
    }

    /// A job that had completed is gone unless its owner wants to see it.
    fn leave_recovered(&mut self, slot: Slot) {
        let archived = self.undoubt(slot);
        if archived || (!self.config.history && !self.stays(self.end_of(slot), slot)) {
            self.forget(slot);
        }
    }

    fn end_of(&self, slot: Slot) -> Timestamp {
        at(self.table.get(slot).story().ending.map_or(0, |ending| ending.at_s))
    }

    /// A completed job left. One that did so at its end is gone with it, as soon as its outputs are not in doubt; one
    /// that had stayed goes now.
    fn left_completed(&mut self, job: JobId) {
        let Some(slot) = self.completed_job(job) else { return };
        if self.had_stayed(slot) {
            self.doubts().retain(|doubt| doubt.job != job);
            self.forget(slot);
        }
    }

    fn had_stayed(&self, slot: Slot) -> bool {
        self.view(slot, Timestamp(0)).is_spooled() || self.stays(self.end_of(slot), slot)
    }

    /// A job left on its way to the history: it is here until that is known to have it.
    fn recover_left(&mut self, no: RecordNo, left: &LeftQueue) {
        let Some(slot) = self.table.find(left.job) else { return };
        self.tell_left(no, slot, left);
        if left.how == How::Completed && self.had_stayed(slot) {
            self.doubts().retain(|doubt| doubt.job != left.job);
            self.undoubt(slot);
        }
        self.recover_departure(no, slot);
    }

    /// A removed job left: its log heard of it. Of a completed one its end had told.
    fn tell_left(&mut self, no: RecordNo, slot: Slot, left: &LeftQueue) {
        let told = &mut self.table.get_mut(slot).story_mut().told_removed;
        if left.how == How::Removed && !std::mem::replace(told, true) {
            self.log_aborted(at(left.at_s), no, slot);
        }
    }

    /// What the journal said of the job's end holds no longer.
    fn has_not_ended(&mut self, slot: Slot) {
        if self.table.get(slot).status() == Status::Completed {
            let job = self.table.get(slot).id;
            self.doubts().retain(|doubt| doubt.job != job);
            self.recover_stayed(slot);
            self.recovery.as_mut().expect("records are read before the start").recalled.insert(job);
        }
    }

    /// The run that a hold or removal ended; its log heard of that with this code and reason.
    fn stop_recovered(&mut self, no: RecordNo, slot: Slot, at_s: i64, evicted: Option<((i32, i32), &str)>) {
        if let Some((code, reason)) = evicted {
            self.log_evicted(at(at_s), no, slot, code, reason);
        }
        let job = self.table.get(slot);
        if job.status() == Status::Running {
            let lost = Lost {
                job: job.id,
                at_s,
                attempt: job.story().attempts,
                counted: false,
                reason: LostReason::Ordered,
                text: "the job was held or removed".into(),
            };
            self.apply_lost(slot, &lost);
        }
    }

    /// The run that came to this end, should its log not have heard of its begin.
    fn log_run_of(&mut self, no: RecordNo, slot: Slot, ended: &Ended) {
        // A result that was fetched from where it still lay is no run.
        if self.table.get(slot).status() == Status::Running {
            self.log_run(no, slot, ended.started_s);
        }
    }

    /// A run that came to nothing: it may have begun, and its log not have heard of it.
    fn log_run_lost(&mut self, no: RecordNo, slot: Slot, lost: &Lost) {
        use LostReason::{Forsaken, NotStarted, ServiceStopped};
        let job = self.table.get(slot);
        // Of some it is known that they never began, and a service that is stopped tells the logs all.
        if job.status() == Status::Running && !matches!(lost.reason, Forsaken | NotStarted | ServiceStopped) {
            self.log_run(no, slot, job.story().start_s.unwrap_or(lost.at_s));
        }
    }

    /// A run that began then, should the job's log not have heard of it. The worker's address is not on record, its name is.
    fn log_run(&mut self, no: RecordNo, slot: Slot, start_s: i64) {
        let story = self.table.get(slot).story();
        if story.allocation.is_some() {
            let host = story.host.as_deref().unwrap_or_default();
            let host = host.strip_prefix("slot1@").unwrap_or(host).to_owned();
            self.log_executing(at(start_s), no, slot, &host);
        } else {
            self.log_executing_here(at(start_s), no, slot);
        }
    }

    /// Blobs that jobs still name; everything else in the spool may go.
    pub fn blobs(&self) -> Vec<BlobId> {
        self.blobs.keys().copied().collect()
    }

    /// Whether this is a job with a folder in the spool.
    pub fn is_spooled(&self, job: JobId) -> bool {
        self.spools.contains_key(&job.cluster) && self.table.find(job).is_some()
    }

    /// Whether something names a blob.
    pub fn names_blob(&self, id: BlobId) -> bool {
        self.blobs.contains_key(&id)
    }

    /// The journal is read: what ran is run again, removed jobs leave, missing events are written.
    pub fn start(&mut self, now: Timestamp) {
        let Some(recovery) = &mut self.recovery else { return };
        let mut stuck = Vec::new();
        if let Some(handed) = recovery.handed.take() {
            // The program before has told the logs of all runs.
            recovery.events.retain(|(_, when, _)| matches!(when, When::Missing | When::MissingHold(_)));
            stuck = self.take_over_links(now, handed);
        }
        self.booted(self.config.boot_id);
        self.stop_all_recovered(now);
        let mut recovery = self.recovery.take().expect("just seen");
        #[cfg(feature = "mistakes")]
        if self.errs(crate::Mistake::ClusterReused) {
            let last = self.table.from(JobId::new(0, 0)).last();
            self.next_cluster = last.map_or(1, |(job, _)| job.cluster + 1);
        }
        let (mendings, last) = recovery.mendings();
        for mending in mendings {
            #[cfg(feature = "mistakes")]
            if self.errs(crate::Mistake::EventTwice) {
                mending.events.into_iter().for_each(|(_, entry)| self.effect(Effect::UserLog(Box::new(entry))));
                continue;
            }
            self.effect(Effect::MendLog(Box::new(mending)));
        }
        if let Some(no) = last {
            self.events_written(now, no);
        }
        if self.config.history {
            self.leave_again(now, &recovery.departures, &recovery.doubts);
            self.recall_again(&recovery.recalled);
        }
        let in_doubt: BTreeSet<JobId> = recovery.doubts.iter().map(|doubt| doubt.job).collect();
        let all: Vec<(JobId, Slot)> = self.table.from(JobId::new(0, 0)).collect();
        for (job, slot) in all {
            match self.table.get(slot).status() {
                // It is with its worker still, or on its way.
                Status::Running | Status::Idle if self.table.get(slot).story().attempt.is_some() => {}
                Status::Idle => self.make_ready(now, slot),
                Status::Removed => self.leave_removed(now, self.last_record(), job),
                // Its outputs may have been fetched just before the end.
                Status::Completed if !in_doubt.contains(&job) => self.leave_unless_wanted(now, slot),
                Status::Running | Status::Held | Status::Completed => {}
            }
        }
        self.take_over_waits(now, &stuck);
        self.take_doubts(now, recovery.doubts);
        self.start_policies();
        self.start_factories();
        self.materialize(now);
        self.dispatch(now);
    }

    /// Nothing runs any more: workers killed their tasks when the connections broke. Logs that may not have heard of removals
    /// shall.
    fn stop_all_recovered(&mut self, now: Timestamp) {
        let all: Vec<(JobId, Slot)> = self.table.from(JobId::new(0, 0)).collect();
        for (job, slot) in all {
            match self.table.get(slot).status() {
                // It was handed over with its worker.
                Status::Running if self.table.get(slot).story().attempt.is_some() => {}
                Status::Running => {
                    let lost = Lost {
                        job,
                        at_s: now.seconds(),
                        attempt: self.table.get(slot).story().attempts,
                        counted: false,
                        reason: LostReason::ServiceRestarted,
                        text: "the service was restarted".into(),
                    };
                    self.log_run_lost(self.last_record(), slot, &lost);
                    let no = self.record(Record::Lost(lost.clone()));
                    self.log_evicted(now, no, slot, (VACATED, 0), &lost.text);
                    self.apply_lost(slot, &lost);
                }
                Status::Removed => {
                    // One that stays may have had its event before the restart.
                    if !std::mem::replace(&mut self.table.get_mut(slot).story_mut().told_removed, true) {
                        self.log_aborted(now, self.last_record(), slot);
                    }
                }
                Status::Idle | Status::Held | Status::Completed => {}
            }
        }
    }

    /// Ends the service: nothing new, running jobs go back with a reason, links close, everything is flushed (D8).
    pub(super) fn stop(&mut self, now: Timestamp) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        let running: Vec<_> = self.attempts.iter().map(|(id, a)| (*id, a.state.clone())).collect();
        for (id, state) in running {
            match state {
                // What is complete is brought to its end.
                State::Delivering | State::Recording => {}
                State::Killing(_) => self.killed(now, id),
                State::Parked => {
                    self.drop_attempt(id);
                }
                State::Preparing | State::Sending | State::Running | State::Fetching(_) => {
                    self.sending.remove(&id);
                    if self.attempts[&id].local {
                        self.effect(Effect::EndLocal { attempt: id });
                    }
                    self.lose(now, id, LostReason::ServiceStopped, false, "the service was stopped");
                }
            }
        }
        let links: Vec<LinkId> = self.peers.iter().map(|peer| peer.link).collect();
        for link in links {
            self.close(link, "the service is stopping");
        }
        self.mark_and_stop(now);
    }

    /// Everything is on its way to the disk; the end comes behind it.
    pub(super) fn finish_stop(&mut self) {
        match self.store_failed {
            Some(_) => self.effect(Effect::Ended),
            None => {
                let upto = self.last_record();
                self.when_stored(upto, Then::Stopped);
                self.effect(Effect::Sync { upto });
            }
        }
    }
}

/// A moment of the service clock that stands in a record.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds.max(0) as u64 * 1_000_000)
}

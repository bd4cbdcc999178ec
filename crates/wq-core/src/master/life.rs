//! What becomes of a job: each change once, used alike by what happens now and by recovery from the journal.

use journal::{Edited, Ended, Exit, Held, Lost, LostReason, Record, Removed, Started};

use super::Master;
use super::events::VACATED;
use super::promises::Then;
use crate::ids::{AttemptId, BlobId, JobId, RecordNo, Timestamp};
use crate::io::{Effect, Notice, Trouble};
use crate::jobs::{Departure, Ending, Hold, Slot, Status, view};
use crate::run::{BlobUse, State, Verdict};

impl Master {
    // ---- changes of the table alone; recovery uses them too --------------------------------------------------

    pub(super) fn apply_held(&mut self, slot: Slot, held: &Held) {
        self.table.dequeue(slot);
        self.table.deferrals.remove(&held.job);
        self.table.set_status(slot, Status::Held, held.at_s);
        let story = self.table.get_mut(slot).story_mut();
        story.holds += 1;
        // Only code 1 was somebody's wish.
        story.system_holds += u32::from(held.code != 1);
        story.hold = Some(Hold::of(held));
        story.departure = Departure::None;
        if let Some(exit) = held.exit {
            story.completions += 1;
            story.ending = Some(Ending { exit, at_s: held.at_s, sent: 0, received: 0 });
        }
    }

    pub(super) fn apply_released(&mut self, slot: Slot, reason: &str, at_s: i64) {
        self.table.set_status(slot, Status::Idle, at_s);
        let story = self.table.get_mut(slot).story_mut();
        story.last_hold = story.hold.take();
        story.release_reason = Some(reason.into());
        // Whoever releases a poison job wants it to be tried in earnest.
        story.losses = 0;
        self.state_changed(slot);
    }

    pub(super) fn apply_removed(&mut self, slot: Slot, removed: &Removed) {
        self.table.dequeue(slot);
        self.table.set_status(slot, Status::Removed, removed.at_s);
        self.table.get_mut(slot).story_mut().remove_reason = Some(removed.reason.as_str().into());
    }

    pub(super) fn apply_started(&mut self, slot: Slot, started: &Started) {
        self.table.dequeue(slot);
        self.table.set_status(slot, Status::Running, started.at_s);
        let story = self.table.get_mut(slot).story_mut();
        story.attempts = story.attempts.max(started.attempt);
        story.starts += 1;
        #[cfg(feature = "mistakes")]
        if self.config.mistake == Some(crate::Mistake::StartNotCounted) {
            story.starts -= 1;
        }
        story.first_start_s.get_or_insert(started.at_s);
        story.start_s = Some(started.at_s);
        story.host = Some(started.slot.as_str().into());
        // The submit host is not shared out.
        story.allocation =
            (started.cpus > 0).then_some((started.cpus, started.memory_mb, started.disk_mb, started.gpus));
        self.state_changed(slot);
    }

    /// The run is over, whatever came of it.
    pub(super) fn apply_stopped(&mut self, slot: Slot, at_s: i64) {
        let story = self.table.get_mut(slot).story_mut();
        if let Some(host) = story.host.take() {
            story.last_host = Some(host);
            story.wall_clock_s += (at_s - story.start_s.unwrap_or(at_s)).max(0);
        }
        story.transferring_output = false;
    }

    pub(super) fn apply_lost(&mut self, slot: Slot, lost: &Lost) {
        let was_started = self.table.get(slot).story().host.is_some();
        self.apply_stopped(slot, lost.at_s);
        let story = self.table.get_mut(slot).story_mut();
        story.attempts = story.attempts.max(lost.attempt);
        if was_started && matches!(lost.reason, LostReason::Forsaken | LostReason::NotStarted) {
            // The worker never ran it (decision D40).
            story.starts = story.starts.saturating_sub(1);
        } else if was_started {
            story.count_vacate(vacate_name(lost.reason), &lost.text, lost.at_s);
        }
        story.losses += u32::from(lost.counted);
        if self.table.get(slot).status() == Status::Running {
            self.table.set_status(slot, Status::Idle, lost.at_s);
            self.state_changed(slot);
        }
    }

    pub(super) fn apply_ended(&mut self, slot: Slot, ended: &Ended) {
        self.apply_stopped(slot, ended.at_s);
        self.table.set_status(slot, Status::Completed, ended.at_s);
        let story = self.table.get_mut(slot).story_mut();
        story.completions += 1;
        story.ending =
            Some(Ending { exit: ended.exit, at_s: ended.at_s, sent: ended.bytes_sent, received: ended.bytes_received });
    }

    /// Its program has ended, and it waits for its next run.
    pub(super) fn apply_requeued(&mut self, slot: Slot, ended: &Ended) {
        self.apply_ended(slot, ended);
        self.table.set_status(slot, Status::Idle, ended.at_s);
        self.state_changed(slot);
    }

    pub(super) fn apply_edited(&mut self, slot: Slot, edited: &Edited) {
        let edits = &mut self.table.get_mut(slot).story_mut().edits;
        edits.retain(|(name, _)| !edited.attributes.iter().any(|(new, _)| new.eq_ignore_ascii_case(name)));
        edits.extend(edited.attributes.iter().cloned());
        self.follow_edits(slot);
    }

    /// The job is gone for good.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.take_out(slot).into_iter().for_each(|blob| self.release_blob(blob));
    }

    /// The job is gone; its share of these blobs is still to be given back.
    pub(super) fn take_out(&mut self, slot: Slot) -> Vec<BlobId> {
        let view = self.view(slot, Timestamp(0));
        let (cluster, folder) = (view.job.id.cluster, view.spool_folder());
        let mut blobs: Vec<BlobId> = self.blobs_of(slot).into_iter().map(|blob| blob.id).collect();
        self.table.remove(slot);
        if let Some(folder) = folder {
            if self.recovery.is_none() {
                self.effect(Effect::DropSpool { folder });
            }
            if self.table.cluster(cluster).is_none() && !self.factories.has_more(cluster) {
                // Copies are counted once for all jobs of their cluster.
                blobs.extend(self.spools.remove(&cluster).iter().flat_map(|spool| spool.blobs()));
            }
        }
        self.factory_due(cluster);
        blobs
    }

    /// The blobs that a job names.
    pub(super) fn blobs_of(&self, slot: Slot) -> Vec<BlobUse> {
        let view = self.view(slot, Timestamp(0));
        let names = ["_awqexecutable", "_awqproxy", "_awqtoken"];
        names.iter().filter_map(|name| BlobUse::from_text(&view.string(name)?)).collect()
    }

    /// One use less; bytes that nobody uses are dropped.
    pub(super) fn release_blob(&mut self, id: BlobId) {
        let users = self.blobs.get_mut(&id).expect("a job's blobs are counted");
        *users -= 1;
        if *users == 0 {
            self.blobs.remove(&id);
            if self.recovery.is_none() {
                self.effect(Effect::DropBlob(id));
            }
        }
    }

    // ---- what happens now ------------------------------------------------------------------------------------

    /// The job may run from now on, or as soon as its time has come.
    pub(super) fn make_ready(&mut self, now: Timestamp, slot: Slot) {
        if !self.defer(now, slot) {
            self.wait_for_worker(now, slot);
        }
    }

    /// The job waits for a worker.
    pub(super) fn wait_for_worker(&mut self, now: Timestamp, slot: Slot) {
        self.classify_again(now, slot);
        self.table.enqueue(slot);
        self.dirty.queue(self.table.get(slot).queue);
    }

    /// A job whose requirements look at its own story may ask other things of a machine than before.
    fn classify_again(&mut self, now: Timestamp, slot: Slot) {
        let class = self.table.idle.key(self.table.get(slot).queue).class;
        if self.table.idle.classes.get(class).is_some_and(|class| class.volatile) {
            self.classify(now, slot);
        }
    }

    /// Finds the class of a job that does not wait.
    pub(super) fn classify(&mut self, now: Timestamp, slot: Slot) {
        let mut classes = std::mem::take(&mut self.table.idle.classes);
        let view = self.view(slot, now);
        let text = |name: &str| view.text(name).unwrap_or_default();
        let wall_s = now.seconds() + self.wall_offset_s;
        let found = classes.classify((&text("requirements"), &text("rank")), &view, wall_s, view::changes);
        self.table.idle.classes = classes;
        self.table.set_class(slot, found.class);
    }

    /// Puts a job on hold for a reason that nobody asked for; its log hears of it when that is durable.
    pub(super) fn hold(&mut self, now: Timestamp, slot: Slot, trouble: &Trouble, exit: Option<Exit>) {
        let job = self.table.get(slot);
        let (id, attempt) = (job.id, job.story().attempts);
        let was_running = job.status() == Status::Running;
        let held = Held {
            job: id,
            at_s: now.seconds(),
            code: trouble.code,
            subcode: trouble.subcode,
            reason: userlog::one_line(&trouble.reason),
            attempt: was_running.then_some(attempt),
            exit,
        };
        let no = self.record(Record::Held(held.clone()));
        if was_running {
            self.log_evicted(now, no, slot, (trouble.code, trouble.subcode), &held.reason);
            self.apply_stopped(slot, now.seconds());
            self.table.get_mut(slot).story_mut().count_vacate("HoldByPolicy", &held.reason, now.seconds());
        }
        self.apply_held(slot, &held);
        self.when_stored(no, Then::Held(no, id, Box::new(Hold::of(&held))));
        self.effect(Effect::Notice(Notice::JobHeld { job: id, trouble: trouble.clone() }));
    }

    /// An attempt came to nothing and the job is to run again.
    pub(super) fn lose(&mut self, now: Timestamp, attempt: AttemptId, reason: LostReason, counted: bool, text: &str) {
        self.lose_with(now, attempt, (reason, counted), (VACATED, 0), text);
    }

    /// The same with the code that the job's log tells; it does not count against the job.
    pub(super) fn lose_as(
        &mut self,
        now: Timestamp,
        attempt: AttemptId,
        reason: LostReason,
        code: (i32, i32),
        text: &str,
    ) {
        self.lose_with(now, attempt, (reason, false), code, text);
    }

    fn lose_with(
        &mut self,
        now: Timestamp,
        attempt: AttemptId,
        (reason, counted): (LostReason, bool),
        code: (i32, i32),
        text: &str,
    ) {
        let Some(lost_attempt) = self.drop_attempt(attempt) else { return };
        let (slot, job) = (lost_attempt.slot, lost_attempt.job);
        let started = self.table.get(slot).status() == Status::Running;
        let lost = Lost {
            job,
            at_s: now.seconds(),
            attempt: lost_attempt.number,
            counted,
            reason,
            text: userlog::one_line(text),
        };
        let no = self.record(Record::Lost(lost.clone()));
        if started {
            self.log_evicted(now, no, slot, code, &lost.text);
        }
        self.apply_lost(slot, &lost);
        if self.table.get(slot).story().losses >= self.config.losses_max {
            let times = self.table.get(slot).story().losses;
            let reason = format!("The job was running at {times} workers that were lost without notice; last: {text}");
            self.hold(now, slot, &Trouble { code: 26, subcode: 0, reason }, None);
        } else if self.table.get(slot).status() == Status::Idle {
            self.make_ready(now, slot);
        }
    }

    /// Takes an attempt out of all tables; its bytes that may still come are dropped.
    pub(super) fn drop_attempt(&mut self, id: AttemptId) -> Option<crate::run::Attempt> {
        self.unbook(id);
        self.give_back(id);
        let mut attempt = self.attempts.remove(&id)?;
        self.leave_kept(&mut attempt);
        if let Some(peer) = self.peers.get_mut(attempt.link) {
            peer.preparing.remove(&id);
            if let Some(task) = attempt.task {
                peer.tasks.remove(&task);
            }
        }
        let story = self.table.get_mut(attempt.slot).story_mut();
        if story.attempt == Some(id) {
            story.attempt = None;
        }
        if !attempt.local {
            self.effect(Effect::Abandon { attempt: id });
        }
        Some(attempt)
    }

    /// Gives back what the attempt has taken of things that are limited.
    pub(super) fn give_back(&mut self, id: AttemptId) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        let limits = std::mem::take(&mut attempt.limits);
        for queue in self.table.idle.limits.give_back(limits) {
            self.dirty.queue(queue);
        }
    }

    /// Gives the attempt's share of its peer back.
    pub(super) fn unbook(&mut self, id: AttemptId) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        if std::mem::replace(&mut attempt.booked, false) {
            let (link, shape) = (attempt.link, attempt.shape);
            if let Some(peer) = self.peers.get_mut(link) {
                peer.unbook(shape);
                self.peers.changed(link);
                self.dirty.peer(link);
            }
        }
    }

    /// A removed job that runs nowhere (any more) leaves, unless its owner wants to see it.
    pub(super) fn leave_removed(&mut self, now: Timestamp, no: RecordNo, job: JobId) {
        let Some(slot) = self.table.find(job) else { return };
        let (status, story) = (self.table.get(slot).status(), self.table.get(slot).story());
        if status != Status::Removed || story.attempt.is_some() || story.departure == Departure::Leaving {
            return;
        }
        if !std::mem::replace(&mut self.table.get_mut(slot).story_mut().told_removed, true) {
            self.log_aborted(now, no, slot);
        }
        self.leave_unless_wanted(now, slot);
    }

    /// A job that is over leaves if its owner has seen enough of it.
    pub(super) fn leave_unless_wanted(&mut self, now: Timestamp, slot: Slot) {
        if !self.stays(now, slot) {
            self.leave(now, slot, None);
        }
    }

    /// Whether the owner wants to see the job although it is over (`leave_in_queue`).
    pub(super) fn stays(&self, now: Timestamp, slot: Slot) -> bool {
        self.view(slot, now).value("leavejobinqueue").truth() == Some(true)
    }

    /// The run of a job that was stopped on purpose is over: confirmed, given up on, or lost with its peer.
    pub(super) fn killed(&mut self, now: Timestamp, id: AttemptId) {
        let Some(attempt) = self.attempts.get(&id) else { return };
        let State::Killing(verdict) = attempt.state.clone() else { return };
        let (slot, job) = (attempt.slot, attempt.job);
        match verdict {
            Verdict::Remove => {
                self.drop_attempt(id);
                self.apply_stopped(slot, now.seconds());
                self.when_settled(now, Then::Leave(job));
            }
            Verdict::Hold(no) => {
                self.drop_attempt(id);
                self.apply_stopped(slot, now.seconds());
                if let Some(hold) = self.table.get(slot).story().hold.clone() {
                    self.when_settled(now, Then::Held(no, job, Box::new(hold)));
                }
            }
            Verdict::Requeue(reason, text) => self.lose(now, id, reason, false, &text),
            Verdict::Nothing => {
                self.drop_attempt(id);
                self.apply_stopped(slot, now.seconds());
                // Released before its old run was over: it waited for this moment.
                self.when_settled(now, Then::Ready(job));
            }
        }
    }
}

/// The names of `NumVacatesByReason`.
pub(super) fn vacate_name(reason: LostReason) -> &'static str {
    match reason {
        LostReason::LinkLost => "WorkerLost",
        LostReason::Silent => "WorkerSilent",
        LostReason::Forsaken => "Forsaken",
        LostReason::WorkerLeft => "WorkerLeft",
        LostReason::ServiceStopped => "ServiceStopped",
        LostReason::ServiceRestarted => "ServiceRestarted",
        LostReason::Vacated => "UserVacateJob",
        LostReason::Rescheduled => "Rescheduled",
        LostReason::TransferFailed => "TransferFailed",
        LostReason::NotStarted => "NotStarted",
        LostReason::Misbehaved => "WorkerMisbehaved",
        LostReason::Ordered => "Ordered",
    }
}

//! Events for the users' logs: handed out in the order of the records that they tell of (decisions D34, D57).

use userlog::{Event, EventJob, EventTime, Exit, Resources, TransferStage};

use super::Master;
use super::promises::Logged;
use super::timers::Timer;
use crate::ids::{AttemptId, RecordNo, Timestamp};
use crate::io::{Effect, LogEntry, Trouble};
use crate::jobs::{Hold, Slot};
use crate::mending::When;
use crate::run::{State, TransferMode, Verdict};

/// How long until the journal hears how far the event logs are.
const UPTO_S: u64 = 5;

/// `Code` of an eviction that its owner or the queue ordered, and of one by removal, as HTCondor's schedd writes them.
pub(super) const VACATED: i32 = 1022;
/// See [`VACATED`].
pub(super) const BY_REMOVAL: i32 = 1023;

/// Where events go.
#[derive(Debug, Clone)]
pub(super) struct Log {
    /// Absolute path.
    pub(super) path: String,
    /// Its form.
    pub(super) xml: bool,
}

/// How far the event logs are.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The last record whose event went to the writer.
    written: RecordNo,
    /// The last one that the journal knows of.
    marked: RecordNo,
    timer_set: bool,
}

impl Master {
    /// Appends an event of a job to its log, if it has one.
    pub(super) fn log(
        &mut self,
        now: Timestamp,
        no: RecordNo,
        slot: Slot,
        make: impl FnOnce(EventJob, EventTime) -> Event,
    ) {
        self.log_when(now, no, slot, When::Missing, make);
    }

    /// The same for an event that may be told again after a crash: when.
    fn log_when(
        &mut self,
        now: Timestamp,
        no: RecordNo,
        slot: Slot,
        when: When,
        make: impl FnOnce(EventJob, EventTime) -> Event,
    ) {
        let view = self.view(slot, now);
        let Some(path) = view.string("userlog") else { return };
        let xml = view.value("userlogusexml").truth() == Some(true);
        let id = view.job.id;
        self.log_to(now, no, when, Log { path, xml }, EventJob::new(id.cluster as i32, id.proc_ as i32), make);
    }

    /// The same for a log that is known.
    pub(super) fn log_to(
        &mut self,
        now: Timestamp,
        no: RecordNo,
        when: When,
        Log { path, xml }: Log,
        job: EventJob,
        make: impl FnOnce(EventJob, EventTime) -> Event,
    ) {
        if path.is_empty() || path == "/dev/null" {
            return;
        }
        let millis = (now.0 / 1000 % 1000) as u16;
        let time = EventTime { wall_s: now.seconds() + self.wall_offset_s, millis };
        let entry = LogEntry { path, xml, event: make(job, time), more: 0 };
        match &mut self.recovery {
            Some(recovery) => recovery.may_lack(no, when, entry),
            None => {
                let merged = match self.effects.back_mut() {
                    Some(Effect::UserLog(last)) => last.takes_in(&entry),
                    _ => false,
                };
                if !merged {
                    self.effect(Effect::UserLog(Box::new(entry)));
                }
                self.events_written(now, no);
            }
        }
    }

    /// Events up to this record went to the writer; the journal hears of it in a while.
    pub(super) fn events_written(&mut self, now: Timestamp, no: RecordNo) {
        self.events.written = self.events.written.max(no);
        if !std::mem::replace(&mut self.events.timer_set, true) {
            self.timers.set(now.plus_s(UPTO_S), Timer::EventsUpto);
        }
    }

    pub(super) fn events_due(&mut self, now: Timestamp) {
        self.events.timer_set = false;
        let upto = self.events_complete();
        if upto > self.events.marked {
            self.events.marked = upto;
            let token = self.log_mark(Logged::Upto(upto));
            self.effect(Effect::LogMark { token });
        }
        if self.events.written > upto && !std::mem::replace(&mut self.events.timer_set, true) {
            self.timers.set(now.plus_s(UPTO_S), Timer::EventsUpto);
        }
    }

    /// No event of a record up to this one is still to come. One that tells of a promise waits for the disk, one of a hold
    /// also for the end of the run, and events of later records overtake both.
    fn events_complete(&self) -> RecordNo {
        let promised = self.promises.first_waiting().map_or(u64::MAX, |no| no.0 - 1);
        self.events.written.min(self.before_holds()).min(RecordNo(promised))
    }

    /// The last record before the first hold that its log has not heard of: its run is still being ended, or the disk has
    /// not all that came before that.
    pub(super) fn before_holds(&self) -> RecordNo {
        let holds = self.attempts.values().filter_map(|attempt| match attempt.state {
            State::Killing(Verdict::Hold(no)) => Some(no),
            _ => None,
        });
        RecordNo(holds.chain(self.promises.first_hold()).min().map_or(u64::MAX, |no| no.0 - 1))
    }

    /// The schedd's address as it stands in events.
    pub(super) fn schedd_address(&self) -> String {
        let address = &self.config.address;
        format!("<{address}?addrs={}&alias={}>", address.replace(':', "-"), self.config.host)
    }

    pub(super) fn log_submitted(&mut self, now: Timestamp, no: RecordNo, slot: Slot) {
        let host = self.schedd_address();
        let view = self.view(slot, now);
        let batch = view.string("jobbatchname");
        let (log_notes, user_notes) = (view.string("submiteventnotes"), view.string("submiteventusernotes"));
        self.log(now, no, slot, |job, time| {
            let mut event = Event::submit(job, time, &host, batch.as_deref());
            if let userlog::Kind::Submit(submit) = &mut event.kind {
                submit.log_notes = log_notes;
                submit.user_notes = user_notes;
            }
            event
        });
    }

    pub(super) fn log_executing(&mut self, now: Timestamp, no: RecordNo, slot: Slot, address: &str) {
        let host = shown_address(address);
        let view = self.view(slot, now);
        let Some((cores, memory_mb, disk_mb, _)) = view.job.story().allocation else { return };
        let slot_name = view.job.story().host.as_deref().unwrap_or_default().to_owned();
        let when = When::RunUntold(self.table.get(slot).story().attempts);
        self.log_when(now, no, slot, when, |job, time| {
            Event::executing(job, time, &host, &slot_name, cores.into(), (disk_mb * 1024) as i64, memory_mb as i64)
        });
    }

    /// The job runs on the submit host.
    pub(super) fn log_executing_here(&mut self, now: Timestamp, no: RecordNo, slot: Slot) {
        let host = self.schedd_address();
        let when = When::RunUntold(self.table.get(slot).story().attempts);
        self.log_when(now, no, slot, when, |job, time| Event::executing_here(job, time, &host));
    }

    /// Where the job runs, its program could not be started or its files not be moved.
    pub(super) fn log_remote_error(&mut self, now: Timestamp, slot: Slot, trouble: &Trouble) {
        if let Some(host) = self.table.get(slot).story().host.as_deref().map(str::to_owned) {
            self.log_error_from(now, slot, &host, trouble);
        }
    }

    fn log_error_from(&mut self, now: Timestamp, slot: Slot, host: &str, trouble: &Trouble) {
        let (no, code) = (self.last_record(), (trouble.code, trouble.subcode));
        self.log(now, no, slot, |job, time| Event::remote_error(job, time, host, &trouble.reason, code));
    }

    /// A stage of moving the files of a job that asked for that, as HTCondor tells it with `should_transfer_files = YES`.
    pub(super) fn log_transfer(&mut self, now: Timestamp, id: AttemptId, stage: TransferStage) {
        let Some(attempt) = self.attempts.get(&id).filter(|attempt| attempt.files.mode == TransferMode::Yes) else {
            return;
        };
        let (slot, no) = (attempt.slot, self.last_record());
        let peer = self.peers.get(attempt.link).filter(|_| stage == TransferStage::InputStarted);
        let host = peer.map(|peer| shown_address(&peer.address));
        self.log(now, no, slot, |job, time| Event::file_transfer(job, time, stage, host.as_deref()));
    }

    /// The inputs of a job that asked for their transfer could not be had: for its log it was at a worker already.
    pub(super) fn log_inputs_missing(&mut self, now: Timestamp, id: AttemptId, trouble: &Trouble) {
        let Some(attempt) = self.attempts.get(&id).filter(|attempt| attempt.files.mode == TransferMode::Yes) else {
            return;
        };
        let (slot, no) = (attempt.slot, self.last_record());
        let host = self.peers.get(attempt.link).map(|peer| format!("slot1@{}", peer.host)).unwrap_or_default();
        self.log_transfer(now, id, TransferStage::InputStarted);
        self.log_transfer(now, id, TransferStage::InputFinished);
        self.log_error_from(now, slot, &host, trouble);
        self.log_evicted(now, no, slot, (trouble.code, trouble.subcode), &trouble.reason);
    }

    /// The hold is durable and the run over: the log hears of it, and the job's policy may have something to say.
    pub(super) fn log_held(&mut self, now: Timestamp, no: RecordNo, slot: Slot, hold: &Hold) {
        self.state_changed(slot);
        let when = When::MissingHold(self.table.get(slot).story().holds);
        self.log_when(now, no, slot, when, |job, time| Event::held(job, time, &hold.reason, hold.code, hold.subcode));
    }

    pub(super) fn log_released(&mut self, now: Timestamp, no: RecordNo, slot: Slot) {
        let reason = self.table.get(slot).story().release_reason.clone().unwrap_or_default();
        self.log(now, no, slot, |job, time| Event::released(job, time, &reason));
    }

    pub(super) fn log_aborted(&mut self, now: Timestamp, no: RecordNo, slot: Slot) {
        let reason = self.table.get(slot).story().remove_reason.clone().unwrap_or_default();
        self.log(now, no, slot, |job, time| Event::aborted(job, time, &reason));
    }

    pub(super) fn log_evicted(&mut self, now: Timestamp, no: RecordNo, slot: Slot, code: (i32, i32), reason: &str) {
        let table = self.resources(slot, now, None);
        let when = When::RunOpen(self.table.get(slot).story().attempts);
        self.log_when(now, no, slot, when, |job, time| Event::evicted(job, time, code, reason, (0, 0), table));
    }

    pub(super) fn log_terminated(&mut self, now: Timestamp, no: RecordNo, slot: Slot, run_s: i64) {
        let Some(ending) = self.table.get(slot).story().ending else { return };
        let exit = log_exit(ending.exit);
        // "Sent by job" is what came back from the worker.
        let bytes = (ending.received, ending.sent);
        let table = self.resources(slot, now, Some(run_s));
        self.log(now, no, slot, |job, time| Event::terminated(job, time, exit, bytes, bytes, table));
    }

    fn resources(&self, slot: Slot, now: Timestamp, run_s: Option<i64>) -> Option<Resources> {
        let view = self.view(slot, now);
        let (cores, memory_mb, disk_mb, _) = view.job.story().allocation?;
        let asked = |name: &str| view.value(name).as_real().unwrap_or(0.0) as i64;
        Some(Resources::of_attempt(
            (asked("requestcpus"), cores.into()),
            (asked("requestdisk"), (disk_mb * 1024) as i64),
            (asked("requestmemory"), memory_mb as i64),
            run_s,
        ))
    }
}

/// A worker's address as HTCondor writes addresses.
fn shown_address(address: &str) -> String {
    format!("<{address}?addrs={}>", address.replace(':', "-"))
}

/// An exit as event logs tell it.
pub(super) fn log_exit(exit: journal::Exit) -> Exit {
    match exit {
        journal::Exit::Code(code) => Exit::Code(code),
        journal::Exit::Signal(signal) => Exit::Signal { signal, core: None },
    }
}

//! From `available_results` to outputs in their places (decisions D24, D34-D40).

use journal::{Ended, LostReason, Record};
use userlog::TransferStage;
use wq_proto::{TaskId, TaskResult, TaskStatus, ToWorker};

use super::Master;
use super::exits::Fate;
use super::promises::Then;
use super::timers::Timer;
use crate::ids::{AttemptId, LinkId, RecordNo, Timestamp};
use crate::io::{BodyOutcome, Effect, OutputPart, Sink, Trouble};
use crate::jobs::{Departure, Status};
use crate::run::words::is_plain_relative;
use crate::run::{Attempt, COPY_FAILED, CommandLine, Output, OutputKind, State, Verdict, exit_of, start_failure};
use crate::workers::{Expect, Peer, Phase, Shape};

/// How much of a worker's own text is kept for a reason.
const TEXT_MAX: usize = 4096;

/// `errno` of a name in a wrong encoding, as Linux counts.
const EILSEQ: i32 = 84;

/// Entries below one directory output; more is no result but an attack.
const ENTRIES_MAX: u64 = 1_000_000;

/// Undeliverable results that may wait at one worker, and for how long (decision D37).
const PARKED_MAX: usize = 10;
const PARKED_S: u64 = 3600;

/// A task used more than it was given: of disk, if its worker does not speak of memory.
fn exceeded(shape: Shape, worker_says: &str) -> Trouble {
    let (what, limit, subcode) = if worker_says.to_ascii_lowercase().contains("memory") {
        ("memory", shape.memory_mb, 102)
    } else {
        ("disk", shape.disk_mb, 104)
    };
    let reason = format!("Job has gone over {what} limit of {limit} megabytes requested. {worker_says}");
    Trouble { code: 34, subcode, reason: reason.trim_end().to_owned() }
}

impl Master {
    pub(super) fn results_available(&mut self, link: LinkId) {
        let peer = self.peers.get_mut(link).expect("the caller has it");
        if self.paused {
            // What is under way comes to its end; this can wait where it is.
            peer.put_off = true;
            return;
        }
        if peer.expects.iter().any(|expect| matches!(expect, Expect::Results { .. })) {
            peer.more_results = true;
            return;
        }
        let ahead = self.only_task(link);
        self.collect(link, ahead);
    }

    fn collect(&mut self, link: LinkId, ahead: Option<AttemptId>) {
        let peer = self.peers.get_mut(link).expect("the caller has it");
        peer.expects.push_back(Expect::Results { ahead });
        self.effect(Effect::Tell { link, message: ToWorker::SendResults });
        if let Some(id) = ahead {
            // Its outputs are asked for in the same write, and the next task follows there too: a worker reads on only
            // when it has answered, so its share is free by then (decision D38).
            self.attempts.get_mut(&id).expect("just found").asked_ahead = true;
            self.ask_for_outputs(id);
            self.unbook(id);
        }
    }

    /// With one task out there is no doubt whose result it is.
    fn only_task(&self, link: LinkId) -> Option<AttemptId> {
        if !self.config.one_write {
            return None;
        }
        let tasks = self.peers.get(link)?.tasks.values();
        let mut out =
            tasks.filter(|id| matches!(self.attempts[id].state, State::Running | State::Sending | State::Killing(_)));
        let (Some(id), None) = (out.next().copied(), out.next()) else { return None };
        (!matches!(self.attempts[&id].state, State::Killing(_))).then_some(id)
    }

    /// A task whose result was taken for granted has none yet: it has its share again.
    fn granted_too_early(&mut self, id: AttemptId) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        if matches!(attempt.state, State::Running | State::Sending) && !attempt.booked {
            attempt.booked = true;
            let (link, shape) = (attempt.link, attempt.shape);
            self.peers.get_mut(link).expect("its link stands").book(shape);
            self.peers.changed(link);
        }
    }

    fn ask_for_outputs(&mut self, id: AttemptId) {
        let attempt = &self.attempts[&id];
        let link = attempt.link;
        let names: Vec<String> = attempt.outputs.iter().map(|output| output.cached.clone()).collect();
        for (at, name) in names.into_iter().enumerate() {
            let peer = self.peers.get_mut(link).expect("outputs are asked of peers that stand");
            peer.expects.push_back(Expect::Output { attempt: id, output: at as u16 });
            self.effect(Effect::Tell { link, message: ToWorker::Get { name: name.into() } });
        }
    }

    /// A `result` line: its text follows.
    pub(super) fn result(&mut self, link: LinkId, result: TaskResult) {
        let peer = self.peers.get_mut(link).expect("the caller has it");
        if !matches!(peer.expects.front(), Some(Expect::Results { .. })) {
            return self.misbehaved(link, "a result that was not asked for");
        }
        // A task that was killed meanwhile may still show up here; its text is dropped.
        self.leftover_ended(link, result.task);
        let Some(peer) = self.peers.get_mut(link) else { return };
        let Some(id) = peer.tasks.get(&result.task).copied() else { return };
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        // The result may overtake the news that the task's last byte is out.
        let counts = matches!(attempt.state, State::Running | State::Sending);
        #[cfg(feature = "mistakes")]
        let counts = counts || self.config.mistake == Some(crate::Mistake::OldResult);
        if !counts {
            return;
        }
        attempt.raw_exit = result.exit;
        attempt.run_time_us = result.time_us;
        self.peers.get_mut(link).expect("just seen").result_of = Some(id);
        self.results.insert(id, result.status);
        self.effect(Effect::Receive { link, sink: Sink::Text { max: TEXT_MAX } });
    }

    /// The text behind a `result` line is complete: what does it mean?
    pub(super) fn result_complete(&mut self, now: Timestamp, link: LinkId, id: AttemptId, body: BodyOutcome) {
        let Some(status) = self.results.remove(&id) else { return };
        if self.attempts.get(&id).is_some_and(|a| a.state == State::Sending) {
            self.flushed(now, link, id);
        }
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        let counts = attempt.state == State::Running;
        #[cfg(feature = "mistakes")]
        let counts = counts || self.config.mistake == Some(crate::Mistake::OldResult);
        if !counts {
            return;
        }
        if let BodyOutcome::Text(text) = body {
            attempt.text = text;
        }
        let (slot, shape) = (attempt.slot, attempt.shape);
        // It becomes a reason that people read on a screen.
        let worker_says = userlog::one_line(String::from_utf8_lossy(&attempt.text).trim());
        // Protocol sums such as 16 + 2 count as their reason; a missing output shows when it is fetched.
        match status.reason() {
            TaskStatus::Success if !status.misses_input() && !worker_says.starts_with(COPY_FAILED) => {
                attempt.exit = Some(exit_of(attempt.raw_exit));
                self.unbook(id);
                self.peer_succeeded(link, shape);
                self.fetch(now, id);
            }
            TaskStatus::ResourceExhaustion | TaskStatus::DiskAllocationFull => {
                let trouble = exceeded(shape, &worker_says);
                self.acknowledge(id);
                if !self.retry_with_more(now, id, slot, &trouble) {
                    self.drop_attempt(id);
                    self.hold(now, slot, &trouble, None);
                }
            }
            TaskStatus::Forsaken => {
                if let Some(peer) = self.peers.get_mut(link) {
                    peer.forsook(shape);
                }
                self.acknowledge(id);
                self.peer_failed(now, link);
                self.lose(now, id, LostReason::Forsaken, false, "the worker gave the job back");
            }
            _ => {
                self.acknowledge(id);
                self.peer_failed(now, link);
                let text = format!("the worker could not run the job (status {}): {worker_says}", status.number());
                // Behind another foreman the work-around for protocol 11 does not hold: that is no job's fault.
                let counted = !self.peers.get(link).is_some_and(Peer::is_broken_foreman);
                self.lose(now, id, LostReason::NotStarted, counted, &text);
            }
        }
    }

    /// Asks for all outputs.
    fn fetch(&mut self, now: Timestamp, id: AttemptId) {
        let attempt = self.attempts.get_mut(&id).expect("the caller has it");
        let slot = attempt.slot;
        attempt.trouble = None;
        attempt.received = 0;
        for output in &mut attempt.outputs {
            (output.done, output.missing, output.size) = (false, false, 0);
        }
        attempt.state = State::Fetching(attempt.outputs.len());
        let asked = std::mem::take(&mut attempt.asked_ahead);
        let may_not_have_run = may_not_have_run(attempt);
        let none = attempt.outputs.is_empty();
        self.table.get_mut(slot).story_mut().transferring_output = !none;
        if !may_not_have_run {
            self.log_transfer(now, id, TransferStage::OutputStarted);
        }
        if none {
            self.all_fetched(now, id);
        } else if !asked {
            self.ask_for_outputs(id);
        }
    }

    /// The `end` of an answer.
    pub(super) fn end_of_answer(&mut self, now: Timestamp, link: LinkId) {
        let peer = self.peers.get_mut(link).expect("the caller has it");
        match peer.expects.pop_front() {
            Some(Expect::Results { ahead }) => {
                let more = std::mem::take(&mut peer.more_results);
                if let Some(id) = ahead {
                    self.granted_too_early(id);
                }
                if more {
                    // It may have been collected already: no reason to take a result for granted.
                    self.collect(link, None);
                }
            }
            Some(Expect::Output { attempt: id, output }) => {
                let Some(attempt) = self.attempts.get_mut(&id) else { return };
                let State::Fetching(left) = &mut attempt.state else {
                    // Asked for together with results that did not hold this one: they will be asked for again.
                    attempt.asked_ahead = false;
                    return;
                };
                *left -= 1;
                let last = *left == 0;
                let output = &mut attempt.outputs[usize::from(output)];
                output.missing |= !output.done;
                if last {
                    self.all_fetched(now, id);
                }
            }
            None => self.misbehaved(link, "an end without a beginning"),
        }
    }

    /// A `file` line: where its body goes. Without an answer of ours it is read and dropped.
    pub(super) fn file_coming(&mut self, now: Timestamp, link: LinkId, name: &[u8], len: u64) {
        let Some((id, at, inside)) = self.entry(link, name) else { return };
        let attempt = self.attempts.get_mut(&id).expect("an entry belongs to an attempt");
        attempt.received += len;
        if let Some(limit) = attempt.files.max_output_mb
            && attempt.received > limit.saturating_mul(1 << 20)
        {
            attempt.trouble.get_or_insert(Trouble {
                code: 33,
                subcode: 0,
                reason: format!(
                    "Transfer output files failure: size of output exceeds max_transfer_output_mb = {limit}"
                ),
            });
            return;
        }
        let peek = if may_not_have_run(attempt) { TEXT_MAX } else { 0 };
        let mode = attempt.files.output_mode;
        let output = &mut attempt.outputs[usize::from(at)];
        if output.done && inside.is_none() || output.kind == OutputKind::Stream && inside.is_some() {
            return self.misbehaved(link, "a file that does not belong to the output asked for");
        }
        output.done = true;
        let target = output.target.clone();
        let part = OutputPart { attempt: id, output: at, target, inside, mode, peek };
        let peer = self.peers.get_mut(link).expect("the caller has it");
        peer.body_of = Some(Expect::Output { attempt: id, output: at });
        peer.heard_at = now;
        self.effect(Effect::Receive { link, sink: Sink::Output(part) });
    }

    /// A `dir` line.
    pub(super) fn dir_coming(&mut self, _now: Timestamp, link: LinkId, name: &[u8]) {
        let Some((id, at, inside)) = self.entry(link, name) else { return };
        let attempt = self.attempts.get_mut(&id).expect("an entry belongs to an attempt");
        let output = &mut attempt.outputs[usize::from(at)];
        output.size += 1;
        if output.kind == OutputKind::Stream || output.done && inside.is_none() || output.size > ENTRIES_MAX {
            return self.misbehaved(link, "a folder that does not belong to the output asked for");
        }
        output.done = true;
        let target = output.target.clone();
        let mode = attempt.files.output_mode | 0o111 & (attempt.files.output_mode >> 2);
        self.effect(Effect::MakeDir(OutputPart { attempt: id, output: at, target, inside, mode, peek: 0 }));
    }

    /// Growth of a watched output: it goes to its place at once. What was not asked for is read and dropped.
    pub(super) fn growth(&mut self, link: LinkId, task: TaskId, path: &[u8], offset: u64) {
        let peer = self.peers.get(link).expect("the caller has it");
        let Some(attempt) = peer.tasks.get(&task).and_then(|id| self.attempts.get(id)) else { return };
        let watched = attempt.outputs.iter().find(|output| output.watched && output.sandbox.as_bytes() == path);
        if let (Some(output), State::Running) = (watched, &attempt.state) {
            let (target, mode) = (output.target.clone(), attempt.files.output_mode);
            self.effect(Effect::Receive { link, sink: Sink::Growth { target, offset, mode } });
        }
    }

    /// A `missing` line.
    pub(super) fn missing(&mut self, _now: Timestamp, link: LinkId, name: &[u8], errno: i32) {
        let Some((id, at, inside)) = self.entry(link, name) else { return };
        let attempt = self.attempts.get_mut(&id).expect("an entry belongs to an attempt");
        let output = &mut attempt.outputs[usize::from(at)];
        match inside {
            None => output.missing = true,
            Some(inside) => {
                let reason =
                    format!("Transfer output files failure: the worker could not read {}/{inside}", output.sandbox);
                attempt.trouble.get_or_insert(Trouble { code: 12, subcode: errno, reason });
            }
        }
    }

    /// Which output a line of a `get` reply belongs to; its name must begin with what was asked for and go on plainly.
    fn entry(&mut self, link: LinkId, name: &[u8]) -> Option<(AttemptId, u16, Option<String>)> {
        let peer = self.peers.get(link)?;
        let Some(Expect::Output { attempt: id, output }) = peer.expects.front().copied() else {
            self.misbehaved(link, "a file that was not asked for");
            return None;
        };
        let attempt = self.attempts.get(&id)?;
        if !matches!(attempt.state, State::Fetching(_)) {
            return None;
        }
        let cached = &attempt.outputs[usize::from(output)].cached;
        let inside = match name.strip_prefix(cached.as_bytes()) {
            Some(b"") => None,
            Some([b'/', rest @ ..]) if is_plain_relative(&String::from_utf8_lossy(rest)) => {
                let Ok(inside) = std::str::from_utf8(rest) else {
                    // The job chose it, so the job is held; the worker has done nothing wrong.
                    let reason = format!(
                        "Transfer output files failure: the job made a file whose name is no UTF-8: {}",
                        rest.escape_ascii()
                    );
                    let attempt = self.attempts.get_mut(&id)?;
                    attempt.trouble.get_or_insert(Trouble { code: 12, subcode: EILSEQ, reason });
                    return None;
                };
                Some(inside.to_owned())
            }
            _ => {
                let shown = String::from_utf8_lossy(name).escape_debug().to_string();
                self.misbehaved(link, &format!("the name {shown} in answer to a request for {cached}"));
                return None;
            }
        };
        Some((id, output, inside))
    }

    /// The body of one file is complete.
    pub(super) fn output_body(&mut self, id: AttemptId, at: u16, outcome: BodyOutcome) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        match outcome {
            BodyOutcome::Stored { size, head } => {
                let output = &mut attempt.outputs[usize::from(at)];
                output.size += size;
                if output.kind == OutputKind::Stream && !head.is_empty() {
                    attempt.text = head;
                }
            }
            BodyOutcome::Failed(trouble) => {
                attempt.trouble.get_or_insert(trouble);
            }
            BodyOutcome::Discarded | BodyOutcome::Text(_) => {}
        }
    }

    /// Nothing is missing any more that was asked for.
    pub(super) fn all_fetched(&mut self, now: Timestamp, id: AttemptId) {
        let attempt = self.attempts.get_mut(&id).expect("the caller has it");
        let slot = attempt.slot;
        let program = CommandLine::program(&attempt.files, &attempt.names);
        if let Some(trouble) = start_failure(attempt.raw_exit, &attempt.text, &program) {
            self.acknowledge(id);
            self.drop_attempt(id);
            self.log_remote_error(now, slot, &trouble);
            return self.hold(now, slot, &trouble, None);
        }
        if may_not_have_run(attempt) {
            // It has, as is known now.
            self.log_transfer(now, id, TransferStage::OutputStarted);
        }
        let attempt = self.attempts.get_mut(&id).expect("just seen");
        if let Some(trouble) = attempt.trouble.take() {
            return self.undeliverable(now, id, &trouble);
        }
        attempt.state = State::Delivering;
        let declared_missing = |output: &Output| output.kind == OutputKind::Declared && output.missing;
        let outputs = attempt.deliveries();
        let missing: Vec<usize> =
            attempt.outputs.iter().enumerate().filter(|(_, o)| declared_missing(o)).map(|(at, _)| at).collect();
        let outputs = outputs.into_iter().filter(|d| !missing.contains(&usize::from(d.output))).collect();
        self.effect(Effect::Deliver { attempt: id, outputs });
    }

    pub(super) fn delivered(&mut self, now: Timestamp, id: AttemptId, outcome: Result<u64, Trouble>) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        if attempt.state != State::Delivering {
            return;
        }
        if let Err(trouble) = outcome {
            return self.undeliverable(now, id, &trouble);
        }
        self.log_transfer(now, id, TransferStage::OutputFinished);
        let attempt = &self.attempts[&id];
        let (slot, exit) = (attempt.slot, attempt.exit.expect("only results with an exit are fetched"));
        let missing = attempt.outputs.iter().find(|o| o.kind == OutputKind::Declared && o.missing);
        if let Some(output) = missing {
            let host = self.peers.get(attempt.link).map(|peer| peer.host.to_string()).unwrap_or_default();
            let reason = format!(
                "Transfer output files failure at execution point slot1@{host} while sending files to access point {}. \
                 Details: reading from file {}: (errno 2) No such file or directory",
                self.config.host, output.sandbox
            );
            let trouble = Trouble { code: 12, subcode: 2, reason };
            self.acknowledge(id);
            self.drop_attempt(id);
            self.log_remote_error(now, slot, &trouble);
            return self.hold(now, slot, &trouble, Some(exit));
        }
        self.record_end(now, id);
    }

    /// The program has ended and all that it made is in place: what follows goes to the disk first.
    pub(super) fn record_end(&mut self, now: Timestamp, id: AttemptId) {
        let attempt = &self.attempts[&id];
        let (slot, exit) = (attempt.slot, attempt.exit.expect("the caller knows it"));
        let requeued = match self.fate(now, slot, exit) {
            Fate::Leave => None,
            Fate::Requeue(reason) => Some(reason),
            Fate::Hold(trouble) => return self.hold_ended(now, id, &trouble),
        };
        let attempt = self.attempts.get_mut(&id).expect("just seen");
        attempt.state = State::Recording;
        let host = if attempt.local {
            self.config.host.clone()
        } else {
            self.peers.get(attempt.link).map(|peer| peer.host.to_string()).unwrap_or_default()
        };
        let ended = Ended {
            job: attempt.job,
            at_s: now.seconds(),
            wall_s: now.seconds() + self.wall_offset_s,
            attempt: attempt.number,
            exit,
            run_time_us: attempt.run_time_us,
            started_s: attempt.started.seconds(),
            bytes_sent: attempt.sent,
            bytes_received: attempt.received,
            sizes: attempt.outputs.iter().map(|o| o.size).collect(),
            host,
            requeued,
        };
        self.begin_marks();
        let no = self.record(Record::Ended(ended.clone()));
        self.ended.insert(id, ended);
        #[cfg(feature = "mistakes")]
        if self.errs(crate::Mistake::EndBeforeSync) {
            return self.finish(now, no, id);
        }
        self.when_stored(no, Then::Ended(id));
    }

    /// The end is on disk: the log hears of it, the job leaves or stays completed, the worker may forget it (D34).
    pub(super) fn finish(&mut self, now: Timestamp, no: RecordNo, id: AttemptId) {
        let (Some(ended), Some(attempt)) = (self.ended.remove(&id), self.attempts.get(&id)) else { return };
        let slot = attempt.slot;
        self.completed += 1;
        if ended.requeued.is_some() {
            return self.finish_requeued(now, no, id, &ended);
        }
        self.apply_ended(slot, &ended);
        let run_s = (ended.run_time_us / 1_000_000) as i64;
        self.log_terminated(now, no, slot, run_s);
        self.acknowledge(id);
        self.drop_attempt(id);
        self.leave_completed(now, no, slot);
    }

    /// A completed job leaves unless its owner wants to see it (`leave_in_queue`). `no` is the record of its end.
    pub(super) fn leave_completed(&mut self, now: Timestamp, no: RecordNo, slot: crate::jobs::Slot) {
        match self.table.get(slot).story().departure {
            Departure::Archived => self.gone(now, slot, Some(no)),
            Departure::None if self.stays(now, slot) => self.outputs_delivered(now, no, Vec::new()),
            Departure::None | Departure::Leaving | Departure::Doubted => self.leave(now, slot, Some(no)),
        }
    }

    /// `kill` acknowledges a result; what the attempt left in the cache goes with it.
    pub(super) fn acknowledge(&mut self, id: AttemptId) {
        let Some(attempt) = self.attempts.get(&id) else { return };
        let (Some(task), link) = (attempt.task, attempt.link) else { return };
        if self.peers.get(link).is_none_or(|peer| peer.phase == Phase::Closing) {
            return;
        }
        let outputs = attempt.outputs.iter().map(|o| o.cached.clone());
        let names: Vec<String> = attempt.cached.iter().cloned().chain(outputs).collect();
        self.effect(Effect::Tell { link, message: ToWorker::Kill(Some(task)) });
        for name in names {
            self.effect(Effect::Tell { link, message: ToWorker::Unlink { name: name.into() } });
        }
    }

    /// Outputs cannot be put in place: the job is held, the result waits at its worker for a while (decision D37).
    fn undeliverable(&mut self, now: Timestamp, id: AttemptId, trouble: &Trouble) {
        self.log_transfer(now, id, TransferStage::OutputFinished);
        let attempt = self.attempts.get_mut(&id).expect("the caller has it");
        let (slot, link, exit) = (attempt.slot, attempt.link, attempt.exit);
        let parked = self.peers.get(link).map_or(PARKED_MAX, |peer| {
            peer.tasks.values().filter(|id| self.attempts.get(id).is_some_and(|a| a.state == State::Parked)).count()
        });
        if parked >= PARKED_MAX {
            self.acknowledge(id);
            self.drop_attempt(id);
        } else {
            self.attempts.get_mut(&id).expect("just seen").state = State::Parked;
            self.give_back(id);
            self.effect(Effect::Abandon { attempt: id });
            self.timers.set(now.plus_s(PARKED_S), Timer::Parked(id));
        }
        self.log_remote_error(now, slot, trouble);
        self.hold(now, slot, trouble, exit);
    }

    pub(super) fn parked_due(&mut self, _now: Timestamp, id: AttemptId) {
        if self.attempts.get(&id).is_some_and(|a| a.state == State::Parked) {
            self.acknowledge(id);
            self.drop_attempt(id);
        }
    }

    /// A held job was released: it waits for a worker, or its result is fetched again where it still lies.
    pub(super) fn run_again(&mut self, now: Timestamp, slot: crate::jobs::Slot) {
        let job = self.table.get(slot);
        // It waits already where it was held and released again before the first release was on disk.
        if job.status() != Status::Idle || job.is_waiting() || self.fetch_again(now, slot) {
            return;
        }
        // A run that is being killed says so itself when it is over.
        if self.table.get(slot).story().attempt.is_none() {
            self.make_ready(now, slot);
        }
    }

    fn fetch_again(&mut self, now: Timestamp, slot: crate::jobs::Slot) -> bool {
        let Some(id) = self.table.get(slot).story().attempt else { return false };
        let Some(attempt) = self.attempts.get(&id) else { return false };
        if attempt.state != State::Parked || self.peers.get(attempt.link).is_none() {
            return false;
        }
        let host = self.peers.get(attempt.link).map(|peer| format!("slot1@{}", peer.host)).unwrap_or_default();
        self.table.set_status(slot, Status::Running, now.seconds());
        let story = self.table.get_mut(slot).story_mut();
        story.host = Some(host.into());
        story.start_s = Some(now.seconds());
        self.fetch(now, id);
        true
    }

    /// Stops the run of a job whatever its stage; false if it has none that can be stopped.
    pub(super) fn stop_run(&mut self, now: Timestamp, slot: crate::jobs::Slot, verdict: Verdict) -> bool {
        let Some(id) = self.table.get(slot).story().attempt else { return false };
        match self.attempts[&id].state {
            State::Recording => false,
            State::Killing(_) => {
                self.attempts.get_mut(&id).expect("just seen").state = State::Killing(verdict);
                true
            }
            State::Preparing | State::Parked => {
                self.acknowledge(id);
                self.drop_attempt(id);
                false
            }
            State::Sending | State::Running | State::Fetching(_) | State::Delivering => {
                self.sending.remove(&id);
                if !self.attempts[&id].local {
                    self.effect(Effect::Abandon { attempt: id });
                }
                self.kill(now, id, verdict);
                true
            }
        }
    }
}

/// The shell's exit codes for a program that it could not start, which the program may have had itself.
fn may_not_have_run(attempt: &Attempt) -> bool {
    matches!(attempt.raw_exit, 126 | 127)
}

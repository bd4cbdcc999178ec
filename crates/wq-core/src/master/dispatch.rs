//! Matching jobs with peers, looking up their files, sending them.
//!
//! Work follows change: a queue that got jobs is tried against the index of free peers, a peer that got room against
//! the heads of the queues. Nothing goes over all jobs or all peers.

use std::collections::BTreeSet;

use classad::{ClassAd, Value};
use journal::{LostReason, Record, Started};
use userlog::TransferStage;
use wq_proto::ToWorker;

use super::Master;
use super::timers::Timer;
use crate::ids::{AttemptId, LinkId, Timestamp};
use crate::io::{Effect, Plan, Prepared, Trouble};
use crate::jobs::{QueueId, QueueKey, Slot, Status};
use crate::run::{Attempt, CommandLine, JobFiles, Output, OutputKind, SandboxNames, State, StreamName, Verdict};
use crate::workers::{Peer, Shape};

/// HTCondor's codes for inputs that cannot be sent.
const INPUTS_MISSING: i32 = 13;
const INPUTS_TOO_LARGE: i32 = 32;

/// Matches of one turn; the rest follows at once, after inputs that wait have had theirs.
const MATCHES_MAX: usize = 256;

/// What changed since the last matching.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    queues: BTreeSet<QueueId>,
    peers: BTreeSet<LinkId>,
}

impl Dirty {
    /// A queue got a job.
    pub(super) fn queue(&mut self, id: QueueId) {
        self.queues.insert(id);
    }

    /// A peer got room.
    pub(super) fn peer(&mut self, link: LinkId) {
        self.peers.insert(link);
    }
}

impl Master {
    /// Matches what can be matched.
    pub(super) fn dispatch(&mut self, now: Timestamp) {
        // Without a journal nothing new is begun: its end could not be recorded.
        if self.stopping
            || self.paused
            || self.store_failed.is_some()
            || (self.dirty.queues.is_empty() && self.dirty.peers.is_empty())
        {
            return;
        }
        let mut left = MATCHES_MAX;
        while let Some(link) = self.dirty.peers.first().copied() {
            if !self.fill_peer(now, link, &mut left) {
                return self.go_on_soon(now);
            }
            self.dirty.peers.remove(&link);
            if let Some(peer) = self.peers.get_mut(link) {
                peer.note_activity(now);
            }
        }
        while let Some(queue) = self.dirty.queues.first().copied() {
            if !self.drain_queue(now, queue, &mut left) {
                return self.go_on_soon(now);
            }
            self.dirty.queues.remove(&queue);
        }
    }

    fn go_on_soon(&mut self, now: Timestamp) {
        self.timers.set(now, Timer::Dispatch);
    }

    /// Gives a peer jobs until nothing fits. False when the turn is over first.
    fn fill_peer(&mut self, now: Timestamp, link: LinkId, left: &mut usize) -> bool {
        loop {
            if self.is_hosts_quarantine(now, link) {
                return true;
            }
            if *left > 0 && self.serve_reserved(now, link) {
                *left -= 1;
            }
            let Some(peer) = self.peers.get(link) else { return true };
            if peer.free().is_none_or(|free| free.cores == 0) {
                return true;
            }
            let wall_s = now.seconds() + self.wall_offset_s;
            let idle = &self.table.idle;
            let will_do = |key: QueueKey| {
                peer.fits(key.shape)
                    && peer.suits(key.class, &idle.classes, wall_s)
                    && idle.limits.have_room(key.limits)
            };
            let Some(queue) = idle.choose(will_do) else { break };
            if *left == 0 {
                return false;
            }
            *left -= 1;
            let slot = self.table.idle.first(queue).expect("chosen because a job waits");
            self.table.idle.served(queue);
            self.begin(now, slot, link);
        }
        if let Some(peer) = self.peers.get(link) {
            let wall_s = now.seconds() + self.wall_offset_s;
            self.table.idle.unstick(|key, classes| peer.fits(key.shape) && peer.suits(key.class, classes, wall_s));
        }
        true
    }

    /// Finds peers for the jobs of a queue. False when the turn is over first.
    fn drain_queue(&mut self, now: Timestamp, queue: QueueId, left: &mut usize) -> bool {
        if self.table.idle.try_first(queue).is_some() && self.table.idle.shape(queue).is_local() {
            return self.drain_local(now, queue, left);
        }
        // The queue may have gone with its last job.
        while let Some(slot) = self.table.idle.try_first(queue) {
            if self.table.idle.is_stuck(queue) {
                return true;
            }
            if *left == 0 {
                return false;
            }
            let key = self.table.idle.key(queue);
            if !self.table.idle.limits.have_room(key.limits) {
                // Whoever gives some back has the queue looked at again.
                return true;
            }
            let wall_s = now.seconds() + self.wall_offset_s;
            let Some(link) = self.peers.find(key.shape, key.class, &self.table.idle.classes, wall_s) else {
                self.table.idle.set_stuck(queue, now);
                self.watch_starving(now);
                return true;
            };
            *left -= 1;
            if !self.is_hosts_quarantine(now, link) {
                self.begin(now, slot, link);
            }
        }
        true
    }

    /// Starts an attempt: books its share and has its files looked up.
    pub(super) fn begin(&mut self, now: Timestamp, slot: Slot, link: LinkId) {
        let view = self.view(slot, now);
        let shape = self.table.idle.shape(view.job.queue);
        let peer = self.peers.get(link).expect("the index names peers that stand");
        let files = match JobFiles::read(&view, &machine_of(peer, shape)) {
            Ok(files) => files,
            Err(trouble) => return self.hold(now, slot, &trouble, None),
        };
        let names = SandboxNames::for_job(&files);
        let plan = match files.plan(&names, self.spools.get(&view.job.id.cluster)) {
            Ok(plan) => plan,
            Err(trouble) => return self.hold(now, slot, &trouble, None),
        };
        let repeats = self.table.cluster(view.job.id.cluster).is_some_and(|c| c.procs > 1);
        let plan = Box::new(Plan { repeats, ..plan });
        let id = AttemptId(self.next_attempt);
        self.next_attempt += 1;
        self.table.dequeue(slot);
        let job = self.table.get_mut(slot);
        let story = job.story_mut();
        story.attempt = Some(id);
        story.attempts += 1;
        let number = story.attempts;
        let (job, queue) = (job.id, job.queue);
        let limits = self.table.idle.key(queue).limits;
        self.table.idle.limits.take(limits);
        let peer = self.peers.get_mut(link).expect("the index names peers that stand");
        peer.book(shape);
        peer.note_activity(now);
        peer.preparing.insert(id);
        self.peers.changed(link);
        self.attempts.insert(
            id,
            Attempt {
                job,
                slot,
                link,
                local: false,
                shape,
                booked: true,
                limits,
                number,
                state: State::Preparing,
                task: None,
                outputs: outputs(id, &files, &names),
                cached: Vec::new(),
                kept: Vec::new(),
                files: Box::new(files),
                names: Box::new(names),
                asked_ahead: false,
                started: now,
                sent: 0,
                received: 0,
                exit: None,
                raw_exit: 0,
                run_time_us: 0,
                text: Vec::new(),
                trouble: None,
            },
        );
        self.effect(Effect::Prepare { attempt: id, plan });
    }

    /// The files are known: send everything, or hold the job.
    pub(super) fn prepared(&mut self, now: Timestamp, id: AttemptId, outcome: Result<Prepared, Trouble>) {
        let Some(attempt) = self.attempts.get(&id) else { return };
        if attempt.state != State::Preparing {
            return;
        }
        let slot = attempt.slot;
        match outcome.and_then(|prepared| self.parcel(id, &prepared)) {
            Ok(parcel) => {
                let started = self.start_of(now, id);
                // A note, written before the task goes out; it counts as a start when the last byte is in the socket.
                self.record(Record::Started(started.clone()));
                self.sending.insert(id, started);
                self.log_transfer(now, id, TransferStage::InputStarted);
                self.send(id, parcel);
            }
            Err(trouble) => {
                if matches!(trouble.code, INPUTS_MISSING | INPUTS_TOO_LARGE) {
                    self.log_inputs_missing(now, id, &trouble);
                }
                self.drop_attempt(id);
                self.hold(now, slot, &trouble, None);
            }
        }
    }

    /// A file of a task that is on its way is gone: trying again would cost a link each time.
    pub(super) fn unsendable(&mut self, now: Timestamp, id: AttemptId, trouble: &Trouble) {
        if self.attempts.get(&id).is_some_and(|a| a.state == State::Sending) {
            self.sending.remove(&id);
            if let Some(attempt) = self.drop_attempt(id) {
                self.hold(now, attempt.slot, trouble, None);
            }
        }
    }

    fn start_of(&self, now: Timestamp, id: AttemptId) -> Started {
        let attempt = &self.attempts[&id];
        let peer = self.peers.get(attempt.link).expect("an attempt's peer stands");
        let shape = attempt.shape;
        let (memory_mb, disk_mb) = allocation(peer, shape);
        Started {
            job: attempt.job,
            at_s: now.seconds(),
            attempt: attempt.number,
            host: peer.host.to_string(),
            slot: format!("slot1@{}", peer.host),
            cpus: shape.cores,
            memory_mb,
            disk_mb,
            gpus: shape.gpus,
        }
    }

    /// The last byte of a task is in the socket: the job runs (decision D33).
    pub(super) fn flushed(&mut self, now: Timestamp, link: LinkId, id: AttemptId) {
        let Some(started) = self.sending.remove(&id) else { return };
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        // Whoever stops an attempt takes it out of `sending`, so it is on its way still.
        if attempt.link != link || attempt.state != State::Sending {
            return;
        }
        attempt.started = now;
        attempt.state = State::Running;
        let slot = attempt.slot;
        self.apply_started(slot, &started);
        let address = self.peers.get(link).map(|peer| peer.address.to_string()).unwrap_or_default();
        self.log_transfer(now, id, TransferStage::InputFinished);
        let no = self.last_record();
        self.log_executing(now, no, slot, &address);
        self.watch_closely(now, link);
        self.limit_time(now, id, slot);
    }

    /// `allowed_execute_duration` and `allowed_job_duration`: timers of ours, the wire's limits mean different things
    /// in different releases.
    pub(super) fn limit_time(&mut self, now: Timestamp, id: AttemptId, slot: Slot) {
        let view = self.view(slot, now);
        let seconds = |name: &str| view.value(name).as_int().and_then(|s| u64::try_from(s).ok());
        let spent = now.seconds() - view.job.story().first_start_s.unwrap_or(now.seconds());
        let execute = seconds("allowedexecuteduration");
        let job = seconds("allowedjobduration").map(|s| s.saturating_sub(spent.max(0) as u64));
        if let Some(first) = execute.into_iter().chain(job).min() {
            self.timers.set(now.plus_s(first), Timer::TimeLimit(id));
        }
    }

    pub(super) fn time_limit_due(&mut self, now: Timestamp, id: AttemptId) {
        let Some(attempt) = self.attempts.get(&id).filter(|a| a.state == State::Running) else { return };
        let slot = attempt.slot;
        let ran_s = now.since(attempt.started) / 1_000_000;
        let limit = |name: &str| self.view(slot, now).value(name).as_int();
        let (code, reason) = match limit("allowedexecuteduration") {
            Some(limit) if ran_s >= limit.max(0) as u64 => {
                (47, format!("The job exceeded allowed execute duration of {}", interval(limit)))
            }
            _ => {
                let limit = limit("allowedjobduration").unwrap_or(0);
                (46, format!("The job exceeded allowed job duration of {}", interval(limit)))
            }
        };
        self.hold_run(now, slot, (code, 0), &reason);
    }

    /// Tells the peer to forget a task and asks for a sign of life behind it (decision D32).
    pub(super) fn kill(&mut self, now: Timestamp, id: AttemptId, verdict: Verdict) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        let link = attempt.link;
        let at_work = matches!(attempt.state, State::Sending | State::Running);
        attempt.state = State::Killing(verdict);
        if attempt.local {
            // No time limit for the confirmation: it must be gone before it may run again.
            return self.effect(Effect::EndLocal { attempt: id });
        }
        let Some(task) = attempt.task else {
            // Nothing was sent yet.
            return self.killed(now, id);
        };
        let names = attempt.names_in_cache();
        let Some(peer) = self.peers.get(link) else {
            self.unbook(id);
            return self.killed(now, id);
        };
        if at_work && peer.is_broken_foreman() {
            return self.kill_with_care(now, id);
        }
        self.unbook(id);
        let tells = true;
        #[cfg(feature = "mistakes")]
        let tells = tells && !self.errs(crate::Mistake::RequeueTwice);
        if tells {
            self.effect(Effect::Tell { link, message: ToWorker::Kill(Some(task)) });
        }
        for name in names {
            self.effect(Effect::Tell { link, message: ToWorker::Unlink { name: name.into() } });
        }
        self.effect(Effect::Tell { link, message: ToWorker::Check });
        let peer = self.peers.get_mut(link).expect("just seen");
        peer.checks.push_back(vec![id]);
        peer.checked_at.get_or_insert(now);
        self.timers.set(now.plus_s(self.config.confirm_s), Timer::Confirm(id));
        self.look_again(link, now.plus_s(self.config.check_kill_s));
    }

    /// The worker did not confirm in time: the job's story goes on without it.
    pub(super) fn confirm_due(&mut self, now: Timestamp, id: AttemptId) {
        if matches!(self.attempts.get(&id).map(|a| &a.state), Some(State::Killing(_))) {
            self.killed(now, id);
        }
    }

    /// A running job goes back to the queue on somebody's order.
    pub(super) fn vacate(&mut self, now: Timestamp, slot: Slot, reason: &str) -> bool {
        let job = self.table.get(slot);
        let (Some(id), Status::Running) = (job.story().attempt, job.status()) else { return false };
        if !matches!(self.attempts[&id].state, State::Running | State::Fetching(_)) {
            return false;
        }
        self.kill(now, id, Verdict::Requeue(LostReason::Vacated, reason.to_owned()));
        true
    }
}

/// Memory and disk of a job in MB: what it asked for, else a share of its worker in proportion to the cores, which is
/// shown and not reserved (decision D26).
fn allocation(peer: &Peer, shape: Shape) -> (u64, u64) {
    let most = peer.largest;
    let share = |asked: u64, total: u64| match asked {
        0 => total.saturating_mul(shape.cores.into()) / u64::from(most.cores.max(1)),
        asked => asked,
    };
    (share(shape.memory_mb, most.memory_mb), share(shape.disk_mb, most.disk_mb))
}

pub(super) fn machine_of(peer: &Peer, shape: Shape) -> ClassAd {
    let (memory_mb, disk_mb) = allocation(peer, shape);
    machine_ad(&peer.host, shape.cores, shape.gpus, memory_mb, disk_mb)
}

/// What `$$(…)` may name of the place where a job runs (decision D30).
pub(super) fn machine_ad(host: &str, cores: u32, gpus: u32, memory_mb: u64, disk_mb: u64) -> ClassAd {
    let int = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
    let mut ad = ClassAd::new();
    ad.insert("Cpus", int(cores.into()));
    ad.insert("Disk", int(disk_mb.saturating_mul(1024)));
    ad.insert("GPUs", int(gpus.into()));
    ad.insert("Machine", Value::from(host));
    ad.insert("Memory", int(memory_mb));
    ad
}

/// `D+HH:MM:SS`, as HTCondor writes spans.
fn interval(seconds: i64) -> String {
    let s = seconds.max(0);
    format!("{}+{:02}:{:02}:{:02}", s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60)
}

/// What an attempt brings back.
pub(super) fn outputs(id: AttemptId, files: &JobFiles, names: &SandboxNames) -> Vec<Output> {
    use crate::run::Stream;
    let mut outputs = Vec::new();
    let mut add = |sandbox: &str, target: &str, kind: OutputKind, watched: bool| {
        outputs.push(Output {
            cached: format!("a{id}-o{}", outputs.len()),
            sandbox: sandbox.to_owned(),
            target: target.to_owned(),
            kind,
            watched,
            done: false,
            missing: false,
            size: 0,
        });
    };
    let (stdout, stderr) = CommandLine::streams(files);
    if let (StreamName::Own, Stream::File(target)) = (stdout, &files.stdout) {
        add(&names.stdout, target, OutputKind::Stream, files.stream_stdout);
    }
    if let (StreamName::Own, Stream::File(target)) = (stderr, &files.stderr) {
        add(&names.stderr, target, OutputKind::Stream, files.stream_stderr);
    }
    for (sandbox, target) in &files.outputs {
        add(sandbox, target, OutputKind::Declared, false);
    }
    if files.everything {
        add(&names.collected, files.outputs_to(), OutputKind::Everything, false);
    }
    outputs
}

//! Jobs of the universes local and scheduler: they run on the submit host as the master's own user, so many at once
//! (decision D60).
//!
//! Such a job is an [`Attempt`] without a peer. It needs no look at its files before: the shell opens them as it starts
//! the program, and their content stays where it is. What follows from its end is what follows from every end.

use std::collections::BTreeSet;

use journal::{Record, Started};

use super::Master;
use super::dispatch::machine_ad;
use crate::ids::{AttemptId, LinkId, Timestamp};
use crate::io::{Effect, LocalEnd, LocalProgram, Trouble};
use crate::jobs::limits::LimitsId;
use crate::jobs::view::JobView;
use crate::jobs::{QueueId, Slot, Status};
use crate::run::{Attempt, JobFiles, SandboxNames, State};
use crate::workers::Shape;

/// The programs that the shell runs.
#[derive(Debug, Default)]
pub(super) struct Locals {
    /// From [`Effect::StartLocal`] to the last word on it, whatever has become of the attempt meanwhile.
    pub(super) out: BTreeSet<AttemptId>,
    /// Queues with jobs that found no place.
    waiting: BTreeSet<QueueId>,
}

impl Master {
    /// Starts jobs of a queue as long as there is a place. False when the turn is over first.
    pub(super) fn drain_local(&mut self, now: Timestamp, queue: QueueId, left: &mut usize) -> bool {
        while let Some(slot) = self.table.idle.try_first(queue) {
            if self.locals.out.len() >= self.config.local_jobs_max {
                // Whoever ends has the queue looked at again.
                self.locals.waiting.insert(queue);
                return true;
            }
            if *left == 0 {
                return false;
            }
            *left -= 1;
            self.begin_local(now, slot);
        }
        true
    }

    fn begin_local(&mut self, now: Timestamp, slot: Slot) {
        let view = self.view(slot, now);
        let cores = u32::try_from(self.config.cpus).unwrap_or(u32::MAX);
        let machine = machine_ad(&self.config.host, cores, 0, self.config.memory_mb, 0);
        let read = JobFiles::read(&view, &machine).and_then(|files| {
            let names = SandboxNames::for_job(&files);
            let program = self.local_program(&view, &files, &names)?;
            Ok((files, names, program))
        });
        let (files, names, program) = match read {
            Ok(read) => read,
            Err(trouble) => return self.hold(now, slot, &trouble, None),
        };
        let id = AttemptId(self.next_attempt);
        self.next_attempt += 1;
        self.table.dequeue(slot);
        let job = self.table.get_mut(slot);
        let story = job.story_mut();
        story.attempt = Some(id);
        story.attempts += 1;
        let started = Started {
            job: job.id,
            at_s: now.seconds(),
            attempt: job.story().attempts,
            host: self.config.host.clone(),
            slot: self.config.host.clone(),
            cpus: 0,
            memory_mb: 0,
            disk_mb: 0,
            gpus: 0,
        };
        let attempt = Attempt {
            job: started.job,
            slot,
            link: LinkId::NONE,
            local: true,
            shape: Shape::LOCAL,
            booked: false,
            limits: LimitsId::default(),
            number: started.attempt,
            state: State::Sending,
            task: None,
            outputs: Vec::new(),
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
        };
        self.attempts.insert(id, attempt);
        self.locals.out.insert(id);
        // A note, written before the program starts; it counts as a start when that runs.
        self.record(Record::Started(started.clone()));
        self.sending.insert(id, started);
        self.effect(Effect::StartLocal { attempt: id, program: Box::new(program) });
    }

    fn local_program(
        &self,
        view: &JobView<'_>,
        files: &JobFiles,
        names: &SandboxNames,
    ) -> Result<LocalProgram, Trouble> {
        let copies = match &files.spool {
            Some(_) => Some(files.plan(names, self.spools.get(&view.job.id.cluster))?.copies),
            None => None,
        };
        // A copy of stdin stands among the others.
        let stdin = files.stdin.as_ref().map(|path| match &files.spool {
            Some(folder) => format!("{folder}/{}", names.stdin),
            None => path.clone(),
        });
        Ok(LocalProgram {
            job: view.job.id,
            iwd: files.outputs_to().to_owned(),
            copies,
            cmd: files.cmd.clone(),
            executable: files.executable,
            proxy: files.proxy,
            token: files.token,
            arguments: files.arguments.clone(),
            environment: files.environment.clone(),
            stdin,
            stdout: files.stdout.clone(),
            stderr: files.stderr.clone(),
            umask: view.value("_awqumask").as_int().unwrap_or(0o022) as u32 & 0o777,
        })
    }

    /// The program runs.
    pub(super) fn started_local(&mut self, now: Timestamp, id: AttemptId) {
        // Whoever stops an attempt takes it out of `sending`.
        let (Some(started), Some(attempt)) = (self.sending.remove(&id), self.attempts.get_mut(&id)) else { return };
        attempt.started = now;
        attempt.state = State::Running;
        let slot = attempt.slot;
        self.apply_started(slot, &started);
        let no = self.last_record();
        self.log_executing_here(now, no, slot);
        self.limit_time(now, id, slot);
    }

    /// No process of it is left.
    pub(super) fn ended_local(&mut self, now: Timestamp, id: AttemptId, outcome: Result<LocalEnd, Trouble>) {
        self.locals.out.remove(&id);
        for queue in std::mem::take(&mut self.locals.waiting) {
            self.dirty.queue(queue);
        }
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        let slot = attempt.slot;
        match (&attempt.state, outcome) {
            (State::Killing(_), _) => self.killed(now, id),
            (State::Sending | State::Running, Ok(end)) => {
                attempt.exit = Some(end.exit);
                attempt.run_time_us = end.run_time_us;
                self.started_local(now, id);
                self.record_end(now, id);
            }
            (State::Sending | State::Running, Err(trouble)) => {
                self.sending.remove(&id);
                self.drop_attempt(id);
                self.log_remote_error(now, slot, &trouble);
                self.hold(now, slot, &trouble, None);
            }
            (State::Preparing | State::Fetching(_) | State::Delivering | State::Recording | State::Parked, _) => {
                unreachable!("attempt {id} ended twice")
            }
        }
    }

    /// How many places are taken, of how many.
    pub(super) fn local_places(&self) -> (u64, u64) {
        (self.locals.out.len() as u64, self.config.local_jobs_max as u64)
    }

    /// Jobs that run on the submit host.
    pub(super) fn running_local(&self) -> u64 {
        let runs = |id: &&AttemptId| {
            let attempt = self.attempts.get(id);
            attempt.is_some_and(|attempt| self.table.get(attempt.slot).status() == Status::Running)
        };
        // Those whose end is on its way to the disk run still, as their ads say.
        let ending = self.ended.keys().filter(|id| self.attempts.get(id).is_some_and(|attempt| attempt.local));
        (self.locals.out.iter().filter(runs).count() + ending.count()) as u64
    }
}

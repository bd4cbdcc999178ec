//! A planned restart (decision D10): nothing is begun while what is under way comes to rest; what the journal does not
//! know is handed over; the next program takes it up after it has read the journal.
//!
//! A job that is with a worker then is neither lost nor started again: it has no event and no record of this.

use std::collections::{BTreeMap, BTreeSet};

use journal::Started;
use wq_proto::{TaskId, ToWorker};

use super::Master;
use super::dispatch::machine_of;
use super::timers::Timer;
use crate::ids::{AttemptId, BlobId, JobId, LinkId, Timestamp};
use crate::io::Effect;
use crate::jobs::{Deferral, Status};
use crate::run::{Attempt, JobFiles, Output, OutputKind, SandboxNames, State, Verdict};
use crate::workers::{Health, Peer, Phase};

/// Hosts that a sentence names.
const NAMED_MAX: usize = 3;

/// What an earlier program handed over, until the journal is read.
#[derive(Debug)]
pub(super) struct Handed {
    core: handover::Core,
    /// Starts that are recorded and do not count before their last byte is out.
    sent: BTreeSet<(JobId, u32)>,
}

impl Handed {
    /// Whether this start does not count yet.
    pub(super) fn is_sent(&self, started: &Started) -> bool {
        self.sent.contains(&(started.job, started.attempt))
    }
}

impl Master {
    pub(super) fn pause(&mut self, on: bool) {
        if std::mem::replace(&mut self.paused, on) && !on {
            self.ask_for_put_off();
        }
    }

    /// Asks for results that wait at their workers.
    fn ask_for_put_off(&mut self) {
        let waiting: Vec<LinkId> = self.peers.iter().filter(|peer| peer.put_off).map(|peer| peer.link).collect();
        for link in waiting {
            if let Some(peer) = self.peers.get_mut(link) {
                peer.put_off = false;
                self.results_available(link);
            }
        }
    }

    /// How many jobs run on the submit host: they are children of threads of this program and end with it.
    pub fn local_jobs(&self) -> usize {
        self.locals.out.len()
    }

    /// How many tasks are with the peer of this link.
    pub fn tasks_on(&self, link: LinkId) -> usize {
        self.peers.get(link).map_or(0, |peer| peer.tasks.len())
    }

    /// What keeps the state from being handed over, as a part of a sentence; `None` when all is at rest.
    pub fn unrest(&self) -> Option<String> {
        if self.recovery.is_some() || self.stopping {
            return Some("the service begins or ends".into());
        }
        if !self.locals.out.is_empty() {
            return Some(format!("{} jobs of the local or scheduler universe are running", self.locals.out.len()));
        }
        if let Some(reason) = &self.store_failed {
            return Some(format!("the journal cannot be written: {reason}"));
        }
        let mut under_way: BTreeMap<&str, Vec<LinkId>> = BTreeMap::new();
        for attempt in self.attempts.values() {
            let what = match attempt.state {
                State::Running | State::Parked | State::Sending => continue,
                State::Preparing => "files of jobs are being looked up",
                State::Fetching(_) => "outputs of jobs are being fetched",
                State::Delivering => "outputs of jobs are being put in place",
                State::Recording => "ends of jobs are being recorded",
                State::Killing(_) => "tasks are being killed",
            };
            under_way.entry(what).or_default().push(attempt.link);
        }
        for peer in self.peers.iter() {
            if peer.result_of.is_some() {
                under_way.entry("results are being read").or_default().push(peer.link);
            } else if peer.body_of.is_some() {
                under_way.entry("files of jobs are being received").or_default().push(peer.link);
            } else if peer.phase == Phase::Closing && !peer.tasks.is_empty() {
                under_way.entry("connections are being closed").or_default().push(peer.link);
            }
        }
        if let Some((what, links)) = under_way.iter().max_by_key(|(_, links)| links.len()) {
            let hosts: BTreeSet<&str> =
                links.iter().filter_map(|link| self.peers.get(*link)).map(|peer| &*peer.host).collect();
            let named: Vec<&str> = hosts.iter().copied().take(NAMED_MAX).collect();
            let more = if hosts.len() > NAMED_MAX { ", …" } else { "" };
            return Some(format!("{what} ({}: {}{more})", links.len(), named.join(", ")));
        }
        self.promises.are_open().then(|| "records are on their way to the disk".into())
    }

    /// What the journal does not know, at rest, of links that go along; the others are lost as in a crash.
    ///
    /// Each field of the master is named, so that whoever adds one has to say here what becomes of it.
    pub fn handed_over(&self, goes_along: impl Fn(LinkId) -> bool) -> handover::Core {
        let Master {
            peers,
            attempts,
            next_attempt,
            sending: _, // Goes with its attempt.
            next_cluster,
            reserved,
            recent_losses,
            health,
            timers,
            completed,
            // The next program has a configuration and clocks of its own.
            config: _,
            site: _,
            wall_offset_s: _,
            // Comes from the journal; but see `deferred_s` and `stuck`.
            table,
            blobs: _,
            spools: _,
            next_record: _,
            policies: _,
            factories: _,
            marks: _,
            leavers: _,
            recovery: _,
            events: _,
            taken: _,
            // Nobody is to be answered, and nothing is between two records.
            results: _,
            ended: _,
            promises: _,
            logged: _,
            next_token: _,
            cursors: _,
            machine_cursors: _,
            inquiries: _,
            effects: _,
            locals: _,
            store_failed: _,
            stopping: _,
            paused: _,
            misfits: _,
            // A checkpoint that is half written counts for nothing; another follows.
            checkpoint: _,
            // Everything is tried again, and the shell looks for the file `drain`.
            dirty: _,
            draining: _,
            // Goes with its peer.
            starving: _,
        } = self;
        let stands =
            |link: &LinkId| peers.get(*link).is_some_and(|peer| peer.phase != Phase::Closing) && goes_along(*link);
        let timers = timers.iter().filter_map(|(at, timer)| {
            let timer = match timer {
                Timer::Hello(link) if stands(&link) => handover::Timer::Hello(link.into()),
                Timer::Check(link) if stands(&link) => handover::Timer::Check(link.into()),
                Timer::Quarantine(link) if stands(&link) => handover::Timer::Quarantine(link.into()),
                Timer::Parked(id) if attempts.contains_key(&id) => handover::Timer::Parked(id.0),
                Timer::TimeLimit(id) if attempts.contains_key(&id) => handover::Timer::TimeLimit(id.0),
                Timer::Hello(_) | Timer::Check(_) | Timer::Quarantine(_) | Timer::Parked(_) | Timer::TimeLimit(_) => {
                    return None;
                }
                // No kill is under way, and a start sets the others.
                Timer::Confirm(_)
                | Timer::Deferral(_)
                | Timer::Dispatch
                | Timer::Policies
                | Timer::Starving
                | Timer::EventsUpto
                | Timer::OutputsUpto
                | Timer::LastMark
                | Timer::Checkpoint
                | Timer::Why(_) => return None,
            };
            Some((at.0, timer))
        });
        let stuck = table.idle.stuck().filter_map(|(queue, _, since)| {
            let JobId { cluster, proc_ } = table.get(table.idle.try_first(queue)?).id;
            Some((cluster, proc_, since.0))
        });
        let standing = attempts.iter().filter(|(_, attempt)| stands(&attempt.link));
        handover::Core {
            next_attempt: *next_attempt,
            next_cluster: *next_cluster,
            reserved: reserved.iter().copied().collect(),
            completed: *completed,
            recent_losses: recent_losses.iter().map(|at| at.0).collect(),
            hosts: health.hand_over(),
            peers: peers.iter().filter(|peer| stands(&peer.link)).filter_map(Peer::hand_over).collect(),
            attempts: standing.filter_map(|(id, attempt)| self.hand_over_attempt(*id, attempt)).collect(),
            timers: timers.collect(),
            stuck: stuck.collect(),
        }
    }

    fn hand_over_attempt(&self, id: AttemptId, attempt: &Attempt) -> Option<handover::Attempt> {
        let Attempt {
            job,
            slot: _,
            link,
            local: false,
            shape,
            booked,
            limits: _, // As the job asks for them.
            number,
            state,
            task,
            files: _, // What the job's ad says.
            names: _,
            outputs,
            cached,
            kept,
            asked_ahead,
            started,
            sent,
            received: _, // Outputs are counted, and complained of, each time that they are fetched.
            trouble: _,
            exit,
            raw_exit,
            run_time_us,
            text,
        } = attempt
        else {
            return None;
        };
        let progress = match state {
            State::Running => handover::Progress::Running,
            State::Parked => handover::Progress::Parked,
            State::Sending => handover::Progress::Sending(self.sending.get(&id)?.clone()),
            State::Preparing
            | State::Fetching(_)
            | State::Delivering
            | State::Recording
            | State::Killing(Verdict::Remove | Verdict::Hold(_) | Verdict::Requeue(..) | Verdict::Nothing) => {
                return None;
            }
        };
        Some(handover::Attempt {
            id: id.0,
            cluster: job.cluster,
            proc_: job.proc_,
            link: (*link).into(),
            shape: (*shape).into(),
            booked: *booked,
            // A parked one has given it back.
            limited: *state != State::Parked,
            number: *number,
            progress,
            task: (*task)?.0,
            outputs: outputs.iter().map(Output::hand_over).collect(),
            cached: cached.clone(),
            kept: kept.iter().map(BlobId::to_string).collect(),
            asked_ahead: *asked_ahead,
            deferred_s: self.table.deferrals.get(job).map(|deferral| deferral.at_s),
            started: started.0,
            sent: *sent,
            text: text.clone(),
            exit: *exit,
            raw_exit: *raw_exit,
            run_time_us: *run_time_us,
        })
    }

    /// Takes what an earlier program handed over, before the first [`Master::recover`]; [`Master::start`] takes it up.
    pub fn take_over(&mut self, core: handover::Core) {
        let handover::Core {
            next_attempt,
            next_cluster,
            reserved,
            completed,
            recent_losses,
            hosts,
            attempts,
            // These wait for the journal.
            peers: _,
            timers: _,
            stuck: _,
        } = &core;
        self.next_attempt = self.next_attempt.max(*next_attempt);
        self.next_cluster = self.next_cluster.max(*next_cluster);
        self.reserved = reserved.iter().copied().collect();
        self.completed = *completed;
        self.recent_losses = recent_losses.iter().copied().map(Timestamp).collect();
        self.health = Health::take_over(hosts);
        let sent = attempts.iter().filter_map(|attempt| match &attempt.progress {
            handover::Progress::Sending(started) => Some((started.job, started.attempt)),
            handover::Progress::Running | handover::Progress::Parked => None,
        });
        let sent = sent.collect();
        let recovery = self.recovery.as_mut().expect("nothing is taken over after the start");
        recovery.handed = Some(Handed { core, sent });
    }

    /// What did not fit to the journal, in sentences: there is none unless there is a bug, and a rehearsal looks.
    pub fn misfits(&self) -> &[String] {
        &self.misfits
    }

    /// The journal is read: peers, attempts and timers as they were. Gives the jobs that find no room.
    pub(super) fn take_over_links(&mut self, now: Timestamp, handed: Handed) -> Vec<(u32, u32, u64)> {
        let Handed { core, .. } = handed;
        for from in &core.peers {
            match Peer::take_over(from) {
                Ok(peer) => {
                    let link = peer.link;
                    if peer.reserved.is_some() {
                        self.keep_reserved(now, link);
                    }
                    self.peers.add(peer);
                    if from.phase == handover::Phase::Ready {
                        self.peers.make_ready(link);
                    }
                }
                Err(misfit) => self.misfits.push(misfit),
            }
        }
        for from in &core.attempts {
            if let Err(misfit) = self.take_over_attempt(now, from) {
                let job = JobId::new(from.cluster, from.proc_);
                self.misfits.push(format!("job {job}: {misfit}"));
                // Its story goes on without this run, which must not go on.
                let message = ToWorker::Kill(Some(TaskId(from.task)));
                self.effect(Effect::Tell { link: from.link.into(), message });
            }
        }
        for (at, timer) in &core.timers {
            let timer = match *timer {
                handover::Timer::Hello(link) => Timer::Hello(link.into()),
                handover::Timer::Check(link) => Timer::Check(link.into()),
                handover::Timer::Quarantine(link) => Timer::Quarantine(link.into()),
                handover::Timer::Parked(id) => Timer::Parked(AttemptId(id)),
                handover::Timer::TimeLimit(id) => Timer::TimeLimit(AttemptId(id)),
            };
            self.timers.set(Timestamp(*at), timer);
        }
        let links: Vec<LinkId> = self.peers.iter().map(|peer| peer.link).collect();
        for link in links {
            self.peers.changed(link);
            self.dirty.peer(link);
        }
        self.ask_for_put_off();
        core.stuck
    }

    /// Jobs that wait for a worker again go on counting how long they have found no room.
    pub(super) fn take_over_waits(&mut self, now: Timestamp, stuck: &[(u32, u32, u64)]) {
        for (cluster, proc_, since) in stuck {
            let waiting = self.table.find(JobId::new(*cluster, *proc_)).map(|slot| self.table.get(slot));
            if let Some(queue) = waiting.filter(|job| job.is_waiting()).map(|job| job.queue) {
                self.table.idle.set_stuck(queue, Timestamp(*since));
                self.watch_starving(now);
            }
        }
    }

    fn take_over_attempt(&mut self, now: Timestamp, from: &handover::Attempt) -> Result<(), String> {
        let handover::Attempt {
            id,
            cluster,
            proc_,
            link,
            shape,
            booked,
            limited,
            number,
            progress,
            task,
            outputs,
            cached,
            kept,
            asked_ahead,
            deferred_s,
            started,
            sent,
            text,
            exit,
            raw_exit,
            run_time_us,
        } = from;
        let (id, link) = (AttemptId(*id), LinkId::from(*link));
        let (shape, task) = ((*shape).into(), TaskId(*task));
        let slot = self.table.find(JobId::new(*cluster, *proc_)).ok_or("the journal does not know it")?;
        let peer = self.peers.get(link).ok_or("its worker is missing")?;
        let (state, status) = match progress {
            handover::Progress::Sending(_) => (State::Sending, Status::Idle),
            handover::Progress::Running => (State::Running, Status::Running),
            handover::Progress::Parked => (State::Parked, Status::Held),
        };
        let found = self.table.get(slot).status();
        if found != status {
            return Err(format!("the journal says that it is {found:?}, and it was {status:?}"));
        }
        let is_kept = |text: &String| BlobId::from_text(text).filter(|id| peer.kept.has(*id));
        let kept: Vec<BlobId> =
            kept.iter().map(is_kept).collect::<Option<_>>().ok_or("it needs what its worker does not keep")?;
        let files =
            JobFiles::read(&self.view(slot, now), &machine_of(peer, shape)).map_err(|trouble| trouble.reason)?;
        let names = SandboxNames::for_job(&files);
        let mut limits = Default::default();
        if *limited {
            limits = self.table.idle.key(self.table.get(slot).queue).limits;
            self.table.idle.limits.take(limits);
        }
        let job = self.table.get_mut(slot);
        let story = job.story_mut();
        story.attempt = Some(id);
        story.attempts = story.attempts.max(*number);
        let job = job.id;
        if let Some(at_s) = *deferred_s {
            self.table.deferrals.insert(job, Deferral { at_s, waits: false });
        }
        let peer = self.peers.get_mut(link).expect("just seen");
        if *booked {
            peer.book(shape);
        }
        peer.tasks.insert(task, id);
        let sizes: BTreeMap<BlobId, u64> =
            if kept.is_empty() { BTreeMap::new() } else { peer.kept.contents().into_iter().collect() };
        for content in &kept {
            peer.kept.take(*content, sizes[content]);
        }
        if let handover::Progress::Sending(started) = progress {
            self.sending.insert(id, started.clone());
        }
        let attempt = Attempt {
            job,
            slot,
            link,
            local: false,
            shape,
            booked: *booked,
            limits,
            number: *number,
            state,
            task: Some(task),
            files: Box::new(files),
            names: Box::new(names),
            outputs: outputs.iter().map(Output::take_over).collect(),
            cached: cached.clone(),
            kept,
            asked_ahead: *asked_ahead,
            started: Timestamp(*started),
            sent: *sent,
            received: 0,
            exit: *exit,
            raw_exit: *raw_exit,
            run_time_us: *run_time_us,
            text: text.clone(),
            trouble: None,
        };
        self.attempts.insert(id, attempt);
        Ok(())
    }
}

impl Output {
    /// What is asked for when the job has ended; nothing of it has come before.
    fn hand_over(&self) -> handover::Output {
        let Output { cached, sandbox, target, kind, watched, done: _, missing: _, size: _ } = self;
        handover::Output {
            cached: cached.clone(),
            sandbox: sandbox.clone(),
            target: target.clone(),
            kind: match kind {
                OutputKind::Stream => handover::OutputKind::Stream,
                OutputKind::Declared => handover::OutputKind::Declared,
                OutputKind::Everything => handover::OutputKind::Everything,
            },
            watched: *watched,
        }
    }

    fn take_over(from: &handover::Output) -> Output {
        let handover::Output { cached, sandbox, target, kind, watched } = from;
        Output {
            cached: cached.clone(),
            sandbox: sandbox.clone(),
            target: target.clone(),
            kind: match kind {
                handover::OutputKind::Stream => OutputKind::Stream,
                handover::OutputKind::Declared => OutputKind::Declared,
                handover::OutputKind::Everything => OutputKind::Everything,
            },
            watched: *watched,
            done: false,
            missing: false,
            size: 0,
        }
    }
}

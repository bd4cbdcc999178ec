//! What peers say, and how they come and go.

use journal::LostReason;
use wq_proto::{FromWorker, Hello, Info, Resource, ToWorker};

use super::Master;
use super::timers::Timer;
use crate::ids::{LinkId, Timestamp};
use crate::io::{BodyOutcome, DownReason, Effect, Notice};
use crate::run::{Attempt, State};
use crate::workers::{Expect, Peer, Phase, machine};

/// Losses within this time are looked at together: three or more are the network's fault, not the jobs' (D41).
const LOSS_WINDOW_S: u64 = 30;
const LOSSES_TOGETHER: usize = 3;

/// A link that is lost within this time of a start is taken to be the worker's failure (decision D41).
const YOUNG_S: u64 = 10;

impl Master {
    pub(super) fn link_up(&mut self, now: Timestamp, link: LinkId, address: &str) {
        self.peers.add(Peer::new(link, address, now));
        self.timers.set(now.plus_s(self.config.hello_s), Timer::Hello(link));
    }

    pub(super) fn said(&mut self, now: Timestamp, link: LinkId, message: FromWorker) {
        let Some(peer) = self.peers.get_mut(link) else { return };
        if peer.phase == Phase::Closing {
            return;
        }
        peer.heard_at = now;
        match message {
            FromWorker::Hello(hello) => self.hello(link, &hello),
            FromWorker::Name => {
                let name = self.config.project.clone().into();
                self.effect(Effect::Tell { link, message: ToWorker::ProjectName(name) });
            }
            // The shell answers those who open with it.
            FromWorker::Status(_) | FromWorker::Http { .. } => self.misbehaved(link, "a status request from a worker"),
            FromWorker::PasswordOffered => {
                self.close(link, "the peer has a password file and this master has none (--password-file)");
            }
            FromWorker::Info(info) => self.info(now, link, &info),
            FromWorker::Resource(Resource { kind, total, largest, .. }) => {
                peer.stage(&kind, total.floor(), largest.floor());
            }
            FromWorker::Alive => self.alive(now, link),
            FromWorker::AvailableResults => self.results_available(link),
            FromWorker::Result(result) => self.result(link, result),
            FromWorker::End => self.end_of_answer(now, link),
            FromWorker::File { name, len } => self.file_coming(now, link, &name, len),
            FromWorker::Dir { name } => self.dir_coming(now, link, &name),
            FromWorker::Missing { name, errno } => self.missing(now, link, &name, errno),
            FromWorker::Update { task, path, offset, .. } => self.growth(link, task, &path, offset),
            FromWorker::ResourceTag(tag) => self.resource_tag(link, tag),
            FromWorker::Feature(_)
            | FromWorker::Tlq(_)
            | FromWorker::CacheUpdate { .. }
            | FromWorker::CacheInvalid { .. }
            | FromWorker::ThirdputComplete { .. } => {}
        }
    }

    fn hello(&mut self, link: LinkId, hello: &Hello) {
        let peer = self.peers.get_mut(link).expect("the caller has it");
        if !peer.host.is_empty() {
            return self.misbehaved(link, "a second hello");
        }
        peer.protocol = hello.protocol;
        peer.foreman = hello.is_foreman();
        peer.below = peer.foreman.then(Box::default);
        peer.arch = machine::arch(&hello.arch).into();
        peer.op_sys = machine::op_sys(&hello.os, peer.foreman).into();
        // Not a word that ends up in file names or shell lines; for display it must only be printable.
        let host: String = hello.host.chars().filter(|c| !c.is_control()).take(255).collect();
        peer.host = if host.is_empty() { "unknown".into() } else { host.into() };
    }

    fn info(&mut self, now: Timestamp, link: LinkId, info: &Info) {
        let peer = self.peers.get_mut(link).expect("the caller has it");
        match info {
            Info::EndOfResourceUpdate => {
                if peer.host.is_empty() {
                    return self.misbehaved(link, "resources before a hello");
                }
                let changed = peer.commit_resources();
                if peer.phase == Phase::Greeting {
                    let notice = Notice::WorkerJoined {
                        link,
                        host: peer.host.to_string(),
                        protocol: peer.protocol.number(),
                        foreman: peer.foreman,
                    };
                    self.peers.make_ready(link);
                    self.effect(Effect::Notice(notice));
                    self.look_again(link, now.plus_s(self.config.check_idle_s));
                } else if !changed {
                    return;
                }
                self.peers.changed(link);
                self.dirty.peer(link);
            }
            Info::TasksWaiting(count) => self.tasks_waiting(now, link, *count),
            Info::TasksRunning(_) => self.tasks_running(link),
            Info::IdleDisconnecting { .. } | Info::Vacating { .. } | Info::Exhausted { .. } => {
                peer.leaving = true;
                self.peers.changed(link);
            }
            _ => {}
        }
    }

    /// An answer to `check`, or the head of an update that nobody asked for. After a kill both prove that the peer has
    /// gone on to read what came behind it, except that a spontaneous one may have crossed with the kill: the task is
    /// then reported gone a moment early.
    fn alive(&mut self, now: Timestamp, link: LinkId) {
        let peer = self.peers.get_mut(link).expect("the caller has it");
        let confirmed = peer.checks.pop_front();
        peer.checked_at = if peer.checks.is_empty() { None } else { Some(now) };
        for attempt in confirmed.into_iter().flatten() {
            self.killed(now, attempt);
        }
    }

    pub(super) fn hello_due(&mut self, link: LinkId) {
        if self.peers.get(link).is_some_and(|peer| peer.phase == Phase::Greeting) {
            self.close(link, "no complete greeting in time");
        }
    }

    /// A task is with the peer: it is asked more often from now on.
    pub(super) fn watch_closely(&mut self, now: Timestamp, link: LinkId) {
        self.look_again(link, now.plus_s(self.config.check_busy_s));
    }

    /// Looks at the peer at this time, unless that happens earlier anyway. One timer counts; others are stale.
    pub(super) fn look_again(&mut self, link: LinkId, at: Timestamp) {
        if let Some(peer) = self.peers.get_mut(link)
            && peer.look_at.is_none_or(|known| at < known)
        {
            peer.look_at = Some(at);
            self.timers.set(at, Timer::Check(link));
        }
    }

    pub(super) fn check_due(&mut self, now: Timestamp, link: LinkId) {
        let Some(peer) = self.peers.get_mut(link) else { return };
        if peer.phase != Phase::Ready || peer.look_at.is_none_or(|at| at > now) {
            return;
        }
        peer.look_at = None;
        let killing = peer.checks.iter().any(|waiting| !waiting.is_empty());
        let patience = if killing { self.config.check_kill_s } else { self.config.check_answer_s };
        let quiet = if peer.tasks.is_empty() { self.config.check_idle_s } else { self.config.check_busy_s };
        // Whoever is sending or receiving a body is watched by the shell, which sees its bytes move.
        let busy = peer.body_of.is_some()
            || peer.result_of.is_some()
            || peer.tasks.values().any(|id| self.attempts.get(id).is_some_and(|a| a.state == State::Sending));
        let next = match peer.checked_at {
            Some(asked) if !busy && peer.heard_at < asked && now >= asked.plus_s(patience) => {
                return self.give_up(now, link);
            }
            Some(asked) if asked.plus_s(patience) > now => asked.plus_s(patience),
            _ if busy => now.plus_s(self.config.check_answer_s),
            _ if now >= peer.heard_at.plus_s(quiet) => {
                peer.checks.push_back(Vec::new());
                peer.checked_at.get_or_insert(now);
                self.effect(Effect::Tell { link, message: ToWorker::Check });
                now.plus_s(self.config.check_answer_s)
            }
            _ => peer.heard_at.plus_s(quiet),
        };
        self.look_again(link, next);
    }

    fn give_up(&mut self, now: Timestamp, link: LinkId) {
        self.effect(Effect::Close { link, why: "no answer to a check".into() });
        self.lost(now, link, LostReason::Silent, "the worker did not answer in time");
    }

    /// Hangs up; the shell's `LinkDown` ends what still stands.
    pub(super) fn close(&mut self, link: LinkId, why: &str) {
        self.peers.make_closing(link);
        self.effect(Effect::Close { link, why: why.to_owned() });
    }

    /// A peer broke a rule: it is of no use any more.
    pub(super) fn misbehaved(&mut self, link: LinkId, how: &str) {
        self.effect(Effect::Notice(Notice::Misbehaved { link, how: how.to_owned() }));
        self.close(link, how);
    }

    pub(super) fn body_done(&mut self, now: Timestamp, link: LinkId, outcome: BodyOutcome) {
        let Some(peer) = self.peers.get_mut(link) else { return };
        peer.heard_at = now;
        if let Some(attempt) = peer.result_of.take() {
            return self.result_complete(now, link, attempt, outcome);
        }
        if let Some(Expect::Output { attempt, output }) = peer.body_of.take() {
            self.output_body(attempt, output, outcome);
        }
    }

    pub(super) fn link_down(&mut self, now: Timestamp, link: LinkId, reason: DownReason) {
        let (why, text) = match reason {
            DownReason::Closed => (LostReason::LinkLost, "the connection to the worker broke".to_owned()),
            DownReason::Garbage(what) => (LostReason::Misbehaved, format!("the worker broke the protocol: {what}")),
            DownReason::Ours => (LostReason::LinkLost, "the connection to the worker was closed".to_owned()),
            DownReason::Stalled => (LostReason::Silent, "nothing moved on the connection for too long".to_owned()),
        };
        self.lost(now, link, why, &text);
    }

    /// The peer is gone: each of its tasks goes back, is given up, or has all it needs already.
    fn lost(&mut self, now: Timestamp, link: LinkId, why: LostReason, text: &str) {
        let Some(peer) = self.peers.remove(link) else { return };
        let reason = if peer.leaving { LostReason::WorkerLeft } else { why };
        let text = format!("{text} ({}, {})", peer.host, peer.address);
        if peer.phase == Phase::Ready {
            self.effect(Effect::Notice(Notice::WorkerLeft {
                link,
                host: peer.host.to_string(),
                jobs: peer.tasks.len(),
                reason: text.clone(),
            }));
        }
        let counted = !peer.leaving && !self.stopping && !peer.tasks.is_empty() && self.alone(now);
        if counted && peer.tasks.values().any(|id| self.attempts.get(id).is_some_and(|a| died_of(now, a))) {
            self.host_failed(now, peer.host_key());
        }
        for id in peer.tasks.into_values().chain(peer.preparing) {
            let Some(attempt) = self.attempts.get_mut(&id) else { continue };
            attempt.task = None;
            attempt.booked = false;
            #[cfg(feature = "mistakes")]
            match (self.config.mistake, &self.attempts[&id].state) {
                (Some(crate::Mistake::HalfOutput), State::Fetching(_)) => {
                    self.all_fetched(now, id);
                    continue;
                }
                (Some(crate::Mistake::ForgottenOnLoss), State::Running) => {
                    self.drop_attempt(id);
                    continue;
                }
                _ => {}
            }
            match self.attempts[&id].state.clone() {
                // It never reached the worker (decision D40).
                State::Preparing | State::Sending => {
                    self.sending.remove(&id);
                    self.lose(now, id, LostReason::NotStarted, false, &text);
                }
                State::Running | State::Fetching(_) => self.lose(now, id, reason, counted, &text),
                State::Killing(_) => self.killed(now, id),
                // Everything is here already.
                State::Delivering | State::Recording => {}
                State::Parked => {
                    self.drop_attempt(id);
                }
            }
        }
    }

    /// Whether this loss stands alone in time.
    fn alone(&mut self, now: Timestamp) -> bool {
        while self.recent_losses.front().is_some_and(|at| at.plus_s(LOSS_WINDOW_S) < now) {
            self.recent_losses.pop_front();
        }
        self.recent_losses.push_back(now);
        self.recent_losses.len() < LOSSES_TOGETHER
    }
}

/// Whether a link that broke without notice broke with this attempt: it was being transferred, or had just begun.
fn died_of(now: Timestamp, attempt: &Attempt) -> bool {
    match attempt.state {
        State::Sending | State::Fetching(_) => true,
        State::Running => now.since(attempt.started) < YOUNG_S * 1_000_000,
        _ => false,
    }
}

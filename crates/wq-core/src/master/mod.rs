//! The state machine. [`Master`] owns everything; its parts are in files by theme:
//!
//! * `links` what peers say · `dispatch` matching and sending · `results` fetching and delivering
//! * `life` what becomes of a job · `events` the users' logs · `promises` what waits for the disk
//! * `marks` which outputs are on disk · `checkpoint` the queue written anew, and read back
//! * `history` how jobs leave
//! * `exits` what follows from the end of a program
//! * `local` jobs that run on the submit host
//! * `submit`, `act`, `edit`, `transfer_data`, `query`, `machines`, `why`, `schedd` what clients ask · `summary` what catalog and status tools are told
//! * `doors` spool folder and drain · `policies` periodic expressions · `starving` jobs that find no room
//! * `recover` after a restart · `handover` what a planned one takes along
//!
//! Each input is applied completely before the next; all that follows from it stands in the queue of effects.

mod act;
mod checkpoint;
mod condition;
mod config;
mod deferral;
mod dispatch;
mod doors;
mod edit;
mod events;
mod exits;
mod factories;
mod foremen;
mod handover;
mod history;
mod larger;
mod life;
mod links;
mod local;
mod machines;
mod marks;
mod parcel;
mod policies;
mod promises;
mod quarantine;
mod query;
mod recover;
mod results;
mod schedd;
mod starving;
mod submit;
mod summary;
mod timers;
mod transfer_data;
mod why;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use control_proto::{Refusal, Reply, Request};
use journal::{Record, Taken};

pub use self::config::{Config, Zone};
use self::promises::{Logged, Promises};
use self::query::Cursor;
pub use self::summary::{PeerFacts, Summary, TaskFacts, TaskPlace};
use self::timers::{Timer, Timers};
use crate::ids::{AttemptId, BlobId, ClientId, RecordNo, Timestamp};
use crate::io::{Ask, Caller, Effect, Input};
use crate::jobs::class::Classes;
use crate::jobs::limits::Limits;
use crate::jobs::view::{JobView, SiteFacts};
use crate::jobs::{JobTable, Slot};
use crate::run::{Attempt, Spool};
use crate::workers::{Health, Peers, machine};

/// Room for effects that is kept between inputs.
const EFFECTS_KEPT: usize = 1024;

/// The master.
#[derive(Debug)]
pub struct Master {
    config: Config,
    site: SiteFacts,
    wall_offset_s: i64,
    table: JobTable,
    peers: Peers,
    attempts: BTreeMap<AttemptId, Attempt>,
    next_attempt: u64,
    /// Starts whose last byte is not in the socket yet.
    sending: BTreeMap<AttemptId, journal::Started>,
    /// Status of results whose text is being read.
    results: BTreeMap<AttemptId, wq_proto::TaskStatus>,
    /// Ends on their way to the disk.
    ended: BTreeMap<AttemptId, journal::Ended>,
    blobs: BTreeMap<BlobId, u32>,
    /// Copied inputs of the clusters that have them.
    spools: BTreeMap<u32, Spool>,
    next_cluster: u32,
    /// Numbers handed out by `ReserveCluster` and not used yet.
    reserved: BTreeSet<u32>,
    next_record: RecordNo,
    promises: Promises,
    logged: BTreeMap<u64, Logged>,
    next_token: u64,
    cursors: BTreeMap<ClientId, Cursor>,
    /// Listings of machines under way.
    machine_cursors: BTreeMap<ClientId, machines::Cursor>,
    /// Explanations under way.
    inquiries: BTreeMap<ClientId, why::Inquiry>,
    timers: Timers,
    effects: VecDeque<Effect>,
    /// Queues with new jobs, peers with new room.
    dirty: dispatch::Dirty,
    /// Times of recent losses, to tell one broken worker from a broken network.
    recent_losses: VecDeque<Timestamp>,
    /// Hosts that fail jobs.
    health: Health,
    policies: policies::Policies,
    starving: starving::Starving,
    factories: factories::Factories,
    /// Jobs that ended since the start.
    completed: u64,
    marks: marks::Marks,
    checkpoint: Option<checkpoint::Checkpoint>,
    leavers: history::Leavers,
    locals: local::Locals,
    recovery: Option<recover::Recovery>,
    /// Highest record whose event was handed to the log writer, and the last mark of it in the journal.
    events: events::Progress,
    /// Files of the spool folder whose jobs are here and that may not be unlinked yet.
    taken: BTreeSet<Taken>,
    draining: bool,
    /// A planned restart is being prepared.
    paused: bool,
    /// What was handed over by one and did not fit.
    misfits: Vec<String>,
    stopping: bool,
    store_failed: Option<String>,
}

impl Master {
    /// A master that has nothing yet. [`Master::recover`] may follow, then [`Master::start`].
    pub fn new(config: Config) -> Master {
        let common = machine::common(&config.condor_version, &config.domain);
        let classes = Classes::new(common, !config.match_requirements);
        let site = SiteFacts {
            host: config.host.clone(),
            domain: config.domain.clone(),
            grid_idle: config.grid_idle.clone(),
            spool: config.spool.clone(),
        };
        Master {
            site,
            wall_offset_s: config.wall_offset_s,
            table: JobTable::new(classes, Limits::new(&config.concurrency_limits)),
            peers: Peers::default(),
            attempts: BTreeMap::new(),
            next_attempt: 1,
            sending: BTreeMap::new(),
            results: BTreeMap::new(),
            ended: BTreeMap::new(),
            // The wrapper is nobody's, so no job that happens to have the same bytes takes it along.
            blobs: config.job_wrapper.iter().map(|wrapper| (wrapper.id, 1)).collect(),
            spools: BTreeMap::new(),
            next_cluster: 1,
            reserved: BTreeSet::new(),
            next_record: config.next_record,
            promises: Promises::default(),
            logged: BTreeMap::new(),
            next_token: 1,
            cursors: BTreeMap::new(),
            machine_cursors: BTreeMap::new(),
            inquiries: BTreeMap::new(),
            timers: Timers::default(),
            effects: VecDeque::new(),
            dirty: dispatch::Dirty::default(),
            recent_losses: VecDeque::new(),
            health: Health::default(),
            policies: policies::Policies::default(),
            starving: starving::Starving::default(),
            factories: factories::Factories::default(),
            completed: 0,
            marks: marks::Marks::default(),
            checkpoint: None,
            leavers: history::Leavers::default(),
            locals: local::Locals::default(),
            recovery: Some(recover::Recovery::default()),
            events: events::Progress::default(),
            taken: BTreeSet::new(),
            draining: false,
            paused: false,
            misfits: Vec::new(),
            stopping: false,
            store_failed: None,
            config,
        }
    }

    /// Applies one input. Never blocks, never fails: misbehaviour of a peer becomes an [`Effect`].
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::LinkUp { link, address } => self.link_up(now, link, &address),
            Input::Said { link, message } => self.said(now, link, message),
            Input::BodyDone { link, outcome } => self.body_done(now, link, outcome),
            Input::Flushed { link, attempt } => self.flushed(now, link, attempt),
            Input::LinkDown { link, reason } => self.link_down(now, link, reason),
            Input::Asked { client, caller, ask } => self.asked(now, client, caller, ask),
            Input::ClientReady { client } => {
                self.continue_query(now, client);
                self.continue_machines(now, client);
            }
            Input::ClientGone { client } => {
                self.cursors.remove(&client);
                self.machine_cursors.remove(&client);
                self.inquiries.remove(&client);
            }
            Input::Stored { upto } => self.stored(now, upto),
            Input::StoreFailed { reason } => self.store_failed(reason),
            Input::StoreFull { reason, refused } => self.store_full(reason, &refused),
            Input::StoreRoom => self.store_failed = None,
            Input::CompactionDue => self.begin_checkpoint(now),
            Input::Prepared { attempt, outcome } => self.prepared(now, attempt, outcome),
            Input::Unsendable { attempt, trouble } => self.unsendable(now, attempt, &trouble),
            Input::Delivered { attempt, outcome } => self.delivered(now, attempt, outcome),
            Input::LocalStarted { attempt } => self.started_local(now, attempt),
            Input::LocalEnded { attempt, outcome } => self.ended_local(now, attempt, outcome),
            Input::OutputsSynced { upto, done } => self.outputs_synced(now, upto, done),
            Input::OutputsChecked { lost } => self.outputs_checked(now, lost),
            Input::DataTransferred { client, jobs, outcomes } => self.data_transferred(now, client, jobs, outcomes),
            Input::Logged { token, warnings } => self.was_logged(token, warnings),
            Input::Archived { upto } => self.archived(now, upto),
            Input::ArchiveSynced { upto } => self.archive_synced(upto),
            Input::Pause { on } => self.pause(on),
            Input::Stop => self.stop(now),
            Input::Drain { on } => self.draining = on,
            Input::Unlinked { files } => self.forget_taken(&files),
            Input::WallOffset { offset_s } => self.wall_offset_s = offset_s,
        }
        self.ask_changed(now);
        self.materialize(now);
        self.dispatch(now);
        self.end_if_drained(now);
    }

    /// The next thing the shell must do, in order. Call until `None`.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let effect = self.effects.pop_front();
        if effect.is_none() && self.effects.capacity() > EFFECTS_KEPT {
            // A large submission must not be remembered for ever by the room that its effects took.
            self.effects.shrink_to(EFFECTS_KEPT);
        }
        effect
    }

    /// When to call [`Master::on_timeout`] if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Does what is due.
    pub fn on_timeout(&mut self, now: Timestamp) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Hello(link) => self.hello_due(link),
                Timer::Check(link) => self.check_due(now, link),
                Timer::Quarantine(link) => self.quarantine_over(now, link),
                Timer::Confirm(attempt) => self.confirm_due(now, attempt),
                Timer::Parked(attempt) => self.parked_due(now, attempt),
                Timer::TimeLimit(attempt) => self.time_limit_due(now, attempt),
                Timer::Deferral(job) => self.deferral_due(now, job),
                Timer::Dispatch => {}
                Timer::Policies => self.policies_due(now),
                Timer::Starving => self.starving_due(now),
                Timer::EventsUpto => self.events_due(now),
                Timer::OutputsUpto => self.outputs_due(now),
                Timer::LastMark => self.last_mark_due(),
                Timer::Checkpoint => self.checkpoint_due(now),
                Timer::Why(client) => self.continue_why(now, client),
            }
        }
        self.ask_changed(now);
        self.materialize(now);
        self.dispatch(now);
        self.end_if_drained(now);
    }

    fn asked(&mut self, now: Timestamp, client: ClientId, caller: Caller, ask: Ask) {
        match ask {
            Ask::Submit { request, rows, blobs } => self.submit(now, client, &caller, request, rows, blobs),
            Ask::Take { file, request, rows, blobs } => self.take(now, client, &caller, file, request, rows, blobs),
            Ask::Other(Request::Query(query)) => self.query(now, client, caller, query),
            Ask::Other(Request::Act(act)) => self.act(now, client, &caller, act),
            Ask::Other(Request::Edit(edit)) => self.edit(now, client, &caller, &edit),
            Ask::Other(Request::Why(why)) => self.why(now, client, &why),
            Ask::Other(Request::Machines(query)) => self.machines(now, client, &query),
            Ask::Other(Request::TransferData(wanted)) => self.transfer_data(now, client, &caller, &wanted),
            Ask::Other(Request::Schedd(query)) => self.schedd(now, client, &query),
            Ask::Other(Request::Submitters(query)) => self.submitters(now, client, &query),
            Ask::Other(Request::ReleaseHosts(wanted)) => self.release_hosts(now, client, &wanted),
            Ask::Other(Request::Ping) => self.answer(client, Reply::Pong),
            Ask::Other(Request::ReserveCluster) => self.reserve_cluster(client),
            Ask::Other(Request::Reload(_)) => self.refuse(client, Refusal::Malformed, "the queue does not restart"),
            Ask::Other(Request::History(_)) => self.refuse(client, Refusal::Malformed, "the queue is not the history"),
            Ask::Other(Request::Submit(_)) => {
                self.refuse(client, Refusal::Malformed, "a submission without its attachments");
            }
        }
    }

    /// `JobStatus` totals of the whole queue and other figures for the operator.
    pub fn totals(&self) -> control_proto::Totals {
        self.table.totals(None)
    }

    /// The newest record, if there is any.
    pub fn last_record(&self) -> RecordNo {
        RecordNo(self.next_record.0.saturating_sub(1))
    }

    /// Peers that are ready for work.
    pub fn workers(&self) -> usize {
        self.peers.ready()
    }

    /// Number of a cluster that comes next.
    pub fn next_cluster(&self) -> u32 {
        self.next_cluster
    }

    /// Whether the master makes this mistake.
    #[cfg(feature = "mistakes")]
    fn errs(&self, mistake: crate::Mistake) -> bool {
        self.config.mistake == Some(mistake)
    }

    fn effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    fn answer(&mut self, client: ClientId, reply: Reply) {
        self.effect(Effect::Answer { client, reply });
    }

    fn refuse(&mut self, client: ClientId, code: Refusal, message: impl Into<String>) {
        self.answer(client, Reply::Refused { code, message: message.into(), speaks: None });
    }

    fn record(&mut self, record: Record) -> RecordNo {
        let no = self.next_record;
        self.next_record = RecordNo(no.0 + 1);
        let promise = record.is_promise();
        if promise {
            self.promises.made(no);
        }
        self.effect(Effect::Record { no, record: Box::new(record), promise });
        no
    }

    fn view(&self, slot: Slot, now: Timestamp) -> JobView<'_> {
        JobView {
            table: &self.table,
            job: self.table.get(slot),
            site: &self.site,
            now_s: now.seconds(),
            wall_offset_s: self.wall_offset_s,
        }
    }

    /// Cross-checks every index; tests and simulation call it after each step.
    pub fn check_invariants(&self) {
        self.table.check_invariants();
        self.peers.check_invariants(|id| self.attempts.get(&id).filter(|a| a.booked).map(|a| a.shape));
        let limits = &self.table.idle.limits;
        let taken: u64 = self.attempts.values().map(|attempt| limits.sum(attempt.limits)).sum();
        assert_eq!(taken, limits.used(), "limits count attempts");
        for (id, attempt) in &self.attempts {
            if let Some(peer) = self.peers.get(attempt.link)
                && let Some(task) = attempt.task
            {
                assert_eq!(peer.tasks.get(&task), Some(id), "attempt {id} is known to its peer");
            }
        }
        for (id, _) in self.attempts.iter().filter(|(_, attempt)| attempt.local) {
            let recording = self.attempts[id].state == crate::run::State::Recording;
            assert!(self.locals.out.contains(id) || recording, "attempt {id} runs here and nobody knows");
        }
        for id in self.sending.keys() {
            let job = self.table.get(self.attempts[id].slot);
            assert_eq!(job.status(), crate::jobs::Status::Idle, "{} is being sent", job.id);
        }
        let has_jobs = |cluster: &u32| self.table.cluster(*cluster).is_some() || self.factories.has_more(*cluster);
        assert!(self.spools.keys().all(has_jobs), "copies without a job");
        for peer in self.peers.iter() {
            for attempt in peer.tasks.values() {
                assert!(self.attempts.contains_key(attempt), "task of {:?} without attempt", peer.link);
            }
        }
    }
}

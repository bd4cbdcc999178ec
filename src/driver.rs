//! The one place where the core is called: inputs go in, effects come out and are carried out in order.
//!
//! Everything here runs on one thread. Carrying out an effect never calls the core again: what must wait, waits in a
//! link's or client's queue, in the pool, or with one of the two writing threads, and comes back as a [`Report`]; an
//! answer that is known at once is the next input.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use control_proto::{Reply, Totals};
use journal::{Record, Taken};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Notify, Semaphore, oneshot};
use wq_core::ids::{BlobId, Timestamp};
use wq_core::io::{Ask, Caller, Notice};
use wq_core::{Effect, Input, Master};

use crate::blobs::{Blobs, Store};
use crate::clock::Clock;
use crate::control::{Callers, Clients};
use crate::event_logs::EventLogs;
use crate::handover::{Desk, Door};
use crate::history;
use crate::links::Links;
use crate::local_jobs::LocalJobs;
use crate::outputs::Outputs;
use crate::pool::Pool;
use crate::prepare::Preparer;
use crate::record_keeper::RecordKeeper;
use crate::recovery;
use crate::report::Report;
use crate::starts::Starts;
use crate::status::{self, About};

/// Room for one read of a connection, bytes.
const READ_MAX: usize = 128 << 10;

/// Reports taken in one turn.
const REPORTS_MAX: usize = 256;

/// How long a small file of a submission is in memory and in the journal only.
const SETTLE_AFTER: Duration = Duration::from_secs(2);

/// Seconds between marks of the service clock in the journal, if anything is recorded.
const MARK_EVERY_S: u32 = 60;

/// Seconds between looks at the wall clock.
const WALL_EVERY_S: u32 = 10;

/// The core and everything that carries out its effects.
#[derive(Debug)]
pub(crate) struct Shell {
    core: RefCell<Master>,
    clock: Clock,
    pub(crate) links: Links,
    pub(crate) clients: Clients,
    pub(crate) callers: Callers,
    pub(crate) pool: Pool<Report>,
    pub(crate) outputs: Arc<Outputs>,
    pub(crate) blobs: Blobs,
    preparer: Arc<Preparer>,
    pub(crate) local_jobs: LocalJobs,
    pub(crate) about: About,
    /// Places for status tools.
    pub(crate) askers: Semaphore,
    /// Where clients and workers come in.
    pub(crate) door: Door,
    /// Where a planned restart is ordered.
    pub(crate) desk: Desk,
    writers: RefCell<Option<(RecordKeeper, EventLogs)>>,
    history: RefCell<Option<history::Keeper>>,
    pub(crate) histories: history::Readers,
    starts: Starts,
    turn: Rc<Notify>,
    timer: Notify,
    armed: Cell<Option<Timestamp>>,
    buffer: RefCell<BytesMut>,
    wall_offset_s: Cell<i64>,
    /// Something was recorded since the last mark of the clock.
    unmarked: Cell<bool>,
    /// While it is there, the service drains (decision D9).
    drain_file: PathBuf,
    draining: Cell<bool>,
    ended: Cell<bool>,
    end: Notify,
}

/// What a shell is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The core, recovered.
    pub(crate) core: Master,
    /// The service clock.
    pub(crate) clock: Clock,
    /// Table of connections.
    pub(crate) links: Links,
    /// Who may do what.
    pub(crate) callers: Callers,
    /// Threads for what blocks.
    pub(crate) pool: Pool<Report>,
    /// Outputs on their way.
    pub(crate) outputs: Arc<Outputs>,
    /// Executables and proxies.
    pub(crate) blobs: Blobs,
    /// Looks up what attempts need.
    pub(crate) preparer: Preparer,
    /// Programs that run here.
    pub(crate) local_jobs: LocalJobs,
    /// What catalog and status tools are told of this process.
    pub(crate) about: About,
    /// Told by pool and journal thread when a turn has brought something for them.
    pub(crate) turn: Rc<Notify>,
    /// The thread of the journal.
    pub(crate) records: RecordKeeper,
    /// The thread of the event logs.
    pub(crate) logs: EventLogs,
    /// The thread of the history, if there is one.
    pub(crate) history: Option<history::Keeper>,
    /// Questions to it.
    pub(crate) histories: history::Readers,
    /// The file `drain`.
    pub(crate) drain_file: PathBuf,
}

impl Shell {
    /// Puts the parts together.
    pub(crate) fn new(parts: Parts) -> Rc<Shell> {
        Rc::new(Shell {
            core: RefCell::new(parts.core),
            wall_offset_s: Cell::new(parts.clock.wall_offset_s()),
            clock: parts.clock,
            links: parts.links,
            clients: Clients::default(),
            callers: parts.callers,
            pool: parts.pool,
            outputs: parts.outputs,
            blobs: parts.blobs,
            preparer: Arc::new(parts.preparer),
            local_jobs: parts.local_jobs,
            about: parts.about,
            askers: Semaphore::new(status::PLACES),
            door: Door::default(),
            desk: Desk::default(),
            writers: RefCell::new(Some((parts.records, parts.logs))),
            history: RefCell::new(parts.history),
            histories: parts.histories,
            starts: Starts::default(),
            turn: parts.turn,
            timer: Notify::new(),
            armed: Cell::new(None),
            buffer: RefCell::default(),
            unmarked: Cell::new(true),
            drain_file: parts.drain_file,
            draining: Cell::new(false),
            ended: Cell::new(false),
            end: Notify::new(),
        })
    }

    /// Sets the core going after recovery.
    pub(crate) fn start(&self) {
        self.mark_clock();
        let now = self.clock.now();
        let mut core = self.core.borrow_mut();
        core.handle(now, Input::WallOffset { offset_s: self.wall_offset_s.get() });
        core.start(now);
        drop(core);
        self.carry_out_all();
        self.look_for_drain();
    }

    /// Gives one input to the core and carries out what follows from it.
    pub(crate) fn input(&self, input: Input) {
        self.core.borrow_mut().handle(self.clock.now(), input);
        self.carry_out_all();
    }

    /// Asks the core as a client does; the answer comes when it is true.
    pub(crate) fn ask(&self, caller: Caller, ask: Ask) -> oneshot::Receiver<Reply> {
        let (client, answer) = self.clients.enter_inside();
        self.input(Input::Asked { client, caller, ask });
        answer
    }

    /// Jobs by state.
    pub(crate) fn totals(&self) -> Totals {
        self.core.borrow().totals()
    }

    /// The jobs of this file are in the journal.
    pub(crate) fn has_taken(&self, file: &Taken) -> bool {
        self.core.borrow().has_taken(file)
    }

    /// Files of the spool folder that were taken and may still exist.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.core.borrow().taken().copied().collect()
    }

    /// The service drains, as far as is known.
    pub(crate) fn draining(&self) -> bool {
        self.draining.get()
    }

    /// Looks whether the service shall drain. One call to the system, cheap enough for every request of a client.
    pub(crate) fn look_for_drain(&self) -> bool {
        let on = std::fs::symlink_metadata(&self.drain_file).is_ok();
        if on != self.draining.replace(on) {
            let file = self.drain_file.display();
            if on {
                tracing::warn!(%file, "draining: no new jobs, and the end when no idle or running job is left");
            } else {
                tracing::info!(%file, "draining is over: the file is gone");
            }
            self.input(Input::Drain { on });
        }
        on
    }

    /// Looks at the core without changing it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Master, Timestamp) -> T) -> T {
        look(&self.core.borrow(), self.clock.now())
    }

    /// Wall clock less service clock, as the core knows it, seconds.
    pub(crate) fn wall_offset_s(&self) -> i64 {
        self.wall_offset_s.get()
    }

    fn carry_out_all(&self) {
        loop {
            let Some(effect) = self.core.borrow_mut().poll_effect() else { break };
            if let Some(input) = self.carry_out(effect) {
                self.core.borrow_mut().handle(self.clock.now(), input);
            }
        }
        let due = self.core.borrow().poll_timeout();
        // A later time needs no wake-up: the timer looks again when it fires.
        let earlier = match (due, self.armed.get()) {
            (Some(due), Some(armed)) => due < armed,
            (due, None) => due.is_some(),
            (None, Some(_)) => false,
        };
        if earlier {
            self.timer.notify_one();
        }
    }

    /// Carries out one effect; gives the answer if it is known at once.
    fn carry_out(&self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Tell { link, message } => {
                self.links.get(link).inspect(|link| link.tell(&message));
            }
            Effect::SendTask { link, text } => {
                if let Some(to) = self.links.get(link) {
                    // A crash must not forget that a job may have begun (decision D51).
                    if self.starts.hold(link) {
                        to.hold_back();
                    }
                    to.send(text);
                }
            }
            Effect::SendBody { link, source, attempt } => {
                self.links.get(link).inspect(|link| link.send_body(source, attempt, self));
            }
            Effect::Mark { link, attempt } => {
                self.links.get(link).inspect(|link| link.mark(attempt));
            }
            Effect::Receive { link, sink } => {
                self.links.get(link).inspect(|link| link.receive(sink));
            }
            Effect::MakeDir(part) => self.outputs.make_dir(&part),
            Effect::Close { link, why } => {
                tracing::debug!(?link, why, "closing");
                self.links.get(link).inspect(|link| link.close());
            }
            Effect::Record { no, record, promise } => {
                self.unmarked.set(true);
                let checkpoint = matches!(*record, Record::CheckpointBegin(_));
                if matches!(*record, Record::Started(_)) {
                    self.starts.noted(no);
                }
                self.with_writers(|(records, _)| records.keep(no, record, promise));
                if checkpoint {
                    // The older ones go with their segments.
                    self.mark_clock();
                }
            }
            Effect::Sync { upto } => self.with_writers(|(records, _)| records.sync(upto)),
            Effect::Prepare { attempt, plan } => {
                if let Some(prepared) = self.preparer.known(&plan) {
                    return Some(Input::Prepared { attempt, outcome: Ok(prepared) });
                }
                let preparer = Arc::clone(&self.preparer);
                self.pool.give_later(move |results| {
                    preparer.prepare(plan, move |outcome| {
                        // Nobody listens any more only when the process ends.
                        let _ = results.send(Report::Input(Input::Prepared { attempt, outcome }));
                    });
                });
            }
            Effect::Deliver { attempt, outputs } => {
                let place = Arc::clone(&self.outputs);
                self.pool.give(move || {
                    Report::Input(Input::Delivered { attempt, outcome: place.deliver(attempt, &outputs) })
                });
            }
            Effect::StartLocal { attempt, program } => self.local_jobs.start(attempt, program, &self.blobs),
            Effect::EndLocal { attempt } => self.local_jobs.end(attempt),
            Effect::TransferData { client, jobs, outputs } => {
                let place = Arc::clone(&self.outputs);
                self.pool.give(move || {
                    let outcomes = outputs.iter().map(|spooled| (spooled.job, place.fetch(spooled))).collect();
                    Report::Input(Input::DataTransferred { client, jobs, outcomes })
                });
            }
            Effect::DropSpool { folder } => self.pool.let_do(move || recovery::drop_folder(Path::new(&folder))),
            Effect::Abandon { attempt } => {
                let place = Arc::clone(&self.outputs);
                self.pool.let_do(move || place.abandon(attempt));
            }
            Effect::SyncOutputs { upto, folders } => {
                let place = Arc::clone(&self.outputs);
                self.pool
                    .give(move || Report::Input(Input::OutputsSynced { upto, done: place.sync_delivered(&folders) }));
            }
            Effect::CheckOutputs(jobs) => {
                let place = Arc::clone(&self.outputs);
                self.pool.give(move || Report::Input(Input::OutputsChecked { lost: place.check(&jobs) }));
            }
            Effect::UserLog(entry) => self.with_writers(|(_, logs)| logs.write(entry)),
            Effect::MendLog(mending) => self.with_writers(|(_, logs)| logs.mend(mending)),
            Effect::LogMark { token } => self.with_writers(|(_, logs)| logs.mark(token)),
            Effect::Archive(departed) => self.with_history(|history| history.put(departed)),
            Effect::SyncArchive => self.with_history(|history| history.sync()),
            Effect::Recall { job, submitted_s } => self.with_history(|history| history.recall(job, submitted_s)),
            Effect::DropBlob(id) => self.drop_blob(id),
            Effect::Answer { client, reply } => self.clients.answer(client, reply),
            Effect::Rows { client, payload } => self.clients.rows(client, payload),
            Effect::Finish { client, end } => self.clients.finish(client, end),
            Effect::Ended => {
                self.ended.set(true);
                self.end.notify_one();
            }
            Effect::Notice(notice) => tell_operator(&notice),
        }
        None
    }

    fn drop_blob(&self, id: BlobId) {
        if let Some(aside) = self.blobs.forget(id) {
            self.pool.let_do(move || Store::discard(&aside));
        }
    }

    /// A submission has come to its end, one way or the other: what the core does not name of it goes.
    pub(crate) fn unpin(&self, ids: &[BlobId]) {
        for id in ids {
            self.blobs.unpin(*id);
            if !self.core.borrow().names_blob(*id) {
                self.drop_blob(*id);
            }
        }
    }

    fn with_writers(&self, work: impl FnOnce(&(RecordKeeper, EventLogs))) {
        // They are gone only when the core has said that it needs them no more.
        self.writers.borrow().as_ref().inspect(|writers| work(writers));
    }

    fn with_history(&self, work: impl FnOnce(&history::Keeper)) {
        self.history.borrow().as_ref().inspect(|history| work(history));
    }

    /// Writes the files of small blobs, for ever.
    pub(crate) async fn settle_blobs(self: Rc<Shell>) {
        loop {
            let due = self.blobs.to_settle(SETTLE_AFTER).await;
            let store = Arc::clone(self.blobs.store());
            self.pool.let_do(move || due.into_iter().for_each(|id| store.settle(id)));
        }
    }

    /// Status tools that are being answered.
    pub(crate) fn askers_busy(&self) -> usize {
        status::PLACES - self.askers.available_permits()
    }

    /// Brings the journal to disk as far as it is.
    pub(crate) fn sync_records(&self) {
        self.mark_clock();
        let upto = self.core.borrow().last_record();
        self.with_writers(|(records, _)| records.sync(upto));
    }

    /// What is still to be written by some thread, as a part of a sentence.
    pub(crate) fn unwritten(&self) -> Option<&'static str> {
        if !self.pool.is_idle() {
            return Some("files of jobs are being read or written");
        }
        let (mut records_idle, mut logs_idle, mut history_idle) = (true, true, true);
        self.with_writers(|(records, logs)| (records_idle, logs_idle) = (records.is_idle(), logs.is_idle()));
        self.with_history(|history| history_idle = history.is_idle());
        match (records_idle, logs_idle, history_idle) {
            (true, true, true) => None,
            (false, _, _) => Some("the journal is being written"),
            (_, false, _) => Some("event logs are being written"),
            (_, _, false) => Some("the history is being written"),
        }
    }

    /// Takes reports for ever.
    pub(crate) async fn take_reports(self: Rc<Shell>, mut reports: UnboundedReceiver<Report>) {
        let mut some = Vec::with_capacity(REPORTS_MAX);
        while reports.recv_many(&mut some, REPORTS_MAX).await > 0 {
            for report in some.drain(..) {
                match report {
                    Report::Input(input) => self.input(input),
                    Report::Noted(upto) => {
                        for link in self.starts.written(upto) {
                            self.links.get(link).inspect(|link| link.go_on());
                        }
                    }
                    Report::Piece { link, outcome, blob } => {
                        if let (Some(id), Ok(piece)) = (blob, &outcome) {
                            self.blobs.remember(id, piece.bytes.clone());
                        }
                        if let Some((attempt, path, error)) = self.links.get(link).and_then(|link| link.piece(outcome))
                        {
                            let trouble = self.preparer.unreadable(&path, &error);
                            self.input(Input::Unsendable { attempt, trouble });
                        }
                    }
                    Report::Written { link, outcome } => {
                        self.links.get(link).inspect(|link| link.written(outcome, &self));
                    }
                }
            }
            // Links get their turn between two rounds.
            tokio::task::yield_now().await;
        }
    }

    /// Hands the work of each turn of the event loop to the threads, for ever.
    ///
    /// This task is woken by the first piece and runs behind everybody who is ready by then: what a hundred workers say
    /// at once becomes one write and one sync of the journal.
    pub(crate) async fn end_turns(self: Rc<Shell>) {
        loop {
            self.turn.notified().await;
            self.with_writers(|(records, _)| records.flush());
            self.pool.flush();
        }
    }

    /// Calls the core when its next timer is due, for ever.
    pub(crate) async fn keep_time(self: Rc<Shell>) {
        loop {
            let due = self.core.borrow().poll_timeout();
            self.armed.set(due);
            let Some(due) = due else {
                self.timer.notified().await;
                continue;
            };
            let now = self.clock.now();
            if due <= now {
                self.core.borrow_mut().on_timeout(now);
                self.carry_out_all();
                tokio::task::yield_now().await;
                continue;
            }
            let wait = Duration::from_micros(due.since(now));
            // An earlier timer is a reason to look again.
            let _ = tokio::time::timeout(wait, self.timer.notified()).await;
        }
    }

    /// Looks after connections and clocks once a second, for ever.
    pub(crate) async fn watch(self: Rc<Shell>) {
        let begin = Instant::now();
        let mut beat = tokio::time::interval(Duration::from_secs(1));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            let now = Instant::now();
            let tick_s = u32::try_from(now.duration_since(begin).as_secs()).unwrap_or(u32::MAX);
            self.links.watch(now, tick_s);
            self.look_for_drain();
            if tick_s.is_multiple_of(WALL_EVERY_S) {
                self.look_at_wall_clock();
            }
            if tick_s.is_multiple_of(MARK_EVERY_S) {
                self.mark_clock();
            }
        }
    }

    fn look_at_wall_clock(&self) {
        let offset_s = self.clock.wall_offset_s();
        if offset_s != self.wall_offset_s.replace(offset_s) {
            tracing::info!(offset_s, "the wall clock was set");
            self.input(Input::WallOffset { offset_s });
        }
    }

    fn mark_clock(&self) {
        if self.unmarked.replace(false) {
            let mark = self.clock.mark();
            self.with_writers(|(records, _)| records.note(mark.into()));
        }
    }

    /// Returns when the core has come to its end and clients have their answers.
    pub(crate) async fn ended(&self) {
        while !self.ended.get() {
            self.end.notified().await;
        }
        self.clients.flushed().await;
    }

    /// Waits for everything that is still to be written.
    pub(crate) fn finish(&self) {
        self.writers.borrow_mut().take();
        self.history.borrow_mut().take();
    }

    /// An empty buffer for one read; one serves all links, since none keeps it.
    pub(crate) fn take_buffer(&self) -> BytesMut {
        let mut buffer = std::mem::take(&mut *self.buffer.borrow_mut());
        buffer.clear();
        buffer.reserve(READ_MAX);
        buffer
    }

    /// Gives it back.
    pub(crate) fn give_buffer(&self, buffer: BytesMut) {
        *self.buffer.borrow_mut() = buffer;
    }
}

/// What an operator reads at 3 a.m.
fn tell_operator(notice: &Notice) {
    match notice {
        Notice::WorkerJoined { link, host, protocol, foreman } => {
            tracing::info!(link = link.slot, host, protocol, foreman, "a worker joined");
        }
        Notice::WorkerLeft { link, host, jobs, reason } => {
            tracing::info!(link = link.slot, host, jobs, reason, "a worker left");
        }
        Notice::JobHeld { job, trouble } => {
            tracing::warn!(%job, code = trouble.code, subcode = trouble.subcode, reason = trouble.reason, "a job was held");
        }
        Notice::Quarantined { who, worker, minutes } => {
            let link = worker.map(|link| link.slot);
            tracing::warn!(
                who,
                link,
                minutes,
                "no jobs for a while: several in a row failed there through no fault of theirs"
            );
        }
        Notice::Misbehaved { link, how } => tracing::warn!(link = link.slot, how, "a worker broke the protocol"),
    }
}

//! What the shell does with the core's effects, in simulated time and in the shell's order.
//!
//! Whatever the shell hands to a thread or to the pool comes back as a later event; each of its threads works in order, the
//! pool in any. A crash may come between any two effects.

use std::collections::BTreeMap;

use bytes::Bytes;
use control_proto::Reply;
use journal::Record;
use journal::keeper::{Order, Told};
use userlog::Event;
use wq_core::ids::{AttemptId, RecordNo};
use wq_core::io::{
    Delivery, DeliveryKind, Notice, Plan, Prepared, PreparedFile, Source, Standing, Trouble, is_requeue,
};
use wq_core::{Effect, Input};
use wq_proto::ToWorker;

use crate::disk::Row;
use crate::mistakes::Mistake;
use crate::options::Fault;
use crate::queue::{Micros, SECOND};
use crate::service::{HistoryOrder, LogOrder};
use crate::world::{Turn, World};

impl World {
    /// Gives one input to the core and carries out what follows.
    pub(crate) fn input(&mut self, input: Input) {
        let now = self.clock();
        if let Some(service) = &mut self.service {
            service.core.handle(now, input);
            self.settle();
        }
    }

    /// Carries out everything that the core asks for.
    pub(crate) fn settle(&mut self) {
        loop {
            let now = self.clock();
            let Some(service) = &mut self.service else { return };
            if let Some(input) = service.next.pop_front() {
                service.core.handle(now, input);
                continue;
            }
            let Some(effect) = service.core.poll_effect() else { break };
            if let Some(left) = &mut self.fuse {
                if *left == 0 {
                    let cuts_power = self.fuse_cuts_power;
                    return self.crash(cuts_power);
                }
                *left -= 1;
            }
            self.carry_out(effect);
            if self.auditor.violation.is_some() {
                return;
            }
        }
        let service = self.service.as_mut().expect("just seen");
        if service.ended {
            return self.leave_in_order();
        }
        let due = service.core.poll_timeout();
        if let Some(due) = due
            && service.armed.is_none_or(|armed| due < armed)
        {
            service.armed = Some(due);
            let after = due.since(self.clock());
            self.later(after, Turn::Timer);
        }
    }

    pub(crate) fn timer(&mut self) {
        let now = self.clock();
        let service = self.service.as_mut().expect("a turn has a master");
        if service.armed.is_some_and(|armed| armed > now) {
            // An earlier one was set since.
            return;
        }
        service.armed = None;
        if service.core.poll_timeout().is_some_and(|due| due <= now) {
            service.core.on_timeout(now);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        if self.options.verbose && !matches!(effect, Effect::Rows { .. }) {
            let mut text = format!("{effect:?}");
            text.truncate(text.floor_char_boundary(230));
            println!("{:>21}  {text}", "");
        }
        match effect {
            Effect::Tell { link, message } => {
                if let ToWorker::Kill(Some(task)) = message {
                    self.auditor.task_killed(link, task);
                }
                self.tell(link, &message);
            }
            Effect::SendTask { link, text } => {
                self.audit_disk();
                self.auditor.task_sent(link, &text);
                self.send_bytes(link, text);
            }
            Effect::SendBody { link, source, attempt } => self.send_body(link, source, attempt),
            Effect::Mark { link, attempt } => self.mark(link, attempt),
            Effect::Receive { link, sink } => self.receive(link, sink),
            Effect::MakeDir(_) => {}
            Effect::Close { link, .. } => {
                self.auditor.link_over(link);
                self.close(link);
            }
            Effect::Record { no, record, promise } => {
                self.auditor.recorded(&record);
                let checkpoint = matches!(*record, Record::CheckpointBegin(_));
                self.order(Order::Record { no: Some(no.0), record, promise });
                if checkpoint && !self.errs(Mistake::NoClockMark) {
                    // The older ones go with their segments.
                    self.mark_clock();
                }
            }
            Effect::Sync { upto } => self.order(Order::Sync(upto.0)),
            Effect::Prepare { attempt, plan } => self.prepare(attempt, &plan),
            Effect::Deliver { attempt, outputs } => self.deliver(attempt, &outputs),
            Effect::TransferData { client, jobs, .. } => {
                self.soon(Input::DataTransferred { client, jobs, outcomes: Vec::new() });
            }
            Effect::DropSpool { .. } => {}
            Effect::Abandon { attempt } => {
                let service = self.service.as_mut().expect("an effect has a master");
                *service.abandoned.entry(attempt).or_default() += 1;
                service.parts.retain(|(id, _), _| *id != attempt);
            }
            Effect::SyncOutputs { upto, .. } => {
                let done = !self.outputs_fail;
                if done {
                    self.machine.sync_files();
                }
                self.soon(Input::OutputsSynced { upto, done });
            }
            Effect::CheckOutputs(jobs) => {
                let damaged = |(path, size): &(String, u64)| {
                    path != "/dev/null"
                        && self.machine.files.get(path).is_none_or(|file| file.content.len() as u64 != *size)
                };
                let lost: Vec<_> = jobs
                    .iter()
                    .filter(|job| job.files.iter().any(damaged))
                    .map(|job| (job.job, trouble(12, 5, "outputs were lost in a power cut")))
                    .collect();
                self.auditor.outputs_lost(lost.iter().map(|(job, _)| *job));
                self.soon(Input::OutputsChecked { lost });
            }
            Effect::UserLog(entry) => self.log_order(LogOrder::Entry(entry)),
            Effect::MendLog(mending) => self.log_order(LogOrder::Mend(mending)),
            Effect::LogMark { token } => self.log_order(LogOrder::Mark(token)),
            Effect::Archive(departed) => self.history_order(HistoryOrder::Put(departed)),
            Effect::SyncArchive => self.history_order(HistoryOrder::Sync),
            Effect::Recall { job, submitted_s } => self.history_order(HistoryOrder::Recall(job, submitted_s)),
            Effect::DropBlob(id) => {
                self.machine.blobs.borrow_mut().remove(&id);
                self.machine.large.remove(&id);
            }
            Effect::Answer { client, reply } => self.answered(client, reply),
            Effect::Rows { client, payload } => self.rows(client, &payload),
            Effect::Finish { client, end } => self.listing_ends(client, &end),
            Effect::Ended => self.service.as_mut().expect("an effect has a master").ended = true,
            // Nobody submits jobs for the submit host here.
            Effect::Notice(Notice::WorkerJoined { link, protocol: 11, foreman: true, .. }) => {
                self.auditor.may_linger(link)
            }
            Effect::Notice(_) | Effect::StartLocal { .. } | Effect::EndLocal { .. } => {}
        }
    }

    /// The pool brings an answer some time.
    fn soon(&mut self, input: Input) {
        let after = self.chance.skewed(if self.faults_on { 2 * SECOND } else { 20_000 });
        self.later(after, Turn::Input(Box::new(input)));
    }

    // ---- journal ---------------------------------------------------------------------------------------------

    pub(crate) fn order(&mut self, order: Order) {
        let service = self.service.as_mut().expect("an effect has a master");
        service.orders.push(order);
        if !std::mem::replace(&mut service.journal_due, true) {
            let after = self.disk_time();
            self.later(after, Turn::Journal);
        }
    }

    fn disk_time(&mut self) -> Micros {
        self.chance.skewed(if self.slow_disk { 5 * SECOND } else { 20_000 })
    }

    pub(crate) fn write_journal(&mut self) {
        let service = self.service.as_mut().expect("a turn has a master");
        service.journal_due = false;
        let orders = std::mem::take(&mut service.orders);
        service.keeper.take(orders);
        self.hear_keeper();
    }

    pub(crate) fn retry_journal(&mut self) {
        let service = self.service.as_mut().expect("a turn has a master");
        service.retry_due = false;
        service.keeper.try_again();
        self.hear_keeper();
    }

    /// What the keeper has told goes to the core, in its order and never before it has told it.
    fn hear_keeper(&mut self) {
        self.audit_disk();
        let service = self.service.as_mut().expect("a turn has a master");
        if service.keeper.waits() && !std::mem::replace(&mut service.retry_due, true) {
            self.later(SECOND, Turn::Retry);
        }
        loop {
            let service = self.service.as_mut().expect("a turn has a master");
            let Some(told) = service.told.borrow_mut().pop_front() else { return };
            let input = match told {
                Told::Stored(upto) => {
                    self.auditor.stored();
                    Input::Stored { upto: RecordNo(upto) }
                }
                Told::Full { reason, refused } => {
                    Input::StoreFull { reason, refused: refused.into_iter().map(RecordNo).collect() }
                }
                Told::Room => Input::StoreRoom,
                Told::Failed(reason) => {
                    // Power that fails within a write is seen at once; else the operator starts the master again.
                    self.service.as_mut().expect("a turn has a master").broken = true;
                    self.auditor.journal_failed();
                    let after = if reason.contains("power") { 0 } else { 30 * SECOND };
                    self.note(|| format!("the journal failed: {reason}"));
                    self.later(after, Turn::TooLate);
                    if after == 0 {
                        return;
                    }
                    Input::StoreFailed { reason }
                }
                Told::CompactionDue => Input::CompactionDue,
                Told::Written(_)
                | Told::Compacted { .. }
                | Told::NotRemoved(_)
                | Told::NotTakenBack(_)
                | Told::EndNotWritten(_) => {
                    continue;
                }
            };
            self.later(0, Turn::Input(Box::new(input)));
        }
    }

    /// The auditor hears what has come to the disk.
    pub(crate) fn audit_disk(&mut self) {
        if let Some(service) = &mut self.service {
            for record in service.keeper.storage_mut().newly_durable() {
                self.auditor.durable(&record);
            }
        }
    }

    // ---- event logs and history ------------------------------------------------------------------------------

    fn log_order(&mut self, order: LogOrder) {
        let service = self.service.as_mut().expect("an effect has a master");
        service.log_orders.push_back(order);
        if !std::mem::replace(&mut service.log_due, true) {
            let after = self.disk_time();
            self.later(after, Turn::Logs);
        }
    }

    pub(crate) fn write_logs(&mut self) {
        self.audit_disk();
        let service = self.service.as_mut().expect("a turn has a master");
        service.log_due = false;
        for order in std::mem::take(&mut service.log_orders) {
            match order {
                LogOrder::Mark(token) => {
                    self.later(0, Turn::Input(Box::new(Input::Logged { token, warnings: Vec::new() })))
                }
                LogOrder::Entry(entry) => entry.events().for_each(|event| self.logs(&entry.path, &event)),
                LogOrder::Mend(mending) => {
                    let mut standing = Standing::of_log(false);
                    for event in self.machine.logs.get(&mending.path).into_iter().flatten() {
                        standing.add(event.job, event.kind.number(), is_requeue(&event.kind));
                    }
                    mending.missing(standing).for_each(|event| self.logs(&mending.path, &event));
                }
            }
        }
    }

    fn logs(&mut self, path: &str, event: &Event) {
        self.machine.logs.entry(path.to_owned()).or_default().push(event.clone());
        self.auditor.logged(event);
    }

    fn history_order(&mut self, order: HistoryOrder) {
        let service = self.service.as_mut().expect("an effect has a master");
        service.history_orders.push_back(order);
        if !std::mem::replace(&mut service.history_due, true) {
            let after = 10_000 + self.disk_time();
            self.later(after, Turn::History);
        }
    }

    pub(crate) fn write_history(&mut self) {
        let service = self.service.as_mut().expect("a turn has a master");
        service.history_due = false;
        let (mut upto, mut sync) = (None, false);
        for order in std::mem::take(&mut service.history_orders) {
            match order {
                HistoryOrder::Put(departed) => {
                    upto = Some(departed.no);
                    let ad: BTreeMap<String, String> = departed.ad.into_iter().collect();
                    self.auditor.archived(departed.job, &ad);
                    self.machine.history.insert(departed.job, Row { submitted_s: departed.submitted_s });
                }
                HistoryOrder::Recall(job, submitted_s) => {
                    if self.machine.history.get(&job).is_some_and(|row| row.submitted_s == submitted_s) {
                        self.machine.history.remove(&job);
                    }
                }
                HistoryOrder::Sync => sync = true,
            }
        }
        let service = self.service.as_mut().expect("a turn has a master");
        if let Some(upto) = upto.filter(|upto| *upto > service.archived) {
            service.archived = upto;
            self.later(0, Turn::Input(Box::new(Input::Archived { upto })));
        }
        let service = self.service.as_mut().expect("a turn has a master");
        if sync || !std::mem::replace(&mut service.history_sync_due, true) {
            self.later(if sync { 0 } else { 5 * SECOND }, Turn::HistorySync);
        }
    }

    pub(crate) fn sync_history(&mut self) {
        let service = self.service.as_mut().expect("a turn has a master");
        service.history_sync_due = false;
        let upto = service.archived;
        if !self.errs(Mistake::HistoryNotSynced) {
            self.machine.synced_history = self.machine.history.clone();
        }
        self.later(0, Turn::Input(Box::new(Input::ArchiveSynced { upto })));
    }

    // ---- inputs and outputs of jobs --------------------------------------------------------------------------

    fn prepare(&mut self, attempt: AttemptId, plan: &Plan) {
        let outcome = if self.may(Fault::InputErrors) && self.inputs_fail && self.chance.once_in(3) {
            Err(trouble(13, 2, "an input cannot be read"))
        } else {
            let file = |input: &wq_core::io::PlannedInput| PreparedFile {
                source: Source::File { path: input.path.clone(), size: 100, content: None },
                sandbox: input.sandbox.clone(),
                size: 100,
                mode: 0o644,
                content: None,
            };
            Ok(Prepared { files: plan.inputs.iter().map(file).collect(), dirs: Vec::new() })
        };
        if self.chance.once_in(2) {
            // Known already.
            self.service.as_mut().expect("an effect has a master").next.push_back(Input::Prepared { attempt, outcome });
        } else {
            self.soon(Input::Prepared { attempt, outcome });
        }
    }

    fn send_body(&mut self, link: wq_core::ids::LinkId, source: Source, attempt: AttemptId) {
        let bytes = match source {
            Source::Blob(id) => match self.machine.blobs.borrow().get(&id) {
                Some(bytes) => bytes.clone(),
                None => {
                    return self.auditor.violated(format!("attempt {attempt} needs content {id}, which is gone"));
                }
            },
            Source::File { size, .. } => Bytes::from(vec![b'i'; size as usize]),
        };
        self.send_bytes(link, bytes);
    }

    /// Puts outputs in place: all are there, or none, and each whole.
    fn deliver(&mut self, attempt: AttemptId, outputs: &[Delivery]) {
        let failed = self.outputs_fail && self.chance.once_in(2);
        let mut bytes = 0;
        if !failed {
            for output in outputs {
                let service = self.service.as_mut().expect("an effect has a master");
                let content = match output.how {
                    DeliveryKind::Empty(_) => Vec::new(),
                    DeliveryKind::Nowhere => continue,
                    DeliveryKind::Rename | DeliveryKind::Spread { .. } => {
                        match service.parts.remove(&(attempt, output.output)) {
                            Some(part) => part,
                            // Folders are not simulated: the part is a file or nothing.
                            None => continue,
                        }
                    }
                };
                bytes += content.len() as u64;
                let name = format!("a{attempt}-o{}", output.output);
                self.auditor.delivered(&output.target, &name, &content);
                self.machine.put(&output.target, content.into(), self.config.outputs_fsync);
            }
        }
        let outcome = if failed { Err(trouble(12, 28, "No space left on device")) } else { Ok(bytes) };
        self.soon(Input::Delivered { attempt, outcome });
    }

    // ---- answers ---------------------------------------------------------------------------------------------

    fn answered(&mut self, id: wq_core::ids::ClientId, reply: Reply) {
        self.audit_disk();
        if matches!(reply, Reply::Listing) {
            return;
        }
        if let Some(client) = self.answer_client(id) {
            self.heard(client, &reply);
        }
    }

    fn rows(&mut self, id: wq_core::ids::ClientId, payload: &[u8]) {
        self.audit_disk();
        let service = self.service.as_mut().expect("an effect has a master");
        if let Some(waiting) = service.clients.get_mut(&id) {
            control_proto::listing::read(payload, |row| {
                let row = row.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
                waiting.rows.push(self.auditor.shown(&row));
            })
            .expect("the master's own rows");
            self.soon(Input::ClientReady { client: id });
        }
    }

    fn listing_ends(&mut self, id: wq_core::ids::ClientId, end: &control_proto::ListingEnd) {
        self.audit_disk();
        let service = self.service.as_mut().expect("an effect has a master");
        if let Some(waiting) = service.clients.remove(&id) {
            self.auditor.listed(waiting.client, &waiting.rows, end.ads);
            self.listing_heard(waiting.client);
        }
    }
}

pub(crate) fn trouble(code: i32, subcode: i32, reason: &str) -> Trouble {
    Trouble { code, subcode, reason: reason.to_owned() }
}

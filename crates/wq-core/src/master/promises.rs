//! What waits for the disk: nothing is said before it is true (decision D51).

use std::collections::VecDeque;

use control_proto::{Refusal, Reply};

use super::Master;
use crate::ids::{AttemptId, ClientId, JobId, RecordNo, Timestamp};
use crate::io::Effect;
use crate::jobs::{Departure, Hold};

/// What happens when a record is on disk.
#[derive(Debug)]
pub(super) enum Then {
    /// The jobs of a submission enter the queue.
    Enter(Box<journal::Submitted>),
    /// Further jobs of a cluster, up to this one, enter the queue.
    Materialized(JobId),
    /// The log of a cluster whose jobs enter one after another hears of something.
    TellCluster(u32, Box<userlog::Kind>),
    /// A job that runs nowhere leaves.
    Leave(JobId),
    /// The same at once, whatever its owner wants to see of it.
    LeaveForced(JobId),
    /// A job is held by this record: its log hears of it, and of this reason, whatever became of the job meanwhile.
    Held(RecordNo, JobId, Box<Hold>),
    /// A job may run again.
    Released(JobId),
    /// The same for one whose old run was not over when it was released.
    Ready(JobId),
    /// An attempt has ended for good.
    Ended(AttemptId),
    /// The outputs of a spooled job were fetched: it may leave.
    Fetched(JobId),
    /// A client gets its answer once the event logs are written.
    AnswerLogged(ClientId, Reply),
    /// A file of the spool folder may be unlinked.
    Took(journal::Taken),
    /// The begin of a checkpoint: everything recorded before shows in the table.
    CheckpointBegun(RecordNo),
    /// All jobs of a checkpoint are recorded, and the events of what they reflect are handed out.
    CheckpointWalked(RecordNo),
    /// The last record before the end of the process.
    Stopped,
}

/// Records not yet on disk and what follows from them, in order.
#[derive(Debug, Default)]
pub(super) struct Promises {
    waiting: VecDeque<(RecordNo, Then)>,
    last: Option<RecordNo>,
    /// Everything up to here is on disk.
    stored: RecordNo,
}

impl Promises {
    pub(super) fn made(&mut self, no: RecordNo) {
        self.last = Some(no);
    }

    /// Something waits for the disk.
    pub(super) fn are_open(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Jobs are on their way into the queue.
    pub(super) fn bring_jobs(&self) -> bool {
        self.waiting.iter().any(|(_, then)| matches!(then, Then::Enter(_) | Then::Materialized(_)))
    }

    /// The first record that something waits for.
    pub(super) fn first_waiting(&self) -> Option<RecordNo> {
        self.waiting.front().map(|(no, _)| *no)
    }

    /// The first hold that its log has not heard of.
    pub(super) fn first_hold(&self) -> Option<RecordNo> {
        let holds = self.waiting.iter().filter_map(|(_, then)| match then {
            Then::Held(no, ..) => Some(*no),
            _ => None,
        });
        holds.min()
    }

    /// The last promise made, while it is not on disk.
    fn open(&self) -> Option<RecordNo> {
        self.last.filter(|last| *last > self.stored)
    }

    /// The last promise made.
    pub(super) fn last(&self) -> Option<RecordNo> {
        self.last
    }
}

/// What waits for the event logs.
#[derive(Debug)]
pub(super) enum Logged {
    /// A client's answer.
    Answer(ClientId, Reply),
    /// Remember in the journal that all events up to this record are written.
    Upto(RecordNo),
    /// The events of everything that a checkpoint reflects are written.
    Checkpoint(RecordNo),
    /// The end.
    Stopped,
}

impl Master {
    pub(super) fn when_stored(&mut self, no: RecordNo, then: Then) {
        #[cfg(feature = "mistakes")]
        if let Then::AnswerLogged(client, reply @ Reply::Submitted { .. }) = then {
            if self.errs(crate::Mistake::AckBeforeSync) {
                let token = self.log_mark(Logged::Answer(client, reply));
                return self.effect(Effect::LogMark { token });
            }
            return self.promises.waiting.push_back((no, Then::AnswerLogged(client, reply)));
        }
        self.promises.waiting.push_back((no, then));
    }

    /// Does something that rests on promises made before: at once if all of them are on disk, else when they are.
    pub(super) fn when_settled(&mut self, now: Timestamp, then: Then) {
        let open = self.promises.open();
        #[cfg(feature = "mistakes")]
        let open = open.filter(|_| !self.errs(crate::Mistake::ToldBeforeSync));
        match open {
            Some(last) => self.when_stored(last, then),
            None => self.fulfil(now, self.last_record(), then),
        }
    }

    pub(super) fn stored(&mut self, now: Timestamp, upto: RecordNo) {
        self.promises.stored = self.promises.stored.max(upto);
        while self.promises.waiting.front().is_some_and(|(no, _)| *no <= upto) {
            let (no, then) = self.promises.waiting.pop_front().expect("just seen");
            self.fulfil(now, no, then);
        }
    }

    fn fulfil(&mut self, now: Timestamp, no: RecordNo, then: Then) {
        match then {
            Then::Enter(submitted) => self.enter(now, no, &submitted),
            Then::Materialized(last) => self.materialized(now, no, last),
            Then::TellCluster(cluster, kind) => self.tell_cluster(now, no, cluster, *kind),
            Then::Leave(job) => self.leave_removed(now, no, job),
            Then::LeaveForced(job) => {
                self.leave_removed(now, no, job);
                if let Some(slot) = self.table.find(job)
                    && self.table.get(slot).story().departure == Departure::None
                {
                    self.leave(now, slot, None);
                }
            }
            Then::Held(_, job, hold) => {
                if let Some(slot) = self.table.find(job) {
                    self.log_held(now, no, slot, &hold);
                }
            }
            Then::Ready(job) => {
                if let Some(slot) = self.table.find(job) {
                    self.run_again(now, slot);
                }
            }
            Then::Released(job) => {
                if let Some(slot) = self.table.find(job) {
                    self.log_released(now, no, slot);
                    self.run_again(now, slot);
                }
            }
            Then::Ended(attempt) => self.finish(now, no, attempt),
            Then::Fetched(job) => {
                if let Some(slot) = self.completed_job(job) {
                    self.leave_unless_wanted(now, slot);
                }
            }
            Then::AnswerLogged(client, reply) => {
                let token = self.log_mark(Logged::Answer(client, reply));
                self.effect(Effect::LogMark { token });
            }
            Then::Took(file) => {
                self.taken.insert(file);
            }
            Then::CheckpointBegun(begin) => self.walk_checkpoint(now, begin),
            Then::CheckpointWalked(begin) => self.settle_checkpoint(now, begin, no),
            Then::Stopped => {
                let token = self.log_mark(Logged::Stopped);
                self.effect(Effect::LogMark { token });
            }
        }
    }

    pub(super) fn log_mark(&mut self, logged: Logged) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        self.logged.insert(token, logged);
        token
    }

    pub(super) fn was_logged(&mut self, token: u64, mut news: Vec<String>) {
        match self.logged.remove(&token) {
            Some(Logged::Answer(client, Reply::Submitted { clusters, mut warnings })) => {
                warnings.append(&mut news);
                self.answer(client, Reply::Submitted { clusters, warnings });
            }
            Some(Logged::Answer(client, reply)) => self.answer(client, reply),
            Some(Logged::Upto(seq)) => {
                self.record(journal::Record::EventsUpto(journal::EventsUpto { seq: seq.0 }));
            }
            Some(Logged::Checkpoint(upto)) => self.checkpoint_logged(upto),
            Some(Logged::Stopped) => self.effect(Effect::Ended),
            None => {}
        }
    }

    /// The journal cannot be written for now. Submissions are refused, the other records wait with what follows from them;
    /// a checkpoint is given up, its records were the first to be dropped.
    pub(super) fn store_full(&mut self, reason: String, refused: &[RecordNo]) {
        let waiting = std::mem::take(&mut self.promises.waiting);
        // Others may only have had to wait for what was recorded before them.
        let (dropped, kept): (VecDeque<_>, _) = waiting.into_iter().partition(|(no, then)| {
            refused.contains(no) && matches!(then, Then::Enter(_) | Then::AnswerLogged(..) | Then::Took(_))
        });
        self.promises.waiting = kept;
        for (_, then) in dropped {
            match then {
                Then::Enter(submitted) => {
                    submitted.blobs.iter().for_each(|blob| self.release_blob(crate::ids::BlobId(blob.hash)));
                }
                Then::AnswerLogged(client, _) => {
                    self.refuse(client, Refusal::Storage, format!("the journal cannot be written: {reason}"));
                }
                _ => {}
            }
        }
        self.checkpoint = None;
        self.store_failed = Some(reason);
        if self.stopping {
            self.effect(Effect::Ended);
        }
    }

    /// The journal is broken: whoever waits for it is told so, and nothing new is taken.
    pub(super) fn store_failed(&mut self, reason: String) {
        let waiting = std::mem::take(&mut self.promises.waiting);
        self.store_failed = Some(reason.clone());
        for (_, then) in waiting {
            if let Then::AnswerLogged(client, _) = then {
                self.refuse(client, Refusal::Storage, format!("the journal cannot be written: {reason}"));
            }
        }
        if self.stopping {
            self.effect(Effect::Ended);
        }
    }
}

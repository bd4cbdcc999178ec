//! From the master's orders to bytes on disk: what is written together, when it is synced, what is reported, and what
//! becomes of records that cannot be written.
//!
//! The shell runs a [`Keeper`] on a thread of its own and gives it what has come in meanwhile (decision D51); the simulation
//! calls it in simulated time. `compaction` decides when the live jobs are to be written anew, `numbers` knows the master's
//! numbers and the journal's.
//!
//! A write that fails and is undone, because the disk is full for example, is tried again until it works; submissions are
//! refused meanwhile. After a failed sync nothing more is written: whether it left anything on disk cannot be known.

mod compaction;
mod numbers;

use std::collections::VecDeque;

pub use self::compaction::Compaction;
use self::compaction::size;
use self::numbers::Numbers;
use crate::record::{BlobHash, INLINE_MAX, Record};
use crate::segment::SEGMENT_HEADER_LEN;
use crate::storage::Storage;
use crate::writer::{Batch, Step, StepError, Writer};

/// So many bytes must fit before the journal is written again; less would be full at once.
const ROOM: usize = 256 << 10;

/// What is to be done.
#[derive(Debug)]
pub enum Order {
    /// Write a record.
    Record {
        /// The master's number; `None` for records of the shell.
        no: Option<u64>,
        /// What.
        record: Box<Record>,
        /// Sync, and report when it is done.
        promise: bool,
    },
    /// Bring everything to disk and report this number of the master.
    Sync(u64),
    /// This record was refused; its number stays empty.
    Skip(u64),
}

impl Order {
    /// The master's number of the record that it is about.
    pub fn number(&self) -> Option<u64> {
        match self {
            Order::Record { no, .. } => *no,
            Order::Skip(no) => Some(*no),
            Order::Sync(_) => None,
        }
    }
}

/// What is reported, in the order in which it became true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Everything up to this number of the master is written: a crash of the process keeps it, a power cut may not.
    Written(u64),
    /// Everything up to this number of the master is on disk.
    Stored(u64),
    /// Nothing can be written for now.
    Full {
        /// Why, for users.
        reason: String,
        /// Submissions, which will not be written.
        refused: Vec<u64>,
    },
    /// Everything that waited is written.
    Room,
    /// Nothing can be written any more.
    Failed(String),
    /// The live jobs shall be written anew.
    CompactionDue,
    /// The journal was made shorter.
    Compacted {
        /// Bytes before.
        before: u64,
        /// Bytes now.
        after: u64,
    },
    /// An old segment could not be removed; the next start reads it once more.
    NotRemoved(String),
    /// What a failed write left could not be removed.
    NotTakenBack(String),
    /// What was still to be written at the end could not be.
    EndNotWritten(String),
}

/// Why records were not written.
#[derive(Debug)]
enum Failure {
    /// Nothing of them is left; they may be written again.
    Undone(String),
    /// What is on disk is not known.
    Final(String),
}

/// How it stands with the journal.
#[derive(Debug)]
enum State {
    Open,
    /// These orders wait for room.
    Full {
        reason: String,
        waiting: Vec<Order>,
    },
    Failed,
}

/// Keeps records: a writer, the storage it writes to, and what is known of both.
pub struct Keeper<S, C, R> {
    writer: Writer,
    storage: S,
    compaction: Compaction,
    contents: C,
    numbers: Numbers,
    report: R,
    state: State,
    /// Segment and newest record that were written and not synced. A segment is synced before the next begins.
    unsynced: Option<(u64, u64)>,
    /// The segment that was synced last, and its length then.
    sound: Option<(u64, u64)>,
    /// Removals of segments that nobody needs.
    unneeded: VecDeque<Step>,
    /// A failed journal still has what no sync has covered.
    undropped: bool,
}

impl<S, C, R> std::fmt::Debug for Keeper<S, C, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("writer", &self.writer).field("state", &self.state).finish_non_exhaustive()
    }
}

impl<S: Storage, C: Fn(&BlobHash) -> Option<Vec<u8>>, R: FnMut(Told)> Keeper<S, C, R> {
    /// The master's next record has the writer's next sequence number, or a lower one. `contents` gives the small blobs of a
    /// checkpoint, which stand in its records; `report` is called in the midst of [`Keeper::take`], as soon as a thing is true.
    pub fn new(writer: Writer, storage: S, compaction: Compaction, contents: C, report: R) -> Self {
        let numbers = Numbers::default();
        Keeper {
            writer,
            storage,
            compaction,
            contents,
            numbers,
            report,
            state: State::Open,
            unsynced: None,
            sound: None,
            unneeded: VecDeque::new(),
            undropped: false,
        }
    }

    /// The storage, for a look at what is there.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// The storage, for tests and simulation that break it.
    #[doc(hidden)]
    pub fn storage_mut(&mut self) -> &mut S {
        &mut self.storage
    }

    /// The storage alone: the end without [`Keeper::finish`] is what a crash is.
    pub fn into_storage(self) -> S {
        self.storage
    }

    /// Whether what is ordered is written at once.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether something is still to be done: [`Keeper::try_again`] is to be called now and then.
    pub fn waits(&self) -> bool {
        self.is_full() || self.undropped
    }

    /// Whether a failed journal still has refused records that could not be taken away: the next start may find them.
    pub fn keeps_refused(&self) -> bool {
        self.undropped
    }

    /// Whether orders wait for room.
    pub fn is_full(&self) -> bool {
        matches!(self.state, State::Full { .. })
    }

    /// Carries out orders: one write, and one sync if a promise is among them.
    pub fn take(&mut self, orders: Vec<Order>) {
        match &mut self.state {
            State::Open => match self.write(orders) {
                Ok(()) => {
                    if self.compaction.falls_due(&self.writer) {
                        (self.report)(Told::CompactionDue);
                    }
                }
                Err((failure, orders)) => self.give_way(failure, orders),
            },
            State::Full { reason, waiting } => {
                let refused = put_off(waiting, orders);
                if !refused.is_empty() {
                    (self.report)(Told::Full { reason: reason.clone(), refused });
                }
            }
            State::Failed => {}
        }
    }

    /// Looks for room, and writes what has waited for it; takes away what a failed journal still has of refused records.
    pub fn try_again(&mut self) {
        if self.undropped {
            self.undropped = !self.drop_unsynced();
            return;
        }
        let room = self.look_for_room();
        let State::Full { waiting, .. } = &mut self.state else { return };
        match room {
            Err(reason) => return self.give_way(Failure::Final(reason), Vec::new()),
            Ok(false) => return,
            Ok(true) => {}
        }
        let orders = std::mem::take(waiting);
        match self.write(orders) {
            Ok(()) => {
                self.state = State::Open;
                (self.report)(Told::Room);
            }
            Err((Failure::Undone(_), orders)) => {
                if let State::Full { waiting, .. } = &mut self.state {
                    *waiting = orders;
                }
            }
            Err((failure, _)) => self.give_way(failure, Vec::new()),
        }
    }

    /// The end in good order: everything is written and synced.
    pub fn finish(&mut self) {
        if self.undropped {
            self.undropped = !self.drop_unsynced();
        }
        if let State::Full { waiting, .. } = &mut self.state {
            // Who waits for them hears nothing any more, but they may be there at the next start.
            let waiting = std::mem::take(waiting);
            self.state = State::Open;
            self.take(waiting);
        }
        if matches!(self.state, State::Open)
            && let Err(Failure::Undone(reason) | Failure::Final(reason)) =
                self.write_batch(true, None).and_then(|_| self.write_batch(false, None))
        {
            (self.report)(Told::EndNotWritten(reason));
        }
    }

    fn give_way(&mut self, failure: Failure, orders: Vec<Order>) {
        match failure {
            Failure::Undone(reason) => {
                self.compaction.give_up();
                let mut waiting = Vec::new();
                let refused = put_off(&mut waiting, orders);
                self.state = State::Full { reason: reason.clone(), waiting };
                (self.report)(Told::Full { reason, refused });
            }
            Failure::Final(reason) => {
                self.state = State::Failed;
                self.undropped = !self.drop_unsynced();
                (self.report)(Told::Failed(reason));
            }
        }
    }

    /// What no sync has covered goes, as far as the storage still obeys: whoever waits for it is about to be refused, and must
    /// not find it done after the next start. False if it did not obey: it may later.
    fn drop_unsynced(&mut self) -> bool {
        let (sound, len) = self.sound.unwrap_or((0, 0));
        let mut done = true;
        let own = self.writer.own_segments();
        for segment in own.rev().filter(|segment| *segment > sound) {
            // Its name may outlive its removal on such a disk.
            let _ = Step::Truncate { segment, len: SEGMENT_HEADER_LEN as u64 }.carry_out(&mut self.storage);
            done &= Step::Remove { segment }.carry_out(&mut self.storage).is_ok();
        }
        if self.sound.is_some() {
            done &= Step::Truncate { segment: sound, len }.carry_out(&mut self.storage).is_ok();
        }
        done
    }

    /// Tries whether more than a few bytes can be written, and takes them away again.
    fn look_for_room(&mut self) -> Result<bool, String> {
        let (&segment, place) = self.writer.segments().last_key_value().expect("a writer has a segment");
        let len = place.end;
        if self.storage.len(segment).is_err() {
            // Its creation failed and is tried again with the records.
            return Ok(true);
        }
        let fits = Step::Append { segment, bytes: vec![0; ROOM] }.carry_out(&mut self.storage).is_ok();
        let undone = Step::Truncate { segment, len }.carry_out(&mut self.storage);
        undone.map(|()| fits).map_err(|error| error.to_string())
    }

    /// Writes records and reports the number of the last one if they are all on disk now; what failed is given back.
    fn write(&mut self, mut orders: Vec<Order>) -> Result<(), (Failure, Vec<Order>)> {
        loop {
            let (written, stored) = match self.try_to_write(&mut orders) {
                Ok(done) => done,
                Err(failure) => {
                    if let Some(first) = orders.iter().find_map(Order::number) {
                        self.numbers.forget_from(first);
                    }
                    return Err((failure, orders));
                }
            };
            orders.drain(..written);
            if let Some(upto) = stored {
                (self.report)(Told::Stored(upto));
                // The mark that says how far the disk has everything, so that damage in an idle journal's last batch
                // does not pass for a torn tail.
                if let Err(failure) = self.write_batch(false, None).and_then(|_| self.remove_segments()) {
                    return Err((failure, orders));
                }
            }
            if orders.is_empty() {
                return Ok(());
            }
        }
    }

    /// Writes as many as go into one batch; says how many these are, and the number of the last if all are on disk now. A
    /// segment begins with a batch: the one before, which is synced then, has nothing of it that may have to be taken back.
    fn try_to_write(&mut self, orders: &mut [Order]) -> Result<(usize, Option<u64>), Failure> {
        let (mut last, mut sync, mut written) = (None, false, 0);
        for order in orders {
            if let Order::Record { record, .. } = order
                && written > 0
                && (self.writer.begins_segment(record) || matches!(**record, Record::CheckpointBegin(_)))
            {
                break;
            }
            written += 1;
            match order {
                Order::Record { no, record, promise } => {
                    sync |= *promise;
                    let seq = self.append(record).map_err(Failure::Final)?;
                    if let Some(no) = *no {
                        self.numbers.note(no, seq);
                        last = last.max(Some(no));
                    }
                }
                Order::Sync(upto) => {
                    sync = true;
                    last = last.max(Some(*upto));
                }
                Order::Skip(no) => self.numbers.note(*no, self.writer.next_seq() - 1),
            }
        }
        Ok((written, if self.write_batch(sync, last)? { last } else { None }))
    }

    fn append(&mut self, record: &mut Record) -> Result<u64, String> {
        self.compaction.before(record, &mut self.writer);
        if let Record::CheckpointBlob(content) = record
            && content.blob.len <= INLINE_MAX as u64
        {
            content.blob.inline = (self.contents)(&content.blob.hash);
        }
        let translated = self.numbers.translate(record);
        let record = translated.as_ref().unwrap_or(record);
        let before = size(&self.writer);
        let seq = self.writer.append(record).map_err(|error| error.to_string())?;
        self.compaction.after(record, seq, size(&self.writer) - before);
        Ok(seq)
    }

    /// Whether everything, up to this number of the master, is on disk now.
    fn write_batch(&mut self, sync: bool, upto: Option<u64>) -> Result<bool, Failure> {
        let mut sync = sync;
        if let Some(batch) = self.writer.take_batch() {
            if let Err(error) = self.carry_out(&batch) {
                let undone = self.take_back(batch);
                return Err(match error {
                    StepError::Write(error) if undone => Failure::Undone(error.to_string()),
                    error => Failure::Final(error.to_string()),
                });
            }
            sync |= batch.must_sync;
            self.unsynced = Some((batch.segment, batch.upto_seq));
        }
        if let Some(upto) = upto {
            (self.report)(Told::Written(upto));
        }
        if !sync {
            return Ok(false);
        }
        if let Some((segment, upto_seq)) = self.unsynced.take() {
            self.storage.sync(segment).map_err(|error| Failure::Final(error.to_string()))?;
            self.sound = self.storage.len(segment).ok().map(|len| (segment, len));
            self.writer.synced(upto_seq);
        }
        Ok(true)
    }

    fn carry_out(&mut self, batch: &Batch) -> Result<(), StepError> {
        for step in &batch.steps {
            step.carry_out(&mut self.storage)?;
            if let Step::Sync { segment } = step
                && self.writer.own_segments().any(|own| own == *segment)
            {
                // The next one says so, and may outlive its removal.
                self.sound = self.storage.len(*segment).ok().map(|len| (*segment, len));
            }
        }
        Ok(())
    }

    /// What a failed write left is removed, so that the next start finds a sound journal.
    fn take_back(&mut self, batch: Batch) -> bool {
        for step in self.writer.abandon(batch) {
            if let Err(second) = step.carry_out(&mut self.storage) {
                (self.report)(Told::NotTakenBack(second.to_string()));
                return false;
            }
        }
        true
    }

    /// Segments that a complete checkpoint stands for go.
    fn remove_segments(&mut self) -> Result<(), Failure> {
        let before = size(&self.writer);
        let steps = self.compaction.remove(&mut self.writer);
        if steps.is_empty() {
            return Ok(());
        }
        // Oldest first, and none while an older one stays: all that are there are contiguous, and the next start reads them
        // once more.
        self.unneeded.extend(steps);
        while let Some(step) = self.unneeded.front() {
            if let Err(error) = step.carry_out(&mut self.storage) {
                (self.report)(Told::NotRemoved(error.to_string()));
                return Ok(());
            }
            self.unneeded.pop_front();
        }
        (self.report)(Told::Compacted { before, after: size(&self.writer) });
        Ok(())
    }
}

/// Makes orders wait, all but those that are refused: submissions, whose clients want an answer, and what belongs to a
/// checkpoint, which is given up. Gives the numbers of the submissions.
fn put_off(waiting: &mut Vec<Order>, orders: Vec<Order>) -> Vec<u64> {
    let mut refused = Vec::new();
    for order in orders {
        waiting.push(match order {
            Order::Record { no: Some(no), record, promise } => match *record {
                Record::Submitted(_) | Record::Taken(_) => {
                    refused.push(no);
                    Order::Skip(no)
                }
                Record::CheckpointBegin(_)
                | Record::CheckpointBlob(_)
                | Record::CheckpointCluster(_)
                | Record::CheckpointJob(_)
                | Record::CheckpointFactory(_)
                | Record::CheckpointEnd(_) => Order::Skip(no),
                _ => Order::Record { no: Some(no), record, promise },
            },
            order => order,
        });
    }
    refused
}

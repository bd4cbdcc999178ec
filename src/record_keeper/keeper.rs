//! The thread itself.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use journal::{Batch, BlobHash, INLINE_MAX, Record, Step, StepError, Storage, Writer};
use tokio::sync::mpsc::UnboundedSender;
use wq_core::Input;
use wq_core::ids::RecordNo;

use super::compaction::{Compaction, size};
use super::numbers::Numbers;
use crate::report::Report;

/// Most turns in one batch; keeps the wait of the first bounded.
const BATCH_MAX: usize = 64;

/// From one look for room on a full disk to the next.
const RETRY: Duration = Duration::from_secs(1);

/// So many bytes must fit before the journal is written again; less would be full at once.
const ROOM: usize = 256 << 10;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Order {
    /// Write a record.
    Record {
        /// The core's number; `None` for records of the shell.
        no: Option<RecordNo>,
        record: Box<Record>,
        promise: bool,
    },
    /// Bring everything to disk and report this number.
    Sync(RecordNo),
    /// This record was refused; its number stays empty.
    Skip(RecordNo),
}

/// Why records were not written.
#[derive(Debug)]
enum Failure {
    /// Nothing of them is left; they may be written again.
    Undone(String),
    /// What is on disk is not known.
    Final(String),
}

/// Gives the content of a small blob.
type Contents = Box<dyn Fn(&BlobHash) -> Option<Vec<u8>> + Send>;

/// How it stands with the journal.
#[derive(Debug)]
enum State {
    Open,
    Full(Full),
    Failed,
}

/// Orders that wait for room.
#[derive(Debug)]
struct Full {
    /// When it is looked for.
    retry_at: Instant,
    /// Why there is none.
    reason: String,
    waiting: Vec<Order>,
}

pub(super) struct Keeper<S> {
    writer: Writer,
    storage: S,
    compaction: Compaction,
    contents: Contents,
    numbers: Numbers,
    results: UnboundedSender<Report>,
    state: State,
    /// Segment and newest record that were written and not synced. A segment is synced before the next begins.
    unsynced: Option<(u64, u64)>,
}

impl<S: Storage> Keeper<S> {
    pub(super) fn new(
        writer: Writer,
        storage: S,
        compaction: Compaction,
        contents: Contents,
        results: UnboundedSender<Report>,
    ) -> Keeper<S> {
        let numbers = Numbers::default();
        Keeper { writer, storage, compaction, contents, numbers, results, state: State::Open, unsynced: None }
    }

    /// The storage, for a look at what is there.
    #[cfg(test)]
    pub(super) fn into_storage(self) -> S {
        self.storage
    }

    pub(super) fn serve(&mut self, queue: &Receiver<Vec<Order>>) {
        loop {
            let first = match &self.state {
                State::Full(full) => queue.recv_timeout(full.retry_at.saturating_duration_since(Instant::now())),
                State::Open | State::Failed => queue.recv().map_err(RecvTimeoutError::from),
            };
            match first {
                Ok(first) => {
                    let orders = std::iter::once(first).chain(queue.try_iter().take(BATCH_MAX)).flatten().collect();
                    self.take(orders);
                }
                Err(RecvTimeoutError::Timeout) => self.try_again(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let State::Full(full) = &mut self.state {
            // Who waits for them hears nothing any more, but they may be there at the next start.
            let waiting = std::mem::take(&mut full.waiting);
            self.state = State::Open;
            self.take(waiting);
        }
        if matches!(self.state, State::Open)
            && let Err(Failure::Undone(reason) | Failure::Final(reason)) =
                self.write_batch(true).and_then(|_| self.write_batch(false))
        {
            tracing::error!(%reason, "the end of the journal cannot be written");
        }
    }

    pub(super) fn take(&mut self, orders: Vec<Order>) {
        match &mut self.state {
            State::Open => match self.write(orders) {
                Ok(()) => {
                    if self.compaction.falls_due(&self.writer) {
                        self.report(Input::CompactionDue);
                    }
                }
                Err((failure, orders)) => self.give_way(failure, orders),
            },
            State::Full(full) => {
                let refused = put_off(&mut full.waiting, orders);
                if !refused.is_empty() {
                    let reason = full.reason.clone();
                    self.report(Input::StoreFull { reason, refused });
                }
            }
            State::Failed => {}
        }
    }

    fn give_way(&mut self, failure: Failure, orders: Vec<Order>) {
        match failure {
            Failure::Undone(reason) => {
                tracing::error!(%reason, "the journal cannot be written; submissions are refused until it can");
                self.compaction.give_up();
                let mut waiting = Vec::new();
                let refused = put_off(&mut waiting, orders);
                let retry_at = Instant::now() + RETRY;
                self.state = State::Full(Full { retry_at, reason: reason.clone(), waiting });
                self.report(Input::StoreFull { reason, refused });
            }
            Failure::Final(reason) => {
                self.state = State::Failed;
                tracing::error!(%reason, "the journal cannot be written any more");
                self.report(Input::StoreFailed { reason });
            }
        }
    }

    /// Looks for room, and writes what has waited for it.
    fn try_again(&mut self) {
        let room = self.look_for_room();
        let State::Full(full) = &mut self.state else { return };
        full.retry_at = Instant::now() + RETRY;
        match room {
            Err(reason) => return self.give_way(Failure::Final(reason), Vec::new()),
            Ok(false) => return,
            Ok(true) => {}
        }
        let orders = std::mem::take(&mut full.waiting);
        match self.write(orders) {
            Ok(()) => {
                tracing::info!("the journal can be written again");
                self.state = State::Open;
                self.report(Input::StoreRoom);
            }
            Err((Failure::Undone(_), orders)) => {
                if let State::Full(full) = &mut self.state {
                    full.waiting = orders;
                }
            }
            Err((failure, _)) => self.give_way(failure, Vec::new()),
        }
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

    fn report(&self, input: Input) {
        // Nobody listens only at the very end.
        let _ = self.results.send(Report::Input(input));
    }

    /// Writes records and reports the number of the last one if they are all on disk now; what failed is given back.
    fn write(&mut self, mut orders: Vec<Order>) -> Result<(), (Failure, Vec<Order>)> {
        match self.try_to_write(&mut orders) {
            Ok(None) => Ok(()),
            Ok(Some(upto)) => {
                self.report(Input::Stored { upto });
                // The mark that says how far the disk has everything, so that damage in an idle journal's last batch
                // does not pass for a torn tail.
                self.write_batch(false).and_then(|_| self.remove_segments()).map_err(|failure| (failure, Vec::new()))
            }
            Err(failure) => {
                if let Some(first) = orders.iter().find_map(number) {
                    self.numbers.forget_from(first);
                }
                Err((failure, orders))
            }
        }
    }

    fn try_to_write(&mut self, orders: &mut [Order]) -> Result<Option<RecordNo>, Failure> {
        let (mut last, mut sync) = (None, false);
        for order in orders {
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
        Ok(if self.write_batch(sync)? { last } else { None })
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

    /// Whether everything is on disk now.
    fn write_batch(&mut self, sync: bool) -> Result<bool, Failure> {
        let mut sync = sync;
        if let Some(batch) = self.writer.take_batch() {
            if let Err(error) = batch.carry_out(&mut self.storage) {
                let undone = self.take_back(batch);
                return Err(match error {
                    StepError::Write(error) if undone => Failure::Undone(error.to_string()),
                    error => Failure::Final(error.to_string()),
                });
            }
            sync |= batch.must_sync;
            self.unsynced = Some((batch.segment, batch.upto_seq));
        }
        if !sync {
            return Ok(false);
        }
        if let Some((segment, upto_seq)) = self.unsynced.take() {
            self.storage.sync(segment).map_err(|error| Failure::Final(error.to_string()))?;
            self.writer.synced(upto_seq);
        }
        Ok(true)
    }

    /// What a failed write left is removed, so that the next start finds a sound journal.
    fn take_back(&mut self, batch: Batch) -> bool {
        for step in self.writer.abandon(batch) {
            if let Err(second) = step.carry_out(&mut self.storage) {
                tracing::error!(%second, "a half-written record stays in the journal");
                return false;
            }
        }
        true
    }

    /// Segments that a complete checkpoint stands for go.
    fn remove_segments(&mut self) -> Result<(), Failure> {
        let before = size(&self.writer);
        let steps = self.compaction.remove(&mut self.writer);
        for step in &steps {
            // Those that stay are contiguous with what follows them; the next start reads them once more.
            if let Err(error) = step.carry_out(&mut self.storage) {
                tracing::warn!(%error, "an old segment of the journal cannot be removed");
                return Ok(());
            }
        }
        if !steps.is_empty() {
            tracing::info!(before, after = size(&self.writer), "the journal is compacted");
        }
        Ok(())
    }
}

/// Makes orders wait, all but those that are refused: submissions, whose clients want an answer, and what belongs to a
/// checkpoint, which is given up. Gives the numbers of the submissions.
fn put_off(waiting: &mut Vec<Order>, orders: Vec<Order>) -> Vec<RecordNo> {
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
                | Record::CheckpointEnd(_) => Order::Skip(no),
                _ => Order::Record { no: Some(no), record, promise },
            },
            order => order,
        });
    }
    refused
}

fn number(order: &Order) -> Option<RecordNo> {
    match order {
        Order::Record { no, .. } => *no,
        Order::Skip(no) => Some(*no),
        Order::Sync(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use journal::{CheckpointBegin, CheckpointEnd, EventsUpto, HistoryUpto, How, JobId, LeftQueue, Removed, Submitted};
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::super::RecordKeeper;
    use super::*;
    use crate::journal_files::FileStorage;

    fn start(storage: impl Storage + Send + 'static, results: UnboundedSender<Report>) -> RecordKeeper {
        start_with_floor(storage, u64::MAX, results)
    }

    fn start_with_floor(
        storage: impl Storage + Send + 'static,
        floor: u64,
        results: UnboundedSender<Report>,
    ) -> RecordKeeper {
        let compaction = Compaction::new(floor, 0);
        RecordKeeper::start(Writer::create([1; 16]), storage, compaction, |_| None, results, Rc::default()).unwrap()
    }

    fn note(n: u32) -> Box<Record> {
        Box::new(LeftQueue { job: JobId { cluster: n, proc_: 0 }, at_s: 5, how: How::Completed }.into())
    }

    fn promise(n: u32) -> Box<Record> {
        Box::new(Removed { job: JobId { cluster: n, proc_: 0 }, at_s: 5, reason: "test".into() }.into())
    }

    fn inputs(mut got: UnboundedReceiver<Report>) -> Vec<String> {
        std::iter::from_fn(|| got.try_recv().ok())
            .map(|report| match report {
                Report::Input(input) => format!("{input:?}"),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn everything_is_there_after_the_end_and_promises_are_reported() {
        let dir = tempfile::tempdir().unwrap();
        let (results, got) = unbounded_channel();
        let keeper = start(FileStorage::new(dir.path()), results);
        keeper.keep(RecordNo(1), note(1), false);
        keeper.keep(RecordNo(2), promise(2), true);
        keeper.keep(RecordNo(3), note(3), false);
        drop(keeper);
        let said = inputs(got);
        assert!(said.iter().any(|input| input.contains("Stored { upto: RecordNo(")), "{said:?}");
        let mut seen = Vec::new();
        let recovery = journal::replay(&FileStorage::new(dir.path()), |entry| seen.push(entry.record)).unwrap();
        assert_eq!(seen, [*note(1), *promise(2), *note(3)]);
        assert!(recovery.next_seq > 3);
    }

    #[test]
    fn damage_in_the_last_batch_of_an_idle_journal_is_not_taken_for_a_tear() {
        let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (results, mut got) = unbounded_channel();
        let keeper = start(FileStorage::new(dir.path()), results);
        keeper.keep(RecordNo(1), promise(1), true);
        keeper.flush();
        while !format!("{:?}", got.blocking_recv()).contains("Stored") {}
        // The mark follows the report. What stands on disk then is what a crash of an idle master leaves.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap();
            let mut bytes = std::fs::read(file.path()).unwrap();
            let reason = bytes.windows(4).rposition(|w| w == b"test").unwrap();
            bytes[reason] ^= 1;
            std::fs::write(copy.path().join(file.file_name()), bytes).unwrap();
            match journal::replay(&FileStorage::new(copy.path()), |_| ()) {
                Err(journal::JournalError::Damaged { .. }) => break,
                other => assert!(std::time::Instant::now() < deadline, "{other:?}"),
            }
            std::thread::yield_now();
        }
        drop(keeper);
    }

    #[test]
    fn notes_come_to_disk_on_demand() {
        let dir = tempfile::tempdir().unwrap();
        let (results, got) = unbounded_channel();
        let keeper = start(FileStorage::new(dir.path()), results);
        keeper.keep(RecordNo(1), note(1), false);
        keeper.sync(RecordNo(1));
        keeper.sync(RecordNo(1));
        drop(keeper);
        let said = inputs(got);
        assert!(!said.is_empty() && said.iter().all(|input| input == "Stored { upto: RecordNo(1) }"), "{said:?}");
    }

    fn submitted() -> Box<Record> {
        let owner = "alice".to_owned();
        Box::new(Submitted { at_s: 1, wall_s: 1, uid: 1, gid: 1, owner, clusters: vec![], blobs: vec![] }.into())
    }

    /// Writes fail while it is full, syncs as long as told.
    struct Failing {
        inside: FileStorage,
        full: Arc<AtomicBool>,
        sync_fails: bool,
    }

    impl Storage for Failing {
        fn list(&self) -> std::io::Result<Vec<u64>> {
            self.inside.list()
        }
        fn len(&self, segment: u64) -> std::io::Result<u64> {
            self.inside.len(segment)
        }
        fn read_at(&self, segment: u64, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
            self.inside.read_at(segment, offset, buf)
        }
        fn create(&mut self, segment: u64) -> std::io::Result<()> {
            self.inside.create(segment)
        }
        fn append(&mut self, segment: u64, bytes: &[u8]) -> std::io::Result<()> {
            if self.full.load(Ordering::SeqCst) {
                // A part of it is there, as on a real disk.
                self.inside.append(segment, &bytes[..bytes.len() / 2])?;
                return Err(nix::errno::Errno::ENOSPC.into());
            }
            self.inside.append(segment, bytes)
        }
        fn truncate(&mut self, segment: u64, len: u64) -> std::io::Result<()> {
            self.inside.truncate(segment, len)
        }
        fn sync(&mut self, segment: u64) -> std::io::Result<()> {
            if self.sync_fails && self.inside.len(segment)? > 100 {
                return Err(nix::errno::Errno::EIO.into());
            }
            self.inside.sync(segment)
        }
        fn sync_dir(&mut self) -> std::io::Result<()> {
            self.inside.sync_dir()
        }
        fn remove(&mut self, segment: u64) -> std::io::Result<()> {
            self.inside.remove(segment)
        }
    }

    #[test]
    fn a_failed_sync_is_final_and_nothing_is_acknowledged_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let (results, got) = unbounded_channel();
        let storage = Failing { inside: FileStorage::new(dir.path()), full: Arc::default(), sync_fails: true };
        let keeper = start(storage, results);
        for no in 1..5 {
            keeper.keep(RecordNo(no), promise(1), true);
        }
        drop(keeper);
        let said = inputs(got);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("StoreFailed") && said[0].contains("Input/output error"), "{said:?}");
    }

    #[test]
    fn a_full_disk_refuses_submissions_and_the_rest_is_written_when_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let (results, mut got) = unbounded_channel();
        let full = Arc::new(AtomicBool::new(false));
        let storage = Failing { inside: FileStorage::new(dir.path()), full: Arc::clone(&full), sync_fails: false };
        let keeper = start(storage, results);
        let hear = |got: &mut UnboundedReceiver<Report>| match got.blocking_recv() {
            Some(Report::Input(input)) => format!("{input:?}"),
            other => panic!("{other:?}"),
        };
        keeper.keep(RecordNo(1), promise(1), true);
        keeper.flush();
        assert_eq!(hear(&mut got), "Stored { upto: RecordNo(1) }");
        full.store(true, Ordering::SeqCst);
        keeper.keep(RecordNo(2), promise(2), true);
        keeper.keep(RecordNo(3), submitted(), true);
        keeper.keep(RecordNo(4), Box::new(EventsUpto { seq: 3 }.into()), false);
        keeper.flush();
        let said = hear(&mut got);
        assert!(said.contains("No space left") && said.ends_with("refused: [RecordNo(3)] }"), "{said}");
        keeper.keep(RecordNo(5), submitted(), true);
        keeper.keep(RecordNo(6), promise(6), true);
        keeper.flush();
        let said = hear(&mut got);
        assert!(said.contains("No space left") && said.ends_with("refused: [RecordNo(5)] }"), "{said}");
        // What is there is sound at any time.
        let mut seen = Vec::new();
        journal::replay(&FileStorage::new(dir.path()), |entry| seen.push(entry.record)).unwrap();
        assert_eq!(seen, [*promise(1)]);
        full.store(false, Ordering::SeqCst);
        assert_eq!(hear(&mut got), "Stored { upto: RecordNo(6) }");
        assert_eq!(hear(&mut got), "StoreRoom");
        keeper.keep(RecordNo(7), submitted(), true);
        drop(keeper);
        assert_eq!(inputs(got), ["Stored { upto: RecordNo(7) }"]);
        let mut seen = Vec::new();
        journal::replay(&FileStorage::new(dir.path()), |entry| seen.push((entry.seq, entry.record))).unwrap();
        let of_second = seen[1].0;
        // The refused record, of which the core says that its events are written, counts as the one before.
        let records: Vec<Record> = seen.into_iter().map(|(_, record)| record).collect();
        let upto = EventsUpto { seq: of_second }.into();
        assert_eq!(records, [*promise(1), *promise(2), upto, *promise(6), *submitted()]);
    }

    #[test]
    fn a_checkpoint_is_asked_for_once_and_older_segments_go_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let (results, mut got) = unbounded_channel();
        let keeper = start_with_floor(FileStorage::new(dir.path()), 2_000, results);
        let mut no = 0;
        let mut keep = |record: Record| {
            no += 1;
            let promise = record.is_promise();
            keeper.keep(RecordNo(no), Box::new(record), promise);
            keeper.flush();
            no
        };
        let mut due = 0;
        for n in 0..100 {
            let no = keep(*promise(n));
            loop {
                match got.blocking_recv() {
                    Some(Report::Input(Input::Stored { upto })) if upto == RecordNo(no) => break,
                    Some(Report::Input(Input::CompactionDue)) => due += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
        let begin = keep(CheckpointBegin { next_cluster: 7, at_s: 1 }.into());
        keep(EventsUpto { seq: begin }.into());
        keep(HistoryUpto { seq: begin }.into());
        keep(CheckpointEnd { begin_seq: begin, jobs: 0 }.into());
        drop(keeper);
        assert_eq!(due + inputs(got).iter().filter(|said| *said == "CompactionDue").count(), 1);
        let recovery = journal::replay(&FileStorage::new(dir.path()), |_| ()).unwrap();
        assert_eq!(recovery.segments.keys().collect::<Vec<_>>(), [&2], "the first segment is gone");
        assert!(recovery.checkpoint.is_some());
    }
}

//! The thread that writes the journal.
//!
//! Group commit without a timer: what is queued is written in one batch, and synced if a promise is among it; what
//! arrives meanwhile shares the next batch (decision D51). After the first failure nothing more is written: whether a
//! failed sync left anything on disk cannot be known.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use journal::{Batch, OutputsUpto, Record, Storage, Writer};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use wq_core::Input;
use wq_core::ids::RecordNo;

use crate::report::Report;

/// Most turns in one batch; keeps the wait of the first bounded.
const BATCH_MAX: usize = 64;

/// What is to be done.
#[derive(Debug)]
enum Order {
    /// Write a record.
    Record {
        /// The core's number; `None` for records of the shell.
        no: Option<RecordNo>,
        record: Box<Record>,
        promise: bool,
    },
    /// Bring everything to disk and report this number.
    Sync(RecordNo),
}

/// The thread's other end.
#[derive(Debug)]
pub(crate) struct RecordKeeper {
    orders: Option<Sender<Vec<Order>>>,
    /// What this turn of the event loop has brought; handed over at its end, so that one write and one sync serve it.
    gathered: RefCell<Vec<Order>>,
    turn: Rc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl RecordKeeper {
    /// Starts the thread. The core's next record is number `next`, which is the writer's next sequence number too.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start<S: Storage + Send + 'static>(
        writer: Writer,
        storage: S,
        results: UnboundedSender<Report>,
        turn: Rc<Notify>,
    ) -> std::io::Result<RecordKeeper> {
        let (orders, queue) = channel();
        let mut keeper =
            Keeper { writer, storage, numbers: Numbers::default(), results, failed: false, unsynced: None };
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || keeper.serve(&queue))?;
        Ok(RecordKeeper { orders: Some(orders), gathered: RefCell::default(), turn, thread: Some(thread) })
    }

    /// Appends a record of the core; with `promise` it is reported when it is on disk.
    pub(crate) fn keep(&self, no: RecordNo, record: Box<Record>, promise: bool) {
        self.put(Order::Record { no: Some(no), record, promise });
    }

    /// Appends a record of the shell.
    pub(crate) fn note(&self, record: Record) {
        self.put(Order::Record { no: None, record: Box::new(record), promise: false });
    }

    /// Reports `upto` when everything before is on disk.
    pub(crate) fn sync(&self, upto: RecordNo) {
        self.put(Order::Sync(upto));
    }

    /// Hands over what was gathered.
    pub(crate) fn flush(&self) {
        let gathered = self.gathered.take();
        if !gathered.is_empty() {
            let orders = self.orders.as_ref().expect("lives until the drop");
            orders.send(gathered).expect("the thread ends only after this sender");
        }
    }

    fn put(&self, order: Order) {
        let mut gathered = self.gathered.borrow_mut();
        if gathered.is_empty() {
            self.turn.notify_one();
        }
        gathered.push(order);
    }
}

impl Drop for RecordKeeper {
    /// Waits until everything is written and synced.
    fn drop(&mut self) {
        self.flush();
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so in the log.
            let _ = thread.join();
        }
    }
}

struct Keeper<S> {
    writer: Writer,
    storage: S,
    numbers: Numbers,
    results: UnboundedSender<Report>,
    failed: bool,
    /// Segment and newest record that were written and not synced. A segment is synced before the next begins.
    unsynced: Option<(u64, u64)>,
}

impl<S: Storage> Keeper<S> {
    fn serve(&mut self, queue: &Receiver<Vec<Order>>) {
        while let Ok(first) = queue.recv() {
            let orders = std::iter::once(first).chain(queue.try_iter().take(BATCH_MAX)).flatten().collect();
            if self.failed {
                continue;
            }
            match self.write(orders) {
                Ok(Some(upto)) => {
                    self.report(Input::Stored { upto });
                    // The mark that says how far the disk has everything, so that damage in an idle journal's last
                    // batch does not pass for a torn tail.
                    if let Err(reason) = self.write_batch(false) {
                        self.fail(reason);
                    }
                }
                Ok(None) => {}
                Err(reason) => self.fail(reason),
            }
        }
        if !self.failed {
            let synced = self.write_batch(true).and_then(|_| self.write_batch(false));
            if let Err(reason) = synced {
                tracing::error!(%reason, "the end of the journal cannot be written");
            }
        }
    }

    fn fail(&mut self, reason: String) {
        self.failed = true;
        tracing::error!(%reason, "the journal cannot be written any more");
        self.report(Input::StoreFailed { reason });
    }

    fn report(&self, input: Input) {
        // Nobody listens only at the very end.
        let _ = self.results.send(Report::Input(input));
    }

    /// Writes records; the number of the last one if they are all on disk now.
    fn write(&mut self, orders: Vec<Order>) -> Result<Option<RecordNo>, String> {
        let (mut last, mut sync) = (None, false);
        for order in orders {
            match order {
                Order::Record { no, mut record, promise } => {
                    sync |= promise;
                    self.numbers.translate(&mut record);
                    let seq = self.writer.append(&record).map_err(|error| error.to_string())?;
                    if let Some(no) = no {
                        self.numbers.note(no, seq);
                        last = last.max(Some(no));
                    }
                }
                Order::Sync(upto) => {
                    sync = true;
                    last = last.max(Some(upto));
                }
            }
        }
        Ok(if self.write_batch(sync)? { last } else { None })
    }

    /// Whether everything is on disk now.
    fn write_batch(&mut self, sync: bool) -> Result<bool, String> {
        let mut sync = sync;
        if let Some(batch) = self.writer.take_batch() {
            if let Err(error) = batch.carry_out(&mut self.storage) {
                self.take_back(batch);
                return Err(error.to_string());
            }
            sync |= batch.must_sync;
            self.unsynced = Some((batch.segment, batch.upto_seq));
        }
        if !sync {
            return Ok(false);
        }
        if let Some((segment, upto_seq)) = self.unsynced.take() {
            self.storage.sync(segment).map_err(|error| error.to_string())?;
            self.writer.synced(upto_seq);
        }
        Ok(true)
    }

    /// What a failed write left is removed, so that the next start finds a sound journal.
    fn take_back(&mut self, batch: Batch) {
        for step in self.writer.abandon(batch) {
            if let Err(second) = step.carry_out(&mut self.storage) {
                tracing::error!(%second, "a half-written record stays in the journal");
                return;
            }
        }
    }
}

/// The core's numbers and the journal's. The journal numbers its own marks and the shell's records too, so the two
/// drift apart; what the core writes *about* records is put into the journal's numbers.
#[derive(Debug, Default)]
struct Numbers {
    /// From this number of the core on the journal's is so much higher.
    steps: VecDeque<(u64, u64)>,
}

impl Numbers {
    /// Steps kept: beyond, old numbers are translated to something lower, which only makes recovery look further back.
    const STEPS_MAX: usize = 1 << 16;

    fn note(&mut self, no: RecordNo, seq: u64) {
        let ahead = seq.saturating_sub(no.0);
        if self.steps.back().map_or(0, |(_, ahead)| *ahead) != ahead {
            self.steps.push_back((no.0, ahead));
            if self.steps.len() > Self::STEPS_MAX {
                self.steps.pop_front();
            }
        }
    }

    fn seq(&self, no: u64) -> u64 {
        let after = self.steps.partition_point(|(from, _)| *from <= no);
        no + after.checked_sub(1).map_or(0, |index| self.steps[index].1)
    }

    fn translate(&mut self, record: &mut Record) {
        match record {
            Record::EventsUpto(upto) => upto.seq = self.seq(upto.seq),
            Record::HistoryUpto(upto) => upto.seq = self.seq(upto.seq),
            Record::OutputsUpto(upto) if upto.seq != OutputsUpto::ALL => upto.seq = self.seq(upto.seq),
            Record::CheckpointJob(job) => job.reflects_seq = self.seq(job.reflects_seq),
            Record::CheckpointEnd(end) => end.begin_seq = self.seq(end.begin_seq),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use journal::{EventsUpto, How, JobId, LeftQueue, Removed};
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::journal_files::FileStorage;

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
        let keeper =
            RecordKeeper::start(Writer::create([1; 16]), FileStorage::new(dir.path()), results, Rc::default()).unwrap();
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
        let keeper =
            RecordKeeper::start(Writer::create([1; 16]), FileStorage::new(dir.path()), results, Rc::default()).unwrap();
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
        let keeper =
            RecordKeeper::start(Writer::create([1; 16]), FileStorage::new(dir.path()), results, Rc::default()).unwrap();
        keeper.keep(RecordNo(1), note(1), false);
        keeper.sync(RecordNo(1));
        keeper.sync(RecordNo(1));
        drop(keeper);
        let said = inputs(got);
        assert!(!said.is_empty() && said.iter().all(|input| input == "Stored { upto: RecordNo(1) }"), "{said:?}");
    }

    #[test]
    fn numbers_follow_the_journal() {
        let mut numbers = Numbers::default();
        for (no, seq) in [(1, 1), (2, 3), (3, 4), (4, 7)] {
            numbers.note(RecordNo(no), seq);
        }
        assert_eq!([1, 2, 3, 4, 5].map(|no| numbers.seq(no)), [1, 3, 4, 7, 8]);
        let mut record = Record::from(EventsUpto { seq: 3 });
        numbers.translate(&mut record);
        assert_eq!(record, EventsUpto { seq: 4 }.into());
        for (no, seq) in [(4, 7), (OutputsUpto::ALL, OutputsUpto::ALL)] {
            let mut record = Record::from(OutputsUpto { seq: no });
            numbers.translate(&mut record);
            assert_eq!(record, OutputsUpto { seq }.into());
        }
    }

    /// Fails from the given call on.
    struct Failing {
        inside: FileStorage,
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
            // The header fits, a record does not.
            if !self.sync_fails && self.inside.len(segment)? > 0 {
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
    fn a_failure_is_final_and_nothing_is_acknowledged_after_it() {
        for (sync_fails, words) in [(false, "No space left"), (true, "Input/output error")] {
            let dir = tempfile::tempdir().unwrap();
            let (results, got) = unbounded_channel();
            let storage = Failing { inside: FileStorage::new(dir.path()), sync_fails };
            let keeper = RecordKeeper::start(Writer::create([1; 16]), storage, results, Rc::default()).unwrap();
            for no in 1..5 {
                keeper.keep(RecordNo(no), promise(1), true);
            }
            drop(keeper);
            let said = inputs(got);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].starts_with("StoreFailed") && said[0].contains(words), "{said:?}");
        }
    }
}

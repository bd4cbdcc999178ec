//! The thread itself: it waits for orders, and for the moment to look for room again.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use journal::keeper::{Compaction, Keeper, Order, Told};
use journal::{BlobHash, Storage, Writer};
use tokio::sync::mpsc::UnboundedSender;
use wq_core::Input;
use wq_core::ids::RecordNo;

use crate::backlog::Backlog;
use crate::report::Report;

/// Most turns in one batch; keeps the wait of the first bounded.
const BATCH_MAX: usize = 64;

/// From one look for room on a full disk to the next.
const RETRY: Duration = Duration::from_secs(1);

/// Keeps records until the queue's other end is gone.
pub(super) fn serve<S: Storage>(
    writer: Writer,
    storage: S,
    compaction: Compaction,
    contents: impl Fn(&BlobHash) -> Option<Vec<u8>>,
    results: &UnboundedSender<Report>,
    (queue, backlog): (&Receiver<Vec<Order>>, &Backlog),
) {
    let report = |told| {
        let report = match told {
            Told::Written(upto) => Some(Report::Noted(RecordNo(upto))),
            told => input_of(told).map(Report::Input),
        };
        if let Some(report) = report {
            // Nobody listens only at the very end.
            let _ = results.send(report);
        }
    };
    let mut keeper = Keeper::new(writer, storage, compaction, contents, report);
    let mut retry_at = None;
    loop {
        let first = match retry_at {
            Some(at) => queue.recv_timeout(at - Instant::now().min(at)),
            None => queue.recv().map_err(RecvTimeoutError::from),
        };
        match first {
            Ok(first) => {
                let turns: Vec<_> = std::iter::once(first).chain(queue.try_iter().take(BATCH_MAX)).collect();
                let count = turns.len();
                let last = turns.iter().flatten().filter_map(Order::number).max();
                keeper.take(turns.into_iter().flatten().collect());
                if let Some(last) = last.filter(|_| !keeper.is_open()) {
                    // Jobs start on a disk that takes nothing; a crash before there is room forgets these starts.
                    let _ = results.send(Report::Noted(RecordNo(last)));
                }
                backlog.done(count);
                if keeper.waits() {
                    retry_at.get_or_insert_with(|| Instant::now() + RETRY);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                keeper.try_again();
                retry_at = keeper.waits().then(|| Instant::now() + RETRY);
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    keeper.finish();
}

/// What the core hears of it; the operator hears the rest.
pub(super) fn input_of(told: Told) -> Option<Input> {
    match told {
        Told::Written(_) => {}
        Told::Stored(upto) => return Some(Input::Stored { upto: RecordNo(upto) }),
        Told::Full { reason, refused } => {
            tracing::error!(%reason, "the journal cannot be written; submissions are refused until it can");
            return Some(Input::StoreFull { reason, refused: refused.into_iter().map(RecordNo).collect() });
        }
        Told::Room => {
            tracing::info!("the journal can be written again");
            return Some(Input::StoreRoom);
        }
        Told::Failed(reason) => {
            tracing::error!(%reason, "the journal cannot be written any more");
            return Some(Input::StoreFailed { reason });
        }
        Told::CompactionDue => return Some(Input::CompactionDue),
        Told::Compacted { before, after } => tracing::info!(before, after, "the journal is compacted"),
        Told::NotRemoved(error) => tracing::warn!(%error, "an old segment of the journal cannot be removed"),
        Told::NotTakenBack(error) => tracing::error!(%error, "a half-written record stays in the journal"),
        Told::EndNotWritten(reason) => tracing::error!(%reason, "the end of the journal cannot be written"),
    }
    None
}

#[cfg(test)]
mod tests {

    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use journal::{
        CheckpointBegin, CheckpointEnd, EventsUpto, HistoryUpto, How, JobId, LeftQueue, Record, Removed, Submitted,
    };
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
            .filter(|report| !matches!(report, Report::Noted(_)))
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
        let hear = |got: &mut UnboundedReceiver<Report>| {
            loop {
                match got.blocking_recv() {
                    Some(Report::Input(input)) => return format!("{input:?}"),
                    Some(Report::Noted(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        keeper.keep(RecordNo(1), promise(1), true);
        keeper.flush();
        assert_eq!(hear(&mut got), "Stored { upto: RecordNo(1) }");
        // The mark follows that report, and has been written when the next one comes.
        keeper.sync(RecordNo(1));
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
                    Some(Report::Noted(_)) => {}
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

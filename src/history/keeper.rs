//! The thread that writes the history.
//!
//! What comes within a moment goes into one transaction. A transaction does not wait for the disk; that is done every few
//! seconds, and then the journal hears of it. When the file cannot be written, jobs go on: they leave the queue, their
//! rows wait here for better times, at most [`WAITING_MAX`] of them, and the operator is told once. A file that is damaged
//! is set aside under another name and a new one begun.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::UnboundedSender;
use wq_core::Input;
use wq_core::ids::{JobId, RecordNo};
use wq_core::io::Departed;

use super::store::{Change, Store, StoreError};
use crate::backlog::Backlog;
use crate::options::HistoryLimits;
use crate::report::Report;

/// How long a transaction waits for company: a job leaves the queue that much later.
const LINGER: Duration = Duration::from_millis(10);

/// Most changes of one transaction.
const ROUND_MAX: usize = 4096;

/// From the first change to the sync that covers it.
const SYNC_AFTER: Duration = Duration::from_secs(5);

/// Between two tries when the file cannot be written.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Rows that wait for the file to become writable; some 6 KB each. Beyond, the oldest are given up.
const WAITING_MAX: usize = 10_000;

/// What the thread is told.
#[derive(Debug)]
enum Order {
    Change(Change),
    Sync,
}

/// The thread's other end.
#[derive(Debug)]
pub(crate) struct Keeper {
    orders: Option<Sender<Order>>,
    backlog: Backlog,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread over the file of this path.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(
        path: PathBuf,
        limits: HistoryLimits,
        results: UnboundedSender<Report>,
    ) -> std::io::Result<Keeper> {
        let (orders, queue) = channel();
        let backlog = Backlog::default();
        let left = backlog.clone();
        let builder = std::thread::Builder::new().name("history".into());
        let thread = builder.spawn(move || {
            let report = move |input| drop(results.send(Report::Input(input)));
            Work::new(path, limits, report).serve(&queue, &left);
        })?;
        Ok(Keeper { orders: Some(orders), backlog, thread: Some(thread) })
    }

    /// Puts a job into the history.
    pub(crate) fn put(&self, departed: Box<Departed>) {
        self.order(Order::Change(Change::Put(departed)));
    }

    /// Takes it out again.
    pub(crate) fn recall(&self, job: JobId, submitted_s: i64) {
        self.order(Order::Change(Change::Recall(job, submitted_s)));
    }

    /// Brings what was put to disk without the usual wait.
    pub(crate) fn sync(&self) {
        self.order(Order::Sync);
    }

    /// Everything was tried that was to be written.
    pub(crate) fn is_idle(&self) -> bool {
        self.backlog.is_empty()
    }

    fn order(&self, order: Order) {
        self.backlog.add(1);
        let orders = self.orders.as_ref().expect("lives until the drop");
        orders.send(order).expect("the thread ends only after this sender");
    }
}

impl Drop for Keeper {
    /// Waits until everything is written.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so in the log.
            let _ = thread.join();
        }
    }
}

/// What the thread knows.
struct Work<R> {
    path: PathBuf,
    limits: HistoryLimits,
    report: R,
    store: Option<Store>,
    waiting: VecDeque<Change>,
    /// The last job that was reported to be there.
    upto: RecordNo,
    /// When what is there is to be synced.
    sync_at: Option<Instant>,
    /// When the file is tried again.
    retry_at: Option<Instant>,
    given_up: u64,
}

impl<R: Fn(Input)> Work<R> {
    fn new(path: PathBuf, limits: HistoryLimits, report: R) -> Work<R> {
        let (store, waiting, upto) = (None, VecDeque::new(), RecordNo(0));
        Work { path, limits, report, store, waiting, upto, sync_at: None, retry_at: None, given_up: 0 }
    }

    fn serve(mut self, queue: &Receiver<Order>, backlog: &Backlog) {
        // A damaged file is found at the start, not at the first end.
        self.write();
        while self.round(queue, backlog) {}
        self.retry_at = None;
        self.write();
        self.sync();
        if !self.waiting.is_empty() {
            tracing::warn!(
                jobs = self.waiting.len(),
                "jobs that have ended are not in the history; the journal knows them and they are tried at the next start"
            );
        }
    }

    /// Waits for work and does it; false at the end.
    fn round(&mut self, queue: &Receiver<Order>, backlog: &Backlog) -> bool {
        let due = [self.sync_at, self.retry_at].into_iter().flatten().min();
        let first = match due {
            Some(due) => queue.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match first {
            Ok(order) => {
                self.take(order);
                let mut count = 1;
                let end = Instant::now() + LINGER;
                while count < ROUND_MAX
                    && let Ok(order) = queue.recv_timeout(end.saturating_duration_since(Instant::now()))
                {
                    self.take(order);
                    count += 1;
                }
                self.write();
                backlog.done(count);
            }
            Err(RecvTimeoutError::Timeout) if self.retry_at.is_some_and(|at| at <= Instant::now()) => {
                self.retry_at = None;
                self.write();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        if self.sync_at.is_some_and(|at| at <= Instant::now()) {
            self.sync();
        }
        true
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Change(change) => self.waiting.push_back(change),
            Order::Sync => self.sync_at = Some(Instant::now()),
        }
    }

    /// Brings what waits into the file, and lets the jobs go whether that is possible or not.
    fn write(&mut self) {
        let upto = self.waiting.iter().rev().find_map(|change| match change {
            Change::Put(departed) => Some(departed.no),
            Change::Recall(..) => None,
        });
        if self.retry_at.is_none() {
            self.try_file();
        }
        let surplus = self.waiting.len().saturating_sub(WAITING_MAX);
        self.waiting.drain(..surplus);
        self.given_up += surplus as u64;
        if let Some(upto) = upto.filter(|upto| *upto > self.upto) {
            self.upto = upto;
            (self.report)(Input::Archived { upto });
        }
    }

    fn try_file(&mut self) {
        let result = match self.change() {
            Err(error) if error.is_damage() => {
                self.store = None;
                set_aside(&self.path, &error);
                self.change()
            }
            other => other,
        };
        match result {
            Ok(()) => {
                if self.given_up > 0 {
                    tracing::warn!(jobs = self.given_up, "the history works again; these jobs are missing in it");
                    self.given_up = 0;
                }
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the history cannot be written; jobs go on, it is tried again");
                self.store = None;
                self.retry_at = Some(Instant::now() + RETRY_AFTER);
            }
        }
    }

    fn change(&mut self) -> Result<(), StoreError> {
        let store = match &mut self.store {
            Some(store) => store,
            none => none.insert(Store::open(&self.path)?),
        };
        if !self.waiting.is_empty() {
            store.change(self.waiting.iter())?;
            self.waiting.clear();
            self.sync_at.get_or_insert(Instant::now() + SYNC_AFTER);
        }
        store.prune(self.limits, now_s())?;
        Ok(())
    }

    fn sync(&mut self) {
        self.sync_at = None;
        let Some(store) = &self.store else { return };
        match store.sync() {
            // What still waits is not there, whatever was reported.
            Ok(()) if self.waiting.is_empty() => (self.report)(Input::ArchiveSynced { upto: self.upto }),
            Ok(()) => {}
            Err(error) => tracing::warn!(path = %self.path.display(), %error, "the history"),
        }
    }
}

/// A damaged file keeps its content under another name.
fn set_aside(path: &Path, error: &StoreError) {
    let name = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = name(&format!(".damaged-{}", now_s()));
    tracing::warn!(%error, aside = %aside.display(), "the history is damaged: it is set aside, a new one begins");
    if let Err(error) = std::fs::rename(path, &aside) {
        tracing::warn!(%error, "the damaged history cannot be set aside");
    }
    // They belong to the file of before.
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(name(suffix));
    }
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use rusqlite::Connection;

    use super::*;

    const LIMITS: HistoryLimits = HistoryLimits { jobs: 100, age_s: None };

    fn departed(no: u64, cluster: u32) -> Change {
        let ad = vec![("ClusterId".to_owned(), cluster.to_string()), ("Owner".to_owned(), "\"alice\"".to_owned())];
        let owner = "alice".to_owned();
        let (no, job) = (RecordNo(no), JobId::new(cluster, 0));
        Change::Put(Box::new(Departed { no, job, submitted_s: 7, left_s: now_s(), uid: 1000, owner, ad }))
    }

    type Reports = Rc<RefCell<Vec<String>>>;

    fn work(path: &Path, limits: HistoryLimits) -> (Work<impl Fn(Input) + use<>>, Reports) {
        let reports = Reports::default();
        let sink = Rc::clone(&reports);
        (Work::new(path.to_owned(), limits, move |input| sink.borrow_mut().push(format!("{input:?}"))), reports)
    }

    fn clusters(path: &Path) -> Vec<u32> {
        let db = Connection::open(path).unwrap();
        let mut rows = db.prepare("SELECT cluster FROM jobs ORDER BY seq").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn put(work: &mut Work<impl Fn(Input)>, changes: impl IntoIterator<Item = Change>) {
        work.waiting.extend(changes);
        work.write();
    }

    #[test]
    fn jobs_are_reported_when_they_are_there_and_again_when_they_are_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        let (mut work, reports) = work(&path, LIMITS);
        put(&mut work, [departed(5, 1), departed(7, 2)]);
        assert_eq!(clusters(&path), [1, 2]);
        work.sync();
        let all = ["Archived { upto: RecordNo(7) }", "ArchiveSynced { upto: RecordNo(7) }"];
        assert_eq!(*reports.borrow(), all);
    }

    #[test]
    fn a_job_that_comes_again_is_there_once_and_a_recalled_one_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        let (mut work, _) = work(&path, LIMITS);
        put(&mut work, [departed(5, 1), departed(7, 2), departed(8, 3)]);
        put(&mut work, [departed(11, 1), Change::Recall(JobId::new(3, 0), 7)]);
        assert_eq!(clusters(&path), [2, 1]);
        assert_eq!(work.store.unwrap().rows_known(), 2);
    }

    #[test]
    fn the_oldest_go_by_number_and_by_age() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        let (mut work, _) = work(&path, HistoryLimits { jobs: 3, age_s: None });
        put(&mut work, (1..=8).map(|n| departed(n, n as u32)));
        assert_eq!(clusters(&path), [6, 7, 8]);
        work.limits = HistoryLimits { jobs: 3, age_s: Some(1000) };
        let Change::Put(mut old) = departed(9, 9) else { unreachable!() };
        old.left_s -= 2000;
        put(&mut work, [Change::Put(old), departed(10, 10)]);
        assert_eq!(clusters(&path), [8, 9, 10], "only what has no younger before it is looked at");
        put(&mut work, [departed(11, 11)]);
        put(&mut work, [departed(12, 12)]);
        assert_eq!(clusters(&path), [10, 11, 12]);
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        std::fs::write(&path, "this is no data base, and it is long enough to be seen as none".repeat(100)).unwrap();
        let (mut work, reports) = work(&path, LIMITS);
        put(&mut work, [departed(5, 1)]);
        assert_eq!(clusters(&path), [1]);
        assert_eq!(reports.borrow().len(), 1);
        let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.into_iter().any(|name| name.to_string_lossy().starts_with("history.db.damaged-")));
    }

    #[test]
    fn jobs_go_on_without_a_file_and_come_into_it_later() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("later");
        let path = folder.join("history.db");
        let (mut work, reports) = work(&path, LIMITS);
        put(&mut work, [departed(5, 1)]);
        assert_eq!(*reports.borrow(), ["Archived { upto: RecordNo(5) }"], "it leaves the queue");
        assert!(work.retry_at.is_some());
        std::fs::create_dir(&folder).unwrap();
        put(&mut work, [departed(6, 2)]);
        assert!(!path.exists(), "it is not tried at every job");
        work.retry_at = None;
        work.write();
        assert_eq!(clusters(&path), [1, 2]);
        work.sync();
        assert_eq!(reports.borrow().last().unwrap(), "ArchiveSynced { upto: RecordNo(6) }");
    }

    #[test]
    fn a_bound_number_of_rows_waits() {
        let dir = tempfile::tempdir().unwrap();
        let (mut work, _) = work(&dir.path().join("gone/history.db"), LIMITS);
        put(&mut work, (0..WAITING_MAX as u64 + 5).map(|n| departed(n + 1, n as u32 + 1)));
        assert_eq!((work.waiting.len(), work.given_up), (WAITING_MAX, 5));
    }

    #[test]
    fn the_file_of_a_later_release_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let (mut work, reports) = work(&path, LIMITS);
        put(&mut work, [departed(5, 1)]);
        assert!(work.retry_at.is_some() && reports.borrow().len() == 1);
    }

    #[test]
    fn the_thread_writes_all_before_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        let (results, mut reports) = tokio::sync::mpsc::unbounded_channel();
        let keeper = Keeper::start(path.clone(), LIMITS, results).unwrap();
        for n in 1..=50 {
            let Change::Put(departed) = departed(n, n as u32) else { unreachable!() };
            keeper.put(departed);
        }
        drop(keeper);
        assert_eq!(clusters(&path).len(), 50);
        let mut last = String::new();
        while let Ok(Report::Input(input)) = reports.try_recv() {
            last = format!("{input:?}");
        }
        assert_eq!(last, "ArchiveSynced { upto: RecordNo(50) }");
    }
}

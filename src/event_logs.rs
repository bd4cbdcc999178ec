//! The thread that writes job event logs (decision D57).
//!
//! Everything queued for one file goes out in one write, appended under a `flock`, as HTCondor does. A log that cannot
//! be written never stops a job: the submitter hears of it, and the operator.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use tokio::sync::mpsc::UnboundedSender;
use userlog::{Event, Form, Kind};
use wq_core::Input;
use wq_core::io::{LogEntry, Mending, Standing, is_requeue};

use crate::backlog::Backlog;
use crate::report::Report;

/// Most entries of one round.
const ROUND_MAX: usize = 4096;

/// Most bytes of one write; more only if a single event is longer.
const TEXT_MAX: usize = 1 << 20;

/// How much of a log's end is searched at least for events that may be there already, bytes.
const TAIL_MIN: u64 = 1 << 20;

/// How much of it is in memory at a time, and how much is looked at to learn when a part of it was written, bytes.
const CHUNK: u64 = 1 << 20;
const LOOK: u64 = 64 << 10;

/// Events are looked for among those of so many seconds before them: clocks are set.
const SLACK_S: i64 = 3600;

/// How long somebody else's lock on a log is respected; an append is whole without it.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Paths of which the operator has heard; beyond, the list starts anew.
const KNOWN_BAD_MAX: usize = 10_000;

#[derive(Debug)]
enum Order {
    Entry(Box<LogEntry>),
    Mend(Box<Mending>),
    Mark(u64),
}

/// The thread's other end.
#[derive(Debug)]
pub(crate) struct EventLogs {
    orders: Option<Sender<Order>>,
    results: UnboundedSender<Report>,
    backlog: Backlog,
    /// There are warnings for the next mark.
    carries: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl EventLogs {
    /// Starts the thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(results: UnboundedSender<Report>) -> io::Result<EventLogs> {
        let (orders, queue) = channel();
        let (backlog, carries) = (Backlog::default(), Arc::default());
        let (left, carried, to) = (backlog.clone(), Arc::clone(&carries), results.clone());
        let builder = std::thread::Builder::new().name("event-logs".into());
        let thread = builder.spawn(move || serve(&queue, &to, &left, &carried))?;
        Ok(EventLogs { orders: Some(orders), results, backlog, carries, thread: Some(thread) })
    }

    /// Appends an event.
    pub(crate) fn write(&self, entry: Box<LogEntry>) {
        self.put(Order::Entry(entry));
    }

    /// Appends what a log lacks after a crash.
    pub(crate) fn mend(&self, mending: Box<Mending>) {
        self.put(Order::Mend(mending));
    }

    /// Reports when everything before is written.
    pub(crate) fn mark(&self, token: u64) {
        if self.backlog.is_empty() && !self.carries.load(Ordering::Relaxed) {
            // A job without a log need not wait until the thread is awake. Nobody listens only at the very end.
            let _ = self.results.send(Report::Input(Input::Logged { token, warnings: Vec::new() }));
        } else {
            self.put(Order::Mark(token));
        }
    }

    /// Everything is written that was to be.
    pub(crate) fn is_idle(&self) -> bool {
        self.backlog.is_empty()
    }

    fn put(&self, order: Order) {
        self.backlog.add(1);
        let orders = self.orders.as_ref().expect("lives until the drop");
        orders.send(order).expect("the thread ends only after this sender");
    }
}

impl Drop for EventLogs {
    /// Waits until everything is written.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so in the log.
            let _ = thread.join();
        }
    }
}

fn serve(queue: &Receiver<Order>, results: &UnboundedSender<Report>, backlog: &Backlog, carries: &AtomicBool) {
    let mut writer = Writer::default();
    while let Ok(first) = queue.recv() {
        let mut count = 0;
        let round = std::iter::once(first).chain(queue.try_iter().take(ROUND_MAX - 1)).inspect(|_| count += 1);
        for (token, warnings) in writer.round(round) {
            // Nobody listens only at the very end.
            let _ = results.send(Report::Input(Input::Logged { token, warnings }));
        }
        // Seen by whoever sees that the backlog is empty.
        carries.store(!writer.carried.is_empty(), Ordering::Relaxed);
        backlog.done(count);
    }
}

/// What goes to one file in one round.
#[derive(Debug, Default)]
struct Share {
    entries: Vec<LogEntry>,
    /// Which marks, counted in the round, submissions of it wait for.
    marks: BTreeSet<usize>,
}

#[derive(Debug, Default)]
struct Writer {
    /// Warnings for the next mark.
    carried: Vec<String>,
    known_bad: HashSet<String>,
}

impl Writer {
    fn round(&mut self, orders: impl Iterator<Item = Order>) -> Vec<(u64, Vec<String>)> {
        let mut shares: BTreeMap<String, Share> = BTreeMap::new();
        let mut marks = Vec::new();
        for order in orders {
            match order {
                Order::Entry(entry) => {
                    let share = shares.entry(entry.path.clone()).or_default();
                    // Only who submits right now can still read a warning.
                    if matches!(entry.event.kind, Kind::Submit(_)) {
                        share.marks.insert(marks.len());
                    }
                    share.entries.push(*entry);
                }
                // Nothing else has gone to this log yet, and nobody waits for a warning.
                Order::Mend(mending) => {
                    if let Err(error) = mend(&mending) {
                        self.failed(&mending.path, &error);
                    }
                }
                Order::Mark(token) => marks.push((token, Vec::new())),
            }
        }
        if let Some((_, warnings)) = marks.first_mut() {
            warnings.append(&mut self.carried);
        }
        for (path, share) in shares {
            let Err(error) = append(&path, &share.entries) else {
                self.known_bad.remove(&path);
                continue;
            };
            self.failed(&path, &error);
            let warning = format!("WARNING: the job event log {path} cannot be written: {}", text(&error));
            for mark in share.marks {
                marks.get_mut(mark).map_or(&mut self.carried, |(_, warnings)| warnings).push(warning.clone());
            }
        }
        marks
    }

    /// The operator hears of a log that cannot be written, once.
    fn failed(&mut self, path: &str, error: &io::Error) {
        if self.known_bad.len() >= KNOWN_BAD_MAX {
            self.known_bad.clear();
        }
        if self.known_bad.insert(path.to_owned()) {
            tracing::warn!(path, %error, "a job event log cannot be written");
        }
    }
}

fn text(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |number| Errno::from_raw(number).desc().to_owned())
}

fn append(path: &str, entries: &[LogEntry]) -> io::Result<()> {
    let mut file = open(path, false)?;
    write(&mut file, entries.iter().flat_map(|entry| entry.events().map(|event| (event, entry.xml))))
}

fn open(path: &str, to_read: bool) -> io::Result<LogFile> {
    let file = OpenOptions::new()
        .append(true)
        .read(to_read)
        .create(true)
        .mode(0o644)
        // A FIFO without a reader must not stop the thread.
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)?;
    lock(file)
}

fn write(file: &mut File, events: impl Iterator<Item = (Event, bool)>) -> io::Result<()> {
    let mut text = String::new();
    for (event, xml) in events {
        text += &userlog::format(&event, if xml { &Form::XML } else { &Form::ISO }, &local_offset);
        if text.len() >= TEXT_MAX {
            file.write_all(text.as_bytes())?;
            text.clear();
        }
    }
    file.write_all(text.as_bytes())
}

/// Looks at what stands in a log and appends what it lacks.
fn mend(mending: &Mending) -> io::Result<()> {
    let mut file = open(&mending.path, true)?;
    let standing = standing(&mut file, mending)?;
    write(&mut file, mending.missing(standing).map(|event| (event, mending.xml)))
}

/// The events in the tail of a log that matter.
fn standing(file: &mut File, mending: &Mending) -> io::Result<Standing> {
    let length = file.metadata()?.len();
    let begin = search_from(file, length, mending)?;
    let mut standing = Standing::of_log(begin > 0);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    while Read::by_ref(file).take(CHUNK).read_to_end(&mut bytes)? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        let whole = text.rfind(end(mending.xml)).map_or(0, |at| at + end(mending.xml).len());
        // What stands in front of the first event is the end of one, or a declaration.
        for found in userlog::parse(events_in(&text[..whole], mending.xml), 1970, &local_offset).flatten() {
            standing.add(found.event.job, found.event.kind.number(), is_requeue(&found.event.kind));
        }
        bytes = text.as_bytes()[whole..].to_vec();
    }
    Ok(standing)
}

/// Where in a log it is old enough for the first event that it may lack.
fn search_from(file: &mut File, length: u64, mending: &Mending) -> io::Result<u64> {
    let Some(first_s) = mending.first_s() else { return Ok(length) };
    let mut tail = TAIL_MIN;
    while tail < length {
        let begin = length - tail;
        file.seek(SeekFrom::Start(begin))?;
        let mut bytes = Vec::new();
        Read::by_ref(file).take(LOOK).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        // It begins in the midst of an event.
        let skipped = text.find(end(mending.xml)).map_or(text.len(), |at| at + end(mending.xml).len());
        let events = events_in(&text[skipped..], mending.xml);
        let found = userlog::parse(events, 1970, &local_offset).find_map(Result::ok);
        if found.is_some_and(|found| found.event.time.wall_s < first_s - SLACK_S) {
            return Ok(begin + skipped as u64);
        }
        tail *= 4;
    }
    Ok(0)
}

/// What ends an event.
fn end(xml: bool) -> &'static str {
    if xml { "</c>\n" } else { "\n...\n" }
}

/// A text from its first event on.
fn events_in(text: &str, xml: bool) -> &str {
    if xml { &text[text.find("<c>").unwrap_or(text.len())..] } else { text }
}

/// The zone of this machine, as HTCondor writes local times.
pub(crate) fn local_offset(wall_s: i64) -> i32 {
    let time = jiff::Timestamp::from_second(wall_s).unwrap_or_default();
    jiff::tz::TimeZone::system().to_offset(time).seconds()
}

/// The lock that HTCondor's own programs take. Somebody who keeps it does not keep us from writing.
fn lock(mut file: File) -> io::Result<LogFile> {
    for _ in 0..LOCK_TRIES {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(LogFile::Locked(locked)),
            Err((unlocked, Errno::EWOULDBLOCK | Errno::EINTR)) => file = unlocked,
            // A file system without locks.
            Err((unlocked, _)) => return Ok(LogFile::Plain(unlocked)),
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Ok(LogFile::Plain(file))
}

enum LogFile {
    Locked(Flock<File>),
    Plain(File),
}

impl std::ops::Deref for LogFile {
    type Target = File;

    fn deref(&self) -> &File {
        match self {
            LogFile::Locked(file) => file,
            LogFile::Plain(file) => file,
        }
    }
}

impl std::ops::DerefMut for LogFile {
    fn deref_mut(&mut self) -> &mut File {
        match self {
            LogFile::Locked(file) => file,
            LogFile::Plain(file) => file,
        }
    }
}

#[cfg(test)]
mod tests {
    use userlog::{Event, EventJob, EventTime};

    use super::*;

    fn entry(path: &std::path::Path, cluster: i32, kind: Kind) -> LogEntry {
        LogEntry {
            path: path.to_str().unwrap().to_owned(),
            xml: false,
            event: Event { job: EventJob::new(cluster, 0), time: EventTime::seconds(0), kind },
            more: 0,
        }
    }

    fn submit(path: &std::path::Path, cluster: i32) -> Order {
        let submit = userlog::Submit { host: "<127.0.0.1:9>".into(), ..Default::default() };
        Order::Entry(Box::new(entry(path, cluster, Kind::Submit(submit))))
    }

    #[test]
    fn events_of_one_log_are_appended_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "before\n").unwrap();
        let mut writer = Writer::default();
        let orders = vec![submit(&path, 1), Order::Mark(5), submit(&path, 2), Order::Mark(6)];
        assert_eq!(writer.round(orders.into_iter()), [(5, vec![]), (6, vec![])]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("before\n000 (001.000.000) "), "{text}");
        assert!(text.contains("...\n000 (002.000.000) "), "{text}");
    }

    #[test]
    fn one_entry_tells_of_many_jobs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut entry = entry(&path, 1, Kind::Unsuspended);
        // More than one write.
        entry.more = 20_000;
        Writer::default().round([Order::Entry(Box::new(entry))].into_iter());
        let text = std::fs::read_to_string(&path).unwrap();
        let heads: Vec<&str> = text.lines().filter(|line| line.starts_with("011 (")).collect();
        assert_eq!(heads.len(), 20_001);
        assert!(heads[0].starts_with("011 (001.000.000) ") && heads[20_000].starts_with("011 (001.20000.000) "));
        assert!(text.len() > TEXT_MAX);
    }

    #[test]
    fn only_the_submitter_is_warned() {
        let dir = tempfile::tempdir().unwrap();
        let (good, bad) = (dir.path().join("log"), dir.path().join("gone/log"));
        let mut writer = Writer::default();
        let other = Order::Entry(Box::new(entry(&bad, 3, Kind::Unsuspended)));
        let orders = vec![other, submit(&good, 1), Order::Mark(5), submit(&bad, 2), Order::Mark(6), submit(&bad, 4)];
        let got = writer.round(orders.into_iter());
        assert_eq!(got[0], (5, vec![]));
        assert_eq!(got[1].1.len(), 1);
        assert!(got[1].1[0].ends_with("gone/log cannot be written: No such file or directory"), "{got:?}");
        assert_eq!(writer.round([Order::Mark(7)].into_iter())[0].1.len(), 1, "the next mark hears of it");
    }

    #[test]
    fn a_log_gets_what_it_lacks_after_a_crash_and_nothing_twice() {
        for (xml, begins_long_ago) in [(false, false), (true, false), (false, true), (true, true)] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            let length = || std::fs::metadata(&path).unwrap().len();
            let held = || Kind::Held(userlog::Held { reason: "again".into(), code: 1, subcode: 0 });
            let entry = |kind| LogEntry { xml, ..entry(&path, 1, kind) };
            if begins_long_ago {
                let mut old = LogEntry { more: 20_000, ..entry(Kind::Generic("x".repeat(100))) };
                old.event.time = EventTime::seconds(-2 * SLACK_S);
                append(&old.path, std::slice::from_ref(&old)).unwrap();
                assert!(length() > TAIL_MIN);
            }
            let submitted = Kind::Submit(userlog::Submit::default());
            append(path.to_str().unwrap(), &[submitted, held(), Kind::Released(None)].map(entry)).unwrap();
            let mend = |holds: &[u32]| {
                let mut mending = Mending::new(path.to_str().unwrap(), xml);
                for hold in holds {
                    mending.may_lack_hold(*hold, entry(held()));
                    mending.may_lack(entry(Kind::Released(None)));
                }
                let order = Order::Mend(Box::new(mending));
                assert_eq!(Writer::default().round([order, Order::Mark(1)].into_iter()), [(1, vec![])]);
            };
            let before = length();
            mend(&[1]);
            assert_eq!(length(), before, "hold and release stand there");
            mend(&[1, 2]);
            let with_second = length();
            assert!(with_second > before, "the first hold is not the second");
            mend(&[1, 2]);
            mend(&[2]);
            assert_eq!(length(), with_second);
        }
    }

    #[test]
    fn a_fifo_does_not_stop_the_thread() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let got = Writer::default().round([submit(&path, 1), Order::Mark(1)].into_iter());
        assert!(got[0].1[0].contains("No such device or address"), "{got:?}");
    }
}

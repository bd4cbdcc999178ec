//! What the tests share: event logs as a reader sees them, attributes of jobs, gates.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use testkit::{Site, SiteOptions, Worker, WorkerOptions};

/// For one step that takes a moment on an idle machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The numbers of the events that tests name.
pub(crate) const SUBMITTED: u32 = 0;
/// Event 001.
pub(crate) const EXECUTING: u32 = 1;
/// Event 004.
pub(crate) const EVICTED: u32 = 4;
/// Event 005.
pub(crate) const TERMINATED: u32 = 5;
/// Event 009.
pub(crate) const ABORTED: u32 = 9;
/// Event 012.
pub(crate) const HELD: u32 = 12;
/// Event 013.
pub(crate) const RELEASED: u32 = 13;

/// A site whose master runs, with one worker of this many cores.
#[track_caller]
pub(crate) fn site_with_cores(cores: u32) -> (Site, Worker) {
    let site = Site::start();
    let worker = site.worker(WorkerOptions::cores(cores));
    (site, worker)
}

/// The same with options for the site.
#[track_caller]
pub(crate) fn site_with(options: SiteOptions) -> (Site, Worker) {
    let site = Site::with(options);
    let worker = site.worker(WorkerOptions::default());
    (site, worker)
}

/// An event of a log, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its number.
    pub(crate) kind: u32,
    /// `cluster.proc`.
    pub(crate) job: String,
    /// All of its lines but the last one (`...`).
    pub(crate) text: String,
}

/// The complete events in a log below home; none when there is no log yet.
pub(crate) fn events(site: &Site, log: &str) -> Vec<Event> {
    let text = std::fs::read_to_string(site.home().join(log)).unwrap_or_default();
    let whole = text.split_inclusive("\n...\n").filter_map(|event| event.strip_suffix("\n...\n"));
    whole.map(event).collect()
}

fn event(text: &str) -> Event {
    // 005 (007.000.000) 2026-11-21 19:10:00 Job terminated.
    let (kind, rest) = text.split_once(" (").expect("an event begins with its number and job");
    let mut ids = rest.split(['.', ')']).map(|part| part.parse::<u64>().expect("ids are numbers"));
    let (cluster, proc) = (ids.next().expect("a cluster"), ids.next().expect("a proc"));
    Event { kind: kind.parse().expect("a number"), job: format!("{cluster}.{proc}"), text: text.to_owned() }
}

/// The numbers of the events of one job, in order.
pub(crate) fn story(site: &Site, log: &str, job: &str) -> Vec<u32> {
    events(site, log).iter().filter(|event| event.job == job).map(|event| event.kind).collect()
}

/// Waits until the log holds `count` events of this kind; the last of them.
#[track_caller]
pub(crate) fn wait_for_event(site: &Site, log: &str, kind: u32, count: usize) -> Event {
    let mut found = Vec::new();
    site.wait_until(SOON, &format!("{count} events {kind:03} in {log}"), || {
        found = events(site, log);
        found.retain(|event| event.kind == kind);
        found.len() >= count
    });
    assert_eq!(found.len(), count, "events {kind:03} in {log}: {found:?}");
    found.pop().expect("count is not 0")
}

/// Submits a text whose jobs log to `log` and waits until all have ended; the cluster.
#[track_caller]
pub(crate) fn run(site: &Site, text: &str) -> u64 {
    let cluster = site.submit(&format!("log = log\n{text}"));
    site.wait_until(SOON, &format!("end of the jobs of cluster {cluster}"), || {
        let all = events(site, "log");
        if let Some(held) = all.iter().find(|event| event.kind == HELD) {
            panic!("held: {}\n{}", held.text, site.logs());
        }
        let count = |kind| all.iter().filter(|event| event.kind == kind).count();
        count(SUBMITTED) == count(TERMINATED)
    });
    cluster
}

/// What `condor_q JOB -af:, …` says of one job; the test fails when it is not in the queue.
#[track_caller]
pub(crate) fn attributes(site: &Site, job: &str, names: &[&str]) -> String {
    let answer = site.condor("condor_q", &[&[job, "-af"], names].concat(), "").ok();
    answer.stdout.trim_end_matches('\n').to_owned()
}

/// Number of jobs for which an expression is true.
#[track_caller]
pub(crate) fn count(site: &Site, constraint: &str) -> usize {
    let answer = site.condor("condor_q", &["-allusers", "-constraint", constraint, "-af", "ClusterId"], "").ok();
    answer.stdout.lines().count()
}

/// A file that jobs wait for.
#[derive(Debug)]
pub(crate) struct Gate {
    path: PathBuf,
}

impl Gate {
    /// A closed gate.
    pub(crate) fn closed(site: &Site) -> Gate {
        Gate { path: site.folder().join("gate") }
    }

    /// Shell text that waits until the gate is open.
    pub(crate) fn wait(&self) -> String {
        format!("while [ ! -e '{}' ]; do sleep 0.05; done", self.path.display())
    }

    /// A script that leaves `started.ID` in home, waits, and prints `done ID`; its argument is ID.
    #[track_caller]
    pub(crate) fn script(&self, site: &Site) -> PathBuf {
        let mut text = String::from("#!/bin/sh\n");
        writeln!(text, "echo $$ > '{}/started.'$1", site.home().display()).expect("a String takes all");
        writeln!(text, "{}\necho done $1", self.wait()).expect("a String takes all");
        site.write_script("gated.sh", &text)
    }

    /// Lets the jobs go on.
    pub(crate) fn open(&self) {
        std::fs::write(&self.path, "").expect("a file in the site's folder");
    }
}

/// All that a process of the site has written to its log.
pub(crate) fn log_of(site: &Site, name: &str) -> String {
    let bytes = std::fs::read(site.folder().join("logs").join(format!("{name}.log"))).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a process still runs.
pub(crate) fn runs(pid: u32) -> bool {
    // A zombie has ended: nobody may wait for it once its worker is gone.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z')))
}

/// The process id that a gated script left behind.
#[track_caller]
pub(crate) fn started(site: &Site, id: &str) -> u32 {
    let path = site.home().join(format!("started.{id}"));
    let mut pid = None;
    site.wait_until(SOON, &format!("start of {id}"), || {
        pid = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        pid.is_some()
    });
    pid.expect("just seen")
}

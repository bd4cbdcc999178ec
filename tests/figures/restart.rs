//! The journal behind many jobs that are over: its size, and how long a restart takes.

use std::time::{Duration, Instant};

use testkit::{Site, SiteOptions};

use crate::memory::resident_at_rest;
use crate::support::journal::journal_of;
use crate::support::sim::end_tasks_at_once;
use crate::{alone, hold, tell};

const JOBS: u64 = 100_000;
const SOON: Duration = Duration::from_secs(300);

/// From the start to the first answer: 100,000 jobs in at most 3 s (requirement R-4).
const RESTART_S: f64 = 3.0;

/// Kills the master of a site with so many jobs in the queue, starts it again, and holds time and memory to the limits of
/// requirement R-4. A client that is started before the master listens waits for it and gets the whole answer.
pub(crate) fn recover(site: &Site, jobs: u64, limit_s: f64) {
    let before = resident_at_rest(site.master_pid());
    let bytes = journal_of(site).0;
    tell(&format!("journal of {jobs} waiting jobs"), bytes as f64 / 1e6, "MB", None);
    site.kill_9();
    let mut early = site.condor_command("condor_q", &["-totals"]);
    early.env("AWQ_WAIT_S", "30").stdout(std::process::Stdio::piped());
    let begin = Instant::now();
    let early = early.spawn().expect("condor_q was built");
    site.start_master();
    let early = early.wait_with_output().expect("condor_q ends");
    let took = begin.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&early.stdout);
    assert!(early.status.success() && text.contains(&format!(" {jobs} jobs; ")), "{text}");
    hold(&format!("start with {jobs} waiting jobs to the first answer"), took, "s", limit_s);
    let after = resident_at_rest(site.master_pid());
    let times = after as f64 / before as f64;
    hold(&format!("memory with {jobs} jobs behind the restart, in times of before"), times, "", 1.5);
}

#[test]
fn ten_thousand_waiting_jobs_are_back_in_a_second() {
    let _alone = alone();
    let site = crate::measured_site();
    site.submit("executable = /bin/true\narguments = $(Process)\nlog = jobs.log\nqueue 10000\n");
    recover(&site, 10_000, 1.0);
}

/// Runs the jobs with this floor of the journal; its bytes at the end, and the seconds of a restart.
fn run(floor_kib: u64) -> (u64, f64) {
    let master_args = vec!["--journal-floor-kb".into(), floor_kib.to_string().into()];
    let site = Site::with(SiteOptions { measured: true, master_args, ..SiteOptions::default() });
    let port = site.port();
    let worker = std::thread::spawn(move || end_tasks_at_once(port));
    let begin = Instant::now();
    for _ in 0..10 {
        let cluster = site.submit(&format!(
            "executable = /bin/true\ntransfer_executable = false\narguments = $(Process)\nqueue {}\n",
            JOBS / 10
        ));
        site.wait_for_end(cluster, SOON);
    }
    println!("{JOBS} jobs in {:?}", begin.elapsed());
    site.kill_9();
    drop(worker);
    let (bytes, _) = journal_of(&site);
    let begin = Instant::now();
    site.start_master();
    // Those that ended last are on their way to the history once more.
    let queue = ["-constraint", "JobStatus != 4", "-af", "ClusterId"];
    assert_eq!(site.condor("condor_q", &queue, "").ok().stdout, "");
    let took = begin.elapsed().as_secs_f64();
    site.wait_until(SOON, "an empty queue", || {
        site.condor("condor_q", &["-af", "ClusterId"], "").ok().stdout.is_empty()
    });
    (bytes, took)
}

#[test]
fn a_hundred_thousand_jobs_that_are_over() {
    let _alone = alone();
    let (bytes, seconds) = run(1 << 30);
    tell("journal behind 100,000 ended jobs, never compacted", bytes as f64 / 1e6, "MB", None);
    tell("restart with it", seconds, "s", None);
    let (bytes, seconds) = run(4 << 10);
    // The floor, and what comes while a checkpoint is written.
    hold("journal behind 100,000 ended jobs", bytes as f64 / 1e6, "MB", 12.0);
    hold("restart with it, first answer", seconds, "s", RESTART_S);
    let (bytes, seconds) = run(1 << 10);
    hold("journal behind 100,000 ended jobs, floor of 1 MiB", bytes as f64 / 1e6, "MB", 6.0);
    hold("restart with it, first answer", seconds, "s", RESTART_S);
}

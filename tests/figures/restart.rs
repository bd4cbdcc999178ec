//! The journal behind many jobs that are over: its size, and how long a restart takes.

use std::time::{Duration, Instant};

use testkit::{Site, SiteOptions};

use crate::support::journal::journal_of;
use crate::support::sim::end_tasks_at_once;
use crate::{alone, hold, tell};

const JOBS: u64 = 100_000;
const SOON: Duration = Duration::from_secs(300);

/// From the start to the first answer: 100,000 jobs in at most 3 s (requirement R-4).
const RESTART_S: f64 = 3.0;

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

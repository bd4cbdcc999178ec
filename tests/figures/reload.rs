//! A planned restart with many running jobs: none is interrupted, and how long nothing is sent to workers.

use std::time::Duration;

use testkit::simulated::{Fleet, FleetOptions, TAG};
use testkit::{Site, WorkerOptions};

use crate::{alone, hold, measured_site, tell};

/// Jobs on simulated workers, one on each.
const SIMULATED: usize = 10_000;

/// Jobs on real workers, one on each.
const REAL: usize = 100;

const SOON: Duration = Duration::from_secs(300);

/// Nothing is sent to workers for at most so long with 10,000 connections and running jobs, in ms.
const PAUSE_MS: f64 = 3000.0;

fn running(site: &Site) -> usize {
    let constraint = "JobStatus == 2 && NumJobStarts == 1";
    site.condor("condor_q", &["-constraint", constraint, "-af", "ProcId"], "").ok().stdout.lines().count()
}

/// Restarts, and gives the pause in ms.
fn reload(site: &Site) -> f64 {
    let told = site.condor("awq", &["reload"], "").ok().stdout;
    print!("{told}");
    let ms = told.split_once(" within ").and_then(|(_, rest)| rest.split_once(" ms"));
    ms.and_then(|(ms, _)| ms.parse().ok()).expect("the pause stands in the answer")
}

/// How often the event of this number stands in the log.
fn told(site: &Site, number: &str) -> usize {
    site.read("log").lines().filter(|line| line.starts_with(&format!("{number} ("))).count()
}

#[test]
fn ten_thousand_running_jobs_survive_a_reload() {
    let _alone = alone();
    let site = measured_site();
    let run = Duration::from_secs(86_400);
    let options = FleetOptions { workers: SIMULATED, run_min: run, run_max: run, ..FleetOptions::default() };
    // None comes back that was lost.
    let fleet = Fleet::start(site.port(), FleetOptions { back_after: None, ..options });
    let cluster = site.submit(&format!(
        "executable = /bin/true\ntransfer_executable = false\nenvironment = \"{TAG}=$(Process)\"\nlog = log\nqueue {SIMULATED}\n"
    ));
    site.wait_until(SOON, "all jobs run", || running(&site) == SIMULATED);
    let (first, second) = (reload(&site), reload(&site));
    assert_eq!((running(&site), fleet.connected()), (SIMULATED, SIMULATED), "all run on where they were");
    tell("the same once more", second, "ms", Some(PAUSE_MS));
    hold("pause of a planned restart, 10,000 running jobs on simulated workers", first, "ms", PAUSE_MS);
    fleet.let_end();
    site.wait_for_end(cluster, SOON);
    assert_eq!((told(&site, "001"), told(&site, "005"), told(&site, "004")), (SIMULATED, SIMULATED, 0));
    let starts = fleet.starts();
    assert!(starts.len() == SIMULATED && starts.values().all(|times| *times == 1), "each was started once");
}

#[test]
fn a_hundred_jobs_on_real_workers_survive_a_reload() {
    let _alone = alone();
    let site = measured_site();
    let gate = site.folder().join("gate");
    site.write_script(
        "job.sh",
        &format!("#!/bin/sh\nwhile [ ! -e '{}' ]; do sleep 1; done\necho $1\n", gate.display()),
    );
    let options = || WorkerOptions { memory_mb: 100, disk_mb: 100, ..WorkerOptions::default() };
    let _workers: Vec<_> = (0..REAL).map(|_| site.worker(options())).collect();
    let cluster = site.submit(&format!(
        "executable = job.sh\narguments = $(Process)\noutput = out.$(Process)\nlog = log\nqueue {REAL}\n"
    ));
    site.wait_until(SOON, "all jobs run", || running(&site) == REAL);
    let ms = reload(&site);
    assert_eq!(running(&site), REAL, "all run on");
    hold("pause of a planned restart, 100 running jobs on real workers", ms, "ms", PAUSE_MS);
    std::fs::write(gate, "").expect("a file in the site's folder");
    site.wait_for_end(cluster, SOON);
    assert_eq!((told(&site, "001"), told(&site, "005"), told(&site, "004")), (REAL, REAL, 0));
    for proc in 0..REAL {
        assert_eq!(site.read(&format!("out.{proc}")), format!("{proc}\n"));
    }
}

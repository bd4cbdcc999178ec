//! `condor_rm`, `condor_hold` and `condor_release` of jobs that run.

use std::time::{Duration, Instant};

use testkit::{ForemanOptions, Site, WorkerOptions};

use crate::support::{
    ABORTED, EVICTED, EXECUTING, Gate, HELD, RELEASED, SOON, SUBMITTED, TERMINATED, attributes, events, runs,
    site_with_cores, started, story, wait_for_event,
};

/// A job older than 3 s is reported gone in this time (a worker keeps younger ones until then).
const REPORTED: Duration = Duration::from_secs(2);
/// How old a job must be for that.
const OLD: Duration = Duration::from_millis(3500);

/// A gated job that has run for long enough; its process.
#[track_caller]
fn old_job(site: &Site, gate: &Gate) -> u32 {
    let text = format!("executable = {}\narguments = a\noutput = out\nlog = log\nqueue\n", gate.script(site).display());
    site.submit(&text);
    let pid = started(site, "a");
    let begin = Instant::now();
    site.wait_until(SOON, "an old job", || begin.elapsed() >= OLD);
    pid
}

#[track_caller]
fn removed_in_time(site: &Site, pid: u32) {
    let begin = Instant::now();
    let answer = site.condor("condor_rm", &["1.0"], "").ok();
    assert_eq!(answer.stdout, "Job 1.0 marked for removal\n");
    wait_for_event(site, "log", ABORTED, 1);
    let reported = begin.elapsed();
    assert!(reported <= REPORTED, "reported after {reported:?}\n{}", site.logs());
    site.wait_until(SOON, "end of the job's process", || !runs(pid));
    assert_eq!(story(site, "log", "1.0"), [SUBMITTED, EXECUTING, EVICTED, ABORTED]);
    site.wait_for_end(1, SOON);
}

#[test]
fn a_running_job_is_removed() {
    let (site, _worker) = site_with_cores(1);
    let gate = Gate::closed(&site);
    let pid = old_job(&site, &gate);
    removed_in_time(&site, pid);
    // The worker is free again.
    site.submit("executable = /bin/echo\narguments = next\noutput = next\nlog = log\nqueue\n");
    wait_for_event(&site, "log", TERMINATED, 1);
    assert_eq!(site.read("next"), "next\n");
    assert!(!site.home().join("out").exists(), "a killed job brings nothing back");
}

#[test]
fn a_running_job_behind_a_foreman_is_removed() {
    let site = Site::start();
    let foreman = site.foreman(ForemanOptions::default());
    let _worker = site.worker(WorkerOptions::default().behind(&foreman));
    let gate = Gate::closed(&site);
    let pid = old_job(&site, &gate);
    site.condor("condor_rm", &["1"], "").ok();
    wait_for_event(&site, "log", ABORTED, 1);
    site.wait_until(SOON, "end of the job's process", || !runs(pid));
    site.wait_for_end(1, SOON);
}

/// A worker kills the process group of a task, and makes that group too late for a task that is fast.
#[test]
fn every_task_leads_a_process_group() {
    let (site, _worker) = site_with_cores(8);
    // The parent of the job is the shell that the worker has started.
    site.write_script("group.sh", "#!/bin/sh\nread -r _ _ _ parent group _ < /proc/$$/stat\n[ $parent = $group ]\n");
    site.submit("executable = group.sh\nlog = log\nqueue 80\n");
    wait_for_event(&site, "log", TERMINATED, 80);
    let all = events(&site, "log");
    let alone = all.iter().filter(|event| event.text.contains("(1) Normal termination (return value 0)")).count();
    assert_eq!(alone, 80);
}

#[test]
fn many_running_jobs_are_removed_at_once() {
    let (site, _worker) = site_with_cores(4);
    let gate = Gate::closed(&site);
    let script = gate.script(&site);
    site.submit(&format!("executable = {}\narguments = $(Process)\nlog = log\nqueue 10\n", script.display()));
    let pids: Vec<u32> = (0..4).map(|proc| started(&site, &proc.to_string())).collect();
    let answer = site.condor("condor_rm", &["-constraint", "JobStatus == 2"], "").ok();
    assert_eq!(answer.stdout, "All jobs matching constraint (JobStatus == 2) have been marked for removal\n");
    wait_for_event(&site, "log", ABORTED, 4);
    site.wait_until(SOON, "end of four processes", || !pids.iter().any(|pid| runs(*pid)));
    // The next four have their places.
    started(&site, "7");
    let answer = site.condor("condor_rm", &["-all"], "").ok();
    assert_eq!(answer.stdout, "All jobs have been marked for removal\n");
    wait_for_event(&site, "log", ABORTED, 10);
    site.wait_for_end(1, SOON);
}

#[test]
fn a_young_job_is_removed_too() {
    let (site, _worker) = site_with_cores(1);
    let gate = Gate::closed(&site);
    site.submit(&format!("executable = {}\narguments = a\nlog = log\nqueue\n", gate.script(&site).display()));
    let pid = started(&site, "a");
    site.condor("condor_rm", &["1"], "").ok();
    // At once for whoever looks, though the worker takes its time.
    assert!(["", "3"].contains(&attributes(&site, "1.0", &["JobStatus"]).as_str()));
    wait_for_event(&site, "log", ABORTED, 1);
    site.wait_until(SOON, "end of the job's process", || !runs(pid));
}

#[test]
fn a_running_job_is_held_and_released_and_runs_again() {
    let (site, _worker) = site_with_cores(1);
    let gate = Gate::closed(&site);
    let pid = old_job(&site, &gate);
    let begin = Instant::now();
    assert_eq!(site.condor("condor_hold", &["1.0"], "").ok().stdout, "Job 1.0 held\n");
    assert_eq!(attributes(&site, "1.0", &["JobStatus", "HoldReasonCode"]), "5 1");
    wait_for_event(&site, "log", HELD, 1);
    assert!(begin.elapsed() <= REPORTED, "reported after {:?}\n{}", begin.elapsed(), site.logs());
    site.wait_until(SOON, "end of the job's process", || !runs(pid));
    gate.open();
    assert_eq!(site.condor("condor_release", &["1.0"], "").ok().stdout, "Job 1.0 released\n");
    wait_for_event(&site, "log", TERMINATED, 1);
    assert_eq!(site.read("out"), "done a\n");
    let story = story(&site, "log", "1.0");
    assert_eq!(story, [SUBMITTED, EXECUTING, EVICTED, HELD, RELEASED, EXECUTING, TERMINATED]);
}

#[test]
fn a_job_that_is_vacated_runs_again() {
    let (site, _worker) = site_with_cores(1);
    let gate = Gate::closed(&site);
    let pid = old_job(&site, &gate);
    site.condor("condor_vacate_job", &["1.0"], "").ok();
    wait_for_event(&site, "log", EVICTED, 1);
    site.wait_until(SOON, "end of the job's process", || !runs(pid));
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 1);
    assert_eq!(story(&site, "log", "1.0"), [SUBMITTED, EXECUTING, EVICTED, EXECUTING, TERMINATED]);
}

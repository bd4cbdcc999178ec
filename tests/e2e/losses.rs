//! Workers that are lost in the middle of a job.

use testkit::{Site, WorkerOptions};

use crate::support::{
    EVICTED, EXECUTING, Gate, SOON, SUBMITTED, TERMINATED, attributes, runs, site_with_cores, started, story,
    wait_for_event,
};

#[test]
fn a_job_whose_worker_is_killed_runs_elsewhere() {
    let (site, mut worker) = site_with_cores(1);
    let gate = Gate::closed(&site);
    let script = gate.script(&site);
    let text = format!("executable = {}\narguments = a\noutput = out\nlog = log\nqueue\n", script.display());
    let cluster = site.submit(&text);
    started(&site, "a");
    assert_eq!(attributes(&site, "1.0", &["JobStatus", "NumJobStarts"]), "2 1");
    worker.kill_9();
    wait_for_event(&site, "log", EVICTED, 1);
    let said = attributes(&site, "1.0", &["JobStatus", "NumJobStarts", "VacateReason"]);
    assert!(said.starts_with("1 1 ") && !said.contains("undefined"), "{said}");
    let _other = site.worker(WorkerOptions::default());
    wait_for_event(&site, "log", EXECUTING, 2);
    assert_eq!(attributes(&site, "1.0", &["JobStatus", "NumJobStarts"]), "2 2");
    gate.open();
    site.wait_for_end(cluster, SOON);
    assert_eq!(story(&site, "log", "1.0"), [SUBMITTED, EXECUTING, EVICTED, EXECUTING, TERMINATED]);
    assert_eq!(site.read("out"), "done a\n");
}

#[test]
fn a_foreman_that_is_killed_costs_its_jobs_a_restart() {
    let site = Site::start();
    let mut foreman = site.foreman(testkit::ForemanOptions::default());
    let _behind = site.worker(WorkerOptions::default().behind(&foreman));
    let gate = Gate::closed(&site);
    site.submit(&format!("executable = {}\narguments = a\nlog = log\nqueue\n", gate.script(&site).display()));
    started(&site, "a");
    foreman.kill_9();
    wait_for_event(&site, "log", EVICTED, 1);
    let _direct = site.worker(WorkerOptions::default());
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 1);
    assert_eq!(story(&site, "log", "1.0"), [SUBMITTED, EXECUTING, EVICTED, EXECUTING, TERMINATED]);
}

#[test]
fn a_worker_that_is_told_to_end_gives_its_job_back() {
    let (site, mut worker) = site_with_cores(1);
    let gate = Gate::closed(&site);
    site.submit(&format!("executable = {}\narguments = a\nlog = log\nqueue\n", gate.script(&site).display()));
    let pid = started(&site, "a");
    worker.guard.stop(SOON).unwrap();
    wait_for_event(&site, "log", EVICTED, 1);
    site.wait_until(SOON, "end of the job's process", || !runs(pid));
    let _other = site.worker(WorkerOptions::default());
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 1);
    assert_eq!(story(&site, "log", "1.0"), [SUBMITTED, EXECUTING, EVICTED, EXECUTING, TERMINATED]);
}

#[test]
fn a_machine_that_is_lost_with_all_its_jobs_costs_each_a_restart() {
    let (site, worker) = site_with_cores(4);
    let gate = Gate::closed(&site);
    let script = gate.script(&site);
    site.submit(&format!("executable = {}\narguments = $(Process)\nlog = log\nqueue 4\n", script.display()));
    for proc in 0..4 {
        started(&site, &proc.to_string());
    }
    // Everything that the worker has started ends with it.
    drop(worker);
    wait_for_event(&site, "log", EVICTED, 4);
    assert_eq!(site.statuses(1), [1; 4]);
    let _other = site.worker(WorkerOptions::cores(4));
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 4);
}

//! Cores, memory and disk on one large worker.

use testkit::{Site, WorkerOptions};

use crate::support::{Gate, SOON, TERMINATED, count, started, wait_for_event};

/// Three jobs of which two fit at once: the third starts when one has ended.
fn two_of_three(request: &str) {
    let site = Site::start();
    let _worker = site.worker(WorkerOptions { memory_mb: 2000, disk_mb: 200, ..WorkerOptions::cores(8) });
    let gate = Gate::closed(&site);
    let script = gate.script(&site);
    let text = format!("executable = {}\narguments = $(Process)\nlog = log\n{request}\nqueue 3\n", script.display());
    let cluster = site.submit(&text);
    for id in ["0", "1"] {
        started(&site, id);
    }
    assert_eq!(site.statuses(cluster), [2, 2, 1], "{request}");
    // A small job goes past the one that does not fit.
    site.submit("executable = /bin/true\nlog = small\nrequest_memory = 1\nrequest_disk = 1024\nqueue\n");
    wait_for_event(&site, "small", TERMINATED, 1);
    assert_eq!(count(&site, "JobStatus == 1"), 1, "{request}");
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 3);
    site.wait_for_end(cluster, SOON);
}

#[test]
fn two_jobs_of_three_cores_leave_room_for_a_small_one() {
    two_of_three("request_cpus = 3");
}

#[test]
fn memory_is_shared_out() {
    two_of_three("request_memory = 900MB");
}

#[test]
fn disk_is_shared_out() {
    two_of_three("request_disk = 90MB");
}

#[test]
fn two_jobs_of_four_cores_fill_eight() {
    let site = Site::start();
    let _worker = site.worker(WorkerOptions::cores(8));
    let gate = Gate::closed(&site);
    let script = gate.script(&site);
    let text =
        format!("executable = {}\narguments = $(Process)\nlog = log\nrequest_cpus = 4\nqueue 3\n", script.display());
    let cluster = site.submit(&text);
    for id in ["0", "1"] {
        started(&site, id);
    }
    assert_eq!(site.statuses(cluster), [2, 2, 1]);
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 3);
}

#[test]
fn a_job_that_fits_nowhere_waits_for_a_worker_that_is_large_enough() {
    let site = Site::start();
    let _small = site.worker(WorkerOptions::cores(2));
    site.submit("executable = /bin/true\nlog = log\nqueue 4\n");
    wait_for_event(&site, "log", TERMINATED, 4);
    let cluster = site.submit("executable = /bin/true\nlog = large\nrequest_cpus = 4\nqueue\n");
    assert_eq!(site.statuses(cluster), [1]);
    let _large = site.worker(WorkerOptions::cores(4));
    wait_for_event(&site, "large", TERMINATED, 1);
}

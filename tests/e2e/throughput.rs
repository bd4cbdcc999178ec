//! A hundred jobs of one second on eight cores take about thirteen seconds.

use std::time::{Duration, Instant};

use testkit::{Site, Worker, WorkerOptions};

use crate::support::{EXECUTING, TERMINATED, events, wait_for_event};

/// 100 jobs in rounds of 8, one second each.
const IDEAL: Duration = Duration::from_secs(13);

fn hundred_jobs(site: &Site, workers: &[Worker]) {
    // The workers are there and the first job has run: what is measured is the steady state.
    site.submit("executable = /bin/true\nlog = warm\nqueue 8\n");
    wait_for_event(site, "warm", TERMINATED, 8);
    let begin = Instant::now();
    site.submit("executable = /bin/sleep\narguments = 1\nlog = log\nqueue 100\n");
    site.wait_until(5 * IDEAL, "100 jobs", || {
        events(site, "log").iter().filter(|event| event.kind == TERMINATED).count() == 100
    });
    let took = begin.elapsed();
    let ratio = took.as_secs_f64() / IDEAL.as_secs_f64();
    println!("100 jobs of 1 s on {} worker processes: {took:.1?}, {ratio:.2} of the ideal", workers.len());
    assert!(ratio <= 1.5, "{took:?} is {ratio:.2} of the ideal\n{}", site.logs());
    let starts = events(site, "log").iter().filter(|event| event.kind == EXECUTING).count();
    assert_eq!(starts, 100, "each job starts once");
}

#[test]
fn eight_workers_of_one_core() {
    let site = Site::start();
    let workers: Vec<_> = (0..8).map(|_| site.worker(WorkerOptions::cores(1))).collect();
    hundred_jobs(&site, &workers);
}

#[test]
fn one_worker_of_eight_cores() {
    let site = Site::start();
    hundred_jobs(&site, &[site.worker(WorkerOptions::cores(8))]);
}

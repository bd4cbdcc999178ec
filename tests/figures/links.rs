//! Memory of idle connections.

use crate::memory::resident_at_rest;
use crate::support::sim::SimWorker;
use crate::{alone, hold, measured_site};

/// Workers connected.
const WORKERS: usize = 10_000;

#[test]
fn an_idle_worker_costs_at_most_4_kib() {
    let _alone = alone();
    let site = measured_site();
    // The first ones make what is made once.
    let first: Vec<SimWorker> = (0..10).map(|_| SimWorker::join(site.port())).collect();
    let before = resident_at_rest(site.master_pid());
    let workers: Vec<SimWorker> = (0..WORKERS).map(|_| SimWorker::join(site.port())).collect();
    let after = resident_at_rest(site.master_pid());
    drop((first, workers));
    hold("resident memory of an idle worker", (after - before) as f64 / WORKERS as f64, "B", 4096.0);
}

//! What one end costs must not depend on how many jobs wait, and what a job costs not on how many there were.

use std::time::{Duration, Instant};

use crate::bench::Bench;

/// Ends that are timed.
const ENDS: usize = 300;

/// The shortest time that some series of ends took while so many jobs wait.
fn ends_with(waiting: u32) -> Duration {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], waiting);
    b.checked = false;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let begin = Instant::now();
        for _ in 0..ENDS {
            let task = b.tasks(w)[0];
            b.end(w, task, 0);
            // The bench keeps everything that it has seen, and looks it through.
            b.seen.retain(|effect| matches!(effect, crate::io::Effect::SendTask { .. }));
            let last = b.seen.len().saturating_sub(1);
            b.seen.drain(..last);
        }
        best = best.min(begin.elapsed());
    }
    best
}

#[test]
fn an_end_costs_the_same_with_many_jobs_waiting() {
    // What walks over all jobs costs a hundred times more here, whatever else the machine does.
    let (few, many) = (ends_with(2_000), ends_with(100_000));
    assert!(many < few * 10, "{ENDS} ends took {few:?} with 2,000 jobs waiting, {many:?} with 100,000");
}

//! How large the things are that there are many of. Resident memory is measured on the real process (`tests/`).

use crate::bench::Bench;
use crate::io::Effect;
use crate::jobs::Job;
use crate::workers::Peer;

#[test]
fn many_small_things_stay_small() {
    assert!(size_of::<Job>() <= 56, "{}", size_of::<Job>());
    assert!(size_of::<Peer>() <= 512, "{}", size_of::<Peer>());
}

#[test]
fn a_submission_is_one_entry_of_a_log_that_its_jobs_share() {
    for (log, entries) in [("\"/home/a/log\"", 1), ("\"/home/a/log.\u{2}\"", 3)] {
        let mut bench = Bench::new();
        bench.submit(&[("UserLog", log)], 3);
        let seen = bench.seen.iter().filter(|effect| matches!(effect, Effect::UserLog(_))).count();
        assert_eq!(seen, entries, "{log}");
        let jobs: Vec<u32> = bench.events.iter().map(|(_, job, _)| job.proc_).collect();
        assert_eq!(jobs, [0, 1, 2], "{log}");
    }
}

//! How long the `condor_*` programs take, from start to end, on an idle machine.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::Site;

use crate::latency::{median_ms, nothing};
use crate::{alone, hold, measured_site, tell};

/// Runs of one series; the median counts.
const RUNS: usize = 15;

/// A series beyond its limit is repeated up to so often: others may have used the machine meanwhile.
const SERIES_MAX: usize = 8;

/// Median wall time of `command`, of the best of some series, in ms.
fn best_ms(limit_ms: f64, mut command: impl FnMut() -> Command) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..SERIES_MAX {
        let runs = (0..RUNS).map(|_| {
            let mut command = command();
            command.stdout(Stdio::null());
            let begin = Instant::now();
            assert!(command.status().expect("the programs were built").success());
            begin.elapsed()
        });
        best = best.min(median_ms(runs.collect()));
        if best <= limit_ms {
            break;
        }
    }
    best
}

/// What a computing element's monitoring asks: a few attributes of all its idle jobs.
fn query(site: &Site) -> Command {
    let constraint = "JobStatus == 1 && Owner =!= \"nobody\"";
    site.condor_command("condor_q", &["-constraint", constraint, "-af", "ClusterId", "ProcId", "JobStatus", "Out"])
}

#[test]
fn queries_of_many_jobs() {
    let _alone = alone();
    let site = measured_site();
    let text = |jobs: u32| format!("executable = /bin/true\noutput = out.$(Process)\nqueue {jobs}\n");
    for (jobs, more, limit_ms) in [(10_000, 10_000, 20.0), (100_000, 90_000, 150.0)] {
        site.submit(&text(more));
        let took = best_ms(limit_ms, || query(&site));
        hold(&format!("condor_q -constraint -af over {jobs} jobs, median"), took, "ms", limit_ms);
        // What computing elements count lines of.
        let took = best_ms(limit_ms, || site.condor_command("condor_q", &["-constraint", "JobStatus==1"]));
        let nothing = best_ms(limit_ms, || Command::new("/bin/true"));
        hold(&format!("condor_q that counts {jobs} jobs, in times of /bin/true"), took / nothing, "", 6.0);
    }
}

/// Whether a program asks for the dynamic linker: an ELF file with a `PT_INTERP`.
fn has_interpreter(program: &std::path::Path) -> bool {
    let file = std::fs::read(program).expect("the program was built");
    let number =
        |at: usize, bytes: usize| (0..bytes).rev().fold(0, |sum, byte| sum << 8 | usize::from(file[at + byte]));
    assert_eq!(&file[..5], b"\x7fELF\x02", "a program of 64 bits");
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|entry| number(table + entry * size, 4) == 3)
}

/// What `scripts/build` asks before it links static.
fn has_static_c_library() -> bool {
    let told = Command::new("cc").arg("-print-file-name=libc.a").output().expect("a C compiler, which Rust needs");
    cfg!(target_arch = "x86_64") && std::path::Path::new(String::from_utf8_lossy(&told.stdout).trim()).is_absolute()
}

#[test]
fn condor_programs_find_no_libraries_at_their_start() {
    let _alone = alone();
    assert!(has_interpreter(&testkit::measured_bin("alien_work_queue")), "the master looks names up");
    for program in ["condor_submit", "condor_q", "condor_rm", "condor_status"] {
        assert_eq!(has_interpreter(&testkit::measured_bin(program)), !has_static_c_library(), "{program}");
    }
}

#[test]
fn a_program_costs_little_to_start() {
    let _alone = alone();
    let site = measured_site();
    let mut ratio = f64::INFINITY;
    for _ in 0..SERIES_MAX {
        let (mut ours, mut nothings) = (Vec::new(), Vec::new());
        // In turns, so that both see the same machine.
        for _ in 0..100 {
            let mut command = site.condor_command("condor_version", &[] as &[&str]);
            command.stdout(Stdio::null());
            let begin = Instant::now();
            assert!(command.status().expect("condor_version was built").success());
            ours.push(begin.elapsed());
            nothings.push(nothing());
        }
        ratio = ratio.min(median_ms(ours) / median_ms(nothings));
        if ratio <= 2.0 {
            break;
        }
    }
    hold("start of a condor_* program, in times of /bin/true", ratio, "", 2.0);
}

#[test]
fn a_submission_is_quick() {
    let _alone = alone();
    let site = measured_site();
    site.write("job.sub", "executable = /bin/true\nqueue\n");
    let took = best_ms(3.0, || site.condor_command("condor_submit", &["job.sub"]));
    let fsync = testkit::fsync_times(&site.state_dir(), 50).expect("the state dir can be written to");
    tell("write and fdatasync of 4 KiB in the state dir, median", ms(fsync.median), "ms", None);
    tell("wall time of condor_submit of one job, median", took, "ms", Some(3.0));
    let nothing = best_ms(3.0, || Command::new("/bin/true"));
    tell("the same in times of /bin/true", took / nothing, "", Some(2.0));
    // The disk's own time is not ours to shorten, and twice the target is the slack of a busy machine.
    hold("the same without the journal's sync", took - ms(fsync.median), "ms", 6.0);
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

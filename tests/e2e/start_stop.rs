//! The master's start, its end, and the second master that must not start.

use std::process::Stdio;
use std::time::{Duration, Instant};

use testkit::{Site, WorkerOptions, run_command};

use crate::support::{
    EVICTED, EXECUTING, Gate, SOON, SUBMITTED, TERMINATED, attributes, started, story, wait_for_event,
};

/// What a stop may take.
const STOP: Duration = Duration::from_secs(10);

fn stops_in_good_order(signal: &str) {
    let site = Site::start();
    let _worker = site.worker(WorkerOptions::default());
    let gate = Gate::closed(&site);
    let script = gate.script(&site);
    site.submit(&format!("executable = {}\narguments = $(Process)\nlog = log\nqueue 2\n", script.display()));
    started(&site, "0");
    let begin = Instant::now();
    run_command(std::process::Command::new("kill").args([signal, &site.master_pid().to_string()]), b"", SOON).ok();
    let status = site.wait_for_master_end(SOON);
    assert_eq!(status.code(), Some(0));
    assert!(begin.elapsed() <= STOP, "{:?}", begin.elapsed());
    assert_eq!(story(&site, "log", "1.0"), [SUBMITTED, EXECUTING, EVICTED]);
    site.start_master();
    let said = attributes(&site, "1.0", &["JobStatus", "NumJobStarts", "VacateReason"]);
    // The worker comes back within a second, so the job may run again already.
    assert!(said.contains("service was stopped"), "{said}");
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 2);
    assert_eq!(story(&site, "log", "1.0"), [SUBMITTED, EXECUTING, EVICTED, EXECUTING, TERMINATED]);
}

#[test]
fn sigterm_ends_the_master_and_its_jobs_run_after_the_restart() {
    stops_in_good_order("-TERM");
}

#[test]
fn control_c_does_the_same() {
    stops_in_good_order("-INT");
}

#[test]
fn a_second_master_on_the_same_folders_is_refused_at_once() {
    let site = Site::start();
    let refuse = || {
        let mut command = site.master_command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let answer = run_command(&mut command, b"", SOON).exits(1);
        assert!(answer.stderr.contains(&site.master_pid().to_string()), "it names the holder: {answer}");
        answer.took
    };
    // The best of five: other tests run at the same time.
    let took = (0..5).map(|_| refuse()).min().unwrap();
    assert!(took <= Duration::from_millis(100), "{took:?}");
    // The first one goes on.
    assert_eq!(site.submit("executable = /bin/true\nqueue\n"), 1);
}

#[test]
fn without_a_master_the_programs_say_so() {
    let site = Site::start();
    site.stop_master();
    for (program, args) in [("condor_q", &[][..]), ("condor_rm", &["1"]), ("condor_submit", &[])] {
        let mut command = site.condor_command(program, args);
        let answer = run_command(command.env("AWQ_WAIT_S", "0"), b"executable = /bin/true\nqueue\n", SOON).exits(1);
        assert!(answer.stdout.is_empty() && !answer.stderr.is_empty(), "{answer}");
    }
}

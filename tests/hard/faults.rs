//! Faults of single things: a full disk under the outputs, a worker that is stopped, a foreman that vanishes with a thousand
//! jobs, descriptors that run out.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::simulated::{Fleet, FleetOptions};
use testkit::{Site, SiteOptions, WorkerOptions, bin, wait_until};

use crate::full_disk::Mount;

const SOON: Duration = Duration::from_secs(60);

/// Number of jobs for which an expression is true.
fn count(site: &Site, constraint: &str) -> usize {
    site.condor("condor_q", &["-constraint", constraint, "-af", "ClusterId"], "").ok().stdout.lines().count()
}

/// Requirement R-20.
#[test]
fn a_full_disk_under_an_output_holds_its_job_and_a_release_delivers_without_another_run() {
    let site = Site::start();
    let folder = site.home().join("small");
    let Some(disk) = Mount::make(&folder, "size=64k") else {
        println!(
            "skipped: a_full_disk_under_an_output_holds_its_job_and_a_release_delivers_without_another_run (this system \
             does not let us mount)"
        );
        return;
    };
    let _worker = site.worker(WorkerOptions::default());
    let home = site.home();
    site.write_script("job.sh", &format!("#!/bin/sh\necho $1 >> '{}/ran'\nhead -c 300000 /dev/zero\n", home.display()));
    let cluster = site.submit("executable = job.sh\narguments = full\noutput = small/out\nlog = log\nqueue\n");
    site.wait_until(SOON, "a held job", || site.statuses(cluster) == [5]);
    let said = site.condor("condor_q", &["-af", "HoldReasonCode", "HoldReasonSubCode", "HoldReason"], "").ok().stdout;
    assert!(said.starts_with("12 28 "), "{said}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "nothing half there");
    // The worker is of use for others meanwhile.
    let other = site.submit("executable = job.sh\narguments = other\noutput = out\nqueue\n");
    site.wait_for_end(other, SOON);
    disk.resize("size=4m");
    site.condor("condor_release", &[&cluster.to_string()], "").ok();
    site.wait_for_end(cluster, SOON);
    assert_eq!(std::fs::metadata(folder.join("out")).unwrap().len(), 300_000);
    assert_eq!(site.read("ran"), "full\nother\n", "it has not run again");
    assert_eq!(site.read("log").matches("\n005 (").count(), 1);
}

#[test]
fn a_worker_that_is_stopped_for_a_while_goes_on_and_others_do_not_wait() {
    let site = Site::start();
    let mut worker = site.worker(WorkerOptions::default());
    let gate = site.home().join("gate");
    site.write_script("job.sh", &format!("#!/bin/sh\nwhile [ ! -e '{}' ]; do sleep 0.05; done\n", gate.display()));
    let stopped = site.submit("executable = job.sh\noutput = out\nlog = log\nqueue\n");
    site.wait_until(SOON, "a running job", || site.statuses(stopped) == [2]);
    worker.guard.signal(Signal::SIGSTOP);
    std::fs::write(&gate, "").unwrap();
    let _other = site.worker(WorkerOptions::default());
    let others = site.submit("executable = /bin/true\nqueue 3\n");
    site.wait_for_end(others, SOON);
    assert_eq!(site.statuses(stopped), [2], "nobody gives up a worker for a moment of silence");
    worker.guard.signal(Signal::SIGCONT);
    site.wait_for_end(stopped, SOON);
    let log = site.read("log");
    assert_eq!((log.matches("\n005 (").count(), log.matches("\n004 (").count()), (1, 0), "{log}");
}

/// Requirements.
#[test]
fn a_thousand_jobs_of_a_foreman_that_vanishes_are_back_in_a_moment() {
    let site = Site::start();
    let options = FleetOptions {
        workers: 1,
        cores: 1000,
        os: "foreman".to_owned(),
        run_min: Duration::from_secs(3600),
        run_max: Duration::from_secs(3600),
        back_after: None,
        ..FleetOptions::default()
    };
    let foreman = Fleet::start(site.port(), options);
    let cluster = site.submit("executable = /bin/true\ntransfer_executable = false\nlog = log\nqueue 1000\n");
    site.wait_until(SOON, "a thousand running jobs", || count(&site, "JobStatus == 2") == 1000);
    foreman.drop_some(1);
    site.wait_until(SOON, "the end of the connection", || foreman.connected() == 0);
    let begin = Instant::now();
    site.wait_until(SOON, "a thousand waiting jobs", || count(&site, "JobStatus == 1") == 1000);
    println!("1,000 jobs were back {:?} after their foreman had gone", begin.elapsed());
    let reasons = site.condor("condor_q", &["-af", "NumVacatesByReason"], "").ok().stdout;
    assert_eq!(reasons.matches("[ WorkerLost = 1 ]").count(), 1000, "{}", &reasons[..reasons.len().min(300)]);
    let next = Fleet::start(site.port(), FleetOptions { workers: 10, cores: 10, ..FleetOptions::default() });
    site.wait_for_end(cluster, SOON);
    assert!(next.results() >= 1000);
    let log = site.read("log");
    assert_eq!((log.matches("\n005 (").count(), log.matches("\n004 (").count()), (1000, 1000));
}

/// Processor time of a process so far, in ticks of a hundredth of a second.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the master runs");
    let (_, rest) = stat.rsplit_once(") ").expect("a name in parentheses");
    let fields: Vec<&str> = rest.split(' ').collect();
    [11, 12].map(|at| fields[at].parse::<u64>().expect("a number")).iter().sum()
}

/// Requirement R-15: at the limit of descriptors.
#[test]
fn with_few_descriptors_some_wait_outside_and_queries_are_answered() {
    const LIMIT: u64 = 600;
    let mut site = Site::with(SiteOptions { without_master: true, ..SiteOptions::default() });
    let master = bin("alien_work_queue");
    let small = site.write_script(
        "master.sh",
        &format!("#!/bin/sh\nulimit -n {LIMIT} || exit 1\nexec '{}' \"$@\"\n", master.display()),
    );
    site.set_master_program(Some(small));
    site.start_master();
    let query = || {
        let begin = Instant::now();
        site.condor("condor_q", &["-totals"], "").ok();
        begin.elapsed()
    };
    // What a program costs here at this hour is none of the master's affair.
    let alone = (0..10).map(|_| query()).min().expect("there are some");
    let fleet = Fleet::start(site.port(), FleetOptions { workers: 400, ..FleetOptions::default() });
    // Of so few, half are kept for the journal, outputs and clients.
    site.wait_until(SOON, "workers up to the limit", || fleet.greeted() >= 60);
    let jobs = site.submit("executable = /bin/true\ntransfer_executable = false\nqueue 500\n");
    site.wait_for_end(jobs, SOON);
    let pid = site.master_pid();
    let best = (0..10).map(|_| query()).min().expect("there are some");
    assert!(best <= alone + Duration::from_millis(100), "a query takes {best:?}, {alone:?} without the workers");
    // Nothing is to be done: whoever waits outside costs nothing.
    let quiet = (0..5).any(|_| {
        let before = ticks(pid);
        wait_until(Duration::from_secs(1), "a second", || false).unwrap_err();
        ticks(pid) - before < 20
    });
    assert!(quiet, "the master spins");
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
    assert!(descriptors < LIMIT, "{descriptors}");
    assert!(fleet.greeted() as u64 <= LIMIT / 2, "{} of 400 are in", fleet.greeted());
    let log = std::fs::read_to_string(site.folder().join("logs/master.log")).unwrap();
    assert_eq!(log.matches("WARN").count(), 1, "one warning, not one for each: {log}");
}

/// Requirement R-16: a command forgives.
#[test]
fn an_operator_releases_hosts() {
    let site = Site::start();
    let mut command = Command::new(bin("awq"));
    command.args(["release-host", "--all"]).env("AWQ_WORKDIR", site.work_dir());
    let answer = testkit::run_command(&mut command, b"", SOON).ok();
    assert_eq!(answer.stdout, "no host waits for its failures\n");
}

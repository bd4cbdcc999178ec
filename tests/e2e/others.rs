//! Programs of others that drive HTCondor, unmodified: CCTools' `makeflow` and `condor_submit_workers`. And what a user
//! asks about machines and waiting jobs.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::{Guard, Site, WorkerOptions, bin, require, run_command};

use crate::support::{Gate, SOON, count, site_with_cores};

/// Rules of the large workflow.
const RULES: usize = 200;

/// What each rule needs. Without it makeflow asks for 1 GB of disk, which some machine has not.
const NEEDS: &str = "CORES=1\nMEMORY=100\nDISK=100\n\n";

/// For a whole workflow.
const LONG: Duration = Duration::from_secs(300);

/// A program on `PATH` that finds our `condor_*` before any other, in the site's home.
fn foreign(site: &Site, program: &str) -> Command {
    let mut command = Command::new(require(program));
    let mut path: Vec<PathBuf> = vec![bin("condor_submit").parent().expect("a folder of programs").to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    command
        .env("PATH", std::env::join_paths(path).expect("no colon in a path"))
        // makeflow is linked with MPI, which looks for a launcher otherwise.
        .env("OMPI_MCA_ess_singleton_isolated", "1");
    site.lead_here(&mut command);
    command
}

#[test]
fn makeflow_runs_a_workflow_of_200_rules() {
    let (site, _worker) = site_with_cores(4);
    site.write("in", "first\n");
    let rule = |n: usize| format!("out.{n}: in\n\tcat in > out.{n}; echo {n} >> out.{n}\n\n");
    let mut text: String = NEEDS.to_owned();
    text.extend((1..RULES).map(rule));
    let all: Vec<String> = (1..RULES).map(|n| format!("out.{n}")).collect();
    text += &format!("sum: {0}\n\tcat {0} > sum\n", all.join(" "));
    site.write("flow.mf", text);
    let answer = run_command(foreign(&site, "makeflow").args(["-T", "condor", "flow.mf"]), b"", LONG).ok();
    assert!(answer.stdout.contains("nothing left to do"), "{answer}");
    let sum = site.read("sum");
    assert_eq!(sum.lines().filter(|line| *line == "first").count(), RULES - 1);
    assert!((1..RULES).all(|n| sum.lines().any(|line| line == n.to_string())));
    assert_eq!(count(&site, "true"), 0, "no job is left");
    assert_eq!(site.submit("executable = /bin/true\nqueue\n"), RULES as u64 + 1, "each rule was a job of its own");
}

#[test]
fn makeflow_removes_its_jobs_when_it_is_stopped() {
    let (site, _worker) = site_with_cores(1);
    let gate = Gate::closed(&site);
    let rule = |n: usize| format!("out.{n}:\n\tsh -c \"{}\"; echo {n} > out.{n}\n\n", gate.wait());
    site.write("flow.mf", NEEDS.to_owned() + &(1..=5).map(rule).collect::<String>());
    let mut command = foreign(&site, "makeflow");
    let log = std::fs::File::create(site.folder().join("logs/makeflow.log")).expect("a log of the site");
    command.args(["-T", "condor", "flow.mf"]).stdout(log.try_clone().expect("a second handle")).stderr(log);
    let mut makeflow = Guard::start("makeflow", &mut command).expect("makeflow starts");
    site.wait_until(SOON, "five jobs, one of them running", || {
        count(&site, "true") == 5 && count(&site, "JobStatus == 2") == 1
    });
    makeflow.signal(Signal::SIGINT);
    makeflow.wait(SOON).expect("makeflow ends");
    site.wait_until(SOON, "the end of all jobs", || count(&site, "true") == 0);
}

/// The folder that CCTools' script makes in `/tmp` under the name of the user.
struct Workers(PathBuf);

impl Drop for Workers {
    fn drop(&mut self) {
        // It may not have been made.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn condor_submit_workers_brings_workers_to_a_master() {
    let site = Site::start();
    // The workers that the script submits are jobs of this one, and its colleagues as soon as they run.
    // They ask for little: the script's own 4 GB of disk for each would be more than some machine has free.
    let _outer = site.worker(WorkerOptions::cores(2));
    let user = format!("awq-{}-{}", std::process::id(), site.port());
    let _folder = Workers(PathBuf::from(format!("/tmp/{user}-workers")));
    let port = site.port().to_string();
    let mut command = foreign(&site, "condor_submit_workers");
    command.env("USER", &user).args("-t 30 --cores 1 --memory 256 --disk 256 127.0.0.1".split(' ')).args([&port, "2"]);
    let answer = run_command(&mut command, b"", SOON).ok();
    assert!(answer.stdout.contains("2 job(s) submitted to cluster 1."), "{answer}");
    site.wait_until(SOON, "three workers", || {
        site.condor("condor_status", &["-af", "Name"], "").ok().stdout.lines().count() == 3
    });
    assert_eq!(site.statuses(1), [2, 2]);
    // The first worker is full, so these run on those that were submitted.
    site.write_script("where.sh", "#!/bin/sh\npwd\n");
    let cluster = site.submit("executable = where.sh\noutput = where.$(Process)\nqueue 4\n");
    site.wait_for_end(cluster, SOON);
    assert!((0..4).all(|n| site.read(&format!("where.{n}")).lines().count() == 1));
    assert_eq!(site.statuses(1), [2, 2]);
}

#[test]
fn a_user_learns_why_a_job_waits_and_mends_it() {
    let (site, _worker) = site_with_cores(2);
    let gate = Gate::closed(&site);
    let status = |arguments: &[&str]| site.condor("condor_status", arguments, "").ok().stdout;
    site.wait_until(SOON, "a worker", || status(&["-af", "State"]) == "Unclaimed\n");
    let script = gate.script(&site);
    site.submit(&format!("executable = {}\narguments = a\noutput = o\nlog = log\nqueue\n", script.display()));
    site.wait_until(SOON, "a busy worker", || {
        status(&["-af", "State", "WorkQueueFreeCpus", "JobId"]) == "Claimed 1 1.0\n"
    });
    assert!(status(&[]).contains("Claimed   Busy"), "{}", status(&[]));
    assert!(status(&["-claimed"]).contains("RemoteUser"));
    site.submit(
        "executable = /bin/true\nrequest_cpus = 8\nrequirements = TARGET.Machine == \"nowhere\"\nlog = log\nqueue\n",
    );
    let why = || site.condor("condor_q", &["-better-analyze", "2.0"], "").ok().stdout;
    let first = why();
    assert!(first.contains("           0  TARGET.Machine == \"nowhere\"\n"), "{first}");
    assert!(first.contains("It asks for 8 cores, and the largest machine has 2."), "{first}");
    assert!(
        first.contains("Of 1 slots on 1 machines,\n      1 slots are rejected by your job's requirements"),
        "{first}"
    );
    // Each question is a match of its own, and tells when it failed.
    let but_times = |text: &str| text.lines().filter(|line| !line.starts_with("Last failed")).collect::<String>();
    assert_eq!(but_times(&site.condor("awq", &["why", "2.0"], "").ok().stdout), but_times(&first));
    let edited = site.condor("condor_qedit", &["2.0", "Requirements", "true", "RequestCpus", "2"], "").ok();
    assert_eq!(
        edited.stdout,
        "Set attribute \"RequestCpus\" for 1 matching jobs.\nSet attribute \"Requirements\" for 1 matching jobs.\n"
    );
    assert!(why().contains("1 machines would do and are busy"), "{}", why());
    site.condor("condor_prio", &["+7", "2"], "").ok();
    assert_eq!(site.condor("condor_q", &["2.0", "-af", "JobPrio", "RequestCpus"], "").ok().stdout, "7 2\n");
    // What was edited is on disk.
    site.restart();
    assert_eq!(site.condor("condor_q", &["2.0", "-af", "JobPrio", "RequestCpus"], "").ok().stdout, "7 2\n");
    let refused = site.condor("condor_qedit", &["2.0", "JobStatus", "4"], "").exits(1);
    assert!(refused.stderr.contains("Failed to set attribute \"JobStatus\" for job 2.0.\n"), "{refused}");
    site.condor("condor_suspend", &["1.0"], "").exits(1);
    gate.open();
    site.wait_for_end(1, SOON);
    site.wait_for_end(2, SOON);
}

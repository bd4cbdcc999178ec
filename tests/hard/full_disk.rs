//! The disk under the journal is full (requirement R-19): submissions are refused, the rest goes on, and so does everything
//! when somebody has made room.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::{Site, SiteOptions, WorkerOptions, run_command};

/// Size of the disk at first, and when somebody has made room.
const SMALL: &str = "size=400k,mode=0700";
const LARGE: &str = "size=16m";

const SOON: Duration = Duration::from_secs(60);

/// A tmpfs; let go also when the test fails, and while somebody still uses it.
pub(crate) struct Mount<'a>(&'a Path);

impl Mount<'_> {
    /// `None` when this system does not let us.
    pub(crate) fn make<'a>(folder: &'a Path, options: &str) -> Option<Mount<'a>> {
        std::fs::create_dir(folder).unwrap();
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", options, "awq-test"]).arg(folder).status();
        status.is_ok_and(|status| status.success()).then_some(Mount(folder))
    }

    pub(crate) fn resize(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.0).status().unwrap().success());
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        // A failure shows as a folder that cannot be removed.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_submissions_and_loses_nothing() {
    let site = Site::with(SiteOptions { without_master: true, ..SiteOptions::default() });
    let state_dir = site.state_dir();
    let Some(mount) = Mount::make(&state_dir, SMALL) else {
        println!("skipped: a_full_disk_refuses_submissions_and_loses_nothing (this system does not let us mount)");
        return;
    };
    site.start_master();
    // A job that runs while the disk gets full, and ends while it is.
    let _worker = site.worker(WorkerOptions::cores(1));
    let gate = site.home().join("gate");
    let script = format!("#!/bin/sh\nwhile [ ! -e '{}' ]; do sleep 0.05; done\necho done\n", gate.display());
    site.write_script("job.sh", &script);
    let running = site.submit("executable = job.sh\noutput = out\nlog = log\nqueue\n").to_string();
    site.wait_until(SOON, "a running job", || site.statuses(1) == [2]);
    let padding = "x".repeat(4000);
    let text = format!(
        "executable = /bin/true\ntransfer_executable = false\narguments = {padding}\nrequest_cpus = 99\nqueue\n"
    );
    let mut accepted = vec![running];
    let refused = loop {
        let answer = run_command(
            &mut site.condor_command::<&str>("condor_submit", &[]),
            text.as_bytes(),
            Duration::from_secs(60),
        );
        if answer.code != Some(0) {
            break answer;
        }
        let (_, rest) = answer.stdout.split_once("submitted to cluster ").expect("a cluster number");
        accepted.push(rest.split('.').next().unwrap().to_owned());
        assert!(accepted.len() < 1000, "the disk does not get full");
    };
    println!("{} submissions fit, then: {}", accepted.len(), refused.stderr.trim());
    assert!(accepted.len() >= 10, "{refused}");
    let refused_text = refused.stderr.clone();
    let check_refusal = |answer: testkit::Answer| {
        let answer = answer.exits(1);
        assert!(answer.stderr.contains("No space left on device"), "{answer}");
        assert!(!answer.stdout.contains("submitted to cluster"), "{answer}");
    };
    check_refusal(refused);
    // Jobs that have ended are shown until the history has them for sure.
    let queue = ["-constraint", "JobStatus != 4", "-af", "ClusterId"];
    let clusters =
        || -> Vec<String> { site.condor("condor_q", &queue, "").ok().stdout.lines().map(str::to_owned).collect() };
    assert_eq!(clusters(), accepted, "queries go on");
    // Also one that would fit: somebody must make room first.
    let small = "executable = /bin/true\ntransfer_executable = false\nrequest_cpus = 99\nqueue\n";
    check_refusal(site.condor("condor_submit", &[], small));
    assert_eq!(clusters(), accepted);
    check_refusal(site.condor("condor_rm", &[&accepted[1]], ""));
    std::fs::write(&gate, "").unwrap();
    site.wait_until(SOON, "the output of the job", || {
        std::fs::read_to_string(site.home().join("out")).is_ok_and(|text| text == "done\n")
    });
    assert_eq!(clusters(), accepted, "its end waits for the disk");

    // Without a restart: the end comes to the disk, and submissions are taken again.
    mount.resize(LARGE);
    accepted.remove(0);
    site.wait_until(SOON, "the end of the job", || clusters() == accepted);
    let log = site.read("log");
    assert_eq!(log.matches("\n005 (").count(), 1, "{log}");
    accepted.push(site.submit(small).to_string());
    assert_eq!(clusters(), accepted);
    site.kill_9();
    site.start_master();
    assert_eq!(clusters(), accepted, "nothing acknowledged is lost, nothing refused is there ({refused_text})");
    let all = || site.condor("condor_q", &["-af", "ClusterId"], "").ok().stdout;
    site.wait_until(SOON, "the history to have the job that has ended", || all().lines().eq(accepted.iter()));
    site.stop_master();
}

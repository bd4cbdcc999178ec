//! The disk under the journal is full (requirement R-19).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::{Site, SiteOptions, run_command};

/// Size of the disk at first, and when somebody has made room.
const SMALL: &str = "size=400k,mode=0700";
const LARGE: &str = "size=16m";

/// A tmpfs; let go also when the test fails, and while somebody still uses it.
struct Mount<'a>(&'a Path);

impl Mount<'_> {
    /// `None` when this system does not let us.
    fn make(folder: &Path) -> Option<Mount<'_>> {
        std::fs::create_dir(folder).unwrap();
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", SMALL, "awq-test"]).arg(folder).status();
        status.is_ok_and(|status| status.success()).then_some(Mount(folder))
    }

    fn enlarge(&self) {
        let options = format!("remount,{LARGE}");
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
    let Some(mount) = Mount::make(&state_dir) else {
        println!("skipped: a_full_disk_refuses_submissions_and_loses_nothing (this system does not let us mount)");
        return;
    };
    site.start_master();
    let padding = "x".repeat(4000);
    let text = format!("executable = /bin/true\ntransfer_executable = false\narguments = {padding}\nqueue\n");
    let mut accepted = Vec::new();
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
    let check_refusal = |answer: testkit::Answer| {
        let answer = answer.exits(1);
        assert!(answer.stderr.contains("No space left on device"), "{answer}");
        assert!(!answer.stdout.contains("submitted to cluster"), "{answer}");
    };
    check_refusal(refused);
    let clusters = || -> Vec<String> {
        site.condor("condor_q", &["-af", "ClusterId"], "").ok().stdout.lines().map(str::to_owned).collect()
    };
    assert_eq!(clusters(), accepted, "queries go on");
    // Also one that would fit: whether the disk has what was written last is unknown.
    let small = "executable = /bin/true\ntransfer_executable = false\nqueue\n";
    check_refusal(site.condor("condor_submit", &[], small));
    assert_eq!(clusters(), accepted);

    site.kill_9();
    mount.enlarge();
    site.start_master();
    assert_eq!(clusters(), accepted, "nothing acknowledged is lost, nothing refused is there");
    accepted.push(site.submit(small).to_string());
    site.restart();
    assert_eq!(clusters(), accepted);
    site.stop_master();
}

//! What the papers tell a newcomer to type works: the README's job, and the quick start.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::{Site, WorkerOptions, run_command};

fn top() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The submit file in the README, without the indentation of the snippet.
fn submit_file_of_the_readme() -> String {
    let readme = std::fs::read_to_string(top().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("hello.sub <<'EOF'\n").expect("the README writes hello.sub");
    let (text, _) = rest.split_once("    EOF\n").expect("the README ends hello.sub");
    text.lines().map(|line| format!("{}\n", line.trim_start())).collect()
}

#[test]
fn the_job_of_the_readme_runs() {
    let site = Site::start();
    let _worker = site.worker(WorkerOptions::cores(2));
    site.write("hello.sub", submit_file_of_the_readme());
    let answer = site.condor("condor_submit", &["hello.sub"], "").ok();
    assert!(answer.stdout.ends_with("3 job(s) submitted to cluster 1.\n"), "{answer}");
    site.wait_for_end(1, Duration::from_secs(60));
    for proc in 0..3 {
        assert_eq!(site.read(&format!("hello.{proc}.out")), format!("hello from 1.{proc}\n"));
    }
}

#[test]
fn the_quick_start_ends_with_the_outputs_of_its_jobs_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(top().join("scripts/quickstart"));
    let programs = testkit::bin("alien_work_queue");
    let target = programs.parent().unwrap().parent().unwrap();
    command.arg("--debug").env("CARGO_TARGET_DIR", target).env("TMPDIR", folder.path());
    let answer = run_command(&mut command, b"", Duration::from_secs(300)).ok();
    for job in 0..8 {
        assert!(answer.stdout.contains(&format!("Hello from job 1.{job},")), "{answer}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "its folder is gone");
}

//! A worker that answers with names it was not asked for.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::{Site, WorkerOptions};

use crate::support::sim::SimWorker;

/// Everything below a folder that is no file of the master's own.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        // Folders of peers and doors come and go.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path(), found),
            _ => found.push(entry.path()),
        }
    }
}

/// Reads words of the master until one line begins so; the line.
fn wait_for_line(worker: &mut SimWorker, begin: &str) -> String {
    loop {
        let line = worker.line();
        if line.starts_with(begin) {
            return line;
        }
    }
}

#[test]
fn names_that_nobody_asked_for_lead_nowhere() {
    let site = Site::start();
    site.write_script("job.sh", "#!/bin/sh\nmkdir result\necho fine > result/data\n");
    // `NAME` stands for the name that the master asks for.
    let answers: [(&str, &[u8]); 8] = [
        ("file ../../evil 4", b"evil"),
        ("file /tmp/evil-of-awq 4", b"evil"),
        ("file NAME/../../evil 4", b"evil"),
        ("file NAME/../../../../evil 4", b"evil"),
        ("file evil 4", b"evil"),
        ("dir NAME 0\nfile NAME/.. 4", b"evil"),
        ("dir NAME 0\nfile NAME/./../../evil 4", b"evil"),
        ("dir NAME/../../evil 0\nfile NAME/../../evil/x 4", b"evil"),
    ];
    let mut clusters = Vec::new();
    for (answer, body) in answers {
        let cluster = site.submit(
            "executable = job.sh\nshould_transfer_files = YES\ntransfer_output_files = result\n\
             request_memory = 10\nqueue\n",
        );
        let mut worker = SimWorker::join(site.port());
        let id = wait_for_line(&mut worker, "task ").split_off("task ".len());
        wait_for_line(&mut worker, "end");
        worker.stream.write_all(b"available_results\n").unwrap();
        wait_for_line(&mut worker, "send_results ");
        worker.stream.write_all(format!("result 0 0 0 1000 {id}\nend\n").as_bytes()).unwrap();
        let asked = wait_for_line(&mut worker, "get ");
        let name = asked.split(' ').nth(1).expect("a name to get");
        let words = [answer.replace("NAME", name).as_bytes(), b"\n", body, b"end\n"].concat();
        worker.stream.write_all(&words).unwrap();
        let mut heard = Vec::new();
        // A reset is an end too.
        if let Err(error) = worker.stream.read_to_end(&mut heard) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "not hung up on {answer:?}");
        }
        site.wait_until(Duration::from_secs(30), "the job back in the queue", || site.statuses(cluster) == [1]);
        site.condor("condor_hold", &[&cluster.to_string()], "").ok();
        clusters.push(cluster);
    }
    let mut found = Vec::new();
    files(site.folder(), &mut found);
    found.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("evil")));
    assert!(
        found.is_empty() && !Path::new("/tmp/evil-of-awq").exists() && !Path::new("/tmp/evil").exists(),
        "{found:?}"
    );

    let _honest = site.worker(WorkerOptions::default());
    for cluster in clusters {
        site.condor("condor_release", &[&cluster.to_string()], "").ok();
        site.wait_for_end(cluster, Duration::from_secs(60));
    }
    assert_eq!(site.read("result/data"), "fine\n");
}

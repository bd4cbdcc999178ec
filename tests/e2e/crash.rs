//! `kill -9` of the master: what was accepted runs, once.

use testkit::{Site, WorkerOptions};

use crate::support::{EXECUTING, Gate, SOON, TERMINATED, count, events, runs, started, story, wait_for_event};

#[test]
fn a_hundred_jobs_survive_the_master() {
    let site = Site::start();
    let gate = Gate::closed(&site);
    let home = site.home().display().to_string();
    // Each run leaves its pid at its start and a line at its end, in files of its job.
    let script = format!("#!/bin/sh\necho $$ > '{home}'/started.$1\n{}\necho $1 >> '{home}'/ended.$1\n", gate.wait());
    site.write_script("job.sh", &script);
    let cluster = site.submit("executable = job.sh\narguments = $(Process)\nlog = log\nqueue 100\n");
    let _workers: Vec<_> = (0..4).map(|_| site.worker(WorkerOptions::cores(2))).collect();
    wait_for_event(&site, "log", EXECUTING, 8);
    let first: Vec<u32> = (0..8).map(|proc| started(&site, &proc.to_string())).collect();
    site.kill_9();
    // The workers see that their master is gone; they take up to 3 s for each task.
    site.wait_until(SOON, "end of the first eight", || !first.iter().any(|pid| runs(*pid)));
    site.start_master();
    assert_eq!(count(&site, "true"), 100, "all are still there");
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 100);
    site.wait_for_end(cluster, SOON);
    for proc in 0..100 {
        let job = format!("{cluster}.{proc}");
        let story = story(&site, "log", &job);
        assert_eq!(story.iter().filter(|kind| **kind == TERMINATED).count(), 1, "{job}: {story:?}");
        assert_eq!(site.read(&format!("ended.{proc}")), format!("{proc}\n"), "{job}: {story:?}");
    }
    assert_eq!(site.submit("executable = /bin/true\nqueue\n"), cluster + 1);
}

#[test]
fn jobs_that_end_while_the_master_is_killed_again_and_again_end_once() {
    let site = Site::start();
    let home = site.home();
    site.write_script(
        "job.sh",
        &format!("#!/bin/sh\necho $1 >> '{}'/ran.$1\nhead -c 1000000 /dev/zero\necho $1\n", home.display()),
    );
    let _workers: Vec<_> = (0..2).map(|_| site.worker(WorkerOptions::cores(2))).collect();
    let cluster =
        site.submit("executable = job.sh\narguments = $(Process)\noutput = out.$(Process)\nlog = log\nqueue 60\n");
    let ended = || events(&site, "log").iter().filter(|event| event.kind == TERMINATED).count();
    for step in [5, 20, 40] {
        site.wait_until(SOON, &format!("{step} ends"), || ended() >= step);
        site.kill_9();
        site.start_master();
    }
    site.wait_for_end(cluster, SOON);
    assert_eq!(ended(), 60);
    for proc in 0..60 {
        let out = site.read(&format!("out.{proc}"));
        assert!(out.len() > 1_000_000 && out.trim_start_matches('\0') == format!("{proc}\n"), "{} bytes", out.len());
        let starts = site.read(&format!("ran.{proc}")).lines().count();
        // Executions may repeat, reports never do.
        let story = story(&site, "log", &format!("{cluster}.{proc}"));
        assert_eq!(story.iter().filter(|kind| **kind == TERMINATED).count(), 1, "{starts} runs: {story:?}");
    }
    assert_eq!(site.submit("executable = /bin/true\nqueue\n"), cluster + 1);
}

#[test]
fn cluster_numbers_go_on_after_an_empty_queue() {
    let site = Site::start();
    let _worker = site.worker(WorkerOptions::default());
    assert_eq!(site.submit("executable = /bin/true\nlog = log\nqueue\n"), 1);
    wait_for_event(&site, "log", TERMINATED, 1);
    site.wait_for_end(1, SOON);
    site.kill_9();
    site.start_master();
    assert_eq!(count(&site, "JobStatus != 4"), 0, "an ended job does not come back");
    site.wait_for_end(1, SOON);
    assert_eq!(site.submit("executable = /bin/true\nlog = log\nqueue\n"), 2);
    wait_for_event(&site, "log", TERMINATED, 2);
    assert_eq!(story(&site, "log", "1.0").len(), 3);
}

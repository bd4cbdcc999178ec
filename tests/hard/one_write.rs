//! A finished task costs one round trip: what follows from it goes out in one write (decision D38).

use std::time::Duration;

use testkit::WorkerOptions;

use crate::trace::{read_trace, traced_site};

/// Runs 20 jobs on one core; how many next tasks went out together with the last one's collection?
fn shared_writes(master_args: &[&str]) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let site = traced_site(folder.path(), master_args);
    let _worker = site.worker(WorkerOptions::cores(1));
    site.write("job.sh", "#!/bin/sh\necho $1\n");
    site.submit("executable = job.sh\narguments = $(Process)\noutput = out.$(Process)\nqueue 20\n");
    let came = |n: u32| {
        std::fs::read_to_string(site.home().join(format!("out.{n}"))).is_ok_and(|text| text == format!("{n}\n"))
    };
    site.wait_until(Duration::from_secs(60), "the outputs of 20 jobs", || (0..20).all(came));
    site.kill_9();
    let calls = read_trace(&std::fs::read_to_string(folder.path().join("trace")).unwrap());
    let shared = calls.iter().filter(|call| {
        let said = |what: &str| call.arguments.find(what);
        call.writes()
            && matches!((said("send_results "), said("\\nget "), said("\\ntask ")),
                        (Some(collect), Some(get), Some(task)) if collect < get && get < task)
    });
    shared.count()
}

#[test]
fn the_next_task_shares_a_write_with_the_collection_of_the_last() {
    // Folders are looked at again each second, and then the task comes a moment later.
    let shared = shared_writes(&[]);
    assert!(shared >= 10, "{shared} of 19");
}

#[test]
fn one_write_can_be_switched_off() {
    assert_eq!(shared_writes(&["--one-write", "false"]), 0);
}

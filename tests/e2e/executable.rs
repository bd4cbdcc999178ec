//! The executable is what it was when `condor_submit` ended.

use testkit::{Site, WorkerOptions};

use crate::support::{Gate, TERMINATED, run, site_with_cores, wait_for_event};

#[test]
fn an_executable_that_is_rewritten_or_deleted_runs_as_submitted() {
    let site = Site::start();
    for version in ["first", "second"] {
        // AliEn rewrites the same file at every wave, JAliEn deletes it.
        site.write_script("agent.startup.17", &format!("#!/bin/sh\necho {version}\n"));
        site.submit(&format!("executable = agent.startup.17\noutput = {version}\nlog = log\nqueue\n"));
    }
    std::fs::remove_file(site.home().join("agent.startup.17")).unwrap();
    let _worker = site.worker(WorkerOptions::default());
    wait_for_event(&site, "log", TERMINATED, 2);
    assert_eq!((site.read("first").as_str(), site.read("second").as_str()), ("first\n", "second\n"));
}

#[test]
fn a_large_executable_serves_several_jobs_also_after_a_restart() {
    let (site, _worker) = site_with_cores(2);
    let padding = format!("#{}\n", "x".repeat(1000)).repeat(200);
    // A job may spoil its own copy, and no other job notices.
    site.write_script("large.sh", &format!("#!/bin/sh\n{padding}echo job $1\necho 'exit 9' > $0\n"));
    let text = "executable = large.sh\narguments = $(Process)\noutput = out.$(Process)\nqueue 6\n";
    run(&site, text);
    for proc in 0..6 {
        assert_eq!(site.read(&format!("out.{proc}")), format!("job {proc}\n"));
    }
    let gate = Gate::closed(&site);
    site.write_script("large.sh", &format!("#!/bin/sh\n{padding}{}\necho gated $1\n", gate.wait()));
    let cluster = site.submit(&format!("log = again\n{text}"));
    std::fs::remove_file(site.home().join("large.sh")).unwrap();
    site.kill_9();
    site.start_master();
    gate.open();
    wait_for_event(&site, "again", TERMINATED, 6);
    assert_eq!(site.read("out.5"), "gated 5\n", "cluster {cluster}");
}

#[test]
fn waves_of_the_same_executable_never_lose_it() {
    let (site, _worker) = site_with_cores(2);
    site.write_script("agent.sh", "#!/bin/sh\necho $1\n");
    // The bytes come again at every moment of the life of the jobs that named them before.
    for wave in 0..40 {
        site.submit(&format!("executable = agent.sh\narguments = {wave}\noutput = out.{wave}\nlog = log\nqueue\n"));
    }
    wait_for_event(&site, "log", TERMINATED, 40);
    for wave in 0..40 {
        assert_eq!(site.read(&format!("out.{wave}")), format!("{wave}\n"));
    }
}

#[test]
fn an_executable_that_is_not_sent_is_taken_as_it_is_there() {
    let (site, _worker) = site_with_cores(1);
    run(&site, "executable = /bin/echo\ntransfer_executable = false\narguments = there\noutput = out\nqueue\n");
    assert_eq!(site.read("out"), "there\n");
}

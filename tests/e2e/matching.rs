//! Where jobs go, and what follows from how they end.

use testkit::{Site, WorkerOptions};

use crate::support::{
    EVICTED, EXECUTING, SOON, SUBMITTED, TERMINATED, attributes, run, site_with_cores, story, wait_for_event,
};

#[test]
fn a_job_waits_for_a_machine_that_fulfils_its_requirements() {
    let (site, _small) = site_with_cores(1);
    let text = "executable = /bin/echo\narguments = here\noutput = out\n\
                requirements = TARGET.Memory > 90000000 && Machine =!= \"nowhere\"\nqueue\n";
    let cluster = site.submit(text);
    // Jobs that ask for nothing pass it.
    run(&site, "executable = /bin/true\nqueue 3\n");
    assert_eq!(attributes(&site, &format!("{cluster}.0"), &["JobStatus", "NumJobStarts"]), "1 0");
    let _large = site.worker(WorkerOptions { extra: vec!["--memory".into(), "99000000".into()], ..Default::default() });
    site.wait_for_end(cluster, SOON);
    assert_eq!(site.read("out"), "here\n");
}

#[test]
fn requirements_of_a_shared_file_system_hold_here() {
    let (site, _worker) = site_with_cores(1);
    run(&site, "executable = /bin/pwd\nshould_transfer_files = NO\noutput = out\nqueue\n");
    assert_eq!(site.read("out").trim_end(), site.home().canonicalize().unwrap().to_str().unwrap());
}

#[test]
fn a_job_is_repeated_until_it_succeeds() {
    let (site, _worker) = site_with_cores(1);
    let count = site.home().join("count");
    let script = format!("#!/bin/sh\necho x >> {0}\n[ \"$(wc -l < {0})\" -ge 3 ]\n", count.display());
    site.write_script("third.sh", &script);
    site.submit("executable = third.sh\nmax_retries = 5\nlog = log\nqueue\n");
    wait_for_event(&site, "log", TERMINATED, 1);
    let tries = [SUBMITTED, EXECUTING, EVICTED, EXECUTING, EVICTED, EXECUTING, TERMINATED];
    assert_eq!(story(&site, "log", "1.0"), tries);
    assert_eq!(site.read("count"), "x\nx\nx\n");
}

#[test]
fn an_exit_that_asks_for_somebody_holds_the_job_with_its_own_words() {
    let site = Site::start();
    let _worker = site.worker(WorkerOptions::cores(1));
    let text = "executable = /bin/false\non_exit_hold = ExitCode != 0\non_exit_hold_reason = \"look at it\"\n\
                on_exit_hold_subcode = 4\nlog = log\nqueue\n";
    let cluster = site.submit(text);
    let job = format!("{cluster}.0");
    site.wait_until(SOON, "the hold", || attributes(&site, &job, &["JobStatus"]) == "5");
    let said = attributes(&site, &job, &["HoldReasonCode", "HoldReasonSubCode", "ExitCode", "HoldReason"]);
    assert_eq!(said, "3 4 1 look at it");
}

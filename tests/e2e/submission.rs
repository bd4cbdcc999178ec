//! What is submitted is what is in the queue.

use testkit::{Site, SiteOptions, WorkerOptions};

use crate::support::{count, run, site_with_cores};

#[test]
fn five_identical_submissions_are_five_jobs() {
    let (site, _worker) = site_with_cores(2);
    let home = site.home();
    site.write_script("job.sh", &format!("#!/bin/sh\necho ran >> '{}/ran'\n", home.display()));
    let clusters: Vec<u64> = (0..4).map(|_| site.submit("log = log\nexecutable = job.sh\nqueue\n")).collect();
    assert_eq!(clusters, [1, 2, 3, 4]);
    assert_eq!(run(&site, "executable = job.sh\nqueue\n"), 5);
    assert_eq!(site.read("ran"), "ran\n".repeat(5));
}

#[test]
fn a_queue_of_a_thousand_is_a_thousand_jobs() {
    let site = Site::start();
    let answer = site.condor("condor_submit", &[], "executable = /bin/true\nqueue 1000\n").ok();
    assert!(answer.stdout.ends_with("1000 job(s) submitted to cluster 1.\n"), "{answer}");
    assert_eq!(count(&site, "JobStatus == 1"), 1000);
    assert_eq!(site.statuses(1).len(), 1000);
    let totals = site.condor("condor_q", &["-totals"], "").ok().stdout;
    assert!(totals.trim_end().lines().last().unwrap().contains("1000 idle"), "{totals}");
}

#[test]
fn a_thousand_jobs_run() {
    let site = Site::with(SiteOptions::default());
    let _workers: Vec<_> = (0..2).map(|_| site.worker(WorkerOptions::cores(8))).collect();
    let home = site.home();
    site.write_script("job.sh", &format!("#!/bin/sh\necho $1 >> '{}/ran'\n", home.display()));
    run(&site, "executable = job.sh\narguments = $(Process)\nqueue 300\n");
    let mut ran: Vec<u32> = site.read("ran").lines().map(|line| line.parse().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, (0..300).collect::<Vec<_>>());
}

#[test]
fn queue_in_and_from_give_a_job_for_each_item() {
    let (site, _worker) = site_with_cores(4);
    site.write("rows", "red 1\ngreen 2\n");
    run(&site, "executable = /bin/echo\narguments = $(x)\noutput = in.$(x)\nqueue x in (a, b c)\n");
    run(
        &site,
        "executable = /bin/echo\narguments = $(n) $(colour)\noutput = from.$(colour)\nqueue colour, n from rows\n",
    );
    run(&site, "executable = /bin/echo\narguments = $(y)\noutput = list.$(Process)\nqueue y from (\n  one\n  two\n)\n");
    run(&site, "executable = /bin/echo\narguments = $(Item) $(Step)\noutput = two.$(Process)\nqueue 2 in (k)\n");
    let wanted = [
        ("in.a", "a\n"),
        ("in.b", "b\n"),
        ("in.c", "c\n"),
        ("from.red", "1 red\n"),
        ("from.green", "2 green\n"),
        ("list.0", "one\n"),
        ("list.1", "two\n"),
        ("two.0", "k 0\n"),
        ("two.1", "k 1\n"),
    ];
    for (file, text) in wanted {
        assert_eq!(site.read(file), text, "{file}");
    }
}

#[test]
fn a_mistake_in_the_last_line_submits_nothing() {
    let site = Site::start();
    let bad = [
        "executable = /bin/true\nqueue 10 x in (a, b\n",
        "executable = /bin/true\nthis is no statement\nqueue\n",
        "executable = /bin/true\nqueue many\n",
        "executable = /no/such/program\nqueue 10\n",
    ];
    for text in bad {
        let answer = site.condor("condor_submit", &[], text).exits(1);
        assert!(!answer.stdout.contains("submitted to cluster"), "{answer}");
        let sentences: Vec<_> = answer.stderr.lines().filter(|line| !line.is_empty()).collect();
        assert!(sentences.iter().all(|line| line.starts_with("ERROR")), "{answer}");
        assert!((1..=2).contains(&sentences.len()), "{answer}");
        assert_eq!(count(&site, "true"), 0, "{answer}");
    }
    // After good statements, which HTCondor warns of: an error in the last line takes all of it back.
    for last in ["executable = /no/such/program\nqueue", "queue many", "this is no statement"] {
        let answer = site.condor("condor_submit", &[], &format!("executable = /bin/true\nqueue 10\n{last}")).exits(1);
        assert!(!answer.stdout.contains("submitted to cluster") && answer.stderr.contains("\nERROR"), "{answer}");
        assert_eq!(count(&site, "true"), 0, "{answer}");
    }
    site.write("last.sub", "executable = /bin/true\nqueue 5\nexecutable = missing\nqueue");
    let answer = site.condor("condor_submit", &["last.sub"], "").exits(1);
    assert!(answer.stderr.contains("missing"), "{answer}");
    assert_eq!(count(&site, "true"), 0);
}

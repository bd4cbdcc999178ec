//! Jobs through workers, foremen and passwords.

use testkit::{ForemanOptions, Site, SiteOptions, WorkerOptions};

use crate::support::{EXECUTING, SOON, SUBMITTED, TERMINATED, log_of, run, site_with_cores, story, wait_for_event};

const HELLO: &str = "executable = /bin/echo\narguments = hello $(Process)\noutput = out.$(Process)\nqueue ";

#[test]
fn a_job_runs_on_a_worker() {
    let (site, _worker) = site_with_cores(1);
    let cluster = run(&site, &format!("{HELLO}1\n"));
    assert_eq!(cluster, 1);
    assert_eq!(site.read("out.0"), "hello 0\n");
    assert_eq!(story(&site, "log", "1.0"), [SUBMITTED, EXECUTING, TERMINATED]);
    site.wait_for_end(cluster, SOON);
}

#[test]
fn a_job_runs_through_a_foreman() {
    let site = Site::start();
    let foreman = site.foreman(ForemanOptions::default());
    let _worker = site.worker(WorkerOptions::default().behind(&foreman));
    run(&site, &format!("{HELLO}3\n"));
    for proc in 0..3 {
        assert_eq!(site.read(&format!("out.{proc}")), format!("hello {proc}\n"));
    }
}

#[test]
fn jobs_run_through_two_foremen_with_four_workers() {
    let site = Site::start();
    let foremen = [site.foreman(ForemanOptions::default()), site.foreman(ForemanOptions::default())];
    let _workers: Vec<_> =
        [0, 0, 1, 1].map(|which: usize| site.worker(WorkerOptions::default().behind(&foremen[which]))).into();
    // All four must run at once for any to end.
    let script =
        "#!/bin/sh\n: > $1/here.$2; while [ $(ls $1 | grep -c '^here') -lt 4 ]; do sleep 0.05; done; echo $2\n";
    site.write_script("meet.sh", script);
    let home = site.home();
    run(
        &site,
        &format!("executable = meet.sh\narguments = {} $(Process)\noutput = out.$(Process)\nqueue 4\n", home.display()),
    );
    for proc in 0..4 {
        assert_eq!(site.read(&format!("out.{proc}")), format!("{proc}\n"));
    }
}

#[test]
fn a_foreman_behind_a_foreman_runs_jobs_too() {
    let site = Site::start();
    let outer = site.foreman(ForemanOptions::default());
    let inner = site.foreman(ForemanOptions { port: Some(outer.port()), ..ForemanOptions::default() });
    let _worker = site.worker(WorkerOptions::default().behind(&inner));
    run(&site, &format!("{HELLO}1\n"));
    assert_eq!(site.read("out.0"), "hello 0\n");
}

#[test]
fn a_worker_that_knows_the_password_gets_the_jobs_and_others_nothing() {
    // A final newline belongs to the password, as with the programs of CCTools; an empty file is as good as none.
    let site = Site::with(SiteOptions { password: Some(b"pass word\n".to_vec()), ..SiteOptions::default() });
    let strangers = [("wrong", "pass word"), ("empty", "")].map(|(name, password)| {
        let file = site.folder().join(name);
        std::fs::write(&file, password).unwrap();
        site.worker(WorkerOptions { password_file: Some(file), ..WorkerOptions::cores(8) })
    });
    let cluster = site.submit(&format!("log = log\n{HELLO}4\n"));
    // Both have been shown out and have come back before the right one comes.
    site.wait_until(SOON, "two strangers shown out", || {
        strangers.iter().all(|worker| log_of(&site, worker.guard.name()).matches("connected to manager").count() > 2)
    });
    assert!(log_of(&site, strangers[0].guard.name()).contains("wrong password"));
    assert_eq!(site.statuses(cluster), [1, 1, 1, 1]);
    let _right = site.worker(WorkerOptions::default());
    wait_for_event(&site, "log", TERMINATED, 4);
    assert_eq!(site.read("out.3"), "hello 3\n");
    site.wait_for_end(cluster, SOON);
}

#[test]
fn a_foreman_with_a_password_serves_its_workers() {
    let site = Site::with(SiteOptions { password: Some(b"secret".to_vec()), ..SiteOptions::default() });
    let foreman = site.foreman(ForemanOptions::default());
    let _worker = site.worker(WorkerOptions::default().behind(&foreman));
    run(&site, &format!("{HELLO}1\n"));
    assert_eq!(site.read("out.0"), "hello 0\n");
}

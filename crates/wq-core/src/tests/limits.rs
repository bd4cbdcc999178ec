//! Things of which there are only so many (`concurrency_limits`).

use std::collections::BTreeMap;

use control_proto::{Action, Targets};

use crate::Config;
use crate::bench::Bench;
use crate::ids::JobId;

fn bench() -> Bench {
    let concurrency_limits = BTreeMap::from([("licence".to_owned(), 3), ("Disk".to_owned(), 1)]);
    Bench::with(Config { concurrency_limits, ..Config::default() })
}

fn running(b: &mut Bench) -> Vec<String> {
    let rows = b.query("JobStatus == 2", &["ClusterId", "ProcId"]);
    rows.iter().map(|row| format!("{}.{}", row[0].1, row[1].1)).collect()
}

#[test]
fn only_so_many_run_and_others_pass_them() {
    let mut b = bench();
    let w = b.worker(10);
    b.submit(&[("ConcurrencyLimits", "\"licence:2\"")], 2);
    b.submit(&[("ConcurrencyLimits", "\"disk,licence\"")], 2);
    b.submit(&[("ConcurrencyLimits", "\"nobody.knows:100\"")], 1);
    b.submit(&[], 1);
    assert_eq!(running(&mut b), ["1.0", "2.0", "3.0", "4.0"]);
    let task = b.tasks(w)[1];
    b.end(w, task, 0);
    assert_eq!(running(&mut b), ["1.0", "2.1", "3.0", "4.0"]);
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    assert_eq!(running(&mut b), ["1.1", "2.1", "3.0", "4.0"]);
}

#[test]
fn a_lost_worker_a_removal_and_a_failed_preparation_give_back() {
    let mut b = bench();
    let ad = [("ConcurrencyLimits", "\"disk\"")];
    let w = b.worker(1);
    b.submit(&ad, 1);
    b.submit(&ad, 1);
    b.lose(w);
    b.worker(1);
    assert_eq!(running(&mut b), ["1.0"]);
    b.worker(1);
    b.act(Action::Remove, Targets::Jobs(vec![(1, 0)]));
    assert_eq!(running(&mut b), [""; 0], "its program may run still");
    b.pass(20);
    assert_eq!(running(&mut b), ["2.0"]);
    b.auto.prepare = false;
    b.submit(&ad, 2);
    b.act(Action::Remove, Targets::Jobs(vec![(2, 0)]));
    b.pass(20);
    b.worker(2);
    let attempt = *b.preparing().last().unwrap();
    b.fail_prepare(attempt, 13, 2);
    assert_eq!(b.status(JobId::new(3, 0)).as_deref(), Some("5"));
    assert_ne!(b.preparing().last(), Some(&attempt), "the next one has its turn");
}

#[test]
fn each_job_may_have_needs_of_its_own_and_a_worker_that_comes_later_finds_them_limited() {
    let mut b = bench();
    b.submit(&[("ConcurrencyLimitsExpr", "ifThenElse(ProcId == 1, \"disk\", \"licence\")"), ("ProcId", "\u{2}")], 1);
    b.submit(&[("ConcurrencyLimits", "\"licence\"")], 5);
    b.worker(8);
    assert_eq!(running(&mut b), ["1.0", "2.0", "2.1"]);
}

#[test]
fn nobody_is_cleared_a_worker_for_while_he_has_to_wait_for_others() {
    let mut b = Bench::with(Config {
        concurrency_limits: BTreeMap::from([("disk".to_owned(), 1)]),
        reserve_s: 60,
        ..Config::default()
    });
    let w = b.worker(2);
    b.submit(&[("ConcurrencyLimits", "\"disk\"")], 1);
    b.submit(&[("ConcurrencyLimits", "\"disk\""), ("RequestCpus", "2")], 1);
    b.submit(&[], 5);
    for _ in 0..3 {
        b.pass(100);
        let task = b.tasks(w)[1];
        b.end(w, task, 0);
    }
    assert_eq!(running(&mut b), ["1.0", "3.3"]);
}

//! Policies that look at a job while it waits and runs.

use control_proto::{Action, Targets};

use crate::bench::Bench;
use crate::ids::JobId;

const FIRST: JobId = JobId::new(1, 0);

#[test]
fn a_change_of_state_is_a_reason_to_ask() {
    let mut b = Bench::new();
    b.submit(&[("PeriodicHold", "JobStatus == 2"), ("PeriodicHoldSubCode", "9")], 1);
    b.submit(&[("PeriodicRemove", "JobStatus == 5")], 1);
    b.pass(10);
    b.worker(2);
    assert_eq!(b.status(FIRST).as_deref(), Some("5"), "nobody waits for the next round");
    assert_eq!(b.attribute(FIRST, "HoldReasonSubCode").as_deref(), Some("9"));
    let second = JobId::new(2, 0);
    assert_eq!(b.status(second).as_deref(), Some("2"));
    b.act(Action::Hold, Targets::Jobs(vec![(2, 0)]));
    assert_eq!(b.status(second).as_deref(), Some("5"), "its worker has not confirmed the kill");
    b.pass(20);
    assert_eq!(b.status(second), None);
    assert_eq!(b.event_numbers(second), [0, 1, 4, 12, 9]);
}

#[test]
fn policies_that_contradict_each_other_do_not_go_round_without_a_pause() {
    let mut b = Bench::new();
    b.submit(&[("PeriodicHold", "true"), ("PeriodicRelease", "true")], 1);
    b.pass(600);
    let holds: u32 = b.attribute(FIRST, "NumHolds").unwrap().parse().unwrap();
    assert!((5..=12).contains(&holds), "{holds} holds in ten minutes");
}

#[test]
fn a_job_that_fails_whenever_it_is_released_waits_for_the_next_round() {
    let mut b = Bench::new();
    b.auto.prepare = false;
    b.worker(1);
    b.submit(&[("PeriodicRelease", "HoldReasonCode == 13")], 1);
    let fail = |b: &mut Bench| {
        let attempt = *b.preparing().last().unwrap();
        b.fail_prepare(attempt, 13, 2);
    };
    fail(&mut b);
    assert_eq!(b.preparing().len(), 2, "the first hold is released at once");
    fail(&mut b);
    assert_eq!((b.status(FIRST).as_deref(), b.preparing().len()), (Some("5"), 2));
    b.pass(61);
    assert_eq!(b.preparing().len(), 3);
}

#[test]
fn many_changes_at_once_are_asked_one_after_the_other() {
    let mut b = Bench::new();
    b.submit(&[("PeriodicRemove", "LastJobStatus == 5")], 1200);
    b.act(Action::Hold, Targets::All);
    assert_eq!(b.query("JobStatus == 5", &["ProcId"]).len(), 1200);
    b.act(Action::Release, Targets::All);
    assert!(b.query("true", &["ProcId"]).is_empty());
}

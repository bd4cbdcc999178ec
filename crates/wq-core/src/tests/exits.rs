//! What a job's own policy makes of its end.

use control_proto::{Action, Targets};

use crate::bench::Bench;
use crate::ids::JobId;

const FIRST: JobId = JobId::new(1, 0);

fn ends(b: &mut Bench, w: crate::ids::LinkId, exit: i32) {
    let task = b.tasks(w)[0];
    b.end(w, task, exit);
}

#[test]
fn a_job_is_tried_again_until_it_succeeds_or_its_retries_are_used_up() {
    let retries = [
        ("OnExitHold", "false"),
        ("OnExitRemove", "NumJobCompletions > JobMaxRetries || ExitCode =?= 0"),
        ("JobMaxRetries", "2"),
    ];
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&retries, 1);
    ends(&mut b, w, 1);
    assert_eq!(b.attribute(FIRST, "NumJobCompletions").as_deref(), Some("1"));
    assert_eq!(b.attribute(FIRST, "ExitCode").as_deref(), Some("1"));
    assert_eq!(b.attribute(FIRST, "CompletionDate"), None);
    ends(&mut b, w, 1);
    ends(&mut b, w, 1);
    assert_eq!(b.status(FIRST), None, "three runs are enough");
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4, 1, 4, 1, 5]);
    let why = "evaluated to FALSE";
    assert!(b.events.iter().any(|(number, _, text)| *number == 4 && text.contains(why)), "{:?}", b.events);
    let second = JobId::new(2, 0);
    b.submit(&retries, 1);
    ends(&mut b, w, 9);
    ends(&mut b, w, 0);
    assert_eq!(b.event_numbers(second), [0, 1, 4, 1, 5]);
}

#[test]
fn a_restart_between_two_tries_knows_of_the_first() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[("OnExitRemove", "NumJobCompletions > 1")], 1);
    ends(&mut b, w, 1);
    let mut b = b.restarted();
    assert_eq!(b.attribute(FIRST, "NumJobCompletions").as_deref(), Some("1"));
    let w = b.worker(1);
    ends(&mut b, w, 1);
    assert_eq!(b.status(FIRST), None);
}

#[test]
fn a_hold_at_exit_has_the_jobs_own_words() {
    let mut b = Bench::new();
    let w = b.worker(1);
    let own = [("OnExitHold", "ExitCode =!= 0"), ("OnExitHoldReason", "\"look at it\""), ("OnExitHoldSubCode", "7")];
    b.submit(&own, 1);
    ends(&mut b, w, 3);
    let names = ["JobStatus", "HoldReasonCode", "HoldReasonSubCode", "HoldReason", "ExitCode"];
    let said: Vec<String> = names.iter().filter_map(|name| b.attribute(FIRST, name)).collect();
    assert_eq!(said, ["5", "3", "7", "\"look at it\"", "3"]);
    assert_eq!(b.event_numbers(FIRST), [0, 1, 12], "neither an eviction nor an end");
    assert!(b.tasks(w).is_empty(), "the worker may forget it");
    b.act(Action::Release, Targets::Jobs(vec![(1, 0)]));
    ends(&mut b, w, 0);
    assert_eq!(b.status(FIRST), None);
}

#[test]
fn a_policy_without_an_answer_holds_the_job() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[("OnExitRemove", "ExitCode == 0")], 1);
    // Killed by a signal: there is no exit code.
    ends(&mut b, w, 137);
    assert_eq!(b.attribute(FIRST, "HoldReasonCode").as_deref(), Some("5"));
    let reason = "\"The job attribute OnExitRemove expression 'ExitCode == 0' evaluated to UNDEFINED\"";
    assert_eq!(b.attribute(FIRST, "HoldReason").as_deref(), Some(reason));
}

#[test]
fn a_job_that_is_over_stays_while_its_owner_wants_to_see_it() {
    let mut b = Bench::new();
    let w = b.worker(1);
    let stay = "JobStatus == 4 && time() - CompletionDate < 100";
    b.submit(&[("LeaveJobInQueue", stay)], 1);
    ends(&mut b, w, 0);
    assert_eq!(b.status(FIRST).as_deref(), Some("4"));
    let mut b = b.restarted();
    assert_eq!(b.status(FIRST).as_deref(), Some("4"));
    b.pass(200);
    assert_eq!(b.status(FIRST), None);
    let mut b = b.restarted();
    assert_eq!(b.status(FIRST), None, "it does not come back");
}

#[test]
fn a_removed_job_stays_in_state_3_until_force_is_used() {
    let mut b = Bench::new();
    b.submit(&[("LeaveJobInQueue", "true")], 1);
    b.act(Action::Remove, Targets::Jobs(vec![(1, 0)]));
    assert_eq!(b.status(FIRST).as_deref(), Some("3"));
    b.pass(200);
    assert_eq!(b.status(FIRST).as_deref(), Some("3"));
    let mut b = b.restarted_beside(&b.events);
    assert_eq!(b.event_numbers(FIRST), [0, 9], "what stands in the log already is not written again");
    b.act(Action::RemoveForce, Targets::Jobs(vec![(1, 0)]));
    assert_eq!(b.status(FIRST), None);
}

//! What the journal gives back.

use control_proto::{Action, Reply, Targets};

use crate::bench::Bench;
use crate::ids::JobId;
use crate::io::{Effect, Input};

const FIRST: JobId = JobId::new(1, 0);

#[test]
fn a_restart_gives_back_every_job_and_goes_on_with_the_numbers() {
    let mut b = Bench::new();
    b.submit(&[], 3);
    b.act(Action::Hold, Targets::Jobs(vec![(1, 1)]));
    b.act(Action::Remove, Targets::Jobs(vec![(1, 2)]));
    let mut after = b.restarted();
    assert_eq!(after.status(FIRST).as_deref(), Some("1"));
    assert_eq!(after.status(JobId::new(1, 1)).as_deref(), Some("5"));
    assert_eq!(after.attribute(JobId::new(1, 1), "HoldReason").as_deref(), Some("\"via condor_hold (by user alice)\""));
    assert_eq!(after.status(JobId::new(1, 2)), None);
    assert_eq!(after.submit(&[], 1), 2);
    let (before, now) = (b.attribute(FIRST, "GlobalJobId"), after.attribute(FIRST, "GlobalJobId"));
    assert_eq!(before, now);
}

#[test]
fn a_running_job_runs_again_counted_and_explained() {
    let mut b = Bench::new();
    b.worker(1);
    b.submit(&[], 1);
    let mut after = b.restarted();
    assert_eq!(after.status(FIRST).as_deref(), Some("1"));
    assert_eq!(after.attribute(FIRST, "NumJobStarts").as_deref(), Some("1"));
    assert_eq!(after.attribute(FIRST, "VacateReason").as_deref(), Some("\"the service was restarted\""));
    let w = after.worker(1);
    let task = after.tasks(w)[0];
    after.end(w, task, 0);
    let mut again = after.restarted();
    assert_eq!(again.status(FIRST), None, "it ended once");
}

#[test]
fn a_removal_that_was_waiting_for_its_worker_is_completed_after_a_restart() {
    let mut b = Bench::new();
    b.worker(1);
    b.submit(&[], 1);
    b.act(Action::Remove, Targets::Jobs(vec![(1, 0)]));
    let mut after = b.restarted();
    assert_eq!(after.status(FIRST), None);
    assert!(after.event_numbers(FIRST).contains(&9));
}

#[test]
fn events_that_may_be_missing_are_written_again_with_a_look_first() {
    let mut b = Bench::new();
    b.submit(&[], 1);
    let after = b.restarted();
    assert_eq!(after.event_numbers(FIRST), [0]);
    let after = b.restarted_beside(&b.events);
    assert_eq!(after.event_numbers(FIRST), [0], "what stands there is not written again");
    b.pass(6);
    let after = b.restarted();
    assert!(after.events.is_empty(), "the journal knows that the log has them");
}

#[test]
fn a_broken_journal_acknowledges_nothing() {
    let mut b = Bench::new();
    b.auto.disk = false;
    let waiting = b.ask(Bench::submission(&[], 1));
    b.input(Input::StoreFailed { reason: "No space left on device".into() });
    let later = b.ask(Bench::submission(&[], 1));
    for client in [waiting, later] {
        match b.reply(client) {
            Some(Reply::Refused { code: control_proto::Refusal::Storage, message, .. }) => {
                assert!(message.contains("No space left on device"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(b.query("true", &["ClusterId"]).is_empty());
}

#[test]
fn stopping_gives_running_jobs_back_and_flushes() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 2);
    b.input(Input::Stop);
    assert!(matches!(b.seen.last(), Some(Effect::Ended)), "{:?}", b.seen.last());
    assert!(b.seen.iter().any(|e| matches!(e, Effect::Close { link, .. } if *link == w)));
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4]);
    let mut after = b.restarted();
    assert_eq!(after.attribute(FIRST, "VacateReason").as_deref(), Some("\"the service was stopped\""));
    assert_eq!(after.query("JobStatus == 1", &["ClusterId"]).len(), 2);
}

#[test]
fn equal_histories_give_equal_effects() {
    let run = || {
        let mut b = Bench::new();
        let w = b.worker(4);
        b.submit(&[], 6);
        let task = b.tasks(w)[1];
        b.end(w, task, 1);
        b.lose(w);
        b.worker(2);
        format!("{:?}", b.seen)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_start_that_never_left_is_none_after_a_restart_either() {
    let mut b = Bench::new();
    b.auto.socket = false;
    let w = b.worker(1);
    b.submit(&[], 1);
    b.lose(w);
    let mut after = b.restarted();
    assert_eq!(after.attribute(FIRST, "NumJobStarts"), None);
    assert_eq!(after.attribute(FIRST, "NumVacates"), None);
}

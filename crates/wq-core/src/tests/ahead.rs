//! What goes out before a result is there (decision D38).

use wq_proto::{FromWorker, TaskStatus};

use crate::bench::Bench;
use crate::ids::JobId;

const FIRST: JobId = JobId::new(1, 0);

#[test]
fn outputs_of_an_only_task_are_asked_for_with_its_result() {
    let asked = |one_write, jobs| {
        let mut b = Bench::with(crate::Config { one_write, ..crate::Config::default() });
        let w = b.worker(2);
        b.submit(&[], jobs);
        b.say(w, FromWorker::AvailableResults);
        b.gets(w).len()
    };
    assert_eq!(asked(true, 1), 1);
    assert_eq!(asked(false, 1), 0, "switchable");
    assert_eq!(asked(true, 2), 0, "whose result it is only the worker knows");
}

#[test]
fn the_next_task_goes_out_with_the_requests_for_the_last_ones_outputs() {
    for one_write in [true, false] {
        let mut b = Bench::with(crate::Config { one_write, ..crate::Config::default() });
        let w = b.worker(1);
        b.submit(&[], 3);
        let first = b.tasks(w)[0];
        b.say(w, FromWorker::AvailableResults);
        let sent = b.tasks(w);
        assert_eq!(sent.len(), if one_write { 2 } else { 1 });
        // Asked again before the answer: one task is enough to keep the worker busy.
        b.say(w, FromWorker::AvailableResults);
        assert_eq!(b.tasks(w), sent);
        b.answer(w, first, TaskStatus::Success, 0);
        b.hand_over(w);
        assert_eq!(b.tasks(w).len(), 1, "one runs, the first one is acknowledged");
        assert_eq!(b.master.totals().idle, 1);
    }
}

#[test]
fn a_next_task_that_was_sent_too_early_is_counted_until_the_first_ends() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 3);
    b.say(w, FromWorker::AvailableResults);
    let sent = b.tasks(w);
    assert_eq!(sent.len(), 2);
    // There was no result after all.
    b.say(w, FromWorker::End);
    for name in b.gets(w) {
        b.say(w, FromWorker::Missing { name, errno: 2 });
        b.say(w, FromWorker::End);
    }
    b.end(w, sent[1], 0);
    assert_eq!(b.tasks(w), [sent[0]], "the worker is still full");
    b.end(w, sent[0], 0);
    assert_eq!(b.tasks(w).len(), 1);
}

#[test]
fn a_failed_result_costs_the_next_task_nothing() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[("RequestDisk", "1024"), ("_AwqDiskAsked", "true")], 2);
    b.say(w, FromWorker::AvailableResults);
    let sent = b.tasks(w);
    b.answer(w, sent[0], TaskStatus::ResourceExhaustion, 0);
    assert_eq!(b.attribute(FIRST, "HoldReasonCode").as_deref(), Some("34"));
    assert_eq!(b.tasks(w), [sent[1]]);
    b.end(w, sent[1], 0);
    assert_eq!(b.status(JobId::new(1, 1)), None);
}

#[test]
fn outputs_that_were_asked_for_too_early_are_asked_for_again() {
    let mut b = Bench::new();
    let w = b.worker(2);
    b.submit(&[], 1);
    // The worker announces a result that is gone when it is asked (its task was killed meanwhile).
    b.say(w, FromWorker::AvailableResults);
    b.say(w, FromWorker::End);
    for name in b.gets(w) {
        b.say(w, FromWorker::Missing { name, errno: 2 });
        b.say(w, FromWorker::End);
    }
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
    b.submit(&[], 1);
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    assert_eq!(b.status(FIRST), None, "two tasks are out now, and the first one's outputs are fetched");
}

//! What is told and begun rests on what the disk has, also where a worker is faster than the disk.
//!
//! Found by the simulation (`crates/wq-sim`).

use control_proto::{Action, Targets};
use journal::Record;
use wq_proto::FromWorker;

use crate::bench::Bench;
use crate::ids::{JobId, RecordNo};
use crate::io::{Effect, Input};

const JOB: JobId = JobId::new(1, 0);

/// A running job, a disk that takes its time, and no answer to an action.
fn running() -> (Bench, crate::ids::LinkId) {
    let mut b = Bench::new();
    let link = b.worker(1);
    b.submit(&[], 1);
    assert_eq!(b.event_numbers(JOB), [0, 1]);
    b.auto.disk = false;
    (b, link)
}

fn act(b: &mut Bench, action: Action) {
    let act = control_proto::Act { action, targets: Targets::Jobs(vec![(1, 0)]), reason: None, subcode: None };
    b.ask(crate::io::Ask::Other(control_proto::Request::Act(act)));
}

fn store(b: &mut Bench) {
    let upto = b.journal.last().expect("something is recorded").0;
    b.input(Input::Stored { upto });
}

#[test]
fn a_hold_that_its_worker_confirms_first_is_told_when_it_is_on_disk() {
    let (mut b, link) = running();
    act(&mut b, Action::Hold);
    b.say(link, FromWorker::Alive);
    assert_eq!(b.event_numbers(JOB), [0, 1, 4], "the hold is not on disk");
    store(&mut b);
    assert_eq!(b.event_numbers(JOB), [0, 1, 4, 12]);
}

#[test]
fn a_removal_that_its_worker_confirms_first_is_told_when_it_is_on_disk() {
    for forced in [false, true] {
        let (mut b, link) = running();
        act(&mut b, Action::Remove);
        if forced {
            act(&mut b, Action::RemoveForce);
        } else {
            b.say(link, FromWorker::Alive);
        }
        assert_eq!(b.event_numbers(JOB), [0, 1, 4], "the removal is not on disk");
        assert!(!b.journal.iter().any(|(_, record)| matches!(record, Record::LeftQueue(_))));
        store(&mut b);
        assert_eq!(b.event_numbers(JOB), [0, 1, 4, 9]);
        assert_eq!(b.master.totals().jobs, 0);
    }
}

#[test]
fn a_job_whose_release_is_not_on_disk_is_not_sent() {
    let (mut b, link) = running();
    act(&mut b, Action::Hold);
    act(&mut b, Action::Release);
    let before = b.tasks(link).len();
    b.say(link, FromWorker::Alive);
    assert_eq!((b.tasks(link).len(), b.preparing().len()), (before - before, 1), "only its first run was prepared");
    store(&mut b);
    assert_eq!(b.event_numbers(JOB), [0, 1, 4, 12, 13, 1]);
    assert_eq!(b.preparing().len(), 2);
}

#[test]
fn a_hold_and_a_release_before_the_first_is_on_disk_are_both_told() {
    let mut b = Bench::new();
    b.submit(&[], 1);
    b.auto.disk = false;
    act(&mut b, Action::Hold);
    act(&mut b, Action::Release);
    store(&mut b);
    assert_eq!(b.event_numbers(JOB), [0, 12, 13]);
}

#[test]
fn a_hold_that_a_removal_overtakes_is_told_before_it() {
    let (mut b, link) = running();
    act(&mut b, Action::Hold);
    act(&mut b, Action::Remove);
    store(&mut b);
    assert_eq!(b.event_numbers(JOB), [0, 1, 4, 12], "its worker has not confirmed");
    b.say(link, FromWorker::Alive);
    assert_eq!(b.event_numbers(JOB), [0, 1, 4, 12, 9]);
}

#[test]
fn two_releases_before_the_first_is_on_disk_queue_the_job_once() {
    let mut b = Bench::new();
    b.submit(&[], 1);
    act(&mut b, Action::Hold);
    b.auto.disk = false;
    for action in [Action::Release, Action::Hold, Action::Release] {
        act(&mut b, action);
    }
    store(&mut b);
    assert_eq!(b.event_numbers(JOB), [0, 12, 13, 12, 13]);
    b.auto.disk = true;
    let link = b.worker(2);
    assert_eq!(b.tasks(link).len(), 1);
}

#[test]
fn the_mark_of_the_event_logs_waits_for_a_hold_whose_run_is_not_over() {
    let (mut b, _) = running();
    b.auto.disk = true;
    b.pass(6);
    act(&mut b, Action::Hold);
    let hold = b.journal.iter().rfind(|(_, record)| matches!(record, Record::Held(_))).expect("it is recorded").0;
    // Another job's events overtake it.
    b.submit(&[], 1);
    b.pass(6);
    let marked = |b: &Bench| {
        let mark = |(_, record): &(RecordNo, Record)| match record {
            Record::EventsUpto(upto) => Some(upto.seq),
            _ => None,
        };
        b.journal.iter().rev().find_map(mark).expect("logs are marked")
    };
    assert!(marked(&b) < hold.0, "a crash now must find that the hold was not told");
    let again = b.restarted();
    assert!(again.events.iter().any(|(number, job, _)| (*number, *job) == (12, JOB)));
    // Nobody answers: after ten seconds the hold is told.
    b.pass(12);
    assert_eq!(b.event_numbers(JOB), [0, 1, 4, 12]);
    assert!(marked(&b) > hold.0);
    assert!(b.seen.iter().any(|effect| matches!(effect, Effect::LogMark { .. })));
}

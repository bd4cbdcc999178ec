//! What event logs tell of files on their way, and of what goes wrong with them.

use wq_proto::{FromWorker, TaskStatus};

use crate::bench::Bench;
use crate::ids::JobId;
use crate::io::{BodyOutcome, Effect, Input, Trouble};

const FIRST: JobId = JobId::new(1, 0);
const MOVED: (&str, &str) = ("ShouldTransferFiles", "\"YES\"");

fn stages(b: &Bench) -> Vec<String> {
    let told = b.events.iter().filter(|(number, ..)| *number == 40);
    told.map(|(.., text)| text.split("stage: ").nth(1).unwrap().split([',', ' ']).next().unwrap().to_owned()).collect()
}

#[test]
fn a_job_whose_files_are_moved_says_so_and_another_does_not() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[MOVED, ("TransferOutput", "\"x\"")], 1);
    let task = b.tasks(w)[0];
    assert_eq!(b.event_numbers(FIRST), [0, 40, 40, 1]);
    b.end(w, task, 0);
    assert_eq!(b.event_numbers(FIRST), [0, 40, 40, 1, 40, 40, 5]);
    assert_eq!(stages(&b), ["InputStarted", "InputFinished", "OutputStarted", "OutputFinished"]);
    let (.., first) = b.events.iter().find(|(number, ..)| *number == 40).unwrap();
    assert!(first.contains("<127.0.0.1:40000?addrs=127.0.0.1-40000>"), "{first}");
    b.submit(&[], 1);
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    assert_eq!(b.event_numbers(JobId::new(2, 0)), [0, 1, 5]);
}

#[test]
fn inputs_begin_to_move_before_their_first_byte_and_are_there_with_the_last() {
    let mut b = Bench::new();
    b.auto.socket = false;
    let w = b.worker(1);
    b.submit(&[MOVED], 1);
    assert_eq!(b.event_numbers(FIRST), [0, 40]);
    let told = b.seen.iter().position(|e| matches!(e, Effect::UserLog(entry) if entry.event.kind.number() == 40));
    let sent = b.seen.iter().position(|e| matches!(e, Effect::Tell { message: wq_proto::ToWorker::Put { .. }, .. }));
    assert!(told.unwrap() < sent.unwrap());
    // Its worker goes before it has everything: nothing has started, and nothing was evicted.
    b.lose(w);
    assert_eq!(b.event_numbers(FIRST), [0, 40]);
}

#[test]
fn a_missing_input_is_an_error_at_the_worker_that_was_to_have_it() {
    let mut b = Bench::new();
    b.auto.prepare = false;
    b.worker(1);
    b.submit(&[MOVED], 1);
    b.submit(&[], 1);
    let first = b.preparing()[0];
    b.fail_prepare(first, 13, 2);
    assert_eq!(b.event_numbers(FIRST), [0, 40, 40, 21, 4, 12]);
    assert_eq!(b.attribute(FIRST, "NumJobStarts"), None, "it has not started for all that");
    let second = b.preparing()[1];
    b.fail_prepare(second, 13, 2);
    assert_eq!(b.event_numbers(JobId::new(2, 0)), [0, 12], "nothing was to be moved");
}

#[test]
fn a_missing_or_undeliverable_output_is_an_error_too() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[MOVED, ("TransferOutput", "\"never.made\"")], 1);
    let task = b.tasks(w)[0];
    b.report(w, task, TaskStatus::Success, 0);
    for name in b.gets(w) {
        b.say(w, FromWorker::Missing { name, errno: 2 });
        b.say(w, FromWorker::End);
    }
    assert_eq!(b.event_numbers(FIRST), [0, 40, 40, 1, 40, 40, 21, 4, 12]);
    b.auto.deliver = false;
    b.submit(&[MOVED, ("TransferOutput", "\"\"")], 1);
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    let attempt =
        b.seen.iter().rev().find_map(|e| if let Effect::Deliver { attempt, .. } = e { Some(*attempt) } else { None });
    let full = Trouble { code: 12, subcode: 28, reason: "No space left on device".into() };
    b.input(Input::Delivered { attempt: attempt.unwrap(), outcome: Err(full) });
    assert_eq!(b.event_numbers(JobId::new(2, 0)), [0, 40, 40, 1, 40, 40, 21, 4, 12]);
}

#[test]
fn a_program_that_could_not_be_started_brings_nothing_back() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[MOVED, ("TransferOutput", "\"\"")], 1);
    b.submit(&[MOVED, ("TransferOutput", "\"\"")], 1);
    for (log, job, wanted) in [
        (&b"sh: 1: ./agent.sh: not found\n"[..], FIRST, &[0, 40, 40, 1, 21, 4, 12][..]),
        (b"it ended so itself\n", JobId::new(2, 0), &[0, 40, 40, 1, 40, 40, 5]),
    ] {
        let task = b.tasks(w)[0];
        b.report(w, task, TaskStatus::Success, 127);
        for name in b.gets(w) {
            b.say(w, FromWorker::File { name, len: log.len() as u64 });
            b.input(Input::BodyDone {
                link: w,
                outcome: BodyOutcome::Stored { size: log.len() as u64, head: log.to_vec() },
            });
            b.say(w, FromWorker::End);
        }
        assert_eq!(b.event_numbers(job), wanted);
    }
}

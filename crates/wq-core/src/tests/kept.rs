//! Large files that stay with a worker (decision D29).

use wq_proto::{FromWorker, Protocol, TaskStatus, ToWorker};

use crate::bench::Bench;
use crate::ids::JobId;
use crate::io::{BodyOutcome, Effect, Input, Source};

const FIRST: JobId = JobId::new(1, 0);

#[test]
fn a_large_executable_is_sent_once_for_each_connection() {
    let mut b = Bench::new();
    let w = b.worker(1);
    let submission = || {
        let crate::io::Ask::Submit { request, rows, mut blobs } = Bench::submission(&[], 1) else { unreachable!() };
        blobs[0].size = 100_000;
        blobs[0].inline = None;
        crate::io::Ask::Submit { request, rows, blobs }
    };
    b.ask(submission());
    b.ask(submission());
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    let bodies = b.seen.iter().filter(|e| matches!(e, Effect::SendBody { .. })).count();
    assert_eq!((bodies, b.tasks(w).len()), (1, 1));
    let w2 = b.worker(1);
    b.lose(w);
    assert_eq!(b.tasks(w2).len(), 1);
    assert_eq!(b.seen.iter().filter(|e| matches!(e, Effect::SendBody { .. })).count(), 2);
}

/// What is to be sent for an attempt, with one input of this size and content.
fn with_input(size: u64, content: u8) -> crate::io::Prepared {
    let content = Some(crate::ids::BlobId([content; 32]));
    let source = Source::File { path: "/home/a/in".into(), size, content };
    let file = crate::io::PreparedFile { source, sandbox: "in".into(), size, mode: 0o644, content };
    crate::io::Prepared { files: vec![file], dirs: Vec::new() }
}

#[test]
fn large_inputs_that_repeat_stay_with_the_worker_as_long_as_there_is_room() {
    let mut b = Bench::new();
    b.auto.prepare = false;
    // A quarter of its disk, 4 MB, is for what may be needed again.
    let w = b.peer("Linux", Protocol::V9, [1, 4096, 16, 0], [1, 4096, 16, 0]);
    b.submit(&[], 8);
    let next = |b: &mut Bench, size: u64, content: u8| {
        let attempt = *b.preparing().last().unwrap();
        let from = b.seen.len();
        b.input(Input::Prepared { attempt, outcome: Ok(with_input(size, content)) });
        let task = *b.tasks(w).last().unwrap();
        b.end(w, task, 0);
        let (mut puts, mut unlinks) = (Vec::new(), Vec::new());
        for effect in &b.seen[from..] {
            match effect {
                Effect::Tell { message: ToWorker::Put { name, len, .. }, .. } if *len == size => {
                    puts.push(String::from_utf8_lossy(name).chars().take(3).collect::<String>());
                }
                Effect::Tell { message: ToWorker::Unlink { name }, .. } if name.starts_with(b"b") => {
                    unlinks.push(String::from_utf8_lossy(name).chars().take(3).collect::<String>());
                }
                _ => {}
            }
        }
        (puts, unlinks)
    };
    let none = Vec::<String>::new;
    let some = |name: &str| vec![name.to_owned()];
    assert_eq!(next(&mut b, 2 << 20, 1), (some("b01"), none()));
    assert_eq!(next(&mut b, 2 << 20, 1), (none(), none()), "it is there");
    assert_eq!(next(&mut b, 1 << 20, 2), (some("b02"), none()));
    assert_eq!(next(&mut b, 2 << 20, 3), (some("b03"), some("b01")), "no room for all three");
    assert_eq!(next(&mut b, 2 << 20, 1), (some("b01"), some("b02")));
    assert_eq!(next(&mut b, 5 << 20, 4).1, none(), "too large to be kept, sent for this attempt alone");
    let (puts, _) = next(&mut b, 64 << 10, 5);
    assert!(puts[0].starts_with('a'), "small files go with each attempt");
}

#[test]
fn a_copy_that_cannot_be_made_is_the_workers_failure() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 1);
    let task = b.tasks(w)[0];
    b.say(w, FromWorker::AvailableResults);
    b.say(
        w,
        FromWorker::Result(wq_proto::TaskResult { status: TaskStatus::Success, exit: 127, len: 9, time_us: 1, task }),
    );
    let text = format!("{}'./in'\n", crate::run::COPY_FAILED).into_bytes();
    b.input(Input::BodyDone { link: w, outcome: BodyOutcome::Text(text) });
    assert_eq!(b.attribute(FIRST, "NumJobStarts").as_deref(), Some("1"), "only the second try counts");
    assert_eq!(b.event_numbers(FIRST)[..3], [0, 1, 4]);
}

#[test]
fn an_executable_that_was_not_sent_is_not_taken_to_be_in_the_cache() {
    let mut b = Bench::new();
    b.worker(1);
    let submission = |arguments: &str| {
        let ad = [("Arguments", arguments)];
        let crate::io::Ask::Submit { request, rows, mut blobs } = Bench::submission(&ad, 1) else { unreachable!() };
        blobs[0].size = 100_000;
        blobs[0].inline = None;
        crate::io::Ask::Submit { request, rows, blobs }
    };
    // A NUL cannot stand in a command: the task is never written, its job is held.
    b.ask(submission("\"a\0b\""));
    assert_eq!(b.attribute(FIRST, "HoldReasonCode").as_deref(), Some("13"));
    assert!(!b.seen.iter().any(|e| matches!(e, Effect::SendBody { .. })));
    b.ask(submission("\"ab\""));
    assert_eq!(b.seen.iter().filter(|e| matches!(e, Effect::SendBody { .. })).count(), 1);
}

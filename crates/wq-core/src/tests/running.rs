//! From submission to the end of a job, with peers that behave and peers that do not.

use control_proto::{Action, Targets};
use journal::Record;
use wq_proto::{FromWorker, Info, Protocol, TaskStatus, ToWorker};

use crate::bench::Bench;
use crate::ids::JobId;
use crate::io::{BodyOutcome, DownReason, Effect, Input, Trouble};

const FIRST: JobId = JobId::new(1, 0);

#[test]
fn a_job_runs_and_leaves_with_its_story_in_the_log() {
    let mut b = Bench::new();
    let w = b.worker(1);
    assert_eq!(b.submit(&[], 1), 1);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
    assert_eq!(b.attribute(FIRST, "RemoteHost").as_deref(), Some("\"slot1@host0\""));
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    assert_eq!(b.status(FIRST), None);
    assert_eq!(b.event_numbers(FIRST), [0, 1, 5]);
    assert!(b.tasks(w).is_empty(), "the result is acknowledged by a kill");
}

#[test]
fn nothing_is_said_or_sent_before_the_disk_has_it() {
    let mut b = Bench::new();
    b.auto.disk = false;
    let w = b.worker(1);
    let client = b.ask(Bench::submission(&[], 1));
    assert_eq!(b.reply(client), None, "no answer before the record is durable");
    assert!(b.tasks(w).is_empty() && b.preparing().is_empty(), "no dispatch either");
    assert!(b.query("true", &["ClusterId"]).is_empty(), "nor does a listing show it");
    let no = b.journal.last().unwrap().0;
    b.input(Input::Stored { upto: no });
    assert!(b.reply(client).is_some());
    assert_eq!(b.tasks(w).len(), 1);
    // The end: outputs are in place, but nobody hears of it before the record is durable.
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    assert_eq!(b.event_numbers(FIRST), [0, 1]);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
    assert_eq!(b.tasks(w).len(), 1, "no kill before the end is durable");
    let no = b.journal.last().unwrap().0;
    b.input(Input::Stored { upto: no });
    assert_eq!(b.event_numbers(FIRST), [0, 1, 5]);
    assert_eq!(b.status(FIRST), None);
    assert!(b.tasks(w).is_empty());
}

#[test]
fn the_answer_waits_for_the_event_log() {
    let mut b = Bench::new();
    b.auto.logs = false;
    let client = b.ask(Bench::submission(&[], 2));
    assert_eq!(b.events.len(), 2);
    assert_eq!(b.reply(client), None);
    let token =
        b.seen.iter().find_map(|e| if let Effect::LogMark { token } = e { Some(*token) } else { None }).unwrap();
    b.input(Input::Logged { token, warnings: vec!["cannot write".into()] });
    match b.reply(client) {
        Some(control_proto::Reply::Submitted { warnings, .. }) => assert_eq!(warnings, ["cannot write"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_start_is_noted_before_its_first_byte_is_sent() {
    let mut b = Bench::new();
    b.worker(1);
    b.submit(&[], 1);
    let note = b
        .seen
        .iter()
        .position(|e| matches!(e, Effect::Record { record, .. } if matches!(**record, Record::Started(_))));
    let put = b.seen.iter().position(|e| matches!(e, Effect::Tell { message: ToWorker::Put { .. }, .. }));
    assert!(note.unwrap() < put.unwrap());
}

#[test]
fn multi_core_workers_are_packed_and_big_jobs_find_big_workers() {
    let mut b = Bench::new();
    let small = b.worker(2);
    let big = b.worker(8);
    b.submit(&[], 4);
    // The tightest worker is filled first.
    assert_eq!((b.tasks(small).len(), b.tasks(big).len()), (2, 2));
    b.submit(&[("RequestCpus", "6")], 1);
    assert_eq!(b.tasks(big).len(), 3);
    b.submit(&[], 1);
    assert_eq!(b.master.totals().idle, 1, "all ten cores are taken");
    let task = b.tasks(small)[0];
    b.end(small, task, 0);
    assert_eq!(b.master.totals().idle, 0);
}

#[test]
fn memory_disk_and_gpus_count_when_they_were_asked_for() {
    let mut b = Bench::new();
    let w = b.peer("Linux", Protocol::V9, [8, 4096, 10_000, 1], [8, 4096, 10_000, 1]);
    b.submit(&[("RequestMemory", "3000"), ("_AwqMemoryAsked", "true")], 2);
    assert_eq!(b.tasks(w).len(), 1, "two of 3000 MB do not fit into 4096");
    b.submit(&[("RequestMemory", "3000")], 1);
    assert_eq!(b.tasks(w).len(), 2, "HTCondor's default reserves nothing");
    b.submit(&[("RequestGPUs", "1")], 2);
    assert_eq!(b.tasks(w).len(), 3);
    b.submit(&[("RequestDisk", "20480000"), ("_AwqDiskAsked", "true")], 1);
    assert_eq!(b.tasks(w).len(), 3, "20000 MB do not fit into 10000");
}

#[test]
fn a_foreman_takes_what_its_workers_hold_and_no_job_larger_than_the_largest() {
    let mut b = Bench::new();
    let f = b.peer("foreman", Protocol::V9, [8, 8000, 5000, 0], [4, 4000, 2000, 0]);
    b.submit(&[("RequestCpus", "5")], 1);
    assert!(b.tasks(f).is_empty());
    b.submit(&[("RequestCpus", "4"), ("RequestDisk", "1536000"), ("_AwqDiskAsked", "true")], 3);
    assert_eq!(b.tasks(f).len(), 2, "eight cores; disk is compared with the largest worker only");
    b.resources(f, [12, 8000, 5000, 0], [4, 4000, 2000, 0]);
    assert_eq!(b.tasks(f).len(), 3, "a worker joined below");
}

#[test]
fn a_lost_worker_gives_its_job_back_with_a_reason() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 1);
    b.lose(w);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4]);
    assert_eq!(b.attribute(FIRST, "NumJobStarts").as_deref(), Some("1"));
    assert_eq!(b.attribute(FIRST, "NumVacatesByReason").as_deref(), Some("[ WorkerLost = 1 ]"));
    assert!(b.attribute(FIRST, "VacateReason").unwrap().contains("host0"));
    let w2 = b.worker(1);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
    let task = b.tasks(w2)[0];
    b.end(w2, task, 3);
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4, 1, 5]);
}

#[test]
fn a_peer_that_leaves_before_the_last_byte_is_no_start() {
    let mut b = Bench::new();
    b.auto.socket = false;
    let w = b.worker(1);
    b.submit(&[], 1);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"), "not running before the last byte is out");
    b.lose(w);
    assert_eq!(b.event_numbers(FIRST), [0]);
    assert_eq!(b.attribute(FIRST, "NumJobStarts"), None);
}

#[test]
fn results_of_a_lost_connection_mean_nothing() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 1);
    let task = b.tasks(w)[0];
    b.lose(w);
    b.report(w, task, TaskStatus::Success, 0);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
}

#[test]
fn a_job_that_loses_five_workers_is_held_and_released_afresh() {
    let mut b = Bench::new();
    b.submit(&[], 1);
    for _ in 0..5 {
        let w = b.worker(1);
        b.lose(w);
        b.pass(60);
    }
    assert_eq!(b.status(FIRST).as_deref(), Some("5"));
    assert_eq!(b.attribute(FIRST, "HoldReasonCode").as_deref(), Some("26"));
    b.act(Action::Release, Targets::Jobs(vec![(1, 0)]));
    b.worker(1);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
}

#[test]
fn a_network_that_breaks_is_not_the_jobs_fault() {
    let mut b = Bench::new();
    b.submit(&[], 1);
    for _ in 0..12 {
        let w = b.worker(1);
        b.lose(w);
    }
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
}

#[test]
fn a_forsaken_task_is_no_start_and_its_shape_is_not_tried_there_for_ever() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 1);
    for _ in 0..3 {
        let task = b.tasks(w)[0];
        b.report(w, task, TaskStatus::Forsaken, 0);
    }
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
    assert_eq!(b.attribute(FIRST, "NumJobStarts"), None);
    assert!(b.tasks(w).is_empty());
    b.resources(w, [2, 4096, 10_000, 0], [2, 4096, 10_000, 0]);
    assert_eq!(b.tasks(w).len(), 1, "its resources changed: worth a try");
}

#[test]
fn a_job_that_exceeds_its_disk_is_held() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 1);
    let task = b.tasks(w)[0];
    b.report(w, task, TaskStatus::ResourceExhaustion, 9);
    assert_eq!(b.attribute(FIRST, "HoldReasonCode").as_deref(), Some("34"));
    assert_eq!(b.attribute(FIRST, "HoldReasonSubCode").as_deref(), Some("104"));
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4, 12]);
}

#[test]
fn a_job_that_exceeds_its_disk_runs_again_with_more_while_there_is_more() {
    let body = |text: &str| {
        format!(
            "\"REQUIREMENTS (VacateReasonCode==21 || VacateReasonCode == 34) && VacateReasonSubCode == 104\u{1e}{text}\""
        )
    };
    // As condor_submit writes them: one size, a list, an increment with a maximum.
    let one = [("TransformBody_RequestDisk", body("SET RequestDisk 2048000"))];
    let list = [
        ("RetryRequestDisk", "{2048000,4096000}".to_owned()),
        (
            "TransformBody_RequestDisk",
            body(
                "EVALSET RequestDisk RetryRequestDisk[RetryRequestDiskIndex?:0]\u{1e}EVALSET RetryRequestDiskIndex \
                 MIN({size(RetryRequestDisk)-1, (RetryRequestDiskIndex?:0)+1})",
            ),
        ),
    ];
    let step = [
        ("MaxRequestDisk", "3000000".to_owned()),
        ("NextRequestDisk", "RequestDisk + 1024000".to_owned()),
        ("TransformBody_RequestDisk", body("EVALSET RequestDisk MIN({NextRequestDisk, MaxRequestDisk})")),
    ];
    let of_memory = [("TransformBody_RequestDisk", body("SET RequestDisk 2048000").replace("104", "102"))];
    for (attributes, sizes) in [
        (&one[..], &["2048000"][..]),
        (&list[..], &["2048000", "4096000"]),
        (&step[..], &["2048000", "3000000"]),
        (&of_memory[..], &[]),
    ] {
        let mut b = Bench::new();
        let w = b.worker(1);
        let mut ad =
            vec![("RequestDisk", "1024000"), ("_AwqDiskAsked", "true"), ("TransformOnEvict", "\"RequestDisk\"")];
        ad.extend(attributes.iter().map(|(name, text)| (*name, text.as_str())));
        b.submit(&ad, 1);
        for size in sizes {
            let task = *b.tasks(w).last().unwrap();
            b.report(w, task, TaskStatus::ResourceExhaustion, 9);
            assert_eq!(b.attribute(FIRST, "RequestDisk").as_deref(), Some(*size));
            assert_eq!(b.status(FIRST).as_deref(), Some("2"), "it runs again");
        }
        let task = *b.tasks(w).last().unwrap();
        b.report(w, task, TaskStatus::ResourceExhaustion, 9);
        assert_eq!(b.attribute(FIRST, "HoldReasonSubCode").as_deref(), Some("104"));
        let runs: Vec<u16> = sizes.iter().flat_map(|_| [1, 4]).collect();
        assert_eq!(b.event_numbers(FIRST), [&[0][..], &runs, &[1, 4, 12]].concat());
    }
}

#[test]
fn what_cannot_be_prepared_is_held_and_the_worker_goes_on() {
    let mut b = Bench::new();
    b.auto.prepare = false;
    let w = b.worker(1);
    b.submit(&[], 1);
    let attempt = b.preparing()[0];
    b.fail_prepare(attempt, 13, 2);
    assert_eq!(b.attribute(FIRST, "HoldReasonCode").as_deref(), Some("13"));
    assert_eq!(b.event_numbers(FIRST), [0, 12]);
    b.auto.prepare = true;
    b.submit(&[], 1);
    assert_eq!(b.tasks(w).len(), 1);
}

#[test]
fn a_program_that_cannot_be_started_is_held_with_code_6() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 1);
    let task = b.tasks(w)[0];
    b.report(w, task, TaskStatus::Success, 127);
    let name = b.gets(w).remove(0);
    b.say(w, FromWorker::File { name, len: 27 });
    let head = b"sh: 1: ./agent.sh: not found\n".to_vec();
    b.input(Input::BodyDone { link: w, outcome: BodyOutcome::Stored { size: 27, head } });
    b.say(w, FromWorker::End);
    assert_eq!(b.attribute(FIRST, "HoldReasonCode").as_deref(), Some("6"));
    assert_eq!(b.attribute(FIRST, "HoldReasonSubCode").as_deref(), Some("2"));
}

#[test]
fn undeliverable_output_waits_at_the_worker_and_is_fetched_again_on_release() {
    let mut b = Bench::new();
    b.auto.deliver = false;
    let w = b.worker(1);
    b.submit(&[], 1);
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    let attempt = b
        .seen
        .iter()
        .find_map(|e| if let Effect::Deliver { attempt, .. } = e { Some(*attempt) } else { None })
        .unwrap();
    let full = Trouble { code: 12, subcode: 28, reason: "No space left on device".into() };
    b.input(Input::Delivered { attempt, outcome: Err(full) });
    assert_eq!(b.attribute(FIRST, "HoldReasonSubCode").as_deref(), Some("28"));
    assert_eq!(b.tasks(w).len(), 1, "the worker keeps the result");
    b.auto.deliver = true;
    b.act(Action::Release, Targets::Jobs(vec![(1, 0)]));
    b.hand_over(w);
    assert_eq!(b.status(FIRST), None);
    assert_eq!(b.event_numbers(FIRST), [0, 1, 21, 4, 12, 13, 5], "delivered without running again");
}

#[test]
fn names_in_replies_must_be_what_was_asked_for() {
    let long = format!("a1-o0/{}/../../x", "d".repeat(255));
    for name in [
        "../../etc/passwd",
        "/etc/passwd",
        "a1-o0/../x",
        "a1-o0/x/../../y",
        "a1-o0/..",
        "a1-o0/.",
        "a1-o0/./x",
        "a1-o0/x/",
        "a1-o0\0/x",
        "a1-o0/x\0y",
        "a1-o00",
        "other",
        "a1-o0/",
        "a1-o0//x",
        "",
        ".",
        "-rf",
        "%2e%2e%2fx",
        &long,
    ] {
        let mut b = Bench::new();
        let w = b.worker(1);
        b.submit(&[], 1);
        let task = b.tasks(w)[0];
        b.report(w, task, TaskStatus::Success, 0);
        b.say(w, FromWorker::File { name: bytes::Bytes::copy_from_slice(name.as_bytes()), len: 1 });
        assert!(b.seen.iter().any(|e| matches!(e, Effect::Close { .. })), "{name:?}");
        assert!(
            !b.seen.iter().any(|e| matches!(e, Effect::Receive { sink: crate::io::Sink::Output(_), .. })),
            "{name:?}"
        );
        b.input(Input::LinkDown { link: w, reason: DownReason::Ours });
        assert_eq!(b.status(FIRST).as_deref(), Some("1"));
    }
}

#[test]
fn odd_names_below_an_asked_output_are_what_they_are() {
    let kept = ["a b", " ", "%2e%2e%2fx", "-rf", "'\"", "x\ty", "x\ry", "\u{1b}[2J", "...", "ä", "*", "\\"];
    for name in kept {
        let mut b = Bench::new();
        let w = b.worker(1);
        b.submit(&[("TransferOutput", "\"result\"")], 1);
        let task = b.tasks(w)[0];
        b.report(w, task, TaskStatus::Success, 0);
        let names = b.gets(w);
        b.say(w, FromWorker::Missing { name: names[0].clone(), errno: 2 });
        b.say(w, FromWorker::End);
        b.say(w, FromWorker::Dir { name: names[1].clone() });
        let full = [&names[1][..], b"/", name.as_bytes()].concat();
        b.say(w, FromWorker::File { name: full.into(), len: 1 });
        let inside = b.seen.iter().find_map(|effect| match effect {
            Effect::Receive { sink: crate::io::Sink::Output(part), .. } => part.inside.clone(),
            _ => None,
        });
        assert_eq!(inside.as_deref(), Some(name));
    }
}

#[test]
fn a_file_of_a_job_whose_name_is_no_utf8_holds_the_job_and_leaves_the_worker_alone() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[("TransferOutput", "\"result\"")], 1);
    let task = b.tasks(w)[0];
    b.report(w, task, TaskStatus::Success, 0);
    let names = b.gets(w);
    b.say(w, FromWorker::Missing { name: names[0].clone(), errno: 2 });
    b.say(w, FromWorker::End);
    b.say(w, FromWorker::Dir { name: names[1].clone() });
    b.say(w, FromWorker::File { name: [&names[1][..], b"/x\xff"].concat().into(), len: 1 });
    b.input(Input::BodyDone { link: w, outcome: BodyOutcome::Discarded });
    b.say(w, FromWorker::End);
    assert_eq!(b.attribute(FIRST, "HoldReasonSubCode").as_deref(), Some("84"));
    assert!(b.attribute(FIRST, "HoldReason").unwrap().contains("no UTF-8: x\\xff"));
    assert!(!b.seen.iter().any(|effect| matches!(effect, Effect::Close { .. })));
}

#[test]
fn a_missing_declared_output_is_a_hold_with_code_12() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[("TransferOutput", "\"result.root\"")], 1);
    let task = b.tasks(w)[0];
    b.report(w, task, TaskStatus::Success, 0);
    let names = b.gets(w);
    assert_eq!(names.len(), 2);
    b.say(w, FromWorker::File { name: names[0].clone(), len: 0 });
    b.input(Input::BodyDone { link: w, outcome: BodyOutcome::Stored { size: 0, head: Vec::new() } });
    b.say(w, FromWorker::End);
    b.say(w, FromWorker::Missing { name: names[1].clone(), errno: 2 });
    b.say(w, FromWorker::End);
    assert_eq!(b.attribute(FIRST, "HoldReasonCode").as_deref(), Some("12"));
    assert!(b.attribute(FIRST, "HoldReason").unwrap().contains("result.root"));
}

#[test]
fn silence_is_noticed_and_life_is_believed() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 1);
    b.pass(125);
    assert!(b.seen.iter().any(|e| matches!(e, Effect::Tell { message: ToWorker::Check, .. })));
    b.say(w, FromWorker::Alive);
    b.pass(100);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
    b.pass(60);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"), "no answer to the second check");
    assert_eq!(b.attribute(FIRST, "NumVacatesByReason").as_deref(), Some("[ WorkerSilent = 1 ]"));
}

#[test]
fn a_worker_that_announces_its_leave_gets_nothing_more_and_costs_nothing() {
    let mut b = Bench::new();
    let w = b.worker(2);
    b.submit(&[], 1);
    b.say(w, FromWorker::Info(Info::Vacating { signal: 15 }));
    b.submit(&[], 1);
    assert_eq!(b.tasks(w).len(), 1);
    b.lose(w);
    assert_eq!(b.attribute(FIRST, "NumVacatesByReason").as_deref(), Some("[ WorkerLeft = 1 ]"));
}

#[test]
fn a_peer_without_a_greeting_is_hung_up_on() {
    let mut b = Bench::new();
    let link = crate::ids::LinkId { slot: 0, turn: 0 };
    b.input(Input::LinkUp { link, address: "127.0.0.1:1".into() });
    b.pass(31);
    assert!(b.seen.iter().any(|e| matches!(e, Effect::Close { .. })));
}

#[test]
fn first_in_first_out_and_priorities_before_that() {
    let mut b = Bench::new();
    b.submit(&[], 1);
    b.submit(&[("JobPrio", "5")], 1);
    b.submit(&[], 1);
    let w = b.worker(1);
    let mut order = Vec::new();
    for _ in 0..3 {
        let running = b.query("JobStatus == 2", &["ClusterId"]);
        order.push(running[0][0].1.clone());
        let task = b.tasks(w)[0];
        b.end(w, task, 0);
    }
    assert_eq!(order, ["2", "1", "3"]);
}

#[test]
fn a_thousand_jobs_meet_a_hundred_workers() {
    let mut b = Bench::new();
    let workers: Vec<_> = (0..100).map(|_| b.worker(1)).collect();
    b.submit(&[], 1000);
    let mut ended = 0;
    for round in 0..10 {
        for w in &workers {
            let tasks = b.tasks(*w);
            assert_eq!(tasks.len(), 1, "round {round}");
            b.end(*w, tasks[0], 0);
            ended += 1;
        }
    }
    assert_eq!(ended, 1000);
    assert!(b.master.totals().jobs == 0 && b.events.iter().filter(|(number, _, _)| *number == 5).count() == 1000);
}

#[test]
fn values_of_the_machine_are_filled_in_or_the_job_is_held() {
    let mut b = Bench::new();
    let w = b.peer("Linux", Protocol::V9, [4, 4096, 10_000, 0], [4, 4096, 10_000, 0]);
    b.submit(
        &[
            ("Arguments", "\"--cores $$([TARGET.Cpus]) --memory $$(Memory) $$(NoSuch:none) $$([TARGET.Disk/1024])\""),
            ("RequestCpus", "2"),
        ],
        1,
    );
    let sent = b.seen.iter().find_map(|e| {
        if let Effect::SendTask { link, text } = e
            && *link == w
        {
            Some(text.clone())
        } else {
            None
        }
    });
    let sent = String::from_utf8(sent.unwrap().to_vec()).unwrap();
    assert!(sent.contains("'--cores' '2' '--memory' '2048' 'none' '5000'"), "{sent}");
    b.submit(&[("Arguments", "\"$$(NoSuch)\"")], 1);
    let held = JobId::new(2, 0);
    assert_eq!(b.attribute(held, "HoldReasonCode").as_deref(), Some("5"));
    assert_eq!(b.attribute(held, "HoldReason").as_deref(), Some("\"Cannot expand $$ expression (NoSuch).\""));
}

#[test]
fn time_limits_kill_and_hold() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[("AllowedExecuteDuration", "60")], 1);
    b.pass(59);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
    b.pass(2);
    assert_eq!(b.attribute(FIRST, "HoldReasonCode").as_deref(), Some("47"));
    assert!(b.seen.iter().any(|e| matches!(e, Effect::Tell { link, message: ToWorker::Kill(_) } if *link == w)));
}

/// The executable of a job that ends goes, unless a submission that is not on disk yet brings the same bytes.
#[test]
fn an_executable_stays_while_a_submission_that_names_it_is_being_written() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 1);
    b.auto.disk = false;
    b.ask(Bench::submission(&[], 1));
    let submitted = b.journal.last().unwrap().0;
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    let ended = b.journal.last().unwrap().0;
    b.auto.disk = true;
    let drops = |b: &Bench| b.seen.iter().filter(|effect| matches!(effect, Effect::DropBlob(_))).count();
    b.input(Input::Stored { upto: submitted });
    b.input(Input::Stored { upto: ended });
    assert_eq!(drops(&b), 0);
    let task = *b.tasks(w).last().unwrap();
    b.end(w, task, 0);
    assert_eq!(drops(&b), 0, "a power cut may take the outputs, and the job would run again");
    b.pass(31);
    assert_eq!(drops(&b), 1, "nobody names it any more");
}

#[test]
fn a_streamed_output_grows_in_its_place() {
    use crate::io::Sink;
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[("StreamOut", "true")], 1);
    let task = b.tasks(w)[0];
    let update =
        |path: &'static [u8]| FromWorker::Update { task, path: bytes::Bytes::from_static(path), offset: 7, len: 3 };
    b.say(w, update(b"other"));
    b.say(w, update(b"log"));
    let grown: Vec<&Sink> =
        b.seen.iter().filter_map(|e| if let Effect::Receive { sink, .. } = e { Some(sink) } else { None }).collect();
    assert_eq!(grown, [&Sink::Growth { target: "/home/a/o".into(), offset: 7, mode: 0o644 }]);
    b.input(Input::BodyDone { link: w, outcome: BodyOutcome::Stored { size: 3, head: Vec::new() } });
    b.end(w, task, 0);
    assert_eq!(b.status(FIRST), None);
}

#[test]
fn a_file_that_is_gone_while_it_is_sent_holds_its_job_and_no_other() {
    let mut b = Bench::new();
    b.auto.socket = false;
    let w = b.worker(2);
    b.submit(&[], 2);
    let attempt = b.preparing()[0];
    let trouble = Trouble { code: 13, subcode: 2, reason: "gone".into() };
    b.input(Input::Unsendable { attempt, trouble });
    b.input(Input::LinkDown { link: w, reason: DownReason::Ours });
    assert_eq!(b.attribute(FIRST, "HoldReasonCode").as_deref(), Some("13"));
    assert_eq!(b.status(JobId::new(1, 1)).as_deref(), Some("1"));
}

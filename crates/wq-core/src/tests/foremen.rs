//! Foremen: those of protocol 11 with the work-around for what is broken in them, and tasks that wait without a worker.

use control_proto::{Action, Targets};
use wq_proto::{FromWorker, Info, Protocol, TaskId, TaskStatus, ToWorker};

use crate::bench::Bench;
use crate::ids::{JobId, LinkId};
use crate::io::Effect;

const FIRST: JobId = JobId::new(1, 0);
const SECOND: JobId = JobId::new(1, 1);

fn foreman(b: &mut Bench, protocol: Protocol, cores: u64) -> LinkId {
    b.peer("foreman", protocol, [cores, 8000, 5000, 0], [cores, 8000, 5000, 0])
}

fn remove(b: &mut Bench, job: JobId) {
    b.act(Action::Remove, Targets::Jobs(vec![(job.cluster, job.proc_)]));
}

/// The report behind an `alive`: it had received the tasks up to `tag`, and so many wait.
fn report(b: &mut Bench, link: LinkId, tag: u64, waiting: u64) {
    b.say(link, FromWorker::Alive);
    b.say(link, FromWorker::ResourceTag(tag));
    b.say(link, FromWorker::Info(Info::TasksWaiting(waiting)));
    b.say(link, FromWorker::Info(Info::TasksRunning(1)));
    b.say(link, FromWorker::Info(Info::TasksWaiting(0)));
}

fn kills(b: &Bench, link: LinkId) -> Vec<TaskId> {
    let told = b.seen.iter().filter_map(|effect| match effect {
        Effect::Tell { link: to, message: ToWorker::Kill(Some(task)) } if *to == link => Some(*task),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_foreman_of_protocol_11_finds_files_where_it_looks_for_them() {
    let mut b = Bench::new();
    let f = foreman(&mut b, Protocol::V11, 4);
    b.submit(&[], 1);
    let sent = b.seen.iter().find_map(|effect| match effect {
        Effect::SendTask { text, .. } => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    });
    let sent = sent.expect("it gets work");
    let files: Vec<&str> = sent.lines().filter(|line| line.contains("file ")).collect();
    assert_eq!(
        files,
        ["infile cache .awq-cache 1", "infile cache/a1-i0 agent.sh 1", "outfile cache/a1-o0 log 0"],
        "{sent}"
    );
    let put = |effect: &Effect| matches!(effect, Effect::Tell { message: ToWorker::Put { name, .. }, .. } if name.as_ref() == b"a1-i0");
    assert!(b.seen.iter().any(put), "files are sent under their plain names");
    let task = b.tasks(f)[0];
    b.report(f, task, TaskStatus::Success, 0);
    let asked = |effect: &Effect| matches!(effect, Effect::Tell { message: ToWorker::Get { name }, .. } if name.as_ref() == b"a1-o0");
    assert!(b.seen.iter().any(asked), "and fetched under them");
    b.hand_over(f);
    assert_eq!(b.event_numbers(FIRST), [0, 1, 5]);
    // Others are spoken to as ever.
    let mut b = Bench::new();
    foreman(&mut b, Protocol::V9, 4);
    b.submit(&[], 1);
    let is_plain = |effect: &Effect| matches!(effect, Effect::SendTask { text, .. } if !String::from_utf8_lossy(text).contains("cache"));
    assert!(b.seen.iter().any(is_plain));
}

#[test]
fn a_task_at_a_foreman_of_protocol_11_is_killed_only_when_none_waits() {
    let mut b = Bench::new();
    let f = foreman(&mut b, Protocol::V11, 2);
    b.submit(&[], 3);
    assert_eq!(b.tasks(f).len(), 2, "never more than its workers run at once");
    remove(&mut b, FIRST);
    assert_eq!(kills(&b, f), [], "it is asked first");
    // Crossed with the question: written before the task was there.
    report(&mut b, f, 0, 0);
    assert_eq!(kills(&b, f), []);
    report(&mut b, f, 2, 0);
    assert_eq!(kills(&b, f), [TaskId(1)]);
    assert_eq!(b.tasks(f), [TaskId(2), TaskId(3)], "its room is free for the next");
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4], "not before the foreman has confirmed it");
    report(&mut b, f, 3, 0);
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4, 9]);
    assert_eq!(b.status(FIRST), None);
}

#[test]
fn a_task_that_may_wait_there_is_left_to_end_and_keeps_its_share() {
    let mut b = Bench::new();
    let f = foreman(&mut b, Protocol::V11, 2);
    b.submit(&[], 3);
    remove(&mut b, SECOND);
    report(&mut b, f, 2, 1);
    assert_eq!(kills(&b, f), [], "a foreman dies of that");
    assert_eq!(b.event_numbers(SECOND), [0, 1, 4, 9], "its job has gone on without it");
    assert_eq!(b.tasks(f), [TaskId(1), TaskId(2)], "its cores are not free");
    // It ends in the end; nobody is told of its result, and the foreman may forget it.
    b.report(f, TaskId(2), TaskStatus::Success, 0);
    assert_eq!(kills(&b, f), [TaskId(2)]);
    assert_eq!(b.tasks(f), [TaskId(1), TaskId(3)]);
    assert_eq!(b.event_numbers(SECOND), [0, 1, 4, 9]);
    b.lose(f);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
}

#[test]
fn a_foreman_of_protocol_11_that_does_not_answer_delays_a_removal_by_ten_seconds() {
    let mut b = Bench::new();
    let f = foreman(&mut b, Protocol::V11, 2);
    b.submit(&[], 2);
    remove(&mut b, FIRST);
    b.pass(11);
    assert_eq!((b.status(FIRST), kills(&b, f)), (None, vec![]));
    // The answer comes after all: nobody needs the task any more.
    report(&mut b, f, 2, 0);
    assert_eq!(kills(&b, f), [TaskId(1)]);
}

#[test]
fn failures_behind_a_foreman_of_protocol_11_are_not_the_jobs() {
    let mut b = Bench::new();
    let f = foreman(&mut b, Protocol::V11, 1);
    b.submit(&[], 1);
    // Another foreman in between: no file arrives (status 1).
    for _ in 0..5 {
        let task = *b.tasks(f).last().expect("it is tried again");
        b.report(f, task, TaskStatus::from_number(1), -1);
    }
    assert_eq!(b.status(FIRST).as_deref(), Some("1"), "it waits, and is not held");
    assert_eq!(b.tasks(f), [], "the foreman gets nothing for a while");
    b.worker(1);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
}

#[test]
fn a_large_job_that_waits_at_its_foreman_for_five_minutes_comes_back() {
    let mut b = Bench::new();
    // Eight cores in all and four in the largest worker, as it says: but three are taken in each.
    let f = b.peer("foreman", Protocol::V9, [8, 8000, 5000, 0], [4, 8000, 5000, 0]);
    b.submit(&[("RequestCpus", "4")], 1);
    b.submit(&[], 1);
    report(&mut b, f, 2, 1);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"), "it has just come");
    for _ in 0..4 {
        b.pass(100);
        report(&mut b, f, 2, 1);
    }
    assert_eq!(kills(&b, f), [TaskId(1)], "not the small one");
    report(&mut b, f, 2, 0);
    assert_eq!(b.attribute(FIRST, "NumVacatesByReason").as_deref(), Some("[ Rescheduled = 1 ]"));
    assert!(b.attribute(FIRST, "VacateReason").unwrap().contains("five minutes"));

    // One report without a waiting task, and nothing happens.
    let mut b = Bench::new();
    let f = b.peer("foreman", Protocol::V9, [8, 8000, 5000, 0], [4, 8000, 5000, 0]);
    b.submit(&[("RequestCpus", "4")], 1);
    for waiting in [1, 1, 1, 0, 1, 1] {
        b.pass(100);
        report(&mut b, f, 1, waiting);
    }
    assert_eq!(kills(&b, f), []);
}

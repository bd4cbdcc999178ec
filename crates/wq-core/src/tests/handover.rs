//! A planned restart: what is with a worker stays there.

use control_proto::{Action, Reply, Request, Targets};
use wq_proto::{FromWorker, Info, Protocol, TaskStatus, ToWorker};

use crate::bench::Bench;
use crate::ids::JobId;
use crate::io::{Ask, Effect, Input};

const FIRST: JobId = JobId::new(1, 0);
const SECOND: JobId = JobId::new(1, 1);

#[test]
fn a_running_job_goes_on_and_is_not_counted_twice() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 2);
    let task = b.tasks(w)[0];
    let (starts, since) = (b.attribute(FIRST, "NumJobStarts"), b.attribute(FIRST, "JobCurrentStartDate"));
    let records = b.journal.len();
    let mut after = b.reloaded();
    assert_eq!(after.status(FIRST).as_deref(), Some("2"));
    assert_eq!(after.attribute(FIRST, "NumJobStarts"), starts);
    assert_eq!(after.attribute(FIRST, "JobCurrentStartDate"), since);
    assert_eq!(after.attribute(FIRST, "RemoteHost").as_deref(), Some("\"slot1@host0\""));
    assert_eq!(after.journal.len(), records, "nothing is recorded for it");
    // Events that may be missing are looked for; there is no new one.
    assert!(after.events.iter().all(|(number, ..)| *number == 0), "{:?}", after.events);
    assert!(after.tasks(w).is_empty(), "the worker is full");
    after.end(w, task, 3);
    assert_eq!(after.status(FIRST), None);
    assert_eq!(after.event_numbers(FIRST).iter().filter(|number| **number == 5).count(), 1);
    // The share is free again, and the number of the next task was not used before.
    let next = after.tasks(w);
    assert_eq!(after.status(SECOND).as_deref(), Some("2"));
    assert!(next.len() == 1 && next[0] != task);
    after.end(w, next[0], 0);
    assert_eq!(after.query("true", &["ClusterId"]).len(), 0);
}

#[test]
fn nothing_begins_while_a_restart_is_prepared() {
    let mut b = Bench::new();
    let w = b.worker(2);
    b.submit(&[], 1);
    b.input(Input::Pause { on: true });
    b.submit(&[], 1);
    let task = b.tasks(w)[0];
    b.say(w, FromWorker::AvailableResults);
    assert_eq!(b.tasks(w), [task], "no task is sent");
    let asked = |b: &Bench| b.seen.iter().any(|e| matches!(e, Effect::Tell { message: ToWorker::SendResults, .. }));
    assert!(!asked(&b), "and no result asked for");
    assert_eq!(b.master.unrest(), None);
    // It comes to nothing: everything goes on.
    b.input(Input::Pause { on: false });
    assert!(asked(&b));
    assert_eq!(b.tasks(w).len(), 2);
    b.answer(w, task, TaskStatus::Success, 0);
    b.hand_over(w);
    assert_eq!(b.status(FIRST), None);
}

#[test]
fn a_result_that_came_meanwhile_is_asked_for_by_the_next_program() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 1);
    let task = b.tasks(w)[0];
    b.input(Input::Pause { on: true });
    b.say(w, FromWorker::AvailableResults);
    let mut after = b.reloaded();
    assert!(after.seen.iter().any(|e| matches!(e, Effect::Tell { message: ToWorker::SendResults, .. })));
    after.answer(w, task, TaskStatus::Success, 0);
    after.hand_over(w);
    assert_eq!(after.status(FIRST), None);
}

#[test]
fn outputs_that_were_asked_for_ahead_are_taken_by_the_next_program() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 2);
    let task = b.tasks(w)[0];
    // Asked for, with the outputs and the next task behind; no word of the answer yet.
    b.auto.prepare = false;
    b.say(w, FromWorker::AvailableResults);
    let asked = b.gets(w);
    assert_eq!(asked.len(), 1);
    let second = b.preparing().into_iter().next_back().unwrap();
    b.input(Input::Pause { on: true });
    assert!(b.master.unrest().unwrap().contains("looked up"), "{:?}", b.master.unrest());
    b.input(Input::Prepared { attempt: second, outcome: Ok(crate::io::Prepared::default()) });
    let mut after = b.reloaded();
    after.answer(w, task, TaskStatus::Success, 0);
    for name in asked {
        after.say(w, FromWorker::File { name, len: 5 });
        after.input(Input::BodyDone { link: w, outcome: crate::io::BodyOutcome::Stored { size: 5, head: Vec::new() } });
        after.say(w, FromWorker::End);
    }
    assert_eq!(after.status(FIRST), None, "{:?}", after.seen);
    assert_eq!(after.status(SECOND).as_deref(), Some("2"));
}

#[test]
fn a_task_that_is_half_sent_starts_when_its_last_byte_is_out() {
    let mut b = Bench::new();
    b.auto.socket = false;
    let w = b.worker(1);
    b.submit(&[], 1);
    let task = b.tasks(w)[0];
    let attempt = b.preparing()[0];
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
    let mut after = b.reloaded();
    assert_eq!(after.status(FIRST).as_deref(), Some("1"), "it is on its way");
    assert!(after.tasks(w).is_empty(), "and is not sent again");
    after.input(Input::Flushed { link: w, attempt });
    assert_eq!(after.status(FIRST).as_deref(), Some("2"));
    assert_eq!(after.attribute(FIRST, "NumJobStarts").as_deref(), Some("1"));
    assert_eq!(after.event_numbers(FIRST).iter().filter(|number| **number == 1).count(), 1);
    after.end(w, task, 0);
    assert_eq!(after.status(FIRST), None);
}

#[test]
fn a_half_sent_task_that_is_lost_after_the_restart_was_no_start() {
    let mut b = Bench::new();
    b.auto.socket = false;
    let w = b.worker(1);
    b.submit(&[], 1);
    let mut after = b.reloaded();
    after.lose(w);
    assert_eq!(after.status(FIRST).as_deref(), Some("1"));
    assert_eq!(after.attribute(FIRST, "NumJobStarts"), None, "none is counted");
    after.worker(1);
    assert_eq!(after.status(FIRST).as_deref(), Some("2"));
}

#[test]
fn what_is_under_way_has_to_come_to_its_end_first() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 1);
    let task = b.tasks(w)[0];
    b.report(w, task, TaskStatus::Success, 0);
    b.input(Input::Pause { on: true });
    assert_eq!(b.master.unrest().unwrap(), "outputs of jobs are being fetched (1: host0)");
    b.hand_over(w);
    assert_eq!(b.master.unrest(), None);
    let mut after = b.reloaded();
    assert_eq!(after.status(FIRST), None);
}

#[test]
fn a_removal_waits_for_its_worker_before_the_restart() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 1);
    b.act(Action::Remove, Targets::Jobs(vec![(1, 0)]));
    assert!(b.master.unrest().unwrap().starts_with("tasks are being killed"), "{:?}", b.master.unrest());
    b.say(w, FromWorker::Alive);
    let mut after = b.reloaded();
    assert_eq!(after.status(FIRST), None);
    // The worker is as good as before.
    after.submit(&[], 1);
    assert_eq!(after.tasks(w).len(), 1);
}

#[test]
fn timers_and_silence_count_on() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[("AllowedExecuteDuration", "100")], 1);
    b.pass(60);
    let mut after = b.reloaded();
    after.pass(39);
    after.say(w, FromWorker::Alive);
    assert_eq!(after.status(FIRST).as_deref(), Some("2"));
    after.pass(2);
    assert_eq!(after.attribute(FIRST, "HoldReasonCode").as_deref(), Some("47"));
    // A worker that does not speak again is found as before.
    let mut b = Bench::new();
    b.worker(1);
    b.submit(&[], 1);
    let mut after = b.reloaded();
    after.pass(200);
    assert_eq!(after.status(FIRST).as_deref(), Some("1"), "nobody answered the check");
}

#[test]
fn a_worker_in_the_middle_of_its_greeting_goes_on_with_it() {
    let mut b = Bench::new();
    let link = crate::ids::LinkId { slot: 0, turn: 3 };
    b.input(Input::LinkUp { link, address: "127.0.0.1:40000".into() });
    let hello = wq_proto::Hello {
        protocol: wq_proto::Protocol::V7,
        host: "half".into(),
        os: "Linux".into(),
        arch: "x86_64".into(),
        version: "7.0".into(),
    };
    b.say(link, FromWorker::Hello(Box::new(hello)));
    b.submit(&[], 1);
    let mut after = b.reloaded();
    after.resources(link, [1, 100, 100, 0], [1, 100, 100, 0]);
    assert_eq!(after.tasks(link).len(), 1);
}

#[test]
fn a_second_restart_and_a_crash_after_one_find_everything() {
    let mut b = Bench::new();
    let w = b.worker(2);
    b.submit(&[], 2);
    let tasks = b.tasks(w);
    let mut second = b.reloaded().reloaded();
    second.end(w, tasks[1], 0);
    assert_eq!(second.status(SECOND), None);
    let mut third = second.reloaded();
    assert_eq!(third.status(FIRST).as_deref(), Some("2"));
    let mut crashed = third.restarted();
    assert_eq!(crashed.status(FIRST).as_deref(), Some("1"));
    assert_eq!(crashed.attribute(FIRST, "VacateReason").as_deref(), Some("\"the service was restarted\""));
    third.end(w, tasks[0], 0);
    assert_eq!(third.status(FIRST), None);
}

#[test]
fn what_a_worker_keeps_is_not_sent_again() {
    let mut b = Bench::new();
    let w = b.worker(2);
    let large = || {
        let crate::io::Ask::Submit { request, rows, mut blobs } = Bench::submission(&[], 1) else { unreachable!() };
        blobs[0].size = 100_000;
        blobs[0].inline = None;
        crate::io::Ask::Submit { request, rows, blobs }
    };
    b.ask(large());
    let task = b.tasks(w)[0];
    let mut after = b.reloaded();
    after.ask(large());
    assert_eq!(after.tasks(w).len(), 1);
    assert!(!after.seen.iter().any(|e| matches!(e, Effect::SendBody { .. })), "it is there");
    // Both tasks need it: it stays until the second has gone, too.
    after.end(w, task, 0);
    let second = after.tasks(w)[0];
    after.end(w, second, 0);
    after.ask(large());
    assert!(!after.seen.iter().any(|e| matches!(e, Effect::SendBody { .. })));
}

#[test]
fn an_undeliverable_result_still_waits_at_its_worker() {
    let mut b = Bench::new();
    b.auto.deliver = false;
    let w = b.worker(1);
    b.submit(&[], 1);
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    assert!(b.master.unrest().unwrap().contains("put in place"));
    let attempt = b.preparing()[0];
    let trouble = crate::io::Trouble { code: 12, subcode: 28, reason: "no space".into() };
    b.input(Input::Delivered { attempt, outcome: Err(trouble) });
    assert_eq!(b.status(FIRST).as_deref(), Some("5"));
    let mut after = b.reloaded();
    assert_eq!(after.status(FIRST).as_deref(), Some("5"));
    after.act(Action::Release, Targets::Jobs(vec![(1, 0)]));
    // Its outputs are asked for once more; it is not run again.
    assert!(after.tasks(w).is_empty());
    after.hand_over(w);
    assert_eq!(after.status(FIRST), None);
}

#[test]
fn limits_count_what_runs_on() {
    let limits = [("sw".to_owned(), 1)].into_iter().collect();
    let mut b = Bench::with(crate::Config { concurrency_limits: limits, ..crate::Config::default() });
    let w = b.worker(2);
    b.submit(&[("ConcurrencyLimits", "\"sw\"")], 2);
    let task = b.tasks(w)[0];
    let mut after = b.reloaded();
    assert!(after.tasks(w).is_empty(), "one at a time");
    after.end(w, task, 0);
    assert_eq!(after.tasks(w).len(), 1);
}

#[test]
fn a_link_that_cannot_go_along_is_lost_as_in_a_crash() {
    let mut b = Bench::new();
    let stays = b.worker(1);
    let goes = b.worker(1);
    b.submit(&[], 2);
    assert_eq!(b.tasks(stays).len(), 1);
    b.input(Input::Pause { on: true });
    let core = b.master.handed_over(|link| link == stays);
    assert_eq!((core.peers.len(), core.attempts.len()), (1, 1));
    let mut next = b.after(core);
    let vacated = next.query("VacateReason =?= \"the service was restarted\"", &["JobStatus"]);
    assert_eq!(vacated, [vec![("JobStatus".to_owned(), "1".to_owned())]], "{goes:?}");
    assert_eq!(next.query("JobStatus == 2", &["ProcId"]).len(), 1);
}

#[test]
fn what_does_not_fit_to_the_journal_is_told_and_stopped() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 1);
    let mut core = b.master.handed_over(|_| true);
    core.attempts[0].cluster = 99;
    let mut next = Bench::new();
    next.master = crate::Master::new(crate::Config::default());
    next.master.take_over(core);
    for (no, record) in &b.journal {
        next.master.recover(*no, record);
    }
    next.master.start(b.now);
    assert_eq!(next.master.misfits(), ["job 99.0: the journal does not know it"]);
    let killed = std::iter::from_fn(|| next.master.poll_effect())
        .any(|effect| matches!(effect, Effect::Tell { link, message: ToWorker::Kill(Some(_)) } if link == w));
    assert!(killed, "nobody would hear of its end");
    next.master.check_invariants();
}

#[test]
fn tasks_that_are_left_to_end_at_a_foreman_keep_their_share() {
    let mut b = Bench::new();
    let f = b.peer("foreman", Protocol::V11, [1, 8000, 5000, 0], [1, 8000, 5000, 0]);
    b.submit(&[], 2);
    let task = b.tasks(f)[0];
    b.act(Action::Remove, Targets::Jobs(vec![(1, 0)]));
    // It is asked whether tasks wait and does not answer: the job goes, its task is left to end.
    b.pass(11);
    assert_eq!(b.status(FIRST), None);
    assert!(b.tasks(f).len() == 1, "its share is not free");
    let mut after = b.reloaded();
    assert!(after.tasks(f).is_empty());
    let killed = |b: &Bench| {
        b.seen
            .iter()
            .any(|e| matches!(e, Effect::Tell { message: ToWorker::Kill(Some(killed)), .. } if *killed == task))
    };
    after.say(f, FromWorker::Alive);
    after.say(f, FromWorker::ResourceTag(1));
    after.say(f, FromWorker::Info(Info::TasksWaiting(0)));
    assert!(killed(&after), "it is known to run, so it may be killed");
    assert_eq!(after.tasks(f).len(), 1, "and its share is free for the next");
    assert_ne!(after.tasks(f)[0], task);
}

#[test]
fn a_large_job_that_was_promised_a_worker_gets_it() {
    let config = crate::Config { reserve_s: 120, ..crate::Config::default() };
    let mut b = Bench::with(config);
    let w = b.worker(2);
    b.submit(&[], 2);
    b.submit(&[("RequestCpus", "2")], 1);
    b.submit(&[], 4);
    let task = b.tasks(w)[0];
    b.pass(100);
    // Nothing is kept free for it yet; how long it has waited counts on.
    let mut waiting = b.reloaded();
    waiting.say(w, FromWorker::Alive);
    waiting.pass(30);
    waiting.say(w, FromWorker::Alive);
    waiting.pass(61);
    waiting.end(w, task, 0);
    assert!(waiting.tasks(w).is_empty(), "kept free: {:?}", waiting.tasks(w));
    // And what is kept free stays so.
    let mut after = waiting.reloaded();
    assert!(after.tasks(w).is_empty());
    let other = b.tasks(w)[1];
    after.end(w, other, 0);
    assert_eq!(after.query("JobStatus == 2", &["ClusterId"]), [vec![("ClusterId".to_owned(), "2".to_owned())]]);
}

#[test]
fn jobs_that_run_here_are_no_state_that_can_be_handed_over() {
    let mut b = Bench::new();
    b.auto.local = false;
    b.submit(&[("JobUniverse", "12")], 2);
    b.input(Input::Pause { on: true });
    assert_eq!(b.master.local_jobs(), 2);
    assert_eq!(b.master.unrest().unwrap(), "2 jobs of the local or scheduler universe are running");
    assert!(b.master.handed_over(|_| true).attempts.is_empty());
}

#[test]
fn hosts_and_workers_that_wait_for_their_failures_go_on_waiting() {
    let mut b = Bench::new();
    b.submit(&[], 10);
    for _ in 0..5 {
        let w = b.peer_at("hole", "Linux", Protocol::V9, [1, 4096, 10_000, 0], [1, 4096, 10_000, 0]);
        b.lose(w);
        b.act(Action::Hold, Targets::Constraint("NumJobStarts > 0".into()));
        b.pass(31);
    }
    let w = b.peer_at("hole", "Linux", Protocol::V9, [1, 4096, 10_000, 0], [1, 4096, 10_000, 0]);
    assert!(b.tasks(w).is_empty());
    let mut after = b.reloaded();
    let again = after.peer_at("hole", "Linux", Protocol::V9, [1, 4096, 10_000, 0], [1, 4096, 10_000, 0]);
    assert!(after.tasks(w).is_empty() && after.tasks(again).is_empty());
    after.pass(61);
    assert_eq!((after.tasks(w).len(), after.tasks(again).len()), (1, 1), "as long as it would have been");
}

#[test]
fn a_numbers_promise_and_a_count_outlive_it() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 1);
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    let client = b.ask(Ask::Other(Request::ReserveCluster));
    assert_eq!(b.reply(client), Some(Reply::Reserved { cluster: 2 }));
    let mut after = b.reloaded();
    assert_eq!(after.submit(&[], 1), 3, "2 is promised");
    let Ask::Submit { mut request, rows, blobs } = Bench::submission(&[], 1) else { unreachable!() };
    request.clusters[0].number = Some(2);
    let client = after.ask(Ask::Submit { request, rows, blobs });
    assert!(matches!(after.reply(client), Some(Reply::Submitted { .. })));
}

#[test]
fn a_job_of_a_schedule_shows_its_time_while_it_runs() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[("CronMinute", "\"*\"")], 1);
    b.pass(60);
    b.say(w, FromWorker::Alive);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
    let time = b.attribute(FIRST, "DeferralTime");
    assert!(time.is_some());
    assert_eq!(b.reloaded().attribute(FIRST, "DeferralTime"), time);
}

//! What catalog and status tools are told.

use control_proto::{Action, Targets};
use wq_proto::{FromWorker, Info, Protocol, Resource, ResourceKind, TaskStatus};

use crate::Config;
use crate::bench::Bench;
use crate::ids::{JobId, LinkId};
use crate::master::Report;
use crate::workers::Sum;

/// Waiting, running, on workers, complete.
fn tasks(report: &Report) -> [u64; 4] {
    [report.waiting, report.running, report.on_workers, report.complete]
}

fn foreman(b: &mut Bench, workers: u64) -> LinkId {
    let link = b.peer("foreman", Protocol::V9, [workers, 4096 * workers, 10_000, 0], [1, 4096, 10_000, 0]);
    workers_below(b, link, workers);
    link
}

fn workers_below(b: &mut Bench, link: LinkId, workers: u64) {
    let amount = wq_proto::Amount::new;
    let (total, largest) = (amount(workers), amount(u64::from(workers > 0)));
    b.say(link, FromWorker::Resource(Resource { kind: ResourceKind::Workers, total, smallest: amount(0), largest }));
    b.resources(link, [workers, 4096 * workers, 10_000, 0], [1, 4096, 10_000, 0]);
}

#[test]
fn the_numbers_follow_the_jobs() {
    let mut b = Bench::new();
    assert_eq!(b.master.report(), Report::default());
    b.submit(&[("RequestCpus", "2")], 5);
    let all = b.master.report();
    assert_eq!((tasks(&all), all.needs.cores), ([5, 0, 0, 0], 10));
    let w = b.worker(4);
    let some = b.master.report();
    assert_eq!((tasks(&some), some.needs.cores), ([3, 2, 2, 0], 10));
    assert_eq!((some.workers, some.total.cores, some.used.cores), (1, 4, 4));
    let task = b.tasks(w)[0];
    b.end(w, task, 7);
    assert_eq!(tasks(&b.master.report()), [2, 2, 2, 1]);
    b.act(Action::Hold, Targets::All);
    b.say(w, FromWorker::Alive);
    b.say(w, FromWorker::Alive);
    let held = b.master.report();
    assert_eq!((tasks(&held), held.needs), ([0, 0, 0, 1], Sum::default()), "held jobs need no workers");
    b.lose(w);
    assert_eq!(b.master.report(), Report { complete: 1, ..Report::default() });
}

#[test]
fn a_task_on_its_way_keeps_a_worker() {
    let mut b = Bench::new();
    b.auto.socket = false;
    let _w = b.worker(1);
    b.submit(&[], 2);
    assert_eq!(tasks(&b.master.report()), [1, 0, 1, 0]);
}

#[test]
fn a_foreman_counts_as_the_workers_behind_it() {
    let mut b = Bench::new();
    let link = foreman(&mut b, 3);
    let _own = b.worker(1);
    let report = b.master.report();
    assert_eq!((report.workers, report.foremen, report.total.cores), (4, 1, 4));
    workers_below(&mut b, link, 0);
    let report = b.master.report();
    assert_eq!((report.workers, report.foremen, report.total.cores), (1, 1, 1));
    assert_eq!(b.master.report_peers(0).0.iter().map(|peer| peer.workers).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn tasks_that_wait_inside_a_foreman_are_left_to_the_foreman() {
    let mut b = Bench::new();
    let link = foreman(&mut b, 4);
    b.submit(&[], 10);
    assert_eq!(tasks(&b.master.report()), [6, 4, 4, 0]);
    // Three of its workers left. The second `tasks_waiting` of a block means something else.
    let block = |waiting| [Info::TasksWaiting(waiting), Info::TasksRunning(1), Info::TasksWaiting(0)];
    block(3).into_iter().for_each(|info| b.say(link, FromWorker::Info(info)));
    assert_eq!(tasks(&b.master.report()), [6, 4, 1, 0]);
    // A claim of more than it got changes nothing for others.
    let w = b.worker(2);
    block(u64::MAX).into_iter().for_each(|info| b.say(link, FromWorker::Info(info)));
    assert_eq!(tasks(&b.master.report()), [4, 6, 2, 0]);
    // A worker's word on this does not count.
    b.say(w, FromWorker::Info(Info::TasksWaiting(2)));
    assert_eq!(tasks(&b.master.report()), [4, 6, 2, 0]);
    b.lose(link);
    assert_eq!(tasks(&b.master.report()), [8, 2, 2, 0]);
}

#[test]
fn hosts_without_work_are_named_until_their_time_is_over() {
    let mut b = Bench::with(Config { losses_max: 100, ..Config::default() });
    let w = b.worker(1);
    b.submit(&[], 1);
    for _ in 0..5 {
        // A refused shape comes back only when the worker's resources change.
        let task = *b.tasks(w).last().unwrap();
        b.report(w, task, TaskStatus::Forsaken, 0);
        b.resources(w, [1, 4000, 10_000, 0], [1, 4000, 10_000, 0]);
        b.resources(w, [1, 4096, 10_000, 0], [1, 4096, 10_000, 0]);
    }
    assert_eq!(b.master.report().blocked, ["host0"]);
    b.pass(61);
    assert_eq!(b.master.report().blocked, [""; 0]);
}

#[test]
fn a_list_of_tasks_goes_part_by_part_and_holds_no_arguments() {
    let mut b = Bench::new();
    let _w = b.worker(1);
    b.submit(&[("Arguments", "\"--token secret\""), ("Environment", "\"TOKEN=secret\"")], 2500);
    b.act(Action::Hold, Targets::Jobs(vec![(1, 1)]));
    let (mut from, mut facts, mut parts) = (Some(JobId::new(0, 0)), Vec::new(), 0);
    while let Some(id) = from {
        let (part, next) = b.master.report_tasks(b.now, id);
        facts.extend(part);
        (from, parts) = (next, parts + 1);
    }
    assert_eq!((parts, facts.len()), (3, 2499));
    assert_eq!((facts[0].job, facts[1].job), (JobId::new(1, 0), JobId::new(1, 2)));
    assert_eq!(facts[0].place.as_ref().map(|place| place.host.as_str()), Some("host0"));
    assert!(facts[1..].iter().all(|task| task.place.is_none() && task.program == "agent.sh"));
    assert!(!format!("{facts:?}").contains("secret"));
}

#[test]
fn a_list_of_peers_goes_part_by_part() {
    let mut b = Bench::new();
    let links: Vec<LinkId> = (0..1003).map(|_| b.worker(1)).collect();
    b.lose(links[5]);
    let (first, next) = b.master.report_peers(0);
    let (second, end) = b.master.report_peers(next.unwrap());
    assert_eq!((first.len(), second.len(), end), (1000, 2, None));
    assert_eq!((first[5].host.as_str(), second[1].host.as_str()), ("host6", "host1002"));
}

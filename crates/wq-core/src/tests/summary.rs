//! What catalog and status tools are told.

use control_proto::{Action, Targets};
use wq_proto::{FromWorker, Protocol, Resource, ResourceKind, TaskStatus};

use crate::Config;
use crate::bench::Bench;
use crate::ids::{JobId, LinkId};
use crate::master::Summary;
use crate::workers::Sum;

/// Waiting, running, on workers, complete.
fn tasks(summary: &Summary) -> [u64; 4] {
    [summary.waiting, summary.running, summary.on_workers, summary.complete]
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
    assert_eq!(b.master.summary(), Summary::default());
    b.submit(&[("RequestCpus", "2")], 5);
    let all = b.master.summary();
    assert_eq!((tasks(&all), all.needs.cores), ([5, 0, 0, 0], 10));
    let w = b.worker(4);
    let some = b.master.summary();
    assert_eq!((tasks(&some), some.needs.cores), ([3, 2, 2, 0], 10));
    assert_eq!((some.workers, some.workers_total, some.total.cores, some.used.cores), (1, 1, 4, 4));
    let task = b.tasks(w)[0];
    b.end(w, task, 7);
    assert_eq!(tasks(&b.master.summary()), [2, 2, 2, 1]);
    b.act(Action::Hold, Targets::All);
    b.say(w, FromWorker::Alive);
    b.say(w, FromWorker::Alive);
    let held = b.master.summary();
    assert_eq!((tasks(&held), held.needs), ([0, 0, 0, 1], Sum::default()), "held jobs need no workers");
    b.lose(w);
    assert_eq!(b.master.summary(), Summary { complete: 1, ..Summary::default() });
}

#[test]
fn a_task_on_its_way_keeps_a_worker() {
    let mut b = Bench::new();
    b.auto.socket = false;
    let _w = b.worker(1);
    b.submit(&[], 2);
    assert_eq!(tasks(&b.master.summary()), [1, 0, 1, 0]);
}

/// What the factory would still start, without and with its option for foremen (see [`Summary`]); each foreman tells its
/// tasks and workers itself.
fn wanted(summary: &Summary, told_by_foremen: &[(u64, u64)]) -> (i64, i64) {
    let (tasks, workers): (Vec<u64>, Vec<u64>) = told_by_foremen.iter().copied().unzip();
    let behind = workers.iter().sum::<u64>().saturating_sub(told_by_foremen.len() as u64);
    let less = |all: u64, some: u64| all.cast_signed() - some.cast_signed();
    (
        less(summary.waiting + summary.on_workers, summary.workers),
        less(summary.waiting + tasks.iter().sum::<u64>(), summary.workers + behind),
    )
}

#[test]
fn foremen_do_not_make_the_factory_count_twice() {
    let mut b = Bench::new();
    let link = foreman(&mut b, 0);
    b.submit(&[], 10);
    assert_eq!(wanted(&b.master.summary(), &[(0, 0)]), (10, 10), "an empty foreman is no worker");
    workers_below(&mut b, link, 3);
    let summary = b.master.summary();
    assert_eq!((summary.waiting, summary.running, summary.workers_total, summary.foremen), (7, 3, 3, 1));
    assert_eq!(wanted(&summary, &[(3, 3)]), (7, 7));
    let own = b.worker(1);
    let summary = b.master.summary();
    assert_eq!((summary.waiting, summary.running, summary.workers_total, summary.used.cores), (6, 4, 4, 4));
    assert_eq!(summary.needs.cores, 7, "what waits and what runs on our own worker");
    // With the option the factory does not see that our own worker is busy.
    assert_eq!(wanted(&summary, &[(3, 3)]), (6, 5));
    b.lose(own);
    b.lose(link);
    assert_eq!(wanted(&b.master.summary(), &[]), (10, 10));
}

#[test]
fn a_list_of_peers_tells_workers_behind_foremen() {
    let mut b = Bench::new();
    let link = foreman(&mut b, 3);
    let _own = b.worker(1);
    let workers = |b: &Bench| b.master.list_peers(0).0.iter().map(|peer| peer.workers).collect::<Vec<_>>();
    assert_eq!(workers(&b), [3, 1]);
    workers_below(&mut b, link, 0);
    assert_eq!(workers(&b), [0, 1]);
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
    assert_eq!(b.master.summary().blocked, ["host0"]);
    b.pass(61);
    assert_eq!(b.master.summary().blocked, [""; 0]);
}

#[test]
fn a_list_of_tasks_goes_part_by_part_and_holds_no_arguments() {
    let mut b = Bench::new();
    let _w = b.worker(1);
    b.submit(&[("Arguments", "\"--token secret\""), ("Environment", "\"TOKEN=secret\"")], 2500);
    b.act(Action::Hold, Targets::Jobs(vec![(1, 1)]));
    let (mut from, mut facts, mut parts) = (Some(JobId::new(0, 0)), Vec::new(), 0);
    while let Some(id) = from {
        let (part, next) = b.master.list_tasks(b.now, id);
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
    let (first, next) = b.master.list_peers(0);
    let (second, end) = b.master.list_peers(next.unwrap());
    assert_eq!((first.len(), second.len(), end), (1000, 2, None));
    assert_eq!((first[5].host.as_str(), second[1].host.as_str()), ("host6", "host1002"));
}

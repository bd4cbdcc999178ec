//! Requirements, rank, and large jobs among many small ones (decisions D44, D45).

use wq_proto::{FromWorker, Protocol};

use crate::bench::Bench;
use crate::ids::{JobId, LinkId};

const FIRST: JobId = JobId::new(1, 0);

fn node(b: &mut Bench, host: &str, cores: u64, memory: u64) -> LinkId {
    b.peer_at(host, "Linux", Protocol::V9, [cores, memory, 10_000, 0], [cores, memory, 10_000, 0])
}

#[test]
fn a_job_goes_where_its_requirements_hold_and_waits_for_such_a_place() {
    let mut b = Bench::new();
    let small = node(&mut b, "small", 1, 1000);
    b.submit(&[("Requirements", "TARGET.Memory > 2000 && TARGET.Arch == \"X86_64\"")], 1);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
    // It keeps nobody else waiting.
    b.submit(&[], 1);
    assert_eq!(b.tasks(small).len(), 1);
    let large = node(&mut b, "large", 1, 4000);
    assert_eq!((b.status(FIRST).as_deref(), b.tasks(large).len()), (Some("2"), 1));
}

#[test]
fn what_a_foreman_cannot_know_does_not_match() {
    let mut b = Bench::new();
    let foreman = b.peer("foreman", Protocol::V9, [8, 8000, 5000, 0], [4, 4000, 2000, 0]);
    b.submit(&[("Requirements", "TARGET.OpSys == \"LINUX\" && TARGET.Cpus == 4")], 1);
    assert_eq!(b.tasks(foreman).len(), 1, "its largest worker has four cores");
    b.submit(&[("Requirements", "TARGET.HasFoo")], 1);
    assert_eq!(b.tasks(foreman).len(), 1);
}

#[test]
fn among_free_machines_the_highest_rank_wins() {
    let mut b = Bench::new();
    let nodes: Vec<LinkId> = [1000, 3000, 2000].map(|memory| node(&mut b, &format!("m{memory}"), 1, memory)).into();
    b.submit(&[("Rank", "TARGET.Memory")], 2);
    assert_eq!(nodes.iter().map(|link| b.tasks(*link).len()).collect::<Vec<_>>(), [0, 1, 1]);
}

#[test]
fn requirements_that_look_at_the_jobs_own_story_are_asked_again() {
    let mut b = Bench::new();
    b.submit(&[("Requirements", "isUndefined(LastRemoteHost)")], 1);
    let w = node(&mut b, "a", 1, 1000);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
    b.lose(w);
    node(&mut b, "b", 1, 1000);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"), "it ran somewhere already");
}

#[test]
fn each_job_of_a_cluster_may_ask_for_a_place_of_its_own() {
    let mut b = Bench::new();
    b.submit(&[("Requirements", "TARGET.Machine == strcat(\"node\", ProcId)"), ("ProcId", "\u{2}")], 1);
    let other = node(&mut b, "node1", 1, 1000);
    assert!(b.tasks(other).is_empty());
    let own = node(&mut b, "node0", 1, 1000);
    assert_eq!(b.tasks(own).len(), 1);
}

#[test]
fn requirements_of_time_are_asked_again_as_time_goes_by() {
    let mut b = Bench::new();
    node(&mut b, "a", 1, 1000);
    let soon = b.now.seconds() + 100;
    b.submit(&[("Requirements", &format!("time() > {soon}"))], 1);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
    b.pass(180);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
}

#[test]
fn requirements_can_be_switched_off() {
    let mut b = Bench::with(crate::Config { match_requirements: false, ..crate::Config::default() });
    node(&mut b, "a", 1, 1000);
    b.submit(&[("Requirements", "false")], 1);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
}

/// Small jobs that come all the time, and one that needs the whole machine.
#[test]
fn a_large_job_gets_a_worker_of_its_own_after_a_while() {
    let mut b = Bench::new();
    let w = node(&mut b, "a", 4, 4000);
    let other = node(&mut b, "b", 2, 4000);
    b.submit(&[], 6);
    b.submit(&[("RequestCpus", "4")], 1);
    let large = JobId::new(2, 0);
    b.submit(&[], 100);
    let mut minutes = 0;
    while b.status(large).as_deref() == Some("1") {
        b.pass(60);
        minutes += 1;
        assert!(minutes < 30, "the large job never starts");
        // One small job ends on each worker each minute.
        for link in [w, other] {
            if let Some(task) = b.tasks(link).first().copied() {
                b.end(link, task, 0);
            }
        }
    }
    assert!((16..=20).contains(&minutes), "{minutes} min: fifteen without room, then four cores that become free");
    assert_eq!(b.tasks(w).len(), 1, "it has the machine for itself");
    assert_eq!(b.tasks(other).len(), 2, "small jobs went on elsewhere");
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    assert_eq!(b.tasks(w).len(), 4, "and afterwards here");
}

#[test]
fn a_worker_that_was_cleared_for_a_job_that_is_gone_takes_others() {
    let mut b = Bench::new();
    let w = node(&mut b, "a", 4, 4000);
    b.submit(&[], 4);
    b.submit(&[("RequestCpus", "4")], 1);
    b.submit(&[], 10);
    for _ in 0..16 {
        b.pass(60);
        b.say(w, FromWorker::Alive);
    }
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    assert_eq!(b.tasks(w).len(), 3, "cleared for the large one");
    b.act(control_proto::Action::Remove, control_proto::Targets::Jobs(vec![(2, 0)]));
    b.pass(61);
    assert_eq!(b.tasks(w).len(), 4);
}

//! Hosts that fail jobs (decision D41).

use control_proto::{Action, ReleaseHosts, Reply, Request, Targets};
use wq_proto::Protocol;

use crate::bench::Bench;
use crate::io::Ask;

/// The bench gives each connection a host of its own; here all come from one.
fn worker_of(b: &mut Bench, host: &str) -> crate::ids::LinkId {
    b.peer_at(host, "Linux", Protocol::V9, [1, 4096, 10_000, 0], [1, 4096, 10_000, 0])
}

#[test]
fn a_host_that_breaks_down_at_each_start_gets_a_rest_and_others_do_not() {
    let mut b = Bench::new();
    b.submit(&[], 10);
    // Different jobs, since none is tried five times: each goes behind those that wait.
    for _ in 0..5 {
        let w = worker_of(&mut b, "black-hole");
        assert_eq!(b.tasks(w).len(), 1);
        b.lose(w);
        b.act(Action::Hold, Targets::Constraint("NumJobStarts > 0".into()));
        b.pass(31);
    }
    let w = worker_of(&mut b, "black-hole");
    assert!(b.tasks(w).is_empty(), "the host, not the connection, is quarantined");
    let other = worker_of(&mut b, "good");
    assert_eq!(b.tasks(other).len(), 1);
    b.pass(60);
    assert_eq!(b.tasks(w).len(), 1, "after a minute it is tried again");
    let task = b.tasks(w)[0];
    b.end(w, task, 1);
    assert_eq!(b.tasks(w).len(), 1, "an exit code is the job's own affair");
}

#[test]
fn a_link_that_is_lost_long_after_the_start_is_no_failure_of_its_host() {
    let mut b = Bench::new();
    b.submit(&[], 10);
    for _ in 0..6 {
        let w = worker_of(&mut b, "old");
        assert_eq!(b.tasks(w).len(), 1);
        b.pass(31);
        b.lose(w);
        b.act(Action::Hold, Targets::Constraint("NumJobStarts > 0".into()));
    }
    let w = worker_of(&mut b, "old");
    assert_eq!(b.tasks(w).len(), 1);
}

#[test]
fn an_operator_forgives_a_host_and_its_workers_get_jobs_at_once() {
    let mut b = Bench::new();
    b.submit(&[], 10);
    for _ in 0..5 {
        let w = worker_of(&mut b, "black-hole");
        b.lose(w);
        b.act(Action::Hold, Targets::Constraint("NumJobStarts > 0".into()));
        b.pass(31);
    }
    let w = worker_of(&mut b, "black-hole");
    assert!(b.tasks(w).is_empty());
    let release = |b: &mut Bench, hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let client = b.ask(Ask::Other(Request::ReleaseHosts(ReleaseHosts { hosts })));
        match b.reply(client) {
            Some(Reply::HostsReleased { hosts, others }) => (hosts, others),
            other => panic!("answered by {other:?}"),
        }
    };
    let none = Vec::<String>::new();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(release(&mut b, &["black", "good"]), (none.clone(), names(&["black", "good"])), "names are whole names");
    assert!(b.tasks(w).is_empty());
    let released = (names(&["black-hole (127.0.0.1)"]), names(&["good"]));
    assert_eq!(release(&mut b, &["black-hole", "good"]), released);
    assert_eq!(b.tasks(w).len(), 1, "without waiting for the end of its time");
    assert_eq!(release(&mut b, &[]), (none.clone(), none), "nobody waits any more");
    // It starts anew: five more failures until it waits again, for a minute.
    b.lose(w);
    b.pass(31);
    let w = worker_of(&mut b, "black-hole");
    assert_eq!(b.tasks(w).len(), 1);
}

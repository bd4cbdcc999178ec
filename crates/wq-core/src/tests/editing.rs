//! Attributes that users change, what machines tell, and why jobs wait.

use std::collections::BTreeSet;

use control_proto::{
    Acted, Edit, Explanation, JobOutcome, MACHINE_STATE, MachineQuery, Machines, Refusal, Reply, Request, Targets, Why,
};
use journal::Record;
use wq_proto::Protocol;

use crate::bench::Bench;
use crate::ids::{JobId, LinkId};
use crate::io::{Ask, Caller, Input};

const FIRST: JobId = JobId::new(1, 0);

fn all() -> Targets {
    Targets::Constraint("true".into())
}

fn request(targets: Targets, attributes: &[(&str, &str)], evaluate: bool) -> Ask {
    let attributes = attributes.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Ask::Other(Request::Edit(Edit { targets, attributes, evaluate, dry_run: false }))
}

fn edit(b: &mut Bench, targets: Targets, attributes: &[(&str, &str)]) -> Acted {
    let client = b.ask(request(targets, attributes, false));
    match b.reply(client) {
        Some(Reply::Acted(acted)) => acted,
        other => panic!("an edit was answered by {other:?}"),
    }
}

fn refused(b: &mut Bench, targets: Targets, attributes: &[(&str, &str)], evaluate: bool) -> (Refusal, String) {
    let client = b.ask(request(targets, attributes, evaluate));
    match b.reply(client) {
        Some(Reply::Refused { code, message, .. }) => (code, message),
        other => panic!("an edit was answered by {other:?}"),
    }
}

fn why(b: &mut Bench, jobs: &[(u32, u32)]) -> Vec<Explanation> {
    let client = b.ask(Ask::Other(Request::Why(Why { jobs: jobs.to_vec() })));
    b.pass(1);
    match b.reply(client) {
        Some(Reply::Explained { jobs }) => jobs,
        other => panic!("the question was answered by {other:?}"),
    }
}

fn node(b: &mut Bench, host: &str, cores: u64, memory: u64) -> LinkId {
    b.peer_at(host, "Linux", Protocol::V9, [cores, memory, 10_000, 0], [cores, memory, 10_000, 0])
}

#[test]
fn what_was_edited_is_seen_and_survives_a_restart() {
    let mut b = Bench::new();
    b.submit(&[], 2);
    b.submit(&[], 1);
    assert_eq!(
        edit(&mut b, Targets::Constraint("ClusterId == 1".into()), &[("Foo", "5"), ("JobPrio", "7")]).counts.success,
        2
    );
    for b in [&mut b.restarted(), &mut b] {
        assert_eq!(b.attribute(FIRST, "Foo").as_deref(), Some("5"));
        assert_eq!(b.attribute(JobId::new(1, 1), "JobPrio").as_deref(), Some("7"));
        assert_eq!(b.attribute(JobId::new(2, 0), "Foo"), None);
    }
}

#[test]
fn a_waiting_job_moves_to_its_new_place_also_after_a_restart() {
    let mut b = Bench::new();
    b.submit(&[], 1);
    b.submit(&[], 1);
    b.submit(&[], 1);
    edit(&mut b, Targets::Jobs(vec![(3, 0)]), &[("JobPrio", "10")]);
    edit(&mut b, Targets::Jobs(vec![(1, 0)]), &[("RequestCpus", "4")]);
    edit(&mut b, Targets::Jobs(vec![(2, 0)]), &[("Requirements", "TARGET.Machine == \"good\"")]);
    b.input(Input::CompactionDue);
    b.pass(1);
    let mut of_checkpoint = Bench::new();
    let begin = b.journal.iter().rposition(|(_, record)| matches!(record, Record::CheckpointBegin(_)));
    of_checkpoint.journal = b.journal[begin.expect("a checkpoint was due")..].to_vec();
    for b in [&mut b.restarted(), &mut of_checkpoint.restarted(), &mut b] {
        node(b, "bad", 1, 1000);
        assert_eq!(b.status(JobId::new(3, 0)).as_deref(), Some("2"), "the first by priority");
        node(b, "other", 1, 1000);
        let waiting = |b: &mut Bench, cluster| b.status(JobId::new(cluster, 0)).as_deref() == Some("1");
        assert!(waiting(b, 1) && waiting(b, 2));
        node(b, "good", 1, 1000);
        assert!(waiting(b, 1) && !waiting(b, 2));
        node(b, "large", 4, 1000);
        assert!(!waiting(b, 1));
    }
}

#[test]
fn a_job_whose_new_wish_a_free_worker_fulfils_starts_at_once() {
    let mut b = Bench::new();
    node(&mut b, "a", 2, 1000);
    b.submit(&[("RequestCpus", "8")], 1);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
    edit(&mut b, all(), &[("RequestCpus", "2")]);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
}

#[test]
fn memory_that_is_asked_for_later_counts_although_the_default_did_not() {
    let mut b = Bench::new();
    b.submit(&[("RequestMemory", "99999")], 1);
    edit(&mut b, all(), &[("RequestMemory", "2000")]);
    node(&mut b, "small", 1, 1000);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
    node(&mut b, "large", 1, 2000);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
}

#[test]
fn an_edited_policy_is_looked_at_like_a_submitted_one() {
    let mut b = Bench::new();
    b.submit(&[], 1);
    edit(&mut b, all(), &[("PeriodicHold", "time() > 0"), ("PeriodicHoldReason", "\"enough\"")]);
    b.pass(61);
    assert_eq!(b.attribute(FIRST, "HoldReason").as_deref(), Some("\"enough\""));
}

#[test]
fn values_can_be_made_of_what_the_job_has() {
    let mut b = Bench::new();
    b.submit(&[("JobPrio", "3")], 1);
    let client = b.ask(request(all(), &[("JobPrio", "JobPrio - 5")], true));
    assert!(matches!(b.reply(client), Some(Reply::Acted(acted)) if acted.counts.success == 1));
    assert_eq!(b.attribute(FIRST, "JobPrio").as_deref(), Some("-2"));
    let (code, why) = refused(&mut b, all(), &[("JobPrio", "Nothing + 1")], true);
    assert_eq!(code, Refusal::Malformed);
    assert!(why.contains("1.0"), "{why}");
}

#[test]
fn all_or_nothing_and_never_what_is_not_ones_own() {
    let mut b = Bench::new();
    b.submit(&[], 1);
    let before = b.journal.len();
    assert_eq!(refused(&mut b, all(), &[("Foo", "1"), ("ClusterId", "7")], false).0, Refusal::Permission);
    assert_eq!(refused(&mut b, all(), &[("Foo", "1"), ("Bar", "1 +")], false).0, Refusal::Malformed);
    assert_eq!(refused(&mut b, Targets::Constraint("1 +".into()), &[("Foo", "1")], false).0, Refusal::Constraint);
    let nobody = edit(&mut b, Targets::Jobs(vec![(9, 0)]), &[("Foo", "1")]);
    assert_eq!(nobody.jobs, [((9, 0), JobOutcome::NotFound)]);
    let stranger = Caller { uid: 7, gid: 7, name: "bob".into(), superuser: false };
    for targets in [Targets::Jobs(vec![(1, 0)]), all(), Targets::All] {
        let client = crate::ids::ClientId(1_000);
        let ask = request(targets, &[("Foo", "1")], false);
        b.seen.clear();
        b.input(Input::Asked { client, caller: stranger.clone(), ask });
        assert!(matches!(b.reply(client), Some(Reply::Acted(acted)) if acted.counts.success == 0));
    }
    assert_eq!(b.journal.len(), before);
    assert_eq!(b.attribute(FIRST, "Foo"), None);
}

#[test]
fn machines_tell_what_they_are_and_do_and_no_secrets() {
    let mut b = Bench::new();
    node(&mut b, "a", 4, 4000);
    b.peer("foreman", Protocol::V9, [20, 8000, 5000, 0], [4, 4000, 2000, 0]);
    b.submit(&[("Requirements", "TARGET.Machine == \"a\""), ("Environment", "\"TOKEN=geheim\"")], 1);
    for n in 0..250 {
        node(&mut b, &format!("node{n}"), 1, 1000);
    }
    let list = |b: &mut Bench, constraint: &str| {
        let constraints = vec![constraint.to_owned()];
        let client = b.ask(Ask::Other(Request::Machines(MachineQuery { constraints })));
        b.rows(client)
    };
    assert_eq!(list(&mut b, "true").len(), 252);
    let a = list(&mut b, "Name == \"slot1@a\"").remove(0);
    let has = |name: &str, text: &str| assert!(a.iter().any(|(n, t)| n == name && t == text), "{name} = {text}: {a:?}");
    has("State", "\"Claimed\"");
    has("Activity", "\"Busy\"");
    has("WorkQueueFreeCpus", "3");
    has("JobId", "\"1.0\"");
    has("Start", "true");
    assert!(!a.iter().any(|(_, text)| text.contains("geheim")));
    // What is not said to be the machine's state is what requirements see of it, and all of that.
    let seen = a.iter().map(|(name, _)| name.as_str()).filter(|name| !MACHINE_STATE.contains(name));
    let matched =
        ["Arch", "CondorVersion", "Cpus", "Disk", "FileSystemDomain", "GPUs", "HasFileTransfer", "HasJobDeferral"];
    let matched = matched.iter().chain(&["Machine", "Memory", "Name", "OpSys", "TotalCpus", "TotalMemory"]);
    assert_eq!(seen.collect::<BTreeSet<_>>(), matched.copied().collect::<BTreeSet<_>>());
    assert_eq!(list(&mut b, "State == \"Unclaimed\" && TotalCpus == 20 && Cpus == 4").len(), 1);
    assert_eq!(list(&mut b, "false").len(), 0);
}

#[test]
fn every_machine_is_counted_for_what_stands_in_the_way() {
    let mut b = Bench::new();
    b.submit(&[("Requirements", "TARGET.Memory > 500 && TARGET.Machine != \"bad\""), ("RequestCpus", "4")], 2);
    assert_eq!(why(&mut b, &[(1, 0), (8, 8)]).len(), 1);
    assert_eq!(why(&mut b, &[(1, 0)])[0].machines, Machines::default());
    node(&mut b, "bad", 8, 1000);
    node(&mut b, "small", 1, 1000);
    for n in 0..150 {
        node(&mut b, &format!("poor{n}"), 8, 400);
    }
    let w = node(&mut b, "full", 6, 1000);
    assert_eq!(b.tasks(w).len(), 1);
    let waiting = why(&mut b, &[(1, 1)]).remove(0);
    let wanted = Machines { all: 153, hosts: 153, unfit: 151, small: 1, busy: 1, ..Machines::default() };
    assert_eq!((waiting.status, waiting.machines), (1, wanted));
    assert_eq!(waiting.clauses, [("TARGET.Memory > 500".to_owned(), 3), ("TARGET.Machine != \"bad\"".to_owned(), 152)]);
    let cores = &waiting.needs[0];
    assert_eq!((cores.asked, cores.largest, cores.enough), (4, 8, 152));
    assert_eq!(why(&mut b, &[(1, 0)])[0].status, 2);
}

#[test]
fn a_job_that_waits_for_a_time_may_get_another_one() {
    let mut b = Bench::new();
    b.worker(1);
    let (soon, later) = (b.now.seconds() + 50, b.now.seconds() + 100);
    b.submit(&[("DeferralTime", &later.to_string())], 1);
    edit(&mut b, all(), &[("DeferralTime", &soon.to_string())]);
    b.pass(50);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
}

#[test]
fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let mut b = Bench::new();
    b.submit(&[("JobPrio", "1")], 2);
    let records = b.journal.len();
    let mut dry = |attributes: &[(&str, &str)]| {
        let Ask::Other(Request::Edit(edit)) = request(all(), attributes, false) else { unreachable!() };
        let client = b.ask(Ask::Other(Request::Edit(Edit { dry_run: true, ..edit })));
        b.reply(client)
    };
    assert!(matches!(dry(&[("JobPrio", "7")]), Some(Reply::Acted(acted)) if acted.counts.success == 2));
    assert!(matches!(dry(&[("JobStatus", "2")]), Some(Reply::Refused { code: Refusal::Permission, .. })));
    assert_eq!((b.journal.len(), b.attribute(FIRST, "JobPrio").as_deref()), (records, Some("1")));
}

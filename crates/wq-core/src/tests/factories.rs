//! Jobs of a cluster that enter the queue one after another (`max_idle`, `max_materialize`).

use control_proto::{Action, Query, Request, Selection, Targets};

use crate::bench::Bench;
use crate::ids::{JobId, LinkId};
use crate::io::{Ask, Caller, Input};

/// Events about the cluster.
const CLUSTER: JobId = JobId::new(1, u32::MAX);

fn procs(b: &mut Bench) -> Vec<u32> {
    b.query("ClusterId == 1", &["ProcId"]).iter().map(|row| row[0].1.parse().unwrap()).collect()
}

fn ends(b: &mut Bench, w: LinkId) {
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
}

#[test]
fn a_job_enters_when_another_leaves_and_the_cluster_has_events_of_its_own() {
    let mut b = Bench::new();
    b.submit(&[("JobMaterializeLimit", "2"), ("Arguments", "\"\u{2}\"")], 5);
    assert_eq!(procs(&mut b), [0, 1]);
    assert_eq!(b.attribute(JobId::new(1, 0), "TotalSubmitProcs").as_deref(), Some("5"));
    let w = b.worker(1);
    ends(&mut b, w);
    assert_eq!(procs(&mut b), [1, 2]);
    assert_eq!(b.attribute(JobId::new(1, 2), "Arguments").as_deref(), Some("\"2\""));
    for _ in 0..3 {
        ends(&mut b, w);
    }
    assert_eq!((procs(&mut b), b.event_numbers(CLUSTER)), (vec![4], vec![35]));
    ends(&mut b, w);
    assert_eq!(b.event_numbers(CLUSTER), [35, 36]);
    assert_eq!(b.events[0].0, 35);
    let last = b.events.last().unwrap();
    assert!(last.0 == 36 && last.2.contains("materialized: 5") && last.2.contains("Complete"), "{last:?}");
    for proc in 0..5 {
        assert_eq!(b.event_numbers(JobId::new(1, proc)), [0, 1, 5]);
    }
    b.pass(60);
    assert!(b.master.blobs().is_empty());
}

#[test]
fn only_so_many_wait() {
    let mut b = Bench::new();
    b.submit(&[("JobMaterializeMaxIdle", "1 + 1")], 10);
    assert_eq!(procs(&mut b), [0, 1]);
    b.worker(3);
    assert_eq!(procs(&mut b), [0, 1, 2, 3, 4]);
    b.act(Action::Hold, Targets::Jobs(vec![(1, 3), (1, 4)]));
    assert_eq!(procs(&mut b), [0, 1, 2, 3, 4], "held jobs do not draw in others");
    b.act(Action::Remove, Targets::Jobs(vec![(1, 3)]));
    assert_eq!(procs(&mut b), [0, 1, 2, 4, 5]);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut b = Bench::new();
    b.submit(&[("JobMaterializeLimit", "2")], 6);
    let w = b.worker(1);
    ends(&mut b, w);
    let mut b = b.restarted();
    assert_eq!(procs(&mut b), [1, 2]);
    assert!(b.events.iter().all(|(number, job, _)| *number != 0 || job.proc_ <= 2));
    let w = b.worker(1);
    for _ in 0..5 {
        ends(&mut b, w);
    }
    assert_eq!((procs(&mut b), b.event_numbers(CLUSTER).last()), (vec![], Some(&36)));
    let b = b.restarted();
    assert!(b.master.blobs().is_empty());
}

#[test]
fn a_crash_before_the_next_jobs_are_on_disk_loses_none() {
    let mut b = Bench::new();
    b.submit(&[("JobMaterializeLimit", "1")], 3);
    let w = b.worker(1);
    let task = b.tasks(w)[0];
    b.report(w, task, wq_proto::TaskStatus::Success, 0);
    b.hand_over(w);
    // The last record tells of job 1.1; a crash may lose it.
    while matches!(b.journal.last(), Some((_, journal::Record::Edited(_) | journal::Record::Started(_)))) {
        b.journal.pop();
    }
    let mut b = b.restarted();
    assert_eq!(procs(&mut b), [1]);
}

#[test]
fn removal_of_the_cluster_ends_it_and_removal_of_a_job_does_not() {
    let mut b = Bench::new();
    b.submit(&[("JobMaterializeLimit", "2")], 100);
    b.act(Action::Remove, Targets::Jobs(vec![(1, 0)]));
    assert_eq!(procs(&mut b), [1, 2]);
    b.act(Action::Remove, Targets::Constraint("ProcId == 1".into()));
    assert_eq!(procs(&mut b), [2, 3]);
    b.act(Action::Remove, Targets::Constraint("ClusterId == 1".into()));
    assert!(procs(&mut b).is_empty());
    assert_eq!(b.event_numbers(CLUSTER), [35, 36]);
    assert!(b.events.iter().any(|event| event.0 == 36 && event.2.contains("Incomplete")));
    assert!(b.master.blobs().is_empty());
    let mut b = b.restarted();
    assert!(procs(&mut b).is_empty() && b.master.blobs().is_empty());
    for all in [Targets::All, Targets::Constraint("Owner == \"alice\"".into())] {
        let cluster = b.submit(&[("JobMaterializeLimit", "2")], 9);
        b.act(Action::Remove, all);
        assert!(b.query(&format!("ClusterId == {cluster}"), &["ProcId"]).is_empty());
    }
}

#[test]
fn what_is_on_its_way_into_the_queue_goes_with_its_cluster() {
    let mut b = Bench::new();
    b.submit(&[("JobMaterializeLimit", "2")], 9);
    b.act(Action::Remove, Targets::Jobs(vec![(1, 0)]));
    b.auto.disk = false;
    let remove = |targets| {
        crate::io::Ask::Other(control_proto::Request::Act(control_proto::Act {
            action: Action::Remove,
            targets,
            reason: None,
            subcode: None,
        }))
    };
    b.ask(remove(Targets::Jobs(vec![(1, 1)])));
    b.ask(remove(Targets::Constraint("ClusterId == 1".into())));
    b.auto.disk = true;
    for _ in 0..4 {
        let upto = b.journal.last().unwrap().0;
        b.input(crate::io::Input::Stored { upto });
    }
    assert!(procs(&mut b).is_empty(), "{:?}", procs(&mut b));
    assert_eq!(b.event_numbers(CLUSTER), [35, 36]);
}

#[test]
fn a_cluster_that_is_held_lets_nothing_more_in_until_it_is_released() {
    let mut b = Bench::new();
    b.submit(&[("JobMaterializeLimit", "2")], 6);
    let cluster = || Targets::Constraint("ClusterId == 1".into());
    b.act(Action::Hold, cluster());
    b.act(Action::Remove, Targets::Jobs(vec![(1, 0)]));
    assert_eq!(procs(&mut b), [1], "nothing enters for the one that left");
    let mut b = b.restarted();
    b.act(Action::Remove, Targets::Jobs(vec![(1, 1)]));
    assert_eq!(procs(&mut b), [] as [u32; 0], "a restart remembers it");
    // Jobs that meet a constraint on jobs alone are none of the cluster.
    b.act(Action::Release, Targets::Constraint("ClusterId == 1 && ProcId < 9".into()));
    assert!(procs(&mut b).is_empty());
    b.act(Action::Release, cluster());
    assert_eq!(procs(&mut b), [2, 3]);
    assert_eq!(b.status(JobId::new(1, 2)).as_deref(), Some("1"));
    b.act(Action::Hold, Targets::All);
    b.act(Action::Remove, cluster());
    assert_eq!(b.event_numbers(CLUSTER).last(), Some(&36));
    assert!(b.master.blobs().is_empty());
}

#[test]
fn what_is_on_its_way_into_the_queue_is_held_with_its_cluster() {
    let ask = |action, targets| {
        let act = control_proto::Act { action, targets, reason: None, subcode: None };
        crate::io::Ask::Other(control_proto::Request::Act(act))
    };
    for released in [false, true] {
        let mut b = Bench::new();
        b.submit(&[("JobMaterializeLimit", "1")], 9);
        b.auto.disk = false;
        b.ask(ask(Action::Remove, Targets::Jobs(vec![(1, 0)])));
        // The removal is on disk, so the next job is on its way.
        let upto = b.journal.last().unwrap().0;
        b.input(crate::io::Input::Stored { upto });
        assert!(procs(&mut b).is_empty());
        b.ask(ask(Action::Hold, Targets::Constraint("ClusterId == 1".into())));
        if released {
            b.ask(ask(Action::Release, Targets::Constraint("ClusterId == 1".into())));
        }
        b.auto.disk = true;
        for _ in 0..3 {
            let upto = b.journal.last().unwrap().0;
            b.input(crate::io::Input::Stored { upto });
        }
        let status = if released { "1" } else { "5" };
        assert_eq!((procs(&mut b), b.status(JobId::new(1, 1)).as_deref()), (vec![1], Some(status)));
        let mut b = b.restarted();
        assert_eq!((procs(&mut b), b.status(JobId::new(1, 1)).as_deref()), (vec![1], Some(status)));
    }
}

#[test]
fn a_large_cluster_enters_in_turns_and_a_drain_waits_for_all() {
    let mut b = Bench::new();
    b.submit(&[("JobMaterializeMaxIdle", "1200")], 2000);
    assert_eq!(procs(&mut b).len(), 1200);
    b.act(Action::Remove, Targets::Constraint("ProcId < 900".into()));
    assert_eq!(procs(&mut b), (900..2000).collect::<Vec<_>>());
    b.input(crate::io::Input::Drain { on: true });
    b.act(Action::Remove, Targets::Constraint("ProcId < 1999".into()));
    assert!(!b.seen.iter().any(|effect| matches!(effect, crate::Effect::Ended)));
}

/// Cluster 1: many jobs with long values of their own, two of which may be in the queue.
fn long_rows(b: &mut Bench, procs: u32) {
    let crate::io::Ask::Submit { mut request, blobs, .. } = Bench::submission(&[("JobMaterializeLimit", "2")], procs)
    else {
        unreachable!("a submission")
    };
    request.clusters[0].varying = vec!["Arguments".to_owned()];
    let mut rows = Vec::new();
    for proc in 0..procs {
        classad::pack_row(&mut rows, &[Some(&format!("\"{proc}{}\"", "x".repeat(500)))]);
    }
    b.ask(crate::io::Ask::Submit { request, rows: vec![rows], blobs });
}

fn factory_records(b: &Bench) -> usize {
    b.journal.iter().filter(|(_, record)| matches!(record, journal::Record::CheckpointFactory(_))).count()
}

/// A master that reads the last checkpoint and what follows.
fn restarted_from_checkpoint(b: &mut Bench) -> Bench {
    let begin = b.journal.iter().rposition(|(_, record)| matches!(record, journal::Record::CheckpointBegin(_)));
    b.journal.drain(..begin.expect("there is a checkpoint"));
    b.restarted()
}

#[test]
fn the_journal_is_compacted_while_jobs_wait_to_enter() {
    let mut b = Bench::new();
    long_rows(&mut b, 3000);
    let w = b.worker(1);
    ends(&mut b, w);
    b.input(crate::io::Input::CompactionDue);
    while factory_records(&b) == 0 {
        b.pass_us(1000);
    }
    // Its rows take several records. Until the last one no job enters, and then those that could have.
    ends(&mut b, w);
    assert_eq!(procs(&mut b), [2]);
    b.pass(2);
    assert!(factory_records(&b) > 4, "{}", factory_records(&b));
    assert_eq!(procs(&mut b), [2, 3]);
    assert!(matches!(b.journal.last(), Some((_, journal::Record::CheckpointEnd(_)))), "{:?}", b.journal.last());
    let mut b = restarted_from_checkpoint(&mut b);
    assert_eq!(procs(&mut b), [2, 3]);
    let w = b.worker(1);
    for _ in 0..20 {
        ends(&mut b, w);
    }
    assert_eq!(procs(&mut b), [22, 23]);
    let expected = format!("\"23{}\"", "x".repeat(500));
    assert_eq!(b.attribute(JobId::new(1, 23), "Arguments"), Some(expected));
    b.act(Action::Remove, Targets::Constraint("ClusterId == 1".into()));
    b.pass(60);
    assert_eq!((procs(&mut b), b.event_numbers(CLUSTER)), (vec![], vec![36]));
    assert!(b.master.blobs().is_empty());
}

#[test]
fn copied_inputs_stay_until_the_last_job_has_entered() {
    let mut b = Bench::new();
    let crate::io::Ask::Submit { mut request, mut blobs, rows } =
        Bench::submission(&[("JobMaterializeLimit", "1"), ("TransferInput", "\"/home/a/in\"")], 3)
    else {
        unreachable!("a submission")
    };
    let file = control_proto::SpooledFile { input: "/home/a/in".into(), inside: String::new(), blob: Some(1) };
    request.clusters[0].spool = Some(vec![file]);
    blobs.push(crate::io::BlobIn { id: crate::ids::BlobId([9; 32]), ..blobs[0].clone() });
    request.blob_sizes.push(17);
    request.blob_modes.push(0o644);
    b.ask(crate::io::Ask::Submit { request, rows, blobs });
    for proc in 0..3 {
        assert_eq!((procs(&mut b), b.master.blobs().len()), (vec![proc], 2));
        b.act(Action::Remove, Targets::Jobs(vec![(1, proc)]));
    }
    assert!(procs(&mut b).is_empty() && b.master.blobs().is_empty());
}

#[test]
fn a_cluster_that_is_removed_while_it_is_written_is_gone() {
    let mut b = Bench::new();
    long_rows(&mut b, 3000);
    b.input(crate::io::Input::CompactionDue);
    while factory_records(&b) == 0 {
        b.pass_us(1000);
    }
    b.act(Action::Remove, Targets::Constraint("ClusterId == 1".into()));
    b.pass(2);
    assert!(matches!(b.journal.last(), Some((_, journal::Record::CheckpointEnd(_)))));
    let mut b = restarted_from_checkpoint(&mut b);
    assert!(procs(&mut b).is_empty() && b.master.blobs().is_empty());
}

#[test]
fn a_cluster_that_is_held_stays_so_in_a_compacted_journal() {
    let mut b = Bench::new();
    long_rows(&mut b, 3000);
    let cluster = || Targets::Constraint("ClusterId == 1".into());
    b.act(Action::Hold, cluster());
    b.input(crate::io::Input::CompactionDue);
    b.pass(2);
    let mut b = restarted_from_checkpoint(&mut b);
    b.act(Action::Remove, Targets::Jobs(vec![(1, 0)]));
    assert_eq!(procs(&mut b), [1], "nothing enters for the one that left");
    b.act(Action::Release, cluster());
    assert_eq!(procs(&mut b), [1, 2]);
}

/// `condor_q -factory` with these constraints: the counts of each cluster.
fn listed(b: &mut Bench, select: Selection) -> Vec<String> {
    const NAMES: [&str; 8] = [
        "ClusterId",
        "JobMaterializeLimit",
        "JobsPresent",
        "JobsRunning",
        "JobsIdle",
        "JobsHeld",
        "JobMaterializeNextProcId",
        "JobMaterializePaused",
    ];
    let attributes = NAMES.map(str::to_owned).to_vec();
    let client = b.ask(Ask::Other(Request::Query(Query { select, attributes, factories: true, ..Query::default() })));
    let rows = b.rows(client);
    let text = |row: &[(String, String)], name: &str| {
        row.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone()).unwrap_or_default()
    };
    rows.iter().map(|row| NAMES.map(|name| text(row, name)).join(" ")).collect()
}

#[test]
fn clusters_are_listed_with_what_is_counted_of_their_jobs() {
    let mut b = Bench::new();
    let all = Selection::default;
    let cluster = |number: u32| Targets::Constraint(format!("ClusterId == {number}"));
    b.submit(&[], 3);
    b.submit(&[("JobMaterializeLimit", "4")], 9);
    b.submit(&[("JobMaterializeMaxIdle", "2"), ("Arguments", "\"\u{1}.\u{2}\""), ("MyTag", "\"\u{1}\"")], 3);
    assert_eq!(listed(&mut b, all()), ["2 4 4 0 4 0 4 0", "3 3 2 0 2 0 2 0"]);
    b.act(Action::Hold, Targets::Jobs(vec![(2, 1)]));
    b.act(Action::Hold, cluster(3));
    assert_eq!(listed(&mut b, all()), ["2 4 4 0 3 1 4 0", "3 3 2 0 0 2 2 1"]);
    b.act(Action::Remove, cluster(2));
    b.act(Action::Release, cluster(3));
    assert_eq!(listed(&mut b, all()), ["3 3 2 0 2 0 2 0"], "a cluster that was removed is gone with its jobs");
    b.act(Action::Remove, Targets::Jobs(vec![(1, 0), (1, 1), (1, 2)]));
    let w = b.worker(1);
    ends(&mut b, w);
    assert_eq!(listed(&mut b, all()), ["3 3 2 1 1 0 3 2"], "all have entered");

    // By number, owner and constraint; a job's number means a job.
    let by = |constraint: &str| Selection { constraints: vec![constraint.to_owned()], ..all() };
    for (select, count) in [
        (Selection { clusters: vec![3], ..all() }, 1),
        (Selection { clusters: vec![1, 2], ..all() }, 0),
        (Selection { jobs: vec![(3, 1)], ..all() }, 0),
        (Selection { owners: vec!["alice".into()], ..all() }, 1),
        (Selection { owners: vec!["bob".into()], ..all() }, 0),
        (by("ProcId is undefined"), 1),
        (by("ProcId == 0"), 0),
        (by("MyTag == \"3\" && Arguments is undefined && Owner == \"alice\" && TotalSubmitProcs == 3"), 1),
        (by("JobsRunning > 1"), 0),
    ] {
        assert_eq!(listed(&mut b, select.clone()).len(), count, "{select:?}");
    }
    b.pass(60);
}

#[test]
fn what_others_may_not_see_of_a_job_they_do_not_see_of_its_cluster() {
    let mut b = Bench::new();
    b.submit(&[("JobMaterializeLimit", "1"), ("Environment", "\"SECRET=1\"")], 2);
    let ask = |b: &mut Bench, name: &str, uid: u32, mine: bool| {
        let caller = Caller { uid, gid: uid, name: name.into(), superuser: false };
        let select = Selection { mine, ..Selection::default() };
        let request = Request::Query(Query { select, factories: true, ..Query::default() });
        let client = crate::ids::ClientId(5_000 + u64::from(uid) * 2 + u64::from(mine));
        b.input(Input::Asked { client, caller, ask: Ask::Other(request) });
        b.rows(client)
    };
    let secret = |rows: &[Vec<(String, String)>]| rows[0].iter().any(|(_, text)| text.contains("SECRET"));
    let others = ask(&mut b, "bob", 1001, false);
    assert!(others.len() == 1 && !secret(&others), "{others:?}");
    assert!(others[0].iter().all(|(name, _)| !name.to_lowercase().starts_with("_awq")), "{others:?}");
    assert!(ask(&mut b, "bob", 1001, true).is_empty());
    let own = ask(&mut b, "alice", 1000, true);
    assert!(own.len() == 1 && secret(&own), "{own:?}");
}

#[test]
fn the_log_of_a_cluster_hears_when_it_is_held_and_released() {
    let mut b = Bench::new();
    b.submit(&[("JobMaterializeLimit", "1"), ("UserLog", "\"/home/alice/\u{1}.log\"")], 3);
    let cluster = || Targets::Constraint("ClusterId == 1".into());
    for action in [Action::Hold, Action::Hold, Action::Release, Action::Release] {
        b.act(action, cluster());
    }
    assert_eq!(b.event_numbers(CLUSTER), [35, 37, 38], "the second time is no news");
    let told = |b: &Bench, number: u16| b.events.iter().find(|event| event.0 == number).unwrap().2.clone();
    for wanted in ["pause_code: 1", "hold_code: 1", "via condor_hold (by user alice)"] {
        assert!(told(&b, 37).contains(wanted), "{wanted}: {}", told(&b, 37));
    }
    assert!(told(&b, 38).contains("via condor_release (by user alice)"), "{}", told(&b, 38));

    // Nothing is told before the disk has it. A crash behind that, and all is told again: the writer leaves out what is there.
    b.auto.disk = false;
    let act = control_proto::Act { action: Action::Hold, targets: cluster(), reason: None, subcode: None };
    b.ask(Ask::Other(Request::Act(act)));
    assert_eq!(b.event_numbers(CLUSTER), [35, 37, 38]);
    let mut b = b.restarted();
    assert_eq!(b.event_numbers(CLUSTER), [35, 37, 38, 37]);
    assert!(told(&b, 37).contains("via condor_hold (by user alice)"), "{}", told(&b, 37));
    // A checkpoint remembers the hold, and its event is written before.
    b.input(Input::CompactionDue);
    b.pass(2);
    let mut b = restarted_from_checkpoint(&mut b);
    assert_eq!(b.event_numbers(CLUSTER), [] as [u16; 0]);
    b.act(Action::Release, cluster());
    assert_eq!(b.event_numbers(CLUSTER), [38]);
}

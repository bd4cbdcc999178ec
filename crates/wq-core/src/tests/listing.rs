//! `condor_q`: what is counted is what is listed.

use control_proto::{Action, Query, Request, Selection, Targets, Totals};

use crate::bench::Bench;
use crate::ids::ClientId;
use crate::io::{Ask, Caller, Input};

/// Jobs of two users in all states.
fn busy() -> Bench {
    let mut b = Bench::new();
    let w = b.worker(3);
    b.submit(&[("LeaveJobInQueue", "true")], 3);
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    b.submit(&[("RequestCpus", "64")], 4);
    b.act(Action::Hold, Targets::Jobs(vec![(2, 1), (2, 2)]));
    b.act(Action::Remove, Targets::Jobs(vec![(1, 1)]));
    let caller = Caller { uid: 1001, gid: 1001, name: "bob".into(), superuser: false };
    b.input(Input::Asked { client: ClientId(999), caller, ask: Bench::submission(&[("RequestCpus", "64")], 5) });
    b
}

/// The sums that the master tells, and how many jobs it lists.
fn ask(b: &mut Bench, select: &Selection) -> (Totals, u64) {
    let query = |totals_only| Query { select: select.clone(), totals_only, ..Query::default() };
    let client = b.ask(Ask::Other(Request::Query(query(true))));
    let told = b.listing_end(client).expect("an answer").selected;
    let client = b.ask(Ask::Other(Request::Query(query(false))));
    let listed = b.listing_end(client).expect("an answer");
    assert_eq!(told, listed.selected, "{select:?}");
    (told, listed.ads)
}

#[test]
fn counts_from_indices_are_those_of_the_jobs() {
    let mut b = busy();
    let all = |b: &mut Bench| ask(b, &Selection::default()).1;
    assert_eq!(all(&mut b), 12);
    for constraint in [
        "JobStatus==1",
        "JobStatus==1||JobStatus==2",
        "jobstatus =?= 5 || (MY.JobStatus > 2 && JobStatus != 3)",
        "JobStatus",
        "!(JobStatus < 4) ? true : false",
        "JobStatus == 1 && Owner == \"bob\"",
        "Owner =!= \"nobody\"",
        "strcat(Owner, \"\") == \"alice\"",
        "JobStatus == 1 && ProcId > 1",
        "JobStatus + undefined",
        "TARGET.JobStatus == 1",
        "random(1) == 0 && JobStatus =!= 1",
        "{JobStatus}[0] == 1",
        "\"x\"",
    ] {
        for (mine, owners) in [(false, &[][..]), (true, &[]), (false, &["bob", "nobody"])] {
            let owners: Vec<String> = owners.iter().map(|name: &&str| (*name).to_owned()).collect();
            let asked = |constraints| Selection { constraints, mine, owners: owners.clone(), ..Selection::default() };
            let (told, ads) = ask(&mut b, &asked(vec![constraint.to_owned()]));
            // No index knows of this one.
            let looked = ask(&mut b, &asked(vec![format!("({constraint}) && ifThenElse(true, ClusterId > 0, 0)")]));
            assert_eq!((told, ads), looked, "{constraint} {mine} {owners:?}");
            assert_eq!(told.jobs, ads, "{constraint}");
        }
    }
    let of = |b: &mut Bench, constraint: &str| {
        ask(b, &Selection { constraints: vec![constraint.to_owned()], ..Selection::default() }).1
    };
    assert_eq!(of(&mut b, "JobStatus == 1"), 7);
    assert_eq!(of(&mut b, "JobStatus == 5"), 2);
    assert_eq!(of(&mut b, "Owner == \"bob\" && JobStatus == 1"), 5);
    // Jobs that are named are looked at, with or without a constraint.
    for constraints in [vec![], vec!["JobStatus == 1".to_owned()]] {
        let select = Selection { jobs: vec![(2, 0), (2, 1)], clusters: vec![3], constraints, ..Selection::default() };
        let (told, ads) = ask(&mut b, &select);
        assert_eq!((told.jobs, ads, told.idle), (ads, ads, 6));
    }
}

#[test]
fn counting_a_long_queue_looks_at_no_job() {
    let mut b = Bench::new();
    b.submit(&[], 5000);
    let before = b.seen.len();
    let select = Selection { constraints: vec!["JobStatus == 1".into()], mine: true, ..Selection::default() };
    let client = b.ask(Ask::Other(Request::Query(Query { select, totals_only: true, ..Query::default() })));
    assert_eq!(b.listing_end(client).map(|end| end.selected.idle), Some(5000));
    // One answer and its end: a walk would have been cut into slices.
    assert_eq!(b.seen.len(), before + 2);
}

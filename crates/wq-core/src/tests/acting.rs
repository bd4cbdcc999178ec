//! What clients do with jobs.

use control_proto::{Action, JobOutcome, Reply, Request, Targets};
use wq_proto::{FromWorker, TaskStatus, ToWorker};

use crate::bench::Bench;
use crate::ids::JobId;
use crate::io::{Ask, Effect};

const FIRST: JobId = JobId::new(1, 0);

fn one() -> Targets {
    Targets::Jobs(vec![(1, 0)])
}

#[test]
fn five_identical_submissions_are_five_jobs() {
    let mut b = Bench::new();
    let clusters: Vec<u32> = (0..5).map(|_| b.submit(&[], 1)).collect();
    assert_eq!(clusters, [1, 2, 3, 4, 5]);
    assert_eq!(b.query("true", &["ClusterId"]).len(), 5);
}

#[test]
fn an_idle_job_is_removed_at_once_and_only_once() {
    let mut b = Bench::new();
    b.submit(&[], 2);
    assert_eq!(b.act(Action::Remove, one()).jobs, [((1, 0), JobOutcome::Success)]);
    assert_eq!(b.act(Action::Remove, one()).jobs, [((1, 0), JobOutcome::NotFound)]);
    assert_eq!(b.event_numbers(FIRST), [0, 9]);
    assert_eq!(b.act(Action::Remove, Targets::Constraint("ClusterId == 1".into())).counts.success, 1);
    assert!(b.act(Action::Remove, Targets::All).queue_empty);
}

#[test]
fn a_running_job_is_state_3_at_once_and_leaves_when_its_worker_confirms() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 1);
    let task = b.tasks(w)[0];
    b.act(Action::Remove, one());
    assert_eq!(b.status(FIRST).as_deref(), Some("3"));
    assert_eq!(b.attribute(FIRST, "RemoveReason").as_deref(), Some("\"via condor_rm (by user alice)\""));
    let told: Vec<&ToWorker> = b
        .seen
        .iter()
        .filter_map(|e| match e {
            Effect::Tell { message, .. } if matches!(message, ToWorker::Kill(_) | ToWorker::Check) => Some(message),
            _ => None,
        })
        .collect();
    assert_eq!(told, [&ToWorker::Kill(Some(task)), &ToWorker::Check]);
    // A result that crossed the kill changes nothing.
    b.report(w, task, TaskStatus::Success, 0);
    assert_eq!(b.status(FIRST).as_deref(), Some("3"));
    b.say(w, FromWorker::Alive);
    assert_eq!(b.status(FIRST), None);
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4, 9]);
    b.submit(&[], 1);
    assert_eq!(b.tasks(w).len(), 1, "the core is free again");
}

#[test]
fn a_worker_that_never_confirms_delays_a_removal_by_ten_seconds_at_most() {
    let mut b = Bench::new();
    b.worker(1);
    b.submit(&[], 1);
    b.act(Action::Remove, one());
    b.pass(11);
    assert_eq!(b.status(FIRST), None);
}

#[test]
fn hold_and_release_of_idle_and_running_jobs() {
    let mut b = Bench::new();
    b.submit(&[], 1);
    assert_eq!(b.act(Action::Release, one()).jobs[0].1, JobOutcome::BadStatus);
    assert_eq!(b.act(Action::Hold, one()).jobs[0].1, JobOutcome::Success);
    assert_eq!(b.act(Action::Hold, one()).jobs[0].1, JobOutcome::AlreadyDone);
    assert_eq!(b.attribute(FIRST, "HoldReason").as_deref(), Some("\"via condor_hold (by user alice)\""));
    assert_eq!(b.attribute(FIRST, "HoldReasonCode").as_deref(), Some("1"));
    let w = b.worker(1);
    assert!(b.tasks(w).is_empty());
    b.act(Action::Release, one());
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
    assert_eq!(b.attribute(FIRST, "HoldReason"), None);
    assert_eq!(b.attribute(FIRST, "LastHoldReasonCode").as_deref(), Some("1"));
    b.act(Action::Hold, one());
    assert_eq!(b.status(FIRST).as_deref(), Some("5"));
    b.say(w, FromWorker::Alive);
    assert_eq!(b.event_numbers(FIRST), [0, 12, 13, 1, 4, 12]);
    b.act(Action::Release, one());
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
}

#[test]
fn a_job_held_and_released_before_its_worker_confirms_runs_again_afterwards() {
    let mut b = Bench::new();
    let w = b.worker(2);
    b.submit(&[], 1);
    b.act(Action::Hold, one());
    b.act(Action::Release, one());
    assert_eq!(b.status(FIRST).as_deref(), Some("1"), "the old run is not confirmed dead yet");
    b.say(w, FromWorker::Alive);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4, 12, 13, 1]);
}

#[test]
fn others_may_not() {
    let mut b = Bench::new();
    b.submit(&[("Environment", "\"SECRET=1\"")], 1);
    let caller = crate::io::Caller { uid: 1001, gid: 1001, name: "bob".into(), superuser: false };
    let act = control_proto::Act { action: Action::Remove, targets: one(), reason: None, subcode: None };
    let client = crate::ids::ClientId(900);
    b.input(crate::Input::Asked { client, caller: caller.clone(), ask: Ask::Other(Request::Act(act)) });
    match b.reply(client) {
        Some(Reply::Acted(acted)) => assert_eq!(acted.jobs[0].1, JobOutcome::PermissionDenied),
        other => panic!("{other:?}"),
    }
    let client = crate::ids::ClientId(901);
    b.input(crate::Input::Asked { client, caller, ask: Ask::Other(Request::Query(Default::default())) });
    let secret = b.seen.iter().any(|e| match e {
        Effect::Rows { client: to, payload } if *to == client => payload.windows(6).any(|w| w == b"SECRET"),
        _ => false,
    });
    assert!(!secret, "another user's environment is not shown");
    assert_eq!(b.listing_end(client).unwrap().ads, 1);
}

#[test]
fn malformed_submissions_are_refused_as_a_whole() {
    let mut b = Bench::new();
    let Ask::Submit { mut request, rows, blobs } = Bench::submission(&[], 1) else { unreachable!() };
    request.clusters.push(control_proto::ClusterRequest { procs: 0, ..request.clusters[0].clone() });
    let client = b.ask(Ask::Submit { request, rows: vec![rows[0].clone(), Vec::new()], blobs });
    assert!(matches!(b.reply(client), Some(Reply::Refused { .. })));
    assert!(b.journal.is_empty());
    for (name, value) in [("_AwqUmask", "0"), ("_awqexecutable", "\"x\"")] {
        let client = b.ask(Bench::submission(&[(name, value)], 1));
        assert!(matches!(b.reply(client), Some(Reply::Refused { .. })), "{name}");
    }
    assert_eq!(b.submit(&[], 1), 1, "nothing was used up");
}

#[test]
fn limits_are_refusals() {
    let mut b =
        Bench::with(crate::Config { procs_max: 10, owner_jobs_max: 12, owner_held_max: 1, ..crate::Config::default() });
    let refused = |b: &mut Bench, procs| {
        let client = b.ask(Bench::submission(&[], procs));
        matches!(b.reply(client), Some(Reply::Refused { code: control_proto::Refusal::Limit, .. }))
    };
    assert!(refused(&mut b, 11));
    b.submit(&[], 10);
    assert!(refused(&mut b, 3));
    b.act(Action::Hold, one());
    assert!(refused(&mut b, 1), "a CE that does not see its held jobs must not submit for ever");
}

#[test]
fn reserved_numbers_are_used_once() {
    let mut b = Bench::new();
    let client = b.ask(Ask::Other(Request::ReserveCluster));
    assert_eq!(b.reply(client), Some(Reply::Reserved { cluster: 1 }));
    let with_number = |number| {
        let Ask::Submit { mut request, rows, blobs } = Bench::submission(&[], 1) else { unreachable!() };
        request.clusters[0].number = Some(number);
        Ask::Submit { request, rows, blobs }
    };
    let client = b.ask(with_number(1));
    assert!(matches!(b.reply(client), Some(Reply::Submitted { .. })));
    for number in [1, 2, 99] {
        let client = b.ask(with_number(number));
        assert!(matches!(b.reply(client), Some(Reply::Refused { .. })), "{number}");
    }
    assert_eq!(b.submit(&[], 1), 2);
}

#[test]
fn procs_have_their_own_values_and_placeholders_are_filled() {
    let mut b = Bench::new();
    let Ask::Submit { mut request, blobs, .. } = Bench::submission(&[("Environment", "\"ID=\u{1}.\u{2}\"")], 3) else {
        unreachable!()
    };
    request.clusters[0].varying = vec!["Arguments".into(), "Out".into()];
    let mut rows = Vec::new();
    for proc in 0..3 {
        let (arguments, out) = (format!("\"{proc}\""), format!("\"out.{proc}\""));
        classad::pack_row(&mut rows, &[Some(&arguments), (proc != 1).then_some(out.as_str())]);
    }
    b.ask(Ask::Submit { request, rows: vec![rows], blobs });
    let job = JobId::new(1, 2);
    assert_eq!(b.attribute(job, "Environment").as_deref(), Some("\"ID=1.2\""));
    assert_eq!(b.attribute(job, "Arguments").as_deref(), Some("\"2\""));
    assert_eq!(b.attribute(job, "Out").as_deref(), Some("\"out.2\""));
    assert_eq!(b.attribute(JobId::new(1, 1), "Out").as_deref(), Some("\"o\""), "an absent value is the cluster's");
    assert_eq!(b.attribute(job, "TotalSubmitProcs").as_deref(), Some("3"));
}

#[test]
fn queries_name_the_attributes_that_expressions_need() {
    let mut b = Bench::new();
    b.submit(&[("RequestDisk", "MAX({ 1024,Extra }) * 1024"), ("Extra", "Deep + 1"), ("Deep", "7")], 1);
    let rows = b.query("true", &["RequestDisk"]);
    let names: Vec<&str> = rows[0].iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["RequestDisk", "Extra", "Deep"]);
    assert_eq!(b.query("RequestDisk == 1048576", &["ClusterId"]).len(), 1);
    assert!(b.query("NoSuch == 1", &["ClusterId"]).is_empty());
}

#[test]
fn long_listings_come_in_slices_and_show_each_job_once() {
    let mut b = Bench::new();
    b.submit(&[], 2500);
    let rows = b.query("true", &["ClusterId", "ProcId"]);
    let numbers: Vec<u32> = rows.iter().map(|r| r[1].1.parse().unwrap()).collect();
    assert_eq!(numbers, (0..2500).collect::<Vec<_>>());
    let slices = b.seen.iter().filter(|e| matches!(e, Effect::Rows { .. })).count();
    assert!(slices >= 3, "{slices}");
}

#[test]
fn periodic_policies_hold_and_remove() {
    let mut b = Bench::new();
    b.submit(
        &[
            ("PeriodicHold", "(JobStatus <= 2 && CurrentTime - EnteredCurrentStatus > 172800)"),
            ("PeriodicRemove", "CurrentTime - QDate > 259200"),
        ],
        1,
    );
    b.submit(&[("PeriodicRemove", "false")], 1);
    b.pass(172_700);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
    b.pass(200);
    assert_eq!(b.status(FIRST).as_deref(), Some("5"));
    assert_eq!(b.attribute(FIRST, "HoldReasonCode").as_deref(), Some("3"));
    assert!(b.attribute(FIRST, "HoldReason").unwrap().starts_with("\"The job attribute PeriodicHold expression '"));
    b.pass(100_000);
    assert_eq!(b.status(FIRST), None);
    assert_eq!(b.event_numbers(FIRST), [0, 12, 9]);
    assert_eq!(b.status(JobId::new(2, 0)).as_deref(), Some("1"));
}

#[test]
fn owners_clusters_and_jobs_are_alternatives() {
    let mut b = Bench::new();
    b.submit(&[], 2);
    b.submit(&[], 2);
    b.submit(&[], 2);
    let mut count = |select: control_proto::Selection| {
        let client = b.ask(Ask::Other(Request::Query(control_proto::Query { select, ..Default::default() })));
        b.listing_end(client).unwrap().ads
    };
    let select = control_proto::Selection::default;
    assert_eq!(count(control_proto::Selection { clusters: vec![1], ..select() }), 2);
    assert_eq!(count(control_proto::Selection { clusters: vec![1], jobs: vec![(1, 1), (2, 0)], ..select() }), 3);
    assert_eq!(count(control_proto::Selection { owners: vec!["bob".into()], ..select() }), 0);
    let owners = vec!["bob".to_owned()];
    assert_eq!(count(control_proto::Selection { owners, clusters: vec![1], jobs: vec![(2, 0)], ..select() }), 3);
    assert_eq!(count(control_proto::Selection { owners: vec!["alice".into()], ..select() }), 6);
}

#[test]
fn a_listing_of_some_attributes_shows_what_the_whole_ads_show() {
    let mut b = Bench::new();
    b.worker(1);
    b.submit(&[("Out", "\"o.\u{1}.\u{2}\""), ("Sum", "Twice + 1"), ("Twice", "ProcId * 2"), ("MyFlag", "true")], 3);
    b.submit(&[("Out", "\"p\""), ("Sum", "3")], 1);
    b.submit(&[("Out", "Sum"), ("Sum", "strcat(\"a\", Owner)")], 2);
    b.act(Action::Hold, Targets::Jobs(vec![(1, 1)]));
    let wanted = ["ClusterId", "procid", "Out", "SUM", "HoldReason", "HoldReasonCode", "RemoteHost", "User", "NoSuch"];
    let whole = b.query("true", &[]);
    let some = b.query("true", &wanted);
    assert_eq!((whole.len(), some.len()), (6, 6));
    for (whole, some) in whole.iter().zip(&some) {
        let text = |ad: &[(String, String)], name: &str| {
            ad.iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(known, text)| (known.clone(), text.clone()))
        };
        for name in wanted.iter().chain(&["Twice", "Owner"]) {
            let asked = wanted.contains(name) || text(some, name).is_some();
            assert!(!asked || text(whole, name) == text(some, name), "{name}: {whole:?} {some:?}");
        }
    }
    let names = |row: &[(String, String)]| row.iter().map(|(name, _)| name.to_lowercase()).collect::<Vec<_>>();
    assert!(names(&some[0]).contains(&"twice".to_owned()), "what an expression refers to comes along");
    assert!(names(&some[4]).contains(&"owner".to_owned()), "through another expression too");
}

#[test]
fn what_no_worker_can_offer_is_refused_with_its_reason() {
    let mut b = Bench::new();
    let asked = [
        (("WantDocker", "true"), "Docker"),
        (("WantContainer", "true"), "a container"),
        (("JobUniverse", "8"), "several machines"),
        (("JobUniverse", "10"), "java"),
        (("JobUniverse", "11"), "several machines"),
        (("JobUniverse", "13"), "a virtual machine"),
    ];
    for (attribute, word) in asked {
        let client = b.ask(Bench::submission(&[attribute], 1));
        match b.reply(client) {
            Some(control_proto::Reply::Refused { message, .. }) => {
                assert!(message.contains(word) && message.ends_with("use universe = vanilla"), "{message}");
            }
            other => panic!("{attribute:?} was answered by {other:?}"),
        }
    }
    b.submit(&[("JobUniverse", "5"), ("WantDocker", "false")], 1);
}

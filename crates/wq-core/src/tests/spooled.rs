//! Jobs whose inputs came with the submission and whose outputs wait to be fetched.

use control_proto::{Action, Reply, Request, SpooledFile, Targets, TransferData};
use journal::{ClockMark, Record};

use crate::bench::Bench;
use crate::ids::{BlobId, ClientId, JobId, RecordNo};
use crate::io::{Ask, BlobIn, Effect, Input, Plan, SpooledOutputs};
use crate::{Config, Master};

const FIRST: JobId = JobId::new(1, 0);
const EXECUTABLE: BlobId = BlobId([7; 32]);
const DATA: BlobId = BlobId([8; 32]);
const FOLDER: &str = "/var/lib/alien-workqueue/spool/jobs/1.0";

/// What `condor_submit -spool` writes.
const LEAVE: &str = "JobStatus == 4 && (time() - (CompletionDate ?: time())) < 864000 && (StageOutFinish ?: 0) < \
                     EnteredCurrentStatus";

fn copy(input: &str, inside: &str, blob: Option<u16>) -> SpooledFile {
    SpooledFile { input: input.into(), inside: inside.into(), blob }
}

fn submission(procs: u32, files: Vec<SpooledFile>) -> Ask {
    let ad = [
        ("TransferInput", "\"in.\u{2}, d/, d, /far/x\""),
        ("In", "\"words\""),
        ("Out", "\"_condor_stdout\""),
        ("Err", "\"e\""),
        ("TransferOutput", "\"sub/result\""),
        ("TransferOutputRemaps", "\"_condor_stdout=logs/o;result=/abs/r\""),
        ("LeaveJobInQueue", LEAVE),
    ];
    let Ask::Submit { mut request, rows, mut blobs } = Bench::submission(&ad, procs) else { unreachable!() };
    blobs.push(BlobIn { id: DATA, size: 4, mode: 0o644, inline: Some(bytes::Bytes::from_static(b"data")) });
    request.clusters[0].spool = Some(files);
    Ask::Submit { request, rows, blobs }
}

fn files() -> Vec<SpooledFile> {
    vec![
        copy("/home/a/words", "", Some(1)),
        copy("/home/a/in.0", "", Some(1)),
        copy("/home/a/in.1", "", Some(1)),
        copy("/home/a/d", "deep/x", Some(1)),
        copy("/home/a/d", "empty", None),
        copy("/far/x", "", Some(1)),
    ]
}

fn submit(b: &mut Bench, procs: u32) {
    let client = b.ask(submission(procs, files()));
    assert!(matches!(b.reply(client), Some(Reply::Submitted { .. })));
}

fn plans(b: &Bench) -> Vec<Plan> {
    let plan = |effect: &Effect| match effect {
        Effect::Prepare { plan, .. } => Some((**plan).clone()),
        _ => None,
    };
    b.seen.iter().filter_map(plan).collect()
}

/// Runs the first job that waits.
fn run(b: &mut Bench) {
    let w = b.worker(1);
    let task = *b.tasks(w).first().expect("a task");
    b.end(w, task, 0);
}

/// Asks for outputs; who asked, and what the shell is to copy.
fn fetch(b: &mut Bench, constraint: &str) -> (ClientId, u64, Vec<SpooledOutputs>) {
    let client = b.ask(Ask::Other(Request::TransferData(TransferData { constraint: constraint.into() })));
    let asked = b.seen.iter().find_map(|effect| match effect {
        Effect::TransferData { client: to, jobs, outputs } if *to == client => Some((*jobs, outputs.clone())),
        _ => None,
    });
    let (jobs, outputs) = asked.expect("the shell is asked");
    (client, jobs, outputs)
}

fn dropped(b: &Bench) -> (Vec<String>, Vec<BlobId>) {
    let mut gone = (Vec::new(), Vec::new());
    for effect in &b.seen {
        match effect {
            Effect::DropSpool { folder } => gone.0.push(folder.clone()),
            Effect::DropBlob(id) => gone.1.push(*id),
            _ => {}
        }
    }
    gone
}

#[test]
fn a_spooled_job_takes_its_copies_along_and_leaves_its_outputs_in_the_spool() {
    let mut b = Bench::new();
    submit(&mut b, 1);
    assert_eq!(b.attribute(FIRST, "Iwd"), Some(format!("\"{FOLDER}\"")));
    assert_eq!(b.attribute(FIRST, "SUBMIT_Iwd").as_deref(), Some("\"/home/a\""));
    assert_eq!(b.attribute(FIRST, "StageInFinish"), b.attribute(FIRST, "QDate"));
    b.worker(1);
    let plan = plans(&b).remove(0);
    assert_eq!((plan.inputs.len(), plan.iwd.as_str(), plan.make_iwd), (0, FOLDER, true));
    let names: Vec<&str> = plan.copies.iter().map(|copy| copy.sandbox.as_str()).collect();
    assert_eq!(names, ["in.0", "deep/x", "empty", "d/deep/x", "d/empty", "x", ".awq-stdin"]);
    let blobs: Vec<_> = plan.copies.iter().map(|copy| copy.blob.map(|blob| (blob.id, blob.mode))).collect();
    let data = Some((DATA, 0o644));
    assert_eq!(blobs, [data, data, None, data, None, data, data]);
    let w = b.worker(1);
    assert!(b.tasks(w).is_empty());
}

#[test]
fn outputs_wait_until_they_are_fetched() {
    let mut b = Bench::new();
    submit(&mut b, 1);
    let (_, jobs, outputs) = fetch(&mut b, "ClusterId == 1");
    assert_eq!((jobs, outputs.len()), (1, 0), "nothing has run");
    run(&mut b);
    assert_eq!(b.status(FIRST).as_deref(), Some("4"));
    let targets: Vec<String> = b
        .seen
        .iter()
        .filter_map(|effect| match effect {
            Effect::Deliver { outputs, .. } => Some(outputs.iter().map(|output| output.target.clone())),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(targets, ["_condor_stdout", "e", "result"].map(|name| format!("{FOLDER}/{name}")));
    assert_eq!(dropped(&b), (vec![], vec![]));

    let mut b = b.restarted();
    assert_eq!(b.status(FIRST).as_deref(), Some("4"), "it waits over a restart");
    let (client, jobs, outputs) = fetch(&mut b, "(ClusterId == 1)");
    let place = |name: &str, path: &str| (name.to_owned(), path.to_owned());
    let places = vec![place("_condor_stdout", "/home/a/logs/o"), place("result", "/abs/r"), place("e", "/home/a/e")];
    assert_eq!(outputs, [SpooledOutputs { job: FIRST, folder: FOLDER.into(), iwd: "/home/a".into(), places }]);
    b.input(Input::DataTransferred { client, jobs, outcomes: vec![(FIRST, Err("/abs/r: No such file".into()))] });
    let failures = vec![((1, 0), "/abs/r: No such file".to_owned())];
    assert_eq!(b.reply(client), Some(Reply::DataTransferred { jobs: 1, failures }));
    assert_eq!(b.status(FIRST).as_deref(), Some("4"), "it can be tried again");

    let (client, jobs, _) = fetch(&mut b, "ClusterId == 1");
    let before = b.journal.len();
    b.auto.disk = false;
    b.input(Input::DataTransferred { client, jobs, outcomes: vec![(FIRST, Ok(()))] });
    assert_eq!((b.reply(client), b.status(FIRST).as_deref()), (None, Some("4")), "not before it is on disk");
    assert!(matches!(b.journal[before].1, Record::Edited(_)));
    let mut after = b.restarted();
    assert_eq!(after.status(FIRST), None, "a crash here loses no more than the answer");
    b.input(Input::Stored { upto: b.journal[before].0 });
    assert_eq!(b.reply(client), Some(Reply::DataTransferred { jobs: 1, failures: vec![] }));
    assert_eq!(b.status(FIRST), None);
    assert_eq!(dropped(&b), (vec![FOLDER.to_owned()], vec![EXECUTABLE, DATA]));
    assert_eq!(b.event_numbers(FIRST), [0, 1, 5], "its log was lost and has all of it again");
    after = b.restarted();
    assert_eq!(after.master.blobs(), []);
    assert!(!after.event_numbers(FIRST).contains(&9), "it was not removed");
}

#[test]
fn after_a_power_cut_only_outputs_that_still_wait_are_looked_at() {
    let boot = |boot_id: u8| Config { boot_id: [boot_id; 16], ..Config::default() };
    let mut b = Bench::with(boot(1));
    let clock = ClockMark { boot_id: [1; 16], boottime_us: 0, service_s: 1000, wall_offset_s: 0 };
    b.journal.push((RecordNo(0), clock.into()));
    submit(&mut b, 2);
    let w = b.worker(1);
    for _ in 0..2 {
        let task = b.tasks(w)[0];
        b.end(w, task, 0);
    }
    let (client, jobs, _) = fetch(&mut b, "ProcId == 0");
    b.input(Input::DataTransferred { client, jobs, outcomes: vec![(FIRST, Ok(()))] });
    assert_eq!(b.status(FIRST), None);

    let mut next = Bench::with(boot(2));
    next.master = Master::new(boot(2));
    for (no, record) in &b.journal {
        next.master.recover(*no, record);
    }
    next.master.start(next.now);
    next.input(Input::WallOffset { offset_s: 0 });
    let checked = next.seen.iter().find_map(|effect| match effect {
        Effect::CheckOutputs(jobs) => Some(jobs.clone()),
        _ => None,
    });
    let checked = checked.expect("one job's outputs are in doubt");
    assert_eq!((checked.len(), checked[0].job), (1, JobId::new(1, 1)));
    assert_eq!(checked[0].files[0].0, format!("{}/_condor_stdout", FOLDER.replace("1.0", "1.1")));
    next.input(Input::OutputsChecked { lost: Vec::new() });
    assert_eq!(next.status(JobId::new(1, 1)).as_deref(), Some("4"));
}

#[test]
fn copies_go_with_the_last_job_of_their_cluster() {
    let mut b = Bench::new();
    submit(&mut b, 2);
    assert!(b.master.is_spooled(JobId::new(1, 1)) && !b.master.is_spooled(JobId::new(1, 2)));
    b.act(Action::Remove, Targets::Jobs(vec![(1, 0)]));
    assert_eq!(dropped(&b), (vec![FOLDER.to_owned()], vec![]));
    let mut b = b.restarted();
    assert_eq!(b.master.blobs(), [EXECUTABLE, DATA]);
    run(&mut b);
    assert_eq!(plans(&b)[0].copies[0].sandbox, "in.1");
    b.act(Action::Remove, Targets::Jobs(vec![(1, 1)]));
    assert_eq!(dropped(&b), (vec![FOLDER.replace("1.0", "1.1")], vec![EXECUTABLE, DATA]));
    assert_eq!(b.restarted().master.blobs(), []);
}

#[test]
fn outputs_wait_ten_days() {
    let mut b = Bench::new();
    submit(&mut b, 1);
    run(&mut b);
    b.pass(863_000);
    assert_eq!(b.status(FIRST).as_deref(), Some("4"));
    b.pass(2_000);
    assert_eq!(b.status(FIRST), None);
    assert_eq!(dropped(&b).0, [FOLDER]);
}

#[test]
fn a_held_job_shows_what_it_has_left_and_stays() {
    let mut b = Bench::new();
    submit(&mut b, 1);
    b.act(Action::Hold, Targets::All);
    let (client, jobs, outputs) = fetch(&mut b, "ClusterId >= 0");
    assert_eq!(outputs.len(), 1);
    b.input(Input::DataTransferred { client, jobs, outcomes: vec![(FIRST, Ok(()))] });
    assert_eq!(b.reply(client), Some(Reply::DataTransferred { jobs: 1, failures: vec![] }));
    assert_eq!((b.status(FIRST).as_deref(), b.attribute(FIRST, "StageOutFinish")), (Some("5"), None));
}

#[test]
fn an_input_that_was_not_copied_holds_the_job() {
    let mut b = Bench::new();
    b.ask(submission(1, vec![copy("/home/a/in.0", "", Some(1))]));
    b.worker(1);
    assert_eq!(b.status(FIRST).as_deref(), Some("5"));
    let reason = b.attribute(FIRST, "HoldReason").unwrap();
    assert!(reason.contains("/home/a/d was not copied at submission"), "{reason}");
}

#[test]
fn what_is_copied_must_have_come_along_under_a_plain_name() {
    for bad in [copy("/home/a/x", "", Some(2)), copy("/home/a/d", "../x", Some(1)), copy("/home/a/d", "/x", None)] {
        let mut b = Bench::new();
        let client = b.ask(submission(1, vec![bad]));
        assert!(matches!(b.reply(client), Some(Reply::Refused { .. })));
        assert!(b.journal.is_empty() && b.master.blobs().is_empty());
    }
}

#[test]
fn a_job_removed_while_its_outputs_are_copied_is_no_failure() {
    let mut b = Bench::new();
    submit(&mut b, 1);
    run(&mut b);
    let (client, jobs, _) = fetch(&mut b, "true");
    b.act(Action::Remove, Targets::All);
    b.input(Input::DataTransferred { client, jobs, outcomes: vec![(FIRST, Ok(()))] });
    assert_eq!(b.reply(client), Some(Reply::DataTransferred { jobs: 1, failures: vec![] }));
}

#[test]
fn a_stream_that_nobody_wants_takes_no_name_away() {
    let mut b = Bench::new();
    let ad = [("Out", "\"/dev/null\""), ("LeaveJobInQueue", LEAVE)];
    let Ask::Submit { mut request, rows, blobs } = Bench::submission(&ad, 1) else { unreachable!() };
    request.clusters[0].spool = Some(Vec::new());
    b.ask(Ask::Submit { request, rows, blobs });
    run(&mut b);
    let (_, _, outputs) = fetch(&mut b, "true");
    assert_eq!(outputs[0].places, [("o".to_owned(), "/home/a/o".to_owned())]);
}

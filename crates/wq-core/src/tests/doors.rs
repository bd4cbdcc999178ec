//! The spool folder and draining.

use control_proto::{Action, Refusal, Reply, Request, Targets};
use journal::{Record, Taken};

use crate::bench::Bench;
use crate::ids::{ClientId, JobId};
use crate::io::{Ask, Effect, Input};

const FIRST: JobId = JobId::new(1, 0);
const FILE: Taken = Taken { device: 64_769, inode: 4711, ctime_ns: -1, size: 412 };

/// A file of the spool folder with one job.
fn take(b: &mut Bench, file: Taken) -> ClientId {
    let Ask::Submit { request, rows, blobs } = Bench::submission(&[], 1) else { unreachable!() };
    b.ask(Ask::Take { file, request, rows, blobs })
}

fn ended(b: &Bench) -> bool {
    b.seen.iter().any(|effect| matches!(effect, Effect::Ended))
}

fn drain(b: &mut Bench, on: bool) {
    b.input(Input::Drain { on });
}

#[test]
fn a_file_is_taken_when_its_jobs_are_on_disk() {
    let mut b = Bench::new();
    b.auto.disk = false;
    let client = take(&mut b, FILE);
    let last = b.journal.last().unwrap().0;
    assert!(b.reply(client).is_none() && !b.master.has_taken(&FILE));
    b.input(Input::Stored { upto: last });
    assert!(matches!(b.reply(client), Some(Reply::Submitted { clusters, .. }) if clusters[0].cluster == 1));
    assert!(b.master.has_taken(&FILE));
    b.input(Input::Unlinked { files: vec![FILE] });
    assert!(!b.master.has_taken(&FILE));
}

#[test]
fn a_restart_knows_the_file_wherever_the_journal_was_cut() {
    let mut b = Bench::new();
    take(&mut b, FILE);
    let mut cut = b.restarted();
    assert!(cut.master.has_taken(&FILE));
    // The crash came between the two records: the jobs are there, and so is the file's identity.
    let at = b.journal.iter().position(|(_, record)| matches!(record, Record::Taken(_))).unwrap();
    b.journal.truncate(at);
    cut = b.restarted();
    assert_eq!((cut.status(FIRST).as_deref(), cut.master.has_taken(&FILE)), (Some("1"), true));
    // Before the first one: neither is.
    b.journal.clear();
    cut = b.restarted();
    assert_eq!((cut.status(FIRST), cut.master.has_taken(&FILE)), (None, false));
}

#[test]
fn jobs_of_a_file_run_with_the_originals_line() {
    let mut b = Bench::new();
    b.worker(1);
    take(&mut b, FILE);
    let texts: Vec<String> = b
        .seen
        .iter()
        .filter_map(|effect| match effect {
            Effect::SendTask { text, .. } => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(texts.len(), 1);
    assert!(texts[0].contains("; ./agent.sh > log 2>&1; exit $?category "), "{}", texts[0]);
    assert!(!texts[0].contains("_CONDOR_SCRATCH_DIR"), "{}", texts[0]);
}

#[test]
fn draining_refuses_what_is_new_and_ends_when_nothing_can_run() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 3);
    b.act(Action::Hold, Targets::Jobs(vec![(1, 2)]));
    drain(&mut b, true);
    let asks = [Bench::submission(&[], 1), Ask::Other(Request::ReserveCluster)];
    let mut clients: Vec<ClientId> = asks.into_iter().map(|ask| b.ask(ask)).collect();
    clients.push(take(&mut b, FILE));
    for client in clients {
        match b.reply(client) {
            Some(Reply::Refused { code: Refusal::Draining, message, .. }) => assert!(message.contains("file drain")),
            other => panic!("{other:?}"),
        }
    }
    for _ in 0..2 {
        assert!(!ended(&b));
        let task = b.tasks(w).pop().unwrap();
        b.end(w, task, 0);
    }
    assert!(ended(&b), "a held job does not keep the master");
    let mut after = b.restarted();
    assert_eq!(after.status(JobId::new(1, 2)).as_deref(), Some("5"));
}

#[test]
fn draining_waits_for_jobs_that_are_not_yet_on_disk() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.auto.disk = false;
    b.ask(Bench::submission(&[], 1));
    let no = b.journal.last().unwrap().0;
    drain(&mut b, true);
    assert!(!ended(&b));
    b.auto.disk = true;
    b.input(Input::Stored { upto: no });
    assert!(!ended(&b));
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    assert!(ended(&b));
}

#[test]
fn a_removed_drain_file_ends_draining() {
    let mut b = Bench::new();
    b.submit(&[], 1);
    drain(&mut b, true);
    drain(&mut b, false);
    b.act(Action::Remove, Targets::Jobs(vec![(1, 0)]));
    assert!(!ended(&b));
    assert_eq!(b.submit(&[], 1), 2);
    drain(&mut b, true);
    b.act(Action::Remove, Targets::All);
    assert!(ended(&b));
}

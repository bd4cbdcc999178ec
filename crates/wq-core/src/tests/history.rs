//! Jobs leave by way of the history and are always here or there (decision D56).

use control_proto::{Action, JobOutcome, Targets};
use journal::{ClockMark, HistoryUpto, Record};

use crate::bench::Bench;
use crate::ids::{JobId, RecordNo};
use crate::io::{Departed, Effect, Input, Trouble};
use crate::{Config, Master};

const FIRST: JobId = JobId::new(1, 0);

fn config(boot: u8) -> Config {
    Config { history: true, boot_id: [boot; 16], ..Config::default() }
}

/// A bench whose history takes its time.
fn bench() -> Bench {
    let mut b = Bench::with(config(1));
    b.auto.history = false;
    b.journal.push((RecordNo(0), clock_mark(1)));
    b
}

fn clock_mark(boot: u8) -> Record {
    ClockMark { boot_id: [boot; 16], boottime_us: 0, service_s: 1000, wall_offset_s: 0 }.into()
}

/// Runs one job to its end.
fn run_one(b: &mut Bench, ad: &[(&str, &str)]) {
    let w = b.worker(1);
    b.submit(ad, 1);
    let task = *b.tasks(w).last().unwrap();
    b.end(w, task, 3);
    b.lose(w);
}

/// What was handed to the history.
fn handed(b: &Bench) -> Vec<&Departed> {
    let mut departed = Vec::new();
    for effect in &b.seen {
        if let Effect::Archive(one) = effect {
            departed.push(&**one);
        }
    }
    departed
}

fn handed_jobs(b: &Bench) -> Vec<JobId> {
    handed(b).iter().map(|departed| departed.job).collect()
}

/// Another run of the service, in this boot of the machine.
fn restarted(b: &Bench, boot: u8) -> Bench {
    let mut next = bench();
    next.master = Master::new(config(boot));
    for (no, record) in &b.journal {
        next.master.recover(*no, record);
    }
    next.journal = b.journal.clone();
    next.journal.push((RecordNo(0), clock_mark(boot)));
    next.now = b.now.plus_s(5);
    next.master.start(next.now);
    // Carries out what the start has left.
    next.pass(0);
    next.input(Input::WallOffset { offset_s: 0 });
    next
}

#[test]
fn a_job_is_in_the_queue_until_the_history_has_it() {
    let mut b = bench();
    run_one(&mut b, &[]);
    assert_eq!(b.event_numbers(FIRST), [0, 1, 5]);
    assert_eq!(b.status(FIRST).as_deref(), Some("4"));
    let acted = b.act(Action::Remove, Targets::Jobs(vec![(1, 0)]));
    assert_eq!(acted.jobs[0].1, JobOutcome::NotFound, "it has ended");
    let [departed] = handed(&b)[..] else { panic!("one job left") };
    let departed = departed.clone();
    let attribute = |name: &str| departed.ad.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str());
    assert_eq!((departed.job, departed.uid, &*departed.owner), (FIRST, 1000, "alice"));
    for (name, text) in [("JobStatus", "4"), ("ExitCode", "3"), ("ExitStatus", "3"), ("Environment", "\"\"")] {
        assert_eq!(attribute(name), Some(text), "{name}");
    }
    for name in ["CompletionDate", "LastRemoteHost", "JobCurrentStartDate"] {
        assert!(attribute(name).is_some(), "{name}");
    }
    assert!(departed.ad.iter().all(|(name, _)| name != "ServerTime" && !name.starts_with("_awq")));
    b.input(Input::Archived { upto: RecordNo(departed.no.0 - 1) });
    assert_eq!(b.status(FIRST).as_deref(), Some("4"));
    b.input(Input::Archived { upto: departed.no });
    assert_eq!(b.status(FIRST), None);
}

#[test]
fn what_a_crash_took_from_the_history_is_handed_over_again_once() {
    let mut b = bench();
    run_one(&mut b, &[]);
    b.submit(&[], 2);
    b.act(Action::Hold, Targets::Jobs(vec![(2, 1)]));
    b.act(Action::Remove, Targets::Jobs(vec![(2, 1)]));
    b.act(Action::Remove, Targets::Jobs(vec![(2, 0)]));
    let order = [FIRST, JobId::new(2, 1), JobId::new(2, 0)];
    assert_eq!(handed_jobs(&b), order);
    // Twice interrupted.
    let mut b = restarted(&restarted(&b, 1), 1);
    assert_eq!(handed_jobs(&b), order, "in the same order");
    assert_eq!(b.event_numbers(order[1]), [0, 12, 9], "told once, as far as the logs may lack it");
    let second = handed(&b)[1].no;
    b.input(Input::Archived { upto: second });
    b.input(Input::ArchiveSynced { upto: second });
    assert!(matches!(b.journal.last(), Some((_, Record::HistoryUpto(HistoryUpto { seq }))) if *seq == second.0));
    let b = restarted(&b, 1);
    assert_eq!(handed_jobs(&b), order[2..]);
}

#[test]
fn a_crash_between_an_end_and_the_record_of_leaving_loses_nothing() {
    let mut b = bench();
    run_one(&mut b, &[]);
    b.journal.retain(|(_, record)| !matches!(record, Record::LeftQueue(_)));
    assert_eq!(handed_jobs(&restarted(&b, 1)), [FIRST]);
}

#[test]
fn a_job_that_stays_is_handed_over_when_it_leaves() {
    let mut b = bench();
    run_one(&mut b, &[("LeaveJobInQueue", "true")]);
    assert!(handed_jobs(&b).is_empty());
    let mut b = restarted(&b, 1);
    assert!(handed_jobs(&b).is_empty());
    b.act(Action::Remove, Targets::Jobs(vec![(1, 0)]));
    b.act(Action::RemoveForce, Targets::Jobs(vec![(1, 0)]));
    assert_eq!(handed_jobs(&b), [FIRST]);
}

#[test]
fn a_job_whose_outputs_a_power_cut_took_is_taken_back() {
    let mut b = bench();
    b.auto.marks = false;
    run_one(&mut b, &[]);
    let no = handed(&b)[0].no;
    b.input(Input::Archived { upto: no });
    b.input(Input::ArchiveSynced { upto: no });
    assert_eq!(b.status(FIRST), None);
    let mut b = restarted(&b, 2);
    assert!(handed_jobs(&b).is_empty(), "the history has it");
    assert_eq!(b.status(FIRST).as_deref(), Some("4"), "its outputs are looked at");
    let trouble = Trouble { code: 12, subcode: 2, reason: "gone".into() };
    b.input(Input::OutputsChecked { lost: vec![(FIRST, trouble)] });
    assert_eq!(b.status(FIRST).as_deref(), Some("5"));
    assert!(b.seen.iter().any(|effect| matches!(effect, Effect::Recall { job: FIRST, .. })));
    let mut b = restarted(&b, 2);
    assert_eq!(b.status(FIRST).as_deref(), Some("5"));
    let recalled = |b: &Bench| b.seen.iter().any(|effect| matches!(effect, Effect::Recall { job: FIRST, .. }));
    assert!(recalled(&b), "the crash may have come before the history heard of it");
    b.act(Action::Remove, Targets::Jobs(vec![(1, 0)]));
    assert_eq!(handed_jobs(&b), [FIRST]);
}

#[test]
fn a_job_whose_outputs_are_there_after_all_is_not_handed_over_twice() {
    let mut b = bench();
    b.auto.marks = false;
    run_one(&mut b, &[]);
    let no = handed(&b)[0].no;
    b.input(Input::Archived { upto: no });
    b.input(Input::ArchiveSynced { upto: no });
    let mut b = restarted(&b, 2);
    b.input(Input::OutputsChecked { lost: Vec::new() });
    assert_eq!(b.status(FIRST), None);
    assert!(handed_jobs(&b).is_empty());
}

#[test]
fn a_million_jobs_that_are_removed_do_not_stand_in_memory_as_ads() {
    let mut b = bench();
    b.submit(&[], 2500);
    b.act(Action::Remove, Targets::All);
    for expected in [1000, 2000, 2500, 2500] {
        let jobs = handed_jobs(&b);
        assert_eq!(jobs.len(), expected);
        assert!(jobs.is_sorted());
        let upto = handed(&b).last().unwrap().no;
        b.input(Input::Archived { upto });
    }
    assert_eq!(b.query("true", &["ProcId"]).len(), 0);
}

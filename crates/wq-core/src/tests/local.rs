//! Universes local and scheduler: programs on the submit host.

use control_proto::{Action, Targets};
use journal::Exit;

use crate::Config;
use crate::bench::Bench;
use crate::ids::JobId;
use crate::io::{Effect, Input, Trouble};
use crate::run::Stream;

const FIRST: JobId = JobId::new(1, 0);
const LOCAL: (&str, &str) = ("JobUniverse", "12");

fn only(job: u32) -> Targets {
    Targets::Jobs(vec![(job, 0)])
}

#[test]
fn a_local_job_runs_here_and_takes_nothing_of_a_worker() {
    let mut b = Bench::new();
    let w = b.worker(1);
    let ad = [
        LOCAL,
        ("RequestCpus", "64"),
        ("RequestMemory", "99999999"),
        ("_AwqMemoryAsked", "true"),
        ("ConcurrencyLimits", "\"x\""),
        ("Requirements", "TARGET.Nothing"),
        ("Arguments", "\"a 'b c'\""),
        ("Err", "\"/tmp/e\""),
        ("In", "\"in\""),
    ];
    b.submit(&ad, 1);
    assert!(b.tasks(w).is_empty() && b.preparing().is_empty());
    let program =
        b.seen.iter().find_map(|e| if let Effect::StartLocal { program, .. } = e { Some(program) } else { None });
    let program = program.expect("it is started here");
    assert_eq!((&*program.iwd, &*program.cmd, program.job), ("/home/a", "/home/a/agent.sh", FIRST));
    assert_eq!(program.arguments, ["a", "b c"]);
    assert_eq!(program.stdin.as_deref(), Some("/home/a/in"));
    assert_eq!(program.stdout, Stream::File("/home/a/o".into()));
    assert_eq!(program.stderr, Stream::File("/tmp/e".into()));
    assert!(program.executable.is_some() && program.copies.is_none());
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
    assert_eq!(b.attribute(FIRST, "RemoteHost").as_deref(), Some("\"localhost\""));
    assert_eq!(b.attribute(FIRST, "CpusProvisioned"), None);
    let summary = b.master.summary();
    assert_eq!((summary.waiting, summary.running), (0, 0), "it is nothing for workers");
    let attempt = b.local().0[0];
    b.end_local(attempt, Exit::Code(3));
    assert_eq!(b.status(FIRST), None);
    assert_eq!(b.event_numbers(FIRST), [0, 1, 5]);
    let text = |number| &b.events.iter().find(|(found, ..)| *found == number).unwrap().2;
    assert!(text(1).contains("alias=localhost>\", slot: None, props: []"), "{}", text(1));
    assert!(text(5).contains("Code(3)") && text(5).contains("resources: None"), "{}", text(5));
}

#[test]
fn the_scheduler_universe_does_the_same_and_others_do_not() {
    let mut b = Bench::new();
    b.submit(&[("JobUniverse", "7")], 1);
    b.submit(&[("JobUniverse", "5")], 1);
    b.submit(&[("JobUniverse", "9")], 1);
    assert_eq!(b.local().0.len(), 1);
    assert_eq!(b.master.summary().waiting, 2);
}

#[test]
fn so_many_run_at_once_the_urgent_first() {
    let mut b = Bench::with(Config { local_jobs_max: 2, ..Config::default() });
    b.submit(&[LOCAL], 4);
    b.submit(&[LOCAL, ("JobPrio", "5")], 1);
    assert_eq!(b.local().0.len(), 2);
    assert_eq!(b.master.totals().running, 2);
    let first = b.local().0[0];
    b.end_local(first, Exit::Code(0));
    assert_eq!(b.local().0.len(), 3);
    assert_eq!(b.status(JobId::new(2, 0)).as_deref(), Some("2"));
    for at in 1..5 {
        let next = b.local().0[at];
        b.end_local(next, Exit::Code(0));
        assert!(b.master.totals().running <= 2);
    }
    assert_eq!(b.master.totals().jobs, 0);
    assert_eq!(b.local().0.len(), 5);
}

#[test]
fn a_place_is_free_only_when_the_last_process_is_gone() {
    let mut b = Bench::with(Config { local_jobs_max: 1, ..Config::default() });
    b.auto.local = false;
    b.submit(&[LOCAL], 1);
    b.submit(&[LOCAL], 1);
    let attempt = b.local().0[0];
    b.input(Input::LocalStarted { attempt });
    b.act(Action::Remove, only(1));
    assert_eq!(b.local().1, [attempt]);
    assert_eq!(b.status(FIRST).as_deref(), Some("3"), "it waits for the end of its processes, however long that takes");
    b.pass(3600);
    assert_eq!((b.status(FIRST).as_deref(), b.local().0.len()), (Some("3"), 1));
    b.act(Action::RemoveForce, only(1));
    assert_eq!((b.status(FIRST), b.local().0.len()), (None, 1), "its place is taken still");
    b.end_local(attempt, Exit::Signal(9));
    assert_eq!(b.local().0.len(), 2);
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4, 9]);
}

#[test]
fn hold_and_release_never_make_two_of_one_job() {
    let mut b = Bench::new();
    b.auto.local = false;
    b.submit(&[LOCAL], 1);
    let attempt = b.local().0[0];
    b.input(Input::LocalStarted { attempt });
    b.act(Action::Hold, only(1));
    assert_eq!(b.local().1, [attempt]);
    b.act(Action::Release, only(1));
    b.pass(600);
    assert_eq!(b.local().0.len(), 1, "the old processes are there still");
    b.end_local(attempt, Exit::Code(0));
    assert_eq!(b.local().0.len(), 2);
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4, 12, 13]);
}

#[test]
fn vacated_and_out_of_time() {
    let mut b = Bench::new();
    b.submit(&[LOCAL], 1);
    b.act(Action::Vacate, only(1));
    assert_eq!(b.local().0.len(), 2);
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4, 1]);
    assert_eq!(b.attribute(FIRST, "NumJobStarts").as_deref(), Some("2"));
    b.submit(&[LOCAL, ("AllowedExecuteDuration", "60")], 1);
    b.pass(61);
    let second = JobId::new(2, 0);
    assert_eq!(b.attribute(second, "HoldReasonCode").as_deref(), Some("47"));
    assert_eq!(b.local().1.len(), 2);
    assert_eq!(b.event_numbers(second), [0, 1, 4, 12]);
}

#[test]
fn what_follows_from_an_exit_follows_here_too() {
    let mut b = Bench::new();
    b.submit(&[LOCAL, ("OnExitRemove", "NumJobCompletions > 1 || ExitCode =?= 0")], 1);
    b.submit(&[LOCAL, ("OnExitHold", "ExitBySignal")], 1);
    b.submit(&[LOCAL, ("LeaveJobInQueue", "true")], 1);
    let started = b.local().0;
    b.end_local(started[0], Exit::Code(1));
    b.end_local(started[1], Exit::Signal(11));
    b.end_local(started[2], Exit::Code(4));
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4, 1]);
    assert_eq!(b.status(JobId::new(2, 0)).as_deref(), Some("5"));
    assert_eq!(b.event_numbers(JobId::new(2, 0)), [0, 1, 12]);
    assert_eq!(b.attribute(JobId::new(3, 0), "ExitCode").as_deref(), Some("4"));
    assert_eq!(b.status(JobId::new(3, 0)).as_deref(), Some("4"));
    let again = b.local().0[3];
    b.end_local(again, Exit::Code(1));
    assert_eq!(b.status(FIRST), None);
}

#[test]
fn what_cannot_start_is_held_and_what_could_not_be_executed_says_so() {
    let mut b = Bench::new();
    b.auto.local = false;
    let trouble = |code| Trouble { code, subcode: 2, reason: "a reason".into() };
    b.submit(&[LOCAL], 2);
    let started = b.local().0;
    b.input(Input::LocalEnded { attempt: started[0], outcome: Err(trouble(14)) });
    b.input(Input::LocalStarted { attempt: started[1] });
    b.input(Input::LocalEnded { attempt: started[1], outcome: Err(trouble(6)) });
    assert_eq!(b.event_numbers(FIRST), [0, 12]);
    assert_eq!(b.attribute(FIRST, "NumJobStarts"), None);
    let second = JobId::new(1, 1);
    assert_eq!(b.event_numbers(second), [0, 1, 21, 4, 12]);
    assert_eq!(b.attribute(second, "HoldReasonCode").as_deref(), Some("6"));
}

#[test]
fn a_stop_ends_them_and_a_restart_runs_them_again_counted_and_explained() {
    let mut b = Bench::new();
    b.auto.local = false;
    b.submit(&[LOCAL], 1);
    let attempt = b.local().0[0];
    b.input(Input::LocalStarted { attempt });
    let mut crashed = b.restarted();
    assert_eq!(crashed.local().0.len(), 1);
    assert_eq!(crashed.attribute(FIRST, "NumJobStarts").as_deref(), Some("2"));
    assert_eq!(crashed.attribute(FIRST, "VacateReason").as_deref(), Some("\"the service was restarted\""));
    assert_eq!(crashed.attribute(FIRST, "CpusProvisioned"), None);
    b.input(Input::Stop);
    assert_eq!(b.local().1, [attempt]);
    assert!(matches!(b.seen.last(), Some(Effect::Ended)));
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4]);
    let mut stopped = b.restarted();
    assert_eq!(stopped.local().0.len(), 1);
    assert_eq!(stopped.attribute(FIRST, "NumVacates").as_deref(), Some("1"));
    assert_eq!(stopped.attribute(FIRST, "VacateReason").as_deref(), Some("\"the service was stopped\""));
}

#[test]
fn an_edited_universe_counts_for_the_next_run() {
    let mut b = Bench::new();
    b.submit(&[("JobPrio", "1")], 1);
    assert!(b.local().0.is_empty());
    let edit = control_proto::Edit {
        targets: only(1),
        attributes: vec![("JobUniverse".into(), "12".into())],
        evaluate: false,
        dry_run: false,
    };
    b.ask(crate::io::Ask::Other(control_proto::Request::Edit(edit)));
    assert_eq!(b.local().0.len(), 1);
}

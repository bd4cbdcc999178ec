//! Marks of outputs on disk, and jobs whose outputs a power cut took (decision D36).

use control_proto::{Action, Targets};
use journal::{ClockMark, OutputsUpto, Record};

use crate::bench::Bench;
use crate::ids::JobId;
use crate::io::{Effect, ExpectedOutputs, Input, Trouble};
use crate::{Config, Master};

const BOOT: [u8; 16] = [1; 16];
const NEXT_BOOT: [u8; 16] = [2; 16];

fn clock_mark(boot_id: [u8; 16]) -> Record {
    ClockMark { boot_id, boottime_us: 0, service_s: 1000, wall_offset_s: 0 }.into()
}

/// A bench in whose journal the boot stands, as the shell sees to it.
fn booted() -> Bench {
    let mut b = Bench::with(Config { boot_id: BOOT, ..Config::default() });
    b.journal.push((crate::ids::RecordNo(0), clock_mark(BOOT)));
    b
}

/// Runs a job to its end.
fn run_one(b: &mut Bench, ad: &[(&str, &str)]) -> JobId {
    let w = b.worker(1);
    let cluster = b.submit(ad, 1);
    let task = *b.tasks(w).last().expect("the job is sent");
    b.end(w, task, 0);
    b.lose(w);
    assert!(b.event_numbers(JobId::new(cluster, 0)).contains(&5));
    JobId::new(cluster, 0)
}

/// Reads the journal of `b` in this boot.
fn restarted_in(b: &Bench, boot_id: [u8; 16]) -> Bench {
    restarted_with(b, Config { boot_id, ..Config::default() })
}

fn restarted_with(b: &Bench, config: Config) -> Bench {
    let mut next = Bench::new();
    next.master = Master::new(config);
    for (no, record) in &b.journal {
        next.master.recover(*no, record);
    }
    next.journal = b.journal.clone();
    next.now = b.now.plus_s(5);
    next.master.start(next.now);
    next
}

fn syncs(b: &Bench) -> usize {
    b.seen.iter().filter(|effect| matches!(effect, Effect::SyncOutputs { .. })).count()
}

fn marks(b: &Bench) -> Vec<u64> {
    let upto = |record: &Record| if let Record::OutputsUpto(mark) = record { Some(mark.seq) } else { None };
    b.journal.iter().filter_map(|(_, record)| upto(record)).collect()
}

fn checked(b: &Bench) -> Option<Vec<ExpectedOutputs>> {
    b.seen.iter().find_map(|effect| if let Effect::CheckOutputs(jobs) = effect { Some(jobs.clone()) } else { None })
}

fn trouble() -> Trouble {
    Trouble { code: 12, subcode: 5, reason: "the machine went down".into() }
}

/// Carries out what the start has asked for.
fn settle(b: &mut Bench) {
    b.input(Input::WallOffset { offset_s: 0 });
}

#[test]
fn a_mark_follows_the_ends_of_half_a_minute_and_none_comes_when_nothing_ends() {
    let mut b = booted();
    b.submit(&[], 1);
    b.pass(100);
    assert_eq!((syncs(&b), marks(&b)), (0, vec![]), "nothing has ended");
    let w = b.worker(1);
    for _ in 0..3 {
        let task = *b.tasks(w).last().unwrap();
        b.end(w, task, 0);
        b.submit(&[], 1);
    }
    b.pass(29);
    assert_eq!(syncs(&b), 0);
    b.pass(1);
    let ended = b.journal.iter().filter(|(_, record)| matches!(record, Record::Ended(_))).map(|(no, _)| no.0);
    let (first, last) = (ended.clone().min().unwrap(), ended.max().unwrap());
    assert_eq!(
        (syncs(&b), marks(&b)),
        (1, vec![first - 2, last]),
        "one says that marks are kept, one that all is on disk"
    );
    b.pass(1000);
    assert_eq!(syncs(&b), 1);
}

#[test]
fn outputs_behind_the_last_mark_are_looked_at_after_a_reboot_and_a_lost_one_holds_its_job() {
    let mut b = booted();
    run_one(&mut b, &[]);
    b.pass(40);
    let second = run_one(&mut b, &[("Out", "\"second\""), ("Err", "\"/dev/null\"")]);
    let third = run_one(&mut b, &[("Err", "\"third.err\""), ("TransferOutput", "\"a,b/c\"")]);
    let mut after = restarted_in(&b, NEXT_BOOT);
    settle(&mut after);
    let file = |name: &str| (format!("/home/a/{name}"), 5);
    let expected = vec![
        ExpectedOutputs { job: second, files: vec![file("second")] },
        ExpectedOutputs { job: third, files: vec![file("o"), file("third.err"), file("a"), file("c")] },
    ];
    assert_eq!(checked(&after), Some(expected), "the first one was marked");
    after.input(Input::OutputsChecked { lost: vec![(third, trouble())] });
    assert_eq!(after.status(second), None);
    assert_eq!(after.status(third).as_deref(), Some("5"));
    assert_eq!(after.attribute(third, "HoldReason").as_deref(), Some("\"the machine went down\""));
    assert_eq!(after.attribute(third, "HoldReasonSubCode").as_deref(), Some("5"));
    assert_eq!(after.event_numbers(third).last(), Some(&12), "its log tells of the hold");
    assert!(!after.event_numbers(second).contains(&12));
    assert_eq!(marks(&after).len(), marks(&b).len() + 1, "what was looked at is not in doubt any more");

    // It stays held, also after the next reboot, and runs again when it is released.
    let mut later = restarted_in(&after, BOOT);
    settle(&mut later);
    assert_eq!((checked(&later), later.status(second)), (None, None));
    assert_eq!(later.status(third).as_deref(), Some("5"));
    later.act(Action::Release, Targets::Jobs(vec![(third.cluster, third.proc_)]));
    let w = later.worker(1);
    let task = later.tasks(w)[0];
    later.end(w, task, 0);
    assert_eq!(later.status(third), None);
    assert_eq!(later.event_numbers(third).last(), Some(&5));
    let mut last = restarted_in(&later, BOOT);
    settle(&mut last);
    assert_eq!(last.status(third), None);
}

#[test]
fn a_restart_without_a_reboot_looks_at_nothing_and_marks_at_once() {
    let mut b = booted();
    let job = run_one(&mut b, &[]);
    let mut after = restarted_in(&b, BOOT);
    settle(&mut after);
    assert_eq!((checked(&after), after.status(job)), (None, None));
    let folders = after.seen.iter().find_map(|effect| match effect {
        Effect::SyncOutputs { folders, .. } => Some(folders.clone()),
        _ => None,
    });
    assert_eq!(folders, Some(vec!["/home/a/".to_owned()]), "the shell does not know where an earlier run delivered");
    let mut rebooted = restarted_in(&after, NEXT_BOOT);
    settle(&mut rebooted);
    assert_eq!(checked(&rebooted), None);
}

#[test]
fn a_crash_before_the_look_does_not_pass_for_one() {
    let mut b = booted();
    let job = run_one(&mut b, &[]);
    let mut after = restarted_in(&b, NEXT_BOOT);
    let no = after.journal.last().unwrap().0;
    after.journal.push((crate::ids::RecordNo(no.0 + 1), clock_mark(NEXT_BOOT)));
    // No answer comes; this boot is the same when the service starts again.
    settle(&mut after);
    after.pass(100);
    let mut again = restarted_in(&after, NEXT_BOOT);
    settle(&mut again);
    assert_eq!(checked(&again).map(|jobs| jobs[0].job), Some(job));
}

#[test]
fn a_mark_that_failed_is_tried_again() {
    let mut b = booted();
    b.auto.marks = false;
    run_one(&mut b, &[]);
    b.pass(31);
    let upto = b.seen.iter().find_map(|e| if let Effect::SyncOutputs { upto, .. } = e { Some(*upto) } else { None });
    b.input(Input::OutputsSynced { upto: upto.unwrap(), done: false });
    assert_eq!(marks(&b).len(), 1);
    b.pass(100);
    assert_eq!(syncs(&b), 2, "one at a time");
    b.input(Input::OutputsSynced { upto: upto.unwrap(), done: true });
    assert_eq!(marks(&b).last(), Some(&upto.unwrap().0));
}

#[test]
fn with_outputs_fsync_nothing_is_marked_or_looked_at() {
    let fsync = Config { boot_id: BOOT, outputs_fsync: true, ..Config::default() };
    let mut b = Bench::with(fsync.clone());
    b.journal.push((crate::ids::RecordNo(0), clock_mark(BOOT)));
    run_one(&mut b, &[]);
    b.pass(100);
    assert_eq!((syncs(&b), marks(&b)), (0, vec![]));

    // Switched off, and on again: the journal says so where it changes.
    let mut off = restarted_in(&b, BOOT);
    run_one(&mut off, &[]);
    off.pass(40);
    assert_eq!(marks(&off).len(), 2);
    let mut on = restarted_with(&off, fsync);
    run_one(&mut on, &[]);
    assert_eq!(marks(&on).last(), Some(&OutputsUpto::ALL));
    let mut after = restarted_in(&on, NEXT_BOOT);
    settle(&mut after);
    assert_eq!(checked(&after), None);
}

#[test]
fn the_last_writer_of_an_output_answers_for_it_and_whole_sandboxes_for_nothing() {
    let mut b = booted();
    let first = run_one(&mut b, &[("Err", "\"first.err\"")]);
    let second = run_one(&mut b, &[("ShouldTransferFiles", "\"YES\"")]);
    let mut after = restarted_in(&b, NEXT_BOOT);
    settle(&mut after);
    let file = |name: &str| (format!("/home/a/{name}"), 5);
    let expected = vec![
        ExpectedOutputs { job: first, files: vec![file("first.err")] },
        ExpectedOutputs { job: second, files: vec![file("o")] },
    ];
    assert_eq!(checked(&after), Some(expected));
}

#[test]
fn a_job_that_stays_in_the_queue_is_held_too_and_a_removed_one_is_left_alone() {
    let mut b = booted();
    let stays = run_one(&mut b, &[("LeaveJobInQueue", "true")]);
    let goes = run_one(&mut b, &[("Out", "\"other\"")]);
    let mut after = restarted_in(&b, NEXT_BOOT);
    settle(&mut after);
    assert_eq!(after.status(goes).as_deref(), Some("4"), "until somebody has looked");
    after.act(Action::Remove, Targets::Jobs(vec![(goes.cluster, 0)]));
    after.input(Input::OutputsChecked { lost: vec![(goes, trouble()), (stays, trouble())] });
    assert_eq!((after.status(stays).as_deref(), after.status(goes)), (Some("5"), None));
    assert!(!after.event_numbers(goes).contains(&9), "its log has told of its end");
    let again = restarted_in(&after, NEXT_BOOT);
    assert!(!again.event_numbers(goes).contains(&9));
    // Nor does a crash between the removal and the leaving keep it here.
    let removed = |(_, record): &(_, Record)| matches!(record, Record::Removed(_));
    let upto = after.journal.iter().rposition(removed).expect("it was removed");
    after.journal.truncate(upto + 1);
    let mut again = restarted_in(&after, NEXT_BOOT);
    settle(&mut again);
    assert_eq!(again.status(goes), None);
    assert!(!again.event_numbers(goes).contains(&9));
}

#[test]
fn a_stop_waits_a_moment_for_the_last_mark() {
    for answered in [true, false] {
        let mut b = booted();
        b.auto.marks = false;
        run_one(&mut b, &[]);
        b.input(Input::Stop);
        assert!(!b.seen.iter().any(|effect| matches!(effect, Effect::Ended)));
        let upto =
            b.seen.iter().find_map(|e| if let Effect::SyncOutputs { upto, .. } = e { Some(*upto) } else { None });
        if answered {
            b.input(Input::OutputsSynced { upto: upto.unwrap(), done: true });
        } else {
            b.pass(2);
        }
        assert!(matches!(b.seen.last(), Some(Effect::Ended)), "{:?}", b.seen.last());
        let mut after = restarted_in(&b, NEXT_BOOT);
        settle(&mut after);
        assert_eq!(checked(&after).is_none(), answered);
    }
}

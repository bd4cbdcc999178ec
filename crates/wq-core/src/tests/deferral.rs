//! Jobs that may not start before a time.

use control_proto::{Action, Targets};

use crate::bench::Bench;
use crate::ids::JobId;

const FIRST: JobId = JobId::new(1, 0);
const SECOND: JobId = JobId::new(2, 0);

/// As condor_submit writes it.
const CLAUSE: &str = "TARGET.HasJobDeferral && (((time() + ScheddInterval) >= (DeferralTime - DeferralPrepTime)) && \
                      (time() < (DeferralTime + DeferralWindow)))";

fn deferred(b: &mut Bench, time: &str, window: &str) {
    let ad = [
        ("DeferralTime", time),
        ("DeferralWindow", window),
        ("DeferralPrepTime", "300"),
        ("ScheddInterval", "5"),
        ("Requirements", CLAUSE),
    ];
    b.submit(&ad, 1);
}

#[test]
fn a_job_starts_when_its_time_has_come_and_keeps_nobody_waiting() {
    let mut b = Bench::new();
    let w = b.worker(1);
    let soon = (b.now.seconds() + 100).to_string();
    deferred(&mut b, &soon, "0");
    b.submit(&[], 1);
    assert_eq!((b.status(FIRST).as_deref(), b.status(SECOND).as_deref()), (Some("1"), Some("2")));
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    b.pass(99);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
    b.pass(1);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
    assert_eq!(b.attribute(FIRST, "DeferralTime"), Some(soon));
}

#[test]
fn one_that_cannot_start_within_its_window_is_held() {
    let mut b = Bench::new();
    let soon = (b.now.seconds() + 100).to_string();
    deferred(&mut b, &soon, "30");
    deferred(&mut b, &format!("{soon} - 100"), "0");
    b.pass(130);
    assert_eq!((b.status(FIRST).as_deref(), b.status(SECOND).as_deref()), (Some("1"), Some("5")));
    b.pass(1);
    assert_eq!(b.status(FIRST).as_deref(), Some("5"));
    assert_eq!(b.attribute(FIRST, "HoldReasonCode").as_deref(), Some("20"));
    assert_eq!(b.attribute(FIRST, "HoldReason").as_deref(), Some("\"Job missed deferred execution time\""));
    b.worker(1);
    b.act(Action::Release, Targets::Jobs(vec![(1, 0)]));
    assert_eq!(b.status(FIRST).as_deref(), Some("5"), "it is too late for ever");
    b.submit(&[("DeferralTime", "\"tomorrow\"")], 1);
    assert_eq!(b.attribute(JobId::new(3, 0), "HoldReasonCode").as_deref(), Some("20"));
}

#[test]
fn holds_releases_and_removals_while_it_waits_do_not_matter() {
    let mut b = Bench::new();
    b.worker(2);
    let soon = (b.now.seconds() + 100).to_string();
    deferred(&mut b, &soon, "0");
    deferred(&mut b, &soon, "0");
    b.act(Action::Hold, Targets::All);
    b.act(Action::Release, Targets::Jobs(vec![(1, 0)]));
    b.pass(101);
    assert_eq!((b.status(FIRST).as_deref(), b.status(SECOND).as_deref()), (Some("2"), Some("5")));
    b.act(Action::Remove, Targets::All);
    b.pass(1000);
    assert!(b.query("true", &["ClusterId"]).is_empty());
}

#[test]
fn a_restart_knows_the_time() {
    let mut b = Bench::new();
    let soon = (b.now.seconds() + 100).to_string();
    deferred(&mut b, &soon, "0");
    let mut b = b.restarted();
    b.worker(1);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
    b.pass(95);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
}

#[test]
fn cron_jobs_run_when_their_minute_comes_and_again_when_they_are_repeated() {
    let mut b = Bench::new();
    let w = b.worker(1);
    // The bench begins at 1000 s: 16 min 40 s past midnight.
    b.submit(&[("CronMinute", "\"*/10\""), ("DeferralWindow", "0"), ("OnExitRemove", "NumJobCompletions >= 2")], 1);
    assert_eq!(b.attribute(FIRST, "DeferralTime").as_deref(), Some("1200"));
    b.pass(199);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
    b.pass(1);
    assert_eq!(b.status(FIRST).as_deref(), Some("2"));
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    assert_eq!(b.status(FIRST).as_deref(), Some("1"));
    assert_eq!(b.attribute(FIRST, "DeferralTime").as_deref(), Some("1800"));
    b.pass(600);
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    assert_eq!(b.event_numbers(FIRST), [0, 1, 4, 1, 5]);
}

#[test]
fn cron_settings_that_are_none_hold_the_job() {
    let mut b = Bench::new();
    b.submit(&[("CronHour", "\"25\"")], 1);
    assert_eq!(b.attribute(FIRST, "HoldReasonCode").as_deref(), Some("25"));
    assert_eq!(b.attribute(FIRST, "HoldReason").as_deref(), Some("\"Invalid parameter value '25' for CronHour\""));
}

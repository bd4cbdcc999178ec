//! What becomes of a job whose program has ended: `on_exit_hold`, `on_exit_remove`, and with them `max_retries`,
//! `retry_until` and `success_exit_code`, which the submit language turns into the latter.

use std::borrow::Cow;

use classad::{Expr, Scope, Value};
use journal::{Ended, Exit, Held, Record};
use userlog::Event;

use super::Master;
use super::promises::Then;
use crate::ids::{AttemptId, RecordNo, Timestamp};
use crate::io::{Effect, Notice, Trouble};
use crate::jobs::view::JobView;
use crate::jobs::{Hold, Slot};

const HOLD: &str = "onexithold";
const REMOVE: &str = "onexitremove";

/// HTCondor's code for a hold by the job's own policy.
pub(super) const POLICY: i32 = 3;
/// And for a policy that is undefined.
pub(super) const POLICY_UNDEFINED: i32 = 5;

/// What the job's policy says to an end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The job is done.
    Leave,
    /// It is held.
    Hold(Trouble),
    /// It runs again, for this reason.
    Requeue(String),
}

/// The job's ad at the moment of its end, of which the queue itself knows only when it is on disk.
struct AtExit<'a> {
    view: JobView<'a>,
    exit: Exit,
}

impl Scope for AtExit<'_> {
    fn lookup(&self, name: &str) -> Option<Cow<'_, Expr>> {
        let owned = |value: Value| Some(Cow::Owned(Expr::from(value)));
        match (&*name.to_ascii_lowercase(), self.exit) {
            ("exitbysignal", exit) => owned(Value::Bool(matches!(exit, Exit::Signal(_)))),
            ("exitcode", Exit::Code(code)) => owned(Value::Int(code.into())),
            ("exitsignal", Exit::Signal(signal)) => owned(Value::Int(signal.into())),
            ("exitcode" | "exitsignal", _) => None,
            ("numjobcompletions", _) => owned(Value::Int(i64::from(self.view.job.story().completions) + 1)),
            _ => self.view.lookup(name),
        }
    }
}

impl Master {
    /// Asks the job's policy.
    pub(super) fn fate(&self, now: Timestamp, slot: Slot, exit: Exit) -> Fate {
        let ad = AtExit { view: self.view(slot, now), exit };
        let value = |name: &str| ad.lookup(name).map(|expr| classad::eval(&expr, &ad, None, &ad.view.env()));
        let says = |name: &str, shown: &str, what: &str| {
            let text = ad.view.text(name).unwrap_or_default();
            format!("The job attribute {shown} expression '{text}' evaluated to {what}")
        };
        let own = |name: &str| ad.view.string(name).filter(|text| !text.is_empty());
        if value(HOLD).and_then(|hold| hold.truth()) == Some(true) {
            let reason = own("onexitholdreason").unwrap_or_else(|| says(HOLD, "OnExitHold", "TRUE"));
            let subcode = value("onexitholdsubcode").and_then(|n| n.as_int()).unwrap_or(0) as i32;
            return Fate::Hold(Trouble { code: POLICY, subcode, reason });
        }
        match value(REMOVE).map(|remove| remove.truth()) {
            None | Some(Some(true)) => Fate::Leave,
            Some(Some(false)) => Fate::Requeue(says(REMOVE, "OnExitRemove", "FALSE")),
            // Neither done nor to be repeated without end: somebody must look.
            Some(None) => {
                let reason = says(REMOVE, "OnExitRemove", "UNDEFINED");
                Fate::Hold(Trouble { code: POLICY_UNDEFINED, subcode: 0, reason })
            }
        }
    }

    /// The program has ended, and its job is held for that: no eviction, no end in the log.
    pub(super) fn hold_ended(&mut self, now: Timestamp, id: AttemptId, trouble: &Trouble) {
        let attempt = &self.attempts[&id];
        let (slot, job) = (attempt.slot, attempt.job);
        let held = Held {
            job,
            at_s: now.seconds(),
            code: trouble.code,
            subcode: trouble.subcode,
            reason: userlog::one_line(&trouble.reason),
            attempt: Some(attempt.number),
            exit: attempt.exit,
        };
        self.acknowledge(id);
        self.drop_attempt(id);
        let no = self.record(Record::Held(held.clone()));
        self.apply_stopped(slot, now.seconds());
        self.apply_held(slot, &held);
        self.when_stored(no, Then::Held(no, job, Box::new(Hold::of(&held))));
        self.effect(Effect::Notice(Notice::JobHeld { job, trouble: trouble.clone() }));
    }

    /// The end is on disk, and the job runs again.
    pub(super) fn finish_requeued(&mut self, now: Timestamp, no: RecordNo, id: AttemptId, ended: &Ended) {
        let slot = self.attempts[&id].slot;
        self.apply_requeued(slot, ended);
        self.log_requeued(now, no, slot, ended);
        self.acknowledge(id);
        self.drop_attempt(id);
        self.make_ready(now, slot);
    }

    pub(super) fn log_requeued(&mut self, now: Timestamp, no: RecordNo, slot: Slot, ended: &Ended) {
        let reason = ended.requeued.as_deref().unwrap_or_default();
        let bytes = (ended.bytes_received, ended.bytes_sent);
        let exit = super::events::log_exit(ended.exit);
        self.log(now, no, slot, |job, time| Event::requeued(job, time, exit, reason, bytes));
    }
}

//! `condor_qedit`, `condor_prio`: attributes of jobs are changed, all that were meant or none.

use classad::{Expr, Value};
use control_proto::{Acted, Edit, JobOutcome, Refusal, Reply, Targets};
use journal::{Edited, Edits, Record};

use super::Master;
use super::promises::Then;
use super::submit::facts;
use super::timers::Timer;
use crate::ids::{ClientId, JobId, Timestamp};
use crate::io::Caller;
use crate::jobs::view::HIDDEN_PREFIX;
use crate::jobs::{QueueKey, Slot, view};

/// Attributes that one request may change.
const ATTRIBUTES_MAX: usize = 1_000;

/// Longest expression: it is kept for each job that was meant.
const TEXT_MAX: usize = 64 << 10;

/// Facts that nobody may change, in lower case, besides those that the queue makes.
const FIXED: [&str; 5] = ["mytype", "stageoutfinish", "stageoutstart", "submit_iwd", "targettype"];

/// What was asked for counts for matching, and what HTCondor's defaults say does not (decision D26). Whoever sets one
/// of these asks for it.
pub(super) const ASKED: [(&str, &str); 2] = [("requestdisk", "_AwqDiskAsked"), ("requestmemory", "_AwqMemoryAsked")];

/// Each job with its changes, and the answer.
type Plan = (Vec<(Slot, Edits)>, Acted);

impl Master {
    pub(super) fn edit(&mut self, now: Timestamp, client: ClientId, caller: &Caller, edit: &Edit) {
        if let Some(reason) = &self.store_failed {
            let message = format!("the journal cannot be written: {reason}");
            return self.refuse(client, Refusal::Storage, message);
        }
        let before = self.last_record();
        let changes = self.edits(now, caller, edit);
        let (changes, acted) = match changes {
            Ok(changes) => changes,
            Err((code, message)) => return self.refuse(client, code, message),
        };
        if edit.dry_run {
            return self.answer(client, Reply::Acted(acted));
        }
        for (slot, attributes) in changes {
            let edited = Edited { job: self.table.get(slot).id, at_s: now.seconds(), attributes };
            self.apply_edited(slot, &edited);
            self.record(Record::Edited(edited));
        }
        // The answer waits for the last promise that this request made, or for nothing.
        match self.promises.last() {
            Some(last) if last > before => self.when_stored(last, Then::AnswerLogged(client, Reply::Acted(acted))),
            _ => self.answer(client, Reply::Acted(acted)),
        }
    }

    /// What is to be changed, and the answer; nothing is changed yet.
    fn edits(&self, now: Timestamp, caller: &Caller, edit: &Edit) -> Result<Plan, (Refusal, String)> {
        let expressions = expressions(edit)?;
        let mut acted = Acted { queue_empty: self.table.is_empty(), ..Acted::default() };
        let mut meant: Vec<Slot> = Vec::new();
        match &edit.targets {
            Targets::Jobs(numbers) => {
                for number in numbers {
                    let slot = self.table.find(JobId::new(number.0, number.1));
                    let outcome = match slot.filter(|slot| !self.is_gone(*slot)) {
                        Some(slot) if self.may_change(caller, slot) => {
                            meant.push(slot);
                            JobOutcome::Success
                        }
                        Some(_) => JobOutcome::PermissionDenied,
                        None => JobOutcome::NotFound,
                    };
                    acted.jobs.push((*number, outcome));
                    acted.counts.add(outcome);
                }
            }
            Targets::Constraint(text) => {
                let constraint = classad::parse_expr(text)
                    .map_err(|_| (Refusal::Constraint, format!("the constraint does not parse: {text}")))?;
                meant = self.matching(now, text, &constraint);
            }
            Targets::All => meant = self.table.from(JobId::new(0, 0)).map(|(_, slot)| slot).collect(),
        }
        if !matches!(edit.targets, Targets::Jobs(_)) {
            meant.retain(|slot| self.may_change(caller, *slot) && !self.is_gone(*slot));
            meant.iter().for_each(|_| acted.counts.add(JobOutcome::Success));
        }
        let edits = |slot: Slot| Ok((slot, self.edits_of(now, slot, &expressions, edit.evaluate)?));
        let changes: Result<Vec<_>, (Refusal, String)> = meant.into_iter().map(edits).collect();
        Ok((changes?, acted))
    }

    fn edits_of(
        &self,
        now: Timestamp,
        slot: Slot,
        expressions: &[(String, Expr)],
        evaluate: bool,
    ) -> Result<Edits, (Refusal, String)> {
        let view = self.view(slot, now);
        let mut edits = Edits::new();
        for (name, expr) in expressions {
            let folded = name.to_ascii_lowercase();
            if folded == "iwd" && view.is_spooled() {
                let why = format!("{name} of job {} cannot be changed: its files are in the spool", view.job.id);
                return Err((Refusal::Permission, why));
            }
            let text = if evaluate {
                match view.eval(expr) {
                    Value::Undefined | Value::Error => {
                        let why = format!("{name} of job {} would have no value: {expr}", view.job.id);
                        return Err((Refusal::Malformed, why));
                    }
                    value => Expr::from(value).to_string(),
                }
            } else {
                expr.to_string()
            };
            edits.push((name.clone(), Some(text)));
            if let Some((_, note)) = ASKED.iter().find(|(asked, _)| *asked == folded) {
                edits.push(((*note).to_owned(), Some("true".to_owned())));
            }
        }
        Ok(edits)
    }

    /// Gives an edited job the place among the waiting, and the attention, that its ad asks for now.
    pub(super) fn follow_edits(&mut self, slot: Slot) {
        if self.table.get(slot).story().edits.is_empty() {
            return;
        }
        self.note_edited_policies(slot);
        let waits = self.table.get(slot).is_waiting();
        self.table.dequeue(slot);
        let mut classes = std::mem::take(&mut self.table.idle.classes);
        let mut limits = std::mem::take(&mut self.table.idle.limits);
        // The time does not count: a class that depends on it is asked again when a machine is looked for.
        let view = self.view(slot, Timestamp(0));
        let text = |name: &str| view.text(name).unwrap_or_default();
        let wishes = (&*text("requirements"), &*text("rank"));
        let found = facts(&view, wishes, &view.env(), &[], (&mut classes, &mut limits));
        self.table.idle.classes = classes;
        self.table.idle.limits = limits;
        let owner = self.table.get(slot).owner;
        self.table.move_to(slot, QueueKey { owner, shape: found.shape, class: found.class, limits: found.limits });
        self.table.get_mut(slot).prio = found.prio;
        let job = self.table.get(slot).id;
        if self.table.deferrals.get(&job).is_some_and(|deferral| deferral.waits) {
            // Its time may be another one now.
            self.timers.set(Timestamp(0), Timer::Deferral(job));
        }
        if waits {
            self.table.enqueue(slot);
            self.dirty.queue(self.table.get(slot).queue);
        }
    }
}

/// The changes as expressions, or why there can be none.
fn expressions(edit: &Edit) -> Result<Vec<(String, Expr)>, (Refusal, String)> {
    let malformed = |message: String| Err((Refusal::Malformed, message));
    if edit.attributes.is_empty() || edit.attributes.len() > ATTRIBUTES_MAX {
        let count = edit.attributes.len();
        return malformed(format!("{count} attributes are to be changed; it must be 1 to {ATTRIBUTES_MAX}"));
    }
    let mut expressions: Vec<(String, Expr)> = Vec::with_capacity(edit.attributes.len());
    for (name, text) in &edit.attributes {
        let folded = name.to_ascii_lowercase();
        let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !letters || name.is_empty() || name.as_bytes()[0].is_ascii_digit() || name.len() > 256 {
            return malformed(format!("{name:?} is no name of an attribute: letters, digits and _ make one"));
        }
        if folded.starts_with(HIDDEN_PREFIX)
            || FIXED.contains(&folded.as_str())
            || (view::changes(&folded) && !["iwd", "deferraltime"].contains(&&*folded))
        {
            return Err((Refusal::Permission, format!("{name} cannot be changed: the queue itself keeps it")));
        }
        if text.len() > TEXT_MAX {
            return malformed(format!("the value of {name} is longer than {TEXT_MAX} bytes"));
        }
        match classad::parse_expr(text) {
            Ok(expr) => {
                expressions.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
                expressions.push((name.clone(), expr));
            }
            Err(error) => return malformed(format!("the value of {name} is no ClassAd expression: {text} ({error})")),
        }
    }
    Ok(expressions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str) -> Result<(), Refusal> {
        let attributes = vec![(name.to_owned(), text.to_owned())];
        let edit = Edit { targets: Targets::All, attributes, evaluate: false, dry_run: false };
        expressions(&edit).map(|_| ()).map_err(|(code, _)| code)
    }

    #[test]
    fn what_the_queue_keeps_is_not_the_users() {
        for name in ["ClusterId", "procid", "JobStatus", "OWNER", "User", "MyType", "_AwqExecutable", "NumJobStarts"] {
            assert_eq!(check(name, "1"), Err(Refusal::Permission), "{name}");
        }
        for name in ["JobPrio", "Requirements", "RequestMemory", "Foo", "Iwd", "Cmd", "x_1"] {
            assert_eq!(check(name, "1"), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_and_values_are_looked_at() {
        for (name, text) in [("", "1"), ("1x", "1"), ("a b", "1"), ("A", ""), ("A", "1 +"), ("A", "(")] {
            assert_eq!(check(name, text), Err(Refusal::Malformed), "{name:?} = {text:?}");
        }
        assert_eq!(check("A", &" ".repeat(TEXT_MAX + 1)), Err(Refusal::Malformed));
    }
}

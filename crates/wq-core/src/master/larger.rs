//! `retry_request_memory`, `retry_request_disk`: a job that exceeded what it asked for runs again with more, as its
//! submit file says, and is held when there is no more.
//!
//! `condor_submit` writes what is to be done as small transformations of the ad, whose lines are separated by U+001E:
//! `REQUIREMENTS expression`, `SET name expression`, `EVALSET name expression`. `TransformOnEvict` names them.

use std::borrow::Cow;

use classad::{ClassAd, Expr, Scope, Value};
use journal::{Edited, Edits, LostReason, Record};

use super::Master;
use super::edit::ASKED;
use crate::ids::{AttemptId, Timestamp};
use crate::io::Trouble;
use crate::jobs::Slot;
use crate::jobs::view::JobView;

impl Master {
    /// Sends the job back to the queue with a larger request; false if it has none left and is to be held.
    pub(super) fn retry_with_more(&mut self, now: Timestamp, id: AttemptId, slot: Slot, trouble: &Trouble) -> bool {
        let attributes = changes(&self.view(slot, now), trouble);
        if attributes.is_empty() {
            return false;
        }
        self.lose_as(now, id, LostReason::Rescheduled, (trouble.code, trouble.subcode), &trouble.reason);
        let edited = Edited { job: self.table.get(slot).id, at_s: now.seconds(), attributes };
        self.apply_edited(slot, &edited);
        self.record(Record::Edited(edited));
        true
    }
}

/// What the transformations change.
fn changes(job: &JobView<'_>, trouble: &Trouble) -> Edits {
    let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
    let names = text(job.value("transformonevict"));
    let mut ad = Transformed { job, own: ClassAd::new() };
    ad.own.insert("VacateReasonCode", i64::from(trouble.code));
    ad.own.insert("VacateReasonSubCode", i64::from(trouble.subcode));
    let mut edits = Edits::new();
    for name in names.split([' ', ',']).filter(|name| !name.is_empty()) {
        let body = text(job.value(&format!("transformbody_{}", name.to_ascii_lowercase())));
        for (name, expr) in ad.transform(&body).unwrap_or_default() {
            let new = expr.to_string();
            if job.text(&name.to_ascii_lowercase()).is_none_or(|old| old != new) {
                edits.retain(|(known, _): &(String, _)| !known.eq_ignore_ascii_case(&name));
                edits.push((name, Some(new)));
            }
        }
    }
    let asked = |(name, note): &(&str, &str)| {
        edits.iter().any(|(edited, _)| edited.eq_ignore_ascii_case(name)).then(|| (*note).to_owned())
    };
    let notes: Vec<String> = ASKED.iter().filter_map(asked).collect();
    edits.extend(notes.into_iter().map(|note| (note, Some("true".to_owned()))));
    edits
}

/// The job's ad with what was set so far.
struct Transformed<'a> {
    job: &'a JobView<'a>,
    own: ClassAd,
}

impl Transformed<'_> {
    /// What one transformation sets, in order; `None` if it does not apply or cannot be done.
    fn transform(&mut self, body: &str) -> Option<Vec<(String, Expr)>> {
        let mut set = Vec::new();
        for line in body.split(['\u{1e}', '\n']).filter(|line| !line.trim().is_empty()) {
            let (verb, rest) = line.trim().split_once(' ')?;
            let (name, text) = rest.trim_start().split_once(' ').unwrap_or((rest, ""));
            match verb {
                "REQUIREMENTS" if self.value(&classad::parse_expr(rest).ok()?).truth() == Some(true) => continue,
                "SET" => set.push((name.to_owned(), classad::parse_expr(text).ok()?)),
                "EVALSET" => match self.value(&classad::parse_expr(text).ok()?) {
                    Value::Undefined | Value::Error => return None,
                    value => set.push((name.to_owned(), Expr::from(value))),
                },
                _ => return None,
            }
            let (name, expr) = set.last()?;
            self.own.insert(name, expr.clone());
        }
        Some(set)
    }

    fn value(&self, expr: &Expr) -> Value {
        classad::eval(expr, self, None, &self.job.env())
    }
}

impl Scope for Transformed<'_> {
    fn lookup(&self, name: &str) -> Option<Cow<'_, Expr>> {
        self.own.get(name).map(Cow::Borrowed).or_else(|| self.job.lookup(name))
    }
}

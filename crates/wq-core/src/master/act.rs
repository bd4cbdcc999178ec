//! `condor_rm`, `condor_hold`, `condor_release`, `condor_vacate_job`: one rule a job, whoever is meant.

use classad::Expr;
use control_proto::{Act, Acted, Action, JobOutcome, Refusal, Reply, Targets};
use journal::{Held, Record, Released, Removed};

use super::Master;
use super::events::{BY_REMOVAL, VACATED};
use super::factories::Meant;
use super::promises::Then;
use crate::ids::{ClientId, JobId, RecordNo, Timestamp};
use crate::io::Caller;
use crate::jobs::{Departure, Hold, Slot, Status};
use crate::run::{State, Verdict};

impl Master {
    pub(super) fn act(&mut self, now: Timestamp, client: ClientId, caller: &Caller, act: Act) {
        if let Some(reason) = &self.store_failed {
            let message = format!("the journal cannot be written: {reason}");
            return self.refuse(client, Refusal::Storage, message);
        }
        let before = self.last_record();
        let mut acted = Acted { queue_empty: self.table.is_empty(), ..Acted::default() };
        match &act.targets {
            Targets::Jobs(numbers) => {
                for number in numbers {
                    let outcome = match self.table.find(JobId::new(number.0, number.1)) {
                        Some(slot) if self.may_change(caller, slot) => self.act_on(now, caller, &act, slot),
                        Some(_) => JobOutcome::PermissionDenied,
                        None => JobOutcome::NotFound,
                    };
                    acted.jobs.push((*number, outcome));
                    acted.counts.add(outcome);
                }
            }
            Targets::Constraint(text) => {
                let Ok(constraint) = classad::parse_expr(text) else {
                    return self.refuse(client, Refusal::Constraint, format!("the constraint does not parse: {text}"));
                };
                for slot in self.matching(now, text, &constraint) {
                    self.act_on_many(now, caller, &act, slot, &mut acted);
                }
            }
            Targets::All => {
                let all: Vec<Slot> = self.table.from(JobId::new(0, 0)).map(|(_, slot)| slot).collect();
                for slot in all {
                    self.act_on_many(now, caller, &act, slot, &mut acted);
                }
            }
        }
        let changed = match &act.targets {
            Targets::Jobs(_) => 0,
            Targets::All => self.act_on_factories(now, caller, &act, &Meant::All),
            Targets::Constraint(text) => {
                let constraint = classad::parse_expr(text).expect("it was parsed before");
                let clusters = clusters_named(text);
                let meant = clusters.as_deref().map_or(Meant::Constraint(&constraint), Meant::Clusters);
                self.act_on_factories(now, caller, &act, &meant)
            }
        };
        (0..changed).for_each(|_| acted.counts.add(JobOutcome::Success));
        // The answer waits for the last promise that this request made, or for nothing.
        match self.promises.last() {
            Some(last) if last > before => self.when_stored(last, Then::AnswerLogged(client, Reply::Acted(acted))),
            _ => self.answer(client, Reply::Acted(acted)),
        }
    }

    /// Clusters with jobs that have not entered the queue: what is done to a cluster is done to these too. Says for how many
    /// it was news.
    fn act_on_factories(&mut self, now: Timestamp, caller: &Caller, act: &Act, meant: &Meant<'_>) -> u64 {
        match act.action {
            Action::Remove | Action::RemoveForce => {
                self.drop_factories(now, caller, meant, &words(act, caller, "condor_rm"));
                0
            }
            Action::Hold => {
                let code = (1, act.subcode.unwrap_or(0));
                self.pause_factories(now, caller, meant, code, &words(act, caller, "condor_hold"))
            }
            Action::Release => self.resume_factories(now, caller, meant, &words(act, caller, "condor_release")),
            Action::Vacate => 0,
        }
    }

    fn act_on_many(&mut self, now: Timestamp, caller: &Caller, act: &Act, slot: Slot, acted: &mut Acted) {
        if self.may_change(caller, slot) {
            let outcome = self.act_on(now, caller, act, slot);
            acted.counts.add(outcome);
        }
    }

    pub(super) fn may_change(&self, caller: &Caller, slot: Slot) -> bool {
        caller.superuser || self.table.owner_of(self.table.get(slot).owner).uid == caller.uid
    }

    /// Jobs for which a constraint is true. One that only names clusters looks at those alone.
    pub(super) fn matching(&self, now: Timestamp, text: &str, constraint: &Expr) -> Vec<Slot> {
        match clusters_named(text) {
            Some(clusters) => {
                clusters.into_iter().flat_map(|c| self.table.of_cluster(c)).map(|(_, slot)| slot).collect()
            }
            None => self
                .table
                .from(JobId::new(0, 0))
                .map(|(_, slot)| slot)
                .filter(|slot| self.view(*slot, now).eval(constraint).truth() == Some(true))
                .collect(),
        }
    }

    fn act_on(&mut self, now: Timestamp, caller: &Caller, act: &Act, slot: Slot) -> JobOutcome {
        if self.is_gone(slot) {
            // For everybody else it is gone already.
            return JobOutcome::NotFound;
        }
        let words = |tool: &str| words(act, caller, tool);
        match act.action {
            Action::Remove => self.remove(now, slot, &words("condor_rm")),
            Action::RemoveForce => self.remove_force(now, slot),
            Action::Hold => self.hold_by_user(now, slot, &words("condor_hold"), act.subcode.unwrap_or(0)),
            Action::Release => self.release(now, slot, &words("condor_release")),
            Action::Vacate => {
                if self.vacate(now, slot, "Job vacated by schedd") {
                    JobOutcome::Success
                } else {
                    JobOutcome::BadStatus
                }
            }
        }
    }

    /// State 3 at once; a run is killed first, then the job leaves.
    pub(super) fn remove(&mut self, now: Timestamp, slot: Slot, reason: &str) -> JobOutcome {
        let job = self.table.get(slot);
        let (id, status) = (job.id, job.status());
        if status == Status::Removed {
            return JobOutcome::AlreadyDone;
        }
        let removed = Removed { job: id, at_s: now.seconds(), reason: userlog::one_line(reason) };
        let no = self.record(Record::Removed(removed.clone()));
        if status == Status::Running {
            self.log_evicted(now, no, slot, (BY_REMOVAL, 0), &removed.reason);
        }
        self.tell_hold_under_way(no, slot);
        if self.table.get(slot).story().departure != Departure::None {
            // It had left with its end, of which its log has told.
            self.table.get_mut(slot).story_mut().told_removed = true;
        }
        self.apply_removed(slot, &removed);
        if !self.stop_run(now, slot, Verdict::Remove) {
            self.when_stored(no, Then::Leave(id));
        }
        JobOutcome::Success
    }

    /// `-forcex`: a job in state X leaves without waiting for its worker.
    fn remove_force(&mut self, now: Timestamp, slot: Slot) -> JobOutcome {
        let job = self.table.get(slot);
        let id = job.id;
        if job.status() != Status::Removed {
            return JobOutcome::BadStatus;
        }
        if let Some(attempt) = job.story().attempt {
            self.killed(now, attempt);
        }
        self.when_settled(now, Then::LeaveForced(id));
        JobOutcome::Success
    }

    fn hold_by_user(&mut self, now: Timestamp, slot: Slot, reason: &str, subcode: i32) -> JobOutcome {
        match self.table.get(slot).status() {
            Status::Held => return JobOutcome::AlreadyDone,
            Status::Removed | Status::Completed => return JobOutcome::PermissionDenied,
            Status::Idle | Status::Running => {}
        }
        self.hold_run(now, slot, (1, subcode), reason);
        JobOutcome::Success
    }

    /// Holds a job, stopping its run first; its log hears of it when the run is over and the record durable.
    pub(super) fn hold_run(&mut self, now: Timestamp, slot: Slot, (code, subcode): (i32, i32), reason: &str) {
        let job = self.table.get(slot);
        let (id, status, attempt) = (job.id, job.status(), job.story().attempts);
        let running = status == Status::Running;
        let held = Held {
            job: id,
            at_s: now.seconds(),
            code,
            subcode,
            reason: userlog::one_line(reason),
            attempt: running.then_some(attempt),
            exit: None,
        };
        let no = self.record(Record::Held(held.clone()));
        if running {
            self.log_evicted(now, no, slot, (VACATED, 0), &held.reason);
            self.table.get_mut(slot).story_mut().count_vacate("UserHoldJob", &held.reason, now.seconds());
        }
        self.apply_held(slot, &held);
        if !self.stop_run(now, slot, Verdict::Hold(no)) {
            self.when_stored(no, Then::Held(no, id, Box::new(Hold::of(&held))));
        }
    }

    /// The log hears of a hold when the run is over; a release or removal of record `no` does not overtake it.
    fn tell_hold_under_way(&mut self, no: RecordNo, slot: Slot) {
        let story = self.table.get(slot).story();
        if let Some(attempt) = story.attempt.and_then(|id| self.attempts.get_mut(&id))
            && let State::Killing(Verdict::Hold(held)) = attempt.state
        {
            attempt.state = State::Killing(Verdict::Nothing);
            let (job, hold) = (attempt.job, story.hold.clone());
            if let Some(hold) = hold {
                self.when_stored(no, Then::Held(held, job, Box::new(hold)));
            }
        }
    }

    pub(super) fn release(&mut self, now: Timestamp, slot: Slot, reason: &str) -> JobOutcome {
        let job = self.table.get(slot);
        let id = job.id;
        if job.status() != Status::Held {
            return JobOutcome::BadStatus;
        }
        let released = Released { job: id, at_s: now.seconds(), reason: userlog::one_line(reason) };
        let no = self.record(Record::Released(released.clone()));
        self.tell_hold_under_way(no, slot);
        self.apply_released(slot, &released.reason, released.at_s);
        self.when_stored(no, Then::Released(id));
        JobOutcome::Success
    }
}

/// Why something was done.
fn words(act: &Act, caller: &Caller, tool: &str) -> String {
    match &act.reason {
        Some(reason) => format!("{reason} (by user {})", caller.name),
        None => format!("via {tool} (by user {})", caller.name),
    }
}

/// The clusters of an expression such as `ClusterId == 7 || ClusterId == 8`, blanks and parentheses aside; `None` for
/// anything else. This is what `condor_rm 7 8` asks, and a million other jobs need not be looked at for it.
pub(super) fn clusters_named(text: &str) -> Option<Vec<u32>> {
    let bare: String = text.chars().filter(|c| !c.is_ascii_whitespace() && *c != '(' && *c != ')').collect();
    bare.split("||")
        .map(|part| {
            let (name, number) = part.split_once("==")?;
            name.eq_ignore_ascii_case("clusterid").then_some(())?;
            number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok())?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::clusters_named;

    #[test]
    fn only_plain_lists_of_clusters_are_recognised() {
        assert_eq!(clusters_named("(ClusterId == 7 || ClusterId == 8)"), Some(vec![7, 8]));
        assert_eq!(clusters_named("clusterid==12"), Some(vec![12]));
        for other in [
            "ClusterId == 7 && ProcId == 1",
            "ClusterId > 7",
            "ClusterId == x",
            "true",
            "",
            "ClusterId == -1",
            "ClusterId =?= 7",
        ] {
            assert_eq!(clusters_named(other), None, "{other}");
        }
    }
}

//! `condor_rm`, `condor_hold`, `condor_release`, `condor_vacate_job`, `condor_suspend`, `condor_continue`: one program
//! under several names.
//!
//! Single jobs are sent at once, then all else as one constraint (see `order`). The exit code is 0 as soon as one job was acted on
//! (decision D62).

mod order;

use std::io::Read;

use control_proto::client::ClientError;
use control_proto::{Act, Acted, Action, Counts, JobOutcome, Query, Refusal, Reply, Request, Targets};

use crate::master;
use crate::version;
use crate::world::{Outcome, World};
use order::{Group, Instead, Order};

/// What a program of the family does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Remove,
    RemoveForce,
    Hold,
    Release,
    Vacate,
    VacateFast,
    Suspend,
    Continue,
}

impl Verb {
    /// What the master is asked, or why it is not.
    fn action(self) -> Result<Action, &'static str> {
        Ok(match self {
            Verb::Remove => Action::Remove,
            Verb::RemoveForce => Action::RemoveForce,
            Verb::Hold => Action::Hold,
            Verb::Release => Action::Release,
            // Work Queue knows only one way to stop a task, the fast one (decision D31).
            Verb::Vacate | Verb::VacateFast => Action::Vacate,
            Verb::Suspend => {
                return Err(
                    "workers of Work Queue cannot pause a task: condor_hold stops a job until it is released, \
                     condor_vacate_job stops it and queues it again",
                );
            }
            Verb::Continue => return Err("no job is ever suspended here, so there is nothing to continue"),
        })
    }

    /// HTCondor's number of the action, for `-long`.
    fn number(self) -> u8 {
        match self {
            Verb::Hold => 1,
            Verb::Release => 2,
            Verb::Remove => 3,
            Verb::RemoveForce => 4,
            Verb::Vacate => 5,
            Verb::VacateFast => 6,
            Verb::Suspend => 8,
            Verb::Continue => 9,
        }
    }

    /// `Couldn't find/WORD all jobs`, `Permission denied to WORD job`.
    fn word(self) -> &'static str {
        match self {
            Verb::Remove | Verb::RemoveForce => "remove",
            Verb::Hold => "hold",
            Verb::Release => "release",
            Verb::Vacate => "vacate",
            Verb::VacateFast => "fast-vacate",
            Verb::Suspend => "suspend",
            Verb::Continue => "continue",
        }
    }

    /// `Job 1.0 WORDS`.
    fn one(self) -> &'static str {
        match self {
            Verb::Remove => "marked for removal",
            Verb::RemoveForce => "removed locally (remote state unknown)",
            Verb::Hold => "held",
            Verb::Release => "released",
            Verb::Vacate => "vacated",
            Verb::VacateFast => "fast-vacated",
            Verb::Suspend => "suspended",
            Verb::Continue => "continued",
        }
    }

    /// `All jobs in cluster 2 have been WORDS`.
    fn many(self) -> &'static str {
        match self {
            Verb::RemoveForce => "removed locally (remote state unknown)",
            other => other.one(),
        }
    }

    /// A line about one job.
    fn line(self, cluster: u32, proc: u32, outcome: JobOutcome) -> String {
        let job = format!("Job {cluster}.{proc}");
        match (outcome, self) {
            (JobOutcome::Success, _) => format!("{job} {}", self.one()),
            (JobOutcome::NotFound, _) => format!("{job} not found"),
            (JobOutcome::PermissionDenied, Verb::RemoveForce) => {
                format!("Permission denied to force removal of job {cluster}.{proc}")
            }
            (JobOutcome::PermissionDenied, _) => format!("Permission denied to {} job {cluster}.{proc}", self.word()),
            (JobOutcome::BadStatus, Verb::RemoveForce) => {
                format!("{job} not in `X' state to be forcibly removed")
            }
            (JobOutcome::BadStatus, Verb::Release) => format!("{job} not held to be released"),
            (JobOutcome::BadStatus, Verb::Vacate | Verb::VacateFast) => {
                format!("{job} not running to be {}", self.one())
            }
            (JobOutcome::BadStatus, _) => format!("Invalid result for job {cluster}.{proc}"),
            (JobOutcome::AlreadyDone, Verb::RemoveForce) => format!("{job} already marked for forced removal"),
            (JobOutcome::AlreadyDone, _) => format!("{job} already {}", self.one()),
        }
    }
}

const RM_USAGE: &str = include_str!("usage/condor_rm.txt");
const HOLD_USAGE: &str = include_str!("usage/condor_hold.txt");
const RELEASE_USAGE: &str = include_str!("usage/condor_release.txt");
const VACATE_USAGE: &str = include_str!("usage/condor_vacate_job.txt");
const SUSPEND_USAGE: &str = include_str!("usage/condor_suspend.txt");
const CONTINUE_USAGE: &str = include_str!("usage/condor_continue.txt");

/// `condor_rm`
pub fn rm(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    run(Verb::Remove, RM_USAGE, arguments, world)
}

/// `condor_hold`
pub fn hold(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    run(Verb::Hold, HOLD_USAGE, arguments, world)
}

/// `condor_release`
pub fn release(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    run(Verb::Release, RELEASE_USAGE, arguments, world)
}

/// `condor_vacate_job`
pub fn vacate_job(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    run(Verb::Vacate, VACATE_USAGE, arguments, world)
}

/// `condor_suspend`
pub fn suspend(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    run(Verb::Suspend, SUSPEND_USAGE, arguments, world)
}

/// `condor_continue`
pub fn continue_job(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    run(Verb::Continue, CONTINUE_USAGE, arguments, world)
}

fn run(verb: Verb, usage: &str, arguments: &[String], world: &World) -> Outcome {
    match order::read(verb, arguments) {
        Ok(order) => {
            let mut outcome = carry_out(&order, world);
            outcome.err.splice(0..0, order.complaints.bytes());
            outcome.code |= i32::from(order.misread);
            outcome
        }
        Err(Instead::Help) => Outcome { err: usage.into(), ..Outcome::default() },
        Err(Instead::Version) => version::answer(),
        Err(Instead::Usage(lines)) => Outcome::failure(format!("{lines}{usage}")),
        Err(Instead::Line(line)) => Outcome::failure(format!("{line}\n")),
        Err(Instead::OwnLine(line)) => Outcome::failure(format!("{}: {line}\n", world.program)),
    }
}

/// Lines for both streams; whether anything succeeded.
#[derive(Debug, Default)]
struct Report {
    out: String,
    err: String,
    success: bool,
    /// An error's own text stands first, so no empty line goes before the rest.
    explained: bool,
}

fn carry_out(order: &Order, world: &World) -> Outcome {
    if let Some(name) = &order.name {
        match master::name_is_known(world, name) {
            Ok(true) => {}
            Ok(false) => return Outcome::failure(format!("Error: cannot get address of schedd {name}\n")),
            Err(error) => return unanswered(world, &error),
        }
    }
    let action = match order.verb.action() {
        Ok(action) => action,
        Err(why) => return refuse_all(order, why, world),
    };
    let mut report = Report::default();
    for group in &order.groups {
        let request = Request::Act(Act {
            action,
            targets: group.targets.clone(),
            reason: order.reason.clone(),
            subcode: order.subcode,
        });
        let answer = match master::ask(world, &request) {
            Ok(answer) => answer,
            // What was done before stays done and is told.
            Err(error) => {
                let failure = unanswered(world, &error);
                report.err.push_str(&String::from_utf8_lossy(&failure.err));
                report.explained = true;
                return report.finish();
            }
        };
        match answer.reply {
            Reply::Acted(acted) => {
                if order.long {
                    report.out.push_str(&long(order.verb, group, &acted, answer.site.superuser, world));
                }
                report.add(order, group, &acted);
            }
            Reply::Refused { code: Refusal::Constraint, .. } => {
                report.err.push_str("DCSchedd::actOnJobs:1:Can't insert constraint into ClassAd\n");
                report.explained = true;
                report.could_not(order.verb, group);
            }
            Reply::Refused { code, message, speaks } => {
                let sentence = master::sentence(code, &message, speaks);
                report.err.push_str(&format!("{}: {sentence}\n", world.program));
                report.explained = true;
            }
            _ => return master::unexpected(world),
        }
    }
    report.finish()
}

/// Nothing can be done to any job; a master that is down is the more important news.
fn refuse_all(order: &Order, why: &str, world: &World) -> Outcome {
    if let Err(error) = master::ask(world, &Request::Ping) {
        return unanswered(world, &error);
    }
    let mut report = Report { explained: true, ..Report::default() };
    report.err = format!("{}: {why}\n", world.program);
    for group in &order.groups {
        match &group.targets {
            Targets::Jobs(jobs) => {
                let line =
                    |&(cluster, proc): &(u32, u32)| order.verb.line(cluster, proc, JobOutcome::PermissionDenied) + "\n";
                report.err.extend(jobs.iter().map(line));
            }
            _ => report.could_not(order.verb, group),
        }
    }
    report.finish()
}

impl Report {
    fn add(&mut self, order: &Order, group: &Group, acted: &Acted) {
        if order.totals && !order.long {
            self.out.push_str(&totals(&acted.counts));
        }
        if let Targets::Jobs(_) = group.targets {
            for &((cluster, proc), outcome) in &acted.jobs {
                let line = order.verb.line(cluster, proc, outcome);
                if outcome == JobOutcome::Success {
                    self.success = true;
                    self.out.push_str(&line);
                    self.out.push('\n');
                } else {
                    self.err.push_str(&line);
                    self.err.push('\n');
                }
            }
        } else if acted.counts.success > 0 {
            self.success = true;
            let whose = if group.whose.is_empty() { String::new() } else { format!(" {}", group.whose) };
            self.out.push_str(&format!("All jobs{whose} have been {}\n", order.verb.many()));
        } else if group.targets == Targets::All && acted.queue_empty {
            self.err.push_str(&format!("condor_{}:0:There are no jobs in the queue\n", program_word(order.verb)));
            self.explained = true;
        } else {
            self.could_not(order.verb, group);
        }
    }

    fn could_not(&mut self, verb: Verb, group: &Group) {
        let whose = if group.whose.is_empty() { String::new() } else { format!(" {}", group.whose) };
        self.err.push_str(&format!("Couldn't find/{} all jobs{whose}\n", verb.word()));
    }

    /// Without any success an empty line goes before the failures, as HTCondor prints them.
    fn finish(self) -> Outcome {
        let blank = !self.success && !self.explained && !self.err.is_empty();
        let err = if blank { format!("\n{}", self.err) } else { self.err };
        Outcome { code: i32::from(!self.success), out: self.out.into(), err: err.into() }
    }
}

fn program_word(verb: Verb) -> &'static str {
    match verb {
        Verb::Remove | Verb::RemoveForce => "rm",
        Verb::Hold => "hold",
        Verb::Release => "release",
        Verb::Vacate | Verb::VacateFast => "vacate_job",
        Verb::Suspend => "suspend",
        Verb::Continue => "continue",
    }
}

fn totals(counts: &Counts) -> String {
    format!(
        "{} Succeeded, 0 Failed, {} Not Found, {} Bad Status, {} Already Done, {} Permission Denied\n",
        counts.success, counts.not_found, counts.bad_status, counts.already_done, counts.permission_denied
    )
}

/// `-long`: the answer as HTCondor's result ad. Its count of all jobs needs a question of its own.
fn long(verb: Verb, group: &Group, acted: &Acted, superuser: bool, world: &World) -> String {
    let query = Query { totals_only: true, ..Query::default() };
    let queued = master::ask(world, &Request::Query(query)).ok().and_then(|answer| answer.end);
    let single = matches!(group.targets, Targets::Jobs(_));
    let success = acted.counts.success > 0 || acted.jobs.iter().any(|(_, o)| *o == JobOutcome::Success);
    let mut out = format!(
        "ActionResult = {}\nActionResultType = {}\nIsQueueSuperUser = {superuser}\nJobAction = {}\nTotalJobAds = {}\n",
        u8::from(success),
        if single { 1 } else { 2 },
        verb.number(),
        queued.map_or(0, |end| end.all.jobs),
    );
    if single {
        for &((cluster, proc), outcome) in &acted.jobs {
            let code = match outcome {
                JobOutcome::Success => 1,
                JobOutcome::NotFound => 2,
                JobOutcome::BadStatus => 3,
                JobOutcome::AlreadyDone => 4,
                JobOutcome::PermissionDenied => 5,
            };
            out.push_str(&format!("job_{cluster}_{proc} = {code}\n"));
        }
    } else {
        let c = &acted.counts;
        let numbers = [0, c.success, c.not_found, c.bad_status, c.already_done, c.permission_denied];
        for (index, number) in numbers.iter().enumerate() {
            out.push_str(&format!("result_total_{index} = {number}\n"));
        }
    }
    out.push('\n');
    out
}

fn unanswered(world: &World, error: &ClientError) -> Outcome {
    master::down(world, error, &format!("{}: CEDAR:6001:Failed to connect to @ADDRESS@\n", world.program))
}

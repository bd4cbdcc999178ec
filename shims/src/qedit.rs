//! `condor_qedit`: attributes of jobs are changed, all or none.
//!
//! Texts of HTCondor 25.13, with a line more where the master says why.

mod order;

use std::io::Read;

use control_proto::client::ClientError;
use control_proto::{Acted, Edit, JobOutcome, Refusal, Reply, Request, Targets};

use crate::master;
use crate::version;
use crate::world::{Outcome, World};
use order::{Instead, Order};

const USAGE: &str = include_str!("usage/condor_qedit.txt");

/// Attributes that never change, as HTCondor names them, in lower case. `JobUniverse` is not among them: a job here may
/// go another way with its next run.
const IMMUTABLE: [&str; 7] = ["clusterid", "mytype", "osuser", "owner", "procid", "targettype", "user"];

/// Attributes that only the queue sets, in lower case.
const SECURE: [&str; 12] = [
    "authtokengroups",
    "authtokenid",
    "authtokenissuer",
    "authtokenproject",
    "authtokenscopes",
    "authtokensubject",
    "totalsubmitprocs",
    "x509userproxyemail",
    "x509userproxyfirstfqan",
    "x509userproxyfqan",
    "x509userproxysubject",
    "x509userproxyvoname",
];

/// Nothing was changed, said behind every failure.
const NOTHING_SET: &str = "Queue transaction failed.  No attributes were set.\n";

/// The same before the master is asked.
const NOTHING_ASKED: &str = "Transaction failed.  No attributes were set.\n";

/// `condor_qedit ARGUMENTS…`
pub fn run(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    match order::read(arguments) {
        Ok(order) => carry_out(&order, world),
        Err(Instead::Help) => Outcome::answer(USAGE),
        Err(Instead::Version) => version::answer(),
        Err(Instead::Usage(line)) if line.is_empty() => Outcome::failure(USAGE),
        Err(Instead::Usage(line)) => Outcome::failure(format!("{}{line}\n{USAGE}", world.program)),
        Err(Instead::OwnLine(line)) => Outcome::failure(format!("{}{line}\n", world.program)),
        Err(Instead::Line(line)) => Outcome::failure(format!("{line}\n")),
        Err(Instead::Aborted(line)) => Outcome::failure(format!("{line}\n{NOTHING_ASKED}")),
    }
}

fn carry_out(order: &Order, world: &World) -> Outcome {
    let unanswered = |error: &ClientError| {
        master::down(world, error, &format!("{}: ERROR: Can't find address of local schedd\n", world.program))
    };
    for (kind, names) in [("immutable", &IMMUTABLE[..]), ("secure", &SECURE)] {
        let is_one = |name: &&String| names.contains(&name.to_ascii_lowercase().as_str());
        if let Some(name) = order.attributes.keys().find(is_one) {
            let line = format!("Update of {kind} attribute \"{name}\" is not allowed.");
            return Outcome::failure(format!("{line}\n{NOTHING_ASKED}"));
        }
    }
    if let Some(name) = &order.name {
        match master::name_is_known(world, name) {
            Ok(true) => {}
            Ok(false) => {
                let line = format!("{}: No such schedd named {name} in local pool\n", world.program);
                return Outcome::failure(line);
            }
            Err(error) => return unanswered(&error),
        }
    }
    // Jobs that are named are changed together or not at all, which the first question finds out.
    let several = matches!(&order.targets, Targets::Jobs(jobs) if jobs.len() > 1);
    let turns: &[bool] = match (order.dry_run, several) {
        (true, _) => &[true],
        (false, true) => &[true, false],
        (false, false) => &[false],
    };
    let mut acted = Acted::default();
    for &dry_run in turns {
        let attributes = order.attributes.iter().map(|(name, text)| (name.clone(), text.clone())).collect();
        let edit = Edit { targets: order.targets.clone(), attributes, evaluate: false, dry_run };
        let reply = match master::ask(world, &Request::Edit(edit)) {
            Ok(answer) => answer.reply,
            Err(error) => return unanswered(&error),
        };
        acted = match reply {
            Reply::Acted(acted) => acted,
            Reply::Refused { code: Refusal::Constraint, .. } => return failed(order, None, ""),
            Reply::Refused { code, message, speaks } => {
                let why = format!("{}: {}\n", world.program, master::sentence(code, &message, speaks));
                return failed(order, None, &why);
            }
            _ => return master::unexpected(world),
        };
        let unmet = acted.jobs.iter().find(|(_, outcome)| *outcome != JobOutcome::Success);
        if unmet.is_some() || acted.counts.success == 0 {
            return failed(order, unmet.map(|(job, _)| *job), "");
        }
    }
    let can = if order.dry_run { "Can " } else { "" };
    let count = acted.counts.success;
    let line = |name: &String| format!("{can}Set attribute \"{name}\" for {count} matching jobs.\n");
    Outcome::answer(order.attributes.keys().map(line).collect::<String>())
}

/// `job`: the one that could not be changed, if one is known.
fn failed(order: &Order, job: Option<(u32, u32)>, why: &str) -> Outcome {
    let name = order.attributes.keys().next().map_or("", String::as_str);
    let line = match (&order.targets, job) {
        (Targets::Constraint(constraint), _) if order.dry_run && why.is_empty() => {
            format!("No jobs match the constraint: {constraint}")
        }
        (Targets::Constraint(constraint), _) => {
            format!("Failed to set attribute \"{name}\" by constraint: {constraint}")
        }
        (Targets::Jobs(jobs), job) => {
            let (cluster, proc) = job.or_else(|| jobs.first().copied()).unwrap_or_default();
            format!("Failed to set attribute \"{name}\" for job {cluster}.{proc}.")
        }
        (Targets::All, _) => format!("Failed to set attribute \"{name}\"."),
    };
    Outcome::failure(format!("{why}{line}\n{NOTHING_SET}"))
}

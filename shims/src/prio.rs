//! `condor_prio`: the priority of jobs is set, raised or lowered. The master computes, so that nobody comes between.

use std::io::Read;

use classad::quote_old;
use control_proto::client::ClientError;
use control_proto::{Acted, Edit, JobOutcome, Reply, Request, Targets};

use crate::master;
use crate::options::{Entry, Step, Takes, Walk, accept, on};
use crate::query::job_number;
use crate::version;
use crate::world::{Outcome, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Help,
    Version,
    Name,
    Pool,
    Priority,
    All,
}

const TABLE: &[Entry<Key>] = &[
    accept(&[("debug", 1)], Takes::Nothing),
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("version", 1)], Takes::Nothing, Key::Version),
    on(&[("name", 1)], Takes::Words(1), Key::Name),
    on(&[("pool", 3)], Takes::Words(1), Key::Pool),
    on(&[("p", 1)], Takes::Words(1), Key::Priority),
    on(&[("all", 1)], Takes::Nothing, Key::All),
];

const USAGE: &str = include_str!("usage/condor_prio.txt");

/// `condor_prio ARGUMENTS…`
pub fn run(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    match read(arguments) {
        Ok(order) => carry_out(&order, world),
        Err(Instead::Help) => Outcome { err: USAGE.into(), ..Outcome::default() },
        Err(Instead::Version) => version::answer(),
        Err(Instead::Mistake(line)) => Outcome::failure(format!("{line}\n{USAGE}")),
        Err(Instead::OwnLine(line)) => Outcome::failure(format!("{}: {line}\n", world.program)),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Order {
    /// What the priority becomes, as an expression over the job.
    priority: String,
    /// Each with the words that name it in a failure.
    groups: Vec<(Targets, String)>,
    name: Option<String>,
}

/// What a command line is when it is no order.
#[derive(Debug, PartialEq, Eq)]
enum Instead {
    Help,
    Version,
    /// The usage follows.
    Mistake(String),
    /// One line behind the program's name.
    OwnLine(String),
}

fn read(arguments: &[String]) -> Result<Order, Instead> {
    let mistake = |line: &str| Err(Instead::Mistake(line.to_owned()));
    let (mut name, mut priority) = (None, None);
    let (mut jobs, mut groups) = (Vec::new(), Vec::new());
    let (mut all, mut pool) = (false, false);
    for step in Walk::new(TABLE, arguments) {
        match step {
            Step::Word(word) | Step::Unknown(word) if adjustment(word).is_some() => {
                priority = adjustment(word).map(|by| format!("JobPrio + ({by})"));
            }
            Step::Word(word) => match job_number(word) {
                Some((cluster, Some(proc))) => jobs.push((cluster, proc)),
                Some((cluster, None)) => groups
                    .push((Targets::Constraint(format!("ClusterId == {cluster}")), format!(" in cluster {cluster}"))),
                None => groups.push((
                    Targets::Constraint(format!("Owner == {}", quote_old(word))),
                    format!(" of user \"{word}\""),
                )),
            },
            Step::Option { key, words, .. } => match key {
                Key::Help => return Err(Instead::Help),
                Key::Version => return Err(Instead::Version),
                Key::Name => name = Some(words[0].clone()),
                Key::Pool => pool = true,
                Key::Priority => match words[0].parse::<i32>() {
                    Ok(wanted) => priority = Some(wanted.to_string()),
                    Err(_) => return mistake(&format!("-p requires a number, not {}", words[0])),
                },
                Key::All => all = true,
            },
            Step::Unknown(typed) | Step::Refused { typed, .. } => {
                return mistake(&format!("Unrecognized option: {typed}"));
            }
            Step::Missing { key: Some(Key::Name), .. } => {
                return Err(Instead::OwnLine("-n requires another argument".into()));
            }
            Step::Missing { key: Some(Key::Pool), .. } => {
                return Err(Instead::OwnLine("-pool requires another argument".into()));
            }
            Step::Missing { typed, .. } => return mistake(&format!("Option {typed} requires an argument")),
        }
    }
    if pool && name.is_none() {
        return Err(Instead::OwnLine("-pool also requires -n to be specified".into()));
    }
    let Some(priority) = priority else {
        return mistake("You must specify a new priority or priority adjustment.");
    };
    if !jobs.is_empty() {
        groups.insert(0, (Targets::Jobs(jobs), String::new()));
    }
    if all {
        groups = vec![(Targets::All, String::new())];
    }
    if groups.is_empty() {
        return mistake("You did not specify any jobs");
    }
    Ok(Order { priority, groups, name })
}

/// `+5` or `-5`.
fn adjustment(word: &str) -> Option<i32> {
    let is_one = word.starts_with(['+', '-']) && word.len() > 1 && word[1..].bytes().all(|b| b.is_ascii_digit());
    is_one.then(|| word.parse().ok())?
}

fn carry_out(order: &Order, world: &World) -> Outcome {
    let unanswered = |error: &ClientError| {
        master::down(world, error, &format!("{}: ERROR: Can't find address of local schedd\n", world.program))
    };
    if let Some(name) = &order.name {
        match master::name_is_known(world, name) {
            Ok(true) => {}
            Ok(false) => {
                return Outcome::failure(format!("{}: No such schedd named {name} in local pool\n", world.program));
            }
            Err(error) => return unanswered(&error),
        }
    }
    let mut outcome = Outcome::default();
    let mut done = 0;
    for (targets, whose) in &order.groups {
        let attributes = vec![("JobPrio".to_owned(), order.priority.clone())];
        let edit = Edit { targets: targets.clone(), attributes, evaluate: true, dry_run: false };
        let answer = match master::ask(world, &Request::Edit(edit)) {
            Ok(answer) => answer,
            Err(error) => return unanswered(&error),
        };
        match answer.reply {
            Reply::Acted(acted) => {
                done += acted.counts.success;
                outcome.err.extend_from_slice(complaints(&acted, targets, whose).as_bytes());
            }
            Reply::Refused { code, message, speaks } => {
                let sentence = master::sentence(code, &message, speaks);
                outcome.err.extend_from_slice(format!("{}: {sentence}\n", world.program).as_bytes());
            }
            _ => return master::unexpected(world),
        }
    }
    outcome.code = i32::from(done == 0);
    outcome
}

/// HTCondor says nothing of success.
fn complaints(acted: &Acted, targets: &Targets, whose: &str) -> String {
    let failed = acted.jobs.iter().filter(|(_, outcome)| *outcome != JobOutcome::Success);
    let lines = failed.map(|&((cluster, proc), outcome)| match outcome {
        JobOutcome::NotFound => format!("Couldn't retrieve current prio for {cluster}.{proc}.\n"),
        _ => format!("Couldn't set new prio for {cluster}.{proc}.\n"),
    });
    let none = acted.counts.success == 0 && !matches!(targets, Targets::Jobs(_));
    let rest = if none { format!("Couldn't find/set prio of all jobs{whose}\n") } else { String::new() };
    lines.collect::<String>() + &rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::unreachable_names;

    fn order(line: &[&str]) -> Result<Order, Instead> {
        read(&line.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn every_name_is_reachable() {
        assert_eq!(unreachable_names(TABLE), Vec::<&str>::new());
    }

    #[test]
    fn what_and_whose() {
        let jobs = |jobs: &[(u32, u32)]| (Targets::Jobs(jobs.to_vec()), String::new());
        for (line, priority) in [
            (&["-p", "15", "1.0"][..], "15"),
            (&["-p", "-3", "1.0"], "-3"),
            (&["+5", "1.0"], "JobPrio + (5)"),
            (&["-5", "1.0"], "JobPrio + (-5)"),
        ] {
            let order = order(line).unwrap();
            assert_eq!((order.priority.as_str(), order.groups), (priority, vec![jobs(&[(1, 0)])]), "{line:?}");
        }
        let order = order(&["-p", "1", "2", "3.1", "bob"]).unwrap();
        let constraint = |text: &str| Targets::Constraint(text.to_owned());
        assert_eq!(
            order.groups.iter().map(|(targets, _)| targets.clone()).collect::<Vec<_>>(),
            [Targets::Jobs(vec![(3, 1)]), constraint("ClusterId == 2"), constraint("Owner == \"bob\"")]
        );
    }

    #[test]
    fn mistakes_have_a_line_each() {
        for line in [&["1.0"][..], &["-p", "x", "1"], &["-p"], &["-p", "5"], &["+5"], &["-nosuch"]] {
            assert!(matches!(order(line), Err(Instead::Mistake(_))), "{line:?}");
        }
        for (line, wanted) in [
            (&["-p", "1", "7", "-n"][..], "-n requires another argument"),
            (&["-pool"], "-pool requires another argument"),
            (&["-p", "1", "7", "-pool", "x"], "-pool also requires -n to be specified"),
        ] {
            assert_eq!(order(line), Err(Instead::OwnLine(wanted.into())), "{line:?}");
        }
    }
}

//! `condor_transfer_data`: the outputs of spooled jobs go to their places, and the jobs leave the queue (decision D18).
//!
//! All words together are one constraint, and the master copies the files: it has the user's rights and runs on the same
//! machine. Texts of HTCondor 25.13: `Fetching data files...`, `ERROR: Failed to spool job files.`

use std::io::Read;
use std::time::Duration;

use classad::quote_old;
use control_proto::client::ClientError;
use control_proto::{Reply, Request, TransferData};

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
    Address,
    Constraint,
    All,
}

const TABLE: &[Entry<Key>] = &[
    accept(&[("debug", 1)], Takes::Nothing),
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("version", 1)], Takes::Nothing, Key::Version),
    on(&[("name", 1)], Takes::Words(1), Key::Name),
    on(&[("pool", 1)], Takes::Words(1), Key::Pool),
    on(&[("addr", 2)], Takes::Words(1), Key::Address),
    accept(&[("stm", 1)], Takes::Words(1)),
    on(&[("constraint", 1)], Takes::Words(1), Key::Constraint),
    on(&[("all", 1)], Takes::Nothing, Key::All),
];

const USAGE: &str = include_str!("usage/condor_transfer_data.txt");

/// Copying may take its time; a master that is gone shows at once.
const COPIES_TAKE: Duration = Duration::from_secs(3600);

/// `condor_transfer_data ARGUMENTS…`
pub fn run(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    match read(arguments) {
        Ok(order) => fetch(&order, world),
        Err(Instead::Help) => Outcome { err: USAGE.into(), ..Outcome::default() },
        Err(Instead::Version) => version::answer(),
        Err(Instead::Mistake(line)) => Outcome::failure(format!("{line}\n{USAGE}")),
        Err(Instead::Line(line)) => Outcome::failure(format!("{line}\n")),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Order {
    constraint: String,
    name: Option<String>,
}

/// What a command line is when it is no order.
#[derive(Debug, PartialEq, Eq)]
enum Instead {
    Help,
    Version,
    /// The usage follows.
    Mistake(String),
    /// A line alone.
    Line(String),
}

fn read(arguments: &[String]) -> Result<Order, Instead> {
    let mut name = None;
    let mut wanted = Vec::new();
    let mut all = false;
    for step in Walk::new(TABLE, arguments) {
        match step {
            Step::Word(word) => wanted.push(match job_number(word) {
                Some((cluster, Some(proc))) => format!("ClusterId == {cluster} && ProcId == {proc}"),
                Some((cluster, None)) => format!("ClusterId == {cluster}"),
                None => format!("Owner == {}", quote_old(word)),
            }),
            Step::Option { key, words, .. } => match key {
                Key::Help => return Err(Instead::Help),
                Key::Version => return Err(Instead::Version),
                Key::Pool | Key::Address => {}
                Key::Name => name = Some(words[0].clone()),
                Key::Constraint => wanted.push(words[0].clone()),
                Key::All => all = true,
            },
            Step::Unknown(typed) | Step::Refused { typed, .. } => {
                return Err(Instead::Mistake(format!("Unrecognized option: {typed}")));
            }
            Step::Missing { key, .. } => {
                let option = match key {
                    Some(Key::Constraint) => "-constraint",
                    Some(Key::Address) => "-addr",
                    Some(Key::Pool) => "-pool",
                    _ => "-name",
                };
                return Err(Instead::Line(format!("condor_transfer_data: {option} requires another argument")));
            }
        }
    }
    match (all, wanted.is_empty()) {
        (true, true) => wanted.push("ClusterId >= 0".to_owned()),
        (true, false) => return Err(Instead::Mistake("You may not use \"-all\" with other constraints".into())),
        (false, true) => return Err(Instead::Mistake("You did not specify any jobs".into())),
        (false, false) => {}
    }
    let constraint = wanted.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" || ");
    Ok(Order { constraint, name })
}

fn fetch(order: &Order, world: &World) -> Outcome {
    let unknown = |name: &str| format!("condor_transfer_data: Can't find address of schedd {name}\n");
    let unanswered = |error: &ClientError| {
        let words = match &order.name {
            Some(name) => unknown(name),
            None => "condor_transfer_data: Can't find address of local schedd\n".to_owned(),
        };
        master::down(world, error, &words)
    };
    if let Some(name) = &order.name {
        match master::name_is_known(world, name) {
            Ok(true) => {}
            Ok(false) => return Outcome::failure(unknown(name)),
            Err(error) => return unanswered(&error),
        }
    }
    let request = Request::TransferData(TransferData { constraint: order.constraint.clone() });
    let asked = master::connect(world).and_then(|client| client.with_more_patience(COPIES_TAKE).ask(&request, &[]));
    let reply = match asked {
        Ok(answer) => answer.reply,
        Err(error) => return unanswered(&error),
    };
    let failed = |lines: String| Outcome {
        code: 1,
        out: "Fetching data files...\n".into(),
        err: format!("\n{lines}ERROR: Failed to spool job files.\n").into(),
    };
    match reply {
        Reply::DataTransferred { jobs: 0, .. } => failed(format!("No job matches {}\n", order.constraint)),
        Reply::DataTransferred { failures, .. } if failures.is_empty() => Outcome::answer("Fetching data files...\n"),
        Reply::DataTransferred { failures, .. } => {
            let line = |((cluster, proc), why): &((u32, u32), String)| format!("Job {cluster}.{proc}: {why}\n");
            failed(failures.iter().map(line).collect())
        }
        Reply::Refused { code, message, speaks } => failed(format!("{}\n", master::sentence(code, &message, speaks))),
        _ => master::unexpected(world),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::unreachable_names;

    fn words(line: &[&str]) -> Result<Order, Instead> {
        read(&line.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn every_name_is_reachable() {
        assert_eq!(unreachable_names(TABLE), Vec::<&str>::new());
    }

    #[test]
    fn all_words_are_one_constraint() {
        let constraint = |line: &[&str]| words(line).unwrap().constraint;
        assert_eq!(constraint(&["7"]), "(ClusterId == 7)");
        assert_eq!(
            constraint(&["7.1", "alice", "-const", "Foo > 1"]),
            "(ClusterId == 7 && ProcId == 1) || (Owner == \"alice\") || (Foo > 1)"
        );
        assert_eq!(constraint(&["-all"]), "(ClusterId >= 0)");
        assert_eq!(words(&["7", "-name", "x", "-stm", "stm_use_schedd_only"]).unwrap().name.as_deref(), Some("x"));
    }

    #[test]
    fn mistakes_show_the_usage() {
        for line in [&[][..], &["-nosuch"], &["-all", "7"]] {
            assert!(matches!(words(line), Err(Instead::Mistake(_))), "{line:?}");
        }
        let alone =
            |option: &str| Err(Instead::Line(format!("condor_transfer_data: {option} requires another argument")));
        assert_eq!((words(&["-n"]), words(&["7", "-const"])), (alone("-name"), alone("-constraint")));
        assert_eq!((words(&["-h"]), words(&["-version"])), (Err(Instead::Help), Err(Instead::Version)));
    }
}

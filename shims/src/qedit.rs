//! `condor_qedit`: attributes of jobs are changed, all or none.
//!
//! Texts of HTCondor 25.13 as recorded, with a line more where the master says why.

use std::io::Read;

use classad::quote_old;
use control_proto::client::ClientError;
use control_proto::{Edit, Refusal, Reply, Request, Targets};

use crate::master;
use crate::options::{Entry, Step, Takes, Walk, accept, on, refuse};
use crate::query::job_number;
use crate::version;
use crate::world::{Outcome, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Help,
    Version,
    Name,
    Constraint,
    Owner,
}

const TABLE: &[Entry<Key>] = &[
    accept(&[("debug", 1)], Takes::Nothing),
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("version", 1)], Takes::Nothing, Key::Version),
    on(&[("name", 1)], Takes::Words(1), Key::Name),
    accept(&[("pool", 1)], Takes::Words(1)),
    accept(&[("forward", 1)], Takes::Nothing),
    on(&[("constraint", 1)], Takes::Words(1), Key::Constraint),
    on(&[("owner", 1)], Takes::Words(1), Key::Owner),
    refuse(&[("edits", 1)], Takes::Words(1), "changes are not read from files"),
];

const USAGE: &str = include_str!("usage/condor_qedit.txt");

/// Attributes that HTCondor's program itself refuses.
const PROTECTED: [&str; 6] = ["ClusterId", "JobStatus", "MyType", "Owner", "ProcId", "TargetType"];

/// Nothing was changed, said behind every failure.
const NOTHING_SET: &str = "Queue transaction failed.  No attributes were set.\n";

/// `condor_qedit ARGUMENTS…`
pub fn run(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    match read(arguments) {
        Ok(order) => carry_out(&order, world),
        Err(Instead::Help) => Outcome { err: USAGE.into(), ..Outcome::default() },
        Err(Instead::Version) => version::answer(),
        Err(Instead::Mistake(line)) => Outcome::failure(format!("{line}\n{USAGE}")),
        Err(Instead::Refused(line)) => Outcome::failure(format!("{}: {line}\n", world.program)),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Order {
    constraint: String,
    attributes: Vec<(String, String)>,
    name: Option<String>,
}

/// What a command line is when it is no order.
#[derive(Debug, PartialEq, Eq)]
enum Instead {
    Help,
    Version,
    /// The usage follows.
    Mistake(String),
    Refused(String),
}

fn read(arguments: &[String]) -> Result<Order, Instead> {
    let mut name = None;
    let mut wanted: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut walk = Walk::new(TABLE, arguments);
    while let Some(step) = walk.next() {
        match step {
            Step::Word(word) => match job_number(word) {
                Some((cluster, Some(proc))) => wanted.push(format!("(ClusterId == {cluster} && ProcId == {proc})")),
                Some((cluster, None)) => wanted.push(format!("(ClusterId == {cluster} )")),
                None if wanted.is_empty() => wanted.push(format!("(Owner == {} )", quote_old(word))),
                None => {
                    // From the first attribute on everything is a name or a value, and a value may begin with a dash.
                    words.push(word.to_owned());
                    words.extend_from_slice(walk.rest());
                    break;
                }
            },
            Step::Option { key, words, .. } => match key {
                Key::Help => return Err(Instead::Help),
                Key::Version => return Err(Instead::Version),
                Key::Name => name = Some(words[0].clone()),
                Key::Constraint => wanted.push(format!("({} )", words[0])),
                Key::Owner => wanted.push(format!("(Owner == {} )", quote_old(&words[0]))),
            },
            Step::Unknown(typed) => return Err(Instead::Mistake(format!("Unrecognized option: {typed}"))),
            Step::Missing { typed, .. } => {
                return Err(Instead::Mistake(format!("Option {typed} requires an argument")));
            }
            Step::Refused { typed, why } => {
                return Err(Instead::Refused(format!("{typed}: {why} by alien-workqueue")));
            }
        }
    }
    if wanted.is_empty() {
        return Err(Instead::Mistake("You did not specify any jobs".into()));
    }
    Ok(Order { constraint: format!("( {} )", wanted.join(" || ")), attributes: pairs(&words)?, name })
}

/// `Name value` or `Name=value`, any number of them.
fn pairs(words: &[String]) -> Result<Vec<(String, String)>, Instead> {
    let mut pairs = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some((name, value)) => pairs.push((name.trim().to_owned(), value.trim().to_owned())),
            None => match words.next() {
                Some(value) => pairs.push((word.clone(), value.clone())),
                None => return Err(Instead::Mistake(format!("No value for attribute {word}"))),
            },
        }
    }
    if pairs.is_empty() {
        return Err(Instead::Mistake("You did not specify any attributes".into()));
    }
    Ok(pairs)
}

fn carry_out(order: &Order, world: &World) -> Outcome {
    let unanswered = |error: &ClientError| {
        master::down(world, error, &format!("{}: ERROR: Can't find address of local schedd\n", world.program))
    };
    if let Some(name) = &order.name {
        match master::name_is_known(world, name) {
            Ok(true) => {}
            Ok(false) => {
                return Outcome::failure(format!("{}: ERROR: Can't find address of schedd {name}\n", world.program));
            }
            Err(error) => return unanswered(&error),
        }
    }
    let is_protected = |name: &str| PROTECTED.iter().any(|known| known.eq_ignore_ascii_case(name));
    if let Some((name, _)) = order.attributes.iter().find(|(name, _)| is_protected(name)) {
        return Outcome::failure(format!("Update of attribute \"{name}\" is not allowed.\n{NOTHING_SET}"));
    }
    let failed = |why: &str| {
        let (name, constraint) = (&order.attributes[0].0, &order.constraint);
        Outcome::failure(format!("{why}Failed to set attribute \"{name}\" by constraint: {constraint}\n{NOTHING_SET}"))
    };
    let edit = Edit {
        targets: Targets::Constraint(order.constraint.clone()),
        attributes: order.attributes.clone(),
        evaluate: false,
    };
    let answer = match master::ask(world, &Request::Edit(edit)) {
        Ok(answer) => answer,
        Err(error) => return unanswered(&error),
    };
    match answer.reply {
        Reply::Acted(acted) if acted.counts.success == 0 => failed(""),
        Reply::Acted(acted) => {
            let line = |(name, _): &(String, String)| {
                format!("Set attribute \"{name}\" for {} matching jobs.\n", acted.counts.success)
            };
            Outcome::answer(order.attributes.iter().map(line).collect::<String>())
        }
        Reply::Refused { code: Refusal::Constraint, .. } => failed(""),
        Reply::Refused { code, message, speaks } => {
            failed(&format!("{}: {}\n", world.program, master::sentence(code, &message, speaks)))
        }
        _ => master::unexpected(world),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::unreachable_names;

    fn order(line: &[&str]) -> Result<Order, Instead> {
        read(&line.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[track_caller]
    fn check(line: &[&str], constraint: &str, attributes: &[(&str, &str)]) {
        let order = order(line).unwrap();
        let attributes: Vec<_> = attributes.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert_eq!((order.constraint.as_str(), order.attributes), (constraint, attributes));
    }

    #[test]
    fn every_name_is_reachable() {
        assert_eq!(unreachable_names(TABLE), Vec::<&str>::new());
    }

    #[test]
    fn jobs_then_attributes() {
        check(&["9999", "Foo", "5"], "( (ClusterId == 9999 ) )", &[("Foo", "5")]);
        check(&["1", "2.0", "Foo", "-5"], "( (ClusterId == 1 ) || (ClusterId == 2 && ProcId == 0) )", &[("Foo", "-5")]);
        check(&["alice", "A", "\"x\"", "B=2"], "( (Owner == \"alice\" ) )", &[("A", "\"x\""), ("B", "2")]);
        check(&["-debug", "-const", "true", "A", "-1", "B", "-help"], "( (true ) )", &[("A", "-1"), ("B", "-help")]);
        check(&["-debug", "7", "A", "1"], "( (ClusterId == 7 ) )", &[("A", "1")]);
    }

    #[test]
    fn mistakes_have_a_line_each() {
        for line in [&[][..], &["1"], &["1", "A"], &["-nosuch"], &["-constraint"]] {
            assert!(matches!(order(line), Err(Instead::Mistake(_))), "{line:?}");
        }
        assert_eq!(order(&["1", "-version"]), Err(Instead::Version));
        assert!(matches!(order(&["1", "-edits", "f"]), Err(Instead::Refused(_))));
    }
}

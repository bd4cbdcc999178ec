//! `condor_ping` and `condor_reschedule`: is the master there?

use std::io::Read;

use control_proto::Request;

use crate::master;
use crate::options::{Entry, Step, Takes, Walk, accept, on};
use crate::version;
use crate::world::{Outcome, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Help,
    Version,
    Quiet,
}

const PING: &[Entry<Key>] = &[
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("version", 4)], Takes::Nothing, Key::Version),
    on(&[("quiet", 1)], Takes::Nothing, Key::Quiet),
    accept(&[("verbose", 1), ("table", 2), ("debug", 1)], Takes::Nothing),
    accept(&[("name", 1), ("pool", 1), ("address", 2), ("type", 2), ("config", 1)], Takes::Words(1)),
];

const RESCHEDULE: &[Entry<Key>] = &[
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("version", 4)], Takes::Nothing, Key::Version),
    accept(&[("debug", 1), ("all", 2)], Takes::Nothing),
    accept(&[("name", 1), ("pool", 1), ("addr", 2)], Takes::Words(1)),
];

/// `condor_ping [-quiet] [LEVEL…]`: exit code 0 if the master answers.
pub fn ping(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    const USAGE: &str = "Usage: condor_ping [-verbose] [-quiet] [-name NAME] [-pool POOL] [LEVEL ...]\n";
    let mut quiet = false;
    let mut levels = Vec::new();
    for step in Walk::new(PING, arguments) {
        match step {
            Step::Word(level) => levels.push(level.to_ascii_uppercase()),
            Step::Option { key: Key::Help, .. } => return Outcome::answer(USAGE),
            Step::Option { key: Key::Version, .. } => return version::answer(),
            Step::Option { key: Key::Quiet, .. } => quiet = true,
            Step::Unknown(typed) | Step::Missing { typed, .. } | Step::Refused { typed, .. } => {
                return Outcome::failure(format!("ERROR: unrecognized argument {typed}\n{USAGE}"));
            }
        }
    }
    if levels.is_empty() {
        levels.push("WRITE".to_owned());
    }
    let answer = match master::ask(world, &Request::Ping) {
        Ok(answer) => answer,
        Err(error) => return master::down(world, &error, "condor_ping: CEDAR:6001:Failed to connect to @ADDRESS@\n"),
    };
    let site = answer.site;
    let line = |level: &String| {
        format!("{level} command succeeded as {}@{} to schedd {}.\n", site.user, site.domain, site.host)
    };
    Outcome::answer(if quiet { String::new() } else { levels.iter().map(line).collect() })
}

/// `condor_reschedule`: scheduling never waits here, so all there is to do is to answer.
pub fn reschedule(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    const USAGE: &str = "Usage: condor_reschedule [-name NAME] [-pool POOL]\n";
    for step in Walk::new(RESCHEDULE, arguments) {
        match step {
            Step::Option { key: Key::Version, .. } => return version::answer(),
            Step::Option { .. } => return Outcome::answer(USAGE),
            Step::Word(_) => {}
            Step::Unknown(typed) | Step::Missing { typed, .. } | Step::Refused { typed, .. } => {
                return Outcome::failure(format!("ERROR: unrecognized argument {typed}\n{USAGE}"));
            }
        }
    }
    match master::ask(world, &Request::Ping) {
        Ok(_) => Outcome::answer("Sent \"Reschedule\" command to local schedd\n"),
        Err(error) => master::down(world, &error, "Can't find address of local schedd\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::unreachable_names;

    #[test]
    fn every_name_is_reachable() {
        assert_eq!(unreachable_names(PING), Vec::<&str>::new());
        assert_eq!(unreachable_names(RESCHEDULE), Vec::<&str>::new());
    }
}

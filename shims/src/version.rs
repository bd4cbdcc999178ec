//! `condor_version`, and `-version` of every other program.

use std::io::Read;

use crate::options::{Entry, Step, Takes, Walk, on};
use crate::world::{Outcome, World};

/// What we say we are: the HTCondor release whose behaviour was recorded, with our own release as build.
pub const CONDOR_VERSION: &str =
    concat!("$CondorVersion: 25.13.2 2026-08-20 BuildID: alien-workqueue-", env!("CARGO_PKG_VERSION"), " $");

/// The platform that the recorded release was built for.
pub const CONDOR_PLATFORM: &str = "$CondorPlatform: X86_64-AlmaLinux_8.10 $";

const USAGE: &str = include_str!("usage/condor_version.txt");

#[derive(Debug, Clone, Copy)]
enum Key {
    Help,
    Arch,
    Opsys,
    Version,
}

const TABLE: &[Entry<Key>] = &[
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("arch", 1)], Takes::Nothing, Key::Arch),
    on(&[("opsys", 1)], Takes::Nothing, Key::Opsys),
    on(&[("version", 1)], Takes::Nothing, Key::Version),
];

/// Both lines.
pub fn answer() -> Outcome {
    Outcome::answer(format!("{CONDOR_VERSION}\n{CONDOR_PLATFORM}\n"))
}

/// `condor_version [-help | -arch | -opsys]`
pub fn run(arguments: &[String], _stdin: &mut dyn Read, _world: &World) -> Outcome {
    for step in Walk::new(TABLE, arguments) {
        return match step {
            Step::Option { key: Key::Help, .. } => Outcome { err: USAGE.into(), ..Outcome::default() },
            Step::Option { key: Key::Arch, .. } => Outcome::answer("X86_64\n"),
            Step::Option { key: Key::Opsys, .. } => Outcome::answer("LINUX\n"),
            Step::Option { key: Key::Version, .. } => continue,
            Step::Word(typed) | Step::Unknown(typed) | Step::Missing { typed, .. } | Step::Refused { typed, .. } => {
                Outcome::failure(format!("ERROR: unrecognized argument: '{typed}'\n{USAGE}"))
            }
        };
    }
    answer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_line_is_what_programs_look_for() {
        // law and others: `^\$CondorVersion: (\d+)\.(\d+)\.(\d+) .+$`; BLAHP: second word, dots deleted, >= 762.
        let words: Vec<&str> = CONDOR_VERSION.split(' ').collect();
        assert_eq!(words[0], "$CondorVersion:");
        assert!(words[1].replace('.', "").parse::<u32>().unwrap() >= 762);
        assert_eq!(words.last(), Some(&"$"));
    }
}

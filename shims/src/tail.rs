//! `condor_tail`: the end of what a running job has written.
//!
//! A Work Queue worker hands over a job's output when the job is over. Only with `stream_output` or `stream_error` it is
//! on this side before, and then in the user's own file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use classad::Env;
use control_proto::{Query, Reply, Request, Selection};

use crate::job::{Job, Jobs};
use crate::master;
use crate::options::{Entry, Step, Takes, Walk, accept, on, refuse};
use crate::query::job_number;
use crate::version;
use crate::world::{Outcome, World};

/// Printed of each file, as in HTCondor.
const BYTES: u64 = 1024;

/// Between two looks of `-follow`.
const PAUSE: Duration = Duration::from_secs(1);

const USAGE: &str = "Usage: condor_tail [options] CLUSTER.PROC\n\
    \t-help\t\t\tDisplay this screen\n\
    \t-version\t\tDisplay the version\n\
    \t-stderr\t\t\tPrint standard error, too\n\
    \t-no-stdout\t\tDo not print standard output\n\
    \t-maxbytes <number>\tPrint the last so many bytes (default 1024)\n\
    \t-follow\t\t\tGo on while the job runs\n\
    Output is there before the job's end only if it was submitted with stream_output = true.\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Help,
    Version,
    MaxBytes,
    Follow,
    Stderr,
    NoStdout,
}

const TABLE: &[Entry<Key>] = &[
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("version", 1)], Takes::Nothing, Key::Version),
    on(&[("maxbytes", 1)], Takes::Words(1), Key::MaxBytes),
    on(&[("follow", 1)], Takes::Nothing, Key::Follow),
    on(&[("stderr", 3)], Takes::Nothing, Key::Stderr),
    on(&[("no-stdout", 4)], Takes::Nothing, Key::NoStdout),
    accept(&[("stdout", 3), ("debug", 1), ("auto-retry", 4)], Takes::Nothing),
    accept(&[("name", 1), ("pool", 1)], Takes::Words(1)),
    refuse(&[("no-stderr", 4)], Takes::Nothing, "it is off by default"),
];

/// `condor_tail [OPTIONS] CLUSTER.PROC`; what it tells on the way is collected.
pub fn run(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    let mut told = Vec::new();
    let outcome = run_telling(arguments, &mut told, world);
    told.extend_from_slice(&outcome.out);
    Outcome { out: told, ..outcome }
}

/// The same; what it tells on the way goes to `told` at once.
pub fn run_telling(arguments: &[String], told: &mut dyn Write, world: &World) -> Outcome {
    let mistake = |why: &str| Outcome::failure(format!("condor_tail: {why}\n{USAGE}"));
    let (mut number, mut bytes, mut follow, mut stderr, mut stdout) = (None, BYTES, false, false, true);
    for step in Walk::new(TABLE, arguments) {
        match step {
            Step::Word(word) => match job_number(word) {
                Some((cluster, proc)) if number.is_none() => number = Some((cluster, proc.unwrap_or(0))),
                Some(_) => return mistake("one job at a time"),
                None => return mistake(&format!("{word} is no job: files of the sandbox cannot be had from a worker")),
            },
            Step::Option { key: Key::Help, .. } => return Outcome::answer(USAGE),
            Step::Option { key: Key::Version, .. } => return version::answer(),
            Step::Option { key: Key::MaxBytes, words, .. } => match words[0].parse() {
                Ok(number) => bytes = number,
                Err(_) => return mistake(&format!("-maxbytes wants a number, not {}", words[0])),
            },
            Step::Option { key: Key::Follow, .. } => follow = true,
            Step::Option { key: Key::Stderr, .. } => stderr = true,
            Step::Option { key: Key::NoStdout, .. } => stdout = false,
            Step::Refused { typed, why } => return mistake(&format!("{typed}: {why}")),
            Step::Unknown(typed) | Step::Missing { typed, .. } => return mistake(&format!("bad option {typed}")),
        }
    }
    let Some(number) = number else { return mistake("no job is named") };
    let name = format!("{}.{}", number.0, number.1);
    let mut places: Vec<(PathBuf, Option<u64>)> = Vec::new();
    loop {
        let job = match look(number, world) {
            Ok(job) => job,
            Err(outcome) => return outcome,
        };
        let env = Env::default();
        let running = job.as_ref().is_some_and(|job| job.int("jobstatus", &env) == Some(2));
        if places.is_empty() {
            let Some(job) = job else {
                return Outcome::failure(format!("condor_tail: there is no job {name} in the queue\n"));
            };
            if !running {
                return Outcome::failure(format!("condor_tail: job {name} is not running\n"));
            }
            for (wanted, file, streamed) in [(stdout, "out", "streamout"), (stderr, "err", "streamerr")] {
                if wanted && job.value(streamed, &env).truth() != Some(true) {
                    return Outcome::failure(format!(
                        "condor_tail: what job {name} writes comes when it ends; submit with stream_output = true \
                         (stream_error = true) to see it before\n"
                    ));
                }
                if wanted {
                    let iwd = job.text("iwd", &env).unwrap_or_default();
                    places.push((Path::new(&iwd).join(job.text(file, &env).unwrap_or_default()), None));
                }
            }
        }
        for (path, from) in &mut places {
            if let Err(error) = print(path, from, bytes, told) {
                return Outcome::failure(format!("condor_tail: cannot read {}: {error}\n", path.display()));
            }
        }
        if !follow || !running {
            return Outcome::default();
        }
        std::thread::sleep(PAUSE);
    }
}

/// The job, if it is in the queue.
fn look(number: (u32, u32), world: &World) -> Result<Option<Job>, Outcome> {
    let attributes = ["ClusterId", "ProcId", "JobStatus", "Iwd", "Out", "Err", "StreamOut", "StreamErr"];
    let query = Query {
        select: Selection { jobs: vec![number], ..Selection::default() },
        attributes: attributes.map(str::to_owned).into(),
        ..Query::default()
    };
    let answer = master::ask(world, &Request::Query(query))
        .map_err(|error| master::down(world, &error, "condor_tail: CEDAR:6001:Failed to connect to @ADDRESS@\n"))?;
    match &answer.reply {
        Reply::Listing => {}
        Reply::Refused { code, message, speaks } => {
            return Err(Outcome::failure(format!("condor_tail: {}\n", master::sentence(*code, message, *speaks))));
        }
        _ => return Err(master::unexpected(world)),
    }
    Ok(Jobs::new(&answer).next())
}

/// What is new behind `from`; at first the last `bytes`.
fn print(path: &Path, from: &mut Option<u64>, bytes: u64, told: &mut dyn Write) -> std::io::Result<()> {
    let mut file = match File::open(path) {
        // Nothing has come yet.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let length = file.metadata()?.len();
    let begin = from.unwrap_or_else(|| length.saturating_sub(bytes)).min(length);
    file.seek(SeekFrom::Start(begin))?;
    let copied = std::io::copy(&mut file.take(length - begin), told)?;
    *from = Some(begin + copied);
    told.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::unreachable_names;

    #[test]
    fn every_name_is_reachable() {
        assert_eq!(unreachable_names(TABLE), Vec::<&str>::new());
    }

    #[test]
    fn only_what_is_new_is_printed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let (mut told, mut from) = (Vec::new(), None);
        print(&path, &mut from, 3, &mut told).unwrap();
        std::fs::write(&path, "hello").unwrap();
        print(&path, &mut from, 3, &mut told).unwrap();
        std::fs::write(&path, "hello world").unwrap();
        print(&path, &mut from, 3, &mut told).unwrap();
        assert_eq!(told, b"llo world");
    }
}

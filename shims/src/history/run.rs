//! From a command line to the printed answer.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use classad::Env;
use control_proto::client::{ANSWER_LIMIT, Answer, ClientError, read_answer};
use control_proto::{HistoryQuery, Refusal, Reply, Request};

use super::command_line::{Asked, View, Wish, read};
use super::{classic, place};
use crate::job::{Job, Jobs};
use crate::master;
use crate::version;
use crate::views::{self, PAST_ATTRIBUTES, Scene};
use crate::world::{Outcome, World};

const USAGE: &str = include_str!("../usage/condor_history.txt");

/// How every file of ours begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// `condor_history ARGUMENTS…`
pub fn run(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    match read(arguments) {
        Asked::Wish(wish) => {
            let mut outcome = list(&wish, world);
            if let View::PrintFormat(table) = &wish.view {
                outcome.err.splice(0..0, table.complaints.bytes());
            }
            outcome
        }
        Asked::Help => Outcome::answer(USAGE),
        Asked::Version => version::answer(),
        Asked::Mistake { usage, line } => {
            Outcome { code: 1, out: if usage { USAGE.into() } else { Vec::new() }, err: format!("{line}\n").into() }
        }
    }
}

fn list(wish: &Wish, world: &World) -> Outcome {
    let query = query(wish);
    let found = match &wish.file {
        _ if wish.log.is_some() => of_log(wish, &query, wish.log.as_deref().unwrap_or_default(), world),
        Some(name) => of_file(wish, &query, &Path::new(&world.cwd).join(name), name, world),
        None if wish.local => of_own_file(wish, &query, world),
        None => match master::ask(world, &Request::History(query.clone())) {
            Ok(answer) => Ok(Found::Answer(Box::new(answer))),
            Err(error @ ClientError::Down { .. }) if !place::file(world).exists() => Err(Outcome::failure(format!(
                "condor_history: {error}, and there is no history {}\n",
                place::file(world).display()
            ))),
            Err(ClientError::Down { .. }) => of_own_file(wish, &query, world),
            Err(error) => Err(Outcome::failure(format!("condor_history: {error}\n"))),
        },
    };
    let answer = match found {
        Ok(Found::Answer(answer)) => *answer,
        Ok(Found::Jobs(jobs)) => return Outcome::answer(print(wish, world, world.now_s, &mut jobs.into_iter())),
        Err(outcome) => return outcome,
    };
    if let Some(name) = &wish.name
        && !master::is_this_site(name, &answer.site.host)
    {
        return Outcome::failure(format!("Error: Can't find address of schedd {name}\n"));
    }
    match &answer.reply {
        Reply::Listing => {}
        Reply::Refused { code: Refusal::Constraint, .. } => {
            return Outcome::failure("Error:  could not parse constraint\n");
        }
        Reply::Refused { code, message, speaks } => {
            return Outcome::failure(format!("condor_history: {}\n", master::sentence(*code, message, *speaks)));
        }
        _ => return master::unexpected(world),
    }
    let Some(end) = answer.end else { return master::unexpected(world) };
    let mut jobs = Jobs::new(&answer);
    let out = print(wish, world, answer.site.now_s, &mut jobs);
    match jobs.check(end.ads) {
        Ok(()) => Outcome::answer(out),
        Err(fault) => Outcome::failure(format!("condor_history: {fault}\n")),
    }
}

/// The request for a wish: only the attributes that will be looked at.
fn query(wish: &Wish) -> HistoryQuery {
    let attributes = match &wish.view {
        View::Table => PAST_ATTRIBUTES.iter().map(|&name| name.to_owned()).collect(),
        View::Ads(_) | View::JsonLines => wish.attributes.clone(),
        View::Columns(columns) => columns.attributes(),
        View::PrintFormat(table) => table.attributes(),
    };
    HistoryQuery { attributes, ..wish.query.clone() }
}

/// What a search gave.
enum Found {
    Answer(Box<Answer>),
    Jobs(Vec<Job>),
}

/// The file of the site: without a master it says as much.
fn of_own_file(wish: &Wish, query: &HistoryQuery, world: &World) -> Result<Found, Outcome> {
    let file = place::file(world);
    of_file(wish, query, &file, &file.to_string_lossy(), world)
}

/// Our file, or one of HTCondor's.
fn of_file(wish: &Wish, query: &HistoryQuery, file: &Path, name: &str, world: &World) -> Result<Found, Outcome> {
    let unreadable = |error: std::io::Error| {
        let why =
            error.raw_os_error().map_or_else(|| error.to_string(), |n| nix::errno::Errno::from_raw(n).desc().into());
        let out = print(wish, world, world.now_s, &mut std::iter::empty());
        Outcome { code: 1, out: out.into(), err: format!("Error opening history file {name}: {why}\n").into() }
    };
    let mut open = std::fs::File::open(file).map_err(unreadable)?;
    let mut bytes = Vec::new();
    (&mut open).take(SQLITE.len() as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes == SQLITE {
        return of_store(query, file, world).map(|answer| Found::Answer(Box::new(answer)));
    }
    open.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(Found::Jobs(classic::select(&String::from_utf8_lossy(&bytes), query, &env(world, world.now_s))))
}

/// The jobs of an event log, as if they were a history: the last one first.
fn of_log(wish: &Wish, query: &HistoryQuery, path: &str, world: &World) -> Result<Found, Outcome> {
    let text = std::fs::read(Path::new(&world.cwd).join(path)).map_err(|error| {
        let why =
            error.raw_os_error().map_or_else(|| error.to_string(), |n| nix::errno::Errno::from_raw(n).desc().into());
        let out = print(wish, world, world.now_s, &mut std::iter::empty());
        Outcome { code: 1, out: out.into(), err: format!("Error opening history file {path}: {why}\n").into() }
    })?;
    let ads = crate::query::jobs_of_log(&String::from_utf8_lossy(&text), path, world);
    let text: String = ads.iter().map(|ad| classad::ad_to_long(ad) + "***\n").collect();
    Ok(Found::Jobs(classic::select(&text, query, &env(world, world.now_s))))
}

/// Asks the file of a site: by its master if that runs, else by `awq`.
fn of_store(query: &HistoryQuery, file: &Path, world: &World) -> Result<Answer, Outcome> {
    let same = |other: &str| std::fs::canonicalize(file).is_ok_and(|file| file == Path::new(other));
    let at_once = World { patience: std::time::Duration::ZERO, ..world.clone() };
    if let Ok(answer) = master::ask(&at_once, &Request::History(query.clone()))
        && (answer.site.history == file.to_string_lossy() || same(&answer.site.history))
    {
        return Ok(answer);
    }
    let failure = |why: &dyn std::fmt::Display| {
        Outcome::failure(format!("condor_history: cannot read {}: {why}\n", file.display()))
    };
    let question = serde_json::to_string(query).expect("a question is plain data");
    let mut child = Command::new(reader())
        .args(["history", "--question", &question])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failure(&format!("the program awq, which reads it, does not start: {error}")))?;
    let mut out = child.stdout.take().expect("asked for above");
    let answer = read_answer(&mut out, ANSWER_LIMIT);
    drop(out);
    let mut words = String::new();
    if let Some(err) = &mut child.stderr {
        // What it says is all that is left to be said.
        let _ = err.read_to_string(&mut words);
    }
    let _ = child.wait();
    answer.map_err(|error| failure(&if words.trim().is_empty() { error.to_string() } else { words.trim().to_owned() }))
}

/// `awq` stands where this program stands.
fn reader() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join("awq")));
    beside.filter(|program| program.exists()).unwrap_or_else(|| "awq".into())
}

fn env(world: &World, now_s: i64) -> Env {
    let clock = world.clock.clone();
    Env { now_s: Some(now_s), offset_at: Some(Arc::new(move |at_s| clock.offset_s(at_s))), ..Env::default() }
}

fn print(wish: &Wish, world: &World, now_s: i64, jobs: &mut dyn Iterator<Item = Job>) -> String {
    let env = env(world, now_s);
    let cut_at = wish.cut_at.or(if wish.wide { None } else { world.screen_columns });
    let ads = |jobs: &mut dyn Iterator<Item = Job>| -> Vec<classad::ClassAd> {
        jobs.map(|job| match wish.attributes.as_slice() {
            [] => job.into_ad(),
            names => job.only(names),
        })
        .collect()
    };
    match &wish.view {
        View::Table => views::past(jobs, &Scene { clock: &world.clock, env: &env, now_s, cut_at }),
        View::Columns(columns) => columns.print_as_read(jobs, &env),
        View::PrintFormat(table) => {
            table.print_as_read(jobs, &Scene { clock: &world.clock, env: &env, now_s, cut_at: wish.cut_at })
        }
        View::Ads(form) => views::print_past_ads(*form, ads(jobs).into_iter()),
        View::JsonLines => ads(jobs).iter().map(|ad| classad::ad_to_json_line(ad) + "\n").collect(),
    }
}

//! `condor_watch_q`: what becomes of jobs, told as it changes.
//!
//! Plain text: one table for each change, no colours, no screen. HTCondor's program goes on until it is interrupted or an
//! `-exit` condition holds; this one also ends, with 0, when all jobs are over, since nothing can change any more.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use classad::Env;
use control_proto::{HistoryQuery, JobNumber, Query, Reply, Request, Selection};

use crate::job::{Job, Jobs};
use crate::master;
use crate::options::{Entry, Step, Takes, Walk, accept, on, refuse};
use crate::version;
use crate::world::{Outcome, World};

/// Between two looks at the queue.
const PAUSE: Duration = Duration::from_secs(1);

const USAGE: &str = "Usage: condor_watch_q [-users USER ...] [-clusters CLUSTER ...] [-files LOG ...] [-batches NAME ...]\n\
    \x20                     [-exit GROUPER,JOB_STATUS[,EXIT_STATUS]] ... [-groupby batch|cluster] [-no-table] [-no-summary]\n\
    \tGROUPER is any, all or none; JOB_STATUS is active, idle, running, held, done or removed\n\
    \tWithout a condition it ends when all jobs are over.\n";

const PLAIN: &str = "this one is plain text";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Help,
    Version,
    Users,
    Clusters,
    Files,
    Batches,
    Exit,
    GroupBy,
    NoTable,
    NoSummary,
}

const TABLE: &[Entry<Key>] = &[
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("version", 1)], Takes::Nothing, Key::Version),
    on(&[("users", 1)], Takes::UntilOption, Key::Users),
    on(&[("clusters", 2)], Takes::UntilOption, Key::Clusters),
    on(&[("files", 1)], Takes::UntilOption, Key::Files),
    on(&[("batches", 1)], Takes::UntilOption, Key::Batches),
    on(&[("exit", 1)], Takes::Words(1), Key::Exit),
    on(&[("groupby", 1)], Takes::Words(1), Key::GroupBy),
    on(&[("no-table", 4)], Takes::Nothing, Key::NoTable),
    on(&[("no-summary", 4)], Takes::Nothing, Key::NoSummary),
    accept(&[("table", 1), ("summary", 7), ("debug", 1), ("no-progress", 4), ("no-row-progress", 4)], Takes::Nothing),
    accept(&[("no-updated-at", 4), ("no-abbreviate", 4), ("no-color", 4), ("refresh", 3)], Takes::Nothing),
    accept(&[("collector", 3), ("schedd", 2), ("summary-type", 8)], Takes::Words(1)),
    refuse(
        &[("progress", 1), ("row-progress", 3), ("updated-at", 2), ("abbreviate", 1), ("color", 3)],
        Takes::Nothing,
        PLAIN,
    ),
];

/// The state of a job, as the table counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Idle,
    Running,
    Held,
    Done,
    Removed,
}

impl State {
    fn of(job_status: i64) -> State {
        match job_status {
            2 | 6 | 7 => State::Running,
            3 => State::Removed,
            4 => State::Done,
            5 => State::Held,
            _ => State::Idle,
        }
    }

    fn is_over(self) -> bool {
        matches!(self, State::Done | State::Removed)
    }
}

/// When to end, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    grouper: Grouper,
    states: Vec<State>,
    code: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grouper {
    Any,
    All,
    None,
}

impl Condition {
    /// `GROUPER,JOB_STATUS[,EXIT_STATUS]`.
    fn read(text: &str) -> Option<Condition> {
        let mut parts = text.split(',').map(|part| part.trim().to_ascii_lowercase());
        let grouper = match parts.next()?.as_str() {
            "any" => Grouper::Any,
            "all" => Grouper::All,
            "none" => Grouper::None,
            _ => return None,
        };
        let states = match parts.next()?.as_str() {
            "active" => vec![State::Idle, State::Running, State::Held],
            "idle" => vec![State::Idle],
            "running" => vec![State::Running],
            "held" => vec![State::Held],
            "done" => vec![State::Done],
            "removed" => vec![State::Removed],
            _ => return None,
        };
        let code = parts.next().map_or(Some(0), |code| code.parse().ok().filter(|code| (0..256).contains(code)))?;
        parts.next().is_none().then_some(Condition { grouper, states, code })
    }

    fn holds(&self, jobs: &BTreeMap<JobNumber, Watched>) -> bool {
        let mut is = jobs.values().map(|job| self.states.contains(&job.state));
        match self.grouper {
            Grouper::Any => is.any(|is| is),
            Grouper::All => is.all(|is| is),
            Grouper::None => !is.any(|is| is),
        }
    }
}

/// A job that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Watched {
    state: State,
    batch: String,
}

#[derive(Debug, Default)]
struct Wish {
    users: Vec<String>,
    clusters: Vec<u32>,
    batches: Vec<String>,
    conditions: Vec<Condition>,
    by_cluster: bool,
    no_table: bool,
    no_summary: bool,
}

/// `condor_watch_q [OPTIONS]`; what it tells on the way is collected.
pub fn run(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    let mut told = Vec::new();
    let outcome = run_telling(arguments, &mut told, world);
    told.extend_from_slice(&outcome.out);
    Outcome { out: told, ..outcome }
}

/// The same; what it tells on the way goes to `told` at once.
pub fn run_telling(arguments: &[String], told: &mut dyn Write, world: &World) -> Outcome {
    let wish = match read(arguments, world) {
        Ok(wish) => wish,
        Err(outcome) => return outcome,
    };
    let mut jobs = BTreeMap::new();
    let mut shown = String::new();
    loop {
        if let Err(outcome) = look(&wish, &mut jobs, world) {
            return outcome;
        }
        if jobs.is_empty() {
            return Outcome::answer("No jobs found\n");
        }
        let text = print(&wish, &jobs);
        if text != shown {
            // A reader that has gone away is no reason to end otherwise.
            let _ = told.write_all(text.as_bytes()).and_then(|()| told.flush());
            shown = text;
        }
        if let Some(condition) = wish.conditions.iter().find(|condition| condition.holds(&jobs)) {
            return Outcome { code: condition.code, ..Outcome::default() };
        }
        if jobs.values().all(|job| job.state.is_over()) {
            return Outcome::default();
        }
        std::thread::sleep(PAUSE);
    }
}

fn read(arguments: &[String], world: &World) -> Result<Wish, Outcome> {
    let mistake = |why: String| Outcome::failure(format!("condor_watch_q: error: {why}\n{USAGE}"));
    let mut wish = Wish::default();
    for step in Walk::new(TABLE, arguments) {
        let (key, words) = match step {
            Step::Option { key, words, .. } => (key, words),
            Step::Word(typed) | Step::Unknown(typed) => return Err(mistake(format!("unrecognized argument {typed}"))),
            Step::Missing { typed, .. } => return Err(mistake(format!("argument {typed}: expected one argument"))),
            Step::Refused { typed, why } => return Err(mistake(format!("argument {typed}: {why}"))),
        };
        match key {
            Key::Help => return Err(Outcome::answer(USAGE)),
            Key::Version => return Err(version::answer()),
            Key::Users => wish.users.extend_from_slice(words),
            Key::Batches => wish.batches.extend_from_slice(words),
            Key::Clusters => {
                for word in words {
                    let cluster = word.parse().map_err(|_| mistake(format!("{word} is no cluster")))?;
                    wish.clusters.push(cluster);
                }
            }
            Key::Files => {
                for word in words {
                    let clusters = clusters_in(Path::new(&world.cwd).join(word).as_path(), world);
                    wish.clusters.extend(clusters.map_err(|error| mistake(format!("cannot read {word}: {error}")))?);
                }
            }
            Key::Exit => match Condition::read(&words[0]) {
                Some(condition) => wish.conditions.push(condition),
                None => return Err(mistake(format!("argument -exit: {} is no condition", words[0]))),
            },
            Key::GroupBy => match words[0].as_str() {
                "batch" => wish.by_cluster = false,
                "cluster" => wish.by_cluster = true,
                other => return Err(mistake(format!("argument -groupby: invalid choice {other}"))),
            },
            Key::NoTable => wish.no_table = true,
            Key::NoSummary => wish.no_summary = true,
        }
    }
    Ok(wish)
}

/// Clusters that an event log tells of.
fn clusters_in(path: &Path, world: &World) -> std::io::Result<BTreeSet<u32>> {
    let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
    let offset = |at_s: i64| world.clock.offset_s(at_s);
    let events = userlog::parse(&text, world.clock.date(world.now_s).0.into(), &offset).filter_map(Result::ok);
    Ok(events.filter_map(|entry| u32::try_from(entry.event.job.cluster).ok()).collect())
}

/// The queue first, then the history for those that the queue has no more: no job is missed on its way.
fn look(wish: &Wish, jobs: &mut BTreeMap<JobNumber, Watched>, world: &World) -> Result<(), Outcome> {
    let attributes = ["ClusterId", "ProcId", "JobStatus", "JobBatchName"].map(str::to_owned).to_vec();
    let first = jobs.is_empty();
    let batches: Vec<String> =
        wish.batches.iter().map(|name| format!("JobBatchName == {}", classad::quote_old(name))).collect();
    let constraints = if batches.is_empty() { Vec::new() } else { vec![batches.join(" || ")] };
    let select = Selection {
        clusters: wish.clusters.clone(),
        owners: wish.users.clone(),
        constraints,
        mine: wish.users.is_empty() && wish.clusters.is_empty(),
        ..Selection::default()
    };
    let query = Query { select: select.clone(), attributes: attributes.clone(), ..Query::default() };
    let mut missing: BTreeSet<JobNumber> =
        jobs.iter().filter(|(_, job)| !job.state.is_over()).map(|(number, _)| *number).collect();
    ask(&Request::Query(query), world, &mut |job| {
        let (number, watched) = watched(job);
        missing.remove(&number);
        jobs.insert(number, watched);
    })?;
    // At first also what ended before, if clusters are named: the caller has just submitted them.
    let named = first && !wish.clusters.is_empty();
    if missing.is_empty() && !named {
        return Ok(());
    }
    let select = match named {
        true => select,
        false => Selection { jobs: missing.iter().copied().collect(), ..Selection::default() },
    };
    let query = HistoryQuery { select, attributes, ..HistoryQuery::default() };
    ask(&Request::History(query), world, &mut |job| {
        let (number, watched) = watched(job);
        missing.remove(&number);
        jobs.insert(number, watched);
    })?;
    // Where there is no history, a job that is gone is over.
    for number in missing {
        jobs.get_mut(&number).expect("it was taken from there").state = State::Done;
    }
    Ok(())
}

fn watched(job: &Job) -> (JobNumber, Watched) {
    let env = Env::default();
    let (cluster, proc) = job.id(&env);
    let number = (u32::try_from(cluster).unwrap_or(0), u32::try_from(proc).unwrap_or(0));
    let batch = job.text("jobbatchname", &env).unwrap_or_else(|| format!("ID: {cluster}"));
    (number, Watched { state: State::of(job.int("jobstatus", &env).unwrap_or(0)), batch })
}

fn ask(request: &Request, world: &World, each: &mut dyn FnMut(&Job)) -> Result<(), Outcome> {
    let answer = master::ask(world, request)
        .map_err(|error| master::down(world, &error, "condor_watch_q: CEDAR:6001:Failed to connect to @ADDRESS@\n"))?;
    match &answer.reply {
        Reply::Listing => {}
        Reply::Refused { code, message, speaks } => {
            return Err(Outcome::failure(format!("condor_watch_q: {}\n", master::sentence(*code, message, *speaks))));
        }
        _ => return Err(master::unexpected(world)),
    }
    let mut jobs = Jobs::new(&answer);
    jobs.by_ref().for_each(|job| each(&job));
    let sent = answer.end.map_or(0, |end| end.ads);
    jobs.check(sent).map_err(|fault| Outcome::failure(format!("condor_watch_q: {fault}\n")))
}

/// The table and the line of sums.
fn print(wish: &Wish, jobs: &BTreeMap<JobNumber, Watched>) -> String {
    let mut groups: BTreeMap<String, Vec<(JobNumber, State)>> = BTreeMap::new();
    for (number, job) in jobs {
        let name = if wish.by_cluster { format!("ID: {}", number.0) } else { job.batch.clone() };
        groups.entry(name).or_default().push((*number, job.state));
    }
    let width = groups.keys().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
    let count = |group: &[(JobNumber, State)], state| group.iter().filter(|(_, is)| *is == state).count();
    let mut out = String::new();
    if !wish.no_table {
        out += &format!("{:<width$}  IDLE   RUN  HOLD  DONE  REMOVED  TOTAL  JOB_IDS\n", "BATCH");
        for (name, group) in &groups {
            let [idle, run, hold, done, removed] =
                [State::Idle, State::Running, State::Held, State::Done, State::Removed]
                    .map(|state| count(group, state));
            let (first, last) = (group[0].0, group[group.len() - 1].0);
            let ids = match first == last {
                true => format!("{}.{}", first.0, first.1),
                false => format!("{}.{} ... {}.{}", first.0, first.1, last.0, last.1),
            };
            let total = group.len();
            out += &format!("{name:<width$} {idle:>5} {run:>5} {hold:>5} {done:>5} {removed:>8} {total:>6}  {ids}\n");
        }
    }
    if !wish.no_summary {
        let all: Vec<(JobNumber, State)> = jobs.iter().map(|(number, job)| (*number, job.state)).collect();
        let n = |state| count(&all, state);
        out += &format!(
            "Total: {} jobs; {} completed, {} removed, {} idle, {} running, {} held, 0 suspended\n",
            all.len(),
            n(State::Done),
            n(State::Removed),
            n(State::Idle),
            n(State::Running),
            n(State::Held)
        );
    }
    if !out.is_empty() {
        out += "\n";
    }
    out
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
    fn conditions() {
        let jobs = |states: &[State]| -> BTreeMap<JobNumber, Watched> {
            let watched = |state: &State| Watched { state: *state, batch: "b".into() };
            (0..).zip(states).map(|(proc, state)| ((1, proc), watched(state))).collect()
        };
        let holds = |text: &str, states: &[State]| Condition::read(text).unwrap().holds(&jobs(states));
        assert!(holds("all,done", &[State::Done, State::Done]) && !holds("all,done", &[State::Done, State::Held]));
        assert!(holds("any,held", &[State::Done, State::Held]) && !holds("any,held", &[State::Done]));
        assert!(holds("none,active", &[State::Done, State::Removed]) && !holds("none,active", &[State::Idle]));
        assert_eq!(Condition::read("any,held,7").unwrap().code, 7);
        for bad in ["", "any", "some,held", "any,nosuch", "any,held,x", "any,held,1,2", "any,held,999"] {
            assert_eq!(Condition::read(bad), None, "{bad}");
        }
    }
}

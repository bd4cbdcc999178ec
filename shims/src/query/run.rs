//! From a command line to the printed answer.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use classad::Env;
use control_proto::client::{Answer, ClientError};
use control_proto::{ListingEnd, Query, Refusal, Reply, Request, Selection, Site, Totals};

use crate::columns::{Columns, RowPrinter};
use crate::groups::{self, Grouped};
use crate::job::{Job, Jobs, ListingFault};
use crate::master;
use crate::print_format::{Summary, Table};
use crate::version;
use crate::views::{self, BATCH_ATTRIBUTES, RowView, RunTime, Scene};
use crate::world::{Outcome, World};

use super::analysis::{self, Detail};
use super::command_line::{Asked, Source, View, Wish, counting, read};
use super::from_file;

/// How wide an analysis is where nobody says how wide the screen is.
const SCREEN_COLUMNS: usize = 80;

const USAGE: &str = include_str!("../usage/condor_q.txt");
const DOWN: &str = include_str!("../usage/condor_q_down.txt");
const DOWN_NAMED: &str = include_str!("../usage/condor_q_down_named.txt");

/// `condor_q ARGUMENTS…`
pub fn run(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    if let Some(constraint) = counting(arguments)
        && !world.output_is_screen
        && let Some(outcome) = count_lines(constraint, world)
    {
        return outcome;
    }
    let batch_by_default = world
        .variable("_condor_CONDOR_Q_DASH_BATCH_IS_DEFAULT")
        .is_none_or(|value| !value.eq_ignore_ascii_case("false"));
    match read(arguments, batch_by_default) {
        Asked::Wish(wish) => {
            let mut outcome = list(&wish, world);
            outcome.err.splice(0..0, wish.warnings.bytes());
            outcome
        }
        Asked::Help => Outcome::answer(USAGE),
        Asked::Version => version::answer(),
        Asked::Mistake { usage, line } => {
            Outcome { code: 1, out: if usage { USAGE.into() } else { Vec::new() }, err: format!("{line}\n").into() }
        }
    }
}

/// One line a job for the computing elements that count lines; `None` if the site wants HTCondor's table.
fn count_lines(constraint: &str, world: &World) -> Option<Outcome> {
    let query = Query {
        select: Selection { constraints: vec![constraint.to_owned()], mine: true, ..Selection::default() },
        totals_only: true,
        ..Query::default()
    };
    let answer = match master::ask(world, &Request::Query(query)) {
        Ok(answer) => answer,
        Err(error) => return Some(master::down(world, &error, DOWN)),
    };
    if !answer.site.alien_count_lines {
        return None;
    }
    Some(match (refused(world, &answer.site, &answer.reply), answer.end) {
        (Some(outcome), _) => outcome,
        (None, Some(end)) => {
            let repeat = |line: &str, times: u64| line.repeat(usize::try_from(times).unwrap_or(0));
            let waiting = repeat("**waiting**\n", end.selected.idle);
            Outcome::answer(waiting + &repeat("**running**\n", end.selected.running))
        }
        (None, None) => master::unexpected(world),
    })
}

/// A queue that a file tells of.
fn list_file(wish: &Wish, source: &Source, world: &World) -> Outcome {
    let site = Site { host: world.host.clone(), now_s: world.now_s, ..Site::default() };
    let answer = Answer { site, reply: Reply::Listing, rows: Vec::new(), end: None };
    let env = env(world, &answer.site);
    let (jobs, label) = match from_file::jobs(source, wish, world, &env) {
        Ok(found) => found,
        Err(line) => return Outcome::failure(format!("{line}\n")),
    };
    if matches!(wish.view, View::Analysis(_) | View::Unmatchable) {
        let head = format!("\n\n-- {label}\n");
        return analyse(wish, jobs, world, &answer, &head).unwrap_or_else(|error| unanswered(wish, world, &error));
    }
    let mut selected = Totals::default();
    jobs.iter().for_each(|job| count(&mut selected, job, &env));
    let end = ListingEnd { ads: jobs.len() as u64, selected, mine: selected, all: selected };
    Outcome::answer(print(wish, world, &answer, &end, &mut jobs.into_iter(), Some(&label)))
}

/// `-af` and `-format` of many jobs: rows are printed while they come, and shown when all of them have.
fn list_at_once(wish: &Wish, columns: &Columns, world: &World) -> Result<Outcome, ClientError> {
    let mut listing = master::connect(world)?.list(&Request::Query(query(wish)))?;
    if let Some(outcome) = turned_down(wish, world, &listing.site, &listing.reply) {
        return Ok(outcome);
    }
    let env = env(world, &listing.site);
    let mut printer = RowPrinter::new(columns, &env);
    let (mut out, mut seen) = (String::new(), 0);
    while let Some(rows) = listing.next_rows()? {
        let read = control_proto::listing::read(rows, |row| {
            printer.print(row, &mut out);
            seen += 1;
        });
        if let Err(damage) = read {
            return Ok(Outcome::failure(format!("{}: {damage}\n", world.program)));
        }
    }
    Ok(match listing.end {
        None => master::unexpected(world),
        Some(end) if end.ads == seen => Outcome::answer(out),
        Some(end) => Outcome::failure(format!("{}: {}\n", world.program, ListingFault::Short { seen, sent: end.ads })),
    })
}

/// The answer is about another site, or none.
fn turned_down(wish: &Wish, world: &World, site: &Site, reply: &Reply) -> Option<Outcome> {
    if let Some(name) = &wish.name
        && !master::is_this_site(name, &site.host)
    {
        return Some(Outcome::failure("Error: Collector has no record of schedd/submitter\n"));
    }
    refused(world, site, reply)
}

fn list(wish: &Wish, world: &World) -> Outcome {
    if let Some(source) = &wish.source {
        return list_file(wish, source, world);
    }
    if let View::Columns(columns) = &wish.view
        && columns.print_at_once()
        && wish.grouped.is_none()
    {
        return list_at_once(wish, columns, world).unwrap_or_else(|error| unanswered(wish, world, &error));
    }
    let answer = match master::ask(world, &Request::Query(query(wish))) {
        Ok(answer) => answer,
        Err(error) => return unanswered(wish, world, &error),
    };
    if let Some(outcome) = turned_down(wish, world, &answer.site, &answer.reply) {
        return outcome;
    }
    let Some(end) = answer.end else { return master::unexpected(world) };
    let mut jobs = Jobs::new(&answer);
    if matches!(wish.view, View::Analysis(_) | View::Unmatchable) {
        let waiting: Vec<Job> = jobs.by_ref().collect();
        return match jobs.check(end.ads) {
            Ok(()) => {
                let head = format!("\n\n-- Schedd: {} : <{}?...\n", answer.site.host, answer.site.address);
                analyse(wish, waiting, world, &answer, &head).unwrap_or_else(|error| unanswered(wish, world, &error))
            }
            Err(fault) => Outcome::failure(format!("{}: {fault}\n", world.program)),
        };
    }
    let out = print(wish, world, &answer, &end, &mut jobs, None);
    match jobs.check(end.ads) {
        Ok(()) => {
            let complaints = match &wish.view {
                View::PrintFormat(table) => table.complaints.clone(),
                _ => String::new(),
            };
            Outcome { err: complaints.into(), ..Outcome::answer(out) }
        }
        Err(fault) => Outcome::failure(format!("{}: {fault}\n", world.program)),
    }
}

/// What the master's matching says of each job.
fn analyse(wish: &Wish, jobs: Vec<Job>, world: &World, answer: &Answer, head: &str) -> Result<Outcome, ClientError> {
    let env = env(world, &answer.site);
    // The master knows nothing of jobs in a file.
    let explanations = match wish.source {
        Some(_) => BTreeMap::new(),
        None => analysis::explanations(&jobs, world, &env)?,
    };
    let why = |job: &Job| explanations.get(&job.id(&env));
    if let View::Analysis(detail) = wish.view {
        let slots = match analysis::slots(&wish.machines, world, &env)? {
            Ok(slots) => slots,
            Err(sentence) => return Ok(Outcome::failure(format!("Error:  {sentence}\n"))),
        };
        let scene = analysis::Scene {
            env: &env,
            clock: &world.clock,
            host: &answer.site.host,
            width: world.screen_columns.unwrap_or(SCREEN_COLUMNS),
        };
        return Ok(Outcome::answer(head.to_owned() + &analysis::print(&jobs, &explanations, &slots, detail, &scene)));
    }
    let hopeless = |job: &Job| why(job).is_some_and(|why| why.machines.unfit + why.machines.small == why.machines.all);
    let jobs: Vec<Job> = jobs.into_iter().filter(hopeless).collect();
    let mut shown = Totals::default();
    jobs.iter().for_each(|job| count(&mut shown, job, &env));
    let rows = RowView::Plain(RunTime::Unknown).print(jobs.into_iter(), &scene(wish, world, answer, &env));
    let totals = views::totals_line("query", &shown, true);
    let line_end = views::UNKNOWN_TOTALS;
    Ok(Outcome::answer(format!("{}{rows}\n{totals}{line_end}\n\n", views::head(&answer.site, &world.clock))))
}

/// What evaluations of an answer may know.
fn env(world: &World, site: &Site) -> Env {
    let clock = world.clock.clone();
    let offset_at = Some(Arc::new(move |at_s| clock.offset_s(at_s)) as _);
    Env { now_s: Some(site.now_s), offset_at, ..Env::default() }
}

fn scene<'a>(wish: &Wish, world: &'a World, answer: &Answer, env: &'a Env) -> Scene<'a> {
    Scene {
        clock: &world.clock,
        env,
        now_s: answer.site.now_s,
        cut_at: wish.cut_at.or(if wish.wide { None } else { world.screen_columns }),
    }
}

/// The request for a wish: only the attributes that will be looked at.
fn query(wish: &Wish) -> Query {
    let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let attributes = match &wish.view {
        View::Batch => own(BATCH_ATTRIBUTES),
        View::Rows(rows) => own(rows.attributes()),
        View::HoldCodes => own(RowView::Hold.attributes()),
        View::Factories => own(views::FACTORY_ATTRIBUTES),
        // No rows will be there.
        View::JobSets => own(&["ClusterId"]),
        View::AutoClusters => own(views::AUTO_CLUSTER_ATTRIBUTES),
        View::Ads(_) => wish.attributes.clone(),
        View::Columns(columns) => columns.attributes(),
        // Machines may ask for anything.
        View::Analysis(Detail { reverse: true, .. }) => Vec::new(),
        View::Analysis(_) => own(analysis::ATTRIBUTES),
        View::Unmatchable => own(RowView::Plain(RunTime::Unknown).attributes()),
        View::PrintFormat(table) if table.attributes().is_empty() => Vec::new(),
        View::PrintFormat(table) => table.attributes().into_iter().chain(own(&["JobStatus"])).collect(),
        View::Totals | View::TotalsJson => own(&["JobStatus"]),
    };
    let attributes = match wish.grouped {
        Some(by) => group_names(wish, by).into_iter().chain(own(&["JobStatus"])).collect(),
        None => attributes,
    };
    let mut owners = wish.owners.clone();
    // A submitter is written with or without its domain.
    owners.extend(wish.submitter.as_ref().map(|name| name.split('@').next().unwrap_or_default().to_owned()));
    Query {
        select: Selection {
            jobs: wish.jobs.clone(),
            clusters: wish.clusters.clone(),
            owners,
            constraints: wish.constraints.clone(),
            mine: !wish.all_users && !wish.names_jobs(),
        },
        attributes,
        // Groups are limited, not the jobs that make them.
        limit: wish.limit.filter(|_| wish.grouped.is_none()),
        totals_only: matches!(wish.view, View::Totals | View::TotalsJson | View::JobSets),
        factories: wish.factories,
    }
}

/// The attributes in which jobs are alike that make one row.
fn group_names(wish: &Wish, by: Grouped) -> Vec<String> {
    let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    match (by, &wish.view) {
        (Grouped::AutoClusters, _) => own(views::AUTO_CLUSTER_ATTRIBUTES),
        (Grouped::Shown, View::Columns(columns)) => columns.named(),
        (Grouped::Shown, View::PrintFormat(table)) => table.named(),
        (Grouped::Shown, View::Rows(rows)) => own(rows.attributes()),
        (Grouped::Shown, _) => wish.attributes.clone(),
    }
}

/// `label`: the jobs come from a file of that name.
fn print(
    wish: &Wish,
    world: &World,
    answer: &Answer,
    end: &ListingEnd,
    jobs: &mut dyn Iterator<Item = Job>,
    label: Option<&str>,
) -> String {
    let site = &answer.site;
    let env = env(world, &answer.site);
    let scene = scene(wish, world, answer, &env);
    let head = || match &wish.submitter {
        _ if label.is_some() => views::file_head(label.unwrap_or_default(), site, &world.clock),
        Some(name) if name.contains('@') => views::submitter_head(name, site, &world.clock),
        Some(name) => views::submitter_head(&format!("{name}@{}", site.domain), site, &world.clock),
        None => views::head(site, &world.clock),
    };
    let table = matches!(
        wish.view,
        View::Batch | View::Rows(_) | View::Totals | View::PrintFormat(_) | View::HoldCodes | View::Factories
    );
    if wish.global && table && end.selected.jobs == 0 {
        return "All queues are empty\n".into();
    }
    let mut shown = Totals::default();
    let mut grouped = match wish.grouped {
        Some(by) if !matches!(wish.view, View::AutoClusters) => {
            let jobs = jobs.inspect(|job| count(&mut shown, job, &env));
            let limit = wish.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
            Some(groups::group(jobs, &group_names(wish, by), by).into_iter().take(limit))
        }
        _ => None,
    };
    let jobs: &mut dyn Iterator<Item = Job> = match &mut grouped {
        Some(groups) => groups,
        None => jobs,
    };
    // Groups are no jobs to be counted.
    let count = |totals: &mut Totals, job: &Job| {
        if wish.grouped.is_none() {
            count(totals, job, &env);
        }
    };
    match &wish.view {
        View::Columns(columns) => columns.print(jobs, &env),
        View::Ads(form) => views::print_ads(
            *form,
            jobs.map(|job| match wish.attributes.as_slice() {
                _ if wish.grouped.is_some() => job.into_ad(),
                [] => job.into_ad(),
                names => job.only(names),
            }),
        ),
        View::TotalsJson => views::totals_json(end),
        View::PrintFormat(table) => {
            let jobs = jobs.inspect(|job| count(&mut shown, job));
            let rows = table.print(jobs, &scene);
            let title = if table.no_title { String::new() } else { head() };
            title + &rows + &summary(table, wish, answer, end, shown, &scene)
        }
        // Printed by `analyse`.
        View::Analysis(_) | View::Unmatchable => String::new(),
        View::HoldCodes => head() + &views::hold_codes(jobs, &scene),
        View::Factories => head() + &views::factories(jobs, &scene),
        View::JobSets => format!("{}{}\n", head(), views::JOB_SET_TITLES),
        View::AutoClusters => head() + &views::auto_clusters(jobs, &scene),
        // An AliEn class reads the last line of `condor_q OWNER -totals` (decision D61).
        View::Totals => {
            let blank = if wish.owners.is_empty() { "\n" } else { "" };
            head() + &totals(wish, answer, end, end.selected) + blank
        }
        View::Batch => {
            let jobs = jobs.inspect(|job| count(&mut shown, job));
            let table = views::batch(jobs, &scene, !wish.jobs.is_empty());
            head() + &table + "\n" + &totals(wish, answer, end, shown) + "\n"
        }
        View::Rows(rows) => {
            let jobs = jobs.inspect(|job| count(&mut shown, job));
            let mut out = head() + &rows.print(jobs, &scene);
            if rows.with_totals() {
                out += "\n";
                out += &totals(wish, answer, end, shown);
                out += "\n";
            }
            out
        }
    }
}

/// The lines of totals: of what was selected, of the caller's jobs if it was about those, of the whole queue.
fn totals(wish: &Wish, answer: &Answer, end: &ListingEnd, selected: Totals) -> String {
    let site = &answer.site;
    if wish.source.is_some() {
        return views::totals_line("query", &selected, true) + views::UNKNOWN_TOTALS + "\n";
    }
    let mut out = views::totals_line("query", &selected, false) + "\n";
    if !wish.all_users && !wish.names_jobs() && !site.superuser {
        out += &views::totals_line(&format!("{}@{}", site.user, site.domain), &end.mine, false);
        out += "\n";
    }
    out + &views::totals_line("all users", &end.all, true) + "\n"
}

/// What a print-format file wants below its rows.
fn summary(table: &Table, wish: &Wish, answer: &Answer, end: &ListingEnd, shown: Totals, scene: &Scene<'_>) -> String {
    match &table.summary {
        Summary::None => String::new(),
        Summary::Standard => format!("\n{}\n", totals(wish, answer, end, shown)),
        Summary::Custom(columns) => {
            let numbers = views::totals_ad(&ListingEnd { selected: shown, ..*end });
            // HTCondor's empty line stands between headings and numbers.
            let (headings, numbers) = columns.parts(std::iter::once(Job::from(numbers)), scene);
            format!("{headings}\n{numbers}\n")
        }
    }
}

/// Adds a job that is shown.
fn count(totals: &mut Totals, job: &Job, env: &Env) {
    totals.jobs += 1;
    match job.int("jobstatus", env) {
        Some(1) => totals.idle += 1,
        Some(2 | 6) => totals.running += 1,
        Some(3) => totals.removed += 1,
        Some(4) => totals.completed += 1,
        Some(5) => totals.held += 1,
        Some(7) => totals.suspended += 1,
        _ => {}
    }
}

fn refused(world: &World, site: &Site, reply: &Reply) -> Option<Outcome> {
    match reply {
        Reply::Listing => None,
        Reply::Refused { code: Refusal::Constraint, .. } => Some(Outcome::failure(format!(
            "\n-- Failed to fetch ads from: {} : {}\n\n",
            views::wire_address(site),
            site.host
        ))),
        Reply::Refused { code, message, speaks } => {
            Some(Outcome::failure(format!("{}: {}\n", world.program, master::sentence(*code, message, *speaks))))
        }
        _ => Some(master::unexpected(world)),
    }
}

/// HTCondor looks for a named schedd, and for all of them, at the collector, and then blames that.
fn unanswered(wish: &Wish, world: &World, error: &ClientError) -> Outcome {
    let named = wish.name.is_some() || wish.global || wish.submitter.is_some();
    master::down(world, error, if named { DOWN_NAMED } else { DOWN })
}

//! The options of `condor_q`.

use super::analysis::{Choice, Detail};
use crate::ad_files::{self, Form};
use crate::columns::Columns;
use crate::groups::Grouped;
use crate::options::{Entry, Step, Takes, Walk, accept, on, on_colon};
use crate::print_format::{self, Table};
use crate::views::{AdForm, IS_FACTORY, RowView, RunTime};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    AutoCluster,
    GroupBy,
    Wide,
    Long,
    Xml,
    Json,
    Limit,
    Name,
    Submitter,
    Constraint,
    Attributes,
    Format,
    Auto,
    PrintFormat,
    Global,
    Help,
    Version,
    Run,
    Hold,
    HoldCodes,
    CpuTime,
    CurrentRun,
    CumulativeTime,
    Grid,
    Io,
    AllUsers,
    Batch,
    NoBatch,
    Idle,
    Totals,
    Factory,
    JobSet,
    Analyze,
    BetterAnalyze,
    ReverseAnalyze,
    Unmatchable,
    Machine,
    MachineConstraint,
    SlotAds,
    JobAds,
    UserLog,
}

/// The order decides where short prefixes overlap.
const TABLE: &[Entry<Key>] = &[
    on_colon(&[("wide", 1)], Takes::Nothing, Key::Wide),
    on_colon(&[("long", 1)], Takes::Nothing, Key::Long),
    on(&[("xml", 3)], Takes::Nothing, Key::Xml),
    on(&[("json", 2)], Takes::Nothing, Key::Json),
    on(&[("limit", 3)], Takes::Words(1), Key::Limit),
    accept(&[("pool", 1)], Takes::Words(1)),
    on(&[("name", 1)], Takes::Words(1), Key::Name),
    accept(&[("direct", 1)], Takes::Words(1)),
    on(&[("submitter", 1)], Takes::Words(1), Key::Submitter),
    on(&[("constraint", 1)], Takes::Words(1), Key::Constraint),
    on(&[("slotconstraint", 5), ("mconstraint", 2)], Takes::Words(1), Key::MachineConstraint),
    on(&[("machine", 2)], Takes::Words(1), Key::Machine),
    accept(&[("address", 1)], Takes::Words(1)),
    on_colon(&[("autocluster", 2)], Takes::Nothing, Key::AutoCluster),
    on_colon(&[("group-by", 2)], Takes::Nothing, Key::GroupBy),
    on(&[("attributes", 2)], Takes::Words(1), Key::Attributes),
    on(&[("format", 1)], Takes::Words(2), Key::Format),
    on_colon(&[("autoformat", 5), ("af", 2)], Takes::UntilOption, Key::Auto),
    on_colon(&[("print-format", 2)], Takes::Words(1), Key::PrintFormat),
    on(&[("global", 1)], Takes::Nothing, Key::Global),
    accept(&[("schedd-constraint", 5)], Takes::Words(1)),
    on(&[("help", 1)], Takes::UntilOption, Key::Help),
    on_colon(
        &[("better-analyze", 2), ("better-analyse", 2), ("better_analyze", 2)],
        Takes::Nothing,
        Key::BetterAnalyze,
    ),
    on_colon(&[("analyze", 2), ("analyse", 2)], Takes::Nothing, Key::Analyze),
    on_colon(&[("reverse-analyze", 3)], Takes::Nothing, Key::ReverseAnalyze),
    on_colon(&[("unmatchable", 2)], Takes::Nothing, Key::Unmatchable),
    accept(&[("verbose", 4)], Takes::Nothing),
    on(&[("version", 1)], Takes::Nothing, Key::Version),
    on(&[("run", 1)], Takes::Nothing, Key::Run),
    on_colon(&[("hold", 2), ("held", 2)], Takes::Nothing, Key::Hold),
    on_colon(&[("hold-codes", 6), ("holdcodes", 5)], Takes::Nothing, Key::HoldCodes),
    on(&[("cputime", 2)], Takes::Nothing, Key::CpuTime),
    on(&[("currentrun", 3)], Takes::Nothing, Key::CurrentRun),
    on(&[("cumulative-time", 3)], Takes::Nothing, Key::CumulativeTime),
    on(&[("grid", 2), ("globus", 5)], Takes::Nothing, Key::Grid),
    accept(&[("debug", 1)], Takes::Nothing),
    on(&[("io", 2)], Takes::Nothing, Key::Io),
    accept(&[("dag", 2)], Takes::Nothing),
    accept(&[("expert", 1)], Takes::Nothing),
    on_colon(&[("jobads", 1)], Takes::Words(1), Key::JobAds),
    on_colon(&[("slotads", 5)], Takes::Words(1), Key::SlotAds),
    on(&[("userlog", 1)], Takes::Words(1), Key::UserLog),
    accept(&[("userprios", 5)], Takes::Words(1)),
    accept(&[("nouserprios", 3)], Takes::Nothing),
    on(&[("allusers", 2), ("all-users", 2)], Takes::Nothing, Key::AllUsers),
    on_colon(&[("batch", 2), ("progress", 3)], Takes::Nothing, Key::Batch),
    on(&[("nobatch", 3)], Takes::Nothing, Key::NoBatch),
    on(&[("idle", 2)], Takes::Nothing, Key::Idle),
    on(&[("totals", 3)], Takes::Nothing, Key::Totals),
    accept(&[("stream-results", 2)], Takes::Nothing),
    on_colon(&[("factory", 4)], Takes::Nothing, Key::Factory),
    on_colon(&[("jobset", 5)], Takes::Nothing, Key::JobSet),
    accept(&[("profile", 4)], Takes::Nothing),
];

const ONE_OF_BOTH: &str = "Cannot query both schedd's and submitters";

/// What the caller wants to see.
#[derive(Debug)]
pub(super) enum View {
    /// The default.
    Batch,
    Rows(RowView),
    /// `-hold-codes`.
    HoldCodes,
    /// `-factory`.
    Factories,
    /// `-jobset`: there are none.
    JobSets,
    /// `-autocluster`.
    AutoClusters,
    /// `-totals`.
    Totals,
    /// `-totals -json`.
    TotalsJson,
    Ads(AdForm),
    /// `-af`, `-format`.
    Columns(Columns),
    /// `-print-format`.
    PrintFormat(Box<Table>),
    /// `-analyze` and its kin.
    Analysis(Detail),
    /// `-unmatchable`: idle jobs that no machine will ever do for.
    Unmatchable,
}

/// A whole command line.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) view: View,
    /// Rows stand for jobs that are alike.
    pub(super) grouped: Option<Grouped>,
    /// It is about clusters whose jobs enter one after another, not about jobs.
    pub(super) factories: bool,
    /// What is told on standard error besides the answer.
    pub(super) warnings: String,
    pub(super) jobs: Vec<(u32, u32)>,
    pub(super) clusters: Vec<u32>,
    pub(super) owners: Vec<String>,
    pub(super) constraints: Vec<String>,
    pub(super) submitter: Option<String>,
    pub(super) all_users: bool,
    pub(super) limit: Option<u64>,
    /// For the views of whole ads; empty: all.
    pub(super) attributes: Vec<String>,
    pub(super) wide: bool,
    pub(super) cut_at: Option<usize>,
    pub(super) global: bool,
    pub(super) name: Option<String>,
    /// Machines that an analysis looks at.
    pub(super) machines: Choice,
    /// Where jobs come from instead of the master.
    pub(super) source: Option<Source>,
}

/// A file that stands for the queue.
#[derive(Debug)]
pub(super) enum Source {
    /// `-jobads`: ads, and their form if it was said.
    Ads(String, Form),
    /// `-userlog`: a job event log.
    Log(String),
}

/// What a command line asks for.
#[derive(Debug)]
pub(super) enum Asked {
    Wish(Box<Wish>),
    Help,
    Version,
    /// The usage on standard output, this line on standard error.
    Mistake {
        usage: bool,
        line: String,
    },
}

/// The constraint of the computing elements' counting commands, if the command line is one of them: exactly
/// `-constraint` and one of two expressions, whatever the blanks (decision D61).
pub(super) fn counting(arguments: &[String]) -> Option<&str> {
    let [option, expression] = arguments else { return None };
    if option != "-constraint" {
        return None;
    }
    let bare: String = expression.chars().filter(|c| !c.is_whitespace()).collect();
    matches!(bare.as_str(), "JobStatus==1" | "JobStatus==1||JobStatus==2").then_some(expression)
}

/// Reads a command line. `batch_by_default` is HTCondor's `CONDOR_Q_DASH_BATCH_IS_DEFAULT`.
pub(super) fn read(arguments: &[String], batch_by_default: bool) -> Asked {
    let mut wish = Wish {
        view: View::Batch,
        grouped: None,
        factories: false,
        warnings: String::new(),
        jobs: Vec::new(),
        clusters: Vec::new(),
        owners: Vec::new(),
        constraints: Vec::new(),
        submitter: None,
        all_users: false,
        limit: None,
        attributes: Vec::new(),
        wide: false,
        cut_at: None,
        global: false,
        name: None,
        machines: Choice::default(),
        source: None,
    };
    let mut columns = Columns::default();
    let mut ads = None;
    let (mut totals, mut unmatchable) = (false, false);
    let mut analysis: Option<Detail> = None;
    let (mut batch, mut batch_asked) = (batch_by_default, false);
    let mut rows: Option<fn(RunTime) -> RowView> = None;
    // Which of the three that exclude each other was asked for.
    let mut chosen = None;
    let mut run_time = RunTime::All;
    let (mut print_format, mut held_by_code, mut job_sets): (Option<Table>, _, _) = (None, false, false);
    for step in Walk::new(TABLE, arguments) {
        let (key, colon, words) = match step {
            Step::Word(word) => {
                wish.add_word(word);
                continue;
            }
            Step::Option { key, colon, words } => (key, colon.unwrap_or(""), words),
            Step::Missing { key, typed } => return missing(key, typed),
            Step::Refused { typed, why } => return mistake(format!("Error: {typed}: {why} by alien-workqueue")),
            Step::Unknown(typed) => {
                return Asked::Mistake { usage: true, line: format!("Error: unrecognized argument {typed}") };
            }
        };
        match key {
            Key::AutoCluster => wish.grouped = Some(Grouped::AutoClusters),
            Key::GroupBy => wish.grouped = Some(Grouped::Shown),
            Key::Wide => {
                wish.wide = true;
                // As recorded: the last column of the width given stays empty.
                wish.cut_at = colon.parse().ok().map(|width: usize| width.saturating_sub(1));
            }
            Key::Long => match AdForm::named(colon) {
                Some(form) => ads = Some(form),
                None => return mistake(format!("Error: Argument -long: unknown format {colon}")),
            },
            Key::Xml if ads == Some(AdForm::Json) => return both_forms(),
            Key::Json if ads == Some(AdForm::Xml) => return both_forms(),
            Key::Xml => ads = Some(AdForm::Xml),
            Key::Json => ads = Some(AdForm::Json),
            Key::Limit => match words[0].parse::<i64>() {
                Ok(limit) if limit > 0 => wish.limit = u64::try_from(limit).ok(),
                Ok(limit) => return mistake(format!("Error: {limit} is not a valid for -limit.")),
                Err(_) => {
                    return mistake(format!("Error: Unable to convert ({}) to a number for -limit.", words[0]));
                }
            },
            Key::Name if wish.submitter.is_some() => return mistake(ONE_OF_BOTH.into()),
            Key::Submitter if wish.name.is_some() => return mistake(ONE_OF_BOTH.into()),
            Key::Name => wish.name = Some(words[0].clone()),
            Key::Submitter => wish.submitter = Some(words[0].clone()),
            Key::Constraint => wish.constraints.push(words[0].clone()),
            Key::Attributes => wish
                .attributes
                .extend(words[0].split([',', ' ', '\t', '\n']).filter(|name| !name.is_empty()).map(str::to_owned)),
            Key::Format => columns.format(&words[0], &words[1]),
            Key::Auto => {
                if !columns.auto(colon, words) {
                    return mistake("Error: -autoformat requires at least one attribute parameter".into());
                }
            }
            Key::PrintFormat => match print_format::load(&words[0]) {
                Ok(table) => print_format = Some(table),
                Err(line) => return mistake(format!("{line}\nError: invalid select file {}", words[0])),
            },
            Key::Global => wish.global = true,
            Key::Help => return Asked::Help,
            Key::Version => return Asked::Version,
            Key::HoldCodes if matches!(chosen, Some(Key::Run | Key::Idle)) => {
                return Asked::Mistake { usage: true, line: "-hold-codes incompatible with -idle or -run".into() };
            }
            Key::Run | Key::Hold | Key::Idle if chosen.is_some_and(|other| other != key) => {
                return Asked::Mistake { usage: true, line: "-run and -hold/held or -idle are incompatible".into() };
            }
            Key::Run => {
                rows = Some(RowView::Run);
                chosen = Some(key);
            }
            Key::Hold | Key::HoldCodes => {
                rows = Some(|_| RowView::Hold);
                chosen = Some(Key::Hold);
                held_by_code = key == Key::HoldCodes;
                wish.constraints.extend(hold_codes(colon, &mut wish.warnings));
            }
            Key::Idle => {
                rows = Some(|_| RowView::Idle);
                chosen = Some(key);
            }
            Key::Grid => rows = Some(|_| RowView::Grid),
            Key::Io => rows = Some(|_| RowView::Io),
            Key::Factory => match unknown_kind(colon) {
                None => wish.factories = true,
                Some(word) => return mistake(format!("Error: unknown option {word} for -factory")),
            },
            Key::JobSet => job_sets = true,
            Key::CpuTime => run_time = RunTime::Cpu,
            Key::CurrentRun => run_time = RunTime::Current,
            Key::CumulativeTime => run_time = RunTime::All,
            Key::AllUsers => wish.all_users = true,
            Key::Batch => (batch, batch_asked) = (true, true),
            Key::NoBatch => (batch, batch_asked) = (false, false),
            Key::Totals => totals = true,
            Key::Analyze | Key::BetterAnalyze | Key::ReverseAnalyze => {
                let detail = analysis.get_or_insert_default();
                detail.better |= key == Key::BetterAnalyze;
                detail.reverse |= key == Key::ReverseAnalyze;
                colon.split([',', ':']).for_each(|word| qualify(detail, word));
            }
            Key::Machine => wish.machines.name = Some(words[0].clone()),
            Key::MachineConstraint => wish.machines.constraint = Some(words[0].clone()),
            Key::SlotAds => match ad_files::load(&words[0], Form::named(colon)) {
                Ok(ads) => wish.machines.ads = Some(ads),
                Err(why) => return mistake(why),
            },
            Key::JobAds => wish.source = Some(Source::Ads(words[0].clone(), Form::named(colon))),
            Key::UserLog => wish.source = Some(Source::Log(words[0].clone())),
            Key::Unmatchable => unmatchable = true,
        }
    }
    if batch_asked && !columns.is_empty() {
        return mistake("Error: -batch conflicts with -format and -af".into());
    }
    if unmatchable && analysis.is_none() {
        wish.constraints.push("JobStatus == 1".to_owned());
    }
    if let Some(rows) = rows {
        wish.constraints.extend(rows(run_time).constraint().map(str::to_owned));
    }
    if let Some(table) = &print_format {
        wish.grouped = table.grouped.or(wish.grouped);
    }
    if batch_asked && ads.is_none() && rows.is_none() && (wish.grouped.is_some() || job_sets) {
        let option = match wish.grouped {
            Some(Grouped::Shown) => "-group-by",
            _ if job_sets => "-jobset",
            _ => "-autocluster",
        };
        return mistake(format!("Error: -batch conflicts with {option}"));
    }
    wish.view = if let Some(detail) = analysis {
        View::Analysis(Detail { unmatchable, ..detail })
    } else if unmatchable {
        View::Unmatchable
    } else if !columns.is_empty() {
        View::Columns(columns)
    } else if totals {
        if ads == Some(AdForm::Json) { View::TotalsJson } else { View::Totals }
    } else if let Some(form) = ads {
        View::Ads(form)
    } else if let Some(mut table) = print_format {
        wish.constraints.append(&mut table.constraints);
        View::PrintFormat(Box::new(table))
    } else if wish.grouped == Some(Grouped::AutoClusters) {
        View::AutoClusters
    } else if job_sets {
        View::JobSets
    } else if held_by_code {
        View::HoldCodes
    } else if let Some(rows) = rows {
        View::Rows(rows(run_time))
    } else if wish.factories && !batch_asked {
        View::Factories
    } else if batch && wish.grouped.is_none() {
        View::Batch
    } else {
        View::Rows(RowView::Plain(run_time))
    };
    wish.factories &= matches!(wish.view, View::Factories | View::Columns(_) | View::Ads(_) | View::PrintFormat(_));
    if wish.factories {
        wish.constraints.push(IS_FACTORY.to_owned());
    }
    if job_sets && matches!(wish.view, View::Columns(_) | View::Ads(_) | View::PrintFormat(_)) {
        wish.constraints.push("false".to_owned());
    }
    // What is alike is so in the whole queue, not only among the caller's jobs.
    wish.all_users |= wish.grouped.is_some();
    // The batch view of 25.13 looks at the first of several clusters only; so recorded.
    if matches!(wish.view, View::Batch) {
        wish.clusters.truncate(1);
    }
    Asked::Wish(Box::new(wish))
}

/// A qualifier of `-analyze`. What HTCondor knows besides these is about user priorities, or its own diagnosis.
fn qualify(detail: &mut Detail, word: &str) {
    let is = |name: &str, least: usize| word.len() >= least && name.starts_with(&word.to_ascii_lowercase());
    detail.summary |= is("summary", 1);
    detail.reverse |= is("reverse", 1);
    detail.all_clauses |= is("noprune", 3);
    detail.branches |= is("ifthenelse", 2);
}

fn mistake(line: String) -> Asked {
    Asked::Mistake { usage: false, line }
}

fn both_forms() -> Asked {
    mistake("Error: Cannot print as both XML and JSON".into())
}

fn missing(key: Option<Key>, typed: &str) -> Asked {
    mistake(match key {
        Some(Key::Format) => "Error: -format requires format and attribute parameters".into(),
        Some(Key::Limit) => "Error: -limit requires the max number of results as an argument.".into(),
        Some(Key::Name) => "Error: -name requires the name of a schedd as an argument.".into(),
        Some(Key::Submitter) => "Error: -submitter requires the name of a user.".into(),
        Some(Key::Constraint) => "Error: -constraint requires another parameter".into(),
        Some(Key::Attributes) => "Error: -attributes requires a list of attributes to show".into(),
        Some(Key::PrintFormat) => "Error: -print-format requires a filename argument".into(),
        Some(Key::JobAds) => "Error: -jobads requires a filename".into(),
        Some(Key::UserLog) => "Error: -userlog requires a filename".into(),
        Some(Key::SlotAds) => "Error: -slotads requires a filename".into(),
        Some(Key::Machine | Key::MachineConstraint) => format!("Error: {typed} requires another parameter"),
        _ => format!("Error: Argument {typed} requires another parameter"),
    })
}

/// `-hold:3,13/2`: hold codes, some with a subcode. What is no number is told of and passed over.
fn hold_codes(colon: &str, warnings: &mut String) -> Option<String> {
    let mut codes = Vec::new();
    for word in colon.split(',').filter(|word| !word.trim().is_empty()) {
        let (code, subcode) = word.split_once('/').map_or((word, None), |(code, subcode)| (code, Some(subcode)));
        let Ok(code) = code.trim().parse::<i64>() else {
            *warnings += &format!("Warning \"{word}\" is not a hold code and/or subcode. ignoring\n");
            continue;
        };
        codes.push(match subcode.and_then(|subcode| subcode.trim().parse::<i64>().ok()) {
            Some(subcode) => format!("(HoldReasonCode == {code} && HoldReasonSubCode == {subcode})"),
            None => format!("HoldReasonCode == {code}"),
        });
    }
    (!codes.is_empty()).then(|| codes.join(" || "))
}

/// A word behind `-factory:` that HTCondor does not know. What it knows would bring clusters that are none of ours, or jobs.
fn unknown_kind(colon: &str) -> Option<&str> {
    let known = |word: &str| ["clusters_only", "late_materialize"].iter().any(|name| name.starts_with(word));
    colon.split(',').map(str::trim).find(|word| !word.is_empty() && !known(word))
}

impl Wish {
    /// `7` is a cluster, `7.0` a job, everything else an owner.
    fn add_word(&mut self, word: &str) {
        match job_number(word) {
            Some((cluster, Some(proc))) => self.jobs.push((cluster, proc)),
            Some((cluster, None)) => self.clusters.push(cluster),
            None => self.owners.push(word.to_owned()),
        }
    }

    /// Jobs or owners were named, so it is not about the caller's own jobs.
    pub(super) fn names_jobs(&self) -> bool {
        !(self.jobs.is_empty() && self.clusters.is_empty() && self.owners.is_empty() && self.submitter.is_none())
    }
}

/// `C` or `C.P` with both in range.
pub(crate) fn job_number(word: &str) -> Option<(u32, Option<u32>)> {
    let number = |digits: &str| -> Option<u32> {
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    match word.split_once('.') {
        Some((cluster, proc)) => Some((number(cluster)?, Some(number(proc)?))),
        None => Some((number(word)?, None)),
    }
}

#[cfg(test)]
mod tests;

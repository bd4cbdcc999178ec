//! The options of `condor_history`.

use control_proto::HistoryQuery;

use crate::columns::Columns;
use crate::options::{Entry, Step, Takes, Walk, accept, on, on_colon, refuse};
use crate::print_format::{self, Table};
use crate::query::job_number;
use crate::views::AdForm;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    File,
    Local,
    Name,
    Constraint,
    ScanLimit,
    Since,
    CompletedSince,
    Backwards,
    Forwards,
    Limit,
    Long,
    Xml,
    JsonLines,
    Json,
    Attributes,
    Wide,
    Format,
    Auto,
    PrintFormat,
    UserLog,
    Help,
    Version,
}

/// The order decides where short prefixes overlap.
const TABLE: &[Entry<Key>] = &[
    // `-f` is the file: BLAHP relies on it.
    on(&[("file", 1)], Takes::Words(1), Key::File),
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("version", 1)], Takes::Nothing, Key::Version),
    on_colon(&[("long", 1)], Takes::Nothing, Key::Long),
    on(&[("local", 3)], Takes::Nothing, Key::Local),
    on(&[("limit", 2), ("match", 1)], Takes::Words(1), Key::Limit),
    on(&[("xml", 3)], Takes::Nothing, Key::Xml),
    on(&[("json", 4)], Takes::Nothing, Key::Json),
    on(&[("jsonl", 5)], Takes::Nothing, Key::JsonLines),
    on(&[("backwards", 1)], Takes::Nothing, Key::Backwards),
    on(&[("forwards", 4)], Takes::Nothing, Key::Forwards),
    on(&[("format", 2)], Takes::Words(2), Key::Format),
    on_colon(&[("autoformat", 5), ("af", 2)], Takes::UntilOption, Key::Auto),
    on(&[("attributes", 2)], Takes::Words(1), Key::Attributes),
    on(&[("constraint", 1)], Takes::Words(1), Key::Constraint),
    on(&[("completedsince", 3)], Takes::Words(1), Key::CompletedSince),
    on(&[("scanlimit", 4)], Takes::Words(1), Key::ScanLimit),
    on(&[("since", 4)], Takes::Words(1), Key::Since),
    on_colon(&[("wide", 1)], Takes::Nothing, Key::Wide),
    on(&[("name", 1)], Takes::Words(1), Key::Name),
    accept(&[("pool", 1)], Takes::Words(1)),
    accept(
        &[("schedd", 3), ("no-librarian", 4), ("debug", 1), ("diagnostic", 4), ("stream-results", 3)],
        Takes::Nothing,
    ),
    on_colon(&[("print-format", 2)], Takes::Words(1), Key::PrintFormat),
    on(&[("userlog", 1)], Takes::Words(1), Key::UserLog),
    refuse(&[("search", 3), ("extract", 3)], Takes::Words(1), "there is one history file and it is no text"),
    refuse(
        &[("startd", 4), ("epochs", 2), ("transfer-history", 3), ("daemon", 3), ("directory", 3), ("type", 2)],
        Takes::Nothing,
        "only jobs that have left the queue are kept",
    ),
];

/// What the caller wants to see.
#[derive(Debug)]
pub(super) enum View {
    /// The default.
    Table,
    Ads(AdForm),
    /// One ad a line.
    JsonLines,
    /// `-af`, `-format`.
    Columns(Columns),
    /// `-print-format`.
    PrintFormat(Box<Table>),
}

/// A whole command line.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) view: View,
    /// Without its attributes, which depend on the view.
    pub(super) query: HistoryQuery,
    /// For the views of whole ads; empty: all.
    pub(super) attributes: Vec<String>,
    pub(super) wide: bool,
    pub(super) cut_at: Option<usize>,
    pub(super) file: Option<String>,
    /// A job event log instead of a history.
    pub(super) log: Option<String>,
    /// The site's own file, without asking the master.
    pub(super) local: bool,
    pub(super) name: Option<String>,
}

/// What a command line asks for.
#[derive(Debug)]
pub(super) enum Asked {
    Wish(Box<Wish>),
    Help,
    Version,
    /// This line on standard error, perhaps the usage on standard output.
    Mistake {
        usage: bool,
        line: String,
    },
}

/// Reads a command line.
pub(super) fn read(arguments: &[String]) -> Asked {
    let mut wish = Wish {
        view: View::Table,
        query: HistoryQuery::default(),
        attributes: Vec::new(),
        wide: false,
        cut_at: None,
        file: None,
        log: None,
        local: false,
        name: None,
    };
    let mut columns = Columns::default();
    let mut view = View::Table;
    let mut has_since = false;
    for step in Walk::new(TABLE, arguments) {
        let (key, colon, words) = match step {
            Step::Word(word) => {
                wish.add_word(word);
                continue;
            }
            Step::Option { key, colon, words } => (key, colon.unwrap_or(""), words),
            Step::Missing { key, typed } => return mistake(missing(key, typed)),
            Step::Refused { typed, why } => return mistake(format!("Error: {typed}: {why} by alien-workqueue")),
            Step::Unknown(typed) => {
                return Asked::Mistake { usage: true, line: format!("Error: Unknown argument {typed}") };
            }
        };
        match key {
            Key::File => wish.file = Some(words[0].clone()),
            Key::Local if wish.name.is_some() => {
                return mistake("Error: Arguments -local and -name cannot be used together".into());
            }
            Key::Local => wish.local = true,
            Key::Name if wish.local => return mistake("Error: -local and -name cannot be used together".into()),
            Key::Name => wish.name = Some(words[0].clone()),
            Key::Constraint => match classad::parse_expr(&words[0]) {
                Ok(_) => wish.query.select.constraints.push(words[0].clone()),
                Err(_) => return mistake(format!("Error:  could not parse constraint ( ({}) )", words[0])),
            },
            Key::ScanLimit | Key::Limit => match words[0].parse() {
                Ok(number) if key == Key::Limit => wish.query.limit = Some(number),
                Ok(number) => wish.query.scan_limit = Some(number),
                Err(_) => return mistake(format!("Error: a number is expected, not {}", words[0])),
            },
            Key::Since if wish.query.forwards => return mistake(NO_SINCE.into()),
            Key::Since => match since(&words[0]) {
                Some(until) => {
                    wish.query.until.push(until);
                    has_since = true;
                }
                None => {
                    let line = format!(
                        "Error: invalid -since constraint: {}\n\tconstraint must be a job-id, or expression.",
                        words[0]
                    );
                    return mistake(line);
                }
            },
            Key::CompletedSince => {
                let until = format!("CompletionDate <= {}", words[0]);
                if classad::parse_expr(&until).is_err() {
                    return mistake(format!("Error: '{}' not valid parameter for -completedsince ", words[0]));
                }
                wish.query.until.push(until);
            }
            Key::Backwards => wish.query.forwards = false,
            Key::Forwards if has_since => return mistake(NO_SINCE.into()),
            Key::Forwards => wish.query.forwards = true,
            Key::Long => match AdForm::named(colon) {
                Some(form) => view = View::Ads(form),
                None => return mistake(format!("Error: Argument -long: unknown format {colon}")),
            },
            Key::Xml => view = View::Ads(AdForm::Xml),
            Key::Json => view = View::Ads(AdForm::Json),
            Key::JsonLines => view = View::JsonLines,
            Key::Attributes => wish
                .attributes
                .extend(words[0].split([',', ' ', '\t', '\n']).filter(|name| !name.is_empty()).map(str::to_owned)),
            Key::Wide => {
                wish.wide = true;
                wish.cut_at = colon.parse().ok().map(|width: usize| width.saturating_sub(1));
            }
            Key::Format => columns.format(&words[0], &words[1]),
            Key::Auto => {
                if !columns.auto(colon, words) {
                    return mistake(
                        "Error: Argument -autoformat requires at least one attribute parameter\n\
                         \t\te.g. condor_history -autoformat ClusterId"
                            .into(),
                    );
                }
            }
            Key::PrintFormat => match print_format::load(&words[0]) {
                Ok(table) if table.grouped.is_some() => {
                    let complaints = table.complaints + "UNIQUE aggregation is not supported.";
                    return mistake(cannot_execute(&complaints, &words[0]));
                }
                Ok(mut table) => {
                    wish.query.select.constraints.append(&mut table.constraints);
                    view = View::PrintFormat(Box::new(table));
                }
                Err(line) => return mistake(cannot_execute(&line, &words[0])),
            },
            Key::UserLog => wish.log = Some(words[0].clone()),
            Key::Help => return Asked::Help,
            Key::Version => return Asked::Version,
        }
    }
    wish.view = if columns.is_empty() { view } else { View::Columns(columns) };
    Asked::Wish(Box::new(wish))
}

const NO_SINCE: &str = "Error: Argument -forwards cannot be combined with -since.";

fn missing(key: Option<Key>, typed: &str) -> String {
    match key {
        Some(Key::Format) => "Error: Argument -format requires a spec and classad attribute name as parameters.\n\
                              \t\te.g. condor_history -format '%d' ClusterId"
            .into(),
        Some(Key::Limit) => "Error: Argument -match requires a number value as a parameter.".into(),
        Some(Key::ScanLimit) => format!("Error: Argument {typed} requires a number value  as a parameter."),
        Some(Key::Attributes) => "Error: Argument -attributes must be followed by a list of attributes".into(),
        Some(Key::PrintFormat) => "Error: Argument -print-format requires a filename argument".into(),
        Some(Key::CompletedSince) => "Error: Argument -completedsince requires another parameter.".into(),
        Some(Key::Name) => "Error: Argument -name requires name of a remote schedd\n\
                            \t\te.g. condor_history -name submit.example.com "
            .into(),
        _ => format!("Error: Argument {typed} requires another parameter"),
    }
}

fn cannot_execute(why: &str, file: &str) -> String {
    format!("{why}\nError: cannot execute print-format file {file}")
}

fn mistake(line: String) -> Asked {
    Asked::Mistake { usage: false, line }
}

/// The expression that is true for the job at which reading ends.
fn since(word: &str) -> Option<String> {
    match job_number(word) {
        Some((cluster, Some(proc))) => Some(format!("ClusterId == {cluster} && ProcId == {proc}")),
        Some((cluster, None)) => Some(format!("ClusterId == {cluster}")),
        None => classad::parse_expr(word).is_ok().then(|| word.to_owned()),
    }
}

impl Wish {
    /// `7` is a cluster, `7.0` a job, everything else an owner.
    fn add_word(&mut self, word: &str) {
        let select = &mut self.query.select;
        match job_number(word) {
            Some((cluster, Some(proc))) => select.jobs.push((cluster, proc)),
            Some((cluster, None)) => select.clusters.push(cluster),
            None => select.owners.push(word.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::unreachable_names;

    fn wish(line: &[&str]) -> Box<Wish> {
        let words: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
        match read(&words) {
            Asked::Wish(wish) => wish,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[test]
    fn every_name_is_reachable() {
        assert_eq!(unreachable_names(TABLE), Vec::<&str>::new());
    }

    #[test]
    fn forms_of_the_field() {
        let blahp = wish(&["-f", "/var/h", "-backwards", "-match", "1", "7.0", "-format", "%d", "ClusterId"]);
        assert_eq!((blahp.file.as_deref(), blahp.query.limit, blahp.query.forwards), (Some("/var/h"), Some(1), false));
        assert_eq!(blahp.query.select.jobs, [(7, 0)]);
        let arc = wish(&["-l", "-file", "h", "-match", "1", "7"]);
        assert!(matches!(arc.view, View::Ads(AdForm::Long)) && arc.query.select.clusters == [7]);
        let harvester = wish(&["-xml", "1.0", "alice"]);
        assert_eq!(harvester.query.select.owners, ["alice"]);
        assert!(matches!(wish(&["-jsonl"]).view, View::JsonLines));
        assert!(matches!(wish(&["-json"]).view, View::Ads(AdForm::Json)));
        assert!(wish(&["-forw"]).query.forwards);
    }

    #[test]
    fn where_reading_ends() {
        assert_eq!(since("3").as_deref(), Some("ClusterId == 3"));
        assert_eq!(since("3.1").as_deref(), Some("ClusterId == 3 && ProcId == 1"));
        assert_eq!(since("QDate < 7").as_deref(), Some("QDate < 7"));
        assert_eq!(since("7 +"), None);
    }
}

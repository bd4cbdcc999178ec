//! The options of `condor_submit`.

use crate::options::{Entry, Step, Takes, Walk, accept, on, on_colon, refuse};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Verbose,
    Terse,
    Disable,
    Dump,
    DryRun,
    Spool,
    File,
    Queue,
    MaxJobs,
    SingleCluster,
    Name,
    Append,
    BatchName,
    Remote,
    Unused,
    Help,
    Version,
}

const TABLE: &[Entry<Key>] = &[
    on(&[("version", 4)], Takes::Nothing, Key::Version),
    on(&[("verbose", 1)], Takes::Nothing, Key::Verbose),
    on(&[("terse", 3)], Takes::Nothing, Key::Terse),
    on(&[("disable", 1)], Takes::Nothing, Key::Disable),
    accept(&[("debug", 2)], Takes::Nothing),
    on(&[("dump", 2)], Takes::Words(1), Key::Dump),
    on_colon(&[("dry-run", 3)], Takes::Words(1), Key::DryRun),
    on(&[("spool", 1)], Takes::Nothing, Key::Spool),
    on(&[("single-cluster", 3)], Takes::Nothing, Key::SingleCluster),
    on(&[("file", 2)], Takes::Words(1), Key::File),
    refuse(&[("factory", 2)], Takes::Nothing, "job factories are not supported"),
    on(&[("queue", 1)], Takes::Rest, Key::Queue),
    on(&[("maxjobs", 3)], Takes::Words(1), Key::MaxJobs),
    on(&[("name", 1)], Takes::Words(1), Key::Name),
    refuse(&[("interactive", 1)], Takes::Nothing, "interactive jobs are not supported"),
    accept(&[("allow-crlf-script", 3)], Takes::Nothing),
    accept(&[("addr", 2)], Takes::Words(1)),
    on(&[("append", 1)], Takes::Words(1), Key::Append),
    on(&[("batch-name", 1)], Takes::Words(1), Key::BatchName),
    on(&[("remote", 1)], Takes::Words(1), Key::Remote),
    accept(&[("pool", 1)], Takes::Words(1)),
    on(&[("unused", 1)], Takes::Nothing, Key::Unused),
    refuse(&[("capabilities", 3)], Takes::Nothing, "the capabilities of a schedd are not listed"),
    on(&[("help", 1)], Takes::Nothing, Key::Help),
];

/// Where the ads of a dry run go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DryRun {
    /// `-` is standard output.
    pub(super) file: String,
    /// Whole ads, sorted; else what `-dry-run` prints without `:full`.
    pub(super) full: bool,
}

/// Where the submit text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    File(String),
    StandardInput,
    /// `-queue` without a file: everything stands on the command line.
    Nothing,
}

/// A whole command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Order {
    /// Submit files in order; `-` is standard input.
    files: Vec<String>,
    /// `name=value`.
    pub(super) before: Vec<(String, String)>,
    pub(super) append: Vec<String>,
    pub(super) queue: Option<String>,
    pub(super) batch_name: Option<String>,
    pub(super) max_jobs: Option<u64>,
    pub(super) single_cluster: bool,
    pub(super) disable_file_checks: bool,
    pub(super) spool: bool,
    pub(super) remote: bool,
    /// `-name` or `-remote`.
    pub(super) name: Option<String>,
    pub(super) terse: bool,
    verbose: bool,
    pub(super) dry_run: Option<DryRun>,
    pub(super) hide_unused: bool,
}

impl Order {
    /// The texts, in order; at least one.
    pub(super) fn sources(&self) -> Vec<Source> {
        let source = |file: &String| match file.as_str() {
            "-" => Source::StandardInput,
            file => Source::File(file.to_owned()),
        };
        match self.files.as_slice() {
            [] if self.queue.is_some() => vec![Source::Nothing],
            [] => vec![Source::StandardInput],
            files => files.iter().map(source).collect(),
        }
    }

    /// Inputs travel with the submission and outputs wait to be fetched.
    pub(super) fn spools(&self) -> bool {
        self.spool || self.remote
    }

    /// A text comes through a pipe whose writer waits for us.
    pub(super) fn reads_standard_input(&self) -> bool {
        self.sources().contains(&Source::StandardInput)
    }

    /// The form with whole ads; an explicit `-` means it too.
    pub(super) fn verbose(&self) -> bool {
        !self.terse && (self.verbose || self.reads_dash())
    }

    /// `-` in place of the file.
    pub(super) fn reads_dash(&self) -> bool {
        self.files.iter().any(|file| file == "-")
    }

    /// Whether `Submitting job(s)` is printed.
    pub(super) fn announces(&self) -> bool {
        !self.terse && (!self.reads_dash() || self.dry_run.is_some())
    }
}

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Order(Box<Order>),
    Help,
    Version,
    /// The usage on standard error.
    Mistake,
    /// This line on standard error.
    Refused(String),
}

pub(super) fn read(arguments: &[String]) -> Asked {
    let mut order = Order::default();
    for step in Walk::new(TABLE, arguments) {
        let (key, colon, words) = match step {
            Step::Word(word) => {
                match word.split_once('=') {
                    Some((name, value)) => order.before.push((name.trim().to_owned(), value.trim().to_owned())),
                    None => order.files.push(word.to_owned()),
                }
                continue;
            }
            Step::Option { key, colon, words } => (key, colon, words),
            Step::Unknown(_) => return Asked::Mistake,
            Step::Missing { typed, .. } => {
                return Asked::Refused(format!("condor_submit: {typed} requires another argument"));
            }
            Step::Refused { typed, why } => {
                return Asked::Refused(format!("ERROR: {typed}: {why} by alien-workqueue"));
            }
        };
        match key {
            Key::Verbose => order.verbose = true,
            Key::Terse => order.terse = true,
            Key::Disable => order.disable_file_checks = true,
            Key::Dump => order.dry_run = Some(DryRun { file: words[0].clone(), full: true }),
            Key::DryRun => {
                let full = colon.is_some_and(|word| word.eq_ignore_ascii_case("full"));
                order.dry_run = Some(DryRun { file: words[0].clone(), full });
            }
            Key::Spool => order.spool = true,
            Key::File => order.files.push(words[0].clone()),
            Key::Queue => order.queue = Some(words.join(" ")),
            Key::MaxJobs => match words[0].parse() {
                Ok(most) => order.max_jobs = Some(most),
                Err(_) => return Asked::Refused(format!("ERROR: -maxjobs: {} is no number", words[0])),
            },
            Key::SingleCluster => order.single_cluster = true,
            Key::Name => order.name = Some(words[0].clone()),
            Key::Append => order.append.push(words[0].clone()),
            Key::BatchName => order.batch_name = Some(words[0].clone()),
            Key::Remote => {
                order.remote = true;
                order.name = Some(words[0].clone());
            }
            Key::Unused => order.hide_unused = !order.hide_unused,
            Key::Help => return Asked::Help,
            Key::Version => return Asked::Version,
        }
    }
    Asked::Order(Box::new(order))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::unreachable_names;

    fn order(line: &[&str]) -> Order {
        match read(&line.iter().map(|&word| word.to_owned()).collect::<Vec<_>>()) {
            Asked::Order(order) => *order,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[test]
    fn every_name_is_reachable() {
        assert_eq!(unreachable_names(TABLE), Vec::<&str>::new());
    }

    #[test]
    fn options_stand_before_and_after_the_file() {
        let o = order(&["-a", "x = 1", "one.sub", "-append", "queue 2", "hold=true", "--terse"]);
        assert_eq!(o.append, ["x = 1", "queue 2"]);
        assert_eq!(o.before, [("hold".to_owned(), "true".to_owned())]);
        assert_eq!((o.sources(), o.terse), (vec![Source::File("one.sub".into())], true));
        let o = order(&["hold2.sub", "-queue", "x", "in", "(a", "-b)"]);
        assert_eq!(o.queue.as_deref(), Some("x in (a -b)"));
    }

    #[test]
    fn where_the_text_comes_from() {
        assert_eq!(order(&[]).sources(), [Source::StandardInput]);
        assert!(order(&[]).reads_standard_input() && !order(&["f"]).reads_standard_input());
        assert_eq!(order(&["f", "g"]).sources(), [Source::File("f".into()), Source::File("g".into())]);
        assert!(!order(&[]).verbose());
        assert!(order(&["-"]).verbose());
        assert!(!order(&["-", "-terse"]).verbose());
        assert!(order(&["-v", "f"]).verbose());
        assert_eq!(order(&["executable=/bin/true", "-queue", "1"]).sources(), [Source::Nothing]);
    }

    #[test]
    fn unknown_and_refused() {
        let read = |word: &str| read(&[word.to_owned(), "f".to_owned()]);
        assert_eq!(read("-nosuchoption"), Asked::Mistake);
        assert_eq!(read("-version"), Asked::Version);
        assert!(matches!(read("-interactive"), Asked::Refused(line) if line.starts_with("ERROR: ")));
        assert!(matches!(read("-factory"), Asked::Refused(_)));
    }
}

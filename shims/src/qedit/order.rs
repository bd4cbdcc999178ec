//! The command line of `condor_qedit`: jobs first, then what is to be changed, options anywhere.

use std::collections::{BTreeMap, BTreeSet};

use classad::{parse_expr, quote_old};
use control_proto::Targets;

use crate::ad_files::{self, Form};
use crate::options::{Entry, Step, Takes, Walk, on, on_colon, refuse};
use crate::query::job_number;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Help,
    Version,
    Name,
    Pool,
    Constraint,
    Owner,
    JobIds,
    Edits,
    DryRun,
    /// Without effect here.
    Ignored,
}

/// The order decides where short prefixes overlap.
const TABLE: &[Entry<Key>] = &[
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("name", 1)], Takes::Words(1), Key::Name),
    on(&[("pool", 1)], Takes::Words(1), Key::Pool),
    on_colon(&[("debug", 1)], Takes::Nothing, Key::Ignored),
    refuse(&[("diagnostic", 4)], Takes::Nothing, "queries are not shown; -dry-run says what could be changed,"),
    on(&[("dry-run", 3)], Takes::Nothing, Key::DryRun),
    on(&[("constraint", 1)], Takes::Words(1), Key::Constraint),
    on(&[("owner", 1)], Takes::Words(1), Key::Owner),
    on(&[("jobids", 1)], Takes::Words(1), Key::JobIds),
    on_colon(&[("edits", 2)], Takes::Words(1), Key::Edits),
    on(&[("forward", 3)], Takes::Nothing, Key::Ignored),
    on(&[("version", 1)], Takes::Nothing, Key::Version),
];

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) targets: Targets,
    /// By name: so they are told.
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) name: Option<String>,
    pub(super) dry_run: bool,
}

/// What a command line is when it is no order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Instead {
    Help,
    Version,
    /// What follows the program's name, then the usage; empty for the usage alone.
    Usage(String),
    /// What follows the program's name.
    OwnLine(String),
    Line(String),
    /// Nothing was changed for this.
    Aborted(String),
}

/// Which jobs are meant: those that fit all of these.
#[derive(Debug, Default)]
struct Jobs {
    constraints: Vec<String>,
    clusters: BTreeSet<u32>,
    procs: BTreeSet<(u32, u32)>,
}

impl Jobs {
    fn owner(&mut self, name: &str) {
        self.constraints.push(format!("Owner=={}", quote_old(name)));
    }

    fn number(&mut self, word: &str) -> Result<(), Instead> {
        match job_number(word) {
            Some((cluster, Some(proc))) => drop(self.procs.insert((cluster, proc))),
            Some((cluster, None)) => drop(self.clusters.insert(cluster)),
            None => return Err(Instead::OwnLine(format!(" : Error - {word} is no number of a job or cluster."))),
        }
        Ok(())
    }

    /// `None` if no job was named. Blanks as HTCondor's.
    fn targets(mut self) -> Option<Targets> {
        if self.constraints.is_empty() && self.clusters.is_empty() {
            return (!self.procs.is_empty()).then(|| Targets::Jobs(self.procs.into_iter().collect()));
        }
        let mut parts: BTreeMap<u32, Vec<u32>> = self.clusters.iter().map(|cluster| (*cluster, Vec::new())).collect();
        for (cluster, proc) in &self.procs {
            // A whole cluster has this one, too.
            if !self.clusters.contains(cluster) {
                parts.entry(*cluster).or_default().push(*proc);
            }
        }
        let part = |(cluster, procs): (u32, Vec<u32>)| {
            let of = |proc: &u32| format!("ProcId == {proc} ");
            match procs.as_slice() {
                [] => format!("ClusterId == {cluster} "),
                [only] => format!("( ClusterId == {cluster} && {})", of(only)),
                several => {
                    let procs = several.iter().map(of).collect::<Vec<_>>().join(" || ");
                    format!("( ClusterId == {cluster} && ({procs}))")
                }
            }
        };
        let numbers = parts.into_iter().map(part).collect::<Vec<_>>().join("|| ");
        if !numbers.is_empty() {
            self.constraints.push(numbers);
        }
        let all = self.constraints.iter().map(|text| format!("({text})")).collect::<Vec<_>>().join(" && ");
        Some(Targets::Constraint(format!("( {all} )")))
    }
}

pub(super) fn read(arguments: &[String]) -> Result<Order, Instead> {
    if arguments.is_empty() {
        return Err(Instead::Usage(String::new()));
    }
    let (mut jobs, mut attributes, mut name, mut dry_run) = (Jobs::default(), BTreeMap::new(), None, false);
    // The first bare word is a job or an owner, unless an option said which jobs are meant.
    let mut jobs_named = false;
    let mut rest = arguments;
    while let Some(word) = rest.first() {
        let is_option = word.starts_with('-') && word != "-";
        if !is_option {
            rest = &rest[1..];
            if jobs_named {
                rest = change(word, rest, &mut attributes)?;
                continue;
            }
            jobs_named = true;
            let is_number = |word: &String| word.starts_with(|c: char| c.is_ascii_digit());
            if is_number(word) {
                jobs.number(word)?;
                while let Some(next) = rest.first().filter(|next| is_number(next)) {
                    jobs.number(next)?;
                    rest = &rest[1..];
                }
            } else {
                jobs.owner(word);
            }
            continue;
        }
        let mut walk = Walk::new(TABLE, rest);
        let step = walk.next();
        rest = walk.rest();
        match step {
            None | Some(Step::Word(_)) => unreachable!("it is an option, and each in the table is told of"),
            Some(Step::Option { key, colon, words }) => match key {
                Key::Help => return Err(Instead::Help),
                Key::Version => return Err(Instead::Version),
                Key::DryRun => dry_run = true,
                Key::Name => name = Some(words[0].clone()),
                Key::Pool | Key::Ignored => {}
                Key::Constraint if parse_expr(&words[0]).is_err() => {
                    return Err(Instead::OwnLine(format!(": invalid constraint: {}", words[0])));
                }
                Key::Constraint => jobs.constraints.push(words[0].clone()),
                Key::Owner => jobs.owner(&words[0]),
                Key::JobIds => {
                    let numbers = words[0].split([',', ' ', '\t']).filter(|word| !word.is_empty());
                    numbers.into_iter().try_for_each(|word| jobs.number(word))?;
                }
                Key::Edits => attributes.extend(edits(&words[0], Form::named(colon.unwrap_or("")))?),
            },
            Some(Step::Unknown(typed)) => return Err(Instead::Usage(format!(": {typed} is not a valid option"))),
            Some(Step::Missing { key, typed }) => {
                let what = match key {
                    Some(Key::Name) => "a SCHEDD name as an argument",
                    Some(Key::Pool) => "a HTCondor collector name or address as an argument",
                    Some(Key::Constraint) => "a ClassAd expression an argument",
                    Some(Key::Owner) => "a owner name argument",
                    Some(Key::JobIds) => "a list of job ids as an argument",
                    _ => "a filename as an argument",
                };
                return Err(Instead::OwnLine(format!(": {typed} requires {what}")));
            }
            Some(Step::Refused { typed, why }) => {
                return Err(Instead::OwnLine(format!(": {typed}: {why} by alien-workqueue")));
            }
        }
        jobs_named |= !jobs.constraints.is_empty() || !jobs.clusters.is_empty() || !jobs.procs.is_empty();
    }
    let Some(targets) = jobs.targets() else {
        let why = " : Error - there were no jobs specified.\n\t\
                   use -constraint, jobid or owner argument to indicate which jobs to edit";
        return Err(Instead::Usage(if attributes.is_empty() { String::new() } else { why.into() }));
    };
    if attributes.is_empty() {
        return Err(Instead::Usage(" : Error - no attributes specifed.".into()));
    }
    Ok(Order { targets, attributes, name, dry_run })
}

/// `Name value` or `Name=value`; gives back what stands behind it.
fn change<'a>(
    word: &str,
    rest: &'a [String],
    attributes: &mut BTreeMap<String, String>,
) -> Result<&'a [String], Instead> {
    let (name, value, rest) = match (word.split_once('='), rest) {
        (Some((name, value)), _) => (name.trim(), value.trim(), rest),
        (None, [value, behind @ ..]) => (word, value.as_str(), behind),
        (None, []) => return Err(Instead::Usage(format!(" : expression required after attribute {word}"))),
    };
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !letters || name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
        let line = format!("Update aborted, illegal attribute-name specified for attribute \"{name}\".");
        return Err(Instead::Aborted(line));
    }
    if value.trim().is_empty() || value.contains(['\n', '\r']) || parse_expr(value).is_err() {
        return Err(Instead::Aborted(format!("Update aborted, illegal value for : {name}")));
    }
    attributes.insert(name.to_owned(), value.to_owned());
    Ok(rest)
}

/// The attributes of the first ad of a file.
fn edits(path: &str, form: Form) -> Result<Vec<(String, String)>, Instead> {
    let ads = ad_files::load(path, form).map_err(|why| {
        let line =
            if why.starts_with("Can't open") { "Can't open file of edits" } else { "Unable to read file of edits" };
        Instead::Line(format!("{line}: {path}"))
    })?;
    let ad = ads.first().ok_or_else(|| Instead::Line(format!("Unable to read file of edits: {path}")))?;
    Ok(ad.iter().map(|(name, expr)| (name.to_owned(), expr.to_string())).collect())
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
        let attributes: BTreeMap<_, _> = attributes.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert_eq!((order.targets, order.attributes), (Targets::Constraint(constraint.into()), attributes), "{line:?}");
    }

    #[test]
    fn every_name_is_reachable() {
        assert_eq!(unreachable_names(TABLE), Vec::<&str>::new());
    }

    #[test]
    fn jobs_then_attributes() {
        check(&["9999", "Foo", "5"], "( (ClusterId == 9999 ) )", &[("Foo", "5")]);
        check(
            &["1", "2.0", "Foo", "-5"],
            "( (ClusterId == 1 || ( ClusterId == 2 && ProcId == 0 )) )",
            &[("Foo", "-5")],
        );
        check(&["alice", "A", "\"x\"", "B=2"], "( (Owner==\"alice\") )", &[("A", "\"x\""), ("B", "2")]);
        check(&["-debug", "-const", "true", "A", "-1", "B", "f(2)"], "( (true) )", &[("A", "-1"), ("B", "f(2)")]);
        check(&["-debug", "7", "A", "1"], "( (ClusterId == 7 ) )", &[("A", "1")]);
        check(&["7", "A", "1", "A=2"], "( (ClusterId == 7 ) )", &[("A", "2")]);
        let one = order(&["2.0", "1.1", "A", "1"]).unwrap();
        assert_eq!(one.targets, Targets::Jobs(vec![(1, 1), (2, 0)]));
    }

    #[test]
    fn several_kinds_of_jobs_narrow_each_other_and_options_stand_anywhere() {
        check(
            &["alice", "A", "1", "-constraint", "JobStatus == 5", "-jobids", "7,8.1 8.2", "-forward"],
            "( (Owner==\"alice\") && (JobStatus == 5) && \
             (ClusterId == 7 || ( ClusterId == 8 && (ProcId == 1  || ProcId == 2 ))) )",
            &[("A", "1")],
        );
        check(&["-owner", "bob", "A=1", "-constraint", "B"], "( (Owner==\"bob\") && (B) )", &[("A", "1")]);
        check(&["8", "8.1", "A", "1"], "( (ClusterId == 8 ) )", &[("A", "1")]);
        assert!(order(&["-dry-run", "-jobids", "8.1", "A", "1"]).unwrap().dry_run);
    }

    #[test]
    fn changes_come_from_files_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edits");
        let path = file.to_str().unwrap();
        std::fs::write(&file, "A = 1 + B\nName = \"x\"\n").unwrap();
        check(
            &["7", "-edits", path, "C", "3"],
            "( (ClusterId == 7 ) )",
            &[("A", "1 + B"), ("C", "3"), ("Name", "\"x\"")],
        );
        std::fs::write(&file, "{ \"A\": 2 }").unwrap();
        check(&["7", "-edits:json", path], "( (ClusterId == 7 ) )", &[("A", "2")]);
        std::fs::write(&file, "").unwrap();
        let unread = format!("Unable to read file of edits: {path}");
        assert_eq!(order(&["7", "-edits", path]), Err(Instead::Line(unread)));
        assert_eq!(order(&["7", "-edits", "/no"]), Err(Instead::Line("Can't open file of edits: /no".into())));
    }

    #[test]
    fn mistakes_have_htcondors_words() {
        for (line, wanted) in [
            (&[][..], Instead::Usage(String::new())),
            (&["1"], Instead::Usage(" : Error - no attributes specifed.".into())),
            (&["1", "A"], Instead::Usage(" : expression required after attribute A".into())),
            (&["-nosuch"], Instead::Usage(": -nosuch is not a valid option".into())),
            (&["-constraint"], Instead::OwnLine(": -constraint requires a ClassAd expression an argument".into())),
            (&["-cons", "a =="], Instead::OwnLine(": invalid constraint: a ==".into())),
            (&["-n"], Instead::OwnLine(": -n requires a SCHEDD name as an argument".into())),
            (&["-jobids"], Instead::OwnLine(": -jobids requires a list of job ids as an argument".into())),
            (&["1", "2A", "5"], Instead::OwnLine(" : Error - 2A is no number of a job or cluster.".into())),
            (
                &["1", "A-B", "5"],
                Instead::Aborted("Update aborted, illegal attribute-name specified for attribute \"A-B\".".into()),
            ),
            (&["1", "A", "1 +"], Instead::Aborted("Update aborted, illegal value for : A".into())),
            (&["1", "A="], Instead::Aborted("Update aborted, illegal value for : A".into())),
            (&["1", "-version"], Instead::Version),
        ] {
            assert_eq!(order(line), Err(wanted), "{line:?}");
        }
    }
}

//! The command line of `condor_rm` and its family.
//!
//! Single jobs (`7.0`) stand for themselves. All other words name a set: clusters and users are united, and of those only the jobs
//! count that meet every `-constraint`, so `condor_rm alice -constraint 'JobStatus == 5'` removes the held jobs of alice.

use classad::quote_old;
use control_proto::Targets;

use super::Verb;
use crate::options::{Entry, Step, Takes, Walk, accept, on, refuse};
use crate::query::job_number;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Help,
    Version,
    Long,
    Totals,
    Name,
    Pool,
    Address,
    Reason,
    SubCode,
    ForceX,
    Fast,
    Constraint,
    All,
}

/// One table for the family; the order decides where short prefixes overlap.
const TABLE: &[Entry<Key>] = &[
    accept(&[("debug", 1)], Takes::Nothing),
    on(&[("long", 1)], Takes::Nothing, Key::Long),
    on(&[("totals", 3)], Takes::Nothing, Key::Totals),
    on(&[("constraint", 1)], Takes::Words(1), Key::Constraint),
    on(&[("all", 1)], Takes::Nothing, Key::All),
    on(&[("addr", 2)], Takes::Words(1), Key::Address),
    on(&[("reason", 1)], Takes::Words(1), Key::Reason),
    on(&[("subcode", 1)], Takes::Words(1), Key::SubCode),
    on(&[("forcex", 2)], Takes::Nothing, Key::ForceX),
    refuse(&[("transfer", 2)], Takes::Nothing, "outputs of removed jobs are not transferred"),
    on(&[("fast", 2)], Takes::Nothing, Key::Fast),
    on(&[("name", 1)], Takes::Words(1), Key::Name),
    on(&[("pool", 1)], Takes::Words(1), Key::Pool),
    on(&[("version", 1)], Takes::Nothing, Key::Version),
    on(&[("help", 1)], Takes::Nothing, Key::Help),
];

/// One group of jobs that is sent as one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) targets: Targets,
    /// `in cluster 2`, `of user "alice"`; empty for all jobs; unused for single jobs.
    pub(super) whose: String,
}

/// A command line that was understood.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) verb: Verb,
    pub(super) groups: Vec<Group>,
    pub(super) reason: Option<String>,
    pub(super) subcode: Option<i32>,
    pub(super) totals: bool,
    pub(super) long: bool,
    pub(super) name: Option<String>,
    /// Lines for standard error before all others.
    pub(super) complaints: String,
    /// A word was passed over: the program fails whatever becomes of the others.
    pub(super) misread: bool,
}

/// What a command line is when it is no order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Instead {
    Help,
    Version,
    /// Lines before the usage.
    Usage(String),
    /// One line.
    Line(String),
    /// One line behind the program's name.
    OwnLine(String),
}

/// Which jobs are meant besides single ones.
#[derive(Debug, Default)]
struct Meant {
    /// `ClusterId == 2`, `Owner == "alice"` …
    anyone: Vec<String>,
    /// … and what a message says of the only one.
    whose: String,
    constraints: Vec<String>,
    /// `-all`; a constraint behind it takes its place, as HTCondor has it.
    all: bool,
}

impl Meant {
    fn add(&mut self, constraint: String, whose: String) {
        self.whose = whose;
        self.anyone.push(constraint);
    }

    fn nobody(&self) -> bool {
        !self.all && self.anyone.is_empty() && self.constraints.is_empty()
    }

    fn group(self) -> Option<Group> {
        if self.all && self.constraints.is_empty() {
            return Some(Group { targets: Targets::All, whose: String::new() });
        }
        let union = self.anyone.join(" || ");
        let text = match (self.constraints.as_slice(), self.anyone.len()) {
            ([], 0) => return None,
            ([], 1) => return Some(Group { targets: Targets::Constraint(union), whose: self.whose }),
            ([], _) => union,
            ([only], 0) => only.clone(),
            (several, count) => {
                let parts = several.iter().chain((count > 0).then_some(&union));
                parts.map(|part| format!("({part})")).collect::<Vec<_>>().join(" && ")
            }
        };
        Some(Group { whose: format!("matching constraint ({text})"), targets: Targets::Constraint(text) })
    }
}

pub(super) fn read(verb: Verb, arguments: &[String]) -> Result<Order, Instead> {
    let arguments = spelled_out(verb, arguments);
    let mut order = Order {
        verb,
        groups: Vec::new(),
        reason: None,
        subcode: None,
        totals: false,
        long: false,
        name: None,
        complaints: String::new(),
        misread: false,
    };
    let mut jobs = Vec::new();
    let mut meant = Meant::default();
    for step in Walk::new(TABLE, &arguments) {
        match step {
            Step::Word(_) if meant.all => return Err(Instead::Usage(order.complaints)),
            Step::Word(word) => match job_number(word) {
                Some((0, _)) => {
                    order.complaints += &format!("Invalid cluster # from {word}.\n");
                    order.misread = true;
                }
                Some((cluster, Some(proc))) => jobs.push((cluster, proc)),
                Some((cluster, None)) => {
                    meant.add(format!("ClusterId == {cluster}"), format!("in cluster {cluster}"));
                }
                None => meant.add(format!("Owner == {}", quote_old(word)), format!("of user \"{word}\"")),
            },
            Step::Option { key, words, .. } => match key {
                Key::Help => return Err(Instead::Help),
                Key::Version => return Err(Instead::Version),
                Key::Long => order.long = true,
                Key::Totals => order.totals = true,
                Key::Name => order.name = Some(words[0].clone()),
                Key::Pool => {}
                Key::Address => address(&words[0])?,
                Key::Reason => order.reason = Some(words[0].clone()),
                Key::SubCode => {
                    let code = words[0].parse();
                    order.subcode = Some(code.map_err(|_| Instead::Line(format!("Invalid -subcode {}!", words[0])))?);
                }
                Key::ForceX if order.verb == Verb::Remove => order.verb = Verb::RemoveForce,
                Key::ForceX => return Err(Instead::Usage("-forcex is only valid with condor_rm\n".into())),
                Key::Fast if order.verb == Verb::Vacate => order.verb = Verb::VacateFast,
                Key::Fast => return Err(Instead::Usage("-fast is only valid with condor_vacate_job\n".into())),
                Key::Constraint if words[0].starts_with('-') => return Err(missing("-constraint")),
                Key::Constraint => meant.constraints.push(words[0].clone()),
                Key::All if !meant.nobody() => {
                    return Err(Instead::OwnLine("can't mix -all with other constraints".into()));
                }
                Key::All => meant.all = true,
            },
            Step::Unknown(typed) => return Err(Instead::Usage(format!("Unrecognized option: {typed}\n"))),
            Step::Missing { key, .. } => {
                return Err(missing(match key {
                    Some(Key::Constraint) => "-constraint",
                    Some(Key::Address) => "-addr",
                    Some(Key::Reason) => "-reason",
                    Some(Key::SubCode) => "-subcode",
                    Some(Key::Pool) => "-pool",
                    _ => "-name",
                }));
            }
            Step::Refused { .. } if !matches!(order.verb, Verb::Remove) => {
                return Err(Instead::Usage("-transfer is only valid with condor_rm\n".into()));
            }
            Step::Refused { typed, why } => {
                return Err(Instead::OwnLine(format!("{typed}: {why} by alien-workqueue")));
            }
        }
    }
    if jobs.is_empty() && meant.nobody() {
        return Err(Instead::Usage(order.complaints + "You did not specify any jobs\n"));
    }
    if !jobs.is_empty() {
        if meant.all || !meant.constraints.is_empty() {
            order.complaints += "Warning, -constraint is ignored for fully qualified job ids\n";
        }
        order.groups.push(Group { targets: Targets::Jobs(jobs), whose: String::new() });
    }
    order.groups.extend(meant.group());
    Ok(order)
}

/// `-f` is `-forcex` for one program and `-fast` for another.
fn spelled_out(verb: Verb, arguments: &[String]) -> Vec<String> {
    let whole = match verb {
        Verb::Remove => "-forcex",
        Verb::Vacate => "-fast",
        _ => "-f",
    };
    arguments.iter().map(|word| if word == "-f" { whole.to_owned() } else { word.clone() }).collect()
}

fn missing(option: &str) -> Instead {
    Instead::OwnLine(format!("{option} requires another argument"))
}

/// An address is only looked at: the master is found by the work dir.
fn address(word: &str) -> Result<(), Instead> {
    if word.starts_with('-') {
        return Err(missing("-addr"));
    }
    let inner = word.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    if inner.is_some_and(|inner| inner.contains(':')) {
        return Ok(());
    }
    Err(Instead::OwnLine(format!(
        "\"{word}\" is not a valid address\nShould be of the form <ip.address.here:port>\n\
         For example: <123.456.789.123:6789>"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::unreachable_names;

    fn order(verb: Verb, line: &[&str]) -> Result<Order, Instead> {
        read(verb, &line.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    fn jobs_matching(text: &str) -> Group {
        Group { targets: Targets::Constraint(text.into()), whose: format!("matching constraint ({text})") }
    }

    #[test]
    fn every_name_is_reachable() {
        assert_eq!(unreachable_names(TABLE), Vec::<&str>::new());
    }

    #[test]
    fn single_jobs_then_clusters_as_one_constraint() {
        let order = order(Verb::Remove, &["1", "2", "3.0", "-reason", "because", "4.1"]).unwrap();
        assert_eq!(order.reason.as_deref(), Some("because"));
        let single = Group { targets: Targets::Jobs(vec![(3, 0), (4, 1)]), whose: String::new() };
        assert_eq!(order.groups, [single, jobs_matching("ClusterId == 1 || ClusterId == 2")]);
    }

    #[test]
    fn a_constraint_narrows_clusters_and_users() {
        for (line, wanted) in [
            (&["alice", "-constraint", "A == 1"][..], "(A == 1) && (Owner == \"alice\")"),
            (
                &["-constr", "A", "7", "bob", "-cons", "B || C"],
                "(A) && (B || C) && (ClusterId == 7 || Owner == \"bob\")",
            ),
            (&["-constraint", "A", "-constraint", "B"], "(A) && (B)"),
            (&["-constraint", "A || B"], "A || B"),
            (&["-all", "-constraint", "A"], "A"),
        ] {
            assert_eq!(order(Verb::Hold, line).unwrap().groups, [jobs_matching(wanted)], "{line:?}");
        }
        let mixed = order(Verb::Remove, &["7.0", "-constraint", "A"]).unwrap();
        assert_eq!(mixed.complaints, "Warning, -constraint is ignored for fully qualified job ids\n");
        assert_eq!(mixed.groups.len(), 2);
        for (word, whose) in [("7", "in cluster 7"), ("al", "of user \"al\"")] {
            assert_eq!(order(Verb::Remove, &[word]).unwrap().groups[0].whose, whose);
        }
    }

    #[test]
    fn users_are_quoted_into_the_constraint() {
        let order = order(Verb::Hold, &["a\" || true || \"x"]).unwrap();
        assert_eq!(order.groups[0].targets, Targets::Constraint(r#"Owner == "a\" || true || \"x""#.into()));
    }

    #[test]
    fn mistakes_have_htcondors_words() {
        let usage = |line: &str| Instead::Usage(format!("{line}\n"));
        let own = |line: &str| Instead::OwnLine(line.into());
        for (verb, line, wanted) in [
            (Verb::Remove, &["-nosuch", "1"][..], usage("Unrecognized option: -nosuch")),
            (Verb::Remove, &["-to", "1"], usage("Unrecognized option: -to")),
            (Verb::Hold, &["-f", "1"], usage("Unrecognized option: -f")),
            (Verb::Release, &["1", "-forcex"], usage("-forcex is only valid with condor_rm")),
            (Verb::Remove, &["-fast", "1"], usage("-fast is only valid with condor_vacate_job")),
            (Verb::Hold, &["-transfer", "1"], usage("-transfer is only valid with condor_rm")),
            (Verb::Remove, &[], usage("You did not specify any jobs")),
            (Verb::Remove, &["0.1"], usage("Invalid cluster # from 0.1.\nYou did not specify any jobs")),
            (Verb::Remove, &["-all", "1"], Instead::Usage(String::new())),
            (Verb::Remove, &["1", "-all"], own("can't mix -all with other constraints")),
            (Verb::Remove, &["-constraint"], own("-constraint requires another argument")),
            (Verb::Remove, &["-constraint", "-5"], own("-constraint requires another argument")),
            (Verb::Hold, &["-r"], own("-reason requires another argument")),
            (Verb::Hold, &["1", "-subcode"], own("-subcode requires another argument")),
            (Verb::Hold, &["-subcode", "x", "1"], Instead::Line("Invalid -subcode x!".into())),
            (Verb::Remove, &["-pool"], own("-pool requires another argument")),
            (Verb::Remove, &["-name"], own("-name requires another argument")),
        ] {
            assert_eq!(order(verb, line).unwrap_err(), wanted, "{line:?}");
        }
        let address = order(Verb::Remove, &["-addr", "1.2.3.4:5", "1"]).unwrap_err();
        assert!(
            matches!(&address, Instead::OwnLine(line) if line.starts_with("\"1.2.3.4:5\" is not a valid address\n"))
        );
    }

    #[test]
    fn short_forms_and_what_one_program_has_alone() {
        assert_eq!(order(Verb::Vacate, &["-fast", "3"]).unwrap().verb, Verb::VacateFast);
        assert_eq!(order(Verb::Vacate, &["-f", "3"]).unwrap().verb, Verb::VacateFast);
        assert_eq!(order(Verb::Remove, &["-f", "3"]).unwrap().verb, Verb::RemoveForce);
        assert_eq!(order(Verb::Remove, &["-a"]).unwrap().groups[0].targets, Targets::All);
        let skipped = order(Verb::Remove, &["0", "7", "-addr", "<127.0.0.1:9?x>"]).unwrap();
        assert!(skipped.misread && skipped.groups.len() == 1);
    }
}

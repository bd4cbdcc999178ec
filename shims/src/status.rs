//! `condor_status -schedd`: the scheduler's own ad. Slots are not listed.

use std::io::Read;
use std::sync::Arc;

use classad::Env;
use control_proto::client::ClientError;
use control_proto::{Refusal, Reply, Request, ScheddQuery};

use crate::columns::Columns;
use crate::job::{Job, Jobs};
use crate::master;
use crate::options::{Entry, Step, Takes, Walk, accept, on, on_colon};
use crate::version;
use crate::views::{AdForm, print_ads};
use crate::world::{Outcome, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Schedd,
    Other,
    Auto,
    Format,
    Long,
    Json,
    Xml,
    Constraint,
    Attributes,
    Help,
    Version,
}

const TABLE: &[Entry<Key>] = &[
    on(&[("schedd", 2)], Takes::Nothing, Key::Schedd),
    on_colon(&[("autoformat", 5), ("af", 2)], Takes::UntilOption, Key::Auto),
    on(&[("format", 1)], Takes::Words(2), Key::Format),
    on_colon(&[("long", 1)], Takes::Nothing, Key::Long),
    on(&[("json", 2)], Takes::Nothing, Key::Json),
    on(&[("xml", 3)], Takes::Nothing, Key::Xml),
    on(&[("constraint", 3)], Takes::Words(1), Key::Constraint),
    on(&[("attributes", 2)], Takes::Words(1), Key::Attributes),
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("version", 4)], Takes::Nothing, Key::Version),
    accept(&[("pool", 1)], Takes::Words(1)),
    accept(&[("direct", 3)], Takes::Words(1)),
    accept(&[("debug", 3)], Takes::Nothing),
    accept(&[("wide", 1)], Takes::Nothing),
    accept(&[("limit", 3)], Takes::Words(1)),
    accept(&[("sort", 3)], Takes::Words(1)),
    accept(&[("verbose", 4)], Takes::Nothing),
    // What follows asks for ads that this master does not have.
    on(
        &[
            ("absent", 2),
            ("annex-slots", 6),
            ("any", 2),
            ("avail", 2),
            ("ckptsrvr", 2),
            ("claimed", 2),
            ("cod", 3),
            ("collector", 3),
            ("compact", 4),
            ("data", 2),
            ("defrag", 3),
            ("generic", 3),
            ("gpus", 2),
            ("grid", 2),
            ("java", 1),
            ("license", 2),
            ("master", 1),
            ("negotiator", 2),
            ("nocompact", 3),
            ("run", 1),
            ("server", 2),
            ("slot", 2),
            ("startd", 4),
            ("state", 5),
            ("submitters", 2),
            ("totals", 1),
            ("vm", 1),
        ],
        Takes::Nothing,
        Key::Other,
    ),
];

const USAGE: &str = include_str!("usage/condor_status.txt");
const DOWN: &str = "Error: communication error\nCEDAR:6001:Failed to connect to @ADDRESS@\n";

#[derive(Debug, Default)]
struct Wish {
    schedd: bool,
    columns: Columns,
    form: Option<AdForm>,
    constraints: Vec<String>,
    attributes: Vec<String>,
    names: Vec<String>,
}

/// `condor_status -schedd …`
pub fn run(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    let mut wish = Wish::default();
    let mut other = false;
    for step in Walk::new(TABLE, arguments) {
        let (key, colon, words) = match step {
            Step::Word(name) => {
                wish.names.push(name.to_owned());
                continue;
            }
            Step::Option { key, colon, words } => (key, colon.unwrap_or(""), words),
            Step::Unknown(typed) => return Outcome::failure(format!("Error:  Unknown option {typed}\n{USAGE}")),
            Step::Missing { typed, .. } => {
                return Outcome::failure(format!("Error: Argument {typed} requires another parameter\n"));
            }
            Step::Refused { typed, why } => return Outcome::failure(format!("Error: {typed}: {why}\n")),
        };
        match key {
            Key::Schedd => wish.schedd = true,
            Key::Other => other = true,
            Key::Auto => {
                if !wish.columns.auto(colon, words) {
                    return Outcome::failure("Error: -autoformat requires at least one attribute parameter\n");
                }
            }
            Key::Format => wish.columns.format(&words[0], &words[1]),
            Key::Long => match AdForm::named(colon) {
                Some(form) => wish.form = Some(form),
                None => return Outcome::failure(format!("Error: Argument -long: unknown format {colon}\n")),
            },
            Key::Json => wish.form = Some(AdForm::Json),
            Key::Xml => wish.form = Some(AdForm::Xml),
            Key::Constraint => wish.constraints.push(words[0].clone()),
            Key::Attributes => wish
                .attributes
                .extend(words[0].split([',', ' ', '\t', '\n']).filter(|name| !name.is_empty()).map(str::to_owned)),
            Key::Help => return Outcome::answer(USAGE),
            Key::Version => return version::answer(),
        }
    }
    if other || !wish.schedd {
        // A master that is down is the more important news.
        return match master::ask(world, &Request::Ping) {
            Err(error) => master::down(world, &error, DOWN),
            Ok(_) => Outcome::failure("condor_status: only the form with -schedd is supported by alien-workqueue\n"),
        };
    }
    show(&wish, world).unwrap_or_else(|error| master::down(world, &error, DOWN))
}

fn show(wish: &Wish, world: &World) -> Result<Outcome, ClientError> {
    let answer = master::ask(world, &Request::Schedd(ScheddQuery { constraints: wish.constraints.clone() }))?;
    match &answer.reply {
        Reply::Listing => {}
        Reply::Refused { code: Refusal::Constraint, message, .. } => {
            return Ok(Outcome::failure(format!("Error: could not parse constraint: {message}\n")));
        }
        Reply::Refused { code, message, speaks } => {
            return Ok(Outcome::failure(format!("Error: {}\n", master::sentence(*code, message, *speaks))));
        }
        _ => return Ok(master::unexpected(world)),
    }
    let clock = world.clock.clone();
    let env = Env {
        now_s: Some(answer.site.now_s),
        offset_at: Some(Arc::new(move |at_s| clock.offset_s(at_s))),
        ..Env::default()
    };
    let named = wish.names.is_empty() || wish.names.iter().any(|name| master::is_this_site(name, &answer.site.host));
    let Some(end) = answer.end else { return Ok(master::unexpected(world)) };
    let mut listed = Jobs::new(&answer);
    let mut ads: Vec<Job> = listed.by_ref().collect();
    if let Err(fault) = listed.check(end.ads) {
        return Ok(Outcome::failure(format!("Error: {fault}\n")));
    }
    if !named {
        ads.clear();
    }
    Ok(Outcome::answer(if !wish.columns.is_empty() {
        wish.columns.print(ads.into_iter(), &env)
    } else if let Some(form) = wish.form {
        print_ads(
            form,
            ads.into_iter().map(|ad| match wish.attributes.as_slice() {
                [] => ad.into_ad(),
                names => ad.only(names),
            }),
        )
    } else {
        table(&ads, &env)
    }))
}

/// The default table; nothing at all without a row.
fn table(ads: &[Job], env: &Env) -> String {
    if ads.is_empty() {
        return String::new();
    }
    let text = |ad: &Job, name: &str| ad.text(name, env).unwrap_or_default();
    let widest = |title: &str, name: &str| {
        ads.iter().map(|ad| text(ad, name).chars().count()).max().unwrap_or(0).max(title.len())
    };
    let (name_width, machine_width) = (widest("Name", "name"), widest("Machine", "machine"));
    let mut out = format!(
        "{:<name_width$} {:<machine_width$} {:>11} {:>10} {:>10}\n\n",
        "Name", "Machine", "RunningJobs", "IdleJobs", "HeldJobs"
    );
    let mut sums = [0; 3];
    for ad in ads {
        let counts = ["totalrunningjobs", "totalidlejobs", "totalheldjobs"].map(|n| ad.int(n, env).unwrap_or(0));
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        let [running, idle, held] = counts;
        out.push_str(&format!(
            "{:<name_width$} {:<machine_width$} {running:>11} {idle:>10} {held:>10}\n",
            text(ad, "name"),
            text(ad, "machine")
        ));
    }
    let [running, idle, held] = sums;
    out.push_str(&format!("\n{:>32}{:>19}{:>19}\n", "TotalRunningJobs", "TotalIdleJobs", "TotalHeldJobs"));
    out.push_str(&format!("\n{:14}\n{:>14}{running:>18}{idle:>19}{held:>19}\n", "", "Total"));
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
}

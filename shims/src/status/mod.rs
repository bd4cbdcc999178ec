//! `condor_status`: workers and foremen as machines, the scheduler, and who submits to it.
//!
//! Ads of daemons that this site does not have (collector, negotiator, …) are none: nothing is printed for them, as
//! HTCondor does when nothing matches.

mod tables;

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use classad::{ClassAd, Env, Expr};
use control_proto::client::ClientError;
use control_proto::{MachineQuery, Refusal, Reply, Request, ScheddQuery};

use crate::ad_files::{self, Form};
use crate::columns::Columns;
use crate::job::{Job, Jobs};
use crate::master;
use crate::options::{Entry, Step, Takes, Walk, accept, on, on_colon};
use crate::print_format::{self, Summary, Table};
use crate::version;
use crate::views::{AdForm, Scene, print_ads};
use crate::world::{Outcome, World};

/// Whose ads, or which of them, or in which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Machines,
    Avail,
    Claimed,
    Gpus,
    Compact,
    Totals,
    State,
    Server,
    Schedd,
    /// `-run`: the scheduler again, if it runs anything.
    Run,
    Submitters,
    Any,
    /// `-master`: the master itself, which is the scheduler as well.
    Master,
    /// Daemons that are not here.
    Nobody,
}

impl View {
    /// What is asked of the ads beside the user's own constraints.
    fn constraint(self) -> Option<&'static str> {
        match self {
            View::Avail => Some("State == \"Unclaimed\" && Cpus > 0"),
            View::Claimed => Some("State == \"Claimed\""),
            View::Gpus => Some("TotalGPUs > 0"),
            View::Run => Some("TotalRunningJobs > 0"),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Show(View),
    Auto,
    Format,
    Long,
    Json,
    Xml,
    Constraint,
    Attributes,
    Limit,
    Pool,
    Sort,
    PrintFormat,
    Ads,
    Help,
    Version,
}

const TABLE: &[Entry<Key>] = &[
    on(&[("schedd", 2)], Takes::Nothing, Key::Show(View::Schedd)),
    on_colon(&[("autoformat", 5), ("af", 2)], Takes::UntilOption, Key::Auto),
    on(&[("format", 1)], Takes::Words(2), Key::Format),
    on_colon(&[("long", 1)], Takes::Nothing, Key::Long),
    on(&[("json", 2)], Takes::Nothing, Key::Json),
    on(&[("xml", 3)], Takes::Nothing, Key::Xml),
    on(&[("constraint", 3)], Takes::Words(1), Key::Constraint),
    on(&[("attributes", 2)], Takes::Words(1), Key::Attributes),
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("version", 4)], Takes::Nothing, Key::Version),
    on(&[("limit", 3)], Takes::Words(1), Key::Limit),
    on(&[("pool", 1)], Takes::Words(1), Key::Pool),
    accept(&[("direct", 3)], Takes::Words(1)),
    accept(&[("debug", 3)], Takes::Nothing),
    accept(&[("wide", 1)], Takes::Nothing),
    on(&[("sort", 3)], Takes::Words(1), Key::Sort),
    on_colon(&[("print-format", 2)], Takes::Words(1), Key::PrintFormat),
    on_colon(&[("ads", 3)], Takes::Words(1), Key::Ads),
    accept(&[("natural", 3)], Takes::Nothing),
    accept(&[("expert", 1)], Takes::Nothing),
    accept(&[("verbose", 4)], Takes::Nothing),
    on(&[("avail", 2)], Takes::Nothing, Key::Show(View::Avail)),
    on(&[("any", 2)], Takes::Nothing, Key::Show(View::Any)),
    on(&[("master", 1)], Takes::Nothing, Key::Show(View::Master)),
    on(&[("claimed", 2)], Takes::Nothing, Key::Show(View::Claimed)),
    on(&[("compact", 4)], Takes::Nothing, Key::Show(View::Compact)),
    on(&[("gpus", 2)], Takes::Nothing, Key::Show(View::Gpus)),
    on(&[("nocompact", 3), ("slot", 2), ("startd", 4)], Takes::Nothing, Key::Show(View::Machines)),
    on(&[("run", 1)], Takes::Nothing, Key::Show(View::Run)),
    on(&[("server", 2)], Takes::Nothing, Key::Show(View::Server)),
    on(&[("state", 5)], Takes::Nothing, Key::Show(View::State)),
    on(&[("submitters", 2)], Takes::Nothing, Key::Show(View::Submitters)),
    on(&[("totals", 1)], Takes::Nothing, Key::Show(View::Totals)),
    on(
        &[
            ("absent", 2),
            ("annex-slots", 6),
            ("ckptsrvr", 2),
            ("cod", 3),
            ("collector", 3),
            ("data", 2),
            ("defrag", 3),
            ("generic", 3),
            ("grid", 2),
            ("java", 1),
            ("license", 2),
            ("negotiator", 2),
            ("vm", 1),
        ],
        Takes::Nothing,
        Key::Show(View::Nobody),
    ),
];

const USAGE: &str = include_str!("../usage/condor_status.txt");
const NO_COLLECTOR: &str = include_str!("../usage/condor_status_no_collector.txt");
const DOWN: &str = "Error: communication error\nCEDAR:6001:Failed to connect to @ADDRESS@\n";

#[derive(Debug)]
struct Wish {
    view: View,
    columns: Columns,
    form: Option<AdForm>,
    constraints: Vec<String>,
    attributes: Vec<String>,
    names: Vec<String>,
    limit: usize,
    pool: Option<String>,
    /// `-sort`, the first one first; `None` keeps the order in which the ads came.
    sort: Option<Vec<Expr>>,
    print_format: Option<Table>,
    /// `-ads`: from a file instead of the master.
    ads: Option<Vec<ClassAd>>,
}

/// `condor_status ARGUMENTS…`
pub fn run(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    match read(arguments) {
        Ok(wish) => dead_pool(&wish, world)
            .unwrap_or_else(|| show(&wish, world).unwrap_or_else(|error| master::down(world, &error, DOWN))),
        Err(outcome) => outcome,
    }
}

/// HTCondor's words for a pool that was named and is not there.
fn dead_pool(wish: &Wish, world: &World) -> Option<Outcome> {
    let of_option = wish.pool.as_deref();
    let pool = of_option.or(world.variable("_CONDOR_COLLECTOR_HOST")).filter(|pool| is_dead(pool))?;
    let advice = if of_option.is_some() { NO_COLLECTOR } else { "" };
    Some(Outcome::failure(format!("{DOWN}{advice}").replace("@ADDRESS@", &format!("<{pool}>"))))
}

/// How long an address that was named is tried.
const TRY: Duration = Duration::from_secs(1);

/// Whether a pool is given as a plain address at which nobody listens. Names of hosts are not looked up: whatever
/// they are, this site's master is who answers.
fn is_dead(pool: &str) -> bool {
    pool.parse::<SocketAddr>().is_ok_and(|address| TcpStream::connect_timeout(&address, TRY).is_err())
}

fn read(arguments: &[String]) -> Result<Wish, Outcome> {
    let mistake = |line: String| Err(Outcome::failure(format!("Error: {line}\n")));
    let mut wish = Wish {
        view: View::Machines,
        columns: Columns::default(),
        form: None,
        constraints: Vec::new(),
        attributes: Vec::new(),
        names: Vec::new(),
        limit: usize::MAX,
        pool: None,
        sort: Some(Vec::new()),
        print_format: None,
        ads: None,
    };
    for step in Walk::new(TABLE, arguments) {
        let (key, colon, words) = match step {
            Step::Word(name) => {
                wish.names.push(name.to_owned());
                continue;
            }
            Step::Option { key, colon, words } => (key, colon.unwrap_or(""), words),
            Step::Unknown(typed) => {
                return mistake(format!(" Unknown option {typed}\n{}", USAGE.trim_end_matches('\n')));
            }
            Step::Missing { key: Some(Key::PrintFormat), .. } => {
                return mistake("Argument -print-format requires a filename argument".into());
            }
            Step::Missing { key, .. } => {
                let what = match key {
                    Some(Key::Format) => "-format requires two other arguments",
                    Some(Key::Constraint) => "-constraint requires another argument",
                    Some(Key::Limit) => "-limit requires one additional argument",
                    Some(Key::Attributes) => "-attributes requires one additional argument",
                    Some(Key::Sort) => "-sort requires another argument",
                    Some(Key::Ads) => "-ads requires a filename argument",
                    Some(Key::Pool) => "-pool requires a hostname as an argument.",
                    _ => "an argument is missing",
                };
                let lines = format!("condor_status: {what}\nUse \"condor_status -help\" for details\n");
                return Err(Outcome::failure(lines));
            }
            Step::Refused { typed, why } => return mistake(format!("{typed}: {why}")),
        };
        match key {
            Key::Show(view) => wish.view = view,
            Key::Auto => {
                if !wish.columns.auto(colon, words) {
                    return mistake("-autoformat requires at least one attribute parameter".into());
                }
            }
            Key::Format => wish.columns.format(&words[0], &words[1]),
            Key::Long => match AdForm::named(colon) {
                Some(form) => wish.form = Some(form),
                None => return mistake(format!("Argument -long: unknown format {colon}")),
            },
            Key::Json => wish.form = Some(AdForm::Json),
            Key::Xml => wish.form = Some(AdForm::Xml),
            Key::Constraint => wish.constraints.push(words[0].clone()),
            Key::Attributes => wish
                .attributes
                .extend(words[0].split([',', ' ', '\t', '\n']).filter(|name| !name.is_empty()).map(str::to_owned)),
            Key::Limit => match words[0].parse() {
                Ok(limit) => wish.limit = limit,
                Err(_) => return mistake(format!("Argument -limit requires a number, not {}", words[0])),
            },
            Key::Pool => wish.pool = Some(words[0].clone()),
            Key::Sort if ["false", "0", "no", "none"].contains(&words[0].as_str()) => wish.sort = None,
            Key::Sort => match classad::parse_expr(&words[0]) {
                Ok(expr) => wish.sort.get_or_insert_default().push(expr),
                Err(_) => return mistake(format!(" Parse error in sort expression: {}", words[0])),
            },
            Key::PrintFormat => match print_format::load(&words[0]) {
                // HTCondor's then says nothing of what else it does not understand.
                Ok(table) if table.grouped.is_some() => {
                    let why = "print-format aggregation not supported";
                    return Err(Outcome::failure(format!("{why}\nError: invalid select file {}\n", words[0])));
                }
                Ok(mut table) => {
                    wish.constraints.append(&mut table.constraints);
                    wish.print_format = Some(table);
                }
                Err(line) => {
                    return Err(Outcome::failure(format!("{line}\nError: invalid select file {}\n", words[0])));
                }
            },
            Key::Ads => match ad_files::load(&words[0], Form::named(colon)) {
                Ok(ads) => wish.ads = Some(ads),
                Err(line) => return Err(Outcome::failure(format!("{line}\n"))),
            },
            Key::Help => return Err(Outcome::answer(USAGE)),
            Key::Version => return Err(version::answer()),
        }
    }
    wish.constraints.extend(wish.view.constraint().map(str::to_owned));
    Ok(wish)
}

fn show(wish: &Wish, world: &World) -> Result<Outcome, ClientError> {
    let constraints = || wish.constraints.clone();
    let machines = || Request::Machines(MachineQuery { constraints: constraints() });
    let schedd = || Request::Schedd(ScheddQuery { constraints: constraints() });
    let requests = match wish.view {
        View::Schedd | View::Run | View::Master => vec![schedd()],
        View::Submitters => vec![Request::Submitters(ScheddQuery { constraints: constraints() })],
        View::Any => {
            vec![Request::Submitters(ScheddQuery { constraints: constraints() }), machines(), schedd()]
        }
        // Whether anybody is there is news all the same.
        View::Nobody => vec![Request::Ping],
        _ => vec![machines()],
    };
    let mut ads: Vec<Job> = Vec::new();
    let clock = world.clock.clone();
    let mut env =
        Env { now_s: Some(world.now_s), offset_at: Some(Arc::new(move |at_s| clock.offset_s(at_s))), ..Env::default() };
    if let Some(of_file) = &wish.ads {
        match chosen(of_file, &wish.constraints, &env) {
            Ok(chosen) => ads = chosen,
            Err(line) => return Ok(Outcome::failure(line)),
        }
    }
    for request in requests.iter().filter(|_| wish.ads.is_none()) {
        let answer = master::ask(world, request)?;
        match &answer.reply {
            Reply::Listing | Reply::Pong => {}
            Reply::Refused { code: Refusal::Constraint, message, .. } => {
                return Ok(Outcome::failure(format!("Error: could not parse constraint: {message}\n")));
            }
            Reply::Refused { code, message, speaks } => {
                return Ok(Outcome::failure(format!("Error: {}\n", master::sentence(*code, message, *speaks))));
            }
            _ => return Ok(master::unexpected(world)),
        }
        env.now_s = Some(answer.site.now_s);
        let mut listed = Jobs::new(&answer);
        let some: Vec<Job> = listed.by_ref().collect();
        if let Err(fault) = listed.check(answer.end.map_or(0, |end| end.ads)) {
            return Ok(Outcome::failure(format!("Error: {fault}\n")));
        }
        ads.extend(some);
    }
    ads.retain(|ad| wish.names.is_empty() || wish.names.iter().any(|name| is_named(ad, name, &env)));
    // Machines by host, and on a host by their number.
    let place = |ad: &Job| (ad.text("machine", &env), ad.int("slotid", &env), ad.text("name", &env));
    if wish.view != View::Any && wish.sort.is_some() {
        ads.sort_by_cached_key(place);
    }
    // The first key decides; what it does not tell apart keeps its order.
    for expr in wish.sort.iter().flatten().rev() {
        ads.sort_by(|a, b| print_format::compare(&a.eval(expr, &env), &b.eval(expr, &env)));
    }
    ads.truncate(wish.limit);
    if let Some(table) = &wish.print_format {
        let scene = Scene { clock: &world.clock, env: &env, now_s: env.now_s.unwrap_or(0), cut_at: None };
        let mut out = table.print(ads.iter().map(|ad| Job::from(ad.ad().clone())), &scene);
        if matches!(table.summary, Summary::Standard) && wish.view == View::Machines {
            out += &format!("\n{}", tables::machine_totals(&ads, &env));
        }
        return Ok(Outcome { err: table.complaints.clone().into(), ..Outcome::answer(out) });
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
    } else if ads.is_empty() {
        String::new()
    } else {
        match wish.view {
            View::Machines | View::Avail | View::Gpus => tables::machines(&ads, &env),
            View::Claimed => tables::claimed(&ads, &env),
            View::Compact => tables::compact(&ads, &env),
            View::Totals => tables::machine_totals(&ads, &env),
            View::State => tables::state(&ads, &env),
            View::Server => tables::server(&ads, &env),
            View::Schedd => tables::schedd(&ads, &env),
            View::Run => tables::run(&ads, &env),
            View::Submitters => tables::submitters(&ads, &env),
            View::Any => tables::any(&ads, &env),
            View::Master => tables::master(&ads, &env),
            View::Nobody => String::new(),
        }
    }))
}

/// The ads of a file for which all constraints are true.
fn chosen(ads: &[ClassAd], constraints: &[String], env: &Env) -> Result<Vec<Job>, String> {
    let mut parsed = Vec::new();
    for text in constraints {
        let expr = classad::parse_expr(text).map_err(|_| format!("Error: could not parse constraint: {text}\n"))?;
        parsed.push(expr);
    }
    let fits = |job: &Job| parsed.iter().all(|expr| job.eval(expr, env).truth() == Some(true));
    Ok(ads.iter().cloned().map(Job::from).filter(fits).collect())
}

/// Whether a name on the command line means the ad: its name or its host.
fn is_named(ad: &Job, name: &str, env: &Env) -> bool {
    let own = |attribute: &str| ad.text(attribute, env).unwrap_or_default();
    own("name").eq_ignore_ascii_case(name)
        || (!name.contains('@') && master::is_this_site(name, &own("machine")))
        || (own("mytype") == "Scheduler" && master::is_this_site(name, &own("machine")))
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

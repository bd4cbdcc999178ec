//! The steps that make an ad, in HTCondor's order. Each reads keys and earlier attributes and assigns its own.
//!
//! [`plan`] lists them for one table of macros; keys with free names (`request_x`, `+X`) get a step each.

mod base;
mod files;
mod grid;
mod identity;
mod policy;
mod program;
mod requirements;
mod resources;
mod retry_sizes;
mod simple;
mod transfer;
mod universe;

use crate::job::Job;
use crate::keys::{KEYS, Key};
use crate::macros::Macros;
use crate::refusal::Refusal;

pub(crate) use universe::Universe;

/// A step that is a function.
type Special = fn(&mut Job<'_, '_>) -> Result<(), Refusal>;

/// One step.
#[derive(Clone)]
pub(crate) enum Step {
    /// A function of its own.
    Special(Special),
    /// A key of the table.
    Simple(&'static Key),
    /// A `request_` key by its name as written.
    Request(String),
    /// `+X` by its macro name `MY.X`.
    Forced(String),
}

impl Step {
    pub(crate) fn run(&self, job: &mut Job<'_, '_>) -> Result<(), Refusal> {
        match self {
            Step::Special(function) => function(job),
            Step::Simple(key) => simple::assign(job, key),
            Step::Request(key) => resources::request(job, key),
            Step::Forced(key) => simple::force(job, key),
        }
    }
}

/// All steps for these macros.
pub(crate) fn plan(macros: &Macros<'_>) -> Vec<Step> {
    let specials = |list: &[Special]| list.iter().map(|function| Step::Special(*function)).collect::<Vec<Step>>();
    let mut steps = specials(&[
        base::counters,
        universe::universe,
        base::file_checks,
        files::directory,
        program::images,
        program::executable,
        program::arguments,
        grid::grid,
        program::java_arguments,
        program::parallel,
        program::environment,
        policy::status,
        program::tool_daemon,
        files::stdin,
        files::stdout,
        files::stderr,
        identity::proxy,
        identity::token,
        policy::notification,
        policy::rank,
        policy::periodic,
        policy::leave_in_queue,
        policy::retries,
        policy::on_evict,
        policy::signals,
        program::container_services,
    ]);
    let begins = |name: &str, prefix: &str| name.get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(prefix));
    let requests = macros.iter().filter(|(name, _)| begins(name, "request_"));
    steps.extend(requests.map(|(name, _)| Step::Request(name.to_owned())));
    steps.extend(specials(&[
        resources::default_cpus,
        resources::default_gpus,
        resources::default_disk,
        resources::default_memory,
        identity::concurrency,
        identity::accounting,
        identity::oauth,
    ]));
    steps.extend(KEYS.iter().map(Step::Simple));
    steps.extend(specials(&[
        policy::deferral,
        files::image_size,
        transfer::transfer,
        base::automatic,
        base::common_mistakes,
    ]));
    let forced = macros.iter().filter(|(name, _)| begins(name, "my."));
    steps.extend(forced.map(|(name, _)| Step::Forced(name.to_owned())));
    steps.extend(specials(&[resources::gpu_properties, requirements::requirements]));
    steps
}

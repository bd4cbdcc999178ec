//! `condor_config_val`: the few settings that can be answered truthfully without a configuration.

use std::io::Read;

use control_proto::Request;
use control_proto::client::Client;

use crate::options::{Entry, Step, Takes, Walk, accept, on, refuse};
use crate::version;
use crate::world::{Outcome, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Help,
    Version,
    Verbose,
    Dump,
    Raw,
}

const NO_FILES: &str = "there are no configuration files here";

const TABLE: &[Entry<Key>] = &[
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("version", 4)], Takes::Nothing, Key::Version),
    accept(&[("name", 1)], Takes::Words(1)),
    accept(&[("pool", 1)], Takes::Words(1)),
    accept(&[("address", 2)], Takes::Words(1)),
    accept(&[("subsystem", 3), ("local-name", 2)], Takes::Words(1)),
    accept(&[("schedd", 2), ("collector", 2), ("master", 1), ("negotiator", 2), ("startd", 2)], Takes::Nothing),
    on(&[("raw", 2)], Takes::Nothing, Key::Raw),
    accept(&[("expanded", 2), ("evaluate", 2), ("default", 3)], Takes::Nothing),
    accept(&[("debug", 2)], Takes::Nothing),
    on(&[("verbose", 1)], Takes::Nothing, Key::Verbose),
    on(&[("dump", 2)], Takes::Nothing, Key::Dump),
    refuse(
        &[("trace", 2), ("config", 3), ("owner", 1), ("used", 2), ("unused", 3), ("summary", 3), ("macro", 3)],
        Takes::Nothing,
        NO_FILES,
    ),
    refuse(&[("set", 3), ("unset", 3), ("rset", 2), ("runset", 2), ("writeconfig", 2)], Takes::Words(1), NO_FILES),
];

/// Where every value comes from.
const PLACE: &str = "<alien-workqueue>";

/// What `-raw` says of settings that are made of others.
const RAW: &[(&str, &str)] = &[("SPOOL", "$(LOCAL_DIR)/spool")];

/// Names with a value, sorted. The last three are HTCondor's defaults, and true here: a user is who the socket says.
const NAMES: &[&str] = &[
    "BIN",
    "COLLECTOR_HOST",
    "CONDOR_HOST",
    "ENABLE_IPV4",
    "ENABLE_IPV6",
    "FILESYSTEM_DOMAIN",
    "FULL_HOSTNAME",
    "HOSTNAME",
    "LOCAL_DIR",
    "LOG",
    "MAX_JOBS_RUNNING",
    "SCHEDD_HOST",
    "SCHEDD_NAME",
    "SOFT_UID_DOMAIN",
    "SPOOL",
    "TRUST_LOCAL_UID_DOMAIN",
    "TRUST_UID_DOMAIN",
    "UID_DOMAIN",
];

const USAGE: &str = include_str!("usage/condor_config_val.txt");

/// `condor_config_val NAME…`
///
/// The site's own facts come from the master if it answers at once; without it those of this machine are given, as
/// HTCondor's program reads its files without any daemon.
pub fn run(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    let mut names = Vec::new();
    let (mut verbose, mut dump, mut raw) = (false, false, false);
    for step in Walk::new(TABLE, arguments) {
        match step {
            Step::Word(name) => names.push(name),
            Step::Option { key: Key::Help, .. } => return Outcome::answer(USAGE),
            Step::Option { key: Key::Version, .. } => return version::answer(),
            Step::Option { key: Key::Verbose, .. } => verbose = true,
            Step::Option { key: Key::Dump, .. } => dump = true,
            Step::Option { key: Key::Raw, .. } => raw = true,
            Step::Unknown(typed) => return Outcome::failure(format!("{typed} is not a valid argument\n{USAGE}")),
            Step::Missing { typed, .. } => {
                return Outcome::failure(format!("Can't use {typed} without an argument\n{USAGE}"));
            }
            Step::Refused { typed, why } => return Outcome::failure(format!("condor_config_val: {typed}: {why}\n")),
        }
    }
    if names.is_empty() && !dump {
        return Outcome::failure(USAGE);
    }
    let settings = Settings::find(world);
    if dump {
        return Outcome::answer(settings.dump(&names));
    }
    let mut outcome = Outcome::default();
    for name in names {
        let raw = RAW.iter().find(|(known, _)| raw && known.eq_ignore_ascii_case(name));
        match raw.map(|(_, text)| (*text).to_owned()).or_else(|| settings.value(name)) {
            Some(value) if verbose => {
                let name = name.to_ascii_uppercase();
                let lines = format!("{name} = {value}\n # at: {PLACE}\n # raw: {name} = {value}\n\n");
                outcome.out.extend_from_slice(lines.as_bytes());
            }
            Some(value) => outcome.out.extend_from_slice(format!("{value}\n").as_bytes()),
            None => {
                outcome.code = 1;
                let line = format!("Not defined: {}\n", name.to_ascii_uppercase());
                outcome.err.extend_from_slice(line.as_bytes());
            }
        }
    }
    outcome
}

struct Settings {
    host: String,
    domain: String,
    address: Option<String>,
    history: String,
    /// The state dir, in which the history is.
    local_dir: String,
    /// The work dir. Nothing writes logs of its own: they are where the master's standard error goes.
    work_dir: String,
}

impl Settings {
    fn find(world: &World) -> Settings {
        let file = crate::history::file(world);
        let local_dir = file.parent().map(|dir| dir.to_string_lossy().into_owned()).unwrap_or_default();
        let work_dir = world.work_dir.to_string_lossy().into_owned();
        let asked = Client::connect(&world.work_dir, std::time::Duration::ZERO);
        match asked.and_then(|client| client.ask(&Request::Ping, &[])) {
            Ok(answer) => {
                let site = answer.site;
                let (address, history) = (Some(site.address), site.history);
                let dir = std::path::Path::new(&history).parent().filter(|dir| dir.is_absolute());
                let local_dir = dir.map_or(local_dir, |dir| dir.to_string_lossy().into_owned());
                Settings { host: site.host, domain: site.domain, address, history, local_dir, work_dir }
            }
            Err(_) => Settings {
                host: world.host.clone(),
                domain: world.domain().to_owned(),
                address: None,
                history: file.to_string_lossy().into_owned(),
                local_dir,
                work_dir,
            },
        }
    }

    /// All settings whose names have one of these parts; without parts all.
    fn dump(&self, parts: &[&str]) -> String {
        let mut out = format!("# Configuration from machine: {}\n", self.host);
        for part in if parts.is_empty() { &[""] } else { parts } {
            if !part.is_empty() {
                out += &format!("\n# Parameters with names that match {part}:\n");
            }
            for name in NAMES.iter().filter(|name| name.contains(&part.to_ascii_uppercase())) {
                out += &format!("{name} = {}\n", self.value(name).unwrap_or_default());
            }
        }
        out + &format!("# Contributing configuration file(s):\n#\t{PLACE}\n")
    }

    fn value(&self, name: &str) -> Option<String> {
        Some(match name.to_ascii_uppercase().as_str() {
            "FULL_HOSTNAME" | "SCHEDD_HOST" | "SCHEDD_NAME" | "CONDOR_HOST" => self.host.clone(),
            "HOSTNAME" => self.host.split('.').next().unwrap_or_default().to_owned(),
            "UID_DOMAIN" | "FILESYSTEM_DOMAIN" => self.domain.clone(),
            "COLLECTOR_HOST" => self.address.clone().unwrap_or_else(|| self.host.clone()),
            "LOCAL_DIR" => self.local_dir.clone(),
            "SPOOL" => format!("{}/spool", self.local_dir),
            "LOG" => self.work_dir.clone(),
            "HISTORY" if self.history.is_empty() => return None,
            "HISTORY" => self.history.clone(),
            // The master listens on whatever the machine has (decision D7).
            "ENABLE_IPV4" | "ENABLE_IPV6" => "auto".to_owned(),
            "SOFT_UID_DOMAIN" => String::new(),
            // HTCondor's default, for a client that computes with it; no limit is set here.
            "MAX_JOBS_RUNNING" => {
                let memory_mb = nix::sys::sysinfo::sysinfo().map_or(0, |machine| machine.ram_total() >> 20);
                format!("MIN({{{memory_mb}, 10000}})")
            }
            "TRUST_LOCAL_UID_DOMAIN" => "true".to_owned(),
            "TRUST_UID_DOMAIN" => "True".to_owned(),
            "BIN" => {
                let program = std::env::current_exe().ok()?;
                program.parent()?.to_string_lossy().into_owned()
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::unreachable_names;

    #[test]
    fn every_setting_has_a_value() {
        let settings = Settings {
            host: "a.b".into(),
            domain: "b".into(),
            address: None,
            history: String::new(),
            local_dir: "/s".into(),
            work_dir: "/w".into(),
        };
        assert_eq!(settings.value("spool").as_deref(), Some("/s/spool"));
        assert!(NAMES.is_sorted());
        assert!(NAMES.iter().all(|name| settings.value(name).is_some()));
    }

    #[test]
    fn every_name_is_reachable() {
        assert_eq!(unreachable_names(TABLE), Vec::<&str>::new());
    }
}

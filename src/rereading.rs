//! SIGHUP: the files of TLS and the configuration are read again, and what may change while the service runs changes
//! (requirement R-36).
//!
//! Everything else needs the planned restart, which reads all of it and costs no connection either.

use clap::Parser;

use crate::driver::Shell;
use crate::logging;
use crate::options::{Options, Settings, Surroundings};

/// Keys that change at once.
const AT_ONCE: [&str; 5] =
    ["log_level", "superusers", "strangers_max", "compat_alien_count_lines", "compat_submit_hint"];

/// What the settings were.
#[derive(Debug)]
pub(crate) struct Rereading {
    settings: Settings,
}

impl Rereading {
    /// From these settings on.
    pub(crate) fn new(settings: Settings) -> Rereading {
        Rereading { settings }
    }

    /// Reads them again. A file that makes no sense changes nothing.
    pub(crate) fn reread(&mut self, shell: &Shell) {
        // Renewed certificates count whatever else has been written meanwhile.
        if let Some(credentials) = &shell.links.credentials {
            credentials.reload();
        }
        let read = || -> anyhow::Result<(Settings, Options)> {
            let settings = Settings::try_parse()?.with_file()?;
            Ok((settings.clone(), settings.resolve(&Surroundings::current())?))
        };
        let done = read().and_then(|(settings, options)| {
            logging::change(&options.log_level)?;
            shell.callers.change(options.superusers, options.alien_count_lines, options.submit_hint);
            shell.links.change_strangers_max(options.strangers_max);
            Ok(settings)
        });
        match done {
            Ok(settings) => {
                let (changed, waiting) = compare(&self.settings, &settings);
                tracing::info!(changed = changed.join(", "), "SIGHUP: the configuration was read again");
                if !waiting.is_empty() {
                    tracing::warn!(settings = waiting.join(", "), "these settings change only with `awq reload`");
                }
                // What waits is told of again next time.
                self.settings = keep(&self.settings, settings);
            }
            Err(error) => tracing::error!("SIGHUP: the configuration cannot be read, nothing changes: {error:#}"),
        }
    }
}

/// Keys that differ: those that change at once, and those that wait for a restart.
fn compare(before: &Settings, now: &Settings) -> (Vec<String>, Vec<String>) {
    let table = |settings: &Settings| toml::Table::try_from(settings).expect("settings are plain data");
    let (before, now) = (table(before), table(now));
    let mut keys: Vec<&String> = before.keys().chain(now.keys()).collect();
    keys.sort();
    keys.dedup();
    let differ = keys.into_iter().filter(|key| before.get(*key) != now.get(*key)).cloned();
    differ.partition(|key| AT_ONCE.contains(&key.as_str()))
}

/// What holds now.
fn keep(before: &Settings, now: Settings) -> Settings {
    Settings {
        log_level: now.log_level,
        superusers: now.superusers,
        strangers_max: now.strangers_max,
        compat_alien_count_lines: now.compat_alien_count_lines,
        compat_submit_hint: now.compat_submit_hint,
        ..before.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_change_at_once_or_wait_for_a_restart() {
        let before = Settings { port: Some(1), log_level: Some("info".into()), ..Settings::default() };
        let now = Settings { port: Some(2), log_level: None, superusers: Some(vec!["root".into()]), ..before.clone() };
        let (changed, waiting) = compare(&before, &now);
        assert_eq!(changed, ["log_level", "superusers"]);
        assert_eq!(waiting, ["port"]);
        let (changed, waiting) = compare(&keep(&before, now.clone()), &now);
        assert!(changed.is_empty(), "{changed:?}");
        assert_eq!(waiting, ["port"], "told until it is done");
    }

    #[test]
    fn keys_that_change_at_once_are_keys() {
        use clap::CommandFactory;
        let command = Settings::command();
        let known: Vec<&str> = command.get_arguments().map(|arg| arg.get_id().as_str()).collect();
        assert!(AT_ONCE.iter().all(|key| known.contains(key)));
    }
}

//! Options of the master: command line, environment and configuration file in one table.
//!
//! An option `--x-y` is also the variable `AWQ_X_Y` and the key `x_y` of the TOML file, in this order of weight
//! (decision D13); the work dir alone is the variable `AWQ_WORKDIR`. A key may also stand in a table: `fsync` under
//! `[outputs]` is `outputs_fsync`; `[concurrency_limits]` alone is a table of names, which only the file can hold. A new option is one field of [`Settings`] and, where it has a default, one line in
//! [`Settings::resolve`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::builder::BoolishValueParser;
use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::catalog::servers::{self, ServersError, TRANSPORT_VARIABLE};
use crate::catalog::{Server, Transport};

/// The table of names in the configuration file.
const CONCURRENCY_LIMITS: &str = "concurrency_limits";

/// The port of the original.
pub const DEFAULT_PORT: u16 = 9094;
/// The work dir of the original.
pub const DEFAULT_WORK_DIR: &str = "/tmp/awq";

/// What the user said, wherever: nothing is filled in yet.
#[derive(Debug, Clone, Default, PartialEq, Parser, Serialize, Deserialize)]
#[command(
    name = "alien_work_queue",
    version,
    about = "A Work Queue master that HTCondor clients drive: runs their jobs on CCTools workers and foremen",
    after_help = "Every option --x-y is also the variable AWQ_X_Y and the key x_y of the configuration file; the \
                  command line wins over the environment, the environment over the file. SIGINT and SIGTERM stop the \
                  service within 10 s (exit 0), a second one at once (130 or 143). While a file `drain` is in the work \
                  dir no new jobs are taken, and the service ends with 0 when no idle or running job is left; submit \
                  texts in its folder `queue/` become jobs; `stat/latest` there has the counts."
)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Program that is sent with every job and starts it: `./wrapper.sh ./agent.sh …`
    #[arg(long, env = "AWQ_JOB_WRAPPER", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_wrapper: Option<PathBuf>,

    /// Folder of the doors: socket, lock, queue/, stat/latest, drain [default: /tmp/awq]
    #[arg(long, env = "AWQ_WORKDIR", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_dir: Option<PathBuf>,

    /// Folder of the durable state: journal and spool [default: WORK_DIR/state, or
    /// ~/.local/state/alien-workqueue (root: /var/lib/alien-workqueue) with the default work dir]
    #[arg(long, env = "AWQ_STATE_DIR", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,

    /// Catalog server to report to, HOST or HOST:PORT; several with commas between. Without it nothing is reported. The
    /// environment variable CATALOG_UPDATE_PROTOCOL=tcp sends reports by TCP to the port behind, instead of datagrams
    #[arg(long, env = "AWQ_CATALOG_HOST", value_name = "HOST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog_host: Option<String>,

    /// Port of catalog servers that are named without one [default: 9097]
    #[arg(long, env = "AWQ_CATALOG_PORT", value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog_port: Option<u16>,

    /// Name under which workers find this master [default: alien_jobs]
    #[arg(long, env = "AWQ_PROJECT_NAME", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,

    /// Port for workers and foremen, 0 = any free one [default: 9094]
    #[arg(long, env = "AWQ_PORT", value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,

    /// Address to listen on; `*` for all [default: all with a password, else loopback]
    #[arg(long, env = "AWQ_BIND", value_name = "ADDRESS", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<Vec<String>>,

    /// File with the password that workers must know; its bytes count, also a final newline
    #[arg(long, env = "AWQ_PASSWORD_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,

    /// Certificate of the worker port (PEM): peers that begin with TLS (`--ssl`) get it, on the same port; read again when
    /// it changes, and on SIGHUP
    #[arg(long, env = "AWQ_TLS_CERT", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate (PEM) [default: the file of --tls-cert]
    #[arg(long, env = "AWQ_TLS_KEY", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,

    /// Refuse peers that speak clear text [default: false]
    #[arg(long, env = "AWQ_TLS_REQUIRED", value_name = "BOOL", value_parser = BoolishValueParser::new(),
          num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_required: Option<bool>,

    /// Allow other addresses than loopback without a password
    #[arg(long, env = "AWQ_INSECURE", value_name = "BOOL", value_parser = BoolishValueParser::new(),
          num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,

    /// Configuration file (TOML)
    #[arg(long, env = "AWQ_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Let a crash leave a core dump, which holds passwords and environments of jobs [default: false]
    #[arg(long, env = "AWQ_CORE_DUMPS", value_name = "BOOL", value_parser = BoolishValueParser::new(),
          num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_dumps: Option<bool>,

    /// For the master's own use: the number of an open file with the state of the program before this one.
    #[arg(long, hide = true, value_name = "NUMBER", require_equals = true)]
    #[serde(skip)]
    pub handover: Option<i32>,

    /// For the master's own use: prove that the state on standard input can be taken over.
    #[arg(long, hide = true, conflicts_with = "handover")]
    #[serde(skip)]
    pub check_handover: bool,

    /// What is logged: error, warn, info, debug, trace, or a filter such as `info,alien_workqueue::links=debug`
    /// [default: info]
    #[arg(long, env = "AWQ_LOG_LEVEL", value_name = "LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,

    /// How log lines look [default: text]
    #[arg(long, env = "AWQ_LOG_FORMAT", value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,

    /// Group whose members may look at the queue: the work dir becomes 0750, the socket 0660
    #[arg(long, env = "AWQ_GROUP", value_name = "GROUP")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,

    /// Users who may act on everybody's jobs, besides root
    #[arg(long, env = "AWQ_SUPERUSERS", value_name = "NAMES", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superusers: Option<Vec<String>>,

    /// Let the journal grow to this size, in KiB, before it is compacted [default: 4096]
    #[arg(long, env = "AWQ_JOURNAL_FLOOR_KB", value_name = "KIB")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_floor_kb: Option<u64>,

    /// Wait until delivered outputs are on disk before a job counts as ended [default: false]
    #[arg(long, env = "AWQ_OUTPUTS_FSYNC", value_name = "BOOL", value_parser = BoolishValueParser::new(),
          num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs_fsync: Option<bool>,

    /// Jobs that the history keeps, 0 = there is no history; beyond, the oldest go [default: 1000000]
    #[arg(long, env = "AWQ_HISTORY_JOBS", value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_jobs: Option<u64>,

    /// Days that a job is kept in the history, 0 = no limit [default: 0]
    #[arg(long, env = "AWQ_HISTORY_DAYS", value_name = "DAYS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_days: Option<u32>,

    /// Largest submission, in MiB, with the inputs that -spool copies [default: 1024]
    #[arg(long, env = "AWQ_SUBMISSION_MAX_MB", value_name = "MIB")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submission_max_mb: Option<u64>,

    /// Connections that have not yet introduced themselves; beyond, the oldest is closed [default: 4096]
    #[arg(long, env = "AWQ_STRANGERS_MAX", value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strangers_max: Option<usize>,

    /// Seconds of silence after which a worker with tasks is asked whether it lives; idle ones every 15 min [default: 120]
    #[arg(long, env = "AWQ_KEEPALIVE_INTERVAL_S", value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive_interval_s: Option<u64>,

    /// Seconds that it has for the answer before it counts as lost and its jobs run elsewhere [default: 30]
    #[arg(long, env = "AWQ_KEEPALIVE_TIMEOUT_S", value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive_timeout_s: Option<u64>,

    /// Ask for a task's outputs and send the next task before the result is read [default: true]
    #[arg(long, env = "AWQ_ONE_WRITE", value_name = "BOOL", value_parser = BoolishValueParser::new())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_write: Option<bool>,

    /// Send jobs only where their requirements hold, and where their rank prefers [default: true]
    #[arg(long, env = "AWQ_MATCH_REQUIREMENTS", value_name = "BOOL", value_parser = BoolishValueParser::new())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_requirements: Option<bool>,

    /// Jobs of the universes local and scheduler that run on this machine at once [default: 20]
    #[arg(long, env = "AWQ_LOCAL_JOBS_MAX", value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_jobs_max: Option<usize>,

    /// Only a table of the configuration file: how many jobs that name a thing in `concurrency_limits` may run at once.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency_limits: Option<BTreeMap<String, u64>>,

    /// Answer AliEn's own two counting commands with one line a job [default: true]
    #[arg(long, env = "AWQ_COMPAT_ALIEN_COUNT_LINES", value_name = "BOOL", value_parser = BoolishValueParser::new())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compat_alien_count_lines: Option<bool>,

    /// Let condor_submit print HTCondor's hint about condor_watch_q [default: true]
    #[arg(long, env = "AWQ_COMPAT_SUBMIT_HINT", value_name = "BOOL", value_parser = BoolishValueParser::new())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compat_submit_hint: Option<bool>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For eyes.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// At most so many jobs; 0: there is no history.
    pub jobs: u64,
    /// Nothing that left longer ago, in seconds.
    pub age_s: Option<i64>,
}

/// Where TLS comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// File with the certificate.
    pub certificate: PathBuf,
    /// File with its key; may be the same.
    pub key: PathBuf,
    /// Clear text is refused.
    pub required: bool,
}

/// Complete settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The job wrapper, if there is one.
    pub job_wrapper: Option<PathBuf>,
    /// Folder of the doors.
    pub work_dir: PathBuf,
    /// Folder of the durable state.
    pub state_dir: PathBuf,
    /// Catalog servers to report to.
    pub catalog_servers: Vec<Server>,
    /// How.
    pub catalog_transport: Transport,
    /// The name that workers look for.
    pub project_name: String,
    /// Port for workers, 0 = any.
    pub port: u16,
    /// Addresses as given; empty = the default.
    pub bind: Vec<String>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// TLS of the worker port, if it has it.
    pub tls: Option<TlsFiles>,
    /// Other addresses than loopback are allowed without a password.
    pub insecure: bool,
    /// A crash may leave a core dump.
    pub core_dumps: bool,
    /// Filter of the log.
    pub log_level: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Group that may look.
    pub group: Option<String>,
    /// Users with root's rights over jobs.
    pub superusers: Vec<String>,
    /// Size, in KiB, below which the journal is not compacted.
    pub journal_floor_kb: u64,
    /// Outputs are synced before a job ends.
    pub outputs_fsync: bool,
    /// How much history is kept.
    pub history: HistoryLimits,
    /// Largest submission, bytes.
    pub submission_max: u64,
    /// Most connections that have not introduced themselves.
    pub strangers_max: usize,
    /// Seconds between checks of a peer with tasks (decision D47), at least one.
    pub keepalive_interval_s: u64,
    /// Seconds for its answer, at least one.
    pub keepalive_timeout_s: u64,
    /// Decision D38.
    pub one_write: bool,
    /// Decision D44.
    pub match_requirements: bool,
    /// Most local jobs at once (decision D60); 0: none runs.
    pub local_jobs_max: usize,
    /// Decision D46.
    pub concurrency_limits: BTreeMap<String, u64>,
    /// Decision D61.
    pub alien_count_lines: bool,
    /// Decision D63.
    pub submit_hint: bool,
}

/// Why the options make no sense.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line of the file is wrong.
    #[error("{path}:{line}: {problem}", path = path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// The catalog servers make no sense.
    #[error(transparent)]
    Catalog(#[from] ServersError),
    /// Without a certificate there is no TLS.
    #[error("{option} without a certificate: give --tls-cert FILE too")]
    NoCertificate {
        /// The option that was given.
        option: &'static str,
    },
    /// Neither a state dir nor a home is known.
    #[error("no place for the durable state is known: give --state-dir, or set HOME")]
    NoStateDir,
}

/// Facts about the caller on which defaults depend.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Effective user id 0.
    pub root: bool,
    /// `XDG_STATE_HOME`.
    pub xdg_state_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `CATALOG_UPDATE_PROTOCOL`.
    pub catalog_transport: Option<String>,
}

impl Surroundings {
    /// Those of this process.
    pub fn current() -> Surroundings {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Surroundings {
            root: nix::unistd::geteuid().is_root(),
            xdg_state_home: absolute("XDG_STATE_HOME"),
            home: absolute("HOME"),
            catalog_transport: std::env::var_os(TRANSPORT_VARIABLE).map(|word| word.to_string_lossy().into_owned()),
        }
    }
}

impl Settings {
    /// Adds what the configuration file says where command line and environment are silent.
    ///
    /// # Errors
    /// [`OptionsError::Unreadable`] and [`OptionsError::Line`].
    pub fn with_file(self) -> Result<Settings, OptionsError> {
        let Some(path) = self.config.clone() else { return Ok(self) };
        let text =
            std::fs::read_to_string(&path).map_err(|source| OptionsError::Unreadable { path: path.clone(), source })?;
        let mut table = read_table(&path, &text)?;
        let said = toml::Table::try_from(&self).expect("settings are plain data");
        table.extend(said);
        let merged: Settings = table.try_into().expect("each entry was read as a setting before");
        Ok(Settings { config: Some(path), handover: self.handover, check_handover: self.check_handover, ..merged })
    }

    /// Fills in the defaults.
    ///
    /// # Errors
    /// [`OptionsError::NoStateDir`], [`OptionsError::NoCertificate`] and [`OptionsError::Catalog`].
    pub fn resolve(self, surroundings: &Surroundings) -> Result<Options, OptionsError> {
        let state_dir = match (self.state_dir, &self.work_dir) {
            (Some(dir), _) => dir,
            (None, Some(work_dir)) => work_dir.join("state"),
            (None, None) => default_state_dir(surroundings).ok_or(OptionsError::NoStateDir)?,
        };
        let catalog_port = self.catalog_port.unwrap_or(9097);
        let catalog_servers = match &self.catalog_host {
            Some(list) => servers::parse(list, catalog_port)?,
            None => Vec::new(),
        };
        // Without a catalog the variable means something to other programs only.
        let word = surroundings.catalog_transport.as_deref().filter(|_| !catalog_servers.is_empty());
        let catalog_transport = Transport::parse(word)?;
        let required = self.tls_required.unwrap_or(false);
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(certificate), key) => {
                Some(TlsFiles { key: key.unwrap_or_else(|| certificate.clone()), certificate, required })
            }
            (None, Some(_)) => return Err(OptionsError::NoCertificate { option: "--tls-key" }),
            (None, None) if required => return Err(OptionsError::NoCertificate { option: "--tls-required" }),
            (None, None) => None,
        };
        Ok(Options {
            job_wrapper: self.job_wrapper,
            work_dir: self.work_dir.unwrap_or_else(|| DEFAULT_WORK_DIR.into()),
            state_dir,
            catalog_servers,
            catalog_transport,
            project_name: self.project_name.unwrap_or_else(|| "alien_jobs".into()),
            port: self.port.unwrap_or(DEFAULT_PORT),
            bind: self.bind.unwrap_or_default(),
            password_file: self.password_file,
            tls,
            insecure: self.insecure.unwrap_or(false),
            core_dumps: self.core_dumps.unwrap_or(false),
            log_level: self.log_level.unwrap_or_else(|| "info".into()),
            log_format: self.log_format.unwrap_or_default(),
            group: self.group,
            superusers: self.superusers.unwrap_or_default(),
            journal_floor_kb: self.journal_floor_kb.unwrap_or(4 << 10).min(u64::MAX >> 10),
            outputs_fsync: self.outputs_fsync.unwrap_or(false),
            history: HistoryLimits {
                jobs: self.history_jobs.unwrap_or(1_000_000),
                age_s: self.history_days.filter(|days| *days > 0).map(|days| i64::from(days) * 86_400),
            },
            submission_max: self.submission_max_mb.unwrap_or(1024).saturating_mul(1 << 20),
            strangers_max: self.strangers_max.unwrap_or(4096).max(1),
            keepalive_interval_s: self.keepalive_interval_s.unwrap_or(120).clamp(1, 86_400),
            keepalive_timeout_s: self.keepalive_timeout_s.unwrap_or(30).clamp(1, 86_400),
            one_write: self.one_write.unwrap_or(true),
            match_requirements: self.match_requirements.unwrap_or(true),
            local_jobs_max: self.local_jobs_max.unwrap_or(20),
            concurrency_limits: self.concurrency_limits.unwrap_or_default(),
            alien_count_lines: self.compat_alien_count_lines.unwrap_or(true),
            submit_hint: self.compat_submit_hint.unwrap_or(true),
        })
    }
}

/// `/tmp` is emptied by reboots and cleaners, so the state of the default work dir lives elsewhere (decision D1).
fn default_state_dir(surroundings: &Surroundings) -> Option<PathBuf> {
    if surroundings.root {
        return Some("/var/lib/alien-workqueue".into());
    }
    let base = surroundings.xdg_state_home.clone();
    let base = base.or_else(|| surroundings.home.as_ref().map(|home| home.join(".local/state")))?;
    Some(base.join("alien-workqueue"))
}

/// The file as one flat table of known keys with values of the right kind.
fn read_table(path: &Path, text: &str) -> Result<toml::Table, OptionsError> {
    let line = |offset: usize| text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1;
    let problem = |line, problem: &str| OptionsError::Line {
        path: path.to_owned(),
        line,
        problem: problem.trim().replace('\n', ", "),
    };
    let parsed = toml::de::DeTable::parse(text)
        .map_err(|error| problem(line(error.span().map_or(0, |span| span.start)), error.message()))?;
    let mut entries = Vec::new();
    flatten(parsed.get_ref(), "", &mut entries);
    entries.sort_by_key(|(_, offset, _)| *offset);
    let mut table = toml::Table::new();
    for (key, offset, value) in entries {
        let one = toml::Table::from_iter([(key.clone(), value.clone())]);
        if let Err(error) = one.try_into::<Settings>() {
            return Err(problem(line(offset), error.message()));
        }
        if table.insert(key.clone(), value).is_some() {
            return Err(problem(line(offset), &format!("{key} is given twice")));
        }
    }
    Ok(table)
}

/// Keys of tables get the table's name in front; with each entry goes its place in the text.
fn flatten(table: &toml::de::DeTable<'_>, prefix: &str, entries: &mut Vec<(String, usize, toml::Value)>) {
    for (key, value) in table.iter() {
        let name = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            // Its names are the site's.
            toml::de::DeValue::Table(_) if name == CONCURRENCY_LIMITS => {
                entries.push((name, key.span().start, plain(value.get_ref())));
            }
            toml::de::DeValue::Table(inner) => flatten(inner, &format!("{name}_"), entries),
            other => entries.push((name, key.span().start, plain(other))),
        }
    }
}

fn plain(value: &toml::de::DeValue<'_>) -> toml::Value {
    use toml::de::DeValue;
    match value {
        DeValue::String(text) => toml::Value::String(text.clone().into_owned()),
        // A number too long for 64 bits is no valid setting; as text it is refused with its own words.
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| toml::Value::String(number.as_str().to_owned()), toml::Value::Integer),
        DeValue::Float(number) => {
            number.as_str().parse().map_or_else(|_| toml::Value::String(number.as_str().to_owned()), toml::Value::Float)
        }
        DeValue::Boolean(value) => toml::Value::Boolean(*value),
        DeValue::Datetime(time) => toml::Value::Datetime(*time),
        DeValue::Array(items) => toml::Value::Array(items.iter().map(|item| plain(item.get_ref())).collect()),
        DeValue::Table(inner) => {
            let pairs = inner.iter().map(|(key, value)| (key.get_ref().clone().into_owned(), plain(value.get_ref())));
            toml::Value::Table(pairs.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: &[&str]) -> Settings {
        Settings::try_parse_from(std::iter::once(&"alien_work_queue").chain(args)).unwrap()
    }

    fn file(text: &str) -> Result<toml::Table, String> {
        read_table(Path::new("awq.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_table_of_options_is_consistent() {
        use clap::CommandFactory;
        Settings::command().debug_assert();
        // Option, variable and key follow one rule, with the one exception that the original made.
        for arg in Settings::command().get_arguments().filter(|arg| arg.get_env().is_some()) {
            let name = arg.get_long().unwrap();
            let wanted = match name {
                "work-dir" => "AWQ_WORKDIR".to_owned(),
                _ => format!("AWQ_{}", name.to_uppercase().replace('-', "_")),
            };
            assert_eq!(arg.get_env().unwrap().to_str(), Some(wanted.as_str()));
            assert_eq!(arg.get_id().as_str(), name.replace('-', "_"));
            assert!(arg.get_help().is_some(), "{name} has no help");
        }
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("awq.toml");
        std::fs::write(&path, "port = 1\ncatalog_host = 'a,b:3'\ncatalog_port = 2\n[outputs]\nfsync = true\n").unwrap();
        let got = settings(&["--port", "7", "--config", path.to_str().unwrap()]).with_file().unwrap();
        let got = got.resolve(&Surroundings { root: true, ..Surroundings::default() }).unwrap();
        assert_eq!((got.port, got.outputs_fsync), (7, true));
        let servers: Vec<String> = got.catalog_servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["a:2", "b:3"]);
    }

    #[test]
    fn the_catalogs_transport_comes_from_the_environment_and_only_with_a_catalog() {
        let around = |word: &str| Surroundings {
            root: true,
            catalog_transport: Some(word.to_owned()),
            ..Surroundings::default()
        };
        let transport = |args: &[&str], word: &str| {
            settings(args).resolve(&around(word)).map(|options| options.catalog_transport).map_err(|e| e.to_string())
        };
        let catalog = ["--catalog-host", "a"];
        assert_eq!(transport(&catalog, "tcp"), Ok(Transport::Tcp));
        assert!(transport(&catalog, "smoke").unwrap_err().contains("give udp or tcp"));
        assert_eq!(transport(&[], "smoke"), Ok(Transport::Udp));
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_line() {
        assert_eq!(
            file("port = 1\n\nprot = 2\n").unwrap_err().split(',').next(),
            Some("awq.toml:3: unknown field `prot`")
        );
        assert!(
            file("port = \"x\"\n").unwrap_err().starts_with("awq.toml:1: invalid type: string \"x\", expected u16")
        );
        assert!(file("port = 70000\n").unwrap_err().starts_with("awq.toml:1: "));
        assert!(file("a = 1\nb =\n").unwrap_err().starts_with("awq.toml:2: "));
        assert!(
            file("[compat]\n\nno_such = 1\n").unwrap_err().starts_with("awq.toml:3: unknown field `compat_no_such`")
        );
        assert_eq!(
            file("outputs_fsync = true\n[outputs]\nfsync = true\n").unwrap_err(),
            "awq.toml:3: outputs_fsync is given twice"
        );
        assert!(file("config = \"/x\"\n").is_err());
        assert!(file("\n[concurrency_limits]\nx = -1\n").unwrap_err().starts_with("awq.toml:2: invalid value"));
    }

    #[test]
    fn the_state_dir_follows_decision_d1() {
        let home = |root| Surroundings { root, home: Some("/home/alice".into()), ..Surroundings::default() };
        let state = |args: &[&str], around: &Surroundings| settings(args).resolve(around).map(|o| o.state_dir).ok();
        // Settings of the environment of this test would be seen; none is set in the gate.
        assert_eq!(state(&["--work-dir", "/w"], &home(false)), Some("/w/state".into()));
        assert_eq!(state(&["--work-dir", "/w", "--state-dir", "/s"], &home(false)), Some("/s".into()));
        if std::env::var_os("AWQ_WORKDIR").is_none() {
            assert_eq!(state(&[], &home(false)), Some("/home/alice/.local/state/alien-workqueue".into()));
            assert_eq!(state(&[], &home(true)), Some("/var/lib/alien-workqueue".into()));
            let xdg = Surroundings { xdg_state_home: Some("/x".into()), ..home(false) };
            assert_eq!(state(&[], &xdg), Some("/x/alien-workqueue".into()));
            assert_eq!(state(&[], &Surroundings::default()), None);
        }
    }

    #[test]
    fn the_sample_names_every_key_and_its_default() {
        use clap::CommandFactory;
        let sample = include_str!("../etc/alien_work_queue.toml");
        let text: String = sample
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')))
            .map(|line| format!("{line}\n"))
            .collect();
        let table = file(&text).unwrap();
        for arg in Settings::command().get_arguments().filter(|arg| arg.get_env().is_some()) {
            let key = arg.get_id().as_str();
            let value = table.get(key).map(|value| value.to_string().trim_matches('"').to_owned());
            assert_eq!(value.is_some(), key != "config", "{key}");
            let help = arg.get_help().unwrap().to_string();
            let default = help.rsplit_once("[default: ").and_then(|(_, rest)| rest.strip_suffix(']'));
            // Defaults that depend on something are told in words.
            if let Some(default) = default.filter(|default| !default.contains(' ')) {
                assert_eq!(value.as_deref(), Some(default), "{key}");
            }
        }
    }

    #[test]
    fn tls_needs_a_certificate() {
        let tls = |args: &[&str]| {
            let around = Surroundings { root: true, ..Surroundings::default() };
            settings(args).resolve(&around).map(|options| options.tls).map_err(|error| error.to_string())
        };
        assert_eq!(tls(&[]), Ok(None));
        let one_file = TlsFiles { certificate: "c".into(), key: "c".into(), required: false };
        assert_eq!(tls(&["--tls-cert", "c"]), Ok(Some(one_file)));
        let all = TlsFiles { certificate: "c".into(), key: "k".into(), required: true };
        assert_eq!(tls(&["--tls-cert", "c", "--tls-key", "k", "--tls-required"]), Ok(Some(all)));
        let refused = "--tls-required without a certificate: give --tls-cert FILE too";
        assert_eq!(tls(&["--tls-required"]), Err(refused.into()));
        assert_eq!(tls(&["--tls-required=no"]), Ok(None));
        assert!(tls(&["--tls-key", "k"]).unwrap_err().starts_with("--tls-key without"));
    }

    #[test]
    fn flags_take_words() {
        assert_eq!(settings(&["--insecure"]).insecure, Some(true));
        assert_eq!(settings(&["--insecure=no"]).insecure, Some(false));
        assert_eq!(settings(&["--bind", "127.0.0.1,::1"]).bind.unwrap().len(), 2);
    }
}

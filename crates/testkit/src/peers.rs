//! Real CCTools peers on loopback: workers and foremen, each in a folder of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::guard::Guard;
use crate::programs::require;

/// How a worker is started. Sizes are what it announces, not what the machine has.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Program to start: `work_queue_worker` on `PATH`, or the full path of another release.
    pub program: Option<PathBuf>,
    /// Cores announced; default 1.
    pub cores: u32,
    /// GPUs announced; default 0.
    pub gpus: u32,
    /// Memory announced in MB; default 1024.
    pub memory_mb: u64,
    /// Disk announced in MB; default 512. A worker that finds less free disk than it promised leaves at once.
    pub disk_mb: u64,
    /// File with the shared password (`-P`).
    pub password_file: Option<PathBuf>,
    /// Port to connect to instead of the master's: a foreman's ([`Foreman::port`]), or that of a proxy.
    pub port: Option<u16>,
    /// Port of a catalog in which the worker looks for its master (`-M`), whom it is not told then.
    pub catalog_port: Option<u16>,
    /// Seconds without work after which the worker disconnects; default 900, its own default.
    pub idle_timeout_s: u32,
    /// Further options, given as they are.
    pub extra: Vec<OsString>,
    /// Further environment of the worker, which its tasks inherit.
    pub env: Vec<(OsString, OsString)>,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        WorkerOptions {
            program: None,
            cores: 1,
            gpus: 0,
            memory_mb: 1024,
            disk_mb: 512,
            password_file: None,
            port: None,
            catalog_port: None,
            idle_timeout_s: 900,
            extra: Vec::new(),
            env: Vec::new(),
        }
    }
}

impl WorkerOptions {
    /// A worker with this many cores, otherwise the default.
    pub fn cores(cores: u32) -> Self {
        WorkerOptions { cores, ..Self::default() }
    }

    /// The same worker behind this foreman.
    pub fn behind(self, foreman: &Foreman) -> Self {
        WorkerOptions { port: Some(foreman.port()), ..self }
    }
}

/// How a foreman is started.
#[derive(Debug, Clone, Default)]
pub struct ForemanOptions {
    /// Program to start: `work_queue_worker` on `PATH`, or the full path of another release.
    pub program: Option<PathBuf>,
    /// File with the shared password, used towards the master and towards the workers.
    pub password_file: Option<PathBuf>,
    /// Port to connect to instead of the master's: another foreman's, or that of a proxy.
    pub port: Option<u16>,
    /// Further options, given as they are.
    pub extra: Vec<OsString>,
    /// Further environment.
    pub env: Vec<(OsString, OsString)>,
}

/// A running worker; ends with its tasks on drop.
#[derive(Debug)]
pub struct Worker {
    /// The process: signals, its end.
    pub guard: Guard,
    folder: PathBuf,
}

impl Worker {
    /// The folder below which the worker keeps its cache and sandboxes.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// SIGKILL, as when a machine is lost; its tasks run on as orphans until drop.
    pub fn kill_9(&mut self) {
        self.guard.kill_9();
    }
}

/// A running foreman; ends on drop.
#[derive(Debug)]
pub struct Foreman {
    /// The process: signals, its end.
    pub guard: Guard,
    port: u16,
}

impl Foreman {
    /// The loopback port on which it waits for workers.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL, as when the machine is lost.
    pub fn kill_9(&mut self) {
        self.guard.kill_9();
    }
}

/// Where a peer's files go; made by the site.
pub(crate) struct Place {
    /// Empty folder of its own.
    pub(crate) folder: PathBuf,
    /// Its log file, shown when a test fails.
    pub(crate) log: PathBuf,
    /// Port to connect to.
    pub(crate) port: u16,
}

pub(crate) fn start_worker(name: &str, place: Place, options: &WorkerOptions) -> Worker {
    let mut command = peer(options.program.as_deref(), &place, options.password_file.as_deref());
    command
        .args(["--cores", &options.cores.to_string(), "--gpus", &options.gpus.to_string()])
        .args(["--memory", &options.memory_mb.to_string(), "--disk", &options.disk_mb.to_string()])
        .args(["--idle-timeout", &options.idle_timeout_s.to_string()])
        .envs(options.env.iter().map(|(key, value)| (key, value)))
        .args(&options.extra);
    match options.catalog_port {
        Some(catalog) => command.args(["-M", "alien_jobs", "-C", &format!("127.0.0.1:{catalog}")]),
        None => command.args(["127.0.0.1", &options.port.unwrap_or(place.port).to_string()]),
    };
    let guard = Guard::start(name, &mut command).expect("a worker can be started");
    Worker { guard, folder: place.folder }
}

pub(crate) fn start_foreman(name: &str, place: Place, options: &ForemanOptions) -> Foreman {
    let port_file = place.folder.join("port");
    let mut command = peer(options.program.as_deref(), &place, options.password_file.as_deref());
    command
        .arg("--foreman-port-file")
        .arg(&port_file)
        .envs(options.env.iter().map(|(key, value)| (key, value)))
        .args(&options.extra)
        .args(["127.0.0.1", &options.port.unwrap_or(place.port).to_string()]);
    let mut guard = Guard::start(name, &mut command).expect("a foreman can be started");
    let mut port = None;
    let what = format!("port of {name} in {}", port_file.display());
    let waited = crate::wait_until(Duration::from_secs(20), &what, || {
        // The foreman may be in the middle of writing it: only a whole line counts, or what is left at the next look.
        port = std::fs::read_to_string(&port_file).ok().and_then(|text| text.trim().parse().ok());
        port.is_some() || guard.ended().is_some()
    });
    match (waited, port) {
        (Ok(()), Some(port)) => Foreman { guard, port },
        (outcome, _) => {
            let log = std::fs::read_to_string(&place.log).unwrap_or_default();
            panic!("{name} told no port ({outcome:?}, ended: {:?}); its log:\n{log}", guard.ended())
        }
    }
}

/// What workers and foremen have in common.
fn peer(program: Option<&Path>, place: &Place, password: Option<&Path>) -> Command {
    let log = std::fs::File::options().append(true).create(true).open(&place.log).expect("a log file of the site");
    let mut command = Command::new(program.map_or_else(|| require("work_queue_worker"), Path::to_owned));
    command
        .current_dir(&place.folder)
        .stdin(std::process::Stdio::null())
        .stdout(log.try_clone().expect("second handle of a file"))
        .stderr(log)
        .arg("--workdir")
        .arg(&place.folder)
        // One second between attempts, so that a test of a restart does not wait for the default of up to a minute.
        .args(["--min-backoff", "1", "--max-backoff", "1", "--debug", "wq", "--debug-file", ":stderr"]);
    if let Some(file) = password {
        command.arg("--password").arg(file);
    }
    command
}

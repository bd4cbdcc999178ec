//! A site: one master with its folders, and everything a test starts around it.

use std::cell::{Cell, RefCell};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::answer::{Answer, run_command};
use crate::guard::Guard;
use crate::mark::{Looks, Mark};
use crate::peers::{Foreman, ForemanOptions, Place, Worker, WorkerOptions, start_foreman, start_worker};
use crate::programs::{bin, measured_bin};
use crate::wait::wait_until;

/// The master must listen within this time; replay of a large journal included.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// A stop lasts at most 10 s (decisions D8); the rest is for a busy machine.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// A shim gives up by itself after 30 s (decisions D4); the rest is for a busy machine.
const CONDOR_DEADLINE: Duration = Duration::from_secs(90);
/// What the master prints when workers can connect; the address follows.
const LISTENING: &str = "alien_work_queue: listening on ";
/// Of each log the last part is shown.
const LOG_TAIL_BYTES: u64 = 16 * 1024;

/// How a site is set up.
#[derive(Debug, Clone, Default)]
pub struct SiteOptions {
    /// Program to start as the master instead of the one just built, for example that of an older release.
    pub master_program: Option<PathBuf>,
    /// Further options of the master, given as they are.
    pub master_args: Vec<OsString>,
    /// Further environment of the master.
    pub master_env: Vec<(OsString, OsString)>,
    /// Text of a job wrapper (`--job-wrapper`), written to a file and made executable.
    pub job_wrapper: Option<String>,
    /// Content of the password file shared by master and peers ([`Site::password_file`]); `None` = no password.
    pub password: Option<Vec<u8>>,
    /// Do not start the master yet ([`Site::start_master`] does).
    pub without_master: bool,
    /// Use the optimized build of master and `condor_*` programs, from which figures are taken.
    pub measured: bool,
}

/// A temporary site on loopback. On drop everything ends and the folder goes; if the test failed, all logs are shown.
///
/// Layout of the folder: `work` (doors of the master), `state` (its durable state), `home` (where submit files and
/// outputs of jobs are; the `condor_*` programs run here), `logs`, and one folder for each worker and foreman.
#[derive(Debug)]
pub struct Site {
    master: RefCell<Option<Guard>>,
    /// On everything that submits: a job may take the environment of its `condor_submit`, and with it the mark.
    jobs: Mark,
    options: SiteOptions,
    port: Cell<u16>,
    peers: Cell<u32>,
    logs_shown: Cell<bool>,
    folder: TempDir,
}

impl Site {
    /// A site with a running master and default options.
    #[track_caller]
    pub fn start() -> Site {
        Site::with(SiteOptions::default())
    }

    /// A site with these options.
    #[track_caller]
    pub fn with(options: SiteOptions) -> Site {
        let mut folder = tempfile::Builder::new().prefix("awq-site-").tempdir().expect("a temporary folder");
        if std::env::var_os("TESTKIT_KEEP").is_some() {
            folder.disable_cleanup(true);
            eprintln!("testkit: this site stays in {}", folder.path().display());
        }
        for part in ["home", "logs"] {
            std::fs::create_dir(folder.path().join(part)).expect("a folder in a new folder");
        }
        let site = Site {
            master: RefCell::new(None),
            jobs: Mark::new(),
            port: Cell::new(0),
            peers: Cell::new(0),
            logs_shown: Cell::new(false),
            options,
            folder,
        };
        if let Some(password) = &site.options.password {
            std::fs::write(site.folder.path().join("password"), password).expect("write the password file");
        }
        if let Some(text) = &site.options.job_wrapper {
            write_executable(&site.folder.path().join("wrapper.sh"), text);
        }
        if !site.options.without_master {
            site.start_master();
        }
        site
    }

    /// The folder that holds all of the site.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder where jobs are submitted and outputs arrive.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The master's work dir (`AWQ_WORKDIR`).
    pub fn work_dir(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// The master's state dir.
    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The password file, if the site has a password.
    pub fn password_file(&self) -> Option<PathBuf> {
        self.options.password.as_ref().map(|_| self.folder.path().join("password"))
    }

    /// The port of the master; 0 before its first start, and the same after each restart, so that workers come back.
    pub fn port(&self) -> u16 {
        self.port.get()
    }

    /// Process id of the running master.
    #[track_caller]
    pub fn master_pid(&self) -> u32 {
        self.master.borrow().as_ref().expect("the master runs").pid()
    }

    /// From its next start on, the master is this program ([`SiteOptions::master_program`]).
    pub fn set_master_program(&mut self, program: Option<PathBuf>) {
        self.options.master_program = program;
    }

    /// Starts the master and returns when it says that it listens; fails the test with its log if it does not.
    #[track_caller]
    pub fn start_master(&self) {
        assert!(self.master.borrow().is_none(), "the master runs already");
        let log = self.log("master");
        let seen = std::fs::metadata(&log).map_or(0, |meta| meta.len());
        let mut guard = Guard::start("master", &mut self.master_command()).expect("the master can be started");
        let what = format!("line {LISTENING:?} of the master");
        self.wait_until(START_DEADLINE, &what, || {
            let Some(port) = listening_port(&tail(&log, seen)) else {
                if let Some(status) = guard.ended() {
                    self.fail(&format!("the master ended at its start: {status}"));
                }
                return false;
            };
            self.port.set(port);
            true
        });
        *self.master.borrow_mut() = Some(guard);
    }

    /// The command line of the master, as [`Site::start_master`] uses it; for tests of its refusals.
    pub fn master_command(&self) -> Command {
        let log = append(&self.log("master"));
        let program = self.options.master_program.clone().unwrap_or_else(|| self.bin("alien_work_queue"));
        let mut command = without_settings(program);
        command
            .current_dir(self.home())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("second handle of a file"))
            .stderr(log)
            .arg("--work-dir")
            .arg(self.work_dir())
            .arg("--state-dir")
            .arg(self.state_dir())
            .args(["--bind", "127.0.0.1", "--port", &self.port.get().to_string()]);
        if let Some(file) = self.password_file() {
            command.arg("--password-file").arg(file);
        }
        if self.options.job_wrapper.is_some() {
            command.arg("--job-wrapper").arg(self.folder.path().join("wrapper.sh"));
        }
        if !nix::unistd::geteuid().is_root() {
            // Without this only root can look into the process, and tests read its memory and environment.
            command.env("AWQ_CORE_DUMPS", "true");
        }
        command.envs(self.options.master_env.iter().map(|(key, value)| (key, value))).args(&self.options.master_args);
        command
    }

    /// Ends the master with SIGKILL, as a crash does.
    #[track_caller]
    pub fn kill_9(&self) {
        self.master.borrow_mut().take().expect("the master runs").kill_9();
    }

    /// Stops the master with SIGTERM and returns how it ended.
    #[track_caller]
    pub fn stop_master(&self) -> ExitStatus {
        let mut guard = self.master.borrow_mut().take().expect("the master runs");
        match guard.stop(STOP_DEADLINE) {
            Ok(status) => status,
            Err(expired) => self.fail(&expired.to_string()),
        }
    }

    /// Waits until the master ends by itself, for example after a drain.
    #[track_caller]
    pub fn wait_for_master_end(&self, deadline: Duration) -> ExitStatus {
        let mut guard = self.master.borrow_mut().take().expect("the master runs");
        match guard.wait(deadline) {
            Ok(status) => status,
            Err(expired) => self.fail(&expired.to_string()),
        }
    }

    /// Stops the master in good order and starts it again on the same port and folders.
    #[track_caller]
    pub fn restart(&self) {
        self.stop_master();
        self.start_master();
    }

    /// Starts a real worker. It connects by itself; wait for what it does, not for the connection.
    #[track_caller]
    pub fn worker(&self, mut options: WorkerOptions) -> Worker {
        options.password_file = options.password_file.or_else(|| self.password_file());
        let (name, place) = self.place("worker");
        start_worker(&name, place, &options)
    }

    /// Starts a real foreman and returns when it waits for workers.
    #[track_caller]
    pub fn foreman(&self, mut options: ForemanOptions) -> Foreman {
        options.password_file = options.password_file.or_else(|| self.password_file());
        let (name, place) = self.place("foreman");
        start_foreman(&name, place, &options)
    }

    /// Runs one of the `condor_*` programs in [`Site::home`] against this site's master.
    #[track_caller]
    pub fn condor(&self, program: &str, args: &[&str], stdin: &str) -> Answer {
        run_command(&mut self.condor_command(program, args), stdin.as_bytes(), CONDOR_DEADLINE)
    }

    /// The command that [`Site::condor`] runs, for tests that need to change it or to start many at once.
    #[track_caller]
    pub fn condor_command<A: AsRef<OsStr>>(&self, program: &str, args: &[A]) -> Command {
        let mut command = without_settings(self.bin(program));
        command.args(args);
        self.lead_here(&mut command);
        command
    }

    /// Lets a program that calls the `condor_*` programs find this site's master from [`Site::home`]. Its jobs may
    /// take over its environment (`getenv`), so what it leaves behind ends with the site and not with itself.
    pub fn lead_here(&self, command: &mut Command) {
        command.current_dir(self.home()).env("AWQ_WORKDIR", self.work_dir());
        self.jobs.put_on(command);
    }

    /// Submits this text with `condor_submit` from standard input; the number of the cluster.
    #[track_caller]
    pub fn submit(&self, text: &str) -> u64 {
        let answer = self.condor("condor_submit", &[], text).ok();
        match cluster_of(&answer.stdout) {
            Some(cluster) => cluster,
            None => panic!("condor_submit named no cluster\n{answer}"),
        }
    }

    /// The numbers of `JobStatus` of the jobs of a cluster that are still in the queue, in the order of their procs.
    #[track_caller]
    pub fn statuses(&self, cluster: u64) -> Vec<u8> {
        let answer = self.condor("condor_q", &[&cluster.to_string(), "-af", "JobStatus"], "").ok();
        answer.stdout.lines().map(|line| line.trim().parse().expect("JobStatus is a number")).collect()
    }

    /// Waits until no job of the cluster is left in the queue.
    #[track_caller]
    pub fn wait_for_end(&self, cluster: u64, deadline: Duration) {
        self.wait_until(deadline, &format!("end of cluster {cluster}"), || self.statuses(cluster).is_empty());
    }

    /// Waits for a condition; when the deadline passes, the test fails and shows the logs of all processes.
    #[track_caller]
    pub fn wait_until(&self, deadline: Duration, what: &str, condition: impl FnMut() -> bool) {
        if let Err(expired) = wait_until(deadline, what, condition) {
            self.fail(&expired.to_string());
        }
    }

    /// Writes a file below [`Site::home`], making its folders; its full path.
    #[track_caller]
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home().join(name);
        std::fs::create_dir_all(path.parent().expect("a file stands in a folder")).expect("a folder in home");
        std::fs::write(&path, content).expect("write a file in home");
        path
    }

    /// Writes an executable file below [`Site::home`]; its full path.
    #[track_caller]
    pub fn write_script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.write(name, "");
        write_executable(&path, text);
        path
    }

    /// The text of a file below [`Site::home`].
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        let path = self.home().join(name);
        match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => self.fail(&format!("cannot read {}: {error}", path.display())),
        }
    }

    /// The logs of the master and of all peers, the last part of each.
    pub fn logs(&self) -> String {
        let mut paths: Vec<_> = std::fs::read_dir(self.folder.path().join("logs"))
            .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
            .unwrap_or_default();
        paths.sort();
        paths.iter().fold(String::new(), |mut all, path| {
            let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
            let text = tail(path, size.saturating_sub(LOG_TAIL_BYTES));
            all += &format!("===== {}\n{text}\n", path.display());
            all
        })
    }

    #[track_caller]
    fn bin(&self, program: &str) -> PathBuf {
        if self.options.measured { measured_bin(program) } else { bin(program) }
    }

    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        self.logs_shown.set(true);
        panic!("{why}\n{}", self.logs());
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(format!("{name}.log"))
    }

    fn place(&self, kind: &str) -> (String, Place) {
        let number = self.peers.get() + 1;
        self.peers.set(number);
        let name = format!("{kind}-{number}");
        let folder = self.folder.path().join(&name);
        std::fs::create_dir(&folder).expect("a new folder of a peer");
        let place = Place { folder, log: self.log(&name), port: self.port.get() };
        (name, place)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.logs_shown.get() {
            eprintln!("{}", self.logs());
        }
        // No new job starts without a master.
        self.master.take();
        if let Err(expired) = self.jobs.end_all(Looks::Once) {
            eprintln!("testkit: jobs of a site: {expired}");
        }
    }
}

/// A command that does not see the settings of whoever runs the tests: options are variables too (decisions D13).
fn without_settings(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWQ_")) {
        command.env_remove(name);
    }
    command
}

fn append(path: &Path) -> File {
    File::options().append(true).create(true).open(path).expect("a log file of the site")
}

/// The file from byte `from` on; empty if it cannot be read.
fn tail(path: &Path, from: u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        // A log that cannot be read is shown as empty: this runs while a test is failing already.
        let _ = file.seek(SeekFrom::Start(from)).and_then(|_| file.read_to_end(&mut bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The port in the master's line; only whole lines count, since the master may be in the middle of writing one.
fn listening_port(log: &str) -> Option<u16> {
    log.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
        .find_map(|line| line.strip_prefix(LISTENING)?.rsplit(':').next()?.trim().parse().ok())
}

/// The number in `1 job(s) submitted to cluster 7.`
fn cluster_of(stdout: &str) -> Option<u64> {
    let (_, rest) = stdout.split_once("submitted to cluster ")?;
    rest.split('.').next()?.parse().ok()
}

fn write_executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("write a script");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("make a script executable");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_whole_lines_only() {
        let line = "warning: state dir on tmpfs\nalien_work_queue: listening on 127.0.0.1:4711";
        assert_eq!(listening_port(line), None);
        assert_eq!(listening_port(&format!("{line}\n")), Some(4711));
        assert_eq!(listening_port("alien_work_queue: listening on [::1]:99\n"), Some(99));
    }

    #[test]
    fn the_cluster_is_read_from_the_last_line_of_condor_submit() {
        let stdout = "Submitting job(s)..........\n10 job(s) submitted to cluster 12.\n";
        assert_eq!(cluster_of(stdout), Some(12));
        assert_eq!(cluster_of("ERROR: no\n"), None);
    }

    /// A site whose master is this shell script.
    fn site_with_master(script: &str) -> Site {
        let mut site = Site::with(SiteOptions { without_master: true, ..SiteOptions::default() });
        site.options.master_program = Some(site.write_script("master", &format!("#!/bin/sh\n{script}\n")));
        site
    }

    #[test]
    fn a_master_comes_back_on_its_port_after_stop_and_after_a_crash() {
        // Takes the port it is given, else 4711, as the real one takes any free one for 0.
        let script = "while [ $1 != --port ]; do shift; done; [ $2 = 0 ] && set x 4711\n\
                      trap 'exit 5' TERM; echo alien_work_queue: listening on 127.0.0.1:$2\n\
                      while :; do sleep 0.01; done";
        let site = site_with_master(script);
        site.start_master();
        assert_eq!(site.port(), 4711);
        let first = site.master_pid();
        site.kill_9();
        site.start_master();
        assert_ne!(site.master_pid(), first);
        site.restart();
        assert_eq!(site.port(), 4711);
        assert_eq!(site.logs().matches("listening on 127.0.0.1:4711").count(), 3);
        assert_eq!(site.stop_master().code(), Some(5));
    }

    #[test]
    #[should_panic(expected = "no room for the journal")]
    fn a_master_that_ends_at_its_start_shows_why() {
        site_with_master("echo no room for the journal >&2; exit 1").start_master();
    }

    #[test]
    fn logs_show_every_process_from_its_end() {
        let site = Site::with(SiteOptions { without_master: true, ..SiteOptions::default() });
        std::fs::write(site.log("master"), "x".repeat(40_000) + "the end").unwrap();
        std::fs::write(site.log("worker-1"), "a worker's word\n").unwrap();
        let logs = site.logs();
        assert!(logs.contains("the end\n=====") && logs.contains("a worker's word"), "{logs}");
        assert!(logs.len() < 20_000);
    }

    #[test]
    #[should_panic(expected = "a worker's word")]
    fn a_passed_deadline_shows_the_logs() {
        let site = Site::with(SiteOptions { without_master: true, ..SiteOptions::default() });
        std::fs::write(site.log("worker-1"), "a worker's word\n").unwrap();
        site.wait_until(Duration::ZERO, "nothing", || false);
    }
}

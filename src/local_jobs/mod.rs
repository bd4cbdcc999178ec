//! Programs of the universes local and scheduler, which run on this machine (decision D60).
//!
//! Each has a thread of its own, from the look at its files to the end of its last process. The program itself is
//! started through a second copy of the master's own program (`launcher`), which makes it die with the master and
//! writes down who it is, so that the next master can end what has outlived this one (`leftovers`).

mod launcher;
mod leftovers;
mod program;
mod record;

pub use launcher::launch;

use std::collections::HashMap;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::mpsc::UnboundedSender;
use wq_core::Input;
use wq_core::ids::{AttemptId, BlobId};
use wq_core::io::{LocalEnd, LocalProgram, Trouble};

use self::program::Ready;
use crate::blobs::{Blobs, Place};
use crate::outputs::{Words, errno};
use crate::report::Report;

/// `HoldReasonCode` for a program that cannot be executed.
const FAILED_TO_EXECUTE: i32 = 6;

/// The running master's program, also when its file was replaced.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// A program that was just written is busy as long as another thread's fork, not yet at its exec, holds the descriptor
/// it was written through.
const BUSY_FOR: Duration = Duration::from_secs(2);

/// All programs that run here.
#[derive(Debug, Clone)]
pub(crate) struct LocalJobs {
    shared: Arc<Shared>,
    results: UnboundedSender<Report>,
}

#[derive(Debug)]
struct Shared {
    /// One folder for each program: its executable when that is a copy, its proxy, whatever it calls scratch.
    folder: PathBuf,
    /// For jobs that call `condor_*` programs.
    work_dir: PathBuf,
    words: Words,
    runs: Mutex<HashMap<AttemptId, Run>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    /// Its files are looked at.
    Starting,
    /// It shall not start any more.
    Cancelled,
    /// The leader of its process group, not yet waited for.
    Running(Pid),
}

impl LocalJobs {
    /// Over this folder, which is made; `work_dir` is the master's. Whatever an earlier master left running is ended,
    /// before anything else may happen.
    ///
    /// # Errors
    /// What the system says of the folder.
    pub(crate) fn open(
        folder: PathBuf,
        work_dir: PathBuf,
        words: Words,
        results: UnboundedSender<Report>,
    ) -> io::Result<LocalJobs> {
        program::make_folder(&folder)?;
        leftovers::end(&folder)?;
        let shared = Shared { folder, work_dir, words, runs: Mutex::default() };
        Ok(LocalJobs { shared: Arc::new(shared), results })
    }

    /// Starts a program; what becomes of it is reported.
    pub(crate) fn start(&self, attempt: AttemptId, program: Box<LocalProgram>, blobs: &Blobs) {
        let contents: HashMap<BlobId, Place> = Ready::blobs(&program).map(|id| (id, blobs.find(id))).collect();
        self.shared.lock().insert(attempt, Run::Starting);
        let (shared, results) = (Arc::clone(&self.shared), self.results.clone());
        let thread = std::thread::Builder::new().name(format!("job-{}", program.job));
        let spawned = thread.spawn(move || {
            let started = || tell(&results, Input::LocalStarted { attempt });
            let folder = shared.folder.join(program.job.to_string());
            let outcome = shared.run(attempt, &program, &contents, &folder, started);
            program::remove_folder(&folder);
            shared.lock().remove(&attempt);
            tell(&results, Input::LocalEnded { attempt, outcome });
        });
        if let Err(error) = spawned {
            self.shared.lock().remove(&attempt);
            let reason = format!("Failed to start a thread for the job: {error}");
            let trouble = Trouble { code: FAILED_TO_EXECUTE, subcode: errno(&error) as i32, reason };
            tell(&self.results, Input::LocalEnded { attempt, outcome: Err(trouble) });
        }
    }

    /// Ends a program with all of its process group, at once.
    pub(crate) fn end(&self, attempt: AttemptId) {
        if let Some(run) = self.shared.lock().get_mut(&attempt) {
            run.end();
        }
    }

    /// Ends all of them: the master itself ends without a word to the core.
    pub(crate) fn end_all(&self) {
        self.shared.lock().values_mut().for_each(Run::end);
    }
}

impl Run {
    fn end(&mut self) {
        match self {
            Run::Starting | Run::Cancelled => *self = Run::Cancelled,
            // It is waited for by its thread, so the number is still its own.
            Run::Running(leader) => end_group(*leader),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<AttemptId, Run>> {
        self.runs.lock().expect("no panic under this lock")
    }

    /// From the look at its files to the end of its last process.
    fn run(
        &self,
        attempt: AttemptId,
        program: &LocalProgram,
        contents: &HashMap<BlobId, Place>,
        folder: &Path,
        started: impl FnOnce(),
    ) -> Result<LocalEnd, Trouble> {
        let (ready, streams) = Ready::make(program, contents, folder, &self.words)?;
        let mut command = self.command(program, &ready, folder);
        streams.give_to(&mut command);
        let (mut child, began) = self.spawn(attempt, &mut command).map_err(|error| {
            // The launcher is there, so this is about memory, processes or a name with a zero byte.
            let reason = format!("Failed to execute '{}': {error}", program.cmd);
            Trouble { code: FAILED_TO_EXECUTE, subcode: errno(&error) as i32, reason }
        })?;
        // Ours would keep the files open.
        drop(command);
        started();
        let leader = pid_of(&child);
        await_end(leader);
        let run_time_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        {
            // From here on nobody sends it a signal: with `wait` its number is free.
            let mut runs = self.lock();
            end_group(leader);
            runs.remove(&attempt);
        }
        let status = child.wait().map_err(|error| {
            let reason = format!("The end of '{}' cannot be found out: {error}", program.cmd);
            Trouble { code: FAILED_TO_EXECUTE, subcode: errno(&error) as i32, reason }
        })?;
        ready.tidy();
        if let Some(error) = record::failure(folder) {
            return Err(program::not_executed(program, &ready.path, error));
        }
        let exit = match (status.code(), status.signal()) {
            (Some(code), _) => journal::Exit::Code(code),
            (None, signal) => journal::Exit::Signal(signal.unwrap_or(Signal::SIGKILL as i32)),
        };
        Ok(LocalEnd { exit, run_time_us })
    }

    fn command(&self, program: &LocalProgram, ready: &Ready, folder: &Path) -> Command {
        let mut command = Command::new(OWN_PROGRAM);
        command
            .arg(launcher::MARK)
            .arg(folder)
            .arg(std::process::id().to_string())
            .arg(format!("{:o}", program.umask))
            .arg(&ready.path)
            .args(&program.arguments)
            .current_dir(&program.iwd)
            .env_clear()
            .envs(ready.environment(program, &self.work_dir, folder))
            .process_group(0);
        command
    }

    /// Starts the leader of a new process group, unless it was cancelled meanwhile.
    fn spawn(&self, attempt: AttemptId, command: &mut Command) -> io::Result<(Child, Instant)> {
        let began = Instant::now();
        loop {
            let mut runs = self.lock();
            if runs.get(&attempt) != Some(&Run::Starting) {
                return Err(Errno::ECANCELED.into());
            }
            match command.spawn() {
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && began.elapsed() < BUSY_FOR => {
                    drop(runs);
                    std::thread::yield_now();
                }
                outcome => {
                    let child = outcome?;
                    runs.insert(attempt, Run::Running(pid_of(&child)));
                    return Ok((child, began));
                }
            }
        }
    }
}

fn tell(results: &UnboundedSender<Report>, input: Input) {
    // Nobody listens any more only when the process ends.
    let _ = results.send(Report::Input(input));
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// Waits until the process has ended, and leaves it a zombie: its number stays its own.
fn await_end(leader: Pid) {
    while waitid(Id::Pid(leader), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
}

fn end_group(leader: Pid) {
    // Nobody is there any more: then there is nothing to end.
    let _ = killpg(leader, Signal::SIGKILL);
    let _ = kill(leader, Signal::SIGKILL);
}

#[cfg(test)]
mod tests;

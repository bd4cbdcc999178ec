//! Processes that cannot outlive the test that started them.
//!
//! A CCTools worker puts each task into a process group of its own, and a worker killed with SIGKILL leaves its tasks
//! behind. A process group alone therefore does not hold what a test started. Each guard also puts a mark of its own
//! into the environment of what it starts; children inherit it; and at the end every process that still carries the
//! mark is killed. Nothing else ever is.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::wait::{Expired, wait_until};

/// Environment variable that carries the mark.
const MARK: &str = "TESTKIT_MARK";
/// Searches for marked processes: a process may fork between the look at it and its end, its child is found next.
const SWEEPS_MAX: usize = 20;

/// A running process, leader of its own process group; it and all its offspring are killed on drop.
#[derive(Debug)]
pub struct Guard {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    mark: String,
}

impl Guard {
    /// Starts `command` as the leader of a new process group. `name` is for messages.
    ///
    /// # Errors
    /// Those of `fork` and `exec`; the message of a missing program is the system's.
    pub fn start(name: &str, command: &mut Command) -> io::Result<Guard> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mark = format!("{}-{}-{}.", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed), boot_ticks());
        let child = command.env(MARK, &mark).process_group(0).spawn()?;
        Ok(Guard { name: name.to_owned(), child, ended: None, mark })
    }

    /// Process id; equal to the id of its process group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The name given at the start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the process ended, or `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child of ours that nobody else waits for");
        }
        self.ended
    }

    /// Sends a signal to the process alone (not to its group); nothing happens if it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            // Not yet waited for, so the number is still its own.
            kill(self.unix_pid(), signal).expect("a signal to a child of ours");
        }
    }

    /// SIGKILL to the process alone, and waits for its end: what a crash looks like. Its offspring lives on until drop.
    pub fn kill_9(&mut self) {
        self.signal(Signal::SIGKILL);
        if self.ended.is_none() {
            self.ended = Some(self.child.wait().expect("a child of ours that nobody else waits for"));
        }
    }

    /// SIGTERM, then waits for the end.
    ///
    /// # Errors
    /// [`Expired`] when it still runs at the deadline.
    pub fn stop(&mut self, deadline: Duration) -> Result<ExitStatus, Expired> {
        self.signal(Signal::SIGTERM);
        self.wait(deadline)
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    /// [`Expired`] when it still runs at the deadline.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus, Expired> {
        let what = format!("end of {} (pid {})", self.name, self.pid());
        wait_until(deadline, &what, || self.ended().is_some())?;
        Ok(self.ended.expect("just seen to have ended"))
    }

    /// Kills the process, its group and everything that carries its mark; returns when all are gone.
    pub fn end(&mut self) {
        if self.ended().is_none() {
            let _ = killpg(self.unix_pid(), Signal::SIGKILL);
            self.kill_9();
        }
        for _ in 0..SWEEPS_MAX {
            let rest = marked(&self.mark);
            if rest.is_empty() {
                return;
            }
            for pid in &rest {
                let _ = kill(*pid, Signal::SIGKILL);
            }
            // Their parent may be anybody: watch them go instead of waiting for them.
            let _ = wait_until(Duration::from_secs(2), "end of marked processes", || {
                !marked(&self.mark).iter().any(|pid| rest.contains(pid))
            });
        }
    }

    /// Process ids of everything that the process started, or its offspring did, and that still runs; itself included.
    pub fn running(&self) -> Vec<u32> {
        marked(&self.mark).into_iter().map(|pid| pid.as_raw().unsigned_abs()).collect()
    }

    /// The pipe to the standard input, if the command asked for one; the second call gives `None`.
    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    fn unix_pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("Linux process ids fit in i32"))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end();
    }
}

/// Processes whose environment carries `mark`. Those of other users cannot be read, and are none of ours.
fn marked(mark: &str) -> Vec<Pid> {
    let needle = format!("{MARK}={mark}").into_bytes();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            // A zombie has an empty environment, so it does not count.
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == needle)
        })
        .map(Pid::from_raw)
        .collect()
}

/// Makes marks of different test runs differ even when process ids come round again.
fn boot_ticks() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock stands after 1970").as_nanos()
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// A shell that starts a child in a session of its own, as a worker does with its tasks.
    fn parent_with_escaped_child() -> Guard {
        let mut command = Command::new("sh");
        command.args(["-c", "setsid sleep 600 & exec sleep 600"]).stdout(Stdio::null());
        let guard = Guard::start("parent", &mut command).unwrap();
        wait_until(LONG, "parent and child", || marked(&guard.mark).len() == 2).unwrap();
        guard
    }

    #[test]
    fn drop_ends_children_that_left_the_group() {
        let guard = parent_with_escaped_child();
        let mark = guard.mark.clone();
        drop(guard);
        assert_eq!(marked(&mark), []);
    }

    #[test]
    fn a_panic_ends_them_too() {
        let guard = parent_with_escaped_child();
        let mark = guard.mark.clone();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _held = guard;
            panic!("a test that fails");
        }));
        assert!(outcome.is_err());
        assert_eq!(marked(&mark), []);
    }

    #[test]
    fn kill_9_leaves_the_offspring_to_drop() {
        let mut guard = parent_with_escaped_child();
        guard.kill_9();
        assert!(guard.ended().is_some_and(|status| status.code().is_none()));
        assert_eq!(guard.running().len(), 1);
        guard.end();
        assert_eq!(marked(&guard.mark), []);
    }

    #[test]
    fn processes_of_another_guard_stay() {
        let mut first = parent_with_escaped_child();
        let mut second = parent_with_escaped_child();
        first.end();
        assert!(second.ended().is_none());
        assert_eq!(marked(&second.mark).len(), 2);
    }

    #[test]
    fn stop_reports_how_it_ended() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap 'exit 7' TERM; echo ready >&2; while :; do sleep 0.01; done"]).stderr(Stdio::piped());
        let mut guard = Guard::start("polite", &mut command).unwrap();
        let mut line = [0; 6];
        io::Read::read_exact(guard.child.stderr.as_mut().unwrap(), &mut line).unwrap();
        assert_eq!(guard.stop(LONG).unwrap().code(), Some(7));
    }

    #[test]
    fn wait_names_what_still_runs() {
        let mut guard = Guard::start("sleeper", Command::new("sleep").arg("600")).unwrap();
        let expired = guard.wait(Duration::ZERO).unwrap_err();
        assert!(expired.what.starts_with("end of sleeper (pid "), "{expired}");
    }
}

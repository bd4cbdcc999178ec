//! Processes that cannot outlive the test that started them.
//!
//! A CCTools worker puts each task into a process group of its own, and a worker killed with SIGKILL leaves its tasks
//! behind. A process group alone therefore does not hold what a test started. Each guard also puts a mark of its own
//! into the environment of what it starts; children inherit it; and at the end every process that still carries the
//! mark is killed. Nothing else ever is.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::mark::{Looks, Mark};
use crate::wait::{Expired, wait_until};

/// A running process, leader of its own process group; it and all its offspring are killed on drop.
#[derive(Debug)]
pub struct Guard {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    mark: Mark,
}

impl Guard {
    /// Starts `command` as the leader of a new process group. `name` is for messages. A command that carries a
    /// mark already keeps it, and its offspring lives as long as that.
    ///
    /// # Errors
    /// Those of `fork` and `exec`; the message of a missing program is the system's.
    pub fn start(name: &str, command: &mut Command) -> io::Result<Guard> {
        let mark = Mark::new();
        if !Mark::is_on(command) {
            mark.put_on(command);
        }
        command.process_group(0);
        // A program that a test has just written is busy as long as another thread's fork, not yet at its exec, holds
        // the descriptor it was written through.
        let mut outcome = command.spawn();
        let _ = wait_until(Duration::from_secs(2), "a program that is not busy", || {
            let busy = matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy);
            if busy {
                outcome = command.spawn();
            }
            !busy
        });
        let child = outcome?;
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
        let mut looks = Looks::Once;
        if self.ended().is_none() {
            let _ = killpg(self.unix_pid(), Signal::SIGKILL);
            self.kill_9();
            looks = Looks::AfterKill;
        }
        if let Err(expired) = self.mark.end_all(looks) {
            // No panic: this runs in drop, perhaps of a test that is panicking already.
            eprintln!("testkit: {}: {expired}", self.name);
        }
    }

    /// Process ids of everything that the process started, or its offspring did, and that still runs; itself included.
    pub fn running(&self) -> Vec<u32> {
        self.mark.running().into_iter().map(|pid| pid.as_raw().unsigned_abs()).collect()
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
        wait_until(LONG, "parent and child", || guard.running().len() == 2).unwrap();
        guard
    }

    #[test]
    fn drop_ends_children_that_left_the_group() {
        let guard = parent_with_escaped_child();
        let mark = guard.mark.clone();
        drop(guard);
        assert_eq!(mark.running(), []);
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
        assert_eq!(mark.running(), []);
    }

    #[test]
    fn kill_9_leaves_the_offspring_to_drop() {
        let mut guard = parent_with_escaped_child();
        guard.kill_9();
        assert!(guard.ended().is_some_and(|status| status.code().is_none()));
        assert_eq!(guard.running().len(), 1);
        guard.end();
        assert_eq!(guard.running(), []);
    }

    #[test]
    fn processes_of_another_guard_stay() {
        let mut first = parent_with_escaped_child();
        let mut second = parent_with_escaped_child();
        first.end();
        assert!(second.ended().is_none());
        assert_eq!(second.running().len(), 2);
    }

    #[test]
    fn offspring_of_a_marked_command_ends_with_the_mark() {
        let mark = Mark::new();
        let mut command = Command::new("sh");
        mark.put_on(command.args(["-c", "setsid sleep 600 &"]).stdout(Stdio::null()));
        let mut guard = Guard::start("submitter", &mut command).unwrap();
        guard.wait(LONG).unwrap();
        guard.end();
        wait_until(LONG, "the child alone", || mark.running().len() == 1).unwrap();
        mark.end_all(Looks::Once).unwrap();
        assert_eq!(mark.running(), []);
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

    /// Ended at any moment of its life, in particular while a process changes its program and shows no environment.
    #[test]
    fn nothing_escapes_at_any_moment() {
        for pause_us in (0..3000).step_by(100) {
            let mut command = Command::new("sh");
            command.args(["-c", "setsid env setsid sleep 600 & exec setsid -w env sleep 600"]);
            let guard = Guard::start("parent", command.stdout(Stdio::null()).stderr(Stdio::null())).unwrap();
            let begin = std::time::Instant::now();
            while begin.elapsed() < Duration::from_micros(pause_us) {
                std::hint::spin_loop();
            }
            let mark = guard.mark.clone();
            drop(guard);
            // The next look comes later than any change of program that was under way.
            assert_eq!(mark.running(), [], "after {pause_us} µs");
        }
    }

    #[test]
    fn wait_names_what_still_runs() {
        let mut guard = Guard::start("sleeper", Command::new("sleep").arg("600")).unwrap();
        let expired = guard.wait(Duration::ZERO).unwrap_err();
        assert!(expired.what.starts_with("end of sleeper (pid "), "{expired}");
    }
}

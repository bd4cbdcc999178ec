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
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::wait::{Expired, wait_until};

/// Environment variable that carries the mark.
const MARK: &str = "TESTKIT_MARK";
/// All marked processes must be gone after this time.
const END_DEADLINE: Duration = Duration::from_secs(5);
/// Looks in a row that must find nothing when the process had ended by itself.
const CLEAN_LOOKS: u32 = 1;
/// The same when something had to be killed: a process that forks and exits while we look hides its child from that
/// look, and one hop after the other is all that such a chain can do.
const CLEAN_LOOKS_AFTER_KILL: u32 = 3;
/// A process that changes its program shows its environment again within this time.
const EXEC_PATIENCE: Duration = Duration::from_millis(100);

/// A running process, leader of its own process group; it and all its offspring are killed on drop.
#[derive(Debug)]
pub struct Guard {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    mark: String,
    /// When the process was started, in clock ticks since the machine was: its offspring is not older.
    since: u64,
}

impl Guard {
    /// Starts `command` as the leader of a new process group. `name` is for messages.
    ///
    /// # Errors
    /// Those of `fork` and `exec`; the message of a missing program is the system's.
    pub fn start(name: &str, command: &mut Command) -> io::Result<Guard> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mark = format!("{}-{}-{}.", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed), boot_ticks());
        command.env(MARK, &mark).process_group(0);
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
        let since = start_ticks(child.id().cast_signed()).unwrap_or_default();
        Ok(Guard { name: name.to_owned(), child, ended: None, mark, since })
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
        let mut clean_looks = CLEAN_LOOKS;
        if self.ended().is_none() {
            let _ = killpg(self.unix_pid(), Signal::SIGKILL);
            self.kill_9();
            clean_looks = CLEAN_LOOKS_AFTER_KILL;
        }
        let begin = Instant::now();
        let mut clean = 0;
        let gone = wait_until(END_DEADLINE, "end of marked processes", || {
            let found = Marked::look(&self.mark, self.since);
            for pid in &found.sure {
                let _ = kill(*pid, Signal::SIGKILL);
            }
            if found.sure.is_empty() && (found.unclear == 0 || begin.elapsed() > EXEC_PATIENCE) {
                clean += 1;
            } else {
                (clean, clean_looks) = (0, CLEAN_LOOKS_AFTER_KILL);
            }
            clean >= clean_looks
        });
        if let Err(expired) = gone {
            // No panic: this runs in drop, perhaps of a test that is panicking already.
            eprintln!("testkit: {}: {expired}", self.name);
        }
    }

    /// Process ids of everything that the process started, or its offspring did, and that still runs; itself included.
    pub fn running(&self) -> Vec<u32> {
        Marked::look(&self.mark, self.since).sure.into_iter().map(|pid| pid.as_raw().unsigned_abs()).collect()
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

/// What a look at all processes found.
#[derive(Debug, Default)]
struct Marked {
    /// They carry the mark.
    sure: Vec<Pid>,
    /// How many younger ones cannot be read at this moment: the environment of a process is empty for an instant
    /// while it changes its program. Others started theirs with an empty one and stay unclear; so patience ends.
    unclear: usize,
}

impl Marked {
    /// Looks at all processes started at `since` or later (in clock ticks since the machine was started).
    fn look(mark: &str, since: u64) -> Marked {
        let needle = format!("{MARK}={mark}").into_bytes();
        let mut found = Marked::default();
        let Ok(entries) = std::fs::read_dir("/proc") else { return found };
        for pid in entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok()) {
            // Processes of other users cannot be read, and are none of ours.
            match std::fs::read(format!("/proc/{pid}/environ")) {
                Ok(environment) if environment.split(|byte| *byte == 0).any(|entry| entry == needle) => {
                    found.sure.push(Pid::from_raw(pid));
                }
                // Zombies and threads of the kernel have no program.
                Ok(environment) if environment.is_empty() => {
                    let has_program = std::fs::read_link(format!("/proc/{pid}/exe")).is_ok();
                    found.unclear += usize::from(has_program && start_ticks(pid).is_some_and(|start| start >= since));
                }
                _ => {}
            }
        }
        found
    }
}

/// When a process was started, in clock ticks since the machine was; `None` when it is gone.
fn start_ticks(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, in parentheses, may hold anything; this is the 22nd.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
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
        wait_until(LONG, "parent and child", || guard.running().len() == 2).unwrap();
        guard
    }

    #[test]
    fn drop_ends_children_that_left_the_group() {
        let guard = parent_with_escaped_child();
        let mark = guard.mark.clone();
        drop(guard);
        assert_eq!(Marked::look(&mark, 0).sure, []);
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
        assert_eq!(Marked::look(&mark, 0).sure, []);
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
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_micros(pause_us) {
                std::hint::spin_loop();
            }
            let mark = guard.mark.clone();
            drop(guard);
            // The next look comes later than any change of program that was under way.
            assert_eq!(Marked::look(&mark, 0).sure, [], "after {pause_us} µs");
        }
    }

    #[test]
    fn wait_names_what_still_runs() {
        let mut guard = Guard::start("sleeper", Command::new("sleep").arg("600")).unwrap();
        let expired = guard.wait(Duration::ZERO).unwrap_err();
        assert!(expired.what.starts_with("end of sleeper (pid "), "{expired}");
    }
}

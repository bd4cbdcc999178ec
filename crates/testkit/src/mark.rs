//! Marks in the environment of processes, by which everything that a test started is found again.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
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

/// How sure a look must be that nothing runs any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looks {
    /// The process had ended by itself.
    Once,
    /// Something had to be killed.
    AfterKill,
}

/// A mark that no other process carries but those it was put on, and their offspring.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    text: String,
    /// When it was made, in clock ticks since the machine was started: what carries it is not older.
    since: u64,
}

impl Mark {
    /// A new mark.
    pub(crate) fn new() -> Mark {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // Nanoseconds make marks of different test runs differ even when process ids come round again.
        let nanos = now.expect("the clock stands after 1970").as_nanos();
        let text = format!("{}-{}-{nanos}.", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Mark { text, since: ticks_now().unwrap_or_default() }
    }

    /// Whether a command carries one already.
    pub(crate) fn is_on(command: &Command) -> bool {
        command.get_envs().any(|(name, value)| name == MARK && value.is_some())
    }

    /// Puts it on a command that is not started yet.
    pub(crate) fn put_on(&self, command: &mut Command) {
        command.env(MARK, &self.text);
    }

    /// What carries it and runs.
    pub(crate) fn running(&self) -> Vec<Pid> {
        Marked::look(&self.text, self.since).sure
    }

    /// Kills everything that carries it; returns when all are gone.
    ///
    /// # Errors
    /// [`Expired`] when some still run after five seconds.
    pub(crate) fn end_all(&self, looks: Looks) -> Result<(), Expired> {
        let mut wanted = if looks == Looks::Once { CLEAN_LOOKS } else { CLEAN_LOOKS_AFTER_KILL };
        let begin = Instant::now();
        let mut clean = 0;
        wait_until(END_DEADLINE, "end of marked processes", || {
            let found = Marked::look(&self.text, self.since);
            for pid in &found.sure {
                let _ = kill(*pid, Signal::SIGKILL);
            }
            if found.sure.is_empty() && (found.unclear == 0 || begin.elapsed() > EXEC_PATIENCE) {
                clean += 1;
            } else {
                (clean, wanted) = (0, CLEAN_LOOKS_AFTER_KILL);
            }
            clean >= wanted
        })
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

/// Now, in the unit of [`start_ticks`]: what is started from here on is not older.
fn ticks_now() -> Option<u64> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    // Both are in hundredths of a second, rounded down.
    Some((seconds * 100.0) as u64)
}

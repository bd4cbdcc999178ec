//! `stat/latest`: how many jobs wait and run, for scripts that read files (decision D12).
//!
//! The numbers are counters that the queue keeps anyway. Old scripts read the file as shell variables, so there is
//! nothing in it but names and numbers.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;

use crate::driver::Shell;
use crate::places::open_own;

/// Between two looks at the counters.
const BEAT: Duration = Duration::from_secs(1);

/// Between two versions, however fast the numbers change.
const PAUSE: Duration = Duration::from_secs(5);

/// Between two versions when nothing changes: readers take an old file for a dead master.
const LONGEST: Duration = Duration::from_secs(60);

/// Jobs that wait, jobs that run.
type Counts = (u64, u64);

/// When to write: pure decisions.
#[derive(Debug, Default)]
struct Pace {
    tried: Option<Instant>,
    written: Option<(Instant, Counts)>,
    /// The last try failed, and that was told.
    told: bool,
}

impl Pace {
    fn is_due(&self, now: Instant, counts: Counts) -> bool {
        let rested = self.tried.is_none_or(|tried| now.duration_since(tried) >= PAUSE);
        let current = self.written.is_some_and(|(at, old)| old == counts && now.duration_since(at) < LONGEST);
        rested && !current
    }

    /// Notes how a try ended; true when the failure is news.
    fn tried(&mut self, now: Instant, counts: Counts, good: bool) -> bool {
        self.tried = Some(now);
        if good {
            self.written = Some((now, counts));
        }
        !std::mem::replace(&mut self.told, !good) && !good
    }
}

/// Keeps the file in this folder up to date, for ever.
pub(crate) async fn tell(folder: PathBuf, shell: Rc<Shell>) {
    let mut pace = Pace::default();
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let totals = shell.totals();
        let (now, counts) = (Instant::now(), (totals.idle, totals.running));
        if !pace.is_due(now, counts) {
            continue;
        }
        let place = folder.clone();
        let written = shell.pool.wait(move || write(&place, &text(counts, SystemTime::now()))).await;
        if pace.tried(now, counts, written.is_ok())
            && let Err(error) = written
        {
            tracing::warn!(folder = %folder.display(), error = format!("{error:#}"), "cannot write stat/latest; the old one stays");
        }
    }
}

fn text((waiting, running): Counts, now: SystemTime) -> String {
    let now_s = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("WAITING={waiting}\nRUNNING={running}\nTIMESTAMP={now_s}\n")
}

/// A new file takes the place of the old one, so that no reader sees half of one.
fn write(folder: &Path, text: &str) -> anyhow::Result<()> {
    let dir = open_own(folder)?;
    // What somebody left there must neither lead elsewhere nor make us wait.
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC;
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(&dir, "tmp", flags, Mode::from_bits_truncate(0o644))?);
    file.write_all(text.as_bytes())?;
    Ok(renameat(&dir, "tmp", &dir, "latest")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn changes_are_told_every_five_seconds_and_life_every_minute() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        assert!(pace.is_due(start, (0, 0)));
        assert!(!pace.tried(start, (0, 0), true));
        assert!(!pace.is_due(start + SECOND * 4, (1, 0)));
        assert!(pace.is_due(start + SECOND * 5, (1, 0)));
        assert!(!pace.is_due(start + SECOND * 59, (0, 0)));
        assert!(pace.is_due(start + SECOND * 60, (0, 0)));
    }

    #[test]
    fn a_failure_is_told_once_and_tried_again() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        assert!(pace.tried(start, (0, 0), false));
        assert!(!pace.is_due(start + SECOND, (0, 0)));
        assert!(pace.is_due(start + SECOND * 5, (0, 0)));
        assert!(!pace.tried(start + SECOND * 5, (0, 0), false));
        assert!(!pace.tried(start + SECOND * 10, (0, 0), true));
        assert!(pace.tried(start + SECOND * 70, (0, 0), false), "a new failure is news");
    }

    #[test]
    fn the_old_file_stays_until_the_new_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("stat");
        let latest = || std::fs::read_to_string(folder.join("latest")).unwrap();
        write(&folder, &text((3, 2), UNIX_EPOCH + SECOND * 7)).unwrap();
        assert_eq!(latest(), "WAITING=3\nRUNNING=2\nTIMESTAMP=7\n");
        // What a crash left.
        std::fs::write(folder.join("tmp"), "WAITING=17\nRUN").unwrap();
        write(&folder, "x").unwrap();
        assert_eq!(latest(), "x");
        std::os::unix::fs::symlink("latest", folder.join("tmp")).unwrap();
        write(&folder, "y").unwrap_err();
        assert_eq!(latest(), "x");
    }
}

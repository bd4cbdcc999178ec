//! When a file of the spool folder is looked at: pure decisions over times that are given.
//!
//! Nobody says when a file is complete, so quiet must do: a file is visited after [`QUIET`] without a change. What
//! cannot be taken then may still be half written; it is visited once more after [`PATIENCE`] without a change, for the
//! last time.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};

use super::folder::Look;

/// A file that was not changed for so long may be complete.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// A file that was not changed for so long gets no better by waiting.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Files that are remembered at once; others are found by a later look at the whole folder.
pub(super) const FILES_MAX: usize = 100_000;

/// A file that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Visit {
    /// Its name in the folder.
    pub(super) name: OsString,
    /// How it looked all the time.
    pub(super) look: Look,
    /// If it cannot be taken now, it is rejected.
    pub(super) last: bool,
}

/// The files that wait for their time.
#[derive(Debug, Default)]
pub(super) struct Ripening {
    files: BTreeMap<OsString, Waiting>,
    /// By time; those that are due together by age, then name: first in, first out.
    order: BTreeSet<(Instant, i64, OsString)>,
}

#[derive(Debug)]
struct Waiting {
    look: Look,
    /// No change since.
    since: Instant,
    due: Instant,
    /// Putting it off was told before.
    told: bool,
}

impl Ripening {
    /// A file was looked at; `None`: it is not there.
    pub(super) fn saw(&mut self, now: Instant, name: &OsStr, look: Option<Look>) {
        let known = self.files.get(name).map(|file| &file.look);
        match look {
            Some(look) if known == Some(&look) => {}
            Some(look) if known.is_some() || self.files.len() < FILES_MAX => {
                self.take_out(name);
                self.put_in(name, Waiting { look, since: now, due: now + QUIET, told: false });
            }
            Some(_) => {}
            None => {
                self.take_out(name);
            }
        }
    }

    /// What it says cannot be taken, but it may be half written.
    pub(super) fn refused(&mut self, name: &OsStr) {
        if let Some(mut file) = self.take_out(name) {
            file.due = file.since + PATIENCE;
            self.put_in(name, file);
        }
    }

    /// Not its fault: it stays for a later visit. True when that was not said of it before.
    pub(super) fn put_off(&mut self, now: Instant, name: &OsStr) -> bool {
        let Some(mut file) = self.take_out(name) else { return false };
        file.due = now + PATIENCE;
        let first = !std::mem::replace(&mut file.told, true);
        self.put_in(name, file);
        first
    }

    /// When the next file is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(due, _, _)| *due)
    }

    /// The files that are due, at most so many. They stay here until it is said what became of them.
    pub(super) fn due(&self, now: Instant, max: usize) -> Vec<Visit> {
        let due = self.order.iter().take_while(|(due, _, _)| *due <= now).take(max);
        due.map(|(_, _, name)| {
            let file = &self.files[name];
            // What is no text of ours does not become one.
            let last = file.look.obstacle.is_some() || now.duration_since(file.since) >= PATIENCE;
            Visit { name: name.clone(), look: file.look, last }
        })
        .collect()
    }

    fn put_in(&mut self, name: &OsStr, file: Waiting) {
        self.order.insert((file.due, file.look.mtime_ns, name.to_owned()));
        self.files.insert(name.to_owned(), file);
    }

    fn take_out(&mut self, name: &OsStr) -> Option<Waiting> {
        let (name, file) = self.files.remove_entry(name)?;
        let found = self.order.remove(&(file.due, file.look.mtime_ns, name));
        assert!(found, "both tables have the same files");
        Some(file)
    }
}

#[cfg(test)]
mod tests {
    use journal::Taken;

    use super::super::folder::Obstacle;
    use super::*;

    fn look(mtime_ns: i64, size: u64) -> Look {
        Look { file: Taken { device: 1, inode: 2, ctime_ns: mtime_ns, size }, mtime_ns, obstacle: None }
    }

    fn saw(files: &mut Ripening, now: Instant, name: &str, look: Option<Look>) {
        files.saw(now, OsStr::new(name), look);
    }

    /// Names of what is due, and whether for the last time.
    fn due(files: &Ripening, now: Instant) -> Vec<(String, bool)> {
        let due = files.due(now, usize::MAX);
        due.into_iter().map(|visit| (visit.name.into_string().unwrap(), visit.last)).collect()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_file_is_due_after_a_second_without_a_change() {
        let (start, mut files) = (Instant::now(), Ripening::default());
        saw(&mut files, start, "a", Some(look(5, 1)));
        assert!(due(&files, start + SECOND / 2).is_empty());
        // It grew.
        saw(&mut files, start + SECOND / 2, "a", Some(look(6, 2)));
        assert!(due(&files, start + SECOND).is_empty());
        // Looking again is no change.
        saw(&mut files, start + SECOND, "a", Some(look(6, 2)));
        assert_eq!(files.next(), Some(start + SECOND * 3 / 2));
        assert_eq!(due(&files, start + SECOND * 3 / 2), [("a".into(), false)]);
        saw(&mut files, start + SECOND * 2, "a", None);
        assert_eq!((files.next(), due(&files, start + SECOND * 9)), (None, vec![]));
    }

    #[test]
    fn a_refused_file_has_a_minute_of_quiet() {
        let (start, mut files) = (Instant::now(), Ripening::default());
        saw(&mut files, start, "a", Some(look(5, 1)));
        files.refused(OsStr::new("a"));
        assert!(due(&files, start + SECOND * 59).is_empty());
        // A change gives it a second, and another minute.
        saw(&mut files, start + SECOND * 59, "a", Some(look(6, 2)));
        assert_eq!(due(&files, start + SECOND * 60), [("a".into(), false)]);
        files.refused(OsStr::new("a"));
        assert!(due(&files, start + SECOND * 118).is_empty());
        assert_eq!(due(&files, start + SECOND * 119), [("a".into(), true)]);
    }

    #[test]
    fn what_is_no_text_is_visited_once() {
        let (start, mut files) = (Instant::now(), Ripening::default());
        saw(&mut files, start, "link", Some(Look { obstacle: Some(Obstacle::Symlink), ..look(5, 1) }));
        assert_eq!(due(&files, start + SECOND), [("link".into(), true)]);
    }

    #[test]
    fn a_file_that_was_put_off_comes_back_and_that_is_told_once() {
        let (start, mut files) = (Instant::now(), Ripening::default());
        saw(&mut files, start, "a", Some(look(5, 1)));
        assert!(files.put_off(start + SECOND, OsStr::new("a")));
        assert!(due(&files, start + SECOND * 60).is_empty());
        assert_eq!(due(&files, start + SECOND * 61), [("a".into(), true)]);
        assert!(!files.put_off(start + SECOND * 61, OsStr::new("a")));
        assert!(!files.put_off(start, OsStr::new("unknown")));
    }

    #[test]
    fn first_in_first_out() {
        let (start, mut files) = (Instant::now(), Ripening::default());
        for (name, mtime_ns) in [("c", 3), ("a", 7), ("b", 7)] {
            saw(&mut files, start, name, Some(look(mtime_ns, 1)));
        }
        // Older, but noticed later.
        saw(&mut files, start + SECOND / 2, "d", Some(look(1, 1)));
        let names: Vec<String> = due(&files, start + SECOND * 2).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["c", "a", "b", "d"]);
        assert_eq!(files.due(start + SECOND * 2, 2).len(), 2);
    }

    #[test]
    fn memory_is_bounded() {
        let (start, mut files) = (Instant::now(), Ripening::default());
        for number in 0..=FILES_MAX {
            saw(&mut files, start, &number.to_string(), Some(look(5, 1)));
        }
        assert_eq!(files.files.len(), FILES_MAX);
        saw(&mut files, start, "0", None);
        saw(&mut files, start, "late", Some(look(5, 1)));
        assert!(files.files.contains_key(OsStr::new("late")));
    }
}

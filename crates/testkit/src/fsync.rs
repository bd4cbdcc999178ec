//! What an fsync costs here, because durations with an fsync inside mean nothing without it (decisions D67).

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// One journal-sized write; what a small submission costs.
const WRITE_BYTES: usize = 4096;

/// Measured times of one appended write of 4 KiB followed by `fdatasync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FsyncTimes {
    /// The middle one.
    pub median: Duration,
    /// Nine of ten are at most this long.
    pub p90: Duration,
    /// The longest.
    pub max: Duration,
}

impl std::fmt::Display for FsyncTimes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fdatasync of 4 KiB: median {:?}, p90 {:?}, max {:?}", self.median, self.p90, self.max)
    }
}

/// Appends and syncs `rounds` blocks in a new file in `folder` (on the file system that matters), and removes it.
///
/// # Errors
/// Those of the file system. `rounds` of 0 counts as 1.
pub fn fsync_times(folder: &Path, rounds: usize) -> io::Result<FsyncTimes> {
    let path = folder.join(format!(".fsync-times-{}", std::process::id()));
    let times = measure(&path, rounds.max(1));
    std::fs::remove_file(&path)?;
    times.map(summary)
}

fn measure(path: &Path, rounds: usize) -> io::Result<Vec<Duration>> {
    let mut file = File::create(path)?;
    (0..rounds)
        .map(|_| {
            let begin = Instant::now();
            file.write_all(&[0x5a; WRITE_BYTES])?;
            file.sync_data()?;
            Ok(begin.elapsed())
        })
        .collect()
}

fn summary(mut times: Vec<Duration>) -> FsyncTimes {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    FsyncTimes { median: at(50), p90: at(90), max: at(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_is_ordered() {
        let ms = Duration::from_millis;
        let times = summary((1..=11).rev().map(ms).collect());
        assert_eq!(times, FsyncTimes { median: ms(6), p90: ms(10), max: ms(11) });
    }

    #[test]
    fn measuring_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let times = fsync_times(folder.path(), 3).unwrap();
        assert!(times.median <= times.max);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

//! Lock files: at most one master on a work dir and on a state dir (promise P8).
//!
//! The lock is a `flock` on the file `lock`; the text inside only says who holds it. It ends with the process, however
//! that ends, so nothing stale is ever left.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, openat};
use nix::sys::stat::Mode;

/// Name of the lock file in both folders.
pub(crate) const LOCK_NAME: &str = "lock";

/// How long a lock may still be held by a process that is ending.
const DYING: Duration = Duration::from_millis(40);

/// Longest text of a lock file that is read, bytes.
const HOLDER_MAX: u64 = 512;

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Another master works there.
    #[error("another alien_work_queue works in {}: {holder}", folder.display())]
    Held {
        /// Where.
        folder: PathBuf,
        /// `pid 7 on host since time`, as the holder wrote it.
        holder: String,
    },
    /// The file cannot be opened or locked.
    #[error("cannot lock {}", folder.join(LOCK_NAME).display())]
    Broken {
        /// Where.
        folder: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
}

/// A lock that is held as long as this value lives.
#[derive(Debug)]
pub(crate) struct Lock {
    file: Flock<File>,
}

impl Lock {
    /// The open file, for the next program: as long as it is open anywhere, the lock is held.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

/// Refuses if somebody holds the lock of this folder; makes and writes nothing.
///
/// # Errors
/// [`LockError`].
pub(crate) fn probe(folder: &Path) -> Result<(), LockError> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let file = match nix::fcntl::open(&folder.join(LOCK_NAME), flags, Mode::empty()) {
        Ok(file) => file,
        // No folder, no file, a symlink: what is wrong with them is said when the place is taken.
        Err(_) => return Ok(()),
    };
    lock(folder, file).map(drop)
}

/// Takes the lock of the folder that is open as `dir` and writes who we are.
///
/// # Errors
/// [`LockError`].
pub(crate) fn take(folder: &Path, dir: &OwnedFd, who: &str) -> Result<Lock, LockError> {
    let broken = |source| LockError::Broken { folder: folder.to_owned(), source };
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let file = openat(dir.as_fd(), LOCK_NAME, flags, Mode::from_bits_truncate(0o600)).map_err(broken)?;
    write_holder(folder, lock(folder, file)?, who)
}

/// Takes the lock that an earlier program holds with this open file.
///
/// # Errors
/// [`LockError`].
pub(crate) fn inherit(folder: &Path, file: OwnedFd, who: &str) -> Result<Lock, LockError> {
    write_holder(folder, lock(folder, file)?, who)
}

fn write_holder(folder: &Path, mut file: Flock<File>, who: &str) -> Result<Lock, LockError> {
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{who}"));
    // On a full disk the lock still counts; it only cannot say whose it is.
    if let Err(error) = written {
        tracing::warn!(folder = %folder.display(), %error, "cannot write the holder into the lock file");
    }
    Ok(Lock { file })
}

/// `pid 7 on host since 2026-11-21T19:42:20Z`.
pub(crate) fn who(host: &str) -> String {
    let since = jiff::Timestamp::now();
    format!("pid {} on {host} since {since:.0}", std::process::id())
}

fn lock(folder: &Path, file: OwnedFd) -> Result<Flock<File>, LockError> {
    let begin = Instant::now();
    let mut file = File::from(file);
    let outcome = loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            // A killed master holds its lock until the system has taken it apart, while its successor may be there already.
            Err((again, Errno::EWOULDBLOCK)) if begin.elapsed() < DYING => {
                file = again;
                std::thread::sleep(Duration::from_millis(2));
            }
            outcome => break outcome,
        }
    };
    match outcome {
        Ok(lock) => Ok(lock),
        Err((file, Errno::EWOULDBLOCK)) => {
            let mut holder = String::new();
            let readable = file.take(HOLDER_MAX).read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
            let holder = if readable { holder.trim().to_owned() } else { "it did not say who it is".to_owned() };
            Err(LockError::Held { folder: folder.to_owned(), holder })
        }
        Err((_, source)) => Err(LockError::Broken { folder: folder.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_as_long_as_its_file_is_open_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OwnedFd::from(File::open(dir.path()).unwrap());
        let first = take(dir.path(), &folder, "pid 7").unwrap();
        let next = first.file().as_fd().try_clone_to_owned().unwrap();
        // The program goes without a word: nobody unlocks the file.
        std::mem::forget(first);
        assert!(matches!(take(dir.path(), &folder, "pid 9"), Err(LockError::Held { .. })));
        let second = inherit(dir.path(), next, "pid 8").unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join(LOCK_NAME)).unwrap(), "pid 8\n");
        drop(second);
        assert!(take(dir.path(), &folder, "pid 9").is_ok());
    }

    #[test]
    fn a_second_master_is_refused_at_once_and_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OwnedFd::from(File::open(dir.path()).unwrap());
        let held = take(dir.path(), &folder, "pid 7 on here since now").unwrap();
        let before = std::fs::metadata(dir.path().join(LOCK_NAME)).unwrap();
        let begin = Instant::now();
        for refused in [probe(dir.path()), take(dir.path(), &folder, "me").map(drop)] {
            let text = refused.unwrap_err().to_string();
            assert!(text.ends_with(": pid 7 on here since now"), "{text}");
        }
        assert!(begin.elapsed() < Duration::from_millis(100));
        assert_eq!(
            before.modified().unwrap(),
            std::fs::metadata(dir.path().join(LOCK_NAME)).unwrap().modified().unwrap()
        );
        drop(held);
        probe(dir.path()).unwrap();
        take(dir.path(), &folder, &who("here")).unwrap();
        let text = std::fs::read_to_string(dir.path().join(LOCK_NAME)).unwrap();
        assert!(text.starts_with(&format!("pid {} on here since 2", std::process::id())), "{text}");
    }

    #[test]
    fn a_symlink_is_no_lock_file() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", dir.path().join(LOCK_NAME)).unwrap();
        let folder = OwnedFd::from(File::open(dir.path()).unwrap());
        assert!(matches!(take(dir.path(), &folder, "me"), Err(LockError::Broken { source: Errno::ELOOP, .. })));
    }

    #[test]
    fn a_folder_that_is_not_there_is_free() {
        probe(Path::new("/no/such/folder")).unwrap();
    }

    #[test]
    fn a_lock_whose_holder_is_just_ending_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OwnedFd::from(File::open(dir.path()).unwrap());
        let held = take(dir.path(), &folder, "pid 7").unwrap();
        let begun = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                begun.wait();
                drop(held);
            });
            begun.wait();
            assert!(take(dir.path(), &folder, "pid 8").is_ok());
        });
    }
}

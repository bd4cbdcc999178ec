//! The spool folder's files. Everything here may block, and goes through the open folder, never through a path that
//! somebody could turn elsewhere.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use journal::Taken;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat2};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

use super::ripening::Visit;
use crate::places::{PlaceError, open_own};

/// Where files go that are not taken.
pub(crate) const REJECTED: &str = "rejected";

/// Longest text that is read, bytes; those of computing elements have a thousand.
pub(super) const TEXT_MAX: u64 = 1 << 20;

/// So much of a name is kept when more is to stand behind it; names end at 255 bytes.
const NAME_KEPT: usize = 200;

/// Files of one name among the rejected.
const NAMESAKES_MAX: u32 = 10_000;

/// What a file looks like from outside. A file that looks the same was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// What the journal remembers of it.
    pub(super) file: Taken,
    /// Time of the last change of its content, ns since 1970.
    pub(super) mtime_ns: i64,
    /// Why it is never read.
    pub(super) obstacle: Option<Obstacle>,
}

/// Why a file is not even read. The texts are parts of sentences for its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Obstacle {
    /// It leads anywhere.
    #[error("it is a symbolic link; put the text itself there")]
    Symlink,
    /// A pipe, a device, a socket.
    #[error("it is not a regular file")]
    NoFile,
    /// Our rights are not for others' texts.
    #[error("it belongs to user {uid}; only files of user {own} are taken", own = geteuid())]
    Foreign {
        /// Whose it is.
        uid: u32,
    },
    /// More than any text of jobs.
    #[error("it has {size} bytes; a text has at most {TEXT_MAX}")]
    TooLarge {
        /// Its size.
        size: u64,
    },
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// It is another than it was, or is being written.
    #[error("it changes")]
    Changed,
    /// The system says no.
    #[error("it cannot be read: {0}")]
    System(#[from] io::Error),
}

/// The folder, open.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    dir: OwnedFd,
    rejected: OwnedFd,
}

impl Look {
    fn of(facts: &FileStat) -> Look {
        let ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
        let size = u64::try_from(facts.st_size).unwrap_or(0);
        let obstacle = match facts.st_mode & libc::S_IFMT {
            libc::S_IFLNK => Some(Obstacle::Symlink),
            libc::S_IFREG if facts.st_uid != geteuid().as_raw() => Some(Obstacle::Foreign { uid: facts.st_uid }),
            libc::S_IFREG if size > TEXT_MAX => Some(Obstacle::TooLarge { size }),
            libc::S_IFREG => None,
            _ => Some(Obstacle::NoFile),
        };
        Look {
            file: Taken {
                device: facts.st_dev,
                inode: facts.st_ino,
                ctime_ns: ns(facts.st_ctime, facts.st_ctime_nsec),
                size,
            },
            mtime_ns: ns(facts.st_mtime, facts.st_mtime_nsec),
            obstacle,
        }
    }
}

impl Folder {
    /// Opens the folder and the one for the rejected inside; makes them if they are missing.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub(super) fn open(path: &Path) -> Result<Folder, PlaceError> {
        let (dir, rejected) = (open_own(path)?, open_own(&path.join(REJECTED))?);
        Ok(Folder { path: path.to_owned(), dir, rejected })
    }

    /// A path to the open folder itself, whatever stands at its name by now.
    pub(super) fn held_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_raw_fd()))
    }

    /// The names in the folder.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn list(&self) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(self.held_path())?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    /// How a file looks; `None`: it is gone, is a folder, or its name begins with a dot and it is still being made.
    pub(super) fn look(&self, name: &OsStr) -> Option<Look> {
        if name.as_bytes().starts_with(b".") {
            return None;
        }
        let facts = fstatat(&self.dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        (facts.st_mode & libc::S_IFMT != libc::S_IFDIR).then(|| Look::of(&facts))
    }

    /// The content of a file that looks like this before and after.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(super) fn read(&self, name: &OsStr, look: &Look) -> Result<Vec<u8>, ReadError> {
        // A pipe that came into its place meanwhile must not make us wait.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let mut file = match openat(&self.dir, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT | Errno::ELOOP) => return Err(ReadError::Changed),
            Err(errno) => return Err(io::Error::from(errno).into()),
        };
        let looks = |file: &File| fstat(file).is_ok_and(|facts| Look::of(&facts) == *look);
        if !looks(&file) {
            return Err(ReadError::Changed);
        }
        let mut bytes = Vec::new();
        (&mut file).take(TEXT_MAX + 1).read_to_end(&mut bytes)?;
        if looks(&file) { Ok(bytes) } else { Err(ReadError::Changed) }
    }

    /// Unlinks a file that was taken, unless another one stands in its place.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn unlink(&self, name: &OsStr, file: &Taken) -> io::Result<()> {
        match self.look(name) {
            Some(look) if look.file == *file => Ok(unlinkat(&self.dir, name, UnlinkatFlags::NoRemoveDir)?),
            _ => Ok(()),
        }
    }

    /// Moves a file to the rejected, with the reason beside it; its name there, or `None` if it has changed or gone.
    ///
    /// # Errors
    /// What the system says; the file stays where it was.
    pub(super) fn reject(&self, visit: &Visit, reason: &str) -> io::Result<Option<PathBuf>> {
        if self.look(&visit.name) != Some(visit.look) {
            return Ok(None);
        }
        let text = format!(
            "{} was not taken: {reason}.\nPut that right and move it back to {}, or give the text to condor_submit.\n",
            self.path.join(&visit.name).display(),
            self.path.display()
        );
        for number in 1..=NAMESAKES_MAX {
            let name = numbered(&visit.name, number);
            let mut beside = name.clone();
            beside.push(".reason");
            // The reason comes first, and holds the place: no rejected file is ever without one.
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
            let mut file = match openat(&self.rejected, beside.as_os_str(), flags, Mode::from_bits_truncate(0o600)) {
                Ok(file) => File::from(file),
                Err(Errno::EEXIST) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let moved = file.write_all(text.as_bytes()).and_then(|()| {
                let flags = RenameFlags::RENAME_NOREPLACE;
                Ok(renameat2(&self.dir, visit.name.as_os_str(), &self.rejected, name.as_os_str(), flags)?)
            });
            match moved {
                Ok(()) => return Ok(Some(self.path.join(REJECTED).join(name))),
                Err(error) => {
                    unlinkat(&self.rejected, beside.as_os_str(), UnlinkatFlags::NoRemoveDir)?;
                    match error.raw_os_error() {
                        Some(libc::EEXIST) => {}
                        Some(libc::ENOENT) => return Ok(None),
                        _ => return Err(error),
                    }
                }
            }
        }
        Err(io::Error::other(format!("{NAMESAKES_MAX} files of this name are in {REJECTED} already")))
    }
}

/// `name`, `name.2`, `name.3` …, short enough to have something behind it.
fn numbered(name: &OsStr, number: u32) -> OsString {
    let bytes = name.as_bytes();
    let mut name = OsStr::from_bytes(&bytes[..bytes.len().min(NAME_KEPT)]).to_owned();
    if number > 1 {
        name.push(format!(".{number}"));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench() -> (tempfile::TempDir, PathBuf, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queue");
        let folder = Folder::open(&path).unwrap();
        (dir, path, folder)
    }

    fn visit(folder: &Folder, name: &OsStr) -> Visit {
        Visit { name: name.to_owned(), look: folder.look(name).unwrap(), last: true }
    }

    #[test]
    fn a_file_is_read_as_long_as_it_looks_the_same() {
        let (_dir, path, folder) = bench();
        let name = OsStr::new("a");
        std::fs::write(path.join(name), "text").unwrap();
        let look = folder.look(name).unwrap();
        assert_eq!(folder.read(name, &look).unwrap(), b"text");
        std::fs::write(path.join(name), "other").unwrap();
        assert!(matches!(folder.read(name, &look), Err(ReadError::Changed)));
        // A link or a pipe in its place is not followed and not waited for.
        std::fs::remove_file(path.join(name)).unwrap();
        assert!(matches!(folder.read(name, &look), Err(ReadError::Changed)));
        std::os::unix::fs::symlink("/dev/zero", path.join(name)).unwrap();
        assert!(matches!(folder.read(name, &look), Err(ReadError::Changed)));
        assert_eq!(folder.look(name).unwrap().obstacle, Some(Obstacle::Symlink));
        std::fs::remove_file(path.join(name)).unwrap();
        nix::unistd::mkfifo(&path.join(name), Mode::S_IRWXU).unwrap();
        assert!(matches!(folder.read(name, &look), Err(ReadError::Changed)));
        assert_eq!(folder.look(name).unwrap().obstacle, Some(Obstacle::NoFile));
    }

    #[test]
    fn only_the_file_that_was_taken_is_unlinked() {
        let (_dir, path, folder) = bench();
        let name = OsStr::new("a");
        std::fs::write(path.join(name), "text").unwrap();
        let taken = folder.look(name).unwrap().file;
        std::fs::write(path.join("b"), "text").unwrap();
        std::fs::rename(path.join("b"), path.join(name)).unwrap();
        folder.unlink(name, &taken).unwrap();
        assert!(path.join(name).exists());
        folder.unlink(name, &folder.look(name).unwrap().file).unwrap();
        assert!(!path.join(name).exists());
        folder.unlink(name, &taken).unwrap();
    }

    #[test]
    fn rejected_files_keep_their_content_and_never_replace_another() {
        let (_dir, path, folder) = bench();
        let long = "n".repeat(255);
        for (number, wanted) in [(1, "n".repeat(200)), (2, format!("{}.2", "n".repeat(200)))] {
            std::fs::write(path.join(&long), format!("text {number}")).unwrap();
            let to = folder.reject(&visit(&folder, OsStr::new(&long)), "it is wrong").unwrap().unwrap();
            assert_eq!(to, path.join(REJECTED).join(&wanted));
            assert_eq!(std::fs::read_to_string(&to).unwrap(), format!("text {number}"));
            let reason = std::fs::read_to_string(path.join(REJECTED).join(format!("{wanted}.reason"))).unwrap();
            assert!(reason.contains(" was not taken: it is wrong.\n"), "{reason}");
        }
        // A file without its reason is not replaced either.
        std::fs::write(path.join(REJECTED).join("a"), "old").unwrap();
        std::fs::write(path.join("a"), "new").unwrap();
        let to = folder.reject(&visit(&folder, OsStr::new("a")), "x").unwrap().unwrap();
        assert_eq!(to, path.join(REJECTED).join("a.2"));
        assert!(!path.join(REJECTED).join("a.reason").exists());
        // One that changes meanwhile stays.
        std::fs::write(path.join("a"), "new").unwrap();
        let before = visit(&folder, OsStr::new("a"));
        std::fs::write(path.join("a"), "newer").unwrap();
        assert!(folder.reject(&before, "x").unwrap().is_none());
        assert!(path.join("a").exists());
    }

    #[test]
    fn folders_and_names_with_a_dot_are_left_alone() {
        let (_dir, path, folder) = bench();
        std::fs::write(path.join(".a"), "x").unwrap();
        let names = folder.list().unwrap();
        assert_eq!(names.len(), 2);
        assert!(names.iter().all(|name| folder.look(name).is_none()), "{names:?}");
    }
}

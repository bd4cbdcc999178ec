//! The two folders of the master: made safe or refused (decisions D1, D2).
//!
//! The *work dir* holds the doors: `awq.sock`, `lock`, `queue/`, `stat/`, `drain`. The *state dir* holds `lock`, `journal/`, `spool/`.
//! Both are opened once without following a symlink and then used through that descriptor.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag};
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::unistd::{Gid, geteuid};

use crate::history;
use crate::legacy::REJECTED;
use crate::lock::{self, Lock, LockError};

/// Name of the control socket in the work dir.
pub(crate) const SOCKET_NAME: &str = "awq.sock";

/// Name of the spool folder in the work dir.
const QUEUE_NAME: &str = "queue";

/// Name of the folder of `latest` in the work dir.
const STAT_NAME: &str = "stat";

/// `sun_path` with its closing NUL.
const SUN_PATH_MAX: usize = 108;

/// How many connections may wait for `accept`.
pub(crate) const BACKLOG: i32 = 4096;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// The system says no.
    #[error("cannot {what} {}", path.display())]
    System {
        /// What was tried: `make`, `open` …
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
    /// A symlink could be turned elsewhere at any time.
    #[error("{} is a symbolic link: name the folder itself", path.display())]
    Symlink {
        /// Which path.
        path: PathBuf,
    },
    /// Somebody else made it.
    #[error("{} belongs to user {uid}, not to us: move it away or choose another folder", path.display())]
    ForeignFolder {
        /// Which folder.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// Somebody else put something into it.
    #[error("{} belongs to user {uid}, not to us: remove it, or choose another folder", path.display())]
    ForeignEntry {
        /// Which entry.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// Others could change the durable state.
    #[error("{path} can be written by others (mode {mode:04o}): chmod go-w {path}", path = path.display())]
    OthersCanWrite {
        /// Which folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A place like `/tmp` itself: it is not ours to close.
    #[error("{path} is a folder that everybody shares (mode {mode:04o}): name a folder of its own, for example {path}/awq",
        path = path.display())]
    SharedFolder {
        /// Which folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Something else stands where the socket belongs.
    #[error("{} is no socket: remove it", path.display())]
    NoSocket {
        /// Which path.
        path: PathBuf,
    },
    /// Another master.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// The folder of the doors, locked.
#[derive(Debug)]
pub(crate) struct WorkDir {
    path: PathBuf,
    dir: OwnedFd,
    group: Option<Gid>,
    lock: Lock,
    // Cleaners of /tmp skip folders on which somebody holds a flock.
    _keep: Option<Flock<File>>,
}

/// The folder of the durable state, locked.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    on_tmpfs: bool,
    lock: Lock,
}

/// Makes, checks and locks both folders. A second master is refused before anything is made or written. After a planned
/// restart the locks are `held` by the open files of their lock files.
///
/// # Errors
/// [`PlaceError`].
pub(crate) fn take(
    work_dir: &Path,
    state_dir: &Path,
    group: Option<Gid>,
    host: &str,
    held: Option<(OwnedFd, OwnedFd)>,
) -> Result<(WorkDir, StateDir), PlaceError> {
    let who = lock::who(host);
    let (work_lock, state_lock) = match held {
        Some((work, state)) => (Some(work), Some(state)),
        None => {
            lock::probe(work_dir)?;
            lock::probe(state_dir)?;
            (None, None)
        }
    };
    let work_dir = WorkDir::take(work_dir, group, &who, work_lock)?;
    let state_dir = StateDir::take(state_dir, &who, state_lock)?;
    Ok((work_dir, state_dir))
}

impl WorkDir {
    fn take(path: &Path, group: Option<Gid>, who: &str, held: Option<OwnedFd>) -> Result<WorkDir, PlaceError> {
        let dir = open_own(path)?;
        check_entries(path)?;
        refuse_shared(path, &dir)?;
        tighten(path, &dir, group)?;
        let lock = take_lock(path, &dir, who, held)?;
        // Texts of jobs hold environments: who may look at the queue may not read them.
        for (door, group) in
            [(QUEUE_NAME.into(), None), (Path::new(QUEUE_NAME).join(REJECTED), None), (STAT_NAME.into(), group)]
        {
            let inside = path.join(door);
            tighten(&inside, &open_own(&inside)?, group)?;
        }
        let second = File::from(dir.try_clone().map_err(|error| system("open", path, errno(&error)))?);
        let keep = Flock::lock(second, FlockArg::LockSharedNonblock).ok();
        Ok(WorkDir { path: path.to_owned(), dir, group, lock, _keep: keep })
    }

    /// The path as given.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open lock file.
    pub(crate) fn lock_file(&self) -> &File {
        self.lock.file()
    }

    /// The spool folder.
    pub(crate) fn queue(&self) -> PathBuf {
        self.path.join(QUEUE_NAME)
    }

    /// The folder of `latest`.
    pub(crate) fn stat(&self) -> PathBuf {
        self.path.join(STAT_NAME)
    }

    /// Makes a name in here that leads to a file elsewhere: programs find it when the master does not run.
    pub(crate) fn add_door(&self, name: &str, to: &Path) {
        let (door, new) = (self.path.join(name), self.path.join(format!("{name}.new")));
        let target = std::path::absolute(to).unwrap_or_else(|_| to.to_owned());
        // A crash may have left it.
        let _ = std::fs::remove_file(&new);
        let made = std::os::unix::fs::symlink(&target, &new).and_then(|()| std::fs::rename(&new, &door));
        if let Err(error) = made {
            tracing::warn!(door = %door.display(), %error, "cannot make a door");
        }
    }

    /// The file that makes the service drain.
    pub(crate) fn drain(&self) -> PathBuf {
        self.path.join("drain")
    }

    /// Puts the control socket in place; one that a dead master left is replaced.
    ///
    /// # Errors
    /// [`PlaceError::NoSocket`] and [`PlaceError::System`].
    pub(crate) fn bind(&self) -> Result<UnixListener, PlaceError> {
        let path = self.path.join(SOCKET_NAME);
        match std::fs::symlink_metadata(&path) {
            Ok(facts) if facts.file_type().is_socket() => {
                std::fs::remove_file(&path).map_err(|error| system("remove", &path, errno(&error)))?;
            }
            Ok(_) => return Err(PlaceError::NoSocket { path }),
            Err(_) => {}
        }
        // A path too long for `sun_path` is named through the folder's descriptor, as the clients do (decision D3).
        let name = if path.as_os_str().len() < SUN_PATH_MAX {
            path.clone()
        } else {
            PathBuf::from(format!("/proc/self/fd/{}/{SOCKET_NAME}", self.dir.as_raw_fd()))
        };
        let bind = || -> io::Result<UnixListener> {
            let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
            socket.bind(&socket2::SockAddr::unix(&name)?)?;
            let mode = if self.group.is_some() { 0o660 } else { 0o600 };
            nix::sys::stat::fchmodat(
                &self.dir,
                SOCKET_NAME,
                Mode::from_bits_truncate(mode),
                nix::sys::stat::FchmodatFlags::FollowSymlink,
            )?;
            if let Some(gid) = self.group {
                nix::unistd::fchownat(&self.dir, SOCKET_NAME, None, Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
            }
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            Ok(socket.into())
        };
        bind().map_err(|error| system("bind", &path, errno(&error)))
    }
}

impl StateDir {
    fn take(path: &Path, who: &str, held: Option<OwnedFd>) -> Result<StateDir, PlaceError> {
        let dir = open_own(path)?;
        let facts = fstat(&dir).map_err(|source| system("look at", path, source))?;
        if facts.st_mode & 0o022 != 0 {
            return Err(PlaceError::OthersCanWrite { path: path.to_owned(), mode: facts.st_mode & 0o7777 });
        }
        let lock = take_lock(path, &dir, who, held)?;
        let on_tmpfs = fstatfs(&dir).is_ok_and(|facts| facts.filesystem_type() == TMPFS_MAGIC);
        for inside in ["journal", "spool"] {
            open_own(&path.join(inside))?;
        }
        Ok(StateDir { path: path.to_owned(), on_tmpfs, lock })
    }

    /// The path as given.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open lock file.
    pub(crate) fn lock_file(&self) -> &File {
        self.lock.file()
    }

    /// The folder of the journal.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// The file of the history.
    pub(crate) fn history(&self) -> PathBuf {
        self.path.join(history::FILE_NAME)
    }

    /// The folder of what jobs brought along.
    pub(crate) fn spool(&self) -> PathBuf {
        self.path.join("spool")
    }

    /// A reboot would empty it.
    pub(crate) fn on_tmpfs(&self) -> bool {
        self.on_tmpfs
    }
}

fn take_lock(path: &Path, dir: &OwnedFd, who: &str, held: Option<OwnedFd>) -> Result<Lock, LockError> {
    match held {
        Some(file) => lock::inherit(path, file, who),
        None => lock::take(path, dir, who),
    }
}

/// Makes the folder (0700, in one call) if it is missing, and opens it if it is a folder of ours.
///
/// # Errors
/// [`PlaceError`].
pub(crate) fn open_own(path: &Path) -> Result<OwnedFd, PlaceError> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(|error| system("make", parent, errno(&error)))?;
    }
    match nix::unistd::mkdir(path, Mode::from_bits_truncate(0o700)) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(source) => return Err(system("make", path, source)),
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let dir = nix::fcntl::open(path, flags, Mode::empty()).map_err(|source| {
        let symlink = std::fs::symlink_metadata(path).is_ok_and(|facts| facts.is_symlink());
        if symlink { PlaceError::Symlink { path: path.to_owned() } } else { system("open", path, source) }
    })?;
    let facts = fstat(dir.as_fd()).map_err(|source| system("look at", path, source))?;
    if facts.st_uid != geteuid().as_raw() {
        return Err(PlaceError::ForeignFolder { path: path.to_owned(), uid: facts.st_uid });
    }
    Ok(dir)
}

fn check_entries(path: &Path) -> Result<(), PlaceError> {
    let failed = |error: io::Error| system("list", path, errno(&error));
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // An entry that goes away meanwhile is no danger.
        let Ok(facts) = entry.metadata() else { continue };
        if facts.uid() != geteuid().as_raw() {
            return Err(PlaceError::ForeignEntry { path: entry.path(), uid: facts.uid() });
        }
    }
    Ok(())
}

/// Root owns `/tmp`, too; closing it would stop the whole machine.
fn refuse_shared(path: &Path, dir: &OwnedFd) -> Result<(), PlaceError> {
    let facts = fstat(dir).map_err(|source| system("look at", path, source))?;
    let mode = facts.st_mode & 0o7777;
    if mode & 0o1002 == 0 { Ok(()) } else { Err(PlaceError::SharedFolder { path: path.to_owned(), mode }) }
}

/// Takes rights away from others, since the original made its folders group-writable; a group may look.
fn tighten(path: &Path, dir: &OwnedFd, group: Option<Gid>) -> Result<(), PlaceError> {
    let facts = fstat(dir).map_err(|source| system("look at", path, source))?;
    let mode = facts.st_mode & 0o7777;
    let wanted = if group.is_some() { 0o750 } else { 0o700 };
    let open = mode & 0o077 & !wanted != 0;
    if let Some(gid) = group {
        nix::unistd::fchown(dir, None, Some(gid)).map_err(|source| system("give to the group", path, source))?;
    }
    if open || group.is_some() {
        fchmod(dir, Mode::from_bits_truncate(wanted)).map_err(|source| system("chmod", path, source))?;
    }
    if open {
        tracing::warn!(folder = %path.display(), from = %format!("{mode:04o}"), to = %format!("{wanted:04o}"),
            "a folder of the work dir was open to others and has been closed");
    }
    Ok(())
}

fn system(what: &'static str, path: &Path, source: Errno) -> PlaceError {
    PlaceError::System { what, path: path.to_owned(), source }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn both_places_are_made_private_and_locked() {
        let dir = tempfile::tempdir().unwrap();
        let (work, state) = (dir.path().join("work"), dir.path().join("deep/state"));
        let held = take(&work, &state, None, "here", None).unwrap();
        for folder in [&work, &state, &state.join("journal"), &state.join("spool")] {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
        let error = take(&work, &dir.path().join("other"), None, "here", None).unwrap_err().to_string();
        assert!(error.contains(&format!("pid {} on here since", std::process::id())), "{error}");
        assert!(!dir.path().join("other").exists(), "a refused start must write nothing");
        assert!(take(&dir.path().join("work2"), &state, None, "here", None).is_err());
        assert!(!dir.path().join("work2").exists(), "a refused start must write nothing");
        drop(held);
        take(&work, &state, None, "here", None).unwrap();
    }

    #[test]
    fn a_symlink_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("real")).unwrap();
        symlink(dir.path().join("real"), dir.path().join("work")).unwrap();
        let got = take(&dir.path().join("work"), &dir.path().join("state"), None, "here", None);
        assert!(matches!(got, Err(PlaceError::Symlink { .. })), "{got:?}");
    }

    #[test]
    fn an_open_work_dir_is_closed_and_an_open_state_dir_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (work, state) = (dir.path().join("work"), dir.path().join("state"));
        for folder in [&work, &state] {
            std::fs::create_dir(folder).unwrap();
            std::fs::set_permissions(folder, PermissionsExt::from_mode(0o775)).unwrap();
        }
        let got = take(&work, &state, None, "here", None);
        assert!(matches!(got, Err(PlaceError::OthersCanWrite { mode: 0o775, .. })), "{got:?}");
        assert_eq!(mode(&work), 0o700);
    }

    #[test]
    fn a_folder_that_everybody_shares_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        for shared in [0o1777, 0o1755, 0o777] {
            let work = dir.path().join(format!("{shared:o}"));
            std::fs::create_dir(&work).unwrap();
            std::fs::set_permissions(&work, PermissionsExt::from_mode(shared)).unwrap();
            let got = take(&work, &dir.path().join("state"), None, "here", None);
            assert!(matches!(got, Err(PlaceError::SharedFolder { .. })), "{got:?}");
            assert_eq!((mode(&work), std::fs::read_dir(&work).unwrap().count()), (shared, 0), "untouched");
        }
    }

    #[test]
    fn foreign_things_are_refused() {
        // Only root can give files away; for others the check of /tmp itself, which is root's, must do.
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        if geteuid().is_root() {
            std::fs::create_dir(&work).unwrap();
            std::fs::write(work.join("planted"), "").unwrap();
            std::os::unix::fs::chown(work.join("planted"), Some(12_345), None).unwrap();
            let got = WorkDir::take(&work, None, "me", None);
            assert!(matches!(got, Err(PlaceError::ForeignEntry { uid: 12_345, .. })), "{got:?}");
            std::os::unix::fs::chown(&work, Some(12_345), None).unwrap();
            let got = WorkDir::take(&work, None, "me", None);
            assert!(matches!(got, Err(PlaceError::ForeignFolder { uid: 12_345, .. })), "{got:?}");
        } else {
            let got = WorkDir::take(Path::new("/tmp"), None, "me", None);
            assert!(matches!(got, Err(PlaceError::ForeignFolder { uid: 0, .. })), "{got:?}");
        }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_long_path_works() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("w".repeat(150));
        let place = WorkDir::take(&work, None, "me", None).unwrap();
        drop(place.bind().unwrap());
        let listener = place.bind().unwrap();
        assert_eq!(mode(&work.join(SOCKET_NAME)), 0o600);
        let through = format!("/proc/self/fd/{}/{SOCKET_NAME}", place.dir.as_raw_fd());
        UnixStream::connect(through).unwrap();
        drop(listener);
        std::fs::remove_file(work.join(SOCKET_NAME)).unwrap();
        std::fs::write(work.join(SOCKET_NAME), "").unwrap();
        assert!(matches!(place.bind(), Err(PlaceError::NoSocket { .. })));
    }

    #[test]
    fn a_group_may_look() {
        let dir = tempfile::tempdir().unwrap();
        let place = WorkDir::take(&dir.path().join("work"), Some(nix::unistd::getegid()), "me", None).unwrap();
        let _listener = place.bind().unwrap();
        assert_eq!((mode(place.path()), mode(&place.path().join(SOCKET_NAME))), (0o750, 0o660));
        assert_eq!((mode(&place.stat()), mode(&place.queue())), (0o750, 0o700), "but not at what texts hold");
    }
}

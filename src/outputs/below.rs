//! Files below a temporary folder of ours, whatever somebody plants there meanwhile (requirement R-26).
//!
//! The way down is walked from folder to folder, each opened in the one before without following a symlink: what
//! `openat2` does with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, also on kernels and behind filters that do not have it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

const FOLDER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
const NEW_FILE: OFlag =
    OFlag::O_WRONLY.union(OFlag::O_CREAT).union(OFlag::O_EXCL).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Makes a file at `inside`, a plain relative path, below `root`; one that is there already is replaced.
pub(super) fn create(root: &Path, inside: &str, mode: u32) -> io::Result<File> {
    let (folder, name) = walk(root, inside)?;
    let make = || openat(&folder, name, NEW_FILE, Mode::from_bits_truncate(mode));
    let file = match make() {
        // Ours, from an earlier try of the same output, or not ours at all.
        Err(Errno::EEXIST) => {
            unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir)?;
            make()?
        }
        made => made?,
    };
    Ok(file.into())
}

/// Makes a folder at `inside` below `root` with exactly this mode; a real one that is there already is kept as it is.
pub(super) fn make_folder(root: &Path, inside: &str, mode: u32) -> io::Result<()> {
    let (folder, name) = walk(root, inside)?;
    match mkdirat(&folder, name, Mode::S_IRWXU) {
        Ok(()) => {
            let made = openat(&folder, name, FOLDER | OFlag::O_RDONLY, Mode::empty())?;
            Ok(fchmod(&made, Mode::from_bits_truncate(mode))?)
        }
        Err(Errno::EEXIST) => Ok(openat(&folder, name, FOLDER | OFlag::O_PATH, Mode::empty()).map(drop)?),
        Err(error) => Err(error.into()),
    }
}

/// The folder in which the last name of `inside` belongs, and that name.
fn walk<'a>(root: &Path, inside: &'a str) -> io::Result<(OwnedFd, &'a str)> {
    let mut folder = open(root, FOLDER | OFlag::O_PATH, Mode::empty())?;
    let (above, name) = inside.rsplit_once('/').map_or((None, inside), |(above, name)| (Some(above), name));
    for part in above.iter().flat_map(|above| above.split('/')).chain([name]) {
        // The core lets nothing else through; here it must not matter.
        if matches!(part, "" | "." | "..") {
            return Err(Errno::EINVAL.into());
        }
    }
    for part in above.iter().flat_map(|above| above.split('/')) {
        folder = openat(&folder, part, FOLDER | OFlag::O_PATH, Mode::empty())?;
    }
    Ok((folder, name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn nothing_that_was_planted_on_the_way_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        let (root, victim) = (dir.path().join("root"), dir.path().join("victim"));
        std::fs::create_dir_all(root.join("real/deep")).unwrap();
        std::fs::create_dir(&victim).unwrap();
        std::fs::write(victim.join("f"), "precious").unwrap();
        symlink(&victim, root.join("link")).unwrap();
        symlink(&victim, root.join("real/link")).unwrap();
        symlink(victim.join("f"), root.join("f")).unwrap();
        symlink(victim.join("new"), root.join("new")).unwrap();
        nix::unistd::mkfifo(&root.join("fifo"), Mode::S_IRWXU).unwrap();
        symlink(&root, dir.path().join("way")).unwrap();

        for inside in
            ["link/f", "link/new", "real/link/f", "../victim/f", "real/../../victim/f", "", "a//b", "./f", "real/"]
        {
            assert!(create(&root, inside, 0o644).is_err(), "{inside:?}");
            assert!(make_folder(&root, inside, 0o755).is_err(), "{inside:?}");
        }
        assert!(make_folder(&root, "link", 0o777).is_err());
        assert!(create(&dir.path().join("way"), "x", 0o644).is_err(), "the root itself is no link");
        // What stands in the file's own place goes, and what it led to stays.
        for inside in ["f", "new", "fifo", "real/deep/x"] {
            assert!(create(&root, inside, 0o640).unwrap().metadata().unwrap().is_file(), "{inside}");
            let facts = std::fs::symlink_metadata(root.join(inside)).unwrap();
            assert!(facts.is_file() && facts.permissions().mode() & 0o137 == 0, "{inside}");
        }
        assert_eq!(std::fs::read_to_string(victim.join("f")).unwrap(), "precious");
        assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 1);
        assert_eq!(std::fs::metadata(&victim).unwrap().permissions().mode() & 0o022, 0);
    }

    #[test]
    fn folders_have_their_mode_and_are_made_once() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o2750, 0o777] {
            make_folder(dir.path(), "a", mode).unwrap();
            assert_eq!(std::fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o7777, 0o2750);
        }
        make_folder(dir.path(), "a/b", 0o700).unwrap();
        assert_eq!(make_folder(dir.path(), "no/b", 0o700).unwrap_err().raw_os_error(), Some(2));
    }
}

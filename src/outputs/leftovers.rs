//! Temporary files that a crash left behind: noted before they are made, removed at the next start.
//!
//! Only what lives longer than one visit to the disk is noted: files too large for memory and folders. The list is not
//! synced; after a power cut such a file may stay, and its name says whose it is.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::part::remove_any;

/// Begin and end of every temporary name.
pub(super) const PREFIX: &str = ".awq-";
pub(super) const SUFFIX: &str = ".tmp";

/// From this length, in bytes, the list is emptied when nothing on it is left.
const TIDY_AT: u64 = 1 << 20;

/// The list.
#[derive(Debug)]
pub(super) struct Leftovers {
    file: File,
    length: u64,
    open: usize,
}

impl Leftovers {
    /// Removes what an earlier run left, and begins an empty list.
    pub(super) fn clear(list: &Path) -> io::Result<Leftovers> {
        let old = match std::fs::read(list) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        for entry in old.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
            let path = PathBuf::from(std::ffi::OsString::from_vec(entry.to_vec()));
            if has_our_name(&path) && remove_any(&path).is_err() {
                tracing::warn!(path = %path.display(), "a temporary file of an earlier run cannot be removed");
            }
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(list)?;
        file.set_len(0)?;
        Ok(Leftovers { file, length: 0, open: 0 })
    }

    /// Notes a name that will be made.
    pub(super) fn note(&mut self, path: &Path) -> io::Result<()> {
        let entry = [path.as_os_str().as_bytes(), b"\0"].concat();
        self.file.write_all(&entry)?;
        self.length += entry.len() as u64;
        self.open += 1;
        Ok(())
    }

    /// `count` of the noted names are gone.
    pub(super) fn gone(&mut self, count: usize) {
        self.open = self.open.saturating_sub(count);
        if self.open == 0 && self.length >= TIDY_AT && self.file.set_len(0).is_ok() {
            self.length = 0;
        }
    }
}

/// The list is data, so nothing without our name is removed on its word.
fn has_our_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    path.is_absolute() && name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_start_removes_what_a_crash_left_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("temps");
        let (ours, tree) = (dir.path().join(".awq-x-1-0.tmp"), dir.path().join(".awq-x-1-1.tmp"));
        let foreign = dir.path().join("precious");
        let mut before = Leftovers::clear(&list).unwrap();
        for path in [&ours, &tree, &foreign] {
            before.note(path).unwrap();
        }
        std::fs::write(&ours, "half").unwrap();
        std::fs::create_dir_all(tree.join("deep")).unwrap();
        std::fs::write(&foreign, "whole").unwrap();
        drop(before);
        Leftovers::clear(&list).unwrap();
        assert!(!ours.exists() && !tree.exists() && foreign.exists());
        assert_eq!(std::fs::metadata(&list).unwrap().len(), 0);
    }
}

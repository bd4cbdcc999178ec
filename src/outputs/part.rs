//! One output of an attempt until it is delivered: a file or a folder, in memory or under its temporary name.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::below;

/// A file that is kept in memory.
#[derive(Debug)]
struct Kept {
    mode: u32,
    bytes: Vec<u8>,
}

/// How files are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// Wait until they are on disk.
    pub(super) sync: bool,
    /// What the system takes away from the mode of a new file.
    pub(super) umask: u32,
}

/// One output.
#[derive(Debug)]
pub(super) struct Part {
    target: PathBuf,
    name: String,
    /// Its temporary place, once something stands or is about to stand there.
    temp: Option<PathBuf>,
    /// It is a folder, and stands at its temporary place.
    made: bool,
    /// The file, when it is one and still in memory.
    single: Option<Kept>,
    /// Folders still to be made below the temporary place (`""` = itself), parents before children, with their modes.
    dirs: BTreeMap<String, u32>,
    /// Files below it that are still in memory.
    inside: BTreeMap<String, Kept>,
    /// Bytes of all files.
    pub(super) bytes: u64,
}

impl Part {
    /// An output for `target` with this temporary name.
    pub(super) fn new(target: &Path, name: String) -> Part {
        Part {
            target: target.to_owned(),
            name,
            temp: None,
            made: false,
            single: None,
            dirs: BTreeMap::new(),
            inside: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Whether it is a folder.
    pub(super) fn is_folder(&self) -> bool {
        self.made || !self.dirs.is_empty() || !self.inside.is_empty()
    }

    /// Bytes in memory.
    pub(super) fn held(&self) -> usize {
        self.single.iter().chain(self.inside.values()).map(|kept| kept.bytes.len()).sum()
    }

    /// Keeps a whole file in memory.
    pub(super) fn keep(&mut self, inside: Option<&str>, mode: u32, bytes: Vec<u8>) {
        self.bytes += bytes.len() as u64;
        let kept = Kept { mode, bytes };
        match inside {
            None => self.single = Some(kept),
            Some(path) => {
                self.inside.insert(path.to_owned(), kept);
            }
        }
    }

    /// Notes a folder to make.
    pub(super) fn make_dir(&mut self, inside: Option<&str>, mode: u32) {
        // The owner must be able to fill it and to move it away.
        self.dirs.insert(inside.unwrap_or("").to_owned(), mode | 0o700);
    }

    /// The temporary place: beside the target, or inside if that is a folder already, so that the later rename never
    /// leaves the file system.
    pub(super) fn place(&mut self, target_is_folder: impl FnOnce() -> bool) -> &Path {
        if self.temp.is_none() {
            let beside = self.target.parent().unwrap_or(&self.target);
            let folder = if target_is_folder() { &self.target } else { beside };
            self.temp = Some(folder.join(&self.name));
        }
        self.temp.as_deref().expect("set above")
    }

    /// The temporary place, if anything may stand there.
    pub(super) fn temp(&self) -> Option<&Path> {
        self.temp.as_deref()
    }

    /// What stood at the temporary place is where it belongs.
    pub(super) fn moved(&mut self) {
        self.temp = None;
        self.made = false;
    }

    /// Creates the temporary file for a body that is too large to keep.
    pub(super) fn create(&mut self, inside: Option<&str>, mode: u32, habits: Habits) -> io::Result<File> {
        let target = self.target.clone();
        let temp = self.place(|| target.is_dir()).to_owned();
        self.write_dirs(&temp)?;
        match inside {
            None => create_file(&temp, mode, habits),
            Some(path) => with_mode(below::create(&temp, path, mode)?, mode, habits),
        }
    }

    /// Brings everything to its temporary place.
    pub(super) fn write_out(&mut self, target_is_folder: bool, habits: Habits) -> io::Result<()> {
        let temp = self.place(|| target_is_folder).to_owned();
        self.write_dirs(&temp)?;
        if let Some(kept) = &self.single {
            write_file(create_file(&temp, kept.mode, habits)?, kept, habits)?;
            self.single = None;
        }
        while let Some((path, kept)) = self.inside.first_key_value() {
            let file = with_mode(below::create(&temp, path, kept.mode)?, kept.mode, habits)?;
            write_file(file, kept, habits)?;
            self.inside.pop_first();
        }
        Ok(())
    }

    fn write_dirs(&mut self, temp: &Path) -> io::Result<()> {
        while let Some((path, mode)) = self.dirs.first_key_value() {
            // One that is there is of the same output, fetched a second time.
            if !path.is_empty() {
                below::make_folder(temp, path, *mode)?;
            } else if let (Some(above), Some(name)) = (temp.parent(), temp.file_name().and_then(|name| name.to_str())) {
                below::make_folder(&std::fs::canonicalize(above)?, name, *mode)?;
            }
            self.made |= path.is_empty();
            self.dirs.pop_first();
        }
        Ok(())
    }
}

/// A new file that nobody else can have opened or pointed elsewhere, with exactly this mode whatever our umask is.
pub(super) fn create_file(path: &Path, mode: u32, habits: Habits) -> io::Result<File> {
    let open =
        || OpenOptions::new().write(true).create_new(true).mode(mode).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path);
    let file = match open() {
        // Ours, from an earlier try of the same output.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(path)?;
            open()?
        }
        other => other?,
    };
    with_mode(file, mode, habits)
}

fn with_mode(file: File, mode: u32, habits: Habits) -> io::Result<File> {
    if mode & habits.umask != 0 {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(file)
}

fn write_file(mut file: File, kept: &Kept, habits: Habits) -> io::Result<()> {
    file.write_all(&kept.bytes)?;
    if habits.sync { file.sync_all() } else { Ok(()) }
}

/// Removes a file or a whole folder, without following a symlink; one that is not there is fine.
pub(super) fn remove_any(path: &Path) -> io::Result<()> {
    let removed = if is_real_dir(path) { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

pub(super) fn is_real_dir(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|facts| facts.is_dir())
}

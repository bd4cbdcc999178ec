//! Delivery: every output of an attempt to its final place.
//!
//! First all targets are looked at, then everything is written under temporary names, then come the renames: a full disk
//! or a folder in the way is found before any file of the user's has changed.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use wq_core::ids::AttemptId;
use wq_core::io::{Delivery, DeliveryKind, Trouble};

use super::part::{Part, is_real_dir, remove_any};
use super::registry::{Attempt, Outputs};
use super::trouble::errno;

/// A failure with the path that it is about.
pub(super) type Failure = (PathBuf, io::Error);

impl Outputs {
    /// Puts complete outputs in place and forgets the attempt; the bytes delivered.
    ///
    /// # Errors
    /// What the job is held with. What is not yet in place stays under its temporary name until
    /// [`Outputs::abandon`].
    pub(crate) fn deliver(&self, id: AttemptId, outputs: &[Delivery]) -> Result<u64, Trouble> {
        let attempt = self.attempt(id);
        let mut attempt = attempt.lock().expect("no panic under this lock");
        let delivered = self.deliver_all(id, &mut attempt, outputs);
        drop(attempt);
        let bytes = delivered.map_err(|(path, error)| self.words.output(&path, errno(&error)))?;
        self.abandon(id);
        Ok(bytes)
    }

    fn deliver_all(&self, id: AttemptId, attempt: &mut Attempt, outputs: &[Delivery]) -> Result<u64, Failure> {
        let mut standing = Vec::with_capacity(outputs.len());
        for output in outputs {
            let found = look(output, attempt.parts.get(&output.output));
            standing.push(found.map_err(at(Path::new(&output.target)))?);
        }
        for (output, standing) in outputs.iter().zip(&standing) {
            let target = Path::new(&output.target);
            let part = match output.how {
                DeliveryKind::Empty(mode) => {
                    let mut part = Part::new(target, self.temp_name(id, output.output));
                    part.keep(None, mode, Vec::new());
                    attempt.parts.insert(output.output, part);
                    attempt.parts.get_mut(&output.output)
                }
                DeliveryKind::Nowhere => None,
                DeliveryKind::Rename | DeliveryKind::Spread { .. } => attempt.parts.get_mut(&output.output),
            };
            if let Some(part) = part.filter(|_| *standing != Standing::Null) {
                self.write_out(part, *standing == Standing::Folder).map_err(at(target))?;
            }
        }
        let mut bytes = 0;
        for (output, standing) in outputs.iter().zip(standing) {
            bytes += self.put(output, standing, attempt.parts.get_mut(&output.output))?;
        }
        Ok(bytes)
    }

    /// Moves one output, which is complete under its temporary name.
    fn put(&self, output: &Delivery, standing: Standing, part: Option<&mut Part>) -> Result<u64, Failure> {
        let target = Path::new(&output.target);
        let spreads = matches!(output.how, DeliveryKind::Spread { .. });
        let part = match part {
            _ if matches!(output.how, DeliveryKind::Nowhere) || standing == Standing::Null => return Ok(0),
            // A job that made nothing has nothing to spread.
            None if spreads => return Ok(0),
            None => return Err((target.to_owned(), Errno::ENOENT.into())),
            Some(part) => part,
        };
        let from = part.temp().expect("written out before");
        match &output.how {
            DeliveryKind::Spread { remaps } => spread(from, target, remaps)?,
            _ if part.is_folder() && standing == Standing::Folder => merge(from, target)?,
            _ => std::fs::rename(from, target).map_err(at(target))?,
        }
        part.moved();
        let folder = if spreads { target } else { target.parent().unwrap_or(target) };
        if self.habits.sync {
            sync_folder(target).map_err(at(target))?;
        } else {
            self.unsynced.lock().expect("no panic under this lock").note(folder);
        }
        Ok(part.bytes)
    }
}

/// What is at the final place before delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Nothing,
    File,
    Folder,
    /// `/dev/null`, perhaps through a symlink.
    Null,
}

/// Looks at the final place: there must be nothing, a regular file, or for a folder a folder (decision D35).
fn look(output: &Delivery, part: Option<&Part>) -> io::Result<Standing> {
    if matches!(output.how, DeliveryKind::Nowhere) {
        return Ok(Standing::Null);
    }
    let spreads = matches!(output.how, DeliveryKind::Spread { .. });
    match stands(Path::new(&output.target), spreads || part.is_some_and(Part::is_folder))? {
        Standing::Nothing if spreads => Err(Errno::ENOENT.into()),
        standing => Ok(standing),
    }
}

/// What stands at a place, if it may be replaced or filled.
pub(super) fn stands(target: &Path, needs_folder: bool) -> io::Result<Standing> {
    // Symlinks are looked through here and replaced by the rename: nothing is ever written through one.
    let facts = match std::fs::metadata(target) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::Nothing),
        Err(error) => return Err(error),
    };
    let kind = facts.file_type();
    match needs_folder {
        true if kind.is_dir() => Ok(Standing::Folder),
        true => Err(Errno::ENOTDIR.into()),
        false if kind.is_dir() => Err(Errno::EISDIR.into()),
        false if kind.is_file() => Ok(Standing::File),
        false if is_null(&facts) => Ok(Standing::Null),
        false if kind.is_socket() || kind.is_fifo() => Err(Errno::ENXIO.into()),
        false => Err(Errno::EINVAL.into()),
    }
}

/// Moves what is in a folder into one that exists, as HTCondor's transfer does.
fn merge(from: &Path, target: &Path) -> Result<(), Failure> {
    for entry in list(from)? {
        move_to(&from.join(&entry), &target.join(&entry))?;
    }
    std::fs::remove_dir(from).map_err(at(from))
}

/// A file replaces the target, a folder is merged into one that exists.
fn move_to(from: &Path, target: &Path) -> Result<(), Failure> {
    if is_real_dir(from) && target.is_dir() {
        merge(from, target)
    } else {
        std::fs::rename(from, target).map_err(at(target))
    }
}

fn spread(from: &Path, folder: &Path, remaps: &[(String, String)]) -> Result<(), Failure> {
    if !is_real_dir(from) {
        return Ok(());
    }
    for (name, place) in remaps {
        let (inside, place) = (from.join(name), Path::new(place));
        if std::fs::symlink_metadata(&inside).is_err() {
            continue;
        }
        if is_null_device(place) {
            remove_any(&inside).map_err(at(&inside))?;
        } else {
            move_to(&inside, place)?;
        }
    }
    for entry in list(from)? {
        move_to(&from.join(&entry), &folder.join(&entry))?;
    }
    std::fs::remove_dir(from).map_err(at(from))
}

pub(super) fn list(folder: &Path) -> Result<Vec<std::ffi::OsString>, Failure> {
    let read = || -> io::Result<Vec<_>> { std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect() };
    let mut names = read().map_err(at(folder))?;
    names.sort();
    Ok(names)
}

pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Failure {
    let path = path.to_owned();
    move |error| (path.clone(), error)
}

pub(super) fn sync_folder(target: &Path) -> io::Result<()> {
    let folder = if target.is_dir() { target } else { target.parent().unwrap_or(target) };
    std::fs::File::open(folder)?.sync_all()
}

pub(super) fn is_null_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|facts| is_null(&facts))
}

fn is_null(facts: &std::fs::Metadata) -> bool {
    facts.file_type().is_char_device()
        && std::fs::metadata("/dev/null")
            .is_ok_and(|null| null.file_type().is_char_device() && null.rdev() == facts.rdev())
}

#[cfg(test)]
mod tests;

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

use super::part::{Part, create_file, is_real_dir, remove_any};
use super::registry::{Attempt, Outputs};
use super::trouble::errno;

/// A failure with the path that it is about.
type Failure = (PathBuf, io::Error);

impl Outputs {
    /// Puts complete outputs in place and forgets the attempt; the bytes delivered.
    ///
    /// # Errors
    /// What the job is held with. What is not yet in place stays under its temporary name until
    /// [`Outputs::abandon`] or another try.
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
        for output in outputs {
            check_target(output, attempt.parts.get(&output.output)).map_err(at(Path::new(&output.target)))?;
        }
        for output in outputs {
            let target = Path::new(&output.target);
            match (&output.how, attempt.parts.get_mut(&output.output)) {
                (DeliveryKind::Nowhere, _) => {}
                (DeliveryKind::Empty(mode), _) if !is_null_device(target) => {
                    let part = Part::new(target, &self.temp_name(id, output.output));
                    create_file(&part.temp, *mode).map_err(at(target))?;
                    attempt.parts.insert(output.output, part);
                }
                (_, Some(part)) => self.write_out(part).map_err(at(target))?,
                (_, None) => {}
            }
        }
        let mut bytes = 0;
        for output in outputs {
            let target = Path::new(&output.target);
            match (&output.how, attempt.parts.get(&output.output)) {
                (DeliveryKind::Nowhere, _) => {}
                (DeliveryKind::Rename | DeliveryKind::Empty(_), _) if is_null_device(target) => {}
                (DeliveryKind::Rename | DeliveryKind::Empty(_), Some(part)) => {
                    move_to(&part.temp, target)?;
                    bytes += part.bytes;
                }
                (DeliveryKind::Spread { remaps }, Some(part)) => {
                    spread(&part.temp, target, remaps)?;
                    bytes += part.bytes;
                }
                // A job that made nothing has nothing to spread.
                (DeliveryKind::Spread { .. }, None) => {}
                (DeliveryKind::Rename | DeliveryKind::Empty(_), None) => {
                    return Err((target.to_owned(), Errno::ENOENT.into()));
                }
            }
            if self.sync {
                sync_folder(target).map_err(at(target))?;
            }
        }
        Ok(bytes)
    }
}

/// What stands at the target must be nothing, a regular file, or for a folder a folder (decision D35).
fn check_target(output: &Delivery, part: Option<&Part>) -> io::Result<()> {
    let target = Path::new(&output.target);
    let spreads = matches!(output.how, DeliveryKind::Spread { .. });
    if matches!(output.how, DeliveryKind::Nowhere) {
        return Ok(());
    }
    // Symlinks are looked through here and replaced by the rename: nothing is ever written through one.
    let facts = match std::fs::metadata(target) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !spreads => return Ok(()),
        Err(error) => return Err(error),
    };
    let is_folder = part.is_some_and(Part::is_folder);
    match (facts.file_type(), spreads || is_folder) {
        (kind, true) if kind.is_dir() => Ok(()),
        (kind, false) if kind.is_dir() => Err(Errno::EISDIR.into()),
        (_, true) => Err(Errno::ENOTDIR.into()),
        (kind, false) if kind.is_file() || is_null(&facts) => Ok(()),
        (kind, false) if kind.is_socket() || kind.is_fifo() => Err(Errno::ENXIO.into()),
        (_, false) => Err(Errno::EINVAL.into()),
    }
}

/// A file replaces the target, a folder is merged into one that exists, as HTCondor's transfer does.
fn move_to(from: &Path, target: &Path) -> Result<(), Failure> {
    if is_real_dir(from) && target.is_dir() {
        for entry in list(from)? {
            move_to(&from.join(&entry), &target.join(&entry))?;
        }
        return std::fs::remove_dir(from).map_err(at(from));
    }
    std::fs::rename(from, target).map_err(at(target))
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

fn list(folder: &Path) -> Result<Vec<std::ffi::OsString>, Failure> {
    let read = || -> io::Result<Vec<_>> { std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect() };
    let mut names = read().map_err(at(folder))?;
    names.sort();
    Ok(names)
}

fn at(path: &Path) -> impl Fn(io::Error) -> Failure {
    let path = path.to_owned();
    move |error| (path.clone(), error)
}

fn sync_folder(target: &Path) -> io::Result<()> {
    let folder = if target.is_dir() { target } else { target.parent().unwrap_or(target) };
    std::fs::File::open(folder)?.sync_all()
}

fn is_null_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|facts| is_null(&facts))
}

fn is_null(facts: &std::fs::Metadata) -> bool {
    facts.file_type().is_char_device()
        && std::fs::metadata("/dev/null")
            .is_ok_and(|null| null.file_type().is_char_device() && null.rdev() == facts.rdev())
}

#[cfg(test)]
mod tests;

//! Delivered outputs and the disk: the file systems to sync, and the look at outputs after a reboot (decision D36).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use wq_core::ids::JobId;
use wq_core::io::{ExpectedOutputs, Trouble};

use super::registry::Outputs;
use super::trouble::errno;

/// Where outputs went since the last sync: each file system with a folder on it.
#[derive(Debug, Default)]
pub(super) struct Unsynced(BTreeMap<u64, PathBuf>);

impl Unsynced {
    /// An output was moved into this folder.
    pub(super) fn note(&mut self, folder: &Path) {
        // A folder that is gone took the output along.
        if let Ok(facts) = std::fs::metadata(folder) {
            self.0.entry(facts.dev()).or_insert_with(|| folder.to_owned());
        }
    }
}

impl Outputs {
    /// Brings the file systems to disk that outputs were delivered to, and those of `folders`; true if all of them are.
    pub(crate) fn sync_delivered(&self, folders: &[String]) -> bool {
        let mut unsynced = {
            let mut unsynced = self.unsynced.lock().expect("no panic under this lock");
            folders.iter().for_each(|folder| unsynced.note(Path::new(folder)));
            std::mem::take(&mut *unsynced)
        };
        unsynced.0.retain(|device, folder| match sync_file_system(*device, folder) {
            Ok(()) => false,
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "outputs cannot be brought to disk; trying again");
                true
            }
        });
        let done = unsynced.0.is_empty();
        self.unsynced.lock().expect("no panic under this lock").0.append(&mut unsynced.0);
        done
    }

    /// Looks at what jobs have delivered; the jobs of which something is missing or short.
    pub(crate) fn check(&self, jobs: &[ExpectedOutputs]) -> Vec<(JobId, Trouble)> {
        let lost = jobs.iter().filter_map(|job| {
            let trouble = job.files.iter().find_map(|(path, bytes)| self.look_at(Path::new(path), *bytes))?;
            Some((job.job, trouble))
        });
        lost.collect()
    }

    fn look_at(&self, path: &Path, bytes: u64) -> Option<Trouble> {
        match size_of(path) {
            Ok(Some(found)) if found < bytes => {
                let details = format!("{found} of {bytes} bytes are there");
                Some(self.words.lost_output(path, Errno::EIO, &details))
            }
            Ok(_) => None,
            Err(error) => Some(self.words.lost_output(path, errno(&error), errno(&error).desc())),
        }
    }
}

/// Syncs a file system through a folder that was on it, or one above if that is gone.
fn sync_file_system(device: u64, folder: &Path) -> io::Result<()> {
    for folder in folder.ancestors() {
        let opened = match File::open(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        if opened.metadata()?.dev() == device {
            nix::unistd::syncfs(&opened)?;
        }
        // Another device: it was unmounted, and thereby synced.
        break;
    }
    Ok(())
}

/// Bytes of a file, or of all files of a folder; `None` for what has no size, as `/dev/null`.
fn size_of(path: &Path) -> io::Result<Option<u64>> {
    // The user may have put a symlink there; below a folder they are what the job made.
    let facts = std::fs::metadata(path)?;
    if facts.is_dir() { folder_size(path).map(Some) } else { Ok(facts.is_file().then_some(facts.len())) }
}

fn folder_size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let facts = entry.metadata()?;
        bytes += if facts.is_dir() { folder_size(&entry.path())? } else { facts.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::Words;
    use super::*;

    const JOB: JobId = JobId::new(7, 1);

    fn outputs(dir: &Path) -> Outputs {
        Outputs::new(Words::new("submit.example.org"), "n".into(), &dir.join("list"), false).unwrap()
    }

    #[test]
    fn what_is_missing_or_short_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let outputs = outputs(dir.path());
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("whole"), "0123456789").unwrap();
        std::fs::write(path("short"), "012").unwrap();
        std::fs::create_dir_all(path("tree/inside")).unwrap();
        std::fs::write(path("tree/inside/file"), "01234").unwrap();
        let check = |files: &[(&str, u64)]| {
            let files = files.iter().map(|(name, bytes)| (path(name), *bytes)).collect();
            outputs.check(&[ExpectedOutputs { job: JOB, files }])
        };
        assert_eq!(check(&[("whole", 10), ("whole", 4), ("tree", 5)]), []);
        assert_eq!(check(&[]), []);
        for (files, subcode, words) in [
            ([("whole", 10), ("short", 10)], 5, "3 of 10 bytes are there"),
            ([("gone", 0), ("whole", 10)], 2, "No such file or directory"),
            ([("whole", 10), ("tree", 6)], 5, "5 of 6 bytes are there"),
        ] {
            let lost = check(&files);
            let [(JOB, trouble)] = &lost[..] else { panic!("{lost:?}") };
            assert_eq!((trouble.code, trouble.subcode), (12, subcode));
            assert!(trouble.reason.contains(words) && trouble.reason.contains("condor_release"), "{}", trouble.reason);
        }
        let null = ExpectedOutputs { job: JOB, files: vec![("/dev/null".into(), 10)] };
        assert_eq!(outputs.check(&[null]), []);
    }

    #[test]
    fn a_folder_that_is_gone_does_not_hinder_the_sync_of_its_file_system() {
        let dir = tempfile::tempdir().unwrap();
        let outputs = outputs(dir.path());
        let folder = dir.path().join("gone/soon");
        std::fs::create_dir_all(&folder).unwrap();
        outputs.unsynced.lock().unwrap().note(&folder);
        std::fs::remove_dir_all(dir.path().join("gone")).unwrap();
        assert!(outputs.sync_delivered(&[dir.path().to_str().unwrap().to_owned(), "/no/such/folder".into()]));
        assert!(outputs.unsynced.lock().unwrap().0.is_empty());
    }
}

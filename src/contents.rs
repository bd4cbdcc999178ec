//! Which input files repeat, and the hash of what is in them (decision D29).
//!
//! A large file that a second job names, or that a job with siblings names, is read once to learn its hash; until the
//! file changes, which its identity shows, the hash holds. Attempts that need the hash meanwhile are put off, so that a
//! thousand jobs with one large input cost one reading and keep no thread waiting.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use sha2::{Digest, Sha256};
use wq_core::ids::BlobId;

use crate::prepare::open_input;

/// Files remembered; beyond, all but those being read are forgotten.
const FILES_MAX: usize = 10_000;

/// Bytes read at a time.
const READ_AT_A_TIME: usize = 256 << 10;

/// One version of one file: whoever writes to it changes its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    dev: u64,
    ino: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    /// Of these facts.
    pub(crate) fn of(facts: &Metadata) -> Identity {
        Identity {
            dev: facts.dev(),
            ino: facts.ino(),
            size: facts.size(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }
    }
}

/// What waits for a file to be read.
type Waiting = Box<dyn FnOnce() + Send>;

enum State {
    /// One job has named it.
    Once,
    /// Somebody reads it.
    Reading(Vec<Waiting>),
    /// Its content.
    Known(BlobId),
}

/// What is known of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing that is worth keeping it at a worker.
    OneOff,
    /// Its content.
    Known(BlobId),
    /// The caller is to call [`Contents::read`].
    Read,
    /// Somebody reads it: [`Contents::wait`].
    Wait,
}

/// All large inputs of late.
#[derive(Default)]
pub(crate) struct Contents {
    files: Mutex<HashMap<Identity, State>>,
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents").field("files", &self.lock().len()).finish()
    }
}

impl Contents {
    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, State>> {
        self.files.lock().expect("no panic under this lock")
    }

    /// A job names the file; `repeats`: others are likely to.
    pub(crate) fn look(&self, file: Identity, repeats: bool) -> Found {
        let mut files = self.lock();
        if files.len() >= FILES_MAX {
            files.retain(|_, state| matches!(state, State::Reading(_)));
        }
        match files.get(&file) {
            Some(State::Known(content)) => return Found::Known(*content),
            Some(State::Reading(_)) => return Found::Wait,
            None if !repeats => {
                files.insert(file, State::Once);
                return Found::OneOff;
            }
            Some(State::Once) | None => {}
        }
        files.insert(file, State::Reading(Vec::new()));
        Found::Read
    }

    /// Calls `then` when the file has been read, at once if it is being read no more.
    pub(crate) fn wait(&self, file: Identity, then: impl FnOnce() + Send + 'static) {
        let mut files = self.lock();
        match files.get_mut(&file) {
            Some(State::Reading(waiting)) => waiting.push(Box::new(then)),
            _ => {
                drop(files);
                then();
            }
        }
    }

    /// Reads the file; its content, if it is the same version still when that is done.
    pub(crate) fn read(&self, file: Identity, path: &PathBuf) -> Option<BlobId> {
        let hash = || {
            let mut open = open_input(path)?;
            let content = hash(&mut open)?;
            Ok::<_, std::io::Error>((Identity::of(&open.metadata()?) == file).then_some(content))
        };
        // Whoever opens the file to send it finds the same error, and has words for it.
        let content = hash().unwrap_or_default();
        let mut files = self.lock();
        let before = match content {
            Some(content) => files.insert(file, State::Known(content)),
            None => files.remove(&file),
        };
        drop(files);
        if let Some(State::Reading(waiting)) = before {
            waiting.into_iter().for_each(|then| then());
        }
        content
    }

    /// A file had other bytes than its identity promised: nothing that was read is believed any more.
    pub(crate) fn forget(&self) {
        self.lock().retain(|_, state| matches!(state, State::Reading(_)));
    }
}

fn hash(file: &mut File) -> std::io::Result<BlobId> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; READ_AT_A_TIME];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(BlobId(hash.finalize().into())),
            Ok(count) => hash.update(&piece[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn file(folder: &tempfile::TempDir, content: &str) -> (PathBuf, Identity) {
        let path = folder.path().join("file");
        std::fs::write(&path, content).unwrap();
        let identity = Identity::of(&std::fs::metadata(&path).unwrap());
        (path, identity)
    }

    #[test]
    fn a_second_look_or_siblings_are_worth_a_reading() {
        let folder = tempfile::tempdir().unwrap();
        let (path, identity) = file(&folder, "abc");
        let contents = Contents::default();
        assert_eq!(contents.look(identity, false), Found::OneOff);
        assert_eq!(contents.look(identity, false), Found::Read);
        assert_eq!(contents.look(identity, false), Found::Wait);
        let content = contents.read(identity, &path).unwrap();
        assert_eq!(content, crate::blobs::hash(b"abc"));
        assert_eq!(contents.look(identity, false), Found::Known(content));
        contents.forget();
        assert_eq!(contents.look(identity, true), Found::Read);
    }

    #[test]
    fn who_waits_is_called_when_the_file_is_read_or_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (path, identity) = file(&folder, "abc");
        let contents = Contents::default();
        assert_eq!(contents.look(identity, true), Found::Read);
        let called = Arc::new(AtomicUsize::new(0));
        let call = || {
            let called = Arc::clone(&called);
            move || {
                called.fetch_add(1, Ordering::Relaxed);
            }
        };
        contents.wait(identity, call());
        assert_eq!(called.load(Ordering::Relaxed), 0);
        contents.read(identity, &path);
        assert_eq!(called.load(Ordering::Relaxed), 1);
        contents.wait(identity, call());
        assert_eq!(called.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_file_that_has_changed_or_gone_has_no_known_content() {
        let folder = tempfile::tempdir().unwrap();
        let (path, identity) = file(&folder, "abc");
        let contents = Contents::default();
        std::fs::write(&path, "other").unwrap();
        contents.look(identity, true);
        assert_eq!(contents.read(identity, &path), None);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(contents.look(identity, true), Found::Read, "asked anew");
        assert_eq!(contents.read(identity, &path), None);
    }

    #[test]
    fn memory_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let (_, identity) = file(&folder, "abc");
        let contents = Contents::default();
        for ino in 0..2 * FILES_MAX as u64 {
            contents.look(Identity { ino, ..identity }, false);
        }
        assert!(contents.lock().len() <= FILES_MAX);
    }
}

//! All attempts that have outputs under way.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dashmap::DashMap;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use wq_core::ids::AttemptId;
use wq_core::io::{OutputPart, Trouble};

use super::leftovers::{Leftovers, PREFIX, SUFFIX};
use super::on_disk::Unsynced;
use super::part::{Habits, Part, remove_any};
use super::trouble::{Words, errno};

/// A body up to this length, bytes, is kept in memory until delivery.
const KEEP_MAX: u64 = 64 << 10;

/// All kept bodies together, bytes.
const HELD_MAX: usize = 64 << 20;

/// The outputs of one attempt.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// Nothing may be made any more.
    pub(super) abandoned: bool,
    pub(super) parts: BTreeMap<u16, Part>,
    /// Outputs whose temporary name is on the list of leftovers.
    noted: HashSet<u16>,
}

/// The outputs of one attempt, held by who is about to write them: what is abandoned stays so for them.
#[derive(Debug, Clone)]
pub(crate) struct Slot(Arc<Mutex<Attempt>>);

/// A temporary file that is being written.
#[derive(Debug)]
pub(crate) struct SinkFile {
    file: File,
    target: PathBuf,
}

/// The outputs of all attempts; shared between the driver and the pool.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(super) words: Words,
    pub(super) habits: Habits,
    nonce: String,
    held: AtomicUsize,
    fetched: AtomicUsize,
    // Each attempt has its own lock: what belongs to one is done in order, others are not delayed.
    attempts: DashMap<AttemptId, Arc<Mutex<Attempt>>>,
    leftovers: Mutex<Leftovers>,
    pub(super) unsynced: Mutex<Unsynced>,
}

impl Outputs {
    /// `nonce` makes the temporary names of this run its own; `list` is the file that remembers them.
    ///
    /// # Errors
    /// The list cannot be read or written.
    pub(crate) fn new(words: Words, nonce: String, list: &Path, sync: bool) -> io::Result<Outputs> {
        let leftovers = Mutex::new(Leftovers::clear(list)?);
        // Kernels before 4.7 do not say their mask: then each mode is set again.
        let habits = Habits { sync, umask: own_umask()?.unwrap_or(0o777) };
        Ok(Outputs {
            words,
            habits,
            nonce,
            held: AtomicUsize::new(0),
            fetched: AtomicUsize::new(0),
            attempts: DashMap::new(),
            leftovers,
            unsynced: Mutex::default(),
        })
    }

    /// Whether a body of this length shall be kept.
    pub(crate) fn keeps(&self, len: u64) -> bool {
        len <= KEEP_MAX && self.held.load(Ordering::Relaxed) < HELD_MAX
    }

    /// Keeps a whole body until delivery. Does not block.
    pub(crate) fn keep(&self, part: &OutputPart, bytes: Vec<u8>) {
        self.held.fetch_add(bytes.len(), Ordering::Relaxed);
        let size = bytes.len();
        let kept = self.with_part(part, |slot| slot.keep(part.inside.as_deref(), part.mode, bytes));
        if kept.is_none() {
            self.held.fetch_sub(size, Ordering::Relaxed);
        }
    }

    /// Notes a folder of an output. Does not block.
    pub(crate) fn make_dir(&self, part: &OutputPart) {
        self.with_part(part, |slot| slot.make_dir(part.inside.as_deref(), part.mode));
    }

    /// For a body that will be written piece by piece. Does not block.
    pub(crate) fn slot(&self, part: &OutputPart) -> Slot {
        Slot(self.attempt(part.attempt))
    }

    /// Creates the temporary file for a body.
    ///
    /// # Errors
    /// What the job is held with.
    pub(crate) fn create(&self, slot: &Slot, part: &OutputPart) -> Result<SinkFile, Trouble> {
        let target = PathBuf::from(&part.target);
        let failed = |error: io::Error| self.words.output(&target, errno(&error));
        let mut attempt = slot.0.lock().expect("no panic under this lock");
        if attempt.abandoned {
            return Err(self.words.output(&target, Errno::ECANCELED));
        }
        let name = self.temp_name(part.attempt, part.output);
        let unfinished = attempt.parts.entry(part.output).or_insert_with(|| Part::new(&target, name));
        let temp = unfinished.place(|| target.is_dir()).to_owned();
        if attempt.noted.insert(part.output) {
            // A state disk that is full is no reason to refuse the output: a crash would leave a file, no more.
            if let Err(error) = self.leftovers.lock().expect("no panic under this lock").note(&temp) {
                tracing::warn!(%error, "cannot note an unfinished output");
            }
        }
        let unfinished = attempt.parts.get_mut(&part.output).expect("made above");
        let file = unfinished.create(part.inside.as_deref(), part.mode, self.habits).map_err(failed)?;
        Ok(SinkFile { file, target })
    }

    /// Opens a user's file in its place, made if it is not there, to write from `offset` on.
    ///
    /// # Errors
    /// As for [`Outputs::create`].
    pub(crate) fn open_in_place(&self, target: &Path, offset: u64, mode: u32) -> Result<SinkFile, Trouble> {
        let open = || {
            // A FIFO without a reader must not stop the thread.
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(mode);
            let mut file = options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(target)?;
            file.seek(io::SeekFrom::Start(offset))?;
            Ok(file)
        };
        let file = open().map_err(|error: io::Error| self.words.output(target, errno(&error)))?;
        Ok(SinkFile { file, target: target.to_owned() })
    }

    /// Appends to a temporary file.
    ///
    /// # Errors
    /// What the job is held with.
    pub(crate) fn write(&self, sink: &mut SinkFile, bytes: &[u8]) -> Result<(), Trouble> {
        sink.file.write_all(bytes).map_err(|error| self.words.output(&sink.target, errno(&error)))
    }

    /// The body is whole.
    ///
    /// # Errors
    /// What the job is held with.
    pub(crate) fn close(&self, slot: &Slot, part: &OutputPart, sink: SinkFile, bytes: u64) -> Result<(), Trouble> {
        if self.habits.sync {
            sink.file.sync_all().map_err(|error| self.words.output(&sink.target, errno(&error)))?;
        }
        let mut attempt = slot.0.lock().expect("no panic under this lock");
        // Abandoned meanwhile: whoever asked does not wait for it any more.
        if let Some(unfinished) = attempt.parts.get_mut(&part.output) {
            unfinished.bytes += bytes;
        }
        Ok(())
    }

    /// Removes everything of an attempt that is not delivered.
    pub(crate) fn abandon(&self, id: AttemptId) {
        let Some((_, attempt)) = self.attempts.remove(&id) else { return };
        let mut attempt = attempt.lock().expect("no panic under this lock");
        attempt.abandoned = true;
        for part in std::mem::take(&mut attempt.parts).into_values() {
            self.held.fetch_sub(part.held(), Ordering::Relaxed);
            let Some(temp) = part.temp() else { continue };
            if let Err(error) = remove_any(temp) {
                tracing::warn!(path = %temp.display(), %error, "a temporary file cannot be removed");
            }
        }
        let noted = std::mem::take(&mut attempt.noted).len();
        self.leftovers.lock().expect("no panic under this lock").gone(noted);
    }

    pub(super) fn attempt(&self, id: AttemptId) -> Arc<Mutex<Attempt>> {
        Arc::clone(&self.attempts.entry(id).or_default())
    }

    /// Writes a part out and corrects the sum of what is held.
    pub(super) fn write_out(&self, part: &mut Part, target_is_folder: bool) -> io::Result<()> {
        let before = part.held();
        let result = part.write_out(target_is_folder, self.habits);
        self.held.fetch_sub(before - part.held(), Ordering::Relaxed);
        result
    }

    pub(super) fn temp_name(&self, attempt: AttemptId, output: u16) -> String {
        format!("{PREFIX}{}-{attempt}-{output}{SUFFIX}", self.nonce)
    }

    /// A temporary name beside `target`, noted until [`Outputs::temp_is_gone`].
    pub(super) fn temp_beside(&self, target: &Path) -> PathBuf {
        let number = self.fetched.fetch_add(1, Ordering::Relaxed);
        let temp = target.with_file_name(format!("{PREFIX}{}-f{number}{SUFFIX}", self.nonce));
        if let Err(error) = self.leftovers.lock().expect("no panic under this lock").note(&temp) {
            tracing::warn!(%error, "cannot note an unfinished output");
        }
        temp
    }

    pub(super) fn temp_is_gone(&self) {
        self.leftovers.lock().expect("no panic under this lock").gone(1);
    }

    fn with_part<T>(&self, part: &OutputPart, work: impl FnOnce(&mut Part) -> T) -> Option<T> {
        let attempt = self.attempt(part.attempt);
        let mut attempt = attempt.lock().expect("no panic under this lock");
        if attempt.abandoned {
            return None;
        }
        let name = self.temp_name(part.attempt, part.output);
        Some(work(attempt.parts.entry(part.output).or_insert_with(|| Part::new(Path::new(&part.target), name))))
    }
}

/// What the system takes away from the mode of a new file; asking the system call itself would change it for a moment.
///
/// # Errors
/// What the system says.
pub(crate) fn own_umask() -> io::Result<Option<u32>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    Ok(line.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()))
}

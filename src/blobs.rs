//! Executables, proxies and copied inputs of jobs, under the hash of their bytes (decision D17).
//!
//! Up to 64 KiB they stand in the journal; here they are kept in memory while there is room, and in a file that is
//! written without haste. Larger ones are files, on disk before anybody hears of them. All belong to the one user whose
//! jobs we run (decision D59), whose number the folder carries.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use wq_core::ids::BlobId;

/// Blobs up to this length, bytes, stand in the journal record and are kept in memory.
pub(crate) const INLINE_MAX: usize = journal::INLINE_MAX;

/// Memory for blobs, bytes.
const CACHE_MAX: usize = 64 << 20;

/// So many bytes of small blobs may wait for their files.
const WAITING_MAX: usize = 16 << 20;

/// The folder, and what is under way to it. Shared with the pool.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    temps: PathBuf,
    next_temp: AtomicU64,
    /// Not yet in a file: must not be forgotten.
    unwritten: DashMap<BlobId, Bytes>,
}

/// The blobs, as the driver sees them.
#[derive(Debug)]
pub(crate) struct Blobs {
    store: Arc<Store>,
    cache: RefCell<Cache>,
    /// Named by submissions that have not yet reached the core.
    pins: RefCell<HashMap<BlobId, usize>>,
    waiting: RefCell<Waiting>,
    /// The first blob of a batch waits for its file.
    come: Notify,
    /// Enough of them do.
    many: Notify,
}

/// Small blobs whose files shall be written.
#[derive(Debug, Default)]
struct Waiting {
    ids: Vec<BlobId>,
    bytes: usize,
}

/// Where a blob's bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Here.
    Memory(Bytes),
    /// In this file.
    File(PathBuf),
}

/// A blob that arrives in pieces.
#[derive(Debug)]
pub(crate) struct Upload {
    hash: Sha256,
    path: PathBuf,
    file: Option<File>,
    made: bool,
    size: u64,
}

impl Store {
    /// Opens the store, making its folders.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(spool: &Path, uid: u32) -> io::Result<Store> {
        let folder = spool.join("blobs").join(uid.to_string());
        let temps = spool.join("temp");
        for dir in [&folder, &temps] {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        // What a crash left there has no name yet.
        for entry in std::fs::read_dir(&temps)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(Store { folder, temps, next_temp: AtomicU64::new(0), unwritten: DashMap::new() })
    }

    /// All blobs that have files.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn list(&self) -> io::Result<HashSet<BlobId>> {
        let mut all = HashSet::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let mut hash = [0; 32];
            if hex::decode_to_slice(entry?.file_name().as_encoded_bytes(), &mut hash).is_ok() {
                all.insert(BlobId(hash));
            }
        }
        Ok(all)
    }

    /// Writes a small blob without waiting for the disk: its bytes are in the journal.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn write_small(&self, id: BlobId, bytes: &[u8]) -> io::Result<()> {
        let path = self.temp();
        let mut file = create(&path)?;
        file.write_all(bytes)?;
        std::fs::rename(&path, self.path(id))
    }

    /// Writes a blob that waits in memory to its file.
    pub(crate) fn settle(&self, id: BlobId) {
        let Some(bytes) = self.unwritten.get(&id).map(|entry| entry.value().clone()) else { return };
        match self.write_small(id, &bytes) {
            Ok(()) => {
                // The same blob may have gone and come again meanwhile: that one is not written yet.
                let ours = self.unwritten.remove_if(&id, |_, now| now.as_ptr() == bytes.as_ptr());
                if ours.is_none() && !self.unwritten.contains_key(&id) {
                    // It has gone, and found no file to take along.
                    Store::discard(&self.path(id));
                }
            }
            // It stays in memory; the journal has it for the next start.
            Err(error) => tracing::warn!(blob = %id, %error, "cannot write a small file to the spool"),
        }
    }

    /// The bytes of a small blob, from memory or its file; `None` if it is gone.
    pub(crate) fn read_small(&self, id: BlobId) -> Option<Vec<u8>> {
        let unwritten = self.unwritten.get(&id).map(|entry| entry.value().to_vec());
        // Between the two looks it may have been written.
        unwritten.or_else(|| std::fs::read(self.path(id)).ok())
    }

    /// Begins a large blob.
    pub(crate) fn upload(&self) -> Upload {
        Upload { hash: Sha256::new(), path: self.temp(), file: None, made: false, size: 0 }
    }

    /// Gives large blobs their names: files and folder are on disk when this returns.
    ///
    /// # Errors
    /// What the system says. What has its name by then stays until somebody drops it.
    pub(crate) fn finish(&self, uploads: Vec<(Upload, BlobId)>) -> io::Result<()> {
        for (mut upload, id) in uploads {
            upload.add(&[])?;
            upload.seal()?;
            std::fs::rename(&upload.path, self.path(id))?;
        }
        File::open(&self.folder)?.sync_all()
    }

    /// Whether a blob's file is missing or has another length.
    pub(crate) fn is_short(&self, id: BlobId, len: u64) -> bool {
        std::fs::metadata(self.path(id)).map_or(true, |facts| facts.len() != len)
    }

    /// Removes a blob.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn remove(&self, id: BlobId) -> io::Result<()> {
        std::fs::remove_file(self.path(id))
    }

    /// Removes a file that was put aside.
    pub(crate) fn discard(path: &Path) {
        if let Err(error) = std::fs::remove_file(path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove a file of the spool");
        }
    }

    fn path(&self, id: BlobId) -> PathBuf {
        self.folder.join(id.to_string())
    }

    fn temp(&self) -> PathBuf {
        self.temps.join(self.next_temp.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

impl Upload {
    /// Adds bytes.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        if !self.made {
            self.file = Some(create(&self.path)?);
            self.made = true;
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes),
            // Sealed: the caller does not add to what is complete.
            None if bytes.is_empty() => Ok(()),
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Nothing more comes: the bytes are on disk when this returns, and the descriptor is free.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        self.file.take().map_or(Ok(()), |file| file.sync_all())
    }

    /// Bytes so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The hash so far.
    pub(crate) fn id(&self) -> BlobId {
        BlobId(self.hash.clone().finalize().into())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.made {
            // After the rename there is nothing under this name, which is fine.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The hash of a small blob.
pub(crate) fn hash(bytes: &[u8]) -> BlobId {
    BlobId(Sha256::digest(bytes).into())
}

impl Blobs {
    /// Over this store.
    pub(crate) fn new(store: Arc<Store>) -> Blobs {
        Blobs {
            store,
            cache: RefCell::default(),
            pins: RefCell::default(),
            waiting: RefCell::default(),
            come: Notify::new(),
            many: Notify::new(),
        }
    }

    /// For work in the pool.
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Takes a small blob in. Its file is written later, see [`Blobs::to_settle`].
    pub(crate) fn take_in(&self, id: BlobId, bytes: Bytes) {
        self.cache.borrow_mut().put(id, bytes.clone());
        if self.store.unwritten.contains_key(&id) {
            return;
        }
        let mut waiting = self.waiting.borrow_mut();
        waiting.ids.push(id);
        waiting.bytes += bytes.len();
        self.store.unwritten.insert(id, bytes);
        if waiting.ids.len() == 1 {
            self.come.notify_one();
        }
        if waiting.bytes >= WAITING_MAX {
            self.many.notify_one();
        }
    }

    /// The blobs that [`Store::settle`] shall write, some time after they have come. What is dropped by then, as the script
    /// of a short job, needs no file at all: the journal has it.
    pub(crate) async fn to_settle(&self, after: Duration) -> Vec<BlobId> {
        self.come.notified().await;
        // In time, or for want of room: both are fine.
        let _ = tokio::time::timeout(after, self.many.notified()).await;
        std::mem::take(&mut *self.waiting.borrow_mut()).ids
    }

    /// Where the bytes of a blob are.
    pub(crate) fn find(&self, id: BlobId) -> Place {
        if let Some(bytes) = self.cache.borrow_mut().get(id) {
            return Place::Memory(bytes);
        }
        match self.store.unwritten.get(&id) {
            Some(entry) => Place::Memory(entry.value().clone()),
            None => Place::File(self.store.path(id)),
        }
    }

    /// Keeps the bytes of a small blob that were read from its file.
    pub(crate) fn remember(&self, id: BlobId, bytes: Bytes) {
        if bytes.len() <= INLINE_MAX {
            self.cache.borrow_mut().put(id, bytes);
        }
    }

    /// A submission names this blob; it must not go before the core knows.
    pub(crate) fn pin(&self, id: BlobId) {
        *self.pins.borrow_mut().entry(id).or_insert(0) += 1;
    }

    /// The core knows.
    pub(crate) fn unpin(&self, id: BlobId) {
        let mut pins = self.pins.borrow_mut();
        if let Some(count) = pins.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&id);
            }
        }
    }

    /// Nothing names this blob any more. Gives the file to discard: it is put aside at once, so that the same blob can
    /// come again, and removed without haste.
    pub(crate) fn forget(&self, id: BlobId) -> Option<PathBuf> {
        if self.pins.borrow().contains_key(&id) {
            // It is just coming again; whoever pins it looks after it.
            return None;
        }
        self.cache.borrow_mut().remove(id);
        self.store.unwritten.remove(&id);
        let aside = self.store.temp();
        std::fs::rename(self.store.path(id), &aside).ok().map(|()| aside)
    }
}

/// Bytes of small blobs, least recently used first to go.
#[derive(Debug, Default)]
struct Cache {
    entries: HashMap<BlobId, (u64, Bytes)>,
    order: BTreeMap<u64, BlobId>,
    turn: u64,
    bytes: usize,
}

impl Cache {
    fn get(&mut self, id: BlobId) -> Option<Bytes> {
        let (turn, bytes) = self.entries.get_mut(&id)?;
        self.order.remove(turn);
        self.turn += 1;
        *turn = self.turn;
        self.order.insert(self.turn, id);
        Some(bytes.clone())
    }

    fn put(&mut self, id: BlobId, bytes: Bytes) {
        self.remove(id);
        self.turn += 1;
        self.bytes += bytes.len();
        self.order.insert(self.turn, id);
        self.entries.insert(id, (self.turn, bytes));
        while self.bytes > CACHE_MAX {
            let (_, oldest) = self.order.first_key_value().expect("bytes belong to entries");
            self.remove(*oldest);
        }
    }

    fn remove(&mut self, id: BlobId) {
        if let Some((turn, bytes)) = self.entries.remove(&id) {
            self.order.remove(&turn);
            self.bytes -= bytes.len();
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench() -> (tempfile::TempDir, Blobs) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 7).unwrap();
        (dir, Blobs::new(Arc::new(store)))
    }

    fn read(place: Place) -> Vec<u8> {
        match place {
            Place::Memory(bytes) => bytes.to_vec(),
            Place::File(path) => std::fs::read(path).unwrap(),
        }
    }

    #[tokio::test]
    async fn small_blobs_wait_for_their_files_together_and_those_that_go_have_none() {
        let (_dir, blobs) = bench();
        let [short, long] = [hash(b"short"), hash(b"long")];
        blobs.take_in(short, Bytes::from_static(b"short"));
        blobs.take_in(long, Bytes::from_static(b"long"));
        assert_eq!(blobs.forget(short), None);
        let due = blobs.to_settle(Duration::ZERO).await;
        assert_eq!(due, [short, long]);
        due.into_iter().for_each(|id| blobs.store().settle(id));
        assert_eq!(blobs.store().list().unwrap(), HashSet::from([long]));
        // So many bytes do not wait.
        for number in 0..WAITING_MAX / INLINE_MAX {
            let bytes = Bytes::from(vec![number as u8; INLINE_MAX]);
            blobs.take_in(hash(&bytes), bytes);
        }
        let due = tokio::time::timeout(Duration::from_secs(60), blobs.to_settle(Duration::from_secs(3600))).await;
        assert_eq!(due.expect("there is no room to wait").len(), WAITING_MAX / INLINE_MAX);
    }

    #[test]
    fn a_small_blob_is_there_before_and_after_it_is_written() {
        let (_dir, blobs) = bench();
        let id = hash(b"#!/bin/sh\n");
        blobs.take_in(id, Bytes::from_static(b"#!/bin/sh\n"));
        blobs.take_in(id, Bytes::from_static(b"#!/bin/sh\n"));
        blobs.cache.borrow_mut().remove(id);
        assert_eq!(read(blobs.find(id)), b"#!/bin/sh\n");
        blobs.store().settle(id);
        assert_eq!(blobs.find(id), Place::File(blobs.store.path(id)));
        assert_eq!(read(blobs.find(id)), b"#!/bin/sh\n");
        assert_eq!(blobs.store().list().unwrap(), HashSet::from([id]));
    }

    #[test]
    fn a_large_blob_comes_in_pieces() {
        let (dir, blobs) = bench();
        let mut upload = blobs.store().upload();
        upload.add(b"ab").unwrap();
        upload.add(b"c").unwrap();
        assert_eq!(upload.size(), 3);
        let id = upload.id();
        blobs.store().finish(vec![(upload, id)]).unwrap();
        assert_eq!(id.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(read(blobs.find(id)), b"abc");
        let mut broken = blobs.store().upload();
        broken.add(b"half").unwrap();
        drop(broken);
        assert!(std::fs::read_dir(dir.path().join("temp")).unwrap().next().is_none());
    }

    #[test]
    fn a_blob_that_comes_again_is_not_lost() {
        let (_dir, blobs) = bench();
        let id = hash(b"x");
        blobs.take_in(id, Bytes::from_static(b"x"));
        blobs.store().settle(id);
        blobs.pin(id);
        assert_eq!(blobs.forget(id), None);
        assert_eq!(read(blobs.find(id)), b"x");
        blobs.unpin(id);
        let aside = blobs.forget(id).unwrap();
        assert!(blobs.store().list().unwrap().is_empty());
        Store::discard(&aside);
        assert!(!aside.exists());
    }

    #[test]
    fn memory_is_bounded() {
        let mut cache = Cache::default();
        let piece = Bytes::from(vec![0; INLINE_MAX]);
        let id = |n: u32| hash(&n.to_le_bytes());
        let first = id(0);
        for n in 0..2_000 {
            cache.put(id(n), piece.clone());
            cache.get(first);
        }
        assert!(cache.bytes <= CACHE_MAX);
        assert_eq!(cache.entries.len(), CACHE_MAX / INLINE_MAX);
        assert!(cache.entries.contains_key(&first), "what is used stays");
    }
}

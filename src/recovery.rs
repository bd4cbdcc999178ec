//! The journal of an earlier run into a new core.

use std::collections::HashSet;
use std::path::Path;

use bytes::Bytes;
use journal::{Blob, JournalError, Record, Recovery, Tail, replay};
use wq_core::Master;
use wq_core::ids::{BlobId, JobId, RecordNo};

use crate::blobs::Store;
use crate::clock::Past;
use crate::journal_files::FileStorage;

/// What a recovery gave.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Where the journal ends.
    pub(crate) journal: Recovery,
    /// What it knows about time.
    pub(crate) past: Past,
    /// Records that were read.
    pub(crate) records: u64,
}

/// Why the state cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoveryError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The spool.
    #[error("cannot read or write the spool")]
    Spool(#[from] std::io::Error),
}

/// Reads the journal into the core; small executables that stand in it get their files back.
///
/// # Errors
/// [`RecoveryError`]; the core is useless then.
pub(crate) fn recover(storage: &FileStorage, store: &Store, core: &mut Master) -> Result<Recovered, RecoveryError> {
    let mut past = Past::default();
    let mut records = 0;
    let mut present = store.list()?;
    let mut broken = None;
    let journal = replay(storage, |entry| {
        past.see(&entry.record);
        records += 1;
        if entry.before_checkpoint {
            // The checkpoint that follows holds what it did.
            return;
        }
        let blobs = match &entry.record {
            Record::Submitted(submitted) => &submitted.blobs[..],
            Record::CheckpointBlob(content) => std::slice::from_ref(&content.blob),
            _ => &[],
        };
        broken = broken.take().or(restore(blobs, store, &mut present).err());
        core.recover(RecordNo(entry.seq), &entry.record);
    })?;
    match broken {
        Some(error) => Err(error.into()),
        None => Ok(Recovered { journal, past, records }),
    }
}

/// Reads the journal into the core as [`recover`] does, and touches nothing else.
///
/// # Errors
/// [`JournalError`].
pub(crate) fn rehearse(storage: &FileStorage, core: &mut Master) -> Result<Past, JournalError> {
    let mut past = Past::default();
    replay(storage, |entry| {
        past.see(&entry.record);
        if !entry.before_checkpoint {
            core.recover(RecordNo(entry.seq), &entry.record);
        }
    })?;
    Ok(past)
}

/// Removes files that no job names.
pub(crate) fn tidy(store: &Store, needed: impl Iterator<Item = BlobId>) -> std::io::Result<()> {
    let mut unneeded = store.list()?;
    for id in needed {
        unneeded.remove(&id);
    }
    for id in unneeded {
        store.remove(id)?;
    }
    Ok(())
}

/// Removes the folders of spooled jobs that are in the queue no more.
pub(crate) fn tidy_jobs(folder: &Path, is_spooled: impl Fn(JobId) -> bool) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let job: Option<JobId> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if !job.is_some_and(&is_spooled) {
            drop_folder(&entry.path());
        }
    }
    Ok(())
}

/// Removes the folder of one spooled job, if its run has made one.
pub(crate) fn drop_folder(folder: &Path) {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), %error, "cannot remove a job's folder from the spool");
        }
        _ => {}
    }
}

/// Says how the journal ended, if not in good order.
pub(crate) fn tell_tail(recovery: &Recovery) {
    if let Tail::Torn { at, bytes_dropped, records_dropped, fault } = &recovery.tail {
        tracing::warn!(%at, bytes_dropped, records_dropped, %fault,
            "the end of the journal was cut by a crash; nothing that was acknowledged is lost");
    }
}

/// Small files are written without an fsync, so a power cut may have taken them.
fn restore(blobs: &[Blob], store: &Store, present: &mut HashSet<BlobId>) -> std::io::Result<()> {
    for blob in blobs {
        let id = BlobId(blob.hash);
        if let Some(bytes) = &blob.inline
            && (present.insert(id) || store.is_short(id, blob.len))
        {
            store.write_small(id, &Bytes::copy_from_slice(bytes))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_jobs_that_are_gone_go() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["1.0/d", "2.0", "odd"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        tidy_jobs(dir.path(), |job| job == JobId::new(2, 0)).unwrap();
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["2.0"]);
        tidy_jobs(&dir.path().join("gone"), |_| true).unwrap();
    }

    #[test]
    fn small_executables_come_back_and_unneeded_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 1).unwrap();
        let content = b"#!/bin/sh\n".to_vec();
        let id = crate::blobs::hash(&content);
        let blob = Blob { hash: id.0, len: content.len() as u64, mode: 0o755, inline: Some(content) };
        let blobs = [blob];
        let mut present = HashSet::new();
        restore(&blobs, &store, &mut present).unwrap();
        assert_eq!(store.list().unwrap(), present);
        // A power cut may also leave the name without the bytes.
        store.write_small(id, b"").unwrap();
        restore(&blobs, &store, &mut present).unwrap();
        assert!(!store.is_short(id, 10));
        tidy(&store, std::iter::empty()).unwrap();
        assert!(store.list().unwrap().is_empty());
    }
}

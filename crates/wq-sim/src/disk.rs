//! Everything that outlives the master: the journal's disk, the users' files and event logs, the history, the spool.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use journal::Taken;
use journal::powercut::Disk;
use userlog::Event;
use wq_core::ids::JobId;

use crate::chance::Chance;
use crate::service::Blobs;

/// A file of a user's.
#[derive(Debug, Clone, Default)]
pub(crate) struct File {
    pub(crate) content: Bytes,
    /// What a power cut leaves for sure; `None`: nothing.
    pub(crate) synced: Option<Bytes>,
}

/// One row of the history.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) submitted_s: i64,
}

/// The lot.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// `None` while the master has it.
    pub(crate) journal: Option<Disk>,
    pub(crate) files: BTreeMap<String, File>,
    pub(crate) logs: BTreeMap<String, Vec<Event>>,
    pub(crate) history: BTreeMap<JobId, Row>,
    pub(crate) synced_history: BTreeMap<JobId, Row>,
    pub(crate) blobs: Blobs,
    /// Contents that are larger than what stands in the journal; synced before the record.
    pub(crate) large: BTreeSet<wq_core::ids::BlobId>,
    /// Files of the original's spool folder, with the submission that each is.
    pub(crate) spool: BTreeMap<Taken, usize>,
    /// Boots of the machine.
    pub(crate) boots: u8,
}

impl Machine {
    /// Puts an output in its place.
    pub(crate) fn put(&mut self, path: &str, content: Bytes, synced: bool) {
        let file = self.files.entry(path.to_owned()).or_default();
        file.content = content;
        if synced {
            file.synced = Some(file.content.clone());
        }
    }

    /// All outputs are on disk.
    pub(crate) fn sync_files(&mut self) {
        for file in self.files.values_mut() {
            file.synced = Some(file.content.clone());
        }
    }

    /// The power fails: what was not synced is kept, lost, or there in part.
    pub(crate) fn power_cut(&mut self, chance: &mut Chance) {
        if let Some(disk) = &mut self.journal {
            disk.cut(chance.number());
        }
        self.files.retain(|_, file| {
            if file.synced.as_ref() != Some(&file.content) {
                match chance.below(4) {
                    0 | 1 => {}
                    // The name is there and a part of the bytes.
                    2 => file.content = file.content.slice(..chance.below(file.content.len() as u64 + 1) as usize),
                    _ => match &file.synced {
                        Some(old) => file.content = old.clone(),
                        None => return false,
                    },
                }
                file.synced = Some(file.content.clone());
            }
            true
        });
        if chance.once_in(2) {
            self.history = self.synced_history.clone();
        } else {
            self.synced_history = self.history.clone();
        }
        // Small contents are written without haste; the journal has them.
        let large = &self.large;
        self.blobs.borrow_mut().retain(|id, _| large.contains(id) || chance.once_in(2));
        self.boots += 1;
    }
}

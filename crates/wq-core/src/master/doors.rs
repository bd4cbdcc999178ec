//! The original's doors, as far as the queue is concerned: files of the spool folder, and draining (decisions D9, D11).
//!
//! A file becomes jobs once. Its identity stands in the record of its jobs, so that both are there or neither, and in
//! a record of its own, which outlives the jobs. Until the shell says that the file is gone, it is remembered.

use control_proto::Submit;
use journal::{Record, Taken};

use super::Master;
use super::promises::Then;
use crate::ids::{ClientId, Timestamp};
use crate::io::{BlobIn, Caller};

/// Attribute of jobs that came through the spool folder: device, inode, time of change in ns, size.
const TAKEN: &str = "_AwqTaken";

impl Master {
    /// Takes a file of the spool folder as a submission.
    #[expect(clippy::too_many_arguments, reason = "the parts of one input")]
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        client: ClientId,
        caller: &Caller,
        file: Taken,
        request: Submit,
        rows: Vec<Vec<u8>>,
        blobs: Vec<BlobIn>,
    ) {
        match self.accept(now, caller, request, rows, blobs, Some(&file)) {
            Ok((_, reply)) => {
                let no = self.record(Record::Taken(file));
                self.when_stored(no, Then::Took(file));
                self.when_stored(no, Then::AnswerLogged(client, reply));
            }
            Err((code, message)) => self.refuse(client, code, message),
        }
    }

    /// The jobs of this file are in the journal: it may only be unlinked.
    pub fn has_taken(&self, file: &Taken) -> bool {
        self.taken.contains(file)
    }

    /// Files that were taken and may still exist.
    pub fn taken(&self) -> impl Iterator<Item = &Taken> {
        self.taken.iter()
    }

    pub(super) fn forget_taken(&mut self, files: &[Taken]) {
        for file in files {
            self.taken.remove(file);
        }
    }

    /// Ends the service when it drains and nothing is left that could run.
    pub(super) fn end_if_drained(&mut self, now: Timestamp) {
        if !self.draining {
            return;
        }
        let totals = self.totals();
        if totals.idle == 0 && totals.running == 0 && !self.promises.bring_jobs() {
            self.stop(now);
        }
    }
}

/// What the ads of a file's jobs say of it.
pub(super) fn attribute(file: &Taken) -> (String, String) {
    let Taken { device, inode, ctime_ns, size } = file;
    (TAKEN.to_owned(), format!("\"{device} {inode} {ctime_ns} {size}\""))
}

/// The file that a submitted ad came from.
pub(super) fn file_of(ad: &[(String, String)]) -> Option<Taken> {
    let (_, text) = ad.iter().find(|(name, _)| name == TAKEN)?;
    let mut parts = text.trim_matches('"').split(' ');
    Some(Taken {
        device: parts.next()?.parse().ok()?,
        inode: parts.next()?.parse().ok()?,
        ctime_ns: parts.next()?.parse().ok()?,
        size: parts.next()?.parse().ok()?,
    })
}

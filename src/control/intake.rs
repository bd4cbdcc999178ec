//! A request and its attachments, put together from frames.
//!
//! Nothing is believed: sizes announced in the request are limits for what follows, hashes are computed here, and a
//! submission that is larger than allowed is refused before it is kept.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use control_proto::frame::Kind;
use control_proto::{Refusal, Reply, Request, Submit};
use wq_core::ids::BlobId;
use wq_core::io::{Ask, BlobIn};

use crate::blobs::{self, INLINE_MAX, Store, Upload};
use crate::driver::Shell;

/// Journal records have a limit; head, rows and small blobs of one submission stand in one record.
const RECORD_MAX: u64 = (journal::PAYLOAD_MAX - (16 << 20)) as u64;

/// Small blobs of one submission stand in its record up to so many bytes together; the rest are files.
const IN_RECORD_MAX: u64 = 32 << 20;

/// Permission bits of a blob that came without any.
const DEFAULT_MODE: u32 = 0o755;

/// A request that is being put together.
#[derive(Debug)]
pub(crate) struct Intake {
    submission_max: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Nothing,
    Plain(Request),
    Submission(Box<Submission>),
}

/// A submission, whole or in the making.
#[derive(Debug)]
pub(crate) struct Submission {
    head: Submit,
    rows: Vec<Vec<u8>>,
    blobs: Vec<Blob>,
    /// Bytes that will stand in the journal record.
    in_record: u64,
}

/// A file of a submission: its bytes while they are few.
#[derive(Debug)]
pub(crate) enum Blob {
    /// At most [`INLINE_MAX`] bytes.
    Small(Vec<u8>),
    /// Taken out only while a piece is being written.
    Large(Option<Upload>),
}

/// A whole request.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// What is asked.
    pub(crate) ask: Ask,
    /// Blobs that must stay until the core knows them.
    pub(crate) pinned: Vec<BlobId>,
}

impl Intake {
    /// For submissions of at most so many bytes.
    pub(crate) fn new(submission_max: u64) -> Intake {
        Intake { submission_max, state: State::Nothing }
    }

    /// The request, once it is there.
    pub(crate) fn request(&self) -> Option<Request> {
        match &self.state {
            State::Nothing => None,
            State::Plain(request) => Some(request.clone()),
            // Only its kind is looked at.
            State::Submission(_) => Some(Request::Submit(Submit::default())),
        }
    }

    /// Takes a frame; true after the last.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) async fn take(&mut self, kind: Kind, payload: Bytes, shell: &Shell) -> Result<bool, Reply> {
        match (kind, &mut self.state) {
            (Kind::Request, state @ State::Nothing) => {
                *state = begin(&payload, self.submission_max, shell.blobs.store())?;
                Ok(false)
            }
            (Kind::Procs, State::Submission(submission)) => {
                submission.take_rows(payload, self.submission_max)?;
                Ok(false)
            }
            (Kind::Blob, State::Submission(submission)) => {
                submission.take_blob(payload, shell).await?;
                Ok(false)
            }
            (Kind::End, State::Plain(_) | State::Submission(_)) => Ok(true),
            (kind, _) => Err(malformed(format!("a frame of kind {kind:?} at the wrong place"))),
        }
    }

    /// Ends the intake: blobs are stored.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) async fn finish(self, shell: &Shell) -> Result<Gathered, Reply> {
        match self.state {
            State::Nothing => Err(malformed("no request")),
            State::Plain(request) => Ok(Gathered { ask: Ask::Other(request), pinned: Vec::new() }),
            State::Submission(submission) => submission.finish(shell).await,
        }
    }
}

fn begin(payload: &[u8], submission_max: u64, store: &Store) -> Result<State, Reply> {
    let request: Request = serde_json::from_slice(payload).map_err(|error| malformed(error.to_string()))?;
    let Request::Submit(head) = request else { return Ok(State::Plain(request)) };
    let announced = head.blob_sizes.iter().fold(payload.len() as u64, |sum, size| sum.saturating_add(*size));
    if announced > submission_max {
        return Err(too_large(announced, submission_max));
    }
    let mut small = 0;
    let blobs = head.blob_sizes.iter().map(|size| {
        let inline = *size <= INLINE_MAX as u64 && small + *size <= IN_RECORD_MAX;
        if inline {
            small += *size;
            Blob::Small(Vec::new())
        } else {
            Blob::Large(Some(store.upload()))
        }
    });
    let (blobs, rows) = (blobs.collect(), vec![Vec::new(); head.clusters.len()]);
    let in_record = payload.len() as u64 + small;
    Ok(State::Submission(Box::new(Submission { head, rows, blobs, in_record })))
}

impl Submission {
    /// One that was not sent by a client; `head` has the sizes of the blobs.
    pub(crate) fn whole(head: Submit, rows: Vec<Vec<u8>>, blobs: Vec<Blob>) -> Submission {
        let small = blobs.iter().filter(|blob| matches!(blob, Blob::Small(_))).map(Blob::size).sum::<u64>();
        let rows_size: usize = rows.iter().map(Vec::len).sum();
        let head_size = serde_json::to_vec(&head).expect("a head is plain data").len();
        Submission { in_record: (head_size + rows_size) as u64 + small, head, rows, blobs }
    }

    fn take_rows(&mut self, mut payload: Bytes, submission_max: u64) -> Result<(), Reply> {
        let number = take_number(&mut payload)?;
        let rows = self.rows.get_mut(number).ok_or_else(|| malformed(format!("no cluster number {number}")))?;
        self.in_record += payload.len() as u64;
        let limit = RECORD_MAX.min(submission_max);
        if self.in_record > limit {
            return Err(too_large(self.in_record, limit));
        }
        rows.extend_from_slice(&payload);
        Ok(())
    }

    async fn take_blob(&mut self, mut payload: Bytes, shell: &Shell) -> Result<(), Reply> {
        let number = take_number(&mut payload)?;
        let blob = self.blobs.get_mut(number).ok_or_else(|| malformed(format!("no blob number {number}")))?;
        let announced = self.head.blob_sizes[number];
        if blob.size() + payload.len() as u64 > announced {
            return Err(malformed(format!("blob {number} is longer than announced")));
        }
        match blob {
            Blob::Small(bytes) => bytes.extend_from_slice(&payload),
            Blob::Large(slot) => {
                let mut upload = slot.take().expect("put back after each piece");
                let (upload, written) = shell
                    .pool
                    .wait(move || {
                        let mut written = upload.add(&payload);
                        if upload.size() == announced {
                            written = written.and_then(|()| upload.seal());
                        }
                        (upload, written)
                    })
                    .await;
                written.map_err(|error| not_stored(&error))?;
                *slot = Some(upload);
            }
        }
        Ok(())
    }

    /// Stores the blobs.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) async fn finish(self, shell: &Shell) -> Result<Gathered, Reply> {
        if let Some(number) =
            (0..self.blobs.len()).find(|number| self.blobs[*number].size() != self.head.blob_sizes[*number])
        {
            return Err(malformed(format!("blob {number} is shorter than announced")));
        }
        if self.in_record > RECORD_MAX {
            return Err(too_large(self.in_record, RECORD_MAX));
        }
        let mut gathered = Pins { shell, ids: Vec::new() };
        let mut blobs = Vec::with_capacity(self.blobs.len());
        let mut uploads = Vec::new();
        for (number, blob) in self.blobs.into_iter().enumerate() {
            let size = self.head.blob_sizes[number];
            let mode = self.head.blob_modes.get(number).map_or(DEFAULT_MODE, |mode| mode & 0o777);
            let (id, inline) = match blob {
                Blob::Small(bytes) => {
                    let bytes = Bytes::from(bytes);
                    let id = blobs::hash(&bytes);
                    gathered.pin(id);
                    shell.blobs.take_in(id, bytes.clone());
                    (id, Some(bytes))
                }
                Blob::Large(upload) => {
                    let upload = upload.expect("put back after each piece");
                    // Before it has its name a drop of the same blob must not take it away.
                    let id = upload.id();
                    gathered.pin(id);
                    uploads.push((upload, id));
                    (id, None)
                }
            };
            blobs.push(BlobIn { id, size, mode, inline });
        }
        if !uploads.is_empty() {
            let store = Arc::clone(shell.blobs.store());
            let stored = shell.pool.wait(move || store.finish(uploads)).await;
            stored.map_err(|error| not_stored(&error))?;
        }
        let ask = Ask::Submit { request: self.head, rows: self.rows, blobs };
        Ok(Gathered { ask, pinned: std::mem::take(&mut gathered.ids) })
    }
}

/// Pins that are taken back if the intake fails.
struct Pins<'a> {
    shell: &'a Shell,
    ids: Vec<BlobId>,
}

impl Pins<'_> {
    fn pin(&mut self, id: BlobId) {
        self.shell.blobs.pin(id);
        self.ids.push(id);
    }
}

impl Drop for Pins<'_> {
    fn drop(&mut self) {
        self.shell.unpin(&self.ids);
    }
}

impl Blob {
    /// Bytes so far.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Blob::Small(bytes) => bytes.len() as u64,
            Blob::Large(upload) => upload.as_ref().map_or(0, Upload::size),
        }
    }
}

fn take_number(payload: &mut Bytes) -> Result<usize, Reply> {
    if payload.len() < 2 {
        return Err(malformed("an attachment without its number"));
    }
    Ok(usize::from(payload.get_u16_le()))
}

/// The refusal of something that is not understood.
pub(crate) fn malformed(why: impl Into<String>) -> Reply {
    Reply::Refused { code: Refusal::Malformed, message: why.into(), speaks: None }
}

fn too_large(bytes: u64, limit: u64) -> Reply {
    let remedy = if limit == RECORD_MAX { "submit it in parts" } else { "the master's submission_max_mb says so" };
    let message = format!("the submission is too large: {bytes} bytes, the limit is {limit} ({remedy})");
    Reply::Refused { code: Refusal::Limit, message, speaks: None }
}

fn not_stored(error: &std::io::Error) -> Reply {
    let message = format!("a file of the submission cannot be stored: {error}");
    Reply::Refused { code: Refusal::Storage, message, speaks: None }
}

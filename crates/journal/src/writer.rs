//! The writing side: records in, steps on segment files out.
//!
//! ```text
//! append(record) … append(record)      records get their numbers
//! batch = take_batch()                 the shell carries it out, then syncs if the batch asks
//! synced(batch.upto_seq)               only after a sync; now promises may be kept
//! abandon(batch)                       instead, when a write failed
//! ```
//! One batch is under way at a time; records appended meanwhile wait for the next, which is all there is to group
//! commit.

use std::collections::BTreeMap;
use std::io;

use crate::frame::{self, EncodeError};
use crate::record::Record;
use crate::segment::{JournalId, SEGMENT_HEADER_LEN, SegmentHeader};
use crate::storage::Storage;

/// Length, in bytes, from which on a segment takes no further record.
pub const ROTATE_AT: u64 = 64 * 1024 * 1024;

/// So many records may wait for a sync; the next batch asks for one even if it holds only notes.
pub const UNSYNCED_MAX: u64 = 1 << 20;

/// A segment as the writer knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Sequence number of its first record (the next one, if it has none).
    pub first_seq: u64,
    /// How many of its bytes count.
    pub end: u64,
}

/// One thing to do to the files. To be carried out in order, each before the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Create the segment, append its header, sync it, sync the folder.
    Create {
        /// Number of the segment.
        segment: u64,
        /// Its first bytes.
        header: Vec<u8>,
    },
    /// Append bytes.
    Append {
        /// Number of the segment.
        segment: u64,
        /// The frames.
        bytes: Vec<u8>,
    },
    /// Sync a segment.
    Sync {
        /// Number of the segment.
        segment: u64,
    },
    /// Cut a segment and sync it: takes back what a failed write left.
    Truncate {
        /// Number of the segment.
        segment: u64,
        /// Length to keep.
        len: u64,
    },
    /// Remove a segment, if it exists, and sync the folder.
    Remove {
        /// Number of the segment.
        segment: u64,
    },
}

impl Step {
    /// Carries the step out.
    ///
    /// # Errors
    /// The first error of the storage; the rest of the step is not tried.
    pub fn carry_out(&self, storage: &mut impl Storage) -> Result<(), StepError> {
        match self {
            Step::Create { segment, header } => {
                storage.create(*segment).map_err(StepError::Write)?;
                storage.append(*segment, header).map_err(StepError::Write)?;
                storage.sync(*segment).map_err(StepError::Sync)?;
                storage.sync_dir().map_err(StepError::Sync)
            }
            Step::Append { segment, bytes } => storage.append(*segment, bytes).map_err(StepError::Write),
            Step::Sync { segment } => storage.sync(*segment).map_err(StepError::Sync),
            Step::Truncate { segment, len } => {
                storage.truncate(*segment, *len).map_err(StepError::Write)?;
                storage.sync(*segment).map_err(StepError::Sync)
            }
            Step::Remove { segment } => {
                if storage.list().map_err(StepError::Write)?.contains(segment) {
                    storage.remove(*segment).map_err(StepError::Write)?;
                }
                storage.sync_dir().map_err(StepError::Sync)
            }
        }
    }
}

/// Why a step was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Files could not be changed; the steps of [`Writer::abandon`] take back what was done.
    #[error(transparent)]
    Write(io::Error),
    /// Nobody knows what is on disk, and trying again proves nothing.
    #[error(transparent)]
    Sync(io::Error),
}

/// What has gathered since the last batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// Newest record in it.
    pub upto_seq: u64,
    /// The segment that it ends in: the one to sync.
    pub segment: u64,
    /// Whether a sync must follow: it holds promises, or many notes have gathered.
    pub must_sync: bool,
    before: Place,
}

impl Batch {
    /// Carries all steps out. The sync that makes the batch durable is not among them.
    ///
    /// # Errors
    /// The first error of the storage; then [`Writer::abandon`] takes the batch back.
    pub fn carry_out(&self, storage: &mut impl Storage) -> Result<(), StepError> {
        self.steps.iter().try_for_each(|step| step.carry_out(storage))
    }
}

/// Where the next frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    segment: u64,
    end: u64,
    salt: u32,
    next_seq: u64,
    proved_seq: u64,
}

/// Turns records into bytes for the current segment and decides when the next one begins.
#[derive(Debug)]
pub struct Writer {
    id: JournalId,
    rotate_at: u64,
    place: Place,
    before: Place,
    synced_seq: u64,
    last_record_seq: u64,
    steps: Vec<Step>,
    must_sync: bool,
    segments: BTreeMap<u64, Segment>,
    first_own: u64,
}

impl Writer {
    /// A writer for a journal that does not exist yet. `id` should be random; it makes the journal's frames its own.
    pub fn create(id: JournalId) -> Writer {
        Writer::continued(id, BTreeMap::new(), 1, 1)
    }

    /// A writer that goes on in a new segment after those given.
    pub(crate) fn continued(
        id: JournalId,
        segments: BTreeMap<u64, Segment>,
        next_segment: u64,
        next_seq: u64,
    ) -> Writer {
        let place = Place { segment: next_segment - 1, end: 0, salt: 0, next_seq, proved_seq: next_seq - 1 };
        let mut writer = Writer {
            id,
            rotate_at: ROTATE_AT,
            place,
            before: place,
            synced_seq: next_seq - 1,
            last_record_seq: next_seq - 1,
            steps: Vec::new(),
            must_sync: false,
            segments,
            first_own: next_segment,
        };
        writer.rotate();
        writer
    }

    /// The same writer with another length from which on a segment is full; tests use small ones.
    #[must_use]
    pub fn with_rotation_at(mut self, bytes: u64) -> Writer {
        self.rotate_at = bytes;
        self
    }

    /// Encodes a record behind those that wait, and gives its sequence number.
    ///
    /// # Errors
    /// [`EncodeError`]; nothing has changed then.
    pub fn append(&mut self, record: &Record) -> Result<u64, EncodeError> {
        if self.begins_segment(record) {
            self.rotate();
        }
        let seq = self.place.next_seq;
        let unsynced = self.unsynced();
        let salt = self.place.salt;
        let bytes = self.tail();
        let start = bytes.len();
        frame::append_frame(bytes, salt, seq, unsynced, record)?;
        let grown = bytes.len() - start;
        self.advance(grown);
        self.must_sync |= record.is_promise() || self.place.next_seq - self.synced_seq > UNSYNCED_MAX;
        self.last_record_seq = seq;
        Ok(seq)
    }

    /// Whether this record, as the next one, begins a segment. That a file was taken is never parted from the submission
    /// that was made of it, which stands before it.
    pub(crate) fn begins_segment(&self, record: &Record) -> bool {
        self.place.end >= self.rotate_at && !matches!(record, Record::Taken(_))
    }

    /// Encodes a payload as it is, for tests of what a newer release may have written, and gives its number.
    #[doc(hidden)]
    pub fn append_payload(&mut self, kind: u8, version: u8, payload: &[u8]) -> u64 {
        let (seq, salt) = (self.place.next_seq, self.place.salt);
        let bytes = self.tail();
        let start = bytes.len();
        frame::append_payload(bytes, salt, seq, kind, version, payload);
        let grown = bytes.len() - start;
        self.advance(grown);
        self.last_record_seq = seq;
        seq
    }

    /// The number that the next record gets.
    pub fn next_seq(&self) -> u64 {
        self.place.next_seq
    }

    /// The newest record that is known to be on disk.
    pub fn synced_seq(&self) -> u64 {
        self.synced_seq
    }

    /// The segments, current one included, with what is encoded but not yet taken.
    pub fn segments(&self) -> &BTreeMap<u64, Segment> {
        &self.segments
    }

    /// The segments that this writer has begun, oldest first.
    pub(crate) fn own_segments(&self) -> impl DoubleEndedIterator<Item = u64> + use<> {
        let all: Vec<u64> = self.segments.range(self.first_own..).map(|(segment, _)| *segment).collect();
        all.into_iter()
    }

    /// Hands out what has gathered, `None` if nothing has. The next call comes after the batch was carried out (and
    /// synced, if it asks) or abandoned.
    pub fn take_batch(&mut self) -> Option<Batch> {
        if self.steps.is_empty() {
            return None;
        }
        let batch = Batch {
            steps: std::mem::take(&mut self.steps),
            upto_seq: self.place.next_seq - 1,
            segment: self.place.segment,
            must_sync: std::mem::take(&mut self.must_sync),
            before: self.before,
        };
        self.before = self.place;
        Some(batch)
    }

    /// Tells that all records up to `seq` are on disk.
    ///
    /// A mark is encoded that says so to whoever reads the journal after a crash: it is what tells damage in synced
    /// records from the torn tail of a power cut. It needs no sync of its own, but should be written at once: until it
    /// is, damage in the last batch passes for a torn tail.
    pub fn synced(&mut self, seq: u64) {
        assert!(seq < self.place.next_seq, "a record that was never written cannot be on disk");
        self.synced_seq = self.synced_seq.max(seq);
        let marks_records = self.place.proved_seq < self.synced_seq && self.place.proved_seq < self.last_record_seq;
        if marks_records {
            let (salt, seq, unsynced) = (self.place.salt, self.place.next_seq, self.unsynced());
            let bytes = self.tail();
            let start = bytes.len();
            frame::append_sync_mark(bytes, salt, seq, unsynced);
            let grown = bytes.len() - start;
            self.advance(grown);
        }
    }

    /// Takes back a batch whose writing failed, and all that was appended since: their numbers are free again.
    ///
    /// The steps it gives remove what the failed write may have left; nothing may be refused to a user, and nothing
    /// else be written, before they are carried out. The caller decides which of the lost records to append anew.
    pub fn abandon(&mut self, batch: Batch) -> Vec<Step> {
        let opened = self.segments.split_off(&(batch.before.segment + 1));
        let mut steps: Vec<Step> = opened.into_keys().rev().map(|segment| Step::Remove { segment }).collect();
        self.place = batch.before;
        self.before = self.place;
        self.steps.clear();
        self.must_sync = false;
        self.last_record_seq = self.last_record_seq.min(self.place.next_seq - 1);
        if self.place.segment < self.first_own {
            // Not even our first segment came to be; what was there before us stays untouched.
            self.rotate();
        } else {
            let Place { segment, end, .. } = self.place;
            self.segments.get_mut(&segment).expect("the segment before a batch stays known").end = end;
            steps.push(Step::Truncate { segment, len: end });
        }
        steps
    }

    /// Begins a new segment now, as a checkpoint does so that all before it can go.
    pub fn rotate(&mut self) {
        let previous = self.segments.get(&self.place.segment).copied();
        if previous.is_some() {
            self.steps.push(Step::Sync { segment: self.place.segment });
        }
        let header = SegmentHeader {
            number: self.place.segment + 1,
            first_seq: self.place.next_seq,
            id: self.id,
            previous_end: previous.map_or(0, |segment| segment.end),
        };
        self.place.segment = header.number;
        self.place.end = SEGMENT_HEADER_LEN as u64;
        self.place.salt = header.salt();
        self.steps.push(Step::Create { segment: header.number, header: header.encode().to_vec() });
        self.segments.insert(header.number, Segment { first_seq: header.first_seq, end: self.place.end });
    }

    /// Steps that remove the segments nobody needs: all whose records are older than each of the three numbers.
    ///
    /// `checkpoint_seq` is the number of the `CheckpointBegin` whose end is on disk; `events_upto` and `history_upto`
    /// are the newest such records that are on disk. Oldest first, so that a crash between them leaves no gap.
    pub fn compact(&mut self, checkpoint_seq: u64, events_upto: u64, history_upto: u64) -> Vec<Step> {
        let needed = checkpoint_seq.min(events_upto.saturating_add(1)).min(history_upto.saturating_add(1));
        let mut steps = Vec::new();
        while let [(oldest, _), (_, next)] = self.segments.iter().take(2).collect::<Vec<_>>()[..] {
            if next.first_seq > needed || *oldest >= self.before.segment {
                break;
            }
            let segment = *oldest;
            steps.push(Step::Remove { segment });
            self.segments.remove(&segment);
        }
        steps
    }

    fn unsynced(&self) -> u32 {
        u32::try_from(self.place.next_seq - 1 - self.synced_seq)
            .expect("a sync is asked for long before four thousand million records wait")
    }

    /// The bytes that the next frame is appended to.
    fn tail(&mut self) -> &mut Vec<u8> {
        let segment = self.place.segment;
        if !matches!(self.steps.last(), Some(Step::Append { segment: last, .. }) if *last == segment) {
            self.steps.push(Step::Append { segment, bytes: Vec::new() });
        }
        match self.steps.last_mut() {
            Some(Step::Append { bytes, .. }) => bytes,
            _ => unreachable!("pushed above"),
        }
    }

    fn advance(&mut self, grown: usize) {
        self.place.end += grown as u64;
        self.place.next_seq += 1;
        self.place.proved_seq = self.synced_seq;
        let end = self.place.end;
        self.segments.get_mut(&self.place.segment).expect("the current segment is known").end = end;
    }
}

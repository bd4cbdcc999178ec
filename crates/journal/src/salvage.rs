//! Salvage: a readable copy of a damaged journal, and the list of what is lost.
//!
//! Records keep their sequence numbers, since other records name them; where some are missing the copy has a gap, and
//! [`crate::Recovery::gaps`] says so for ever after. A checkpoint that lost some of its jobs, or its begin or end, is
//! mended so that what is left of it counts. The original is only read.

use std::collections::BTreeMap;
use std::io;

use crate::checkpoint::{CheckpointBegin, CheckpointEnd};
use crate::error::{JournalError, Position};
use crate::frame::{
    self, HEADER_LEN, KIND_CHECKPOINT_BEGIN, KIND_CHECKPOINT_END, KIND_CHECKPOINT_JOB, KIND_GAP, KIND_SYNC_MARK,
};
use crate::record::Record;
use crate::segment::{HeaderFault, JournalId, SEGMENT_HEADER_LEN, SegmentHeader};
use crate::storage::Storage;
use crate::walk::Segments;
use crate::writer::ROTATE_AT;

/// A stretch that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Where the next thing that could be read stands, or the end of the last segment.
    pub before: Position,
    /// The first record that is lost.
    pub first_seq: u64,
    /// How many are lost; at the very end nobody knows, and it is 0.
    pub records: u64,
    /// How many bytes right before `before` could not be read, as far as they are in the same segment.
    pub bytes: u64,
}

/// What a salvage brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// Records in the copy, marks and gaps not counted.
    pub records: u64,
    /// What is not in it, oldest first.
    pub losses: Vec<Loss>,
    /// Whether a checkpoint had to be mended: some jobs may be missing without a gap that tells.
    pub checkpoint_mended: bool,
}

/// Copies all that can be read from `from` to `to`, which should be empty, as the journal `id`, and syncs it.
///
/// # Errors
/// [`JournalError::Io`] of either side, [`JournalError::Format`] for segments of another release.
pub fn salvage<S: Storage, T: Storage>(from: &S, to: &mut T, id: JournalId) -> Result<Salvaged, JournalError> {
    let index = Index::read(from)?;
    let mended = index.mend();
    let mut copy = Copy::begin(to, id, index.first_seq)?;
    let mut records = 0;
    for (&seq, place) in &index.frames {
        let mut payload = vec![0; place.len];
        read_exact(from, place.at, &mut payload)?;
        let (mut kind, mut version) = (place.kind, place.version);
        match mended.changes.get(&seq) {
            Some(Some(record)) => payload = encoded(record),
            Some(None) => (kind, version, payload) = (KIND_GAP, 1, 1u64.to_le_bytes().to_vec()),
            None => {}
        }
        if let Some((begin_seq, begin)) = &mended.begin
            && *begin_seq < seq
            && *begin_seq >= copy.next_seq
        {
            copy.append(*begin_seq, begin.kind(), 1, &encoded(begin))?;
        }
        copy.append(seq, kind, version, &payload)?;
        if kind == KIND_GAP {
            let missing = payload.first_chunk().map_or(1, |bytes| u64::from_le_bytes(*bytes));
            copy.next_seq = seq.saturating_add(missing.max(1));
        } else if kind != KIND_SYNC_MARK {
            records += 1;
        }
    }
    if let Some(end) = &mended.end {
        copy.append(copy.next_seq, end.kind(), 1, &encoded(end))?;
    }
    copy.finish()?;
    let checkpoint_mended = mended.end.is_some() || mended.begin.is_some() || !mended.changes.is_empty();
    Ok(Salvaged { records, losses: index.losses, checkpoint_mended })
}

fn encoded(record: &Record) -> Vec<u8> {
    frame::encode(record).expect("the begin and the end of a checkpoint are a few bytes")
}

fn io_error(segment: u64) -> impl Fn(io::Error) -> JournalError {
    move |source| JournalError::Io { segment: Some(segment), source }
}

fn read_exact<S: Storage>(from: &S, at: Position, buf: &mut [u8]) -> Result<(), JournalError> {
    let mut filled = 0;
    while filled < buf.len() {
        let count =
            from.read_at(at.segment, at.offset + filled as u64, &mut buf[filled..]).map_err(io_error(at.segment))?;
        if count == 0 {
            return Err(io_error(at.segment)(io::ErrorKind::UnexpectedEof.into()));
        }
        filled += count;
    }
    Ok(())
}

/// Where the payload of a sound frame stands.
struct Place {
    at: Position,
    len: usize,
    kind: u8,
    version: u8,
}

/// All sound frames, and what is between them.
struct Index {
    first_segment: u64,
    first_seq: u64,
    next_seq: u64,
    frames: BTreeMap<u64, Place>,
    losses: Vec<Loss>,
    /// For each checkpoint end: the begin it names.
    ends: BTreeMap<u64, u64>,
    next_cluster: u32,
}

impl Index {
    fn read<S: Storage>(from: &S) -> Result<Index, JournalError> {
        let mut numbers = from.list().map_err(|source| JournalError::Io { segment: None, source })?;
        numbers.sort_unstable();
        let mut headers = Vec::new();
        for &segment in &numbers {
            let len = from.len(segment).map_err(io_error(segment))?;
            let header = match Segments::open(from, segment, len).header()? {
                Ok(header) => Some(header),
                Err(HeaderFault::Format(format)) => return Err(JournalError::Format { segment, format }),
                Err(HeaderFault::Short | HeaderFault::Garbage) => None,
            };
            headers.push((segment, len, header));
        }
        let id = headers.iter().find_map(|(_, _, header)| header.map(|header| header.id));
        let first_seq = headers.first().and_then(|(_, _, header)| *header).map_or(1, |header| header.first_seq);
        let mut index = Index {
            first_segment: numbers.first().copied().unwrap_or(1),
            first_seq,
            next_seq: first_seq,
            frames: BTreeMap::new(),
            losses: Vec::new(),
            ends: BTreeMap::new(),
            next_cluster: 1,
        };
        for (at, &(segment, len, header)) in headers.iter().enumerate() {
            // What a restart declared torn stays dropped.
            let limit = match headers.get(at + 1) {
                Some((next, _, Some(header))) if *next == segment + 1 => header.previous_end.min(len),
                _ => len,
            };
            // The header gives the salt of the frames. If it is damaged, what the others say is enough.
            let header = header.or_else(|| {
                Some(SegmentHeader { number: segment, first_seq: index.next_seq, id: id?, previous_end: 0 })
            });
            if let Some(header) = header {
                index.read_segment(from, &header, limit)?;
            }
        }
        Ok(index)
    }

    fn read_segment<S: Storage>(&mut self, from: &S, header: &SegmentHeader, limit: u64) -> Result<(), JournalError> {
        let segment = header.number;
        let mut behind = SEGMENT_HEADER_LEN as u64;
        let mut reader = Segments::open(from, segment, limit);
        reader.search(behind, self.first_seq, header.salt(), |offset, frame, head| {
            let Some(frame) = frame else { return Ok(()) };
            if head.seq < self.next_seq {
                return Ok(());
            }
            let before = Position { segment, offset };
            self.lose(before, head.seq - self.next_seq, offset - behind);
            let following_seq = frame.following_seq();
            self.learn(head.kind, head.version, head.seq, frame.payload);
            let at = Position { segment, offset: offset + HEADER_LEN as u64 };
            let place = Place { at, len: frame.payload.len(), kind: head.kind, version: head.version };
            behind = offset + (HEADER_LEN + frame.payload.len()) as u64;
            self.frames.insert(head.seq, place);
            self.next_seq = following_seq;
            Ok(())
        })?;
        if behind < limit {
            self.lose(Position { segment, offset: limit }, 0, limit - behind);
        }
        Ok(())
    }

    fn lose(&mut self, before: Position, records: u64, bytes: u64) {
        if records > 0 || bytes > 0 {
            self.losses.push(Loss { before, first_seq: self.next_seq, records, bytes });
        }
    }

    fn learn(&mut self, kind: u8, version: u8, seq: u64, payload: &[u8]) {
        match frame::decode(kind, version, payload) {
            Ok(Record::CheckpointEnd(end)) => {
                self.ends.insert(seq, end.begin_seq);
            }
            Ok(Record::CheckpointBegin(begin)) => self.see_next_cluster(begin.next_cluster),
            Ok(Record::CheckpointCluster(cluster)) => self.see_next_cluster(cluster.cluster.saturating_add(1)),
            Ok(Record::Submitted(submitted)) => {
                for cluster in &submitted.clusters {
                    self.see_next_cluster(cluster.cluster.saturating_add(1));
                }
            }
            _ => {}
        }
    }

    fn see_next_cluster(&mut self, next_cluster: u32) {
        self.next_cluster = self.next_cluster.max(next_cluster);
    }

    /// What must be different in the copy so that its checkpoints are whole.
    fn mend(&self) -> Mended {
        let mut mended = Mended::default();
        // An end in front of its begin is nonsense.
        let (ends, nonsense): (BTreeMap<u64, u64>, BTreeMap<u64, u64>) =
            self.ends.iter().partition(|(seq, begin_seq)| begin_seq < seq);
        mended.changes.extend(nonsense.keys().map(|seq| (*seq, None)));
        let last_end = ends.keys().next_back().copied();
        let begin_of = |seq: u64| self.frames.get(&seq).is_some_and(|place| place.kind == KIND_CHECKPOINT_BEGIN);
        for (&seq, &begin_seq) in &ends {
            if !begin_of(begin_seq) && Some(seq) != last_end {
                mended.changes.insert(seq, None);
                continue;
            }
            let jobs = self.jobs_between(begin_seq, seq);
            let end = Record::from(CheckpointEnd { begin_seq, jobs });
            let place = &self.frames[&seq];
            let unchanged = self.losses.is_empty() || self.whole(begin_seq, seq);
            if !unchanged && place.kind == KIND_CHECKPOINT_END {
                mended.changes.insert(seq, Some(end));
            }
        }
        let older_are_gone = self.first_segment > 1;
        let begin_seq = match last_end {
            Some(end) => Some(ends[&end]),
            None if older_are_gone => self.last_begin(),
            None => None,
        };
        let Some(begin_seq) = begin_seq else { return mended };
        if !begin_of(begin_seq) {
            let lost = self.losses.iter().map(|loss| loss.records).sum::<u64>();
            let spare = u32::try_from(lost).unwrap_or(u32::MAX);
            let next_cluster = self.next_cluster.saturating_add(spare);
            mended.begin = Some((begin_seq, CheckpointBegin { next_cluster, at_s: 0 }.into()));
        }
        if last_end.is_none() {
            let jobs = self.jobs_between(begin_seq, u64::MAX);
            mended.end = Some(CheckpointEnd { begin_seq, jobs }.into());
        }
        mended
    }

    /// Whether no record between these two is missing.
    fn whole(&self, from: u64, to: u64) -> bool {
        self.losses.iter().all(|loss| loss.first_seq + loss.records <= from || loss.first_seq > to)
    }

    fn jobs_between(&self, from: u64, to: u64) -> u64 {
        self.frames.range(from..to).filter(|(_, place)| place.kind == KIND_CHECKPOINT_JOB).count() as u64
    }

    /// Where the last begin stands, or can stand if it is lost: in the gap before the first record of a checkpoint.
    fn last_begin(&self) -> Option<u64> {
        let of_checkpoint = |place: &Place| frame::is_of_checkpoint(place.kind);
        let begins = self.frames.iter().filter(|(_, place)| place.kind == KIND_CHECKPOINT_BEGIN);
        begins.map(|(seq, _)| *seq).next_back().or_else(|| {
            let (first, _) = self.frames.iter().find(|(_, place)| of_checkpoint(place))?;
            let gap = self.losses.iter().rev().find(|loss| loss.records > 0 && loss.first_seq < *first)?;
            Some(gap.first_seq + gap.records - 1)
        })
    }
}

#[derive(Default)]
struct Mended {
    /// Records to write instead of the one found; `None`: a gap of one.
    changes: BTreeMap<u64, Option<Record>>,
    /// A begin to put into a gap.
    begin: Option<(u64, Record)>,
    /// An end to put behind everything.
    end: Option<Record>,
}

/// The copy being written.
struct Copy<'a, T> {
    to: &'a mut T,
    header: SegmentHeader,
    end: u64,
    next_seq: u64,
    bytes: Vec<u8>,
}

/// How much is gathered before it is written, bytes.
const GATHER: usize = 1024 * 1024;

impl<'a, T: Storage> Copy<'a, T> {
    fn begin(to: &'a mut T, id: JournalId, first_seq: u64) -> Result<Copy<'a, T>, JournalError> {
        let header = SegmentHeader { number: 0, first_seq, id, previous_end: 0 };
        let mut copy = Copy { to, header, end: 0, next_seq: first_seq, bytes: Vec::new() };
        copy.rotate()?;
        Ok(copy)
    }

    fn append(&mut self, seq: u64, kind: u8, version: u8, payload: &[u8]) -> Result<(), JournalError> {
        let missing = seq - self.next_seq;
        if missing > 0 {
            self.frame(self.next_seq, KIND_GAP, 1, &missing.to_le_bytes())?;
        }
        self.frame(seq, kind, version, payload)?;
        self.next_seq = seq + 1;
        Ok(())
    }

    fn frame(&mut self, seq: u64, kind: u8, version: u8, payload: &[u8]) -> Result<(), JournalError> {
        if self.end >= ROTATE_AT {
            self.next_seq = seq;
            self.rotate()?;
        }
        let before = self.bytes.len();
        frame::append_payload(&mut self.bytes, self.header.salt(), seq, kind, version, payload);
        self.end += (self.bytes.len() - before) as u64;
        if self.bytes.len() >= GATHER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        let segment = self.header.number;
        self.to.append(segment, &self.bytes).map_err(io_error(segment))?;
        self.bytes.clear();
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), JournalError> {
        if self.header.number > 0 {
            self.finish()?;
        }
        self.header.number += 1;
        self.header.first_seq = self.next_seq;
        self.header.previous_end = self.end;
        let segment = self.header.number;
        self.to.create(segment).map_err(io_error(segment))?;
        self.to.append(segment, &self.header.encode()).map_err(io_error(segment))?;
        self.end = SEGMENT_HEADER_LEN as u64;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), JournalError> {
        self.flush()?;
        let segment = self.header.number;
        self.to.sync(segment).map_err(io_error(segment))?;
        self.to.sync_dir().map_err(io_error(segment))
    }
}

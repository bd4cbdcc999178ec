//! Reading a journal back: what is there, what counts, and where to go on.
//!
//! Two passes. The first checks every frame and finds the last complete checkpoint; the second gives out the records.
//! Memory is bounded by the longest record.
//!
//! The rule for a fault in the last segment: if any later frame says that the faulty record was on disk when it was
//! written, the journal is *damaged* and nothing is given out. Otherwise no sync had covered it, nobody was promised
//! anything, and the tail from there on is *torn*: it is dropped, sound frames in it included, since a power cut may
//! keep a later block of unsynced data and lose an earlier one.

use std::collections::BTreeMap;

use crate::error::{Fault, JournalError, Position};
use crate::frame::{
    self, KIND_CHECKPOINT_BEGIN, KIND_CHECKPOINT_END, KIND_CHECKPOINT_JOB, KIND_EVENTS_UPTO, KIND_GAP,
    KIND_HISTORY_UPTO, KIND_SYNC_MARK,
};
use crate::record::Record;
use crate::segment::{HeaderFault, JournalId, SEGMENT_HEADER_LEN, SegmentHeader};
use crate::storage::Storage;
use crate::walk::{Frame, Segments, Walked};
use crate::writer::{Segment, Writer};

/// A record as it comes out of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence number.
    pub seq: u64,
    /// Where it stands.
    pub at: Position,
    /// Set if a later complete checkpoint contains what it did: the state must not take it again. Such records come
    /// only as far as their events or history may still have to be written.
    pub before_checkpoint: bool,
    /// The record.
    pub record: Record,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Identity of the journal; `None` if there is none yet.
    pub id: Option<JournalId>,
    /// The segments that count, by number.
    pub segments: BTreeMap<u64, Segment>,
    /// Number of the segment to write next.
    pub next_segment: u64,
    /// Number of the record to write next.
    pub next_seq: u64,
    /// How the journal ended.
    pub tail: Tail,
    /// The last complete checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// The newest [`Record::EventsUpto`], 0 if none.
    pub events_upto: u64,
    /// The newest [`Record::HistoryUpto`], 0 if none.
    pub history_upto: u64,
    /// How many gaps an earlier salvage left.
    pub gaps: u64,
}

impl Recovery {
    /// Brings to disk what was read back and may be in the machine's memory only, so that a power cut cannot take from the
    /// queue what was told of it after a crash. To be done before anything is told.
    ///
    /// # Errors
    /// What the storage says; then the journal must not be used.
    pub fn settle(&self, storage: &mut impl Storage) -> std::io::Result<()> {
        // Each older one was synced before the next began.
        match self.segments.last_key_value() {
            Some((segment, _)) => storage.sync(*segment),
            None => Ok(()),
        }
    }

    /// A writer that goes on where the journal ends, in a new segment. `fresh_id` is taken if there is no journal yet.
    ///
    /// The torn tail, if any, stays in its file; the header of the new segment says that it does not count. The first
    /// batch syncs what was read back and may be in the machine's memory only: carry it out before anybody is told of it.
    pub fn writer(&self, fresh_id: JournalId) -> Writer {
        Writer::continued(self.id.unwrap_or(fresh_id), self.segments.clone(), self.next_segment, self.next_seq)
    }
}

/// A complete checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of its [`Record::CheckpointBegin`].
    pub begin_seq: u64,
    /// Number of its [`Record::CheckpointEnd`].
    pub end_seq: u64,
    /// Jobs in it.
    pub jobs: u64,
    /// Bytes of its own records: what the live state takes.
    pub bytes: u64,
}

/// How a journal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// With a whole record.
    Clean,
    /// In the middle of one that nobody was promised.
    Torn {
        /// Where the dropped bytes begin.
        at: Position,
        /// How many there are.
        bytes_dropped: u64,
        /// Sound records among them.
        records_dropped: u64,
        /// What is wrong with the first.
        fault: Fault,
    },
}

/// Reads the journal and gives its records to `visit`, oldest first.
///
/// An empty storage is an empty journal. Nothing is given out unless the whole journal is sound.
///
/// # Errors
/// [`JournalError`]. After [`JournalError::Unreadable`] some records were given out already; the state built from them
/// must be thrown away.
pub fn replay<S: Storage>(storage: &S, mut visit: impl FnMut(Entry)) -> Result<Recovery, JournalError> {
    let recovery = survey(storage)?;
    let begin_seq = recovery.checkpoint.map_or(0, |checkpoint| checkpoint.begin_seq);
    let end_seq = recovery.checkpoint.map_or(0, |checkpoint| checkpoint.end_seq);
    let reported = recovery.events_upto.min(recovery.history_upto);
    let first_wanted = begin_seq.min(reported.saturating_add(1));
    let numbers: Vec<u64> = recovery.segments.keys().copied().collect();
    for (index, number) in numbers.iter().enumerate() {
        let next = numbers.get(index + 1).map(|next| recovery.segments[next].first_seq);
        if next.is_some_and(|next| next <= first_wanted) {
            continue;
        }
        let mut reader = Segments::open(storage, *number, recovery.segments[number].end);
        let header = reader.header()?.map_err(|_| changed(*number))?;
        let walked = reader.walk(&header, |frame| {
            let head = &frame.head;
            let internal = matches!(head.kind, KIND_SYNC_MARK | KIND_GAP);
            let of_checkpoint = frame::is_of_checkpoint(head.kind);
            let abandoned = of_checkpoint && !(begin_seq..=end_seq).contains(&head.seq);
            if internal || abandoned || head.seq < first_wanted {
                return Ok(());
            }
            let record = decode(&frame)?;
            visit(Entry { seq: head.seq, at: frame.at, before_checkpoint: head.seq < begin_seq, record });
            Ok(())
        })?;
        if walked.fault.is_some() {
            return Err(changed(*number));
        }
    }
    Ok(recovery)
}

/// Gives out every record that is there and can be reached from the front, those that a checkpoint has made superfluous
/// too, for whoever wants to read the journal and not the queue. Damage and a torn tail end the walk and are the answer:
/// where they are, and what they are.
///
/// # Errors
/// [`JournalError`]: the storage fails, or a sound record is of a kind or version that this release does not know.
pub fn read_through<S: Storage>(
    storage: &S,
    mut visit: impl FnMut(Entry),
) -> Result<Option<(Position, Fault)>, JournalError> {
    let files = match Files::read(storage) {
        Ok(files) => files,
        Err(JournalError::Damaged { at, fault }) => return Ok(Some((at, fault))),
        Err(error) => return Err(error),
    };
    let mut next_seq = files.whole.first().map_or(1, |file| file.header.first_seq);
    for (index, file) in files.whole.iter().enumerate() {
        let (header, next) = (&file.header, files.whole.get(index + 1));
        if header.first_seq != next_seq {
            let fault = Fault::Sequence { expected: next_seq, found: header.first_seq };
            return Ok(Some((Position { segment: header.number, offset: 0 }, fault)));
        }
        let limit = next.map_or(file.len, |next| next.header.previous_end).min(file.len);
        let walked = Segments::open(storage, header.number, limit).walk(header, |frame| {
            let head = &frame.head;
            if !matches!(head.kind, KIND_SYNC_MARK | KIND_GAP) {
                visit(Entry { seq: head.seq, at: frame.at, before_checkpoint: false, record: decode(&frame)? });
            }
            Ok(())
        })?;
        if let Some(fault) = walked.fault {
            return Ok(Some((Position { segment: header.number, offset: walked.end }, fault)));
        }
        next_seq = walked.next_seq;
    }
    Ok(files.cut_short.map(|torn| (Position { segment: torn.segment, offset: 0 }, Fault::Header)))
}

/// Checks the journal without giving anything out.
///
/// # Errors
/// [`JournalError`].
pub fn survey<S: Storage>(storage: &S) -> Result<Recovery, JournalError> {
    let files = Files::read(storage)?;
    files.check_succession()?;
    let first_seq = files.whole.first().map_or(1, |file| file.header.first_seq);
    let mut found = Survey { first_seq, ..Survey::default() };
    let mut recovery = Recovery {
        id: None,
        segments: BTreeMap::new(),
        next_segment: files.next_segment(),
        next_seq: 1,
        tail: Tail::Clean,
        checkpoint: None,
        events_upto: 0,
        history_upto: 0,
        gaps: 0,
    };
    for (index, file) in files.whole.iter().enumerate() {
        let header = &file.header;
        let at = Position { segment: header.number, offset: 0 };
        if index > 0 && header.first_seq != recovery.next_seq {
            let fault = Fault::Sequence { expected: recovery.next_seq, found: header.first_seq };
            return Err(JournalError::Damaged { at, fault });
        }
        recovery.id = Some(header.id);
        let next = files.whole.get(index + 1);
        let limit = next.map_or(file.len, |next| next.header.previous_end);
        let mut reader = Segments::open(storage, header.number, limit.min(file.len));
        let walked = reader.walk(header, |frame| found.take(&frame))?;
        let fault_at = Position { segment: header.number, offset: walked.end };
        if next.is_some() {
            // What follows says how much of this segment was on disk; all of it must be sound.
            let cut = (walked.end < limit).then_some(Fault::Cut { seq: walked.next_seq });
            if let Some(fault) = walked.fault.or(cut) {
                return Err(JournalError::Damaged { at: fault_at, fault });
            }
        } else if let Some(fault) = walked.fault {
            recovery.tail = judge_tail(&mut reader, header, walked, fault, file.len)?;
        }
        recovery.segments.insert(header.number, Segment { first_seq: header.first_seq, end: walked.end });
        recovery.next_seq = walked.next_seq;
    }
    if let (Tail::Clean, Some(torn)) = (recovery.tail, files.cut_short) {
        recovery.tail = Tail::Torn {
            at: Position { segment: torn.segment, offset: 0 },
            bytes_dropped: torn.len,
            records_dropped: 0,
            fault: Fault::Header,
        };
    }
    recovery.checkpoint = found.checkpoint;
    recovery.events_upto = found.events_upto;
    recovery.history_upto = found.history_upto;
    recovery.gaps = found.gaps;
    match files.whole.first() {
        // Older segments go only when a checkpoint stands for them.
        Some(first) if first.header.number > 1 && recovery.checkpoint.is_none() => Err(JournalError::Damaged {
            at: Position { segment: first.header.number, offset: 0 },
            fault: Fault::Missing { segment: first.header.number - 1 },
        }),
        _ => Ok(recovery),
    }
}

/// Decides whether a fault in the last segment is a torn tail or damage.
fn judge_tail<S: Storage>(
    reader: &mut Segments<'_, S>,
    header: &SegmentHeader,
    walked: Walked,
    fault: Fault,
    len: u64,
) -> Result<Tail, JournalError> {
    let at = Position { segment: header.number, offset: walked.end };
    let mut records_dropped = 0;
    reader.search(walked.end, walked.next_seq, header.salt(), |_, frame, head| {
        if head.synced_seq() >= walked.next_seq {
            return Err(JournalError::Damaged { at, fault });
        }
        records_dropped += u64::from(frame.is_some());
        Ok(())
    })?;
    Ok(Tail::Torn { at, bytes_dropped: len - walked.end, records_dropped, fault })
}

fn changed(segment: u64) -> JournalError {
    JournalError::Damaged { at: Position { segment, offset: 0 }, fault: Fault::Header }
}

fn decode(frame: &Frame<'_>) -> Result<Record, JournalError> {
    let head = &frame.head;
    frame::decode(head.kind, head.version, frame.payload).map_err(|cause| JournalError::Unreadable {
        at: frame.at,
        seq: head.seq,
        cause,
    })
}

/// What the first pass learns from the frames.
#[derive(Default)]
struct Survey {
    /// Number of the oldest record that is there.
    first_seq: u64,
    checkpoint: Option<Checkpoint>,
    events_upto: u64,
    history_upto: u64,
    gaps: u64,
    begin_seq: u64,
    jobs: u64,
    bytes: u64,
}

impl Survey {
    fn take(&mut self, frame: &Frame<'_>) -> Result<(), JournalError> {
        if frame.head.kind == KIND_CHECKPOINT_BEGIN {
            (self.begin_seq, self.jobs, self.bytes) = (frame.head.seq, 0, 0);
        }
        if frame::is_of_checkpoint(frame.head.kind) {
            self.bytes += (frame::HEADER_LEN + frame.payload.len()) as u64;
        }
        match frame.head.kind {
            KIND_CHECKPOINT_JOB => self.jobs += 1,
            KIND_GAP => self.gaps += 1,
            KIND_CHECKPOINT_END | KIND_EVENTS_UPTO | KIND_HISTORY_UPTO => match decode(frame)? {
                Record::EventsUpto(upto) => self.events_upto = self.events_upto.max(upto.seq),
                Record::HistoryUpto(upto) => self.history_upto = self.history_upto.max(upto.seq),
                // Of one whose begin has gone already: a crash came while a newer checkpoint had older segments removed.
                Record::CheckpointEnd(end) if end.begin_seq < self.first_seq => {}
                Record::CheckpointEnd(end) => {
                    if (end.begin_seq, end.jobs) != (self.begin_seq, self.jobs) {
                        return Err(JournalError::Checkpoint {
                            at: frame.at,
                            begin_seq: end.begin_seq,
                            expected: end.jobs,
                            found: self.jobs,
                        });
                    }
                    self.checkpoint = Some(Checkpoint {
                        begin_seq: end.begin_seq,
                        end_seq: frame.head.seq,
                        jobs: end.jobs,
                        bytes: self.bytes,
                    });
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}

/// The files of a journal, and their headers.
struct Files {
    whole: Vec<File>,
    cut_short: Option<CutShort>,
}

struct File {
    header: SegmentHeader,
    len: u64,
}

/// A segment whose creation a crash cut short: nothing was ever written behind its header.
#[derive(Clone, Copy)]
struct CutShort {
    segment: u64,
    len: u64,
}

impl Files {
    fn read<S: Storage>(storage: &S) -> Result<Files, JournalError> {
        let mut numbers = storage.list().map_err(|source| JournalError::Io { segment: None, source })?;
        numbers.sort_unstable();
        let mut files = Files { whole: Vec::with_capacity(numbers.len()), cut_short: None };
        for (index, &segment) in numbers.iter().enumerate() {
            let len = storage.len(segment).map_err(|source| JournalError::Io { segment: Some(segment), source })?;
            let is_last = index + 1 == numbers.len();
            let follows = segment == 1 || files.whole.last().is_some_and(|file| file.header.number + 1 == segment);
            match Segments::open(storage, segment, len).header()? {
                Ok(header) if header.number == segment => files.whole.push(File { header, len }),
                Err(HeaderFault::Format(format)) => return Err(JournalError::Format { segment, format }),
                Err(HeaderFault::Short | HeaderFault::Garbage)
                    if is_last && follows && len <= SEGMENT_HEADER_LEN as u64 =>
                {
                    files.cut_short = Some(CutShort { segment, len });
                }
                Ok(_) | Err(HeaderFault::Short | HeaderFault::Garbage) => {
                    let at = Position { segment, offset: 0 };
                    return Err(JournalError::Damaged { at, fault: Fault::Header });
                }
            }
        }
        Ok(files)
    }

    /// Checks that no file between the first and the last is missing or from elsewhere.
    fn check_succession(&self) -> Result<(), JournalError> {
        for pair in self.whole.windows(2) {
            let [before, after] = pair else { unreachable!("windows have the length asked for") };
            let fault = if after.header.number != before.header.number + 1 {
                Fault::Missing { segment: before.header.number + 1 }
            } else if after.header.id != before.header.id {
                Fault::Foreign
            } else {
                continue;
            };
            let at = Position { segment: after.header.number, offset: 0 };
            return Err(JournalError::Damaged { at, fault });
        }
        Ok(())
    }

    fn next_segment(&self) -> u64 {
        match (self.cut_short, self.whole.last()) {
            (Some(torn), _) => torn.segment,
            (None, Some(last)) => last.header.number + 1,
            (None, None) => 1,
        }
    }
}

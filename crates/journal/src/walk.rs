//! Reading one segment, frame by frame, in bounded memory.

use std::io;

use crate::error::{Fault, JournalError, Position};
use crate::frame::{HEADER_LEN, Head, KIND_GAP};
use crate::segment::{HeaderFault, SEGMENT_HEADER_LEN, SegmentHeader};
use crate::storage::Storage;

/// How much is read at once, bytes; a longer frame is read whole.
const CHUNK: usize = 256 * 1024;

/// A frame whose checksums are right.
pub(crate) struct Frame<'a> {
    pub(crate) at: Position,
    pub(crate) head: Head,
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    /// The number of the record behind it.
    pub(crate) fn following_seq(&self) -> u64 {
        let missing = match (self.head.kind, <[u8; 8]>::try_from(self.payload)) {
            (KIND_GAP, Ok(bytes)) => u64::from_le_bytes(bytes).max(1),
            _ => 1,
        };
        self.head.seq.saturating_add(missing)
    }
}

/// How far a segment could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Behind the last sound frame.
    pub(crate) end: u64,
    /// The number of the record that comes next.
    pub(crate) next_seq: u64,
    /// What is wrong there; `None` if the end is where it should be.
    pub(crate) fault: Option<Fault>,
}

/// A segment opened for reading up to `limit`.
pub(crate) struct Segments<'a, S> {
    storage: &'a S,
    segment: u64,
    limit: u64,
    buffer: Vec<u8>,
    start: u64,
}

impl<'a, S: Storage> Segments<'a, S> {
    pub(crate) fn open(storage: &'a S, segment: u64, limit: u64) -> Segments<'a, S> {
        Segments { storage, segment, limit, buffer: Vec::new(), start: 0 }
    }

    /// Reads the segment's header.
    pub(crate) fn header(&mut self) -> Result<Result<SegmentHeader, HeaderFault>, JournalError> {
        let length = self.limit.min(SEGMENT_HEADER_LEN as u64) as usize;
        Ok(match self.bytes(0, length)? {
            Some(bytes) => SegmentHeader::parse(bytes),
            None => Err(HeaderFault::Short),
        })
    }

    /// Visits all frames from the first on until the limit or the first fault.
    pub(crate) fn walk(
        &mut self,
        header: &SegmentHeader,
        mut visit: impl FnMut(Frame<'_>) -> Result<(), JournalError>,
    ) -> Result<Walked, JournalError> {
        let salt = header.salt();
        let mut end = SEGMENT_HEADER_LEN as u64;
        let mut next_seq = header.first_seq;
        loop {
            let stopped = |fault| Ok(Walked { end, next_seq, fault });
            if end == self.limit {
                return stopped(None);
            }
            let (following_seq, length) = match self.frame(end, salt)? {
                Found::Frame(frame) if frame.head.seq == next_seq => {
                    let following = frame.following_seq();
                    let length = HEADER_LEN + frame.payload.len();
                    visit(frame)?;
                    (following, length)
                }
                Found::Frame(frame) => {
                    return stopped(Some(Fault::Sequence { expected: next_seq, found: frame.head.seq }));
                }
                Found::BadPayload(head) => return stopped(Some(Fault::Payload { seq: head.seq })),
                Found::Cut => return stopped(Some(Fault::Cut { seq: next_seq })),
                Found::Nothing => return stopped(Some(Fault::Head { seq: next_seq })),
            };
            end += length as u64;
            next_seq = following_seq;
        }
    }

    /// Visits every sound head at any byte from `from` on, whose number is `seq` or later, with the length of its
    /// frame and whether its payload is sound too.
    ///
    /// A sound frame is stepped over as a whole, since a payload may hold anything; a damaged one is not, since its
    /// length may be what is damaged.
    pub(crate) fn search(
        &mut self,
        from: u64,
        seq: u64,
        salt: u32,
        mut visit: impl FnMut(u64, Option<Frame<'_>>, Head) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let mut at = from;
        while let Some(bytes) = self.window(at)? {
            // Most positions are told from a frame by their number alone, without a checksum.
            let most = seq.saturating_add((at - from) / HEADER_LEN as u64).saturating_add(u64::from(u32::MAX));
            let skip = bytes.windows(HEADER_LEN).position(|bytes| {
                let bytes: &[u8; HEADER_LEN] = bytes.try_into().expect("windows have the length asked for");
                let found = u64::from_le_bytes(bytes[6..14].try_into().expect("eight bytes of a fixed array"));
                (seq..=most).contains(&found) && Head::parse(bytes, salt).is_some()
            });
            let Some(skip) = skip else {
                at += (bytes.len() + 1 - HEADER_LEN) as u64;
                continue;
            };
            at += skip as u64;
            let head_bytes = self.bytes(at, HEADER_LEN)?.and_then(|bytes| bytes.first_chunk());
            let head = head_bytes.and_then(|bytes| Head::parse(bytes, salt));
            let head = head.expect("the same bytes were a head a moment ago");
            match self.frame(at, salt)? {
                Found::Frame(frame) => {
                    let length = HEADER_LEN + frame.payload.len();
                    visit(at, Some(frame), head)?;
                    at += length as u64;
                }
                Found::BadPayload(_) | Found::Cut | Found::Nothing => {
                    visit(at, None, head)?;
                    at += 1;
                }
            }
        }
        Ok(())
    }

    fn frame(&mut self, at: u64, salt: u32) -> Result<Found<'_>, JournalError> {
        let head = match self.bytes(at, HEADER_LEN)?.and_then(|bytes| bytes.first_chunk()) {
            None => return Ok(Found::Cut),
            Some(bytes) => match Head::parse(bytes, salt) {
                None => return Ok(Found::Nothing),
                Some(head) => head,
            },
        };
        let position = Position { segment: self.segment, offset: at };
        match self.bytes(at, HEADER_LEN + head.len as usize)? {
            None => Ok(Found::Cut),
            Some(bytes) => {
                let payload = &bytes[HEADER_LEN..];
                if crc32c::crc32c(payload) == head.payload_crc {
                    Ok(Found::Frame(Frame { at: position, head, payload }))
                } else {
                    Ok(Found::BadPayload(head))
                }
            }
        }
    }

    /// `length` bytes from `at`; `None` if they do not all lie before the limit.
    fn bytes(&mut self, at: u64, length: usize) -> Result<Option<&[u8]>, JournalError> {
        if at.checked_add(length as u64).is_none_or(|end| end > self.limit) {
            return Ok(None);
        }
        let held = self.start <= at && at + length as u64 <= self.start + self.buffer.len() as u64;
        if !held {
            self.load(at, length)?;
        }
        let from = (at - self.start) as usize;
        Ok(self.buffer.get(from..from + length))
    }

    /// Some bytes from `at`, at least the length of a head; `None` if the limit comes before.
    fn window(&mut self, at: u64) -> Result<Option<&[u8]>, JournalError> {
        if self.bytes(at, HEADER_LEN)?.is_none() {
            return Ok(None);
        }
        Ok(self.buffer.get((at - self.start) as usize..))
    }

    fn load(&mut self, at: u64, length: usize) -> Result<(), JournalError> {
        let wanted = (length.max(CHUNK) as u64).min(self.limit - at) as usize;
        self.buffer.resize(wanted, 0);
        self.start = at;
        let mut filled = 0;
        while filled < wanted {
            match self.storage.read_at(self.segment, at + filled as u64, &mut self.buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(JournalError::Io { segment: Some(self.segment), source }),
            }
        }
        self.buffer.truncate(filled);
        Ok(())
    }
}

enum Found<'a> {
    Frame(Frame<'a>),
    BadPayload(Head),
    Cut,
    Nothing,
}

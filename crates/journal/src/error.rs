//! What can be wrong with a journal.

use std::fmt;
use std::io;

use crate::frame::PayloadError;
use crate::segment::segment_name;

/// A place in the journal: a segment's file and a byte in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// Byte from the beginning of its file.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", segment_name(self.segment), self.offset)
    }
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The storage failed.
    #[error("cannot read {}", .segment.map_or_else(|| "the journal's folder".to_owned(), segment_name))]
    Io {
        /// The segment, if one was being read.
        segment: Option<u64>,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something that was on disk is damaged. To go on would be to lose jobs in silence.
    #[error(
        "the journal is damaged in {at}: {fault}; `awq journal salvage` writes a copy of what can be read and lists \
         what is lost"
    )]
    Damaged {
        /// Where.
        at: Position,
        /// What.
        fault: Fault,
    },
    /// A sound record that this release cannot read: most likely a newer release wrote it.
    #[error("cannot read record {seq} in {at}: {cause}; was the journal written by a newer release?")]
    Unreadable {
        /// Where.
        at: Position,
        /// Its sequence number.
        seq: u64,
        /// Why.
        cause: PayloadError,
    },
    /// A segment in a format of another release.
    #[error("{} has format {format}, this release reads format 1", segment_name(*.segment))]
    Format {
        /// Number of the segment.
        segment: u64,
        /// Its format.
        format: u32,
    },
    /// A checkpoint that does not hold what its end says. This is a bug of the release that wrote it.
    #[error("the checkpoint that ends in {at} should have {expected} jobs since record {begin_seq}, it has {found}")]
    Checkpoint {
        /// Where the end stands.
        at: Position,
        /// Where the checkpoint should begin.
        begin_seq: u64,
        /// Jobs it should have.
        expected: u64,
        /// Jobs it has.
        found: u64,
    },
}

/// What is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first bytes are no header of this segment.
    #[error("the header of the segment is damaged")]
    Header,
    /// A segment of another journal.
    #[error("the segment belongs to another journal")]
    Foreign,
    /// A file that should be there is not.
    #[error("segment {} is missing", segment_name(*.segment))]
    Missing {
        /// Its number.
        segment: u64,
    },
    /// The head of a frame has a wrong checksum.
    #[error("the head of record {seq} is damaged")]
    Head {
        /// The record that should stand there.
        seq: u64,
    },
    /// The payload of a frame has a wrong checksum.
    #[error("record {seq} is damaged")]
    Payload {
        /// The record.
        seq: u64,
    },
    /// The file ends before the record does.
    #[error("record {seq} is cut off")]
    Cut {
        /// The record that should stand there.
        seq: u64,
    },
    /// A sound frame with another number than expected.
    #[error("record {found} stands where record {expected} should")]
    Sequence {
        /// The number that should come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
}

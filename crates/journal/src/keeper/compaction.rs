//! When the journal is compacted (decision D53): what it holds beyond the live jobs is at most as much as they take, or the
//! floor if that is more. While a checkpoint is written its size comes on top.

use crate::record::Record;
use crate::writer::{Segment, Step, Writer};

/// What is known of live and other bytes.
#[derive(Debug)]
pub struct Compaction {
    /// Bytes that are no reason to compact.
    floor: u64,
    /// Bytes of the last complete checkpoint.
    live: u64,
    /// Begin of the checkpoint that is being written, and its bytes so far.
    begin_seq: u64,
    writing: u64,
    /// The core knows.
    asked: bool,
    events_upto: u64,
    history_upto: u64,
    /// The end of the checkpoint is written; when it is on disk, older segments go.
    ended: bool,
}

impl Compaction {
    /// For a journal whose last complete checkpoint has `live` bytes; `floor` bytes beyond it are no reason to compact.
    pub fn new(floor: u64, live: u64) -> Compaction {
        Compaction {
            floor,
            live,
            begin_seq: 0,
            writing: 0,
            asked: false,
            events_upto: 0,
            history_upto: 0,
            ended: false,
        }
    }

    /// Whether to ask the core for a checkpoint, once.
    pub(super) fn falls_due(&mut self, writer: &Writer) -> bool {
        let due = !self.asked && size(writer).saturating_sub(self.live) >= self.floor.max(self.live);
        self.asked |= due;
        due
    }

    /// A record is about to be written: a checkpoint begins with a segment of its own, so that all before it can go.
    pub(super) fn before(&self, record: &mut Record, writer: &mut Writer) {
        match record {
            Record::CheckpointBegin(_) => writer.rotate(),
            Record::CheckpointEnd(end) => end.begin_seq = self.begin_seq,
            _ => {}
        }
    }

    /// A record was written as `seq` and made the journal longer by so many bytes.
    pub(super) fn after(&mut self, record: &Record, seq: u64, bytes: u64) {
        match record {
            Record::CheckpointBegin(_) => (self.begin_seq, self.writing, self.asked) = (seq, bytes, true),
            Record::CheckpointBlob(_)
            | Record::CheckpointCluster(_)
            | Record::CheckpointJob(_)
            | Record::CheckpointFactory(_) => self.writing += bytes,
            Record::CheckpointEnd(_) => self.ended = true,
            Record::EventsUpto(upto) => self.events_upto = self.events_upto.max(upto.seq),
            Record::HistoryUpto(upto) => self.history_upto = self.history_upto.max(upto.seq),
            _ => {}
        }
    }

    /// Everything is on disk: removes what a checkpoint that has just ended stands for.
    pub(super) fn remove(&mut self, writer: &mut Writer) -> Vec<Step> {
        if !std::mem::take(&mut self.ended) {
            return Vec::new();
        }
        self.asked = false;
        self.live = self.writing;
        writer.compact(self.begin_seq, self.events_upto, self.history_upto)
    }

    /// The journal cannot be written: a checkpoint that was under way is given up.
    pub(super) fn give_up(&mut self) {
        (self.asked, self.ended) = (false, false);
    }
}

/// Bytes of all segments.
pub(super) fn size(writer: &Writer) -> u64 {
    writer.segments().values().map(|Segment { end, .. }| end).sum()
}

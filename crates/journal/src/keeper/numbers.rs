//! The core's numbers of records and the journal's.

use std::collections::VecDeque;

use crate::record::{EventsUpto, HistoryUpto, OutputsUpto, Record};

/// The journal numbers its own marks and the shell's records too, so the two drift apart; what the core writes *about*
/// records is put into the journal's numbers.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// From this number of the core on the journal's is so much higher, or lower where records were refused.
    steps: VecDeque<(u64, i64)>,
}

impl Numbers {
    /// Steps kept: beyond, old numbers are translated to something lower, which only makes recovery look further back.
    const STEPS_MAX: usize = 1 << 16;

    /// The core's record `no` is the journal's `seq`; a refused one counts as the last that is there.
    pub(super) fn note(&mut self, no: u64, seq: u64) {
        let ahead = seq.cast_signed() - no.cast_signed();
        if self.steps.back().map_or(0, |(_, ahead)| *ahead) != ahead {
            self.steps.push_back((no, ahead));
            if self.steps.len() > Self::STEPS_MAX {
                self.steps.pop_front();
            }
        }
    }

    /// Records from this one on are not in the journal after all.
    pub(super) fn forget_from(&mut self, no: u64) {
        while self.steps.pop_back_if(|(from, _)| *from >= no).is_some() {}
    }

    fn seq(&self, no: u64) -> u64 {
        let after = self.steps.partition_point(|(from, _)| *from <= no);
        no.saturating_add_signed(after.checked_sub(1).map_or(0, |index| self.steps[index].1))
    }

    /// The record to write instead if this one names others by the core's numbers; it stays as it is, since it may be
    /// written again when they are others. The jobs of a checkpoint are not, and are changed in their place.
    pub(super) fn translate(&self, record: &mut Record) -> Option<Record> {
        Some(match record {
            Record::EventsUpto(upto) => EventsUpto { seq: self.seq(upto.seq) }.into(),
            Record::HistoryUpto(upto) => HistoryUpto { seq: self.seq(upto.seq) }.into(),
            Record::OutputsUpto(upto) if upto.seq != OutputsUpto::ALL => OutputsUpto { seq: self.seq(upto.seq) }.into(),
            Record::CheckpointJob(job) => {
                job.reflects_seq = self.seq(job.reflects_seq);
                return None;
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_journal() {
        let mut numbers = Numbers::default();
        for (no, seq) in [(1, 1), (2, 3), (3, 4), (4, 7)] {
            numbers.note(no, seq);
        }
        assert_eq!([1, 2, 3, 4, 5].map(|no| numbers.seq(no)), [1, 3, 4, 7, 8]);
        let mut record = Record::from(EventsUpto { seq: 3 });
        assert_eq!(numbers.translate(&mut record), Some(EventsUpto { seq: 4 }.into()));
        for (no, seq) in [(4, Some(7)), (OutputsUpto::ALL, None)] {
            let mut record = Record::from(OutputsUpto { seq: no });
            assert_eq!(numbers.translate(&mut record), seq.map(|seq| OutputsUpto { seq }.into()));
        }
    }

    #[test]
    fn a_refused_record_is_the_one_before() {
        let mut numbers = Numbers::default();
        for (no, seq) in [(1, 1), (2, 3), (3, 4), (4, 5)] {
            numbers.note(no, seq);
        }
        numbers.forget_from(3);
        numbers.note(3, 3);
        numbers.note(4, 4);
        numbers.note(5, 4);
        assert_eq!([1, 2, 3, 4, 5, 6].map(|no| numbers.seq(no)), [1, 3, 3, 4, 4, 5]);
    }
}

//! whatever a power cut does to unsynced bytes, everything promised is there and nothing is there by half.

use journal::powercut::{Dice, Disk};
use journal::{Batch, Record, StepError, Storage, Writer, replay};
use proptest::prelude::*;

use crate::records::record;

/// What was written, and how much of it must come back.
struct World {
    disk: Disk,
    writer: Writer,
    /// All records appended, whether they reached the disk or not.
    appended: Vec<(u64, Record)>,
    /// Records up to this number were synced.
    promised: u64,
    /// Records up to this number are at least in the machine's memory.
    written: u64,
}

impl World {
    fn new(rotate_at: u64) -> World {
        World {
            disk: Disk::new(),
            writer: Writer::create([1; 16]).with_rotation_at(rotate_at),
            appended: Vec::new(),
            promised: 0,
            written: 0,
        }
    }

    fn append(&mut self, record: Record) {
        let seq = self.writer.append(&record).unwrap();
        self.appended.push((seq, record));
    }

    /// Carries a batch out as the shell does; stops where the power goes.
    fn commit(&mut self, sync: bool) -> Result<(), StepError> {
        while let Some(batch) = self.writer.take_batch() {
            self.carry_out(&batch)?;
            if sync || batch.must_sync {
                self.disk.sync(batch.segment).map_err(StepError::Sync)?;
                self.writer.synced(batch.upto_seq);
                self.promised = batch.upto_seq;
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, batch: &Batch) -> Result<(), StepError> {
        batch.carry_out(&mut self.disk)?;
        self.written = batch.upto_seq;
        Ok(())
    }

    /// Reads the journal back and checks it against what must and what may be there.
    fn restart(&mut self, at_least: u64, rotate_at: u64) {
        let mut found = Vec::new();
        let recovery = replay(&self.disk, |entry| found.push((entry.seq, entry.record))).unwrap();
        assert_eq!(found, self.appended[..found.len()], "what comes back is a beginning of what was written");
        let missing = self.appended[found.len()..].first().map(|(seq, _)| *seq);
        assert!(missing.is_none_or(|seq| seq > at_least), "record {missing:?} was promised ({at_least})");
        self.appended.truncate(found.len());
        self.writer = recovery.writer([9; 16]).with_rotation_at(rotate_at);
        self.written = recovery.next_seq - 1;
    }
}

fn history(seed: u64, steps: u64) {
    let mut dice = Dice::new(seed);
    let rotate_at = 100 + dice.below(3000);
    let mut world = World::new(rotate_at);
    for _ in 0..steps {
        match dice.below(20) {
            0 | 1 => {
                // The power goes after some operation, perhaps in the middle of a rotation.
                world.disk.power_off_after(1 + dice.below(9));
                for _ in 0..dice.below(5) {
                    world.append(record(dice.roll()));
                    if world.commit(dice.below(2) == 0).is_err() {
                        break;
                    }
                }
                world.disk.cut(dice.roll());
                world.restart(world.promised, rotate_at);
            }
            2 => {
                world.disk.crash();
                world.restart(world.written, rotate_at);
            }
            3..=9 => world.commit(dice.below(3) == 0).unwrap(),
            _ => world.append(record(dice.roll())),
        }
    }
    world.append(record(1));
    world.commit(true).unwrap();
    let last = world.appended.last().map_or(0, |(seq, _)| *seq);
    assert!(world.promised >= last);
    world.disk.cut(seed);
    world.restart(last, rotate_at);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn promises_survive_and_nothing_is_half_there(seed: u64) {
        history(seed, 120);
    }
}

#[test]
fn a_long_history_with_many_cuts() {
    history(1, 1000);
}

#[test]
fn a_cut_at_each_operation_of_a_short_history() {
    for operations in 1..60 {
        for seed in 0..30 {
            let mut world = World::new(300);
            world.disk.power_off_after(operations);
            for step in 0..12 {
                world.append(record(step));
                if world.commit(step % 2 == 0).is_err() {
                    break;
                }
            }
            world.disk.cut(seed);
            world.restart(world.promised, 300);
            world.append(record(99));
            world.commit(true).unwrap();
            world.restart(world.promised, 300);
        }
    }
}

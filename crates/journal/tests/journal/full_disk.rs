//! a write that fails is taken back whole, and the journal goes on when there is room again.

use journal::powercut::{Dice, Disk};
use journal::{StepError, Writer, survey};
use proptest::prelude::*;

use crate::records::{commit, read_back, record};

fn history(seed: u64) {
    let mut dice = Dice::new(seed);
    let mut disk = Disk::new();
    let mut writer = Writer::create([1; 16]).with_rotation_at(50 + dice.below(2000));
    let mut kept = Vec::new();
    let mut refused = 0;
    for _ in 0..40 {
        if dice.below(3) == 0 {
            let room = dice.below(1500);
            disk.set_capacity(Some(disk.size() + room));
        }
        let appended: Vec<_> = (0..1 + dice.below(4))
            .map(|_| {
                let record = record(dice.roll());
                (writer.append(&record).unwrap(), record)
            })
            .collect();
        let batch = writer.take_batch().unwrap();
        match batch.carry_out(&mut disk) {
            Ok(()) => {
                kept.extend(appended);
                writer.synced(batch.upto_seq);
            }
            Err(error) => {
                let StepError::Write(error) = error else { panic!("no sync has failed: {error}") };
                assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
                refused += 1;
                for step in writer.abandon(batch) {
                    step.carry_out(&mut disk).unwrap();
                }
                // What was refused is gone, at once and after a restart.
                assert_eq!(read_back(&disk), kept);
                disk.set_capacity(None);
            }
        }
    }
    disk.set_capacity(None);
    commit(&mut writer, &mut disk, true);
    assert_eq!(read_back(&disk), kept);
    assert_eq!(survey(&disk).unwrap().next_seq, writer.next_seq());
    assert!(refused > 0 || kept.len() > 10);
}

proptest! {
    #[test]
    fn refused_records_leave_no_trace(seed: u64) {
        history(seed);
    }
}

#[test]
fn the_very_first_write_can_fail() {
    for capacity in 0..60 {
        let mut disk = Disk::new();
        let mut writer = Writer::create([1; 16]);
        disk.set_capacity(Some(capacity));
        writer.append(&record(1)).unwrap();
        let batch = writer.take_batch().unwrap();
        assert!(batch.carry_out(&mut disk).is_err());
        for step in writer.abandon(batch) {
            step.carry_out(&mut disk).unwrap();
        }
        disk.set_capacity(None);
        let record = record(2);
        assert_eq!(writer.append(&record), Ok(1));
        commit(&mut writer, &mut disk, true);
        assert_eq!(read_back(&disk), [(1, record)]);
    }
}

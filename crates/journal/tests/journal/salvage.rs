//! Salvage: the copy is sound, has everything that is readable, and the losses are listed.

use journal::powercut::{Dice, Disk};
use journal::{
    CheckpointBegin, CheckpointEnd, CheckpointJob, JobId, Loss, Position, Record, Storage, Tail, Writer, replay,
    salvage, survey,
};
use proptest::prelude::*;

use crate::records::{commit, of_kind, read_back, record};

/// A journal of several segments and what is in it.
fn sample() -> (Disk, Vec<(u64, Record)>) {
    let mut disk = Disk::new();
    let mut writer = Writer::create([1; 16]).with_rotation_at(600);
    let mut records = Vec::new();
    for seed in 0..40 {
        let record = record(seed);
        records.push((writer.append(&record).unwrap(), record));
        commit(&mut writer, &mut disk, true);
    }
    (disk, records)
}

#[test]
fn a_sound_journal_is_copied_whole() {
    let (disk, records) = sample();
    let mut copy = Disk::new();
    let salvaged = salvage(&disk, &mut copy, [8; 16]).unwrap();
    assert_eq!(salvaged.losses, []);
    assert_eq!(salvaged.records, records.len() as u64);
    assert!(!salvaged.checkpoint_mended);
    assert_eq!(read_back(&copy), records);
    assert_eq!(survey(&copy).unwrap().next_seq, survey(&disk).unwrap().next_seq);
}

#[test]
fn a_damaged_record_alone_is_lost_and_named() {
    let (disk, records) = sample();
    let mut damaged = disk.clone();
    let mut content = disk.content(2).unwrap().to_vec();
    let len = u32::from_le_bytes(content[56..60].try_into().unwrap());
    let seq = u64::from_le_bytes(content[62..70].try_into().unwrap());
    content[60] ^= 1;
    damaged.set_content(2, content);
    assert!(survey(&damaged).is_err());
    let mut copy = Disk::new();
    let salvaged = salvage(&damaged, &mut copy, [8; 16]).unwrap();
    let before = Position { segment: 2, offset: 56 + 26 + u64::from(len) };
    assert_eq!(salvaged.losses, [Loss { before, first_seq: seq, records: 1, bytes: 26 + u64::from(len) }]);
    let expected: Vec<_> = records.into_iter().filter(|(found, _)| *found != seq).collect();
    assert_eq!(read_back(&copy), expected);
    assert_eq!(survey(&copy).unwrap().gaps, 1);
}

#[test]
fn a_missing_segment_and_a_damaged_header_cost_no_other_segment() {
    let (disk, records) = sample();
    let segments = survey(&disk).unwrap().segments;
    let lost = segments[&2].first_seq..segments[&3].first_seq;
    let mut damaged = disk.clone();
    damaged.remove(2).unwrap();
    let mut header = disk.content(1).unwrap().to_vec();
    header[54] ^= 4;
    damaged.set_content(1, header);
    let mut copy = Disk::new();
    let salvaged = salvage(&damaged, &mut copy, [8; 16]).unwrap();
    assert_eq!(salvaged.losses.len(), 1);
    assert_eq!((salvaged.losses[0].first_seq, salvaged.losses[0].records), (lost.start, lost.end - lost.start));
    let expected: Vec<_> = records.into_iter().filter(|(seq, _)| !lost.contains(seq)).collect();
    assert_eq!(read_back(&copy), expected);
}

/// A checkpoint of four jobs whose older segments are gone, and the place of each of its frames.
fn checkpointed() -> (Disk, u64) {
    let mut disk = Disk::new();
    let mut writer = Writer::create([1; 16]).with_rotation_at(100_000);
    writer.append(&record(1)).unwrap();
    commit(&mut writer, &mut disk, true);
    writer.rotate();
    let begin_seq = writer.append(&CheckpointBegin { next_cluster: 9, at_s: 1 }.into()).unwrap();
    for proc_ in 0..4 {
        let Record::CheckpointJob(job) = of_kind(16, &mut Dice::new(1)) else { unreachable!() };
        writer.append(&CheckpointJob { job: JobId::new(7, proc_), ..*job }.into()).unwrap();
    }
    writer.append(&CheckpointEnd { begin_seq, jobs: 4 }.into()).unwrap();
    commit(&mut writer, &mut disk, true);
    for step in writer.compact(begin_seq, u64::MAX, u64::MAX) {
        step.carry_out(&mut disk).unwrap();
    }
    assert_eq!(disk.list().unwrap(), [2]);
    (disk, begin_seq)
}

#[test]
fn what_is_left_of_a_checkpoint_counts() {
    let (disk, begin_seq) = checkpointed();
    let content = disk.content(2).unwrap();
    let mut at = 56;
    // Begin, four jobs, end: any one of them damaged.
    for index in 0..6u64 {
        let len = u32::from_le_bytes(content[at..at + 4].try_into().unwrap()) as usize;
        let mut damaged = disk.clone();
        let mut bytes = content.to_vec();
        bytes[at + 25] ^= 1;
        at += 26 + len;
        damaged.set_content(2, bytes);
        assert!(survey(&damaged).is_err());
        let mut copy = Disk::new();
        let salvaged = salvage(&damaged, &mut copy, [8; 16]).unwrap();
        assert!(salvaged.checkpoint_mended, "{index}");
        let mut jobs = 0;
        let mut next_cluster = 0;
        let recovery = replay(&copy, |entry| match entry.record {
            Record::CheckpointJob(_) => jobs += 1,
            Record::CheckpointBegin(begin) => next_cluster = begin.next_cluster,
            _ => {}
        })
        .unwrap();
        assert_eq!(jobs, if (1..5).contains(&index) { 3 } else { 4 }, "{index}");
        assert!(next_cluster > 0);
        assert_eq!(recovery.checkpoint.unwrap().begin_seq, begin_seq);
        // A lost begin is written anew in its own place.
        assert_eq!(recovery.gaps, u64::from(index > 0), "{index}");
    }
}

#[test]
fn an_end_of_a_checkpoint_in_front_of_its_begin_is_left_out() {
    for begin_seq in [1, 2, 45] {
        let mut disk = Disk::new();
        let mut writer = journal::Writer::create([7; 16]);
        writer.append(&Record::from(journal::CheckpointEnd { begin_seq, jobs: 1 })).unwrap();
        writer.append(&Record::from(journal::EventsUpto { seq: 1 })).unwrap();
        writer.take_batch().unwrap().carry_out(&mut disk).unwrap();
        assert!(survey(&disk).is_err());
        let mut copy = Disk::new();
        salvage(&disk, &mut copy, [8; 16]).unwrap();
        let mut kept = Vec::new();
        let recovery = replay(&copy, |entry| kept.push(entry.record)).unwrap();
        assert_eq!((kept.len(), recovery.checkpoint), (1, None), "{begin_seq}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_copy_is_sound_whatever_was_done_to_the_original(
        damages in prop::collection::vec((0usize..6, any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let (mut disk, records) = sample();
        for (segment, place, byte) in damages {
            let segment = segment as u64 + 1;
            let Some(content) = disk.content(segment) else { continue };
            let mut content = content.to_vec();
            match byte {
                0..10 => content.truncate(place.index(content.len() + 1)),
                10..20 => content = vec![byte; content.len()],
                _ if content.is_empty() => {}
                _ => {
                    let at = place.index(content.len());
                    content[at] ^= byte;
                }
            }
            disk.set_content(segment, content);
        }
        let mut copy = Disk::new();
        // A header may by chance say another format; nothing is copied then.
        if salvage(&disk, &mut copy, [8; 16]).is_ok() {
            let recovery = survey(&copy).unwrap();
            prop_assert_eq!(recovery.tail, Tail::Clean);
            for entry in read_back(&copy) {
                prop_assert!(records.contains(&entry));
            }
            let mut writer = recovery.writer([0; 16]);
            writer.append(&record(1)).unwrap();
            commit(&mut writer, &mut copy, true);
            prop_assert!(survey(&copy).is_ok());
        }
    }
}

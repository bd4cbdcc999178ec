//! What is written comes back.

use journal::powercut::{Dice, Disk};
use journal::{JournalError, Record, Tail, Writer, replay};
use proptest::prelude::*;

use crate::records::{KINDS, commit, of_kind, read_back, record};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_record_comes_back_in_order(seeds in prop::collection::vec(any::<u64>(), 0..60), rotate_at in 60u64..5000) {
        let mut disk = Disk::new();
        let mut writer = Writer::create([1; 16]).with_rotation_at(rotate_at);
        let mut written = Vec::new();
        for seed in &seeds {
            let record = record(*seed);
            written.push((writer.append(&record).unwrap(), record));
            if seed % 3 == 0 {
                commit(&mut writer, &mut disk, seed % 2 == 0);
            }
        }
        commit(&mut writer, &mut disk, true);
        prop_assert_eq!(read_back(&disk), written);
        let recovery = replay(&disk, |_| {}).unwrap();
        prop_assert_eq!(recovery.tail, Tail::Clean);
        prop_assert_eq!(recovery.next_seq, writer.next_seq());
        prop_assert_eq!(&recovery.segments, writer.segments());
        let size: u64 = recovery.segments.values().map(|segment| segment.end).sum();
        prop_assert_eq!(size, disk.size());
    }
}

#[test]
fn every_kind_keeps_all_its_fields() {
    for kind in 0..KINDS {
        for seed in 0..40 {
            let record = of_kind(kind, &mut Dice::new(seed));
            // Checkpoints come out only whole; their payloads are what is asked here.
            let payload = journal::frame::encode(&record).unwrap();
            assert_eq!(journal::frame::decode(record.kind(), record.version(), &payload), Ok(record));
        }
    }
}

#[test]
fn a_journal_goes_on_over_many_restarts() {
    let mut disk = Disk::new();
    let mut written = Vec::new();
    for round in 0..20u64 {
        let recovery = replay(&disk, |_| {}).unwrap();
        let mut writer = recovery.writer([round as u8; 16]).with_rotation_at(2000);
        for seed in 0..round {
            let record = record(round * 100 + seed);
            written.push((writer.append(&record).unwrap(), record));
        }
        commit(&mut writer, &mut disk, true);
        assert_eq!(read_back(&disk), written);
    }
}

#[test]
fn an_empty_folder_is_an_empty_journal() {
    let recovery = replay(&Disk::new(), |_| {}).unwrap();
    assert_eq!((recovery.id, recovery.next_segment, recovery.next_seq), (None, 1, 1));
    assert_eq!(recovery.tail, Tail::Clean);
}

#[test]
fn only_promises_ask_for_a_sync() {
    for kind in 0..KINDS {
        let record = of_kind(kind, &mut Dice::new(1));
        let mut writer = Writer::create([1; 16]);
        writer.append(&record).unwrap();
        assert_eq!(writer.take_batch().unwrap().must_sync, record.is_promise(), "{}", record.name());
    }
}

#[test]
fn unknown_kinds_and_versions_are_named_with_their_place() {
    for (kind, version, wanted) in [
        (99, 1, "record kind 99 is unknown"),
        (3, 2, "version 2 of Held records is unknown"),
        (12, 1, "has 3 bytes more"),
        (3, 1, "Held record is malformed"),
    ] {
        let mut disk = Disk::new();
        let mut writer = Writer::create([1; 16]);
        writer.append(&record(1)).unwrap();
        writer.append_payload(kind, version, &[0; 4]);
        commit(&mut writer, &mut disk, true);
        let error = replay(&disk, |_| {}).unwrap_err();
        assert!(matches!(error, JournalError::Unreadable { seq: 2, .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(wanted) && text.contains("0000000001.journal at byte "), "{text}");
    }
}

#[test]
fn a_record_beyond_the_limit_is_refused_and_leaves_no_trace() {
    let mut writer = Writer::create([1; 16]);
    let Record::Submitted(mut submitted) = of_kind(0, &mut Dice::new(1)) else { unreachable!() };
    submitted.clusters[0].rows = vec![0; journal::PAYLOAD_MAX];
    let before = writer.next_seq();
    assert!(writer.append(&submitted.into()).is_err());
    assert_eq!(writer.next_seq(), before);
    let mut disk = Disk::new();
    let small = record(5);
    writer.append(&small).unwrap();
    commit(&mut writer, &mut disk, true);
    assert_eq!(read_back(&disk), [(1, small)]);
}

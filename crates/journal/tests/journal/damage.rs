//! a torn tail is dropped and told, damage anywhere else is named and refused.

use journal::powercut::{Dice, Disk};
use journal::{Fault, JournalError, Position, Record, Tail, Writer, replay, survey};

use proptest::prelude::*;

use crate::records::{commit, of_kind, read_back, record};

const HEADER: usize = 56;

/// A journal of one segment: records and where their frames (and the marks') begin.
struct Sample {
    content: Vec<u8>,
    records: Vec<(u64, Record)>,
}

impl Sample {
    /// `committed` records, each synced by itself and followed by its mark, then `loose` ones that no sync covered.
    fn new(committed: u64, loose: u64) -> Sample {
        let mut disk = Disk::new();
        let mut writer = Writer::create([1; 16]);
        let mut records = Vec::new();
        for seed in 0..committed + loose {
            let record = record(seed + 100);
            records.push((writer.append(&record).unwrap(), record));
            if seed < committed {
                commit(&mut writer, &mut disk, true);
            }
        }
        if let Some(batch) = writer.take_batch() {
            batch.carry_out(&mut disk).unwrap();
        }
        Sample { content: disk.content(1).unwrap().to_vec(), records }
    }

    /// Begin of each frame, with the number of its record.
    fn frames(&self) -> Vec<(usize, u64)> {
        let mut frames = Vec::new();
        let mut at = HEADER;
        while at < self.content.len() {
            let len = u32::from_le_bytes(self.content[at..at + 4].try_into().unwrap()) as usize;
            let seq = u64::from_le_bytes(self.content[at + 6..at + 14].try_into().unwrap());
            frames.push((at, seq));
            at += 26 + len;
        }
        assert_eq!(at, self.content.len());
        frames
    }

    fn before(&self, seq: u64) -> Vec<(u64, Record)> {
        self.records.iter().filter(|(found, _)| *found < seq).cloned().collect()
    }
}

fn disk_with(content: Vec<u8>) -> Disk {
    let mut disk = Disk::new();
    disk.set_content(1, content);
    disk
}

/// Checks that the journal is torn at this place, that exactly these records come out, and that it can go on.
fn check_torn(mut disk: Disk, offset: usize, records: &[(u64, Record)]) {
    let recovery = survey(&disk).unwrap();
    let len = disk.content(1).unwrap().len();
    match recovery.tail {
        Tail::Clean => assert_eq!(len, offset),
        Tail::Torn { at, bytes_dropped, .. } => {
            assert_eq!(at, Position { segment: 1, offset: offset as u64 });
            assert_eq!(bytes_dropped, (len - offset) as u64);
            assert!(bytes_dropped > 0 || offset == 0);
        }
    }
    assert_eq!(read_back(&disk), records);
    let mut writer = recovery.writer([2; 16]);
    let record = record(7);
    let seq = writer.append(&record).unwrap();
    commit(&mut writer, &mut disk, true);
    let mut expected = records.to_vec();
    expected.push((seq, record));
    assert_eq!(read_back(&disk), expected);
    assert_eq!(survey(&disk).unwrap().tail, Tail::Clean);
}

#[track_caller]
fn check_damaged(disk: &Disk, at: Position) -> Fault {
    let mut given = 0;
    let error = replay(disk, |_| given += 1).unwrap_err();
    assert_eq!(given, 0, "nothing is given out of a damaged journal");
    let text = error.to_string();
    let JournalError::Damaged { at: found, fault } = error else { panic!("{text}") };
    assert_eq!(found, at, "{text}");
    let name = journal::segment_name(at.segment);
    let place = format!("{name} at byte {}", at.offset);
    assert!(text.contains(&place) && text.contains("`awq journal salvage`"), "{text}");
    fault
}

#[test]
fn a_journal_cut_at_any_byte_keeps_all_whole_records() {
    let sample = Sample::new(6, 5);
    let frames = sample.frames();
    for len in 0..=sample.content.len() {
        let disk = disk_with(sample.content[..len].to_vec());
        let ends = frames.iter().skip(1).map(|(at, _)| *at).chain([sample.content.len()]);
        let whole = ends.take_while(|end| *end <= len).count();
        let end = if len < HEADER { 0 } else { frames.get(whole).map_or(len, |(at, _)| *at) };
        let next_seq = frames.get(whole).map_or(u64::MAX, |(_, seq)| *seq);
        check_torn(disk, end, &sample.before(next_seq));
    }
}

#[test]
fn a_flipped_bit_in_a_synced_record_is_damage() {
    let sample = Sample::new(8, 0);
    let frames = sample.frames();
    // The last three records and their marks: six frames, the last mark excepted.
    for window in frames[frames.len() - 6..].windows(2) {
        let [(from, _), (to, _)] = window else { unreachable!() };
        for bit in from * 8..to * 8 {
            let mut content = sample.content.clone();
            content[bit / 8] ^= 1 << (bit % 8);
            check_damaged(&disk_with(content), Position { segment: 1, offset: *from as u64 });
        }
    }
}

#[test]
fn a_flipped_bit_in_the_last_mark_loses_nothing() {
    let sample = Sample::new(4, 0);
    let (from, seq) = *sample.frames().last().unwrap();
    for bit in from * 8..sample.content.len() * 8 {
        let mut content = sample.content.clone();
        content[bit / 8] ^= 1 << (bit % 8);
        check_torn(disk_with(content), from, &sample.before(seq));
    }
}

#[test]
fn a_flipped_bit_in_unsynced_records_drops_the_tail_and_counts_it() {
    let sample = Sample::new(3, 3);
    let frames = sample.frames();
    let ends: Vec<usize> = frames.iter().skip(1).map(|(at, _)| *at).chain([sample.content.len()]).collect();
    for index in frames.len() - 3..frames.len() {
        let (from, seq) = frames[index];
        for bit in from * 8..ends[index] * 8 {
            let mut content = sample.content.clone();
            content[bit / 8] ^= 1 << (bit % 8);
            let disk = disk_with(content);
            match survey(&disk).unwrap().tail {
                Tail::Torn { records_dropped, .. } => {
                    assert_eq!(records_dropped, (frames.len() - 1 - index) as u64);
                }
                Tail::Clean => panic!("bit {bit} was not seen"),
            }
            if bit % 8 == 0 {
                check_torn(disk, from, &sample.before(seq));
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_the_header_is_damage() {
    let sample = Sample::new(2, 0);
    for bit in 0..HEADER * 8 {
        let mut content = sample.content.clone();
        content[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check_damaged(&disk_with(content), Position { segment: 1, offset: 0 }), Fault::Header);
    }
}

#[test]
fn anything_appended_is_a_torn_tail() {
    let sample = Sample::new(5, 0);
    let other = {
        let mut disk = Disk::new();
        let mut writer = Writer::create([9; 16]);
        for seed in 0..20 {
            writer.append(&record(seed)).unwrap();
        }
        commit(&mut writer, &mut disk, true);
        disk.content(1).unwrap().to_vec()
    };
    let mut dice = Dice::new(3);
    let garbage: Vec<u8> = (0..100_000).map(|_| dice.roll() as u8).collect();
    for tail in [
        vec![0],
        vec![0; 26],
        vec![0; 5000],
        vec![0xFF; 5000],
        garbage,
        b"#!/bin/sh\necho a foreign file\n".to_vec(),
        other.clone(),
        other[HEADER..].to_vec(),
        sample.content.clone(),
        sample.content[HEADER..].to_vec(),
    ] {
        let content = [sample.content.clone(), tail].concat();
        check_torn(disk_with(content), sample.content.len(), &sample.records);
    }
}

#[test]
fn a_foreign_file_in_place_of_the_journal_is_refused() {
    for content in [vec![0; 4096], b"x".repeat(57)] {
        assert_eq!(check_damaged(&disk_with(content), Position { segment: 1, offset: 0 }), Fault::Header);
    }
}

#[test]
fn a_copy_of_the_journal_inside_a_torn_record_is_not_taken_for_records() {
    let mut disk = Disk::new();
    let mut writer = Writer::create([1; 16]);
    let first = record(1);
    writer.append(&first).unwrap();
    commit(&mut writer, &mut disk, true);
    let Record::Submitted(mut submitted) = of_kind(0, &mut Dice::new(1)) else { unreachable!() };
    submitted.clusters[0].rows = disk.content(1).unwrap().repeat(3);
    let from = disk.content(1).unwrap().len();
    writer.append(&submitted.into()).unwrap();
    writer.take_batch().unwrap().carry_out(&mut disk).unwrap();
    let content = disk.content(1).unwrap();
    for len in (from + 1..content.len()).step_by(7) {
        check_torn(disk_with(content[..len].to_vec()), from, &[(1, first.clone())]);
    }
}

#[test]
fn an_announced_length_is_not_allocated() {
    let sample = Sample::new(1, 0);
    let mut disk = disk_with(sample.content.clone());
    let mut writer = survey(&disk).unwrap().writer([1; 16]);
    writer.append(&record(1)).unwrap();
    commit(&mut writer, &mut disk, true);
    for len in [u32::MAX, 1 << 28, 1 << 20] {
        let mut content = disk.content(2).unwrap().to_vec();
        content[HEADER..HEADER + 4].copy_from_slice(&len.to_le_bytes());
        let mut torn = disk.clone();
        torn.set_content(2, content);
        check_damaged(&torn, Position { segment: 2, offset: HEADER as u64 });
    }
}

/// A journal of several segments.
fn segments() -> (Disk, Vec<(u64, Record)>) {
    let mut disk = Disk::new();
    let mut writer = Writer::create([1; 16]).with_rotation_at(600);
    let mut records = Vec::new();
    for seed in 0..40 {
        let record = record(seed);
        records.push((writer.append(&record).unwrap(), record));
        commit(&mut writer, &mut disk, true);
    }
    assert!(writer.segments().len() > 4);
    (disk, records)
}

#[test]
fn any_flipped_bit_in_an_older_segment_is_damage() {
    let (disk, _) = segments();
    let content = disk.content(2).unwrap().to_vec();
    for bit in 0..content.len() * 8 {
        let mut changed = content.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let mut damaged = disk.clone();
        damaged.set_content(2, changed);
        let error = replay(&damaged, |_| {}).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { at: Position { segment: 2, .. }, .. }), "{error}");
    }
}

#[test]
fn an_older_segment_that_is_cut_missing_or_foreign_is_damage() {
    let (disk, _) = segments();
    let content = disk.content(2).unwrap().to_vec();
    for len in HEADER..content.len() {
        let mut damaged = disk.clone();
        damaged.set_content(2, content[..len].to_vec());
        assert!(matches!(survey(&damaged), Err(JournalError::Damaged { at: Position { segment: 2, .. }, .. })));
    }

    let mut damaged = disk.clone();
    journal::Storage::remove(&mut damaged, 2).unwrap();
    let fault = check_damaged(&damaged, Position { segment: 3, offset: 0 });
    assert_eq!(fault, Fault::Missing { segment: 2 });

    let mut damaged = disk.clone();
    journal::Storage::remove(&mut damaged, 1).unwrap();
    let fault = check_damaged(&damaged, Position { segment: 2, offset: 0 });
    assert_eq!(fault, Fault::Missing { segment: 1 });

    let mut other = Disk::new();
    let mut writer = Writer::create([5; 16]);
    writer.rotate();
    writer.append(&record(1)).unwrap();
    commit(&mut writer, &mut other, true);
    let mut damaged = disk.clone();
    damaged.set_content(2, other.content(2).unwrap().to_vec());
    assert_eq!(check_damaged(&damaged, Position { segment: 2, offset: 0 }), Fault::Foreign);
}

#[test]
fn bytes_behind_the_end_of_an_older_segment_do_not_count() {
    let (mut disk, records) = segments();
    let content = [disk.content(2).unwrap(), &[7; 100]].concat();
    disk.set_content(2, content);
    assert_eq!(read_back(&disk), records);
}

#[test]
fn a_creation_cut_short_is_taken_up_again() {
    let (disk, records) = segments();
    let last = *survey(&disk).unwrap().segments.keys().next_back().unwrap();
    for content in [vec![], vec![0; HEADER], b"AWQjrnl\n".to_vec(), vec![9; 30]] {
        let mut disk = disk.clone();
        disk.set_content(last + 1, content);
        let recovery = survey(&disk).unwrap();
        assert_eq!(recovery.next_segment, last + 1);
        assert!(matches!(recovery.tail, Tail::Torn { at: Position { offset: 0, .. }, .. }));
        let mut writer = recovery.writer([2; 16]);
        let record = record(3);
        let seq = writer.append(&record).unwrap();
        commit(&mut writer, &mut disk, true);
        let mut expected = records.clone();
        expected.push((seq, record));
        assert_eq!(read_back(&disk), expected);
    }
}

#[test]
fn another_format_is_named() {
    let mut content = Sample::new(1, 0).content;
    content[8] = 2;
    let crc = crc32c::crc32c(&content[..52]);
    content[52..56].copy_from_slice(&crc.to_le_bytes());
    let error = survey(&disk_with(content)).unwrap_err();
    assert_eq!(error.to_string(), "0000000001.journal has format 2, this release reads format 1");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Payloads with right checksums and any content, as only a bug or malice can write them.
    #[test]
    fn any_payload_is_read_or_refused(
        payloads in prop::collection::vec((0u8..40, 0u8..3, prop::collection::vec(any::<u8>(), 0..80)), 1..6),
    ) {
        let mut disk = Disk::new();
        let mut writer = Writer::create([1; 16]);
        for (kind, version, payload) in &payloads {
            // Gaps are salvage's; their numbers would have to be right.
            writer.append_payload(*kind, *version, payload);
        }
        commit(&mut writer, &mut disk, true);
        let mut given = 0;
        match replay(&disk, |_| given += 1) {
            Ok(recovery) => prop_assert_eq!(recovery.tail, Tail::Clean),
            Err(JournalError::Unreadable { .. } | JournalError::Checkpoint { .. }) => {}
            Err(error) => prop_assert!(false, "{}", error),
        }
        prop_assert!(given <= payloads.len());
    }

    #[test]
    fn any_file_is_read_or_refused(content in prop::collection::vec(any::<u8>(), 0..300), keep in 0usize..200) {
        let sample = Sample::new(2, 1);
        let keep = keep.min(sample.content.len());
        let disk = disk_with([&sample.content[..keep], &content].concat());
        let mut given = Vec::new();
        if replay(&disk, |entry| given.push((entry.seq, entry.record))).is_ok() {
            prop_assert_eq!(&given[..], &sample.records[..given.len()]);
        }
    }
}

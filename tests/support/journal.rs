//! The journal of a site whose master does not run.

use std::path::Path;

use journal::powercut::Disk;
use journal::{Record, replay, segment_name, segment_number};
use testkit::Site;

/// The journal's files, in memory.
pub(crate) fn read_journal(site: &Site) -> Disk {
    let mut disk = Disk::new();
    for entry in std::fs::read_dir(site.state_dir().join("journal")).expect("the state dir has a journal") {
        let entry = entry.expect("a folder that nobody changes");
        if let Some(segment) = entry.file_name().to_str().and_then(segment_number) {
            disk.set_content(segment, std::fs::read(entry.path()).expect("a segment can be read"));
        }
    }
    disk
}

/// All records, oldest first.
pub(crate) fn records(site: &Site) -> Vec<Record> {
    let mut records = Vec::new();
    replay(&read_journal(site), |entry| records.push(entry.record)).expect("the journal is sound");
    records
}

/// Appends a record as another run of the master would have.
pub(crate) fn append(site: &Site, record: &Record) {
    let mut disk = read_journal(site);
    let mut writer = replay(&disk, |_| ()).expect("the journal is sound").writer([0; 16]);
    writer.append(record).expect("a small record");
    let batch = writer.take_batch().expect("a record was appended");
    batch.carry_out(&mut disk).expect("memory does not fail");
    let name = Path::new("journal").join(segment_name(batch.segment));
    let content = disk.content(batch.segment).expect("the batch made it");
    std::fs::write(site.state_dir().join(name), content).expect("the state dir can be written to");
}

/// Bytes of the journal, and the number of its first segment.
pub(crate) fn journal_of(site: &Site) -> (u64, u64) {
    let (mut bytes, mut first) = (0, u64::MAX);
    for entry in std::fs::read_dir(site.state_dir().join("journal")).expect("the state dir has a journal") {
        let entry = entry.expect("a folder of ours");
        if let Some(segment) = entry.file_name().to_str().and_then(segment_number) {
            // One that was just removed has no length any more.
            bytes += entry.metadata().map_or(0, |facts| facts.len());
            first = first.min(segment);
        }
    }
    (bytes, first)
}

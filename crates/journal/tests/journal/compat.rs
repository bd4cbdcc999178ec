//! Old journals are read for ever. Each folder under `tests/data/journal` was frozen when its version was current.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use journal::powercut::Disk;
use journal::{Tail, replay, segment_number};

fn check(version: &str, known_kinds: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/journal").join(version);
    let mut disk = Disk::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        if let Some(segment) = segment_number(entry.file_name().to_str().unwrap()) {
            disk.set_content(segment, fs::read(entry.path()).unwrap());
        }
    }
    let mut text = String::new();
    let mut kinds = BTreeSet::new();
    let recovery = replay(&disk, |entry| {
        writeln!(text, "{entry:?}").unwrap();
        kinds.insert(entry.record.name());
    })
    .unwrap();
    writeln!(text, "{recovery:?}").unwrap();
    assert_eq!(text, fs::read_to_string(folder.join("records.txt")).unwrap());
    assert!(matches!(recovery.tail, Tail::Torn { .. }));
    assert!(recovery.checkpoint.is_some());
    assert_eq!(kinds.len(), known_kinds, "every kind of that version");
}

#[test]
fn v3() {
    check("v3", 20);
}

#[test]
fn v2() {
    check("v2", 19);
}

#[test]
fn v1() {
    check("v1", 18);
}

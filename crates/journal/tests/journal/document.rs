//! The document of the format says what the code does.

use journal::powercut::Dice;

use crate::records::{KINDS, of_kind};

#[test]
fn every_kind_stands_in_the_document() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/journal-format.md");
    let document = std::fs::read_to_string(path).unwrap();
    for kind in 0..KINDS {
        let record = of_kind(kind, &mut Dice::new(1));
        let promise = if record.is_promise() { "promise" } else { "note" };
        let row = format!("| {} | {} | {} | {promise} |", record.kind(), record.version(), record.name());
        assert!(document.contains(&row), "{row}");
    }
    let limits = [
        (journal::ROTATE_AT, "once it has 64 MiB", 64 << 20),
        (journal::PAYLOAD_MAX as u64, "at most 256 MiB", 256 << 20),
        (journal::INLINE_MAX as u64, "contents up to 64 KiB", 64 << 10),
        (journal::UNSYNCED_MAX, "At most 1,048,576 records", 1 << 20),
    ];
    for (limit, words, number) in limits {
        assert!(document.contains(words) && limit == number, "{words}");
    }
}

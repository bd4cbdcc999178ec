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
        let row = format!("| {} | 1 | {} | {promise} |", record.kind(), record.name());
        assert!(document.contains(&row), "{row}");
    }
    for number in
        [journal::ROTATE_AT / 1024 / 1024, journal::PAYLOAD_MAX as u64 / 1024 / 1024, journal::INLINE_MAX as u64 / 1024]
    {
        assert!(document.contains(&format!("{number} MiB")) || document.contains(&format!("{number} KiB")));
    }
    assert!(document.contains("1,048,576 records") && journal::UNSYNCED_MAX == 1_048_576);
}

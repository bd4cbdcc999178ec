//! Every recorded conversation with real peers: each line of either side parses and prints back to the same bytes.
//!
//! The recordings and their formats are described in `tests/data/transcripts/README.md`.

mod conversations;
mod experiments;
mod notes;
mod recording;

use std::path::PathBuf;

/// The folder with the recordings.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/transcripts")
}

fn read(file: &str) -> String {
    let path = folder().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A new recording must be added to one of the tables, or nothing would check it.
#[test]
fn every_recording_is_checked() {
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    files.sort();
    let mut checked: Vec<String> = conversations::FILES
        .iter()
        .map(|(name, ..)| name)
        .chain(experiments::FILES.iter().map(|(name, ..)| name))
        .chain(notes::FILES.iter().map(|(name, _)| name))
        .map(|name| (*name).to_owned())
        .collect();
    checked.sort();
    assert_eq!(files, checked);
}

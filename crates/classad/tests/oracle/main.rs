//! What HTCondor 25.13.2 does with some 4,000 expressions and some ads, whether we do the same, and what holds always.

mod expressions;
mod listings;
mod memory;
mod properties;

use std::path::PathBuf;

/// The text of a file of recorded data.
fn data(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../tests/data/classad", name].iter().collect();
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

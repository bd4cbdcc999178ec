//! Fuzz targets for what users type and what comes from outside, and the inputs that are kept of each.
//!
//! A target takes any bytes and must neither panic nor hang nor grow. `cargo xtask fuzz` runs them with libFuzzer; every
//! run of the tests replays what was kept. [`targets`] is the list, [`corpus`] the files.

pub mod corpus;
pub mod targets;
mod wire;

// The submitting user's side that the tests of the submit language have; a second one would have the same tables.
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/submit-lang/tests/language/site.rs"]
mod site;

//! The master.
fn main() {}

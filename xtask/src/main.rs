//! The project's gate.
fn main() {}

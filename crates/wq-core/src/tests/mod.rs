//! The master's behaviour, on the bench.

mod acting;
mod crashes;
mod doors;
mod memory;
mod reports;
mod running;

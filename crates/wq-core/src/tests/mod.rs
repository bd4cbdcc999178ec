//! The master's behaviour, on the bench.

mod acting;
mod ahead;
mod checkpoint;
mod crashes;
mod deferral;
mod doors;
mod editing;
mod exits;
mod factories;
mod foremen;
mod health;
mod history;
mod kept;
mod limits;
mod listing;
mod local;
mod marks;
mod matching;
mod memory;
mod ownership;
mod policies;
mod running;
mod spooled;
mod steady;
mod summary;
mod transfers;

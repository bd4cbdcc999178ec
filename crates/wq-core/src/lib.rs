//! The master as a state machine: [`Master::handle`] takes what happened, [`Master::poll_effect`] gives what to do.
//!
//! The crate knows no clock, file, socket, thread, environment or random source; the shell in the root package
//! turns the world into [`Input`]s and carries out [`Effect`]s. Bulk bytes never pass through.
//!
//! Start with [`io`], the seam; then [`master`].

mod departed;
pub mod ids;
pub mod io;
pub mod jobs;
mod local;
mod log_entry;
pub mod master;
mod mending;
#[cfg(feature = "mistakes")]
mod mistakes;
mod notice;
mod plan;
pub mod run;
pub mod workers;

pub use io::{Effect, Input};
pub use master::{Config, Master, Zone};
#[cfg(feature = "mistakes")]
pub use mistakes::Mistake;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod tests;

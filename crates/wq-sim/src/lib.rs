//! Deterministic simulation of the whole master: the real core and the real journal in a world of simulated clock, network,
//! disk, workers, foremen and users, in which everything goes wrong that can; and an auditor of what was promised.
//!
//! One seed is one history. A failure prints the command that repeats it. Start reading at `world`, then `shell`, which does
//! with the core's effects what the real shell does, then `auditor`. What is not simulated: the shell's system calls, its
//! password exchange and status tools, folders as outputs, `-spool`, jobs of the universes local and scheduler.

mod auditor;
mod chance;
mod clients;
mod disk;
mod faults;
mod links;
mod mistakes;
mod options;
mod peer;
mod queue;
mod restart;
mod service;
mod shell;
mod truth;
mod wire;
mod world;

pub use mistakes::Mistake;
pub use options::{Fault, Faults, Options};
pub use world::Outcome;

/// Lets one history happen.
pub fn simulate(seed: u64, options: Options) -> Outcome {
    world::World::new(seed, options).run()
}

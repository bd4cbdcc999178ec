//! Programs of the HTCondor family that are not served: they exist, say so and fail.

use std::io::Read;

use crate::version;
use crate::world::{Outcome, World};

/// One sentence; `-version` answers as everywhere.
pub fn run(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    if arguments.iter().any(|word| word == "-version") {
        return version::answer();
    }
    Outcome::failure(format!("{}: not supported by alien-workqueue\n", world.program))
}

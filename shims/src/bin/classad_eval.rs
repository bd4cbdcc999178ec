//! `classad_eval`, see [`classad_eval`](shims::classad_eval).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("classad_eval", shims::classad_eval::run)
}

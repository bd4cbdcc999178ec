//! `condor_wait`, see [`wait`](shims::wait).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main_telling("condor_wait", shims::wait::run_telling)
}

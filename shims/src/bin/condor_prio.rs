//! `condor_prio`, see [`prio`](shims::prio).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_prio", shims::prio::run)
}

//! `condor_submit`, see [`submit`](shims::submit).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_submit", shims::submit::run)
}

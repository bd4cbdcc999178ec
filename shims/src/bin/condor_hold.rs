//! `condor_hold`, see [`act`](shims::act).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_hold", shims::act::hold)
}

//! `condor_release`, see [`act`](shims::act).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_release", shims::act::release)
}

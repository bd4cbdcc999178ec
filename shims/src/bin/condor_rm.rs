//! `condor_rm`, see [`act`](shims::act).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_rm", shims::act::rm)
}

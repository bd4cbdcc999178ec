//! `condor_suspend`, see [`act`](shims::act).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_suspend", shims::act::suspend)
}

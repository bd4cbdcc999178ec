//! `condor_continue`, see [`act`](shims::act).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_continue", shims::act::continue_job)
}

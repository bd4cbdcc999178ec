//! `condor_vacate_job`, see [`act`](shims::act).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_vacate_job", shims::act::vacate_job)
}

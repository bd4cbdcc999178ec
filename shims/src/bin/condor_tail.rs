//! `condor_tail`, see [`tail`](shims::tail).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main_telling("condor_tail", shims::tail::run_telling)
}

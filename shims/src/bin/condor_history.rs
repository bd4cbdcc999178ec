//! `condor_history`, see [`history`](shims::history).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_history", shims::history::run)
}

//! `condor_q`, see [`query`](shims::query).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_q", shims::query::run)
}

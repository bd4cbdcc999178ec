//! `condor_status`, see [`status`](shims::status).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_status", shims::status::run)
}

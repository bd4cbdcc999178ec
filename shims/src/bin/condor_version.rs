//! `condor_version`, see [`version`](shims::version).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_version", shims::version::run)
}

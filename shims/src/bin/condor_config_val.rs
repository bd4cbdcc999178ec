//! `condor_config_val`, see [`config_val`](shims::config_val).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_config_val", shims::config_val::run)
}

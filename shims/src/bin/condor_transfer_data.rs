//! `condor_transfer_data`, see [`transfer_data`](shims::transfer_data).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_transfer_data", shims::transfer_data::run)
}

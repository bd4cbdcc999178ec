//! `condor_ping`, see [`contact`](shims::contact).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_ping", shims::contact::ping)
}

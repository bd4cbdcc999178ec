//! `condor_reschedule`, see [`contact`](shims::contact).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_reschedule", shims::contact::reschedule)
}

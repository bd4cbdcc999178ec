//! `condor_watch_q`, see [`watch_q`](shims::watch_q).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main_telling("condor_watch_q", shims::watch_q::run_telling)
}

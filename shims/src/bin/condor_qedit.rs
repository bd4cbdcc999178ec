//! `condor_qedit`, see [`qedit`](shims::qedit).

use std::process::ExitCode;

fn main() -> ExitCode {
    shims::world::main("condor_qedit", shims::qedit::run)
}

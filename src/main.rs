//! `alien_work_queue`, the master.

use std::convert::Infallible;
use std::process::ExitCode;

use alien_workqueue::Role;
use alien_workqueue::options::{Settings, Surroundings};
use anyhow::Context;
use clap::Parser;
use mimalloc::MiMalloc;

/// Short-lived requests and long-lived jobs share one heap, and other threads free what the core made. This allocator
/// keeps sizes apart, so that what is freed goes back to the system; with glibc's, free pieces stay between the jobs.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // A job of this machine is started through this program.
    alien_workqueue::launch();
    match run() {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("alien_work_queue: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<Infallible> {
    let settings = Settings::parse().with_file()?;
    let role = Role { handover: settings.handover, check: settings.check_handover, settings: settings.clone() };
    let options = settings.resolve(&Surroundings::current()).context("options")?;
    if role.check {
        alien_workqueue::check_handover(&options)?;
        std::process::exit(0);
    }
    alien_workqueue::run(&options, role)
}

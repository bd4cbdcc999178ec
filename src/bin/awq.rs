//! `awq`, the operator's program.

use std::process::ExitCode;

use alien_workqueue::awq::{Awq, run};
use clap::Parser;

fn main() -> ExitCode {
    match run(&Awq::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("awq: {error:#}");
            ExitCode::FAILURE
        }
    }
}

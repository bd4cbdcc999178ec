//! The project's gate: `cargo xtask ci` runs everything, each check can be called alone.
//!
//! Start reading in [`gate`]; what each check looks for is described at the top of its module. A check returns the
//! list of what it found, each finding with its place and its remedy; an empty list is success.

mod arrows;
mod gate;
mod licences;
mod oracle;
mod purity;
mod reliability;
mod rust_source;
mod tests_run;
mod tidy;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next();
    if command.as_deref() == Some("fuzz") {
        return gate::fuzz(words);
    }
    if let Some(word) = words.next() {
        eprintln!("xtask: unexpected argument {word:?}\n{}", gate::usage());
        return ExitCode::from(2);
    }
    match command.as_deref() {
        None | Some("help" | "--help" | "-h") => {
            println!("{}", gate::usage());
            ExitCode::SUCCESS
        }
        Some("ci") => gate::run(gate::STEPS),
        Some(name) => match gate::STEPS.iter().position(|step| step.name == name) {
            Some(at) => gate::run(&gate::STEPS[at..=at]),
            None => {
                eprintln!("xtask: no check named {name:?}\n{}", gate::usage());
                ExitCode::from(2)
            }
        },
    }
}

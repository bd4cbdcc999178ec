//! The gate: a table of steps, run one after the other, with a summary that says what failed and what it took.
//!
//! All steps run even when one fails, cheap ones first: one run shows everything there is to mend.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::{arrows, licences, oracle, tests_run, tidy, workspace};

/// One step of the gate.
pub(crate) struct Step {
    /// `cargo xtask NAME` runs it alone.
    pub(crate) name: &'static str,
    /// What it makes sure of; printed when it starts and in the help.
    about: &'static str,
    /// How to get from red to green, or where to look.
    remedy: &'static str,
    run: fn() -> Result<()>,
}

/// The whole gate, in its order.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "formatting (rustfmt)",
        remedy: "run `cargo fmt --all`",
        run: || cargo(&["fmt", "--all", "--check"]),
    },
    Step {
        name: "arrows",
        about: "dependency arrows and purity of the pure crates",
        remedy: "move the code outwards, or change the table in xtask/src/arrows.rs with a reason",
        run: || nothing_found(&arrows::findings()?),
    },
    Step {
        name: "tidy",
        about: "file sizes, leftovers, machine paths, papers that name what is not there",
        remedy: "each finding names its place; lasting exceptions are listed in xtask/src/tidy.rs with a reason",
        run: || nothing_found(&tidy::findings()?),
    },
    Step {
        name: "licences",
        about: "licences of all dependencies (no copyleft)",
        remedy: "choose another library, or extend the list in xtask/src/licences.rs with a reason",
        run: || nothing_found(&licences::findings()?),
    },
    Step {
        name: "clippy",
        about: "lints, warnings are errors",
        remedy: "run `cargo clippy --workspace --all-targets -- -D warnings`",
        run: || cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    },
    Step {
        name: "test",
        about: "all tests, with real workers and foremen",
        remedy: "run the failed test alone: `cargo test -p CRATE NAME`; missing programs: `scripts/test --install`",
        run: tests_run::run,
    },
    Step {
        name: "oracle",
        about: "everything recorded from HTCondor against what we do, with the goals",
        remedy: "mend the difference, or list it with its reason in the accepted.txt of its corpus",
        run: oracle::run,
    },
    Step {
        name: "doc",
        about: "documentation, warnings are errors",
        remedy: "run `RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps`",
        run: doc,
    },
];

/// Runs steps and prints the summary; fails if any of them failed.
pub(crate) fn run(steps: &[Step]) -> ExitCode {
    let outcomes: Vec<(&Step, Duration, Result<()>)> = steps
        .iter()
        .map(|step| {
            println!("==> {}: {}", step.name, step.about);
            let begin = Instant::now();
            let outcome = (step.run)();
            if let Err(error) = &outcome {
                println!("{error:#}");
            }
            (step, begin.elapsed(), outcome)
        })
        .collect();
    println!("==> summary");
    for (step, took, outcome) in &outcomes {
        println!("{}", summary_line(step, *took, outcome.is_ok()));
    }
    if outcomes.iter().all(|(_, _, outcome)| outcome.is_ok()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Help text.
pub(crate) fn usage() -> String {
    let mut text = String::from("cargo xtask ci      everything below, in this order\n");
    for step in STEPS {
        text += &format!("cargo xtask {:<8}{}\n", step.name, step.about);
    }
    text += "\ncargo xtask fuzz TARGET --minutes N    no part of ci; targets: fuzz/src/targets.rs\n";
    text.trim_end().to_owned()
}

/// The driver of the fuzz targets. No step: it takes as long as one lets it.
pub(crate) fn fuzz(words: impl Iterator<Item = String>) -> ExitCode {
    let words: Vec<String> = words.collect();
    let mut args = vec!["run", "--quiet", "--package", "fuzz", "--bin", "fuzz", "--"];
    args.extend(words.iter().map(String::as_str));
    match cargo(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A cargo to run in the workspace: the one that runs us.
pub(crate) fn cargo_command() -> Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root()?);
    Ok(command)
}

fn cargo(args: &[&str]) -> Result<()> {
    let status = cargo_command()?.args(args).status().context("cannot start cargo")?;
    ensure!(status.success(), "cargo {} ended with {status}", args.join(" "));
    Ok(())
}

fn doc() -> Result<()> {
    let status = cargo_command()?
        .args(["doc", "--quiet", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "cargo doc ended with {status}");
    Ok(())
}

fn nothing_found(findings: &[String]) -> Result<()> {
    for finding in findings {
        println!("{finding}");
    }
    ensure!(findings.is_empty(), "{} finding(s)", findings.len());
    Ok(())
}

fn summary_line(step: &Step, took: Duration, good: bool) -> String {
    let time = format!("{:.1} s", took.as_secs_f64());
    match good {
        true => format!("ok      {:<9}{time:>9}", step.name),
        false => format!("FAILED  {:<9}{time:>9}   remedy: {}", step.name, step.remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_the_help() {
        for (at, step) in STEPS.iter().enumerate() {
            assert!(STEPS[..at].iter().all(|other| other.name != step.name), "{}", step.name);
            assert!(usage().contains(&format!("cargo xtask {}", step.name)));
        }
    }

    #[test]
    fn a_failed_step_names_its_remedy() {
        let line = summary_line(&STEPS[0], Duration::from_millis(1500), false);
        assert_eq!(line, "FAILED  fmt          1.5 s   remedy: run `cargo fmt --all`");
    }

    #[test]
    fn findings_fail_a_step() {
        assert!(nothing_found(&[]).is_ok());
        assert_eq!(nothing_found(&["a".into(), "b".into()]).unwrap_err().to_string(), "2 finding(s)");
    }
}

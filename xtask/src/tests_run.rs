//! The test step: builds all programs once, runs all tests, prints what failed and the totals.
//!
//! Lines of tests that passed are left out: two thousand of them hide the one that matters.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::gate::cargo_command;

/// Sums over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    programs: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Builds and tests the workspace.
pub(crate) fn run() -> Result<()> {
    let status =
        cargo_command()?.args(["build", "--quiet", "--workspace", "--bins"]).status().context("cannot start cargo")?;
    ensure!(status.success(), "cargo build ended with {status}");
    // What figures are taken from.
    let script = crate::workspace::root()?.join("scripts/build");
    let status = Command::new(script).args(["--quiet", "--profile", "figures"]).status();
    let status = status.context("cannot start scripts/build")?;
    ensure!(status.success(), "scripts/build --profile figures ended with {status}");
    let mut cargo = cargo_command()?
        .args(["test", "--workspace", "--no-fail-fast"])
        // The end-to-end tests would otherwise ask cargo again whether the programs are up to date.
        .env("TESTKIT_BUILT", "1")
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let mut totals = Totals::default();
    for line in BufReader::new(cargo.stdout.take().context("stdout was piped")?).split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("cannot read what cargo prints")?).into_owned();
        totals.add(&line);
        if is_worth_printing(&line) {
            println!("{line}");
        }
    }
    let status = cargo.wait().context("cannot wait for cargo")?;
    let Totals { programs, passed, failed, ignored } = totals;
    println!("total: {passed} passed, {failed} failed, {ignored} ignored in {programs} test programs");
    ensure!(status.success() && failed == 0, "cargo test ended with {status}");
    ensure!(ignored == 0, "{ignored} test(s) are ignored: mend or remove them");
    ensure!(passed > 0, "no test ran");
    Ok(())
}

impl Totals {
    /// Takes `test result: ok. 22 passed; 0 failed; 1 ignored; …` into account; other lines change nothing.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        self.programs += 1;
        for part in counts.split("; ") {
            match part.split_once(' ').map(|(number, word)| (number.parse::<u64>(), word)) {
                Some((Ok(number), "passed")) => self.passed += number,
                Some((Ok(number), "failed")) => self.failed += number,
                Some((Ok(number), "ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }
}

fn is_worth_printing(line: &str) -> bool {
    let passed = line.starts_with("test ") && (line.ends_with(" ... ok") || line.contains("should panic ... ok"));
    let counts = line.starts_with("running ") || line.starts_with("all doctests ran in");
    let empty_program = line.starts_with("test result: ok. 0 passed; 0 failed; 0 ignored");
    !(passed || counts || empty_program || line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_sums_over_programs() {
        let mut totals = Totals::default();
        for line in [
            "test result: ok. 22 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.31s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 5.11s",
            "test a_test_that_prints ... ok",
            "test result: nonsense",
        ] {
            totals.add(line);
        }
        assert_eq!(totals, Totals { programs: 2, passed: 26, failed: 2, ignored: 1 });
    }

    #[test]
    fn only_what_passed_is_left_out() {
        let shown = [
            "test site::tests::x ... FAILED",
            "thread 'site::tests::x' panicked at src/site.rs:1:1:",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ];
        let hidden = [
            "",
            "running 12 tests",
            "test site::tests::x ... ok",
            "test site::tests::y - should panic ... ok",
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ];
        assert!(shown.iter().all(|line| is_worth_printing(line)));
        assert!(!hidden.iter().any(|line| is_worth_printing(line)));
    }
}

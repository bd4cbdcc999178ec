//! The driver: `cargo xtask fuzz TARGET --minutes N`.
//!
//! Builds the target with counters at every branch, gives libFuzzer the kept inputs, and keeps the smallest set of
//! inputs that reaches all that was reached. What breaks the target is left in a file that is named, and fails the run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use fuzz::corpus;
use fuzz::targets::{self, Target};

/// Counters for libFuzzer; overflows and failed assertions are findings too.
const COUNTERS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1";
/// One input taking longer than this is a hang; long, as others may use the machine as well.
const TIMEOUT_S: u32 = 25;
/// A process growing beyond this is a finding.
const MEMORY_MAX_MB: u32 = 1024;

/// Runs one fuzz target for a time.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask fuzz")]
struct Words {
    /// classad, submit, quoting, format, worker, transfer, password, control, journal or command
    #[arg(value_parser = |name: &str| targets::named(name).ok_or("no such target"))]
    target: &'static Target,
    /// How long
    #[arg(long, default_value_t = 1)]
    minutes: u32,
}

fn main() -> Result<()> {
    let Words { target, minutes } = Words::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the package stands in the workspace")?;
    let target_dir = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let built = target_dir.join("fuzz");
    let program = build(&built)?;

    let place = built.join(target.name);
    let (found, kept) = (place.join("found"), place.join("kept"));
    for folder in [&found, &kept] {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    for (number, input) in corpus::read(target.name)?.iter().enumerate() {
        fs::write(found.join(format!("kept-{number}")), input).context("cannot lay out the kept inputs")?;
    }
    let run = |words: &[String], folders: &[&Path]| -> Result<ExitStatus> {
        let mut command = Command::new(&program);
        command.current_dir(&place).env("FUZZ_TARGET", target.name);
        command.args([
            format!("-timeout={TIMEOUT_S}"),
            format!("-rss_limit_mb={MEMORY_MAX_MB}"),
            format!("-max_len={}", target.bytes_max),
            "-verbosity=1".to_owned(),
            "-print_final_stats=1".to_owned(),
        ]);
        command.args(words).args(folders).status().with_context(|| format!("cannot start {}", program.display()))
    };
    let status = run(&[format!("-max_total_time={}", minutes * 60)], &[&found])?;
    ensure!(status.success(), "{}: broken by the input in {}", target.name, place.display());
    // The smallest set that reaches as much.
    ensure!(run(&["-merge=1".to_owned()], &[&kept, &found])?.success(), "libFuzzer could not merge");
    let mut inputs = Vec::new();
    for entry in fs::read_dir(&kept).context("cannot list the kept inputs")? {
        inputs.push(fs::read(entry?.path()).context("cannot read a kept input")?);
    }
    corpus::write(target.name, &inputs)?;
    println!("{}: {} inputs kept in {}", target.name, inputs.len(), corpus::file(target.name).display());
    Ok(())
}

/// Builds the program that holds all targets, in a folder of its own: nothing else is built with counters.
fn build(built: &Path) -> Result<PathBuf> {
    let rustc = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?;
    let facts = String::from_utf8_lossy(&rustc.stdout).into_owned();
    let host = facts.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names its host")?;
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--profile", "figures", "-p", "fuzz", "--features", "libfuzzer"])
        // With a target named, programs that only build are built without counters.
        .args(["--bin", "fuzz_target", "--target", host])
        .env("CARGO_TARGET_DIR", built)
        .env("RUSTFLAGS", COUNTERS)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "cargo build of the fuzz targets ended with {status}");
    Ok(built.join(host).join("figures").join("fuzz_target"))
}

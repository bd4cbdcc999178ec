//! HTCondor's Python package in an environment of its own.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The last generation that has these readers.
const PACKAGE: &str = "htcondor<25";

/// The package's answers to the questions, one each, or `None` where it cannot be had: `test` is then named on standard
/// error as skipped, with the reason.
pub(crate) fn ask(test: &str, task: &str, questions: &[Value], cwd: &Path) -> Option<Vec<Value>> {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            // Past the test harness, which keeps what a test prints to itself when it passes.
            let _ = writeln!(std::io::stderr().lock(), "skipped: {test}: {reason}");
            return None;
        }
    };
    let mut input = String::new();
    for question in questions {
        writeln!(input, "{question}").unwrap();
    }
    let file = cwd.join("questions.jsonl");
    std::fs::write(&file, input).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/read.py");
    let output = Command::new(python)
        .args([script.as_path(), Path::new(task), file.as_path()])
        .current_dir(cwd)
        .env("CONDOR_CONFIG", "ONLY_ENV")
        .env("TZ", "UTC")
        .output()
        .unwrap();
    let answers: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_eq!(answers.len(), questions.len(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(answers)
}

/// The interpreter that has the package, or why there is none.
fn python() -> &'static Result<PathBuf, String> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("htcondor-24");
        let python = folder.join("bin/python");
        let has_package = || run(&python, &["-c", "import htcondor, classad"]);
        if has_package().is_ok() {
            return Ok(python);
        }
        run(Path::new("python3"), &["-m", "venv", "--clear", folder.to_str().ok_or("an odd target dir")?])?;
        let pip = ["-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "20", PACKAGE];
        run(&python, &pip)?;
        has_package().map(|()| python)
    })
}

/// Runs a program; its last words if it fails.
fn run(program: &Path, words: &[&str]) -> Result<(), String> {
    let failed = |why: &str| format!("{} {}: {why}", program.display(), words.join(" "));
    let output = Command::new(program).args(words).stdin(Stdio::null()).env("CONDOR_CONFIG", "ONLY_ENV").output();
    let output = output.map_err(|error| failed(&error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(failed(text.lines().last().unwrap_or("no reason given")))
}

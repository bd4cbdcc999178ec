//! Where the programs of a test are: our own beside the test, those of CCTools on `PATH`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// How variables begin with which cargo tells a test of its package.
const PACKAGE_VARIABLES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_"];

/// Full path of one of our own programs, for example `condor_submit` or `alien_work_queue`.
///
/// `cargo test -p X` builds only the programs of package X, and would happily use yesterday's `condor_q`. So the first
/// call in a test process has cargo bring all programs up to date (a fraction of a second when they are), unless
/// `TESTKIT_BUILT=1` says that it was done.
#[track_caller]
pub fn bin(name: &str) -> PathBuf {
    let folder = bin_folder();
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "no program {} (remedy: `cargo build --workspace --bins`, or check the name)",
        path.display()
    );
    path
}

/// Full path of one of our own programs as it is measured: optimized, built with the profile `figures`.
///
/// The first call in a test process has `scripts/build` build them (minutes when they are not there yet), unless
/// `TESTKIT_BUILT=1` says that it was done.
#[track_caller]
pub fn measured_bin(name: &str) -> PathBuf {
    let path = measured_folder().join(name);
    assert!(path.is_file(), "no program {} (remedy: `scripts/build --profile figures`)", path.display());
    path
}

/// Full path of a foreign program on `PATH`; fails with the remedy if it is missing.
#[track_caller]
pub fn require(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file());
    let Some(found) = found else {
        panic!("{name} is not on PATH (remedy: `scripts/test --install` installs what the tests need)");
    };
    found
}

/// The folder of our programs; they are up to date when this returns.
fn bin_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("the path of the running test");
        let folder = profile_folder(&test).to_owned();
        if std::env::var_os("TESTKIT_BUILT").is_none() {
            let release = if folder.ends_with("release") { &["--release"][..] } else { &[] };
            let cargo = ["build", "--quiet", "-p", "alien-workqueue", "-p", "shims", "--bins"];
            if let Some(program) = std::env::var_os("CARGO") {
                build(Command::new(program).args(cargo).args(release), &folder);
            }
        }
        folder
    })
}

/// The folder of the optimized programs, beside the one of the tests.
fn measured_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("the path of the running test");
        let folder = profile_folder(&test).with_file_name("figures");
        if std::env::var_os("TESTKIT_BUILT").is_none() {
            let script = workspace().join("scripts/build");
            build(Command::new(script).args(["--quiet", "--profile", "figures"]), &folder);
        }
        folder
    })
}

/// `target/debug` of `target/debug/deps/test-0123`, and of a program that stands in `target/debug` itself.
fn profile_folder(test: &Path) -> &Path {
    let folder = test.parent().expect("a program stands in a folder");
    match folder.file_name() {
        Some(name) if name == "deps" || name == "examples" => folder.parent().expect("deps stands in a folder"),
        _ => folder,
    }
}

/// Has our programs built into the same target folder.
fn build(command: &mut Command, folder: &Path) {
    let target = folder.parent().expect("a profile folder stands in the target folder");
    // What cargo tells the test of its own package would make build scripts of others run again, here and in the next
    // `cargo test`: half a minute each.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| PACKAGE_VARIABLES.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    let output = command.arg("--target-dir").arg(target).current_dir(workspace()).output();
    let output = output.expect("cargo, which runs this test, can be started");
    assert!(
        output.status.success(),
        "the programs under test do not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_stand_beside_the_tests() {
        for test in ["/t/debug/deps/e2e-1a2b", "/t/debug/examples/tour", "/t/debug/tool"] {
            assert_eq!(profile_folder(Path::new(test)), Path::new("/t/debug"), "{test}");
        }
    }

    #[test]
    fn what_is_there_is_found() {
        assert!(require("sh").ends_with("sh"));
    }

    #[test]
    #[should_panic(expected = "scripts/test --install")]
    fn what_is_missing_names_the_remedy() {
        require("no-such-program-as-this");
    }
}

//! The installation that the tests of this program share, and somebody who uses it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use testkit::{Terminal, require, run_command};

/// A build that has nothing to compile takes seconds; the first one of a checkout takes minutes.
const BUILD_DEADLINE: Duration = Duration::from_secs(1200);

/// The top folder of the project.
pub(crate) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Prefix of the CCTools on `PATH`.
pub(crate) fn cctools() -> PathBuf {
    let worker = require("work_queue_worker");
    worker.ancestors().nth(2).expect("programs stand in PREFIX/bin").to_owned()
}

/// The cmake command of the recipe, in a new build folder: the programs that cargo has built for the tests are used.
pub(crate) fn cmake(build: &Path, prefix: &Path, cctools: &Path) -> Command {
    std::fs::create_dir_all(build).expect("a build folder");
    let programs = testkit::bin("alien_work_queue");
    let target = programs.ancestors().nth(2).expect("programs stand in TARGET/PROFILE");
    let mut command = Command::new(require("cmake"));
    command.arg(top()).current_dir(build).env("CARGO_TARGET_DIR", target).arg("-DAWQ_PROFILE=dev");
    command.arg(format!("-DCMAKE_INSTALL_PREFIX={}", prefix.display()));
    command.arg(format!("-DCCTOOLS={}", cctools.display()));
    command
}

/// Installs below `prefix`; what `make install` printed.
#[track_caller]
pub(crate) fn install(build: &Path, prefix: &Path) -> String {
    run_command(&mut cmake(build, prefix, &cctools()), b"", BUILD_DEADLINE).ok();
    make(build, "install")
}

/// `make GOAL` in a build folder; what it printed.
#[track_caller]
pub(crate) fn make(build: &Path, goal: &str) -> String {
    run_command(Command::new(require("make")).arg(goal).current_dir(build), b"", BUILD_DEADLINE).ok().stdout
}

/// The prefix of an installation that tests only read. It stays with the results of the build.
pub(crate) fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let prefix = folder.join("site");
        install(&folder.join("site-build"), &prefix);
        prefix
    })
}

/// Somebody who has sourced `env.sh` of the installation.
#[track_caller]
pub(crate) fn operator() -> Terminal {
    operator_at("home")
}

/// The same with a home folder of this name.
#[track_caller]
pub(crate) fn operator_at(home: &str) -> Terminal {
    let terminal = Terminal::open_with(home, Some(prefix()));
    terminal.types(&format!("source '{}/etc/env.sh'", prefix().display())).ok();
    terminal
}

/// Starts a master in the terminal and waits until it answers.
#[track_caller]
pub(crate) fn start_master(terminal: &Terminal, command: &str) {
    terminal.leaves_running("master", command);
    terminal.waits_for(Duration::from_secs(60), "condor_q -af ClusterId JobStatus HoldReason", "");
}

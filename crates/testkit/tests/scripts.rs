//! The scripts a newcomer starts first: they say what they do, and a failure names the remedy.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use testkit::{Answer, Guard, require, run_command, wait_until};

const LONG: Duration = Duration::from_secs(60);

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(name)
}

fn run(command: &mut Command) -> Answer {
    run_command(command, b"", LONG)
}

/// A folder with the named programs and nothing else, to be a whole `PATH`.
fn path_with(programs: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in programs {
        symlink(require(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn write_program(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The command of the quick start with a cargo that builds nothing and a master that is this shell script.
fn quickstart_with_master(folder: &Path, master: &str) -> Command {
    write_program(&folder.join("bin/cargo"), "#!/bin/sh\necho \"cargo $*\"\n");
    write_program(&folder.join("target/debug/alien_work_queue"), master);
    std::fs::create_dir(folder.join("tmp")).unwrap();
    let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(script("quickstart"));
    command
        .arg("--debug")
        .env("PATH", path)
        // Cargo names itself here to what it starts, this test too.
        .env("CARGO", folder.join("bin/cargo"))
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("TMPDIR", folder.join("tmp"));
    command
}

#[test]
fn every_script_explains_itself() {
    for name in ["quickstart", "test", "install-needs"] {
        let answer = run(Command::new(script(name)).arg("--help")).ok();
        assert!(answer.stdout.starts_with(&format!("usage: scripts/{name}")), "{answer}");
        let answer = run(Command::new(script(name)).arg("--nonsense"));
        assert!(answer.code != Some(0) && answer.stderr.contains("--nonsense"), "{answer}");
    }
}

#[test]
fn without_a_toolchain_the_remedy_is_a_toolchain() {
    let path = path_with(&["bash", "id"]);
    let answer = run(Command::new(script("install-needs")).arg("cc").env("PATH", path.path())).exits(1);
    assert!(answer.stderr.contains("remedy: install a Rust toolchain"), "{answer}");
}

#[test]
fn without_a_package_manager_the_remedy_is_the_command_to_type() {
    let path = path_with(&["bash", "id"]);
    write_program(&path.path().join("cargo"), "#!/bin/sh\n");
    let mut command = Command::new(script("install-needs"));
    let answer = run(command.arg("work_queue_worker").env("PATH", path.path())).exits(1);
    assert!(answer.stderr.contains("apt-get install -y coop-computing-tools"), "{answer}");
}

#[test]
fn what_is_there_is_not_installed_again() {
    let path = path_with(&["bash", "id"]);
    for name in ["cargo", "work_queue_worker"] {
        write_program(&path.path().join(name), "#!/bin/sh\n");
    }
    let mut command = Command::new(script("install-needs"));
    let answer = run(command.arg("work_queue_worker").env("PATH", path.path())).ok();
    assert_eq!(answer.stdout, "");
}

#[test]
fn a_quick_start_whose_master_dies_shows_its_log_and_where_the_rest_is() {
    let folder = tempfile::tempdir().unwrap();
    let master = "#!/bin/sh\necho 'the port is taken' >&2\nexit 3\n";
    let answer = run(&mut quickstart_with_master(folder.path(), master)).exits(1);
    for part in
        ["the port is taken", "master has ended by itself", "remedy: see logs/master.log", "logs and outputs are in"]
    {
        assert!(answer.stderr.contains(part), "no {part:?} in\n{answer}");
    }
    let kept: Vec<_> = std::fs::read_dir(folder.path().join("tmp")).unwrap().collect();
    assert_eq!(kept.len(), 1, "the folder with the logs stays");
}

#[test]
fn an_interrupted_quick_start_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    let master = format!("#!/bin/sh\ntouch {}\nexec sleep 600\n", started.display());
    let mut command = quickstart_with_master(folder.path(), &master);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut guard = Guard::start("quickstart", &mut command).unwrap();
    wait_until(LONG, "the master of the quick start", || started.exists()).unwrap();
    let status = guard.stop(LONG).unwrap();
    assert_eq!(status.code(), Some(143));
    assert_eq!(guard.running(), Vec::<u32>::new());
    let kept = std::fs::read_dir(folder.path().join("tmp")).unwrap().count();
    assert_eq!(kept, 0, "and no folder");
}

/// Places in a script where the shell reads a file or a text as code: line number and line.
fn reads_as_code(text: &str) -> Vec<String> {
    let starts_code = |word: &str| matches!(word, "." | "source" | "eval");
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
    code.filter(|(_, line)| {
        line.split([';', '&', '|', '(', '{', '`']).any(|command| {
            let mut words = command.split_whitespace();
            let first =
                words.find(|word| !matches!(*word, "then" | "do" | "else" | "if" | "!" | "command" | "builtin"));
            first.is_some_and(starts_code)
        })
    })
    .map(|(at, line)| format!("{}: {line}", at + 1))
    .collect()
}

/// The original's scripts sourced the status file that its service wrote: whoever could write there ran code.
#[test]
fn no_script_reads_a_file_of_the_service_as_code() {
    for bad in [". \"$dir/stat/latest\"", "if source x; then", "eval \"$(cat stat/latest)\"", "a && . x", "$(. x)"] {
        assert_eq!(reads_as_code(bad).len(), 1, "{bad}");
    }
    assert_eq!(reads_as_code("# . x\ncat ./x; ./run eval\n"), [""; 0]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seen = 0;
    for folder in ["scripts", "etc", ".ci"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            if text.starts_with("#!") || path.extension().is_some_and(|extension| extension == "sh") {
                assert_eq!(reads_as_code(&text), [""; 0], "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 5, "{seen} scripts are too few to mean anything");
}

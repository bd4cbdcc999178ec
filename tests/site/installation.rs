//! The recipe of the original: what it puts where, how it takes it away again, and what it says when it cannot.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::{Answer, Terminal, require, run_command};

use crate::prefix::{cctools, cmake, install, make, prefix, top};

const SOON: Duration = Duration::from_secs(60);

fn run(command: &mut Command) -> Answer {
    run_command(command, b"", SOON)
}

#[test]
fn everything_is_where_the_original_put_it() {
    let prefix = prefix();
    for name in [
        "bin/alien_work_queue",
        "bin/awq",
        "bin/condor_q",
        "bin/condor_submit",
        "bin/alien_wq_worker.sh",
        "etc/alien_job_wrapper.sh",
    ] {
        let answer = run(Command::new("test").arg("-x").arg(prefix.join(name)));
        assert_eq!(answer.code, Some(0), "{name} is a program");
    }
    assert!(prefix.join("etc/env.sh").is_file());
    for kind in ["system", "user"] {
        let unit = prefix.join("lib/systemd").join(kind).join("alien-workqueue.service");
        let text = std::fs::read_to_string(&unit).unwrap();
        assert!(text.contains(&format!("\nExecStart={}/bin/alien_work_queue ", prefix.display())), "{text}");
        assert!(text.contains(&format!("\nExecReload={}/bin/awq reload\n", prefix.display())), "{text}");
    }
    // Of the family, what is not served says so.
    let answer = run(&mut Command::new(prefix.join("bin/condor_ssh_to_job"))).exits(1);
    assert_eq!(answer.stderr, "condor_ssh_to_job: not supported by alien-workqueue\n");
}

#[test]
fn a_prefix_with_blanks_and_quotes_is_installed_sourced_and_removed_but_for_what_others_put_there() {
    let folder = tempfile::tempdir().unwrap();
    let (build, prefix) = (folder.path().join("a build"), folder.path().join("it's a $prefix"));
    install(&build, &prefix);
    // Again, over an older one that did not have a program yet.
    let program = prefix.join("bin/condor_version");
    std::fs::remove_file(&program).unwrap();
    std::os::unix::fs::symlink("condor_unsupported", &program).unwrap();
    make(&build, "install");
    assert!(!program.is_symlink());
    for shell in ["sh", "bash"] {
        let mut command = Command::new(require(shell));
        command.args(["-euc", ". \"$1/etc/env.sh\"; echo \"$PATH\"; echo \"$LD_LIBRARY_PATH\"; condor_version", shell]);
        let answer = run(command.arg(&prefix).env_clear().env("PATH", "/usr/bin")).ok();
        let mut lines = answer.stdout.lines();
        let (awq, cctools) = (prefix.display(), cctools());
        assert_eq!(lines.next(), Some(&*format!("{awq}/bin:{}/bin:/usr/bin", cctools.display())), "{answer}");
        assert_eq!(lines.next(), Some(&*format!("{}/lib", cctools.display())), "{answer}");
        assert!(answer.stdout.contains("$CondorVersion: "), "{answer}");
    }
    let unit = std::fs::read_to_string(prefix.join("lib/systemd/system/alien-workqueue.service")).unwrap();
    assert!(unit.contains("/it\\x27s\\x20a\\x20$$prefix/bin/alien_work_queue --config "), "{unit}");
    std::fs::write(prefix.join("bin/mine"), "").unwrap();
    make(&build, "uninstall");
    let left: Vec<_> = std::fs::read_dir(prefix.join("bin")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine"]);
    assert!(!prefix.join("etc").exists() && !prefix.join("lib").exists());
    let answer = run(Command::new(require("make")).arg("uninstall").current_dir(&build));
    assert!(answer.code != Some(0) && answer.stderr.contains("remedy: run 'make uninstall' in"), "{answer}");
}

#[test]
fn a_wrong_place_of_cctools_gets_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    for (cctools, sentence) in
        [("/no/such/place", "There are no CCTools in /no/such/place"), ("", "It is not known where CCTools are")]
    {
        let build = folder.path().join(format!("build{}", cctools.len()));
        let answer = run(&mut cmake(&build, &folder.path().join("prefix"), Path::new(cctools)));
        assert!(answer.code != Some(0), "{answer}");
        let message = answer.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(message.contains(sentence) && message.contains("remedy: give their prefix"), "{answer}");
        assert!(message.contains("-DCCTOOLS=") && message.contains("coop-computing-tools"), "{answer}");
    }
}

#[test]
fn an_ordinary_user_needs_nothing_but_env_sh() {
    let terminal = Terminal::open_with("home", Some(prefix()));
    terminal
        .types(&format!("set -u; source '{}/etc/env.sh'; type -P condor_submit alien_work_queue", prefix().display()))
        .ok();
    assert_eq!(
        terminal.types("echo $ALIEN_WORKQUEUE $CCTOOLS").stdout,
        format!("{} {}\n", prefix().display(), cctools().display())
    );
}

#[test]
fn every_script_is_clean_in_the_eyes_of_shellcheck() {
    let mut command = Command::new(require("shellcheck"));
    let scripts =
        ["alien_wq_worker.sh", "install-needs", "quickstart", "test"].map(|name| top().join("scripts").join(name));
    command.args(scripts).arg(top().join("etc/alien_job_wrapper.sh")).arg(top().join(".ci/run"));
    run(&mut command).ok();
    run(Command::new(require("shellcheck")).args(["-s", "sh"]).arg(top().join("etc/env.sh.in"))).ok();
}

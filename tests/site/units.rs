//! The units of the service manager, as its own tool sees them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::{require, run_command};

/// What `systemd-analyze security` may say of the system's unit (0 = nothing is open, 10 = everything).
const EXPOSURE_MAX: f64 = 2.0;

fn unit(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("etc").join(name).to_str().expect("a path of text").to_owned()
}

#[test]
fn the_unit_of_the_system_is_closed_to_what_a_master_does_not_need() {
    let mut command = Command::new(require("systemd-analyze"));
    command
        .args(["security", "--no-pager", "--offline=true", &unit("alien-workqueue.service")])
        .env("LC_ALL", "C.UTF-8");
    let answer = run_command(&mut command, b"", Duration::from_secs(60));
    let overall = answer.stdout.lines().find(|line| line.contains("Overall exposure level"));
    let Some(overall) = overall else { panic!("no overall line\n{answer}") };
    let exposure: f64 = overall.split(": ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    println!("{overall}");
    assert!(exposure <= EXPOSURE_MAX, "{answer}");
}

#[test]
fn both_units_are_understood_and_say_the_same_of_the_service() {
    let read = |name| std::fs::read_to_string(unit(name)).unwrap();
    let (system, user) = (read("alien-workqueue.service"), read("alien-workqueue.user.service"));
    for line in ["Type=notify", "ExecReload=/usr/bin/awq reload", "WatchdogSec=60", "Restart=on-failure", "LimitCORE=0"]
    {
        for text in [&system, &user] {
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("alien-workqueue.service", system), ("alien-workqueue-user.service", user)] {
        // Programs that are there: whether ours are installed is not the question.
        let text = text.replace("=/usr/bin/alien_work_queue", "=/bin/true").replace("=/usr/bin/awq", "=/bin/true");
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut command = Command::new(require("systemd-analyze"));
        command.args(["verify", "--recursive-errors=no"]).arg(&path);
        let answer = run_command(&mut command, b"", Duration::from_secs(60));
        // It also tells of other units of this machine.
        let ours: Vec<&str> = answer.stderr.lines().filter(|line| line.contains("alien-workqueue")).collect();
        assert_eq!(ours, Vec::<&str>::new());
    }
}

//! Who asks is who the kernel says it is (requirements ): a master of one user, asked by three.
//!
//! Needs root to be three users; started by anybody else, it has only one user to ask as, and asks as that one.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use control_proto::frame::{self, Kind, Splitter};
use control_proto::{Act, Action, JobOutcome, Refusal, Reply, Request, Submit, Targets, read_head};
use nix::unistd::{Gid, Uid, chown, geteuid};
use testkit::{Answer, Site, SiteOptions, bin, run_command};

/// Numbers that belong to nobody.
const OWNER: u32 = 61_001;
const STRANGER: u32 = 61_003;
const GROUP: u32 = 61_010;

const SOON: Duration = Duration::from_secs(60);

/// Lines of a script that becomes this user and this program, which need not be reachable for that user by its path.
fn turning_into(uid: u32, program: &Path) -> String {
    if !geteuid().is_root() {
        return format!("exec '{}' \"$@\"\n", program.display());
    }
    let groups = if uid == OWNER { format!("--groups={GROUP}") } else { "--clear-groups".into() };
    format!(
        "exec 9< '{}'\nexec setpriv --reuid={uid} --regid={uid} {groups} /proc/self/fd/9 \"$@\"\n",
        program.display()
    )
}

fn as_user(site: &Site, uid: u32, program: &str, args: &[&str], stdin: &str) -> Answer {
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", &turning_into(uid, &bin(program)), program]).args(args);
    site.lead_here(&mut command);
    run_command(&mut command, stdin.as_bytes(), SOON)
}

/// Asks as the user of this test.
fn ask(site: &Site, request: &Request) -> Reply {
    let mut stream = UnixStream::connect(site.work_dir().join("awq.sock")).expect("the master listens");
    let mut wire = frame::preamble().to_vec();
    frame::put(&mut wire, Kind::Request, &[&serde_json::to_vec(request).expect("a request is JSON")]);
    frame::put(&mut wire, Kind::End, &[]);
    stream.write_all(&wire).expect("the master reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the master answers");
    let mut splitter = Splitter::default();
    splitter.feed(&answer);
    match splitter.next_frame().expect("frames") {
        Some((Kind::Reply, payload)) => read_head(payload).expect("a reply").1,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_master_of_one_user_serves_that_one_and_lets_root_act() {
    let root = geteuid().is_root();
    let mut site = Site::with(SiteOptions {
        without_master: true,
        master_args: if root { vec!["--group".into(), GROUP.to_string().into()] } else { Vec::new() },
        ..SiteOptions::default()
    });
    if root {
        for folder in [site.folder().to_owned(), site.home()] {
            chown(&folder, Some(Uid::from_raw(OWNER)), Some(Gid::from_raw(OWNER))).expect("root may");
        }
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(site.folder(), open).expect("root may");
    }
    let script = site.write_script("master", &format!("#!/bin/sh\n{}", turning_into(OWNER, &bin("alien_work_queue"))));
    site.set_master_program(Some(script));
    site.start_master();
    let text = "executable = /bin/true\ntransfer_executable = false\nenvironment = \"TOKEN=secret\"\nqueue\n";
    let submitted = as_user(&site, OWNER, "condor_submit", &[], text).ok();
    assert!(submitted.stdout.contains("submitted to cluster 1."), "{submitted}");
    let shown = || as_user(&site, OWNER, "condor_q", &["-af", "JobStatus", "Owner", "Environment"], "").ok().stdout;
    let before = shown();
    assert!(before.starts_with("1 ") && before.contains("TOKEN=secret"), "{before}");
    if !root {
        return;
    }

    for (program, args, stdin) in [
        ("condor_q", &["-af", "Environment"][..], ""),
        ("condor_rm", &["1"], ""),
        ("condor_hold", &["1.0"], ""),
        ("condor_qedit", &["1.0", "JobPrio", "7"], ""),
        ("condor_submit", &[], text),
        ("condor_history", &["-af", "Environment"], ""),
    ] {
        let answer = as_user(&site, STRANGER, program, args, stdin);
        assert_ne!(answer.code, Some(0), "{program}: {answer}");
        assert!(!answer.stdout.contains("secret") && !answer.stderr.contains("secret"), "{program}: {answer}");
        assert!(!answer.stderr.trim().is_empty(), "{program} says why");
    }
    assert_eq!(shown(), before);
    // Root acts on everybody's jobs and has none of its own here.
    match ask(&site, &Request::Submit(Submit::default())) {
        Reply::Refused { code: Refusal::Permission, message, .. } => assert!(message.contains("61001"), "{message}"),
        other => panic!("{other:?}"),
    }
    let targets = Targets::Jobs(vec![(1, 0)]);
    match ask(&site, &Request::Act(Act { action: Action::Hold, targets, reason: None, subcode: None })) {
        Reply::Acted(acted) => assert_eq!(acted.jobs, [((1, 0), JobOutcome::Success)]),
        other => panic!("{other:?}"),
    }
    assert!(shown().starts_with("5 "));
}

//! Nobody listens: every program says so, soon, and prints nothing that looks like an answer.

use std::os::unix::net::UnixListener;
use std::time::Duration;

use testkit::{Site, SiteOptions, run_command};

/// Every program that needs a master, with arguments that would be good.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("condor_submit", &["job.sub"]),
    ("condor_q", &[]),
    ("condor_q", &["-af", "ClusterId"]),
    ("condor_q", &["-totals"]),
    ("condor_q", &["-constraint", "JobStatus==1"]),
    ("condor_rm", &["1"]),
    ("condor_hold", &["1"]),
    ("condor_release", &["1"]),
    ("condor_vacate_job", &["1"]),
    ("condor_transfer_data", &["1"]),
    ("condor_status", &["-schedd"]),
    ("condor_reschedule", &[]),
];

/// What a program may take beyond its wait, on a busy machine.
const MARGIN: Duration = Duration::from_secs(3);

fn all_say_so(site: &Site, wait_s: &str) {
    site.write("job.sub", "executable = /bin/true\nqueue\n");
    let wait = Duration::from_secs_f64(wait_s.parse().unwrap());
    for (program, arguments) in PROGRAMS {
        let mut command = site.condor_command(program, arguments);
        command.env("AWQ_WAIT_S", wait_s);
        let answer = run_command(&mut command, b"", Duration::from_secs(30)).exits(1);
        assert_eq!(answer.stdout, "", "{answer}");
        assert!(!answer.stderr.trim().is_empty(), "{answer}");
        // AliEn counts such lines as jobs, wherever they come from.
        assert!(!answer.stderr.lines().any(|line| line.starts_with(|c: char| c.is_ascii_digit())), "{answer}");
        assert!(answer.took >= wait && answer.took <= wait + MARGIN, "{answer}");
    }
}

fn empty_site() -> Site {
    let site = Site::with(SiteOptions { without_master: true, ..SiteOptions::default() });
    std::fs::create_dir(site.work_dir()).unwrap();
    site
}

#[test]
fn without_a_socket() {
    let site = empty_site();
    all_say_so(&site, "0.2");
    std::fs::remove_dir(site.work_dir()).unwrap();
    all_say_so(&site, "0");
}

#[test]
fn with_a_socket_that_nobody_serves() {
    let site = empty_site();
    drop(UnixListener::bind(site.work_dir().join("awq.sock")).unwrap());
    all_say_so(&site, "0.2");
    all_say_so(&site, "0");
}

#[test]
fn after_the_end_of_a_master() {
    for crash in [true, false] {
        let site = Site::start();
        site.submit("executable = /bin/true\nqueue\n");
        if crash {
            site.kill_9();
        } else {
            site.stop_master();
        }
        all_say_so(&site, "0");
    }
}

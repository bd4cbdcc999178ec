//! What a job has in its environment, arguments and files is told to nobody else: not in a log, not in an answer of the
//! port, not in a file of the master that others may read (requirement R-39).

use std::process::Command;
use std::time::Duration;

use testkit::{Site, SiteOptions, WorkerOptions, require, run_command};

const SOON: Duration = Duration::from_secs(60);
/// Stands in everything that is secret, and nowhere else.
const CANARY: &str = "canary-7c1f0e";

#[test]
fn secrets_of_jobs_are_in_no_log_and_no_listing() {
    let site = Site::with(SiteOptions {
        password: Some(format!("password-{CANARY}").into_bytes()),
        // Whatever the master may say.
        master_args: vec!["--log-level".into(), "trace".into()],
        ..SiteOptions::default()
    });
    let _worker = site.worker(WorkerOptions::default());
    let home = site.home();
    let script = format!(
        "#!/bin/sh\n# {CANARY}\nwhile [ ! -e '{}/gate' ]; do sleep 0.05; done\necho \"$TOKEN\" $1\n",
        home.display()
    );
    site.write_script("job.sh", &script);
    site.write("proxy", format!("proxy-{CANARY}\n"));
    let cluster = site.submit(&format!(
        "executable = job.sh\narguments = argument-{CANARY}\nenvironment = \"TOKEN=token-{CANARY}\"\n\
         use_x509userproxy = true\nx509userproxy = proxy\noutput = out\nlog = log\nqueue\n"
    ));
    let refused = site.condor("condor_submit", &[], &format!("executable = job.sh\nenvironment = \"{CANARY}\nqueue\n"));
    assert_ne!(refused.code, Some(0), "{refused}");
    site.wait_until(SOON, "a running job", || site.statuses(cluster) == [2]);
    let password = site.password_file().unwrap();
    let port = site.port().to_string();
    for list in ["--resources", "--tasks", "--workers", "--project-stats"] {
        let mut command = Command::new(require("work_queue_status"));
        command.arg(list).arg("--long").arg("-P").arg(&password).args(["127.0.0.1", &port]);
        let answer = run_command(&mut command, b"", SOON);
        assert!(!format!("{answer}").contains(CANARY), "{list}: {answer}");
    }
    let journal = site.state_dir().join("journal");
    let mut dump = Command::new(testkit::bin("awq"));
    let answer = run_command(dump.args(["journal", "dump"]).arg(&journal), b"", SOON).ok();
    assert!(answer.stdout.contains("Submitted") && !answer.stdout.contains(CANARY), "{answer}");
    site.write("gate", "");
    site.wait_for_end(cluster, SOON);
    assert_eq!(site.read("out"), format!("token-{CANARY} argument-{CANARY}\n"));
    site.stop_master();
    let log = std::fs::read_to_string(site.folder().join("logs/master.log")).unwrap();
    assert!(log.contains("DEBUG") && !log.contains(CANARY), "{log}");
    assert!(!site.read("log").contains(CANARY));
    let stat = std::fs::read_to_string(site.work_dir().join("stat/latest")).unwrap();
    assert!(stat.contains("TIMESTAMP=") && !stat.contains(CANARY), "{stat}");
}

//! What others must not read, and what must not steer the terminal of who reads a log (requirement R-39).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use testkit::{Site, SiteOptions, WorkerOptions, bin, run_command};

const SOON: Duration = Duration::from_secs(60);

/// Every file and folder below that others could look into.
fn open_to_others(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the master") {
        let entry = entry.expect("an entry of it");
        let facts = std::fs::symlink_metadata(entry.path()).expect("nothing goes while the master stands still");
        if !facts.is_symlink() && facts.permissions().mode() & 0o077 != 0 {
            found.push(format!("{} {:o}", entry.path().display(), facts.permissions().mode() & 0o7777));
        }
        if facts.is_dir() {
            open_to_others(&entry.path(), found);
        }
    }
}

#[test]
fn a_generated_password_lets_real_workers_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let mut awq = std::process::Command::new(bin("awq"));
    run_command(awq.args(["password", "generate"]).arg(&file), b"", SOON).ok();
    let password = std::fs::read(&file).unwrap();
    let site = Site::with(SiteOptions { password: Some(password), ..SiteOptions::default() });
    let _worker = site.worker(WorkerOptions::default());
    let cluster = site.submit("executable = /bin/echo\narguments = inside\noutput = out\nqueue\n");
    site.wait_for_end(cluster, SOON);
    assert_eq!(site.read("out"), "inside\n");
}

#[test]
fn the_state_is_for_the_masters_eyes_and_its_memory_for_no_disk() {
    let site = Site::with(SiteOptions {
        // As an operator starts it; tests may have it otherwise.
        master_env: vec![("AWQ_CORE_DUMPS".into(), "false".into())],
        ..SiteOptions::default()
    });
    site.write("big", vec![7; 200_000]);
    // One job that stays, and one that has been.
    let text = "executable = big\nenvironment = \"TOKEN=x\"\nqueue\n";
    site.submit(text);
    let removed = site.submit(text).to_string();
    site.condor("condor_rm", &[&removed], "").ok();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", site.master_pid())).unwrap();
    let cores = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"]);
    site.stop_master();
    let mut found = Vec::new();
    open_to_others(&site.state_dir(), &mut found);
    open_to_others(&site.work_dir(), &mut found);
    // Two counts and a time, for whoever may look into the folder.
    found.retain(|entry| !entry.ends_with("/stat/latest 644"));
    assert_eq!(found, Vec::<String>::new());
    let journal: Vec<_> = std::fs::read_dir(site.state_dir().join("journal")).unwrap().collect();
    assert!(!journal.is_empty());
}

#[test]
fn what_peers_say_stands_in_the_log_as_text() {
    let site =
        Site::with(SiteOptions { master_args: vec!["--log-level".into(), "trace".into()], ..SiteOptions::default() });
    for words in [
        &b"workqueue 9 ev\x1b[2Jil\r\x07host Linux x86_64 7.4.16\ninfo worker-id \x1b]0;owned\x07\nalive\n\
           resource workers 1 1 1\nresource cores 1 1 1\ninfo end_of_resource_update 0\n\x9b31m\x1b[1m no message\n"[..],
        b"\x1b]0;owned\x07 2026-01-01T00:00:00Z ERROR forged: all is lost\r\n",
        b"GET /\x1b[2J\x7f HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", site.port())).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        // The master may hang up in the middle of it.
        let _ = stream.write_all(words);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    site.stop_master();
    let log = std::fs::read(site.folder().join("logs/master.log")).unwrap();
    let text = String::from_utf8(log).expect("a log is UTF-8");
    let odd: Vec<char> = text.chars().filter(|char| char.is_control() && *char != '\n').collect();
    assert_eq!(odd, Vec::<char>::new());
    assert!(text.contains("il") && text.contains("DEBUG"), "{text}");
    // Records begin with their time; nobody else began a line.
    assert!(text.lines().all(|line| line.starts_with("20") || line.starts_with("alien_work_queue")), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z ERROR")), "{text}");
}

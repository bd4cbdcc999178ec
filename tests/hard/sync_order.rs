//! Journal, disk, answer: in this order, as the system calls of the real master show.

use std::time::Duration;

use testkit::Guard;

use crate::trace::{Call, file, read_trace, traced_site};

/// The call that tells a client its cluster number.
fn answer_in(calls: &[Call], cluster: u64) -> Option<usize> {
    let answer = format!("\\\"cluster\\\":{cluster},");
    calls
        .iter()
        .position(|call| call.writes() && call.arguments.contains("awq.sock") && call.arguments.contains(&answer))
}

/// Checks the order for the submission that has this mark in its ad and got this cluster.
fn check(calls: &[Call], mark: &str, cluster: u64) {
    let index = |what: &str, found: Option<usize>| found.unwrap_or_else(|| panic!("no {what} of {mark}\n{calls:#?}"));
    let written = calls
        .iter()
        .position(|call| call.writes() && file(call).contains("/state/journal/") && call.arguments.contains(mark));
    let written = &calls[index("journal write", written)];
    let synced = calls.iter().position(|call| call.syncs() && file(call) == file(written) && call.begin > written.end);
    let synced = &calls[index("sync behind the write", synced)];
    let answered = &calls[index("answer", answer_in(calls, cluster))];
    assert!(answered.begin > synced.end, "an answer before its sync:\n{written:?}\n{synced:?}\n{answered:?}");
}

#[test]
fn journal_then_disk_then_answer() {
    let folder = tempfile::tempdir().unwrap();
    let site = traced_site(folder.path(), &[]);
    let first = site.submit("executable = /bin/true\narguments = mark-of-the-first\nqueue\n");
    // Two at once: they may share a sync, but neither is answered before one.
    for name in ["second", "third"] {
        let text = format!("executable = /bin/true\narguments = mark-of-the-{name}\nqueue\n");
        site.write(&format!("{name}.sub"), text);
    }
    let mut clients = ["second", "third"].map(|name| {
        let mut command = site.condor_command("condor_submit", &[format!("{name}.sub")]);
        let out = std::fs::File::create(site.home().join(name)).unwrap();
        command.stdout(out);
        (name, Guard::start(name, &mut command).unwrap())
    });
    let mut marks = vec![("mark-of-the-first".to_owned(), first)];
    for (name, client) in &mut clients {
        assert!(client.wait(Duration::from_secs(60)).unwrap().success());
        let told = site.read(name);
        let (_, rest) = told.split_once("submitted to cluster ").expect("a cluster number");
        marks.push((format!("mark-of-the-{name}"), rest.split('.').next().unwrap().parse().unwrap()));
    }
    let mut calls = Vec::new();
    site.wait_until(Duration::from_secs(30), "all answers in the trace", || {
        calls = read_trace(&std::fs::read_to_string(folder.path().join("trace")).unwrap_or_default());
        marks.iter().all(|(_, cluster)| answer_in(&calls, *cluster).is_some())
    });
    site.kill_9();
    for (mark, cluster) in &marks {
        check(&calls, mark, *cluster);
    }
}

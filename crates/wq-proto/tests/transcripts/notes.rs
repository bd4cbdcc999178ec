//! Files that hold no conversation: status replies, catalog traffic, and what the test master found.

use bytes::BytesMut;
use wq_proto::{FromWorker, Protocol, StatusQuery};

/// File, lines that were checked.
pub(crate) const FILES: &[(&str, usize)] = &[
    ("catalog-updates-and-queries.txt", 3),
    ("probe-foreman-5.4.17.result", 1),
    ("probe-foreman-6.2.8.result", 1),
    ("probe-foreman-7.0.22.result", 1),
    ("probe-foreman-7.4.16.result", 1),
    ("probe-foreman-7.9.2.result", 1),
    ("probe-foreman-debian.result", 1),
    ("probe-foreman-master.result", 1),
    ("probe-foreman-p10.result", 1),
    ("probe-tls-7.9.2.result", 1),
    ("probe-worker-5.4.17.result", 1),
    ("probe-worker-6.2.8.result", 1),
    ("probe-worker-7.0.22.result", 1),
    ("probe-worker-7.4.16.result", 1),
    ("probe-worker-7.9.2.result", 1),
    ("probe-worker-debian.result", 1),
    ("probe-worker-master.result", 1),
    ("probe-worker-p10.result", 1),
    ("status-c-master-7.9.2-queue_status.json", 1),
    ("status-c-master-7.9.2-resources_status.json", 1),
    ("status-c-master-7.9.2-task_status.json", 1),
    ("status-c-master-7.9.2-wable_status.json", 1),
    ("status-c-master-7.9.2-worker_status.json", 1),
];

#[test]
fn other_files_hold_what_they_should() {
    let mut counts = Vec::new();
    for (file, _) in FILES {
        let text = crate::read(file);
        let checked = match file.split('-').next().unwrap() {
            "catalog" => check_catalog(&text),
            "probe" => check_result(&text),
            "status" => check_status(file, &text),
            other => panic!("unknown kind {other}"),
        };
        counts.push((*file, checked));
    }
    assert_eq!(counts, FILES);
}

/// Request lines of workers that ask a catalog: the same grammar as a browser's at the master's port.
fn check_catalog(text: &str) -> usize {
    let mut requests = 0;
    for line in text.lines() {
        let (_, what) = line.split_once(' ').unwrap();
        if let Some(request) = what.strip_prefix("HTTP request: b'") {
            let (line, _) = request.split_once(r"\r\n").unwrap();
            check_line(line, |message| matches!(message, FromWorker::Http { .. }));
            requests += 1;
        } else {
            assert!(what.starts_with("UDP ") || what.starts_with("TCP "), "{line}");
        }
    }
    requests
}

/// `peer: protocol N …` names a protocol we speak; the other lines are outcomes.
fn check_result(text: &str) -> usize {
    let mut peers = 0;
    for line in text.lines() {
        if let Some(peer) = line.strip_prefix("peer: protocol ") {
            let number = peer.split(' ').next().unwrap().parse::<u32>().unwrap();
            Protocol::try_from(number).unwrap();
            peers += 1;
        } else {
            let kinds = ["PASS ", "FAIL ", "info: ", "listening ", "tls "];
            assert!(kinds.iter().any(|kind| line.starts_with(kind)), "{line}");
        }
    }
    peers
}

/// The query in the file name is one we know; the reply is one array, then the end.
fn check_status(file: &str, text: &str) -> usize {
    let (_, query) = file.trim_end_matches(".json").rsplit_once('-').unwrap();
    check_line(
        query,
        |message| matches!(message, FromWorker::Status(asked) if asked.verb() == query && StatusQuery::ALL.contains(asked)),
    );
    assert!(text.starts_with("[{") && text.trim_end().ends_with("}]<EOF>"), "{file}");
    1
}

fn check_line(line: &str, is_right: impl Fn(&FromWorker) -> bool) {
    let message = FromWorker::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(is_right(&message), "{line}: {message:?}");
    let mut printed = BytesMut::new();
    message.print(&mut printed);
    assert_eq!(printed, format!("{line}\n"));
}

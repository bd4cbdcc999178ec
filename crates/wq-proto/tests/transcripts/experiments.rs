//! Outcomes of experiments: the protocol lines in them stand in quotes, between notes of the experimenter.
//!
//! Each quoted text is either a line of the protocol, which must parse and print back, or one of the notes listed here;
//! anything else fails the test.

use crate::recording::unescape;
use bytes::BytesMut;
use wq_proto::{FromWorker, TaskStatus};

/// File, protocol lines in it.
pub(crate) const FILES: &[(&str, usize)] = &[
    ("experiment-features.txt", 84),
    ("experiment-foreman.txt", 3),
    ("experiment-mixed.txt", 90),
    ("experiment-odd-input.txt", 155),
    ("experiment-time-limits.txt", 0),
];

/// What a line of these files begins with: a release, or one of the experimenter's own words.
const BEGINNINGS: &[&str] = &[
    "5.4.17 ",
    "6.2.8 ",
    "7.0.22 ",
    "7.4.16 ",
    "7.9.2 ",
    "debian ",
    "    ",
    "   ",
    "  File ",
    "TimeoutError: ",
    "# time limits",
];

/// Quoted texts that are no protocol lines.
const NOTES: &[&str] = &[
    "<CLOSED>",
    "peer closed",
    "Connection reset by peer",
    "no data from the peer",
    "authentication failed",
    // The body of a result, read as a line.
    "a",
    // Names in directory listings.
    "",
    "f",
    // Names of resources in a table of figures.
    "workers",
    "disk",
    "memory",
    "gpus",
    "unlabeled",
    "cores",
    "tag",
    // The experimenter's program.
    "WORKDIR/e6b.py",
    "WORKDIR/x.py",
    "PY/lib/python3.11/socket.py",
    "WORKDIR/run/e6-%s-kill.log",
    "--feature",
    "ff",
    "5.4.17",
    "6.2.8",
];

/// Beginnings and ends of quoted texts that are no protocol lines.
const NOTE_BEGINNINGS: &[&str] = &["closed after ", "work_queue_worker: "];
const NOTE_ENDS: &[&str] = &[" available"];

#[test]
fn quoted_lines_print_back() {
    let mut counts = Vec::new();
    for (file, _) in FILES {
        let mut lines = 0;
        for line in crate::read(file).lines() {
            assert!(
                BEGINNINGS.iter().any(|beginning| line.starts_with(beginning)),
                "{file}: unknown kind of line: {line}"
            );
            lines += check_line(file, line);
        }
        counts.push((*file, lines));
    }
    assert_eq!(counts, FILES);
}

/// Checks one line of a file; the number of protocol lines in it.
fn check_line(file: &str, line: &str) -> usize {
    // Two facts stand without quotes.
    if let Some(said) = line.rsplit_once("-P but the master has none ").map(|(_, said)| said.trim_start()) {
        return check_wire(file, said.as_bytes());
    }
    if file.ends_with("time-limits.txt") {
        return check_time_limit(line);
    }
    let quoted = quoted(line);
    // Features were logged without their verb; so were facts in a table.
    if line.contains(" features  ") || line.contains(" features ['") {
        let features = quoted.iter().filter(|text| *text == "b" || *text == "my%20feat/1" || *text == "ff");
        return features.map(|name| check_wire(file, format!("feature {name}").as_bytes())).sum();
    }
    if line.contains("{'end_of_resource_update': ") {
        let (_, facts) = quoted.split_first().expect("a note comes first");
        return facts.chunks(2).map(|fact| check_wire(file, format!("info {} {}", fact[0], fact[1]).as_bytes())).sum();
    }
    quoted.iter().map(|text| check_quoted(file, text)).sum()
}

fn check_quoted(file: &str, text: &str) -> usize {
    if NOTES.contains(&text) || NOTE_ENDS.iter().any(|end| text.ends_with(end)) {
        return 0;
    }
    if NOTE_BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)) {
        // A note may quote lines in turn.
        return self::quoted(text).iter().map(|inner| check_quoted(file, inner)).sum();
    }
    if let Some((header, body)) = text.split_once(" :: ") {
        let message = FromWorker::parse(header.as_bytes()).unwrap();
        assert_eq!(message.body_len(), Some(body.len() as u64), "{file}: {text}");
        return check_wire(file, header.as_bytes());
    }
    // The experimenter read bytes as Latin-1.
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).expect("one byte")).collect();
    check_wire(file, &bytes)
}

/// One line of a peer.
fn check_wire(file: &str, line: &[u8]) -> usize {
    let shown = line.escape_ascii();
    let message = FromWorker::parse(line).unwrap_or_else(|error| panic!("{file}: {shown}: {error}"));
    let mut printed = BytesMut::new();
    message.print(&mut printed);
    assert_eq!(printed, [line, b"\n"].concat(), "{file}: {shown}");
    1
}

/// `wall_time 3, sleep 12 ((56, 9), 5.0)`: status and exit code. No protocol lines, but statuses.
fn check_time_limit(line: &str) -> usize {
    if let Some((_, outcome)) = line.split_once("((") {
        let (status, rest) = outcome.split_once(", ").unwrap();
        let status = TaskStatus::from_number(status.parse().unwrap());
        let killed = rest.starts_with("9)");
        let wanted = [TaskStatus::TaskTimeout, TaskStatus::MaxRunTime];
        assert_eq!(wanted.contains(&status), killed, "{line}");
        assert!(killed || status == TaskStatus::Success, "{line}");
    }
    0
}

/// The texts in quotes, without those of raw bytes (`b'…'`), which are bodies.
fn quoted(line: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find(['\'', '"']) {
        let quote = rest.as_bytes()[at];
        let is_body = rest[..at].ends_with('b') && !rest[..at].ends_with("ob");
        let inside = &rest[at + 1..];
        let mut escaped = false;
        let end = inside.bytes().position(|byte| {
            let ends = byte == quote && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let Some(end) = end else { panic!("unbalanced quote: {line}") };
        if !is_body {
            texts.push(String::from_utf8(unescape(&inside[..end])).unwrap());
        }
        rest = &inside[end + 1..];
    }
    texts
}

#[test]
fn quotes_are_found() {
    assert_eq!(quoted(r#"x ['a b', b'body', "it's"] ('\\n\'', 3)"#), ["a b", "it's", "\\n'"]);
}

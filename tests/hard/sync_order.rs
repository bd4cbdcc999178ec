//! Journal, disk, answer: in this order, as the system calls of the real master show.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use testkit::{Guard, Site, SiteOptions, bin, require};

/// What is traced.
const CALLS: &str = "write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync";

/// One system call of the trace.
#[derive(Debug)]
struct Call {
    /// Line in which it begins, and line in which it has ended.
    begin: usize,
    end: usize,
    name: String,
    /// Everything between the brackets.
    arguments: String,
    result: String,
}

/// Reads what `strace -f` wrote; a call that others interrupt takes two lines.
fn read_trace(text: &str) -> Vec<Call> {
    let mut open: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    let mut calls = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let (begin, whole) = if let Some(first) = rest.strip_suffix(" <unfinished ...>") {
            open.insert(thread, (number, first.to_owned()));
            continue;
        } else if let Some(second) = rest.strip_prefix("<... ") {
            let Some((begin, first)) = open.remove(thread) else { continue };
            let (_, second) = second.split_once(" resumed>").expect("the form of strace");
            (begin, first + second)
        } else {
            (number, rest.to_owned())
        };
        let Some((name, rest)) = whole.split_once('(') else { continue };
        let Some((arguments, result)) = rest.rsplit_once(" = ") else { continue };
        calls.push(Call {
            begin,
            end: number,
            name: name.to_owned(),
            arguments: arguments.trim_end().trim_end_matches(')').to_owned(),
            result: result.to_owned(),
        });
    }
    calls
}

/// What a call works on: the file behind the descriptor, as `strace -yy` writes it.
fn file(call: &Call) -> &str {
    call.arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(file, _)| file)
}

impl Call {
    fn writes(&self) -> bool {
        matches!(self.name.as_str(), "write" | "writev" | "pwrite64" | "pwritev" | "sendto" | "sendmsg")
    }

    fn syncs(&self) -> bool {
        matches!(self.name.as_str(), "fsync" | "fdatasync") && self.result.starts_with('0')
    }
}

/// A site whose master is traced into `trace` in `folder`.
fn traced_site(folder: &Path) -> Site {
    let script = folder.join("traced-master");
    let text = format!(
        "#!/bin/sh\nexec {} -f -yy -s 100000 -o {} -e trace={CALLS} {} \"$@\"\n",
        require("strace").display(),
        folder.join("trace").display(),
        bin("alien_work_queue").display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    Site::with(SiteOptions { master_program: Some(script), ..SiteOptions::default() })
}

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
    let site = traced_site(folder.path());
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

#[test]
fn a_trace_is_read_with_its_interruptions() {
    let calls = read_trace(
        "7  write(3</s/journal/1>, \"a)\\n\", 3) = 3\n7  fdatasync(3</s/journal/1> <unfinished ...>\n\
         8  write(9<UNIX-STREAM:[1,\"/awq.sock\"]>, \"x\", 1) = 1\n7  <... fdatasync resumed>) = 0\n",
    );
    let read: Vec<_> = calls.iter().map(|call| (call.name.as_str(), call.begin, call.end, file(call))).collect();
    assert_eq!(
        read,
        [
            ("write", 0, 0, "/s/journal/1"),
            ("write", 2, 2, "UNIX-STREAM:[1,\"/awq.sock\"]"),
            ("fdatasync", 1, 3, "/s/journal/1"),
        ]
    );
    assert!(calls[2].syncs());
}

//! System calls of a real master, as `strace` sees them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use testkit::{Site, SiteOptions, bin, require};

/// What is traced.
const CALLS: &str = "write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync";

/// One system call of the trace.
#[derive(Debug)]
pub(crate) struct Call {
    /// Line in which it begins.
    pub(crate) begin: usize,
    /// Line in which it has ended.
    pub(crate) end: usize,
    name: String,
    /// Everything between the brackets.
    pub(crate) arguments: String,
    result: String,
}

/// Reads what `strace -f` wrote; a call that others interrupt takes two lines.
pub(crate) fn read_trace(text: &str) -> Vec<Call> {
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
pub(crate) fn file(call: &Call) -> &str {
    call.arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(file, _)| file)
}

impl Call {
    /// It gives bytes to a file or socket.
    pub(crate) fn writes(&self) -> bool {
        matches!(self.name.as_str(), "write" | "writev" | "pwrite64" | "pwritev" | "sendto" | "sendmsg")
    }

    /// It brought a file to the disk.
    pub(crate) fn syncs(&self) -> bool {
        matches!(self.name.as_str(), "fsync" | "fdatasync") && self.result.starts_with('0')
    }
}

/// A site whose master, with these further options, is traced into `trace` in `folder`.
pub(crate) fn traced_site(folder: &Path, master_args: &[&str]) -> Site {
    let script = folder.join("traced-master");
    let text = format!(
        "#!/bin/sh\nexec {} -f -yy -s 100000 -o {} -e trace={CALLS} {} \"$@\"\n",
        require("strace").display(),
        folder.join("trace").display(),
        bin("alien_work_queue").display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let master_args = master_args.iter().map(|arg| (*arg).into()).collect();
    Site::with(SiteOptions { master_program: Some(script), master_args, ..SiteOptions::default() })
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

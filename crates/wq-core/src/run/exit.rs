//! How a program ended, read from the numbers that a worker reports (decision D24).

use journal::Exit;

use crate::io::Trouble;

/// Exit code or signal from the EXIT field of a result.
///
/// The command line ends in `exit $?`, so a program killed by signal n shows as 128 + n; a program that exits with
/// such a code itself cannot be told apart.
pub fn exit_of(exit: i32) -> Exit {
    match exit {
        129..=192 => Exit::Signal(exit - 128),
        code => Exit::Code(code),
    }
}

/// The shell could not start the program: 126 or 127, and nothing in the log but one line of the shell that names it.
/// Code 6 with EACCES or ENOENT.
pub fn start_failure(exit: i32, log: &[u8], program: &str) -> Option<Trouble> {
    let (subcode, what) = match exit {
        126 => (13, "Permission denied"),
        127 => (2, "No such file or directory"),
        _ => return None,
    };
    let text = String::from_utf8_lossy(log);
    let mut lines = text.lines();
    let first = lines.next()?;
    if lines.next().is_some() || !first.contains(program) {
        return None;
    }
    // The shell's own words are better than ours; its "sh: 1: " in front is not.
    let words = first.find(program).map_or(first, |at| &first[at..]);
    let detail = words.strip_prefix(program).map(|rest| rest.trim_start_matches(':').trim()).unwrap_or_default();
    let detail = userlog::one_line(if detail.is_empty() { what } else { detail });
    Some(Trouble { code: 6, subcode, reason: format!("Failed to execute '{program}': {detail}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_signals() {
        assert_eq!(exit_of(0), Exit::Code(0));
        assert_eq!(exit_of(128), Exit::Code(128));
        assert_eq!(exit_of(137), Exit::Signal(9));
        assert_eq!(exit_of(255), Exit::Code(255));
        assert_eq!(exit_of(193), Exit::Code(193));
    }

    #[test]
    fn a_program_that_was_not_started_is_recognised_only_by_its_lone_line() {
        let not_found = b"sh: 1: ./agent.sh: not found\n";
        let trouble = start_failure(127, not_found, "./agent.sh").unwrap();
        assert_eq!((trouble.code, trouble.subcode), (6, 2));
        assert_eq!(trouble.reason, "Failed to execute './agent.sh': not found");
        let loader = start_failure(127, b"./agent.sh: its loader: not found\n", "./agent.sh").unwrap();
        assert_eq!(loader.reason, "Failed to execute './agent.sh': its loader: not found");
        assert!(start_failure(127, b"hello\nsh: 1: ./agent.sh: not found\n", "./agent.sh").is_none());
        assert!(start_failure(127, b"./other: not found\n", "./agent.sh").is_none());
        assert!(start_failure(1, not_found, "./agent.sh").is_none());
        assert_eq!(start_failure(126, b"sh: 1: ./agent.sh: Permission denied", "./agent.sh").unwrap().subcode, 13);
    }
}

//! Running one program to its end: what it printed, how it ended, never for longer than its deadline.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::guard::Guard;

/// What a program answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The command as typed, for messages.
    pub command: String,
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// From start to end, as seen by the caller.
    pub took: Duration,
}

impl Answer {
    /// The answer itself when the exit code is 0; else the test fails and shows everything.
    #[track_caller]
    pub fn ok(self) -> Answer {
        self.exits(0)
    }

    /// The answer itself when the exit code is `code`; else the test fails and shows everything.
    #[track_caller]
    pub fn exits(self, code: i32) -> Answer {
        assert!(self.code == Some(code), "expected exit code {code}\n{self}");
        self
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Answer { command, code, stdout, stderr, took } = self;
        write!(f, "$ {command}\nexit code {code:?} after {took:?}\n--- stdout\n{stdout}--- stderr\n{stderr}---")
    }
}

/// Runs `command` with `stdin` as its standard input.
///
/// Output goes to files, not to pipes, so neither side can block the other; standard output is no terminal. The
/// program and all it started are killed when `deadline` passes, and the test fails.
#[track_caller]
pub fn run_command(command: &mut Command, stdin: &[u8], deadline: Duration) -> Answer {
    let name = typed(command);
    let mut out = tempfile::tempfile().expect("a temporary file for stdout");
    let mut err = tempfile::tempfile().expect("a temporary file for stderr");
    command
        .stdin(Stdio::piped())
        .stdout(out.try_clone().expect("second handle of a file"))
        .stderr(err.try_clone().expect("second handle of a file"));
    let begin = Instant::now();
    let mut guard = match Guard::start(&name, command) {
        Ok(guard) => guard,
        Err(error) => panic!("cannot run {name}: {error}"),
    };
    let mut pipe = guard.take_stdin().expect("stdin was piped");
    let waited = std::thread::scope(|scope| {
        // In a thread of its own: a program may end, or hang, without having read its input.
        scope.spawn(move || {
            // A program that does not want its input closes the pipe; that is its right.
            let _ = pipe.write_all(stdin);
        });
        let waited = guard.wait(deadline);
        if waited.is_err() {
            // Ends the writer too: the reading end of the pipe is gone.
            guard.end();
        }
        waited
    });
    let took = begin.elapsed();
    let (stdout, stderr) = (text(&mut out), text(&mut err));
    match waited {
        Ok(status) => Answer { command: name, code: status.code(), stdout, stderr, took },
        Err(expired) => panic!("{expired}\n--- stdout\n{stdout}--- stderr\n{stderr}---"),
    }
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().expect("rewind a temporary file");
    file.read_to_end(&mut bytes).expect("read a temporary file");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The command as a person would type it; words with blanks in quotes.
fn typed(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| {
            let word = word.to_string_lossy();
            if word.is_empty() || word.contains([' ', '\n', '\'']) { format!("{word:?}") } else { word.into_owned() }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn all_of_an_answer_is_there() {
        let answer = run_command(&mut sh("cat; echo no >&2; exit 3"), b"yes\n", Duration::from_secs(20)).exits(3);
        assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("yes\n", "no\n"));
        assert_eq!(answer.command, "sh -c \"cat; echo no >&2; exit 3\"");
    }

    #[test]
    fn input_that_nobody_reads_does_not_block() {
        let much = vec![b'x'; 1 << 20];
        assert_eq!(run_command(&mut sh("exit 0"), &much, Duration::from_secs(20)).ok().stdout, "");
    }

    #[test]
    #[should_panic(expected = "half an answer")]
    fn a_program_that_hangs_is_ended_and_shown() {
        run_command(&mut sh("echo half an answer; exec cat /dev/zero >/dev/null"), b"", Duration::from_millis(300));
    }

    #[test]
    #[should_panic(expected = "expected exit code 0")]
    fn ok_insists_on_success() {
        run_command(&mut sh("exit 1"), b"", Duration::from_secs(20)).ok();
    }
}

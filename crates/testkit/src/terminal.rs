//! A person at a terminal: a bash with nothing in its environment, to which a test types lines.
//!
//! As root the person gets a network, a `/tmp` and an `/etc/hosts` of their own and is an ordinary user, so that
//! commands with fixed ports and folders can be typed as they stand in a paper. Other users can make no such thing:
//! they type on the machine as it is, one terminal after the other.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::answer::Answer;
use crate::guard::Guard;
use crate::wait::wait_until;

/// Who types when root runs the tests: the user and group `nobody`, which every Debian has.
const NOBODY: u32 = 65534;
/// What is done as root before the person comes: `$1` becomes `/tmp`, `$2` becomes `/etc/hosts`, and `$3`, if not empty,
/// can be reached, also when it stands in a folder of root's or in the `/tmp` that is hidden now.
const OWN_MACHINE: &str = r#"
set -e
person='setpriv --reuid=65534 --regid=65534 --clear-groups'
ip link set lo up
if [ "$3" ]; then mkdir "$1/shown"; mount --bind "$3" "$1/shown"; fi
mount --rbind "$1" /tmp
mount --bind "$2" /etc/hosts
if [ "$3" ] && ! $person test -r "$3/."; then
    top=${3#/} top=/${top%%/*}
    [ "$top" = /tmp ] || mount -t tmpfs -o mode=755 none "$top"
    mkdir -p "$3"
    mount --bind /tmp/shown "$3"
fi
exec $person bash --norc --noprofile
"#;
/// Names of other machines in papers; all of them are this one. Its own name is added: a CCTools worker that cannot look
/// that up introduces itself with whatever its memory holds.
const HOSTS: &str = "127.0.0.1 localhost foremen_host master_host";
/// For a command that says nothing else.
const PATIENCE: Duration = Duration::from_secs(120);

/// A shell that runs until it is dropped; then everything that was started from it ends too.
#[derive(Debug)]
pub struct Terminal {
    shell: RefCell<Guard>,
    keyboard: RefCell<ChildStdin>,
    typed: Cell<u32>,
    home: PathBuf,
    answers: PathBuf,
    _alone: Option<MutexGuard<'static, ()>>,
    _folder: TempDir,
}

impl Terminal {
    /// A terminal of somebody whose home folder has this name (blanks and all), below a temporary folder.
    #[track_caller]
    pub fn open(home: &str) -> Terminal {
        Terminal::open_with(home, None)
    }

    /// The same; the person also sees the folder `shown` where it is, whoever owns the folders around it.
    #[track_caller]
    pub fn open_with(home: &str, shown: Option<&Path>) -> Terminal {
        static MACHINE: Mutex<()> = Mutex::new(());
        let is_root = nix::unistd::geteuid().is_root();
        // The state of another terminal's test says nothing about the machine.
        let alone = (!is_root).then(|| MACHINE.lock().unwrap_or_else(PoisonError::into_inner));
        // Not in /tmp, which the person has for themselves.
        let folder = tempfile::Builder::new().prefix("awq-terminal-").tempdir_in("/var/tmp").expect("a folder");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("a mode of a new folder");
        let make = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).expect("a folder in a new folder");
            if is_root {
                chown(&path, Some(NOBODY), Some(NOBODY)).expect("root gives folders away");
            }
            path
        };
        let (home, answers, tmp) = (make(home), make("answers"), make("tmp"));
        let hosts = folder.path().join("hosts");
        let own_name = nix::unistd::gethostname().expect("a machine has a name");
        std::fs::write(&hosts, format!("{HOSTS} {}\n", own_name.display())).expect("a file in a new folder");
        let mut command = if is_root { Command::new("unshare") } else { Command::new("bash") };
        if is_root {
            command.args(["--net", "--mount", "sh", "-c", OWN_MACHINE, "sh"]).arg(tmp).arg(hosts);
            command.arg(shown.unwrap_or(Path::new("")));
        } else {
            command.args(["--norc", "--noprofile"]);
        }
        command.env_clear().env("HOME", &home).current_dir(&home);
        let log = std::fs::File::create(answers.join("shell.log")).expect("a file in a new folder");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let mut shell = Guard::start("terminal", &mut command).expect("a shell can be started");
        let keyboard = shell.take_stdin().expect("stdin was piped");
        Terminal {
            shell: RefCell::new(shell),
            keyboard: RefCell::new(keyboard),
            typed: Cell::new(0),
            home,
            answers,
            _alone: alone,
            _folder: folder,
        }
    }

    /// The home folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Types lines into the shell and waits until they have been carried out; the exit code is that of the last one.
    #[track_caller]
    pub fn types(&self, lines: &str) -> Answer {
        let number = self.typed.get() + 1;
        self.typed.set(number);
        let place = |kind: &str| self.answers.join(format!("{number}.{kind}"));
        let quoted = |kind: &str| format!("'{}'", place(kind).display());
        let text = format!(
            "{{ {lines}\n}} < /dev/null > {} 2> {}; echo $? > {new}; mv {new} {}\n",
            quoted("out"),
            quoted("err"),
            quoted("code"),
            new = quoted("new"),
        );
        let begin = Instant::now();
        self.keyboard.borrow_mut().write_all(text.as_bytes()).expect("the shell reads what is typed");
        let read = |kind: &str| String::from_utf8_lossy(&std::fs::read(place(kind)).unwrap_or_default()).into_owned();
        let waited =
            wait_until(PATIENCE, lines, || place("code").exists() || self.shell.borrow_mut().ended().is_some());
        let code = read("code").trim().parse().ok();
        let answer =
            Answer { command: lines.to_owned(), code, stdout: read("out"), stderr: read("err"), took: begin.elapsed() };
        let log = std::fs::read_to_string(self.answers.join("shell.log")).unwrap_or_default();
        assert!(waited.is_ok() && code.is_some(), "the shell did not come back: {log}\n{answer}");
        answer
    }

    /// Types lines that run on, as in a `screen`; what they print goes to the file `NAME.log` in the home folder.
    #[track_caller]
    pub fn leaves_running(&self, name: &str, lines: &str) {
        self.types(&format!("{{ {lines}\n}} > \"$HOME/{name}.log\" 2>&1 &")).ok();
    }

    /// Writes a file below home that belongs to the person.
    #[track_caller]
    pub fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.home.join(name);
        std::fs::write(&path, text).expect("write a file in home");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("a mode of a file of ours");
        if nix::unistd::geteuid().is_root() {
            chown(&path, Some(NOBODY), Some(NOBODY)).expect("root gives files away");
        }
        path
    }

    /// The text of a file below home, empty when there is none.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.home.join(name)).unwrap_or_default()).into_owned()
    }

    /// Waits until a typed line succeeds with this output; the test fails with the last answer and all logs when it does
    /// not.
    #[track_caller]
    pub fn waits_for(&self, deadline: Duration, line: &str, output: &str) {
        let mut last = None;
        let waited = wait_until(deadline, line, || {
            let answer = self.types(line);
            let good = answer.code == Some(0) && answer.stdout.trim_end() == output;
            last = Some(answer);
            good
        });
        if let (Err(expired), Some(answer)) = (waited, last) {
            panic!("{expired}; wanted {output:?}\n{answer}\n{}", self.logs());
        }
    }

    /// What those that were left running have printed, and what the keepers of workers and foremen have.
    fn logs(&self) -> String {
        self.types("tail -n 50 *.log .alien_wq_tmp/*/*/log 2> /dev/null").stdout
    }

    /// Command lines of all processes that were started from here and still run, but for the shell itself.
    pub fn running(&self) -> Vec<String> {
        let shell = self.shell.borrow();
        let others = shell.running().into_iter().filter(|pid| *pid != shell.pid());
        others
            .filter_map(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
                Some(String::from_utf8_lossy(&line).replace('\0', " ").trim_end().to_owned())
            })
            .filter(|line| !line.is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_share_one_shell_and_their_answers_are_apart() {
        let terminal = Terminal::open("a home");
        terminal.types("NAME=value; cd /; echo to stderr >&2").ok();
        let answer = terminal.types("echo $NAME $PWD; cat; (exit 3)").exits(3);
        assert_eq!((&*answer.stdout, &*answer.stderr), ("value /\n", ""));
        assert!(terminal.home().ends_with("a home"));
        assert_eq!(terminal.types("cd; pwd; touch x").ok().stdout, format!("{}\n", terminal.home().display()));
        terminal.leaves_running("sleeper", "echo asleep; exec sleep 600");
        terminal.waits_for(PATIENCE, "cat \"$HOME/sleeper.log\"", "asleep");
        assert_eq!(terminal.running(), ["sleep 600"]);
    }

    #[test]
    fn nobody_else_hears_the_ports_of_a_terminal() {
        let terminal = Terminal::open("home");
        let seen = terminal.types("getent hosts $HOSTNAME > /dev/null && env | cut -d= -f1 | sort | tr '\\n' ' '; id -u; getent hosts foremen_host").stdout;
        if nix::unistd::geteuid().is_root() {
            assert!(seen.starts_with("HOME PWD SHLVL TESTKIT_MARK _ 65534\n127.0.0.1"), "{seen}");
        } else {
            assert!(seen.contains("HOME"), "{seen}");
        }
    }
}

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use nix::errno::Errno;
use wq_core::ids::{BlobId, JobId};
use wq_core::io::{LocalProgram, PlannedCopy};
use wq_core::run::{BlobUse, Stream};

use super::program::{self, Ready, SCRATCH, make_folder};
use super::record::{self, Identity};
use super::{leftovers, pid_of};
use crate::blobs::{Place, hash};
use crate::outputs::Words;

struct Bench {
    dir: tempfile::TempDir,
    contents: HashMap<BlobId, Place>,
}

impl Bench {
    fn new() -> Bench {
        Bench { dir: tempfile::tempdir().unwrap(), contents: HashMap::new() }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn blob(&mut self, content: &'static [u8]) -> BlobUse {
        let id = hash(content);
        self.contents.insert(id, Place::Memory(Bytes::from_static(content)));
        BlobUse { id, size: content.len() as u64, mode: 0o640 }
    }

    fn program(&self, cmd: &str) -> LocalProgram {
        LocalProgram {
            job: JobId::new(3, 1),
            iwd: self.path(""),
            copies: None,
            cmd: self.path(cmd),
            executable: None,
            proxy: None,
            token: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            stdin: None,
            stdout: Stream::Null,
            stderr: Stream::Null,
            umask: 0o027,
        }
    }

    fn make(&self, program: &LocalProgram) -> Result<Ready, (i32, i32, String)> {
        let made = Ready::make(program, &self.contents, &self.dir.path().join("3.1"), &Words::new("h"));
        made.map(|(ready, _)| ready).map_err(|trouble| (trouble.code, trouble.subcode, trouble.reason))
    }

    fn write(&self, name: &str, content: &[u8], mode: u32) {
        fs::write(self.path(name), content).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn what_was_submitted_runs_from_its_place_while_it_is_there_and_else_as_a_copy() {
    let mut b = Bench::new();
    let mut program = b.program("agent.sh");
    program.executable = Some(b.blob(b"#!/bin/sh\necho 1\n"));
    b.write("agent.sh", b"#!/bin/sh\necho 1\n", 0o755);
    assert_eq!(b.make(&program).unwrap().path, Path::new(&b.path("agent.sh")));
    let copied = |b: &Bench| {
        let path = b.make(&program).unwrap().path;
        assert_eq!(path, Path::new(&b.path("3.1/agent.sh")));
        assert_eq!(fs::read(&path).unwrap(), b"#!/bin/sh\necho 1\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o740);
    };
    b.write("agent.sh", b"#!/bin/sh\necho 2\n", 0o755);
    copied(&b);
    fs::remove_file(b.path("agent.sh")).unwrap();
    copied(&b);
}

#[test]
fn files_that_cannot_be_opened_are_named_with_htcondors_codes() {
    let b = Bench::new();
    let of = |change: &dyn Fn(&mut LocalProgram)| {
        let mut program = b.program("x");
        change(&mut program);
        b.make(&program).unwrap_err()
    };
    let (code, subcode, reason) = of(&|p| p.iwd = "/no/such".into());
    assert_eq!((code, subcode), (14, 2), "{reason}");
    let (code, subcode, reason) = of(&|p| p.stdin = Some(b.path("gone")));
    assert_eq!((code, subcode), (8, 2), "{reason}");
    let (code, subcode, reason) = of(&|p| p.stdout = Stream::File(b.path("no/o")));
    assert_eq!((code, subcode), (7, 2), "{reason}");
    let (code, subcode, reason) = of(&|p| p.stderr = Stream::File(b.path("")));
    assert_eq!((code, subcode), (7, Errno::EISDIR as i32), "{reason}");
    // Nobody reads from it: opening it must not wait for somebody.
    nix::unistd::mkfifo(&b.dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (code, subcode, reason) = of(&|p| p.stdout = Stream::File(b.path("pipe")));
    assert_eq!((code, subcode), (7, Errno::ENXIO as i32), "{reason}");
}

#[test]
fn outputs_are_new_files_with_the_submitters_umask() {
    let b = Bench::new();
    b.write("o", b"old and long", 0o600);
    let mut program = b.program("x");
    (program.stdout, program.stderr) = (Stream::File(b.path("o")), Stream::File(b.path("e")));
    b.make(&program).unwrap();
    assert_eq!(fs::read(b.path("o")).unwrap(), b"");
    assert_eq!(fs::metadata(b.path("e")).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn the_environment_is_the_jobs_and_little_else() {
    let mut b = Bench::new();
    let mut program = b.program("x");
    program.proxy = Some(b.blob(b"a proxy"));
    program.environment = [("A", "1"), ("HOME", "/mine"), (SCRATCH, "no"), ("X509_USER_PROXY", "no")]
        .map(|(n, v)| (n.into(), v.into()))
        .into();
    let ready = b.make(&program).unwrap();
    let folder = b.dir.path().join("3.1");
    let variables = ready.environment(&program, Path::new("/w"), &folder);
    let get = |name: &str| variables.get(std::ffi::OsStr::new(name)).map(|value| value.to_str().unwrap());
    assert_eq!((get("A"), get("HOME"), get("AWQ_WORKDIR")), (Some("1"), Some("/mine"), Some("/w")));
    assert_eq!(get(SCRATCH), folder.to_str());
    let proxy = get("X509_USER_PROXY").unwrap();
    assert_eq!(fs::read(proxy).unwrap(), b"a proxy");
    assert_eq!(fs::metadata(proxy).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(get("CARGO_MANIFEST_DIR").is_none(), "nothing of ours goes along");
}

#[test]
fn copied_inputs_that_stay_as_they_are_go_again() {
    let mut b = Bench::new();
    let blob = b.blob(b"input");
    let copy = |name: &str| PlannedCopy { sandbox: name.into(), blob: Some(blob) };
    let mut program = b.program("x");
    program.iwd = b.path("spool/3.1");
    program.copies = Some(vec![copy("a"), copy("d/b"), PlannedCopy { sandbox: "empty".into(), blob: None }]);
    let ready = b.make(&program).unwrap();
    assert_eq!(fs::read(b.path("spool/3.1/d/b")).unwrap(), b"input");
    assert!(Path::new(&b.path("spool/3.1/empty")).is_dir());
    fs::remove_file(b.path("spool/3.1/a")).unwrap();
    fs::write(b.path("spool/3.1/a"), "changed").unwrap();
    ready.tidy();
    assert_eq!(fs::read(b.path("spool/3.1/a")).unwrap(), b"changed");
    assert!(!Path::new(&b.path("spool/3.1/d/b")).exists());
}

#[test]
fn a_record_names_one_process_and_why_it_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let own = Identity::own().unwrap();
    assert_eq!(own.pid, std::process::id().cast_signed());
    assert_eq!(record::stat(own.pid).unwrap().start, own.start);
    own.write(dir.path(), None).unwrap();
    assert_eq!((record::read(dir.path()), record::failure(dir.path())), (Some(own.clone()), None));
    own.write(dir.path(), Some(Errno::ENOENT)).unwrap();
    assert_eq!((record::read(dir.path()), record::failure(dir.path())), (Some(own), Some(Errno::ENOENT)));
    fs::write(dir.path().join("run"), "torn 1").unwrap();
    assert_eq!((record::read(dir.path()), record::failure(dir.path())), (None, None));
}

#[test]
fn a_missing_interpreter_is_named() {
    let b = Bench::new();
    b.write("bad.sh", b"#!/no/such/interpreter -x\n", 0o755);
    let program = b.program("bad.sh");
    let trouble = program::not_executed(&program, Path::new(&b.path("bad.sh")), Errno::ENOENT);
    let wanted = format!(
        "Failed to execute '{}': invalid interpreter (/no/such/interpreter) specified on first line of script \
         (errno=2: 'No such file or directory')",
        b.path("bad.sh")
    );
    assert_eq!((trouble.code, trouble.subcode, trouble.reason), (6, 2, wanted));
    let denied = program::not_executed(&program, Path::new(&b.path("bad.sh")), Errno::EACCES);
    assert!(denied.reason.ends_with("': (errno=13: 'Permission denied')"), "{}", denied.reason);
}

/// A group whose leader starts a child; the child's number is what the leader prints.
fn group(folder: &Path) -> (std::process::Child, i32) {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "sleep 100 > /dev/null & echo $!; wait"]).env(SCRATCH, folder).process_group(0);
    let mut leader = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(leader.stdout.take().unwrap()), &mut line).unwrap();
    (leader, line.trim().parse().unwrap())
}

fn identity(leader: &std::process::Child) -> Identity {
    let pid = pid_of(leader).as_raw();
    Identity { pid, start: record::stat(pid).unwrap().start, boot: record::boot().unwrap() }
}

fn lives(pid: i32) -> bool {
    record::stat(pid).is_some_and(|stat| !stat.zombie)
}

#[test]
fn what_an_earlier_master_left_is_ended_with_or_without_its_leader() {
    for orphaned in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("1.0");
        make_folder(&folder).unwrap();
        let (mut leader, child) = group(&folder);
        identity(&leader).write(&folder, None).unwrap();
        if orphaned {
            leader.kill().unwrap();
            leader.wait().unwrap();
            assert!(lives(child));
        }
        leftovers::end(dir.path()).unwrap();
        assert!(!lives(child) && !lives(identity_pid(&leader)));
        assert!(!folder.exists());
        let _ = leader.wait();
    }
}

fn identity_pid(leader: &std::process::Child) -> i32 {
    pid_of(leader).as_raw()
}

#[test]
fn nobody_elses_processes_are_ended() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("1.0");
    make_folder(&folder).unwrap();
    let (mut leader, child) = group(Path::new("/another"));
    let own = identity(&leader);
    // Of another boot; and a number that went to another process, once with its leader and once without.
    for other in [Identity { boot: "another".into(), ..own.clone() }, Identity { start: own.start - 1, ..own.clone() }]
    {
        make_folder(&folder).unwrap();
        other.write(&folder, None).unwrap();
        leftovers::end(dir.path()).unwrap();
        assert!(lives(child) && lives(own.pid));
    }
    leader.kill().unwrap();
    leader.wait().unwrap();
    make_folder(&folder).unwrap();
    own.write(&folder, None).unwrap();
    leftovers::end(dir.path()).unwrap();
    assert!(lives(child), "its environment names another folder");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL).unwrap();
}

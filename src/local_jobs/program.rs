//! What a program needs before it starts: its executable, the files of its streams, its environment.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{AccessFlags, User, access, geteuid};
use wq_core::ids::BlobId;
use wq_core::io::{LocalProgram, PlannedCopy, Trouble};
use wq_core::run::{BlobUse, Stream};

use super::FAILED_TO_EXECUTE;
use crate::blobs::Place;
use crate::outputs::{Words, errno};

/// The variable that names the job's folder.
pub(super) const SCRATCH: &str = "_CONDOR_SCRATCH_DIR";

/// `HoldReasonCode` for an input that cannot be opened.
const UNABLE_TO_OPEN_INPUT: i32 = 8;

/// Bytes compared or copied at once.
const PIECE: usize = 64 << 10;

/// Everything is there.
#[derive(Debug)]
pub(super) struct Ready {
    /// What is executed.
    pub(super) path: PathBuf,
    proxy: Option<PathBuf>,
    token: Option<PathBuf>,
    /// Copies of inputs in the job's folder in the spool, as they were at the start.
    copies: Vec<(PathBuf, (u64, i64, i64))>,
}

/// The three of them, open.
#[derive(Debug)]
pub(super) struct Streams {
    stdin: Option<File>,
    stdout: Option<File>,
    stderr: Option<File>,
}

impl Ready {
    /// Blobs that a program names.
    pub(super) fn blobs(program: &LocalProgram) -> impl Iterator<Item = BlobId> + '_ {
        let own = [program.executable, program.proxy, program.token].into_iter().flatten();
        let copies = program.copies.iter().flatten().filter_map(|copy| copy.blob);
        own.chain(copies).map(|blob| blob.id)
    }

    /// Makes the program's own folder and everything in it, and opens its files.
    ///
    /// # Errors
    /// What the job is held with: code 14 for its initial directory, 6 for its executable, 8 for stdin, 7 for outputs.
    pub(super) fn make(
        program: &LocalProgram,
        contents: &HashMap<BlobId, Place>,
        folder: &Path,
        words: &Words,
    ) -> Result<(Ready, Streams), Trouble> {
        let own = |error: io::Error| {
            let reason = format!("Failed to make the job's folder {}: {error}", folder.display());
            Trouble { code: FAILED_TO_EXECUTE, subcode: errno(&error) as i32, reason }
        };
        remove_folder(folder);
        make_folder(folder).map_err(own)?;
        let iwd = Path::new(&program.iwd);
        let mut copies = Vec::new();
        if let Some(planned) = &program.copies {
            make_folder(iwd).map_err(|error| words.iwd(iwd, errno(&error)))?;
            for copy in planned {
                let path = iwd.join(&copy.sandbox);
                let facts = put_copy(&path, copy, contents).map_err(|error| words.input(&path, errno(&error)))?;
                copies.extend(facts.map(|facts| (path, facts)));
            }
        }
        access(&iwd.join("."), AccessFlags::X_OK).map_err(|error| words.iwd(iwd, error))?;
        let secret = |blob: Option<BlobUse>, name: &str| {
            let path = folder.join(name);
            blob.map(|blob| put(&path, blob, 0o600, contents).map(|()| path)).transpose().map_err(own)
        };
        let cmd = iwd.join(&program.cmd);
        let path = match program.executable {
            Some(blob) if !is_still(&cmd, blob, contents) => {
                let path = folder.join(cmd.file_name().unwrap_or("program".as_ref()));
                put(&path, blob, blob.mode & 0o777 | 0o700, contents).map_err(own)?;
                path
            }
            _ => cmd,
        };
        let (proxy, token) = (secret(program.proxy, ".proxy")?, secret(program.token, ".token")?);
        Ok((Ready { path, proxy, token, copies }, Streams::open(program, words)?))
    }

    /// Name and value of each variable: what every program needs, then the job's own, then what it cannot change.
    pub(super) fn environment(
        &self,
        program: &LocalProgram,
        work_dir: &Path,
        folder: &Path,
    ) -> BTreeMap<OsString, OsString> {
        let mut variables: BTreeMap<OsString, OsString> = BTreeMap::new();
        let mut set = |name: &str, value: OsString| drop(variables.insert(name.into(), value));
        if let Some(path) = std::env::var_os("PATH") {
            set("PATH", path);
        }
        if let Ok(Some(user)) = User::from_uid(geteuid()) {
            set("HOME", user.dir.into());
            set("LOGNAME", user.name.clone().into());
            set("USER", user.name.into());
        }
        set("AWQ_WORKDIR", work_dir.into());
        for (name, value) in &program.environment {
            set(name, value.into());
        }
        for (name, path) in [("X509_USER_PROXY", &self.proxy), ("BEARER_TOKEN_FILE", &self.token)] {
            if let Some(path) = path {
                set(name, path.into());
            }
        }
        set(SCRATCH, folder.into());
        variables
    }

    /// Copies of inputs that the program has left as they were are no outputs of its.
    pub(super) fn tidy(&self) {
        for (path, before) in &self.copies {
            if std::fs::symlink_metadata(path).is_ok_and(|facts| fingerprint(&facts) == *before) {
                // It stays, and is fetched as if it had been changed.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

impl Streams {
    fn open(program: &LocalProgram, words: &Words) -> Result<Streams, Trouble> {
        let stdin = program.stdin.as_ref().map(|path| {
            let mut options = OpenOptions::new();
            options.read(true);
            open(options, path).map_err(|error| {
                let reason = format!(
                    "Failed to open '{path}' as standard input: {} (errno {})",
                    errno(&error).desc(),
                    errno(&error) as i32
                );
                Trouble { code: UNABLE_TO_OPEN_INPUT, subcode: errno(&error) as i32, reason }
            })
        });
        let output = |stream: &Stream| match stream {
            Stream::Null => Ok(None),
            Stream::File(path) => {
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(true).mode(0o666 & !program.umask);
                open(options, path).map(Some).map_err(|error| words.closed_output(Path::new(path), errno(&error)))
            }
        };
        let stdin = stdin.transpose()?;
        let stdout = output(&program.stdout)?;
        let stderr = match (&program.stderr, &stdout) {
            // Two openings of one file would write over each other.
            (same, Some(stdout)) if *same == program.stdout => {
                Some(stdout.try_clone().map_err(|error| words.closed_output(Path::new("stderr"), errno(&error)))?)
            }
            (other, _) => output(other)?,
        };
        Ok(Streams { stdin, stdout, stderr })
    }

    /// Makes them the command's.
    pub(super) fn give_to(self, command: &mut Command) {
        let stdio = |file: Option<File>| file.map_or_else(Stdio::null, Stdio::from);
        command.stdin(stdio(self.stdin)).stdout(stdio(self.stdout)).stderr(stdio(self.stderr));
    }
}

/// Why a program was not executed, in the starter's words. Source: recorded log of the job `noexec`.
pub(super) fn not_executed(program: &LocalProgram, path: &Path, error: Errno) -> Trouble {
    let interpreter = interpreter(path).filter(|_| error == Errno::ENOENT && path.exists());
    let why = match interpreter {
        Some(interpreter) => format!(
            "invalid interpreter ({interpreter}) specified on first line of script (errno={}: '{}')",
            error as i32,
            error.desc()
        ),
        None => format!("(errno={}: '{}')", error as i32, error.desc()),
    };
    let reason = format!("Failed to execute '{}': {why}", program.cmd);
    Trouble { code: FAILED_TO_EXECUTE, subcode: error as i32, reason }
}

/// What the first line of a script names.
fn interpreter(path: &Path) -> Option<String> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(256).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    String::from_utf8_lossy(line).split_whitespace().next().map(str::to_owned)
}

/// Makes a folder that is nobody else's, with those above it.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Removes a folder with all that is in it, if it is there.
pub(super) fn remove_folder(folder: &Path) {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), %error, "cannot remove the folder of a local job");
        }
        _ => {}
    }
}

/// Opens a file without waiting for the other end of a pipe.
fn open(mut options: OpenOptions, path: &str) -> io::Result<File> {
    let file = options.custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if file.metadata()?.is_dir() {
        return Err(Errno::EISDIR.into());
    }
    let flags = OFlag::from_bits_truncate(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(file)
}

/// A copied input, or an empty folder; what is to be known of a file to see whether it was changed.
fn put_copy(path: &Path, copy: &PlannedCopy, contents: &HashMap<BlobId, Place>) -> io::Result<Option<(u64, i64, i64)>> {
    let Some(blob) = copy.blob else { return make_folder(path).map(|()| None) };
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    put(path, blob, blob.mode & 0o777, contents)?;
    Ok(Some(fingerprint(&std::fs::symlink_metadata(path)?)))
}

fn fingerprint(facts: &std::fs::Metadata) -> (u64, i64, i64) {
    (facts.ino(), facts.mtime(), facts.mtime_nsec())
}

/// Writes a blob to a new file.
fn put(path: &Path, blob: BlobUse, mode: u32, contents: &HashMap<BlobId, Place>) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut content = content(blob, contents)?;
    io::copy(&mut content, &mut file)?;
    file.flush()?;
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// Whether the program is still what was submitted, and may be executed: then it runs from its own place, beside the
/// files that it may look for there.
fn is_still(path: &Path, blob: BlobUse, contents: &HashMap<BlobId, Place>) -> bool {
    let same = || -> io::Result<bool> {
        let facts = std::fs::metadata(path)?;
        access(path, AccessFlags::X_OK)?;
        if !facts.is_file() || facts.len() != blob.size {
            return Ok(false);
        }
        let (mut there, mut kept) = (File::open(path)?, content(blob, contents)?);
        let (mut one, mut other) = (vec![0; PIECE], vec![0; PIECE]);
        loop {
            let count = there.read(&mut one)?;
            if count == 0 {
                return Ok(kept.read(&mut other)? == 0);
            }
            kept.read_exact(&mut other[..count])?;
            if one[..count] != other[..count] {
                return Ok(false);
            }
        }
    };
    same().unwrap_or(false)
}

fn content(blob: BlobUse, contents: &HashMap<BlobId, Place>) -> io::Result<Box<dyn Read + '_>> {
    match contents.get(&blob.id) {
        Some(Place::Memory(bytes)) => Ok(Box::new(&bytes[..])),
        Some(Place::File(path)) => Ok(Box::new(File::open(path)?)),
        None => Err(Errno::ENOENT.into()),
    }
}

//! From the text of a file to a submission, by the submit language (decision D11).
//!
//! Nobody submits here, so there is no environment to take over and no command is run: a text says itself what its jobs
//! need. Relative paths are relative to the master's working directory, as with the original.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use control_proto::{ClusterRequest, Submit};
use nix::libc;
use nix::unistd::{AccessFlags, access};
use submit_lang::{ClusterText, FileError, FileFacts, GlobMatch, HostFacts, Options, SubmitTime, World};

use super::folder::TEXT_MAX;
use crate::blobs::{INLINE_MAX, Store};
use crate::control::Blob;

/// Executables are read in pieces of this size, bytes.
const PIECE: u64 = 1 << 20;

/// In whose name texts are read.
#[derive(Debug, Clone)]
pub(crate) struct Submitter {
    /// User id.
    pub(crate) uid: u32,
    /// User name.
    pub(crate) name: String,
    /// For the modes of outputs.
    pub(crate) umask: u32,
    /// Absolute.
    pub(crate) cwd: String,
    /// For the ads.
    pub(crate) host: HostFacts,
    /// Largest submission, bytes.
    pub(crate) submission_max: u64,
}

/// A submission before it is one.
#[derive(Debug)]
pub(super) struct Expanded {
    /// Head.
    pub(super) head: Submit,
    /// Parallel to its clusters.
    pub(super) rows: Vec<Vec<u8>>,
    /// Parallel to its sizes of blobs.
    pub(super) blobs: Vec<Blob>,
}

/// Why a text is no submission. The texts are parts of sentences for its author.
#[derive(Debug, thiserror::Error)]
pub(super) enum TextError {
    /// Without it the original deleted the file, and a text that has none may be half written.
    #[error("it has no line \"{key} = …\"{remedy}")]
    Missing {
        /// What is missing.
        key: &'static str,
        /// What to do who wants none.
        remedy: &'static str,
    },
    /// The language refuses.
    #[error("{0}")]
    Language(String),
    /// There are jobs in no `queue`.
    #[error("its queue statements name no job")]
    NoJobs,
    /// A file that belongs to the jobs.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It computes with cluster numbers, so they must be known.
    #[error("it needs {clusters} cluster numbers")]
    Numbers {
        /// How many.
        clusters: usize,
    },
}

/// Expands a text. `first`: the number of its first cluster, where it was asked for.
///
/// # Errors
/// [`TextError`].
pub(super) fn expand(
    path: &Path,
    text: &[u8],
    first: Option<u32>,
    submitter: &Submitter,
    store: &Store,
) -> Result<Expanded, TextError> {
    let text = String::from_utf8_lossy(text);
    key_in(&text, ["executable", "cmd"]).ok_or(TextError::Missing { key: "executable", remedy: "" })?;
    let output = key_in(&text, ["output", "stdout"])
        .ok_or(TextError::Missing { key: "output", remedy: " (\"output = /dev/null\" if it is not wanted)" })?;
    // The original wrote both streams to one file.
    let append = match key_in(&text, ["error", "stderr"]) {
        Some(_) => Vec::new(),
        None => vec![format!("error = $({output})")],
    };
    let options = Options {
        file_name: path.display().to_string(),
        append,
        cluster: first.map_or(ClusterText::Placeholder, ClusterText::Number),
        ..Options::default()
    };
    let world = Place { submitter, now: now() };
    let submission =
        submit_lang::submit(&text, &options, &world).map_err(|error| TextError::Language(one_line(&error.message)))?;
    if submission.clusters.is_empty() {
        return Err(TextError::NoJobs);
    }
    if submission.needs_cluster_number {
        return Err(TextError::Numbers { clusters: submission.clusters.len() });
    }
    let mut files =
        Files { store, left: submitter.submission_max, blobs: Vec::new(), modes: Vec::new(), known: HashMap::new() };
    let mut head = Submit { umask: submitter.umask, ..Submit::default() };
    let mut rows = Vec::new();
    for (index, cluster) in (0..).zip(submission.clusters) {
        let mut file = |path: Option<&String>| path.map(|path| files.take(Path::new(path))).transpose();
        head.clusters.push(ClusterRequest {
            number: first.map(|first| first + index),
            executable: file(cluster.executable.as_ref().map(|used| &used.path))?,
            proxy: file(cluster.proxy.as_ref())?,
            token: file(cluster.token.as_ref())?,
            spool: None,
            ad: cluster.ad,
            procs: cluster.procs,
            varying: cluster.varying,
        });
        rows.push(cluster.rows);
    }
    head.blob_sizes = files.blobs.iter().map(Blob::size).collect();
    head.blob_modes = files.modes;
    Ok(Expanded { head, rows, blobs: files.blobs })
}

/// Which of these keys some line gives a value to.
fn key_in(text: &str, keys: [&'static str; 2]) -> Option<&'static str> {
    let named = text.lines().filter_map(|line| line.split_once('=')).map(|(key, _)| key.trim());
    let named: Vec<&str> = named.collect();
    keys.into_iter().find(|key| named.iter().any(|name| name.eq_ignore_ascii_case(key)))
}

/// What `condor_submit` would print, as part of a sentence.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_start_matches("ERROR: ").trim_end_matches('.').to_owned()
}

fn now() -> SubmitTime {
    let now = jiff::Zoned::now();
    SubmitTime {
        epoch_s: now.timestamp().as_second(),
        year: now.year().into(),
        month: now.month().unsigned_abs(),
        day: now.day().unsigned_abs(),
    }
}

/// Files that travel along, each path once.
struct Files<'a> {
    store: &'a Store,
    /// Bytes that may still come.
    left: u64,
    blobs: Vec<Blob>,
    modes: Vec<u32>,
    known: HashMap<PathBuf, u16>,
}

impl Files<'_> {
    fn take(&mut self, path: &Path) -> Result<u16, TextError> {
        if let Some(number) = self.known.get(path) {
            return Ok(*number);
        }
        let failed = |source| TextError::File { path: path.to_owned(), source };
        let number = u16::try_from(self.blobs.len())
            .map_err(|_| failed(io::Error::other("one text names more than 65,536 different files")))?;
        let (blob, mode) = self.read(path).map_err(failed)?;
        self.blobs.push(blob);
        self.modes.push(mode);
        self.known.insert(path.to_owned(), number);
        Ok(number)
    }

    fn read(&mut self, path: &Path) -> io::Result<(Blob, u32)> {
        let mut file = open_regular(path)?;
        let mode = file.metadata()?.mode() & 0o7777;
        let mut piece = self.piece(&mut file, INLINE_MAX as u64 + 1)?;
        if piece.len() <= INLINE_MAX {
            return Ok((Blob::Small(piece), mode));
        }
        let mut upload = self.store.upload();
        while !piece.is_empty() {
            upload.add(&piece)?;
            piece = self.piece(&mut file, PIECE)?;
        }
        Ok((Blob::Large(Some(upload)), mode))
    }

    /// At most so many of the next bytes.
    fn piece(&mut self, file: &mut File, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut piece = Vec::new();
        file.take(bytes_max).read_to_end(&mut piece)?;
        match self.left.checked_sub(piece.len() as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other("the files of one text are larger than a submission may be")),
        }
        Ok(piece)
    }
}

/// A pipe or a device would be waited for, so it is none of the files that are read.
fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// This machine, as far as a text in the spool folder may look at it.
struct Place<'a> {
    submitter: &'a Submitter,
    now: SubmitTime,
}

impl Place<'_> {
    fn path(&self, path: &str) -> PathBuf {
        Path::new(&self.submitter.cwd).join(path)
    }

    fn begin_of(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        open_regular(&self.path(path))?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl World for Place<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        match self.begin_of(path, TEXT_MAX + 1) {
            Ok(bytes) if bytes.len() as u64 > TEXT_MAX => {
                Err(FileError { errno: libc::EFBIG, text: format!("it has more than {TEXT_MAX} bytes") })
            }
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(file_error(&error)),
        }
    }

    fn head(&self, path: &str, limit: usize) -> Result<Vec<u8>, FileError> {
        self.begin_of(path, limit as u64).map_err(|error| file_error(&error))
    }

    fn stat(&self, path: &str) -> Result<FileFacts, FileError> {
        let path = self.path(path);
        let facts = std::fs::metadata(&path).map_err(|error| file_error(&error))?;
        Ok(FileFacts {
            size: facts.len(),
            is_dir: facts.is_dir(),
            executable: access(&path, AccessFlags::X_OK).is_ok(),
            mode: facts.mode() & 0o7777,
        })
    }

    fn glob(&self, _pattern: &str) -> Vec<GlobMatch> {
        // Whose files would that be? Such a text has no jobs, and its author reads that.
        Vec::new()
    }

    fn command_output(&self, _words: &[String]) -> Result<Vec<u8>, FileError> {
        Err(FileError { errno: libc::EPERM, text: "texts in the spool folder start no commands".to_owned() })
    }

    fn env(&self, _name: &str) -> Option<String> {
        None
    }

    fn env_all(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn cwd(&self) -> &str {
        &self.submitter.cwd
    }

    fn now(&self) -> SubmitTime {
        self.now
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).expect("Linux has had getrandom since 3.17");
        u64::from_le_bytes(bytes)
    }

    fn host(&self) -> &HostFacts {
        &self.submitter.host
    }

    fn owner(&self) -> &str {
        &self.submitter.name
    }

    fn uid(&self) -> u32 {
        self.submitter.uid
    }
}

/// The system's text without Rust's addition of the number.
fn file_error(error: &io::Error) -> FileError {
    match error.raw_os_error() {
        Some(errno) => FileError { errno, text: nix::errno::Errno::from_raw(errno).desc().to_owned() },
        None => FileError { errno: 0, text: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        dir: tempfile::TempDir,
        submitter: Submitter,
        store: Store,
    }

    impl Bench {
        fn new() -> Bench {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("small.sh"), "#!/bin/sh\n").unwrap();
            std::fs::write(dir.path().join("large"), vec![7; INLINE_MAX + 1]).unwrap();
            std::fs::create_dir(dir.path().join("spool")).unwrap();
            let text = String::new;
            let host = HostFacts {
                arch: text(),
                opsys: text(),
                opsys_and_ver: text(),
                opsys_major_ver: text(),
                filesystem_domain: text(),
                uid_domain: text(),
                condor_version: text(),
                condor_platform: text(),
            };
            let submitter = Submitter {
                uid: 7,
                name: "alice".into(),
                umask: 0o027,
                cwd: dir.path().to_str().unwrap().to_owned(),
                host,
                submission_max: 1 << 20,
            };
            let store = Store::open(&dir.path().join("spool"), 7).unwrap();
            Bench { dir, submitter, store }
        }

        fn expand(&self, text: &str, first: Option<u32>) -> Result<Expanded, TextError> {
            expand(Path::new("/q/job"), text.as_bytes(), first, &self.submitter, &self.store)
        }

        #[track_caller]
        fn refused(&self, text: &str) -> String {
            self.expand(text, None).unwrap_err().to_string()
        }
    }

    fn attribute<'a>(jobs: &'a Expanded, name: &str) -> &'a str {
        jobs.head.clusters[0].ad.iter().find(|(other, _)| other == name).map_or("", |(_, text)| text)
    }

    #[test]
    fn keys_in_any_case_become_an_ad_and_both_streams_one_file() {
        let bench = Bench::new();
        let jobs = bench.expand("EXECUTABLE=small.sh\n OutPut = o.$(Process)\nqueue 2\n", None).unwrap();
        let cwd = &bench.submitter.cwd;
        assert_eq!(attribute(&jobs, "Cmd"), format!("\"{cwd}/small.sh\""));
        assert_eq!(attribute(&jobs, "Iwd"), format!("\"{cwd}\""));
        assert_eq!(attribute(&jobs, "Out"), attribute(&jobs, "Err"));
        assert_eq!(
            (jobs.head.clusters[0].procs, jobs.head.umask, jobs.head.blob_sizes.as_slice()),
            (2, 0o027, &[10][..])
        );
        let jobs = bench.expand("cmd = small.sh\nstdout = o\nqueue\n", None).unwrap();
        assert_eq!((attribute(&jobs, "Out"), attribute(&jobs, "Err")), ("\"o\"", "\"o\""));
        let jobs = bench.expand("executable = small.sh\noutput = o\nerror = e\n", None).unwrap();
        assert_eq!((attribute(&jobs, "Out"), attribute(&jobs, "Err")), ("\"o\"", "\"e\""));
    }

    #[test]
    fn a_file_travels_once_and_a_large_one_through_the_spool() {
        let bench = Bench::new();
        let jobs = bench
            .expand(
                "output = o\nexecutable = large\nqueue\nexecutable = small.sh\nqueue\nexecutable = large\nqueue\n",
                None,
            )
            .unwrap();
        assert_eq!(jobs.head.blob_sizes, [INLINE_MAX as u64 + 1, 10]);
        assert_eq!(jobs.head.clusters.iter().map(|c| c.executable).collect::<Vec<_>>(), [Some(0), Some(1), Some(0)]);
        assert!(matches!(jobs.blobs[0], Blob::Large(_)) && matches!(jobs.blobs[1], Blob::Small(_)));
        std::fs::write(bench.dir.path().join("large"), vec![7; (1 << 20) + 1]).unwrap();
        assert!(bench.refused("output = o\nexecutable = large\n").contains("larger than a submission"));
    }

    #[test]
    fn numbers_are_asked_for_where_a_text_computes_with_them() {
        let bench = Bench::new();
        let text = "executable = small.sh\noutput = o\n+X = \"$INT(ClusterId,%05d)\"\nqueue\n";
        let answer = bench.expand(text, None).map(|_| "jobs");
        assert!(matches!(answer, Err(TextError::Numbers { clusters: 1 })), "{answer:?}");
        let jobs = bench.expand(text, Some(12)).unwrap();
        assert_eq!((attribute(&jobs, "X"), jobs.head.clusters[0].number), ("\"00012\"", Some(12)));
    }

    #[test]
    fn what_is_no_submission_says_why() {
        let bench = Bench::new();
        let good = "executable = small.sh\noutput = o\n";
        assert_eq!(bench.refused(""), "it has no line \"executable = …\"");
        assert!(bench.refused("executable = small.sh\n").starts_with("it has no line \"output = …\""));
        assert!(bench.refused("executable = nothing\noutput = o\n").contains("Can't access executable file"));
        assert!(bench.refused("executable = large\noutput = o\nproxy\n").contains("on Line 3 of /q/job"));
        assert_eq!(bench.refused(&format!("{good}queue x matching *.sh\n")), "its queue statements name no job");
        let command = bench.refused(&format!("{good}include : touch started |\nqueue\n"));
        assert!(command.contains("start no commands"), "{command}");
        assert!(!bench.dir.path().join("started").exists());
        nix::unistd::mkfifo(&bench.dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(bench.refused(&format!("{good}queue x from pipe\n")).contains("not a regular file"));
        assert!(bench.refused("executable = pipe\noutput = o\n").contains("pipe"));
        for hostile in ["\u{1}", "=", "$(", "queue 99999999999", "queue x from nowhere"] {
            bench.refused(&format!("{good}{hostile}\nqueue\n"));
        }
    }

    #[test]
    fn nothing_of_the_masters_environment_goes_along() {
        let bench = Bench::new();
        let text = "executable = small.sh\noutput = o\ngetenv = true\nenvironment = A=1;P=$ENV(PATH)\nqueue\n";
        let jobs = bench.expand(text, None).unwrap();
        assert!(!attribute(&jobs, "Environment").contains("/bin"), "{}", attribute(&jobs, "Environment"));
    }
}

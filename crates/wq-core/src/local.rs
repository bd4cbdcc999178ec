//! A program on the submit host (universes local and scheduler): what it is, and how it ended.

use journal::Exit;

use crate::ids::JobId;
use crate::io::PlannedCopy;
use crate::run::{BlobUse, Stream};

/// A program as its job's ad describes it. Paths are absolute but `cmd`, which may be relative to `iwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalProgram {
    /// Whose.
    pub job: JobId,
    /// Where it runs.
    pub iwd: String,
    /// `iwd` is the job's own folder in the spool: it is made, and these go there; those that the program leaves as they
    /// are go again when it has ended.
    pub copies: Option<Vec<PlannedCopy>>,
    /// `Cmd`.
    pub cmd: String,
    /// What `cmd` was at submission; `None`: it is run as it is now.
    pub executable: Option<BlobUse>,
    /// X.509 proxy.
    pub proxy: Option<BlobUse>,
    /// Bearer token.
    pub token: Option<BlobUse>,
    /// Words behind the program's name.
    pub arguments: Vec<String>,
    /// Name and value of each variable.
    pub environment: Vec<(String, String)>,
    /// stdin; `None`: nothing to read.
    pub stdin: Option<String>,
    /// stdout, made anew.
    pub stdout: Stream,
    /// stderr, made anew; it may be the same file.
    pub stderr: Stream,
    /// Its umask.
    pub umask: u32,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalEnd {
    /// Exit code or signal.
    pub exit: Exit,
    /// From its start to its end, in µs.
    pub run_time_us: u64,
}

//! What an attempt takes along: as its ad names it, and as the shell has found it.

use crate::ids::BlobId;
use crate::io::Source;
use crate::run::BlobUse;

/// What the shell checks and looks up before an attempt is sent (decisions D18, D28, D35).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Files and folders to send: absolute path on this side, name in the sandbox (`""`: into its top, as `a/`).
    pub inputs: Vec<PlannedInput>,
    /// Absolute paths where outputs will be put; their folders must be writable, they themselves absent, a regular
    /// file or `/dev/null`.
    pub outputs: Vec<String>,
    /// A spooled job's inputs, instead of `inputs`.
    pub copies: Vec<PlannedCopy>,
    /// The job's initial directory, which must exist.
    pub iwd: String,
    /// `iwd` is the job's own folder in the spool: it is made.
    pub make_iwd: bool,
    /// With the whole input larger than this many MiB the job is held (32).
    pub max_input_mb: Option<u64>,
    /// Other jobs of the cluster are likely to need the same files.
    pub repeats: bool,
}

/// One entry of `transfer_input_files` or `input`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedInput {
    /// Absolute path on this side.
    pub path: String,
    /// Name in the sandbox; for a folder with `contents_only` the folder it is spread into (`""` = top).
    pub sandbox: String,
    /// `a/`: the folder's content, not the folder.
    pub contents_only: bool,
}

/// An input that was copied at submission, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCopy {
    /// Name in the sandbox.
    pub sandbox: String,
    /// Its content; `None`: an empty folder.
    pub blob: Option<BlobUse>,
}

/// Result of a [`Plan`]: regular files only, folders flattened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prepared {
    /// In the order of the plan, copies behind inputs.
    pub files: Vec<PreparedFile>,
    /// Empty folders to make in the sandbox.
    pub dirs: Vec<String>,
}

/// One regular file to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedFile {
    /// Where its bytes are.
    pub source: Source,
    /// Name in the sandbox, relative.
    pub sandbox: String,
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Hash of its bytes, for a file above [`KEPT_ABOVE`](crate::run::KEPT_ABOVE) that other jobs are likely to need.
    pub content: Option<BlobId>,
}

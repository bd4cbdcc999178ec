//! The closed list of messages from the master.

use super::{FileFlags, FileMode, Infile, Outfile, TaskId, ThirdPartyKind};
use crate::amount::Amount;
use crate::protocol::Protocol;
use bytes::Bytes;

/// One message of a master. Bodies of `put` are not part of it (the caller streams them); the short bodies of `cmd`,
/// `env`, `coprocess`, `symlink` and `url` are.
///
/// Names are as they are meant, never encoded. What C masters send and we never would (`wall_time`, negative resources, a
/// `put` without flags) is here too, so that their recorded lines parse and print back.
/// Source: CCTools master sources and the recorded conversations in `tests/data/transcripts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToWorker {
    /// `put NAME LEN MODE FLAGS`, followed by a body: a file for the cache, or inside a [`ToWorker::Dir`].
    Put {
        /// Cache name, or a single component inside a directory.
        name: Bytes,
        /// Bytes of the body.
        len: u64,
        /// Permissions.
        mode: FileMode,
        /// Some C masters leave the field out; [`ToWorker::encode`] always writes it.
        flags: Option<FileFlags>,
    },
    /// `dir NAME` (9+): a directory for the cache; its entries follow up to [`ToWorker::EndDir`]. Must not exist there.
    Dir {
        /// Cache name, or a single component inside a directory.
        name: Bytes,
    },
    /// `symlink NAME LEN` (9+) with its target, only inside a directory.
    Symlink {
        /// A single component.
        name: Bytes,
        /// The target with a NUL behind it: the worker does not terminate the string.
        target: Bytes,
    },
    /// `end` of a directory.
    EndDir,
    /// `unlink NAME`: removes a file or tree from the cache.
    Unlink {
        /// Cache name.
        name: Bytes,
    },
    /// `invalidate-file NAME`: as unlink, at a foreman also on its workers. Plain workers ignore it.
    InvalidateFile {
        /// Cache name.
        name: Bytes,
    },
    /// `url NAME LEN MODE` (6 to 10) with the URL: the worker fetches it at once and is deaf meanwhile.
    Url {
        /// Cache name.
        name: Bytes,
        /// Permissions.
        mode: FileMode,
        /// The URL with a NUL behind it.
        url: Bytes,
    },
    /// `thirdget KIND NAME PATH` (6 to 10): fill a cache entry on the worker's side.
    Thirdget {
        /// How.
        kind: ThirdPartyKind,
        /// Cache name.
        name: Bytes,
        /// Path or command.
        path: Bytes,
    },
    /// `thirdput KIND NAME PATH` (6 to 10): the reverse; answered by `thirdput-complete`.
    Thirdput {
        /// How.
        kind: ThirdPartyKind,
        /// Cache name.
        name: Bytes,
        /// Path or command.
        path: Bytes,
    },
    /// `puturl SRC NAME SIZE MODE` (11): fetch when a task needs it.
    Puturl {
        /// The URL.
        source: Bytes,
        /// Cache name.
        name: Bytes,
        /// Estimate in bytes.
        size: u64,
        /// Permissions.
        mode: FileMode,
    },
    /// `putcmd SRC NAME SIZE MODE` (11): make by a command when a task needs it.
    Putcmd {
        /// Shell command; `%%` stands for the path of the entry.
        source: Bytes,
        /// Cache name.
        name: Bytes,
        /// Estimate in bytes.
        size: u64,
        /// Permissions.
        mode: FileMode,
    },
    /// `task ID`: the fields of a task follow, up to [`ToWorker::EndTask`]. See [`super::TaskMessage`].
    Task {
        /// Its id on this link.
        id: TaskId,
    },
    /// `cmd LEN` with the shell command, any bytes but NUL.
    Cmd(Bytes),
    /// `category WORD` (7+).
    Category(Bytes),
    /// `coprocess LEN` with the name of a function (10+).
    Coprocess(Bytes),
    /// `cores N`.
    Cores(Amount),
    /// `memory N`, MB.
    Memory(Amount),
    /// `disk N`, MB.
    Disk(Amount),
    /// `gpus N`.
    Gpus(Amount),
    /// `end_time N`: unit differs by release, never sent.
    EndTime(u64),
    /// `wall_time N`: unit and sense differ by release, never sent.
    WallTime(u64),
    /// `env LEN` with `NAME=VALUE`; on the wire an LF follows that LEN does not count.
    Env(Bytes),
    /// `infile CACHENAME SANDBOXNAME FLAGS`.
    Infile(Infile),
    /// `outfile CACHENAME SANDBOXNAME FLAGS`.
    Outfile(Outfile),
    /// `dir SANDBOXNAME` inside a task: an empty directory.
    TaskDir {
        /// Path in the sandbox, without blanks.
        name: Bytes,
    },
    /// `end` of a task.
    EndTask,
    /// `kill ID`: forget the task in whatever state it is; also the acknowledgement of its result. `None`: `kill -1`, all.
    Kill(Option<TaskId>),
    /// `send_results -1`: send all results (the number is ignored).
    SendResults,
    /// `get NAME 1`: send this output.
    Get {
        /// Cache name.
        name: Bytes,
    },
    /// `check`: answer `alive`.
    Check,
    /// `tlq URL` (9+).
    Tlq(Bytes),
    /// `release`: disconnect and come back after 1 s.
    Release,
    /// `exit`: the worker process ends.
    Exit,
    /// The answer to `name`: a line with the project name and nothing else.
    ProjectName(Bytes),
}

impl ToWorker {
    /// A symlink with the NUL its target needs.
    pub fn symlink(name: Bytes, target: &[u8]) -> Self {
        Self::Symlink { name, target: terminated(target) }
    }

    /// A `url` with the NUL its body needs.
    pub fn url(name: Bytes, mode: FileMode, url: &[u8]) -> Self {
        Self::Url { name, mode, url: terminated(url) }
    }

    /// The short body of the messages that have one.
    pub(crate) fn inline_mut(&mut self) -> Option<&mut Bytes> {
        match self {
            Self::Cmd(body) | Self::Env(body) | Self::Coprocess(body) => Some(body),
            Self::Symlink { target, .. } => Some(target),
            Self::Url { url, .. } => Some(url),
            _ => None,
        }
    }

    /// The first word of the line; for [`ToWorker::ProjectName`], which has none, `name`.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Put { .. } => "put",
            Self::Dir { .. } | Self::TaskDir { .. } => "dir",
            Self::Symlink { .. } => "symlink",
            Self::EndDir | Self::EndTask => "end",
            Self::Unlink { .. } => "unlink",
            Self::InvalidateFile { .. } => "invalidate-file",
            Self::Url { .. } => "url",
            Self::Thirdget { .. } => "thirdget",
            Self::Thirdput { .. } => "thirdput",
            Self::Puturl { .. } => "puturl",
            Self::Putcmd { .. } => "putcmd",
            Self::Task { .. } => "task",
            Self::Cmd(_) => "cmd",
            Self::Category(_) => "category",
            Self::Coprocess(_) => "coprocess",
            Self::Cores(_) => "cores",
            Self::Memory(_) => "memory",
            Self::Disk(_) => "disk",
            Self::Gpus(_) => "gpus",
            Self::EndTime(_) => "end_time",
            Self::WallTime(_) => "wall_time",
            Self::Env(_) => "env",
            Self::Infile(_) => "infile",
            Self::Outfile(_) => "outfile",
            Self::Kill(_) => "kill",
            Self::SendResults => "send_results",
            Self::Get { .. } => "get",
            Self::Check => "check",
            Self::Tlq(_) => "tlq",
            Self::Release => "release",
            Self::Exit => "exit",
            Self::ProjectName(_) => "name",
        }
    }

    /// Whether peers of this protocol know the message; they disconnect on one they do not know.
    pub fn supports(&self, protocol: Protocol) -> bool {
        let dialect = protocol.dialect();
        match self {
            Self::Category(_) => dialect.has_category,
            Self::Coprocess(_) => dialect.has_coprocess,
            Self::Dir { .. } | Self::Symlink { .. } | Self::EndDir => dialect.has_dir,
            Self::Url { .. } | Self::Thirdget { .. } | Self::Thirdput { .. } => dialect.has_third_party,
            Self::Puturl { .. } | Self::Putcmd { .. } => dialect.has_deferred_urls,
            Self::Tlq(_) => dialect.has_tlq,
            _ => true,
        }
    }
}

fn terminated(text: &[u8]) -> Bytes {
    [text, b"\0"].concat().into()
}

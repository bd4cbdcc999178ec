//! The closed list of messages from the master, its parser and its printer.

use super::{FileFlags, FileMode, Infile, Outfile, TaskId, ThirdPartyKind};
use crate::amount::Amount;
use crate::from_worker::put as format_onto;
use crate::line::{Fields, LineError, excerpt, split_verb};
use crate::names::{decode_name, encode_name};
use crate::protocol::{Dialect, Protocol};
use bytes::{BufMut, Bytes, BytesMut};

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

/// Where in the master's stream a line stands; some words mean different things there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Between messages.
    Top,
    /// Between `dir` and its `end`.
    Tree,
    /// Between `task` and its `end`.
    Task,
}

/// What comes after a line of the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Following {
    Nothing,
    /// A body that is passed on in pieces.
    Stream(u64),
    /// A short body that belongs into the message.
    Inline(u64),
    /// The same with an LF behind it.
    InlineLine(u64),
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

    /// Reads the line of a message; a short body is still missing, see [`ToWorker::inline_mut`].
    pub(crate) fn parse_header(line: &[u8], dialect: &Dialect, place: Place) -> Result<(Self, Following), LineError> {
        let (verb, rest) = split_verb(line);
        let known = match place {
            Place::Top => Self::parse_top(verb, rest, dialect),
            Place::Tree => Self::parse_in_tree(verb, rest, dialect),
            Place::Task => Self::parse_in_task(verb, rest),
        }?;
        match known {
            // A worker of this protocol has never heard of it.
            Some((message, _)) if !message.supports(dialect.protocol) => {
                Err(LineError::UnknownVerb { verb: excerpt(verb) })
            }
            Some(known) => Ok(known),
            None => Err(LineError::UnknownVerb { verb: excerpt(verb) }),
        }
    }

    fn parse_top(verb: &[u8], rest: Option<&[u8]>, dialect: &Dialect) -> Result<Option<(Self, Following)>, LineError> {
        let bare = |verb, message: Self| Fields::new(verb, rest).end().map(|()| message);
        let message = match verb {
            b"put" => return put_header(Fields::new("put", rest), dialect).map(Some),
            b"dir" => Self::Dir { name: only_name(Fields::new("dir", rest), dialect)? },
            b"unlink" => Self::Unlink { name: only_name(Fields::new("unlink", rest), dialect)? },
            b"invalidate-file" => {
                Self::InvalidateFile { name: only_name(Fields::new("invalidate-file", rest), dialect)? }
            }
            b"task" => {
                let mut fields = Fields::new("task", rest);
                let id = TaskId::parse(&mut fields)?;
                fields.end()?;
                Self::Task { id }
            }
            b"kill" => {
                let mut fields = Fields::new("kill", rest);
                let text = fields.word("task")?;
                let id = fields.read(text, "task", "number", nom::character::complete::i64)?;
                let task = if id < 0 { None } else { Some(TaskId::parse(&mut Fields::new("kill", Some(text)))?) };
                fields.end()?;
                Self::Kill(task)
            }
            b"send_results" => {
                let mut fields = Fields::new("send_results", rest);
                fields.i64("count")?;
                fields.end()?;
                Self::SendResults
            }
            b"get" => {
                let mut fields = Fields::new("get", rest);
                fields.last_u64("recursive")?;
                Self::Get { name: meant(fields.rest("name")?, dialect) }
            }
            b"check" => bare("check", Self::Check)?,
            b"release" => bare("release", Self::Release)?,
            b"exit" => bare("exit", Self::Exit)?,
            b"tlq" => Self::Tlq(Bytes::copy_from_slice(Fields::new("tlq", rest).rest("url")?)),
            b"url" => {
                let mut fields = Fields::new("url", rest);
                let name = meant(fields.word("name")?, dialect);
                let len = fields.u64("length")?;
                let mode = mode(&mut fields)?;
                fields.end()?;
                return Ok(Some((Self::Url { name, mode, url: Bytes::new() }, Following::Inline(len))));
            }
            b"thirdget" => {
                let (kind, name, path) = third_party(Fields::new("thirdget", rest), dialect)?;
                Self::Thirdget { kind, name, path }
            }
            b"thirdput" => {
                let (kind, name, path) = third_party(Fields::new("thirdput", rest), dialect)?;
                Self::Thirdput { kind, name, path }
            }
            b"puturl" => {
                let (source, name, size, mode) = deferred(Fields::new("puturl", rest), dialect)?;
                Self::Puturl { source, name, size, mode }
            }
            b"putcmd" => {
                let (source, name, size, mode) = deferred(Fields::new("putcmd", rest), dialect)?;
                Self::Putcmd { source, name, size, mode }
            }
            _ => return Ok(None),
        };
        Ok(Some((message, Following::Nothing)))
    }

    fn parse_in_tree(
        verb: &[u8],
        rest: Option<&[u8]>,
        dialect: &Dialect,
    ) -> Result<Option<(Self, Following)>, LineError> {
        Ok(Some(match verb {
            b"put" => put_header(Fields::new("put", rest), dialect)?,
            b"dir" => (Self::Dir { name: only_name(Fields::new("dir", rest), dialect)? }, Following::Nothing),
            b"symlink" => {
                let mut fields = Fields::new("symlink", rest);
                let name = meant(fields.word("name")?, dialect);
                let len = fields.u64("length")?;
                fields.end()?;
                (Self::Symlink { name, target: Bytes::new() }, Following::Inline(len))
            }
            b"end" => {
                Fields::new("end", rest).end()?;
                (Self::EndDir, Following::Nothing)
            }
            _ => return Ok(None),
        }))
    }

    fn parse_in_task(verb: &[u8], rest: Option<&[u8]>) -> Result<Option<(Self, Following)>, LineError> {
        let length = |verb| {
            let mut fields = Fields::new(verb, rest);
            let len = fields.u64("length")?;
            fields.end().map(|()| len)
        };
        let amount = |verb| {
            let mut fields = Fields::new(verb, rest);
            let amount = fields.amount("amount")?;
            fields.end().map(|()| amount)
        };
        let file = |verb| {
            let mut fields = Fields::new(verb, rest);
            let cached = Bytes::copy_from_slice(fields.word("cache name")?);
            let sandbox = Bytes::from(decode_name(fields.word("sandbox name")?).into_owned());
            let flags = FileFlags(fields.u32("flags")?);
            fields.end().map(|()| (cached, sandbox, flags))
        };
        let message = match verb {
            b"cmd" => return Ok(Some((Self::Cmd(Bytes::new()), Following::Inline(length("cmd")?)))),
            b"coprocess" => return Ok(Some((Self::Coprocess(Bytes::new()), Following::Inline(length("coprocess")?)))),
            b"env" => return Ok(Some((Self::Env(Bytes::new()), Following::InlineLine(length("env")?)))),
            b"category" => Self::Category(Bytes::copy_from_slice(Fields::new("category", rest).rest("name")?)),
            b"cores" => Self::Cores(amount("cores")?),
            b"memory" => Self::Memory(amount("memory")?),
            b"disk" => Self::Disk(amount("disk")?),
            b"gpus" => Self::Gpus(amount("gpus")?),
            b"end_time" => Self::EndTime(length("end_time")?),
            b"wall_time" => Self::WallTime(length("wall_time")?),
            b"infile" => {
                let (cached, sandbox, flags) = file("infile")?;
                Self::Infile(Infile { cached, sandbox, flags })
            }
            b"outfile" => {
                let (cached, sandbox, flags) = file("outfile")?;
                Self::Outfile(Outfile { cached, sandbox, flags })
            }
            b"dir" => Self::TaskDir { name: Bytes::copy_from_slice(Fields::new("dir", rest).rest("name")?) },
            b"end" => {
                Fields::new("end", rest).end()?;
                Self::EndTask
            }
            _ => return Ok(None),
        };
        Ok(Some((message, Following::Nothing)))
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

    /// Writes the message as it is, in the spelling of `protocol` but without judging it: a line that was read prints back
    /// to the same bytes. For traces and replay; what goes to a peer goes through [`ToWorker::encode`].
    pub fn print(&self, protocol: Protocol, out: &mut BytesMut) {
        let dialect = protocol.dialect();
        if let Self::ProjectName(name) = self {
            out.put_slice(name);
            out.put_u8(b'\n');
            return;
        }
        out.put_slice(self.verb().as_bytes());
        match self {
            Self::Put { name, len, mode, flags } => {
                spell(out, name, dialect);
                format_onto(out, format_args!(" {len} {mode}"));
                if let Some(flags) = flags {
                    format_onto(out, format_args!(" {flags}"));
                }
            }
            Self::Dir { name } | Self::Unlink { name } | Self::InvalidateFile { name } => spell(out, name, dialect),
            Self::Get { name } => {
                spell(out, name, dialect);
                out.put_slice(b" 1");
            }
            Self::Symlink { name, target } => {
                spell(out, name, dialect);
                format_onto(out, format_args!(" {}\n", target.len()));
                out.put_slice(target);
                return;
            }
            Self::Url { name, mode, url } => {
                spell(out, name, dialect);
                format_onto(out, format_args!(" {} {mode}\n", url.len()));
                out.put_slice(url);
                return;
            }
            Self::Thirdget { kind, name, path } | Self::Thirdput { kind, name, path } => {
                format_onto(out, format_args!(" {}", kind.number()));
                spell(out, name, dialect);
                raw(out, path);
            }
            Self::Puturl { source, name, size, mode } | Self::Putcmd { source, name, size, mode } => {
                spell(out, source, dialect);
                spell(out, name, dialect);
                format_onto(out, format_args!(" {size} {mode}"));
            }
            Self::Task { id } | Self::Kill(Some(id)) => format_onto(out, format_args!(" {id}")),
            Self::Kill(None) | Self::SendResults => out.put_slice(b" -1"),
            Self::Cmd(body) | Self::Coprocess(body) => {
                format_onto(out, format_args!(" {}\n", body.len()));
                out.put_slice(body);
                return;
            }
            Self::Env(body) => {
                format_onto(out, format_args!(" {}\n", body.len()));
                out.put_slice(body);
            }
            Self::Cores(amount) | Self::Memory(amount) | Self::Disk(amount) | Self::Gpus(amount) => {
                format_onto(out, format_args!(" {amount}"));
            }
            Self::EndTime(time) | Self::WallTime(time) => format_onto(out, format_args!(" {time}")),
            Self::Infile(Infile { cached, sandbox, flags }) | Self::Outfile(Outfile { cached, sandbox, flags }) => {
                raw(out, cached);
                out.put_u8(b' ');
                encode_name(sandbox, out);
                format_onto(out, format_args!(" {flags}"));
            }
            Self::Category(name) | Self::TaskDir { name } | Self::Tlq(name) => raw(out, name),
            Self::EndDir | Self::EndTask | Self::Check | Self::Release | Self::Exit => {}
            Self::ProjectName(_) => unreachable!("written above"),
        }
        out.put_u8(b'\n');
    }
}

fn terminated(text: &[u8]) -> Bytes {
    [text, b"\0"].concat().into()
}

fn raw(out: &mut BytesMut, text: &[u8]) {
    out.put_u8(b' ');
    out.put_slice(text);
}

/// A blank and a cache name in the dialect's spelling.
fn spell(out: &mut BytesMut, name: &[u8], dialect: &Dialect) {
    if dialect.encodes_cache_names {
        out.put_u8(b' ');
        encode_name(name, out);
    } else {
        raw(out, name);
    }
}

/// A cache name as it is meant, from the dialect's spelling.
fn meant(spelled: &[u8], dialect: &Dialect) -> Bytes {
    if dialect.encodes_cache_names {
        Bytes::from(decode_name(spelled).into_owned())
    } else {
        Bytes::copy_from_slice(spelled)
    }
}

fn only_name(mut fields: Fields<'_>, dialect: &Dialect) -> Result<Bytes, LineError> {
    Ok(meant(fields.rest("name")?, dialect))
}

fn mode(fields: &mut Fields<'_>) -> Result<FileMode, LineError> {
    let text = fields.word("mode")?;
    FileMode::parse(fields, text)
}

fn put_header(mut fields: Fields<'_>, dialect: &Dialect) -> Result<(ToWorker, Following), LineError> {
    // Only 8 allows blanks in the name, and it insists on all four fields: there, count from the right.
    let (name, len, mode, flags) = if dialect.needs_put_flags {
        if fields.count() < 4 {
            return Err(LineError::MissingField { verb: "put", field: "flags" });
        }
        let flags = fields.last_u32("flags")?;
        let mode = fields.last_word("mode")?;
        let mode = FileMode::parse(&mut fields, mode)?;
        let len = fields.last_u64("length")?;
        (fields.rest("name")?, len, mode, Some(FileFlags(flags)))
    } else {
        let name = fields.word("name")?;
        let len = fields.u64("length")?;
        let mode = mode(&mut fields)?;
        let flags = if fields.count() > 0 { Some(FileFlags(fields.u32("flags")?)) } else { None };
        (name, len, mode, flags)
    };
    fields.end()?;
    Ok((ToWorker::Put { name: meant(name, dialect), len, mode, flags }, Following::Stream(len)))
}

fn third_party(mut fields: Fields<'_>, dialect: &Dialect) -> Result<(ThirdPartyKind, Bytes, Bytes), LineError> {
    let kind = ThirdPartyKind::parse(&mut fields)?;
    let name = meant(fields.word("name")?, dialect);
    Ok((kind, name, Bytes::copy_from_slice(fields.rest("path")?)))
}

fn deferred(mut fields: Fields<'_>, dialect: &Dialect) -> Result<(Bytes, Bytes, u64, FileMode), LineError> {
    let source = meant(fields.word("source")?, dialect);
    let name = meant(fields.word("name")?, dialect);
    let size = fields.u64("size")?;
    let mode = mode(&mut fields)?;
    fields.end()?;
    Ok((source, name, size, mode))
}

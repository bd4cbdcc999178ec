//! From a line of the master to its message, as a worker of one protocol reads it.

use super::{FileFlags, FileMode, Infile, Outfile, TaskId, ThirdPartyKind, ToWorker};
use crate::line::{Fields, LineError, excerpt, split_verb};
use crate::names::decode_name;
use crate::protocol::Dialect;
use bytes::Bytes;

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

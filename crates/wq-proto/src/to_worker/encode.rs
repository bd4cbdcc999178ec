//! What may be sent to whom: the last gate before the wire.
//!
//! A peer answers a line it does not understand by disconnecting, with all its tasks. So what a dialect cannot say is
//! refused here, with one exception: `category` is a mere label and is left out where it is not known.

use super::{FileFlags, Infile, Outfile, ToWorker};
use crate::line::{LINE_MAX, excerpt};
use crate::protocol::{Dialect, Protocol};
use bytes::BytesMut;

/// Why a message cannot be sent to a peer. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The peer's protocol has no such message.
    #[error("{verb} does not exist in protocol {protocol}")]
    NotInDialect {
        /// The message.
        verb: &'static str,
        /// The peer's protocol.
        protocol: Protocol,
    },
    /// Releases disagree on the meaning, so it is never sent; the master measures time itself and sends `kill`.
    #[error("{verb} means different things in different releases and is never sent")]
    NeverSent {
        /// The message.
        verb: &'static str,
    },
    /// The line would exceed what peers can read.
    #[error("{verb} line of {len} bytes, peers read at most {LINE_MAX}")]
    LineTooLong {
        /// The message.
        verb: &'static str,
        /// Bytes of the line without its LF.
        len: usize,
    },
    /// A name the field cannot carry.
    #[error("{verb}: name {name:?} {fault}")]
    BadName {
        /// The message.
        verb: &'static str,
        /// The name, at most 64 bytes of it.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// A command, variable or other text holds a NUL, at which the peer would cut it.
    #[error("{verb}: text holds a NUL")]
    NulByte {
        /// The message.
        verb: &'static str,
    },
    /// A symlink target or URL without its own NUL; see [`ToWorker::symlink`].
    #[error("{verb}: text lacks its terminating NUL")]
    NotTerminated {
        /// The message.
        verb: &'static str,
    },
    /// An environment entry that is no `NAME=VALUE`.
    #[error("env: {entry:?} is not NAME=VALUE")]
    BadVariable {
        /// What stands before the value, at most 64 bytes of it; the value may be a secret.
        entry: String,
    },
    /// A task id of 0 or above 2³¹ − 1.
    #[error("{verb}: {id} is no task id")]
    BadTaskId {
        /// The message.
        verb: &'static str,
        /// The id.
        id: u32,
    },
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// No bytes at all.
    #[error("is empty")]
    Empty,
    /// A blank or control character in a field that is not encoded.
    #[error("holds a blank or control character")]
    Blank,
    /// A NUL, which no field can carry.
    #[error("holds a NUL")]
    Nul,
    /// Absolute: the peer would drop it or disconnect.
    #[error("is absolute")]
    Absolute,
    /// A `..` component: the peer would disconnect.
    #[error("leads out of its directory")]
    Parent,
    /// A slash in a cache name of protocol 9 and later: the peer would disconnect.
    #[error("holds a slash")]
    Slash,
}

impl ToWorker {
    /// Writes the message for a peer of `protocol`: its line and, where it has one, its short body. The body of a `put` is
    /// the caller's to send next, exactly as long as announced. `put` always carries its fourth field.
    ///
    /// A [`ToWorker::Category`] is left out where [`ToWorker::supports`] says no; any other message is refused there.
    ///
    /// # Errors
    /// See [`EncodeError`]; `out` is then as before.
    pub fn encode(&self, protocol: Protocol, out: &mut BytesMut) -> Result<(), EncodeError> {
        if !self.supports(protocol) {
            return match self {
                Self::Category(_) => Ok(()),
                _ => Err(EncodeError::NotInDialect { verb: self.verb(), protocol }),
            };
        }
        self.check(protocol.dialect())?;
        checked_line(out, self.verb(), |out| match self {
            Self::Put { name, len, mode, flags: None } => {
                let flags = Some(FileFlags::NONE);
                Self::Put { name: name.clone(), len: *len, mode: *mode, flags }.print(protocol, out);
            }
            message => message.print(protocol, out),
        })
    }

    fn check(&self, dialect: &Dialect) -> Result<(), EncodeError> {
        let verb = self.verb();
        match self {
            Self::Put { name, .. } | Self::Dir { name } | Self::Symlink { name, .. } if dialect.has_dir => {
                entry_name(verb, name)?;
            }
            Self::Put { name, .. } if dialect.put_name_may_hold_blanks => path(verb, name, b" ")?,
            Self::Put { name, .. }
            | Self::Unlink { name }
            | Self::InvalidateFile { name }
            | Self::Get { name }
            | Self::Url { name, .. }
            | Self::Dir { name }
            | Self::Symlink { name, .. } => cache_name(verb, name, dialect)?,
            Self::Thirdget { name, path: place, .. } | Self::Thirdput { name, path: place, .. } => {
                cache_name(verb, name, dialect)?;
                rest_of_line(verb, place)?;
            }
            Self::Puturl { source, name, .. } | Self::Putcmd { source, name, .. } => {
                entry_name(verb, name)?;
                no_nul(verb, source)?;
                if source.is_empty() {
                    return Err(bad_name(verb, source, NameFault::Empty));
                }
            }
            Self::Task { id } | Self::Kill(Some(id)) if !id.is_valid() => {
                return Err(EncodeError::BadTaskId { verb, id: id.0 });
            }
            Self::Cmd(text) | Self::Coprocess(text) => no_nul(verb, text)?,
            Self::Env(entry) => match entry.iter().position(|b| *b == b'=') {
                Some(at) => variable(&entry[..at], &entry[at + 1..])?,
                None => return Err(EncodeError::BadVariable { entry: excerpt(entry) }),
            },
            Self::EndTime(_) | Self::WallTime(_) => return Err(EncodeError::NeverSent { verb }),
            Self::Infile(Infile { cached, sandbox, .. }) | Self::Outfile(Outfile { cached, sandbox, .. }) => {
                file_names(verb, cached, sandbox)?;
            }
            Self::TaskDir { name } => path(verb, name, b"")?,
            Self::Category(name) => word(verb, name)?,
            Self::Tlq(url) => word(verb, url)?,
            Self::ProjectName(name) if name.contains(&b'\n') => return Err(bad_name(verb, name, NameFault::Blank)),
            _ => {}
        }
        match self {
            Self::Symlink { target: text, .. } | Self::Url { url: text, .. } => match text.split_last() {
                Some((0, before)) => no_nul(verb, before),
                _ => Err(EncodeError::NotTerminated { verb }),
            },
            _ => Ok(()),
        }
    }
}

/// Runs `write`, which writes a line and perhaps a body; takes it back if the line is too long.
pub(super) fn checked_line(
    out: &mut BytesMut,
    verb: &'static str,
    write: impl FnOnce(&mut BytesMut),
) -> Result<(), EncodeError> {
    let start = out.len();
    write(out);
    let written = &out[start..];
    let len = written.iter().take(LINE_MAX + 1).position(|b| *b == b'\n');
    if len.is_some() {
        return Ok(());
    }
    let len = written.iter().position(|b| *b == b'\n').unwrap_or(written.len());
    out.truncate(start);
    Err(EncodeError::LineTooLong { verb, len })
}

/// The two names of `infile` and `outfile`: the first is raw in every protocol, the second encoded in every protocol.
pub(super) fn file_names(verb: &'static str, cached: &[u8], sandbox: &[u8]) -> Result<(), EncodeError> {
    path(verb, cached, b"")?;
    relative(verb, sandbox)
}

/// A raw path: relative, no control characters, and no blanks but the ones in `allowed`.
pub(super) fn path(verb: &'static str, name: &[u8], allowed: &[u8]) -> Result<(), EncodeError> {
    relative(verb, name)?;
    if name.iter().any(|b| *b <= b' ' && !allowed.contains(b)) {
        return Err(bad_name(verb, name, NameFault::Blank));
    }
    Ok(())
}

/// One raw word.
pub(super) fn word(verb: &'static str, text: &[u8]) -> Result<(), EncodeError> {
    if text.is_empty() {
        return Err(bad_name(verb, text, NameFault::Empty));
    }
    if text.iter().any(|b| *b <= b' ') {
        return Err(bad_name(verb, text, NameFault::Blank));
    }
    Ok(())
}

pub(super) fn no_nul(verb: &'static str, text: &[u8]) -> Result<(), EncodeError> {
    if text.contains(&0) { Err(EncodeError::NulByte { verb }) } else { Ok(()) }
}

/// Newer workers unset a variable whose entry has no `=`, so there must be a name before one.
pub(super) fn variable(name: &[u8], value: &[u8]) -> Result<(), EncodeError> {
    if name.is_empty() || name.contains(&b'=') {
        return Err(EncodeError::BadVariable { entry: excerpt(name) });
    }
    no_nul("env", name)?;
    no_nul("env", value)
}

/// A cache name where it is one field of many.
fn cache_name(verb: &'static str, name: &[u8], dialect: &Dialect) -> Result<(), EncodeError> {
    if dialect.encodes_cache_names { relative(verb, name) } else { path(verb, name, b"") }
}

/// A new entry of the cache or of a directory on 9 and later: encoded, a single component.
fn entry_name(verb: &'static str, name: &[u8]) -> Result<(), EncodeError> {
    relative(verb, name)?;
    if name.contains(&b'/') { Err(bad_name(verb, name, NameFault::Slash)) } else { Ok(()) }
}

fn rest_of_line(verb: &'static str, text: &[u8]) -> Result<(), EncodeError> {
    no_nul(verb, text)?;
    if text.is_empty() {
        return Err(bad_name(verb, text, NameFault::Empty));
    }
    if text.contains(&b'\n') { Err(bad_name(verb, text, NameFault::Blank)) } else { Ok(()) }
}

fn relative(verb: &'static str, name: &[u8]) -> Result<(), EncodeError> {
    let fault = if name.is_empty() {
        NameFault::Empty
    } else if name.contains(&0) {
        NameFault::Nul
    } else if name[0] == b'/' {
        NameFault::Absolute
    } else if name.split(|b| *b == b'/').any(|part| part == b"..") {
        NameFault::Parent
    } else {
        return Ok(());
    };
    Err(bad_name(verb, name, fault))
}

fn bad_name(verb: &'static str, name: &[u8], fault: NameFault) -> EncodeError {
    EncodeError::BadName { verb, name: excerpt(name), fault }
}

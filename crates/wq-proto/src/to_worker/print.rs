//! From a message of the master to its bytes.

use super::{Infile, Outfile, ToWorker};
use crate::from_worker::put as format_onto;
use crate::names::encode_name;
use crate::protocol::{Dialect, Protocol};
use bytes::{BufMut, BytesMut};

impl ToWorker {
    /// Writes the message as it is, in the spelling of `protocol` but without judging it: a line that was read prints back
    /// to the same bytes. For traces and replay; what goes to a peer goes through [`ToWorker::encode`].
    pub fn print(&self, protocol: Protocol, out: &mut BytesMut) {
        let dialect = protocol.dialect();
        if !matches!(self, Self::ProjectName(_)) {
            out.put_slice(self.verb().as_bytes());
        }
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
            Self::ProjectName(name) => out.put_slice(name),
        }
        out.put_u8(b'\n');
    }
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

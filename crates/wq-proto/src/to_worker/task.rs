//! A whole task in one go.

use super::encode::{EncodeError, checked_line, file_names, no_nul, path, variable, word};
use super::{FileFlags, TaskId};
use crate::from_worker::put;
use crate::names::encode_name;
use crate::protocol::Protocol;
use bytes::{BufMut, Bytes, BytesMut};

/// `infile CACHENAME SANDBOXNAME FLAGS`: a cache entry the task finds in its sandbox, as a hard link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Infile {
    /// Name in the peer's cache; raw on the wire, so without blanks.
    pub cached: Bytes,
    /// Path in the sandbox: relative, without `..`; missing parents are made. Protocol 11 fails a task that maps the same
    /// path twice.
    pub sandbox: Bytes,
    /// At a foreman, [`FileFlags::CACHE`] keeps the file on its workers.
    pub flags: FileFlags,
}

/// `outfile CACHENAME SANDBOXNAME FLAGS`: what the task leaves at SANDBOXNAME becomes a cache entry when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outfile {
    /// Name in the peer's cache, fresh for every attempt: an existing directory is not replaced.
    pub cached: Bytes,
    /// Path in the sandbox: relative, without `..`; parents are not made.
    pub sandbox: Bytes,
    /// [`FileFlags::WATCH`] sends its growth while the task runs.
    pub flags: FileFlags,
}

/// Everything between `task` and `end`.
///
/// All four resources are always written: a negative or missing one would change what the others mean. A worker starts the
/// task when all fit; one that can never fit is held without a word by protocol 6 and by foremen.
#[derive(Debug, Clone, Copy)]
pub struct TaskMessage<'a> {
    /// Id on this link.
    pub id: TaskId,
    /// Shell command, any bytes but NUL.
    pub command: &'a [u8],
    /// One word; left out for protocol 6.
    pub category: &'a str,
    /// Cores.
    pub cores: u32,
    /// Memory in MB; 0 reserves none.
    pub memory_mb: u64,
    /// Disk in MB; 0 reserves none. Workers end a task that exceeds what it was given.
    pub disk_mb: u64,
    /// GPUs.
    pub gpus: u32,
    /// Variables, name and value; a value may hold LFs.
    pub env: &'a [(String, String)],
    /// Inputs, in the order they are written (the work-around for foremen of protocol 11 needs its entry first).
    pub inputs: &'a [Infile],
    /// Outputs.
    pub outputs: &'a [Outfile],
    /// Empty directories to make in the sandbox; paths without blanks.
    pub dirs: &'a [Bytes],
}

impl TaskMessage<'_> {
    /// Writes the task for a peer of `protocol`, from `task` to `end`.
    ///
    /// # Errors
    /// See [`EncodeError`]; `out` is then as before.
    pub fn encode(&self, protocol: Protocol, out: &mut BytesMut) -> Result<(), EncodeError> {
        let start = out.len();
        let outcome = self.write(protocol, out);
        if outcome.is_err() {
            out.truncate(start);
        }
        outcome
    }

    fn write(&self, protocol: Protocol, out: &mut BytesMut) -> Result<(), EncodeError> {
        let Self { id, command, category, cores, memory_mb, disk_mb, gpus, env, inputs, outputs, dirs } = *self;
        if !id.is_valid() {
            return Err(EncodeError::BadTaskId { verb: "task", id: id.0 });
        }
        no_nul("cmd", command)?;
        put(out, format_args!("task {id}\ncmd {}\n", command.len()));
        out.put_slice(command);
        if protocol.dialect().has_category {
            word("category", category.as_bytes())?;
            checked_line(out, "category", |out| put(out, format_args!("category {category}\n")))?;
        }
        put(out, format_args!("cores {cores}\nmemory {memory_mb}\ndisk {disk_mb}\ngpus {gpus}\n"));
        for (name, value) in env {
            variable(name.as_bytes(), value.as_bytes())?;
            put(out, format_args!("env {}\n{name}={value}\n", name.len() + 1 + value.len()));
        }
        for Infile { cached, sandbox, flags } in inputs {
            write_file(out, "infile", cached, sandbox, *flags)?;
        }
        for name in dirs {
            path("dir", name, b"")?;
            checked_line(out, "dir", |out| {
                out.put_slice(b"dir ");
                out.put_slice(name);
                out.put_u8(b'\n');
            })?;
        }
        for Outfile { cached, sandbox, flags } in outputs {
            write_file(out, "outfile", cached, sandbox, *flags)?;
        }
        out.put_slice(b"end\n");
        Ok(())
    }
}

fn write_file(
    out: &mut BytesMut,
    verb: &'static str,
    cached: &[u8],
    sandbox: &[u8],
    flags: FileFlags,
) -> Result<(), EncodeError> {
    file_names(verb, cached, sandbox)?;
    checked_line(out, verb, |out| {
        out.put_slice(verb.as_bytes());
        out.put_u8(b' ');
        out.put_slice(cached);
        out.put_u8(b' ');
        encode_name(sandbox, out);
        put(out, format_args!(" {flags}\n"));
    })
}

//! What a program's folder tells about it: the file `run`, one line. The launcher writes it; the master reads it after a
//! failed start, the next master after a crash of this one.
//!
//! Shape: `PID START BOOT`, the process id, its start in clock ticks since the boot of this machine, and the identity
//! of that boot; behind an exec that failed ` ERRNO`. Source of START: `proc_pid_stat(5)`, field 22.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// Name of the file.
const NAME: &str = "run";

/// Where the kernel tells which boot this is.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// A process, of all that ever ran on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// Clock ticks since the boot.
    pub(super) start: u64,
    pub(super) boot: String,
}

/// One line of `/proc/PID/stat`, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// It has ended, and its parent has not looked yet.
    pub(super) zombie: bool,
    /// Its process group.
    pub(super) group: i32,
    /// Clock ticks since the boot.
    pub(super) start: u64,
}

impl Identity {
    /// That of this process.
    pub(super) fn own() -> io::Result<Identity> {
        let pid = std::process::id().cast_signed();
        let stat = stat(pid).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Identity { pid, start: stat.start, boot: boot()? })
    }

    /// Writes it down, with the error of an exec that failed.
    pub(super) fn write(&self, folder: &Path, error: Option<Errno>) -> io::Result<()> {
        let Identity { pid, start, boot } = self;
        let error = error.map(|error| format!(" {}", error as i32)).unwrap_or_default();
        std::fs::write(file(folder), format!("{pid} {start} {boot}{error}\n"))
    }
}

/// This boot of the machine.
pub(super) fn boot() -> io::Result<String> {
    Ok(std::fs::read_to_string(BOOT)?.trim().to_owned())
}

/// The process that ran in this folder.
pub(super) fn read(folder: &Path) -> Option<Identity> {
    let text = std::fs::read_to_string(file(folder)).ok()?;
    let mut words = text.split_whitespace();
    let (pid, start) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(Identity { pid, start, boot: words.next()?.to_owned() })
}

/// Why the program could not be executed, if that is so.
pub(super) fn failure(folder: &Path) -> Option<Errno> {
    let text = std::fs::read_to_string(file(folder)).ok()?;
    text.split_whitespace().nth(3)?.parse().ok().map(Errno::from_raw)
}

/// What the kernel says of a process; `None` if there is none.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    // The name in parentheses may hold anything; behind it come state, parent, group …
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split_whitespace().collect();
    Some(Stat {
        zombie: matches!(*fields.first()?, "Z" | "X"),
        group: fields.get(2)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

fn file(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

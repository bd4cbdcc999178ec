//! The first moments of a program's process: still ours, in a second copy of the master's program.
//!
//! It asks the kernel to be killed when the master ends, writes down who it is, and becomes the job. It has the job's
//! environment, folder and streams already.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::getppid;

use super::record::Identity;
use crate::outputs::errno;

/// First argument of the master's program when it is to launch a job. Behind it: the job's folder, the master's process
/// id, the umask in octal, the program and its arguments.
pub(super) const MARK: &str = "--run-local-job";

/// What a shell ends with when it cannot execute a program.
const NOT_EXECUTED: i32 = 127;

/// Becomes the job if this process was started for one; else it returns at once.
pub fn launch() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_none_or(|first| first != MARK) {
        return;
    }
    let status = become_job(args).map_or(NOT_EXECUTED, |never| match never {});
    std::process::exit(status)
}

fn become_job(mut args: impl Iterator<Item = OsString>) -> Option<std::convert::Infallible> {
    let folder = PathBuf::from(args.next()?);
    let master: i32 = args.next()?.to_str()?.parse().ok()?;
    let mask = u32::from_str_radix(args.next()?.to_str()?, 8).ok()?;
    let program = args.next()?;
    set_pdeathsig(Signal::SIGKILL).ok()?;
    // It may have ended before it was asked for.
    if getppid().as_raw() != master {
        return None;
    }
    umask(Mode::from_bits_truncate(mask));
    let own = Identity::own().ok()?;
    // Without it a crash of the master could leave a second one beside the next.
    own.write(&folder, None).ok()?;
    let error = Command::new(program).args(args).exec();
    // Nobody reads it if this cannot be written either, and 127 says enough.
    let _ = own.write(&folder, Some(errno(&error)));
    None
}

//! Open files that the next program inherits.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// Whether a file stays open when the program changes.
///
/// # Errors
/// What the system says.
pub(crate) fn keep_open(file: impl AsFd, on: bool) -> io::Result<()> {
    let flags = if on { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    fcntl(file, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// Takes a file that this program has inherited under this number; no child of ours inherits it in turn.
///
/// # Errors
/// Nothing is open under the number.
#[expect(unsafe_code, reason = "a number is all that execve leaves of an open file")]
pub(crate) fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    if number <= 2 || std::fs::symlink_metadata(Path::new("/proc/self/fd").join(number.to_string())).is_err() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("no open file has the number {number}")));
    }
    // SAFETY: the number is open, as just seen. The old program cleared its flag for us alone, nothing of this program
    // has opened it, and each number is taken once: `Arrival::read` refuses a state that names one twice.
    let file = unsafe { OwnedFd::from_raw_fd(number) };
    keep_open(&file, false)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_file_is_refused() {
        assert!(adopt(1).is_err());
        assert!(adopt(1 << 20).unwrap_err().to_string().contains("1048576"));
    }

    #[test]
    fn files_are_kept_open_only_on_demand() {
        let file = tempfile::tempfile().unwrap();
        let kept = |file: &std::fs::File| fcntl(file, FcntlArg::F_GETFD).unwrap() == 0;
        assert!(!kept(&file));
        keep_open(&file, true).unwrap();
        assert!(kept(&file));
        keep_open(&file, false).unwrap();
        assert!(!kept(&file));
    }
}

//! HTCondor's sentences for files that cannot be read or written.
//!
//! Source: recorded event logs of HTCondor 25.13.2 (jobs `nooutput` and `noinput`), and the starter's and shadow's
//! texts for codes 7 and 14. The shell does not know at which worker an attempt runs, so the name of the execution
//! point is left out.

use std::io;
use std::path::Path;

use nix::errno::Errno;
use wq_core::io::Trouble;

/// `HoldReasonCode` for an output that cannot be opened.
const UNABLE_TO_OPEN_OUTPUT: i32 = 7;
/// `HoldReasonCode` for an output that cannot be put in place.
const TRANSFER_OUTPUT_ERROR: i32 = 12;
/// `HoldReasonCode` for an input that cannot be read.
const TRANSFER_INPUT_ERROR: i32 = 13;
/// `HoldReasonCode` for an initial directory that cannot be used.
const IWD_ERROR: i32 = 14;
/// `HoldReasonCode` for inputs beyond `max_transfer_input_mb`.
const MAX_TRANSFER_INPUT_SIZE_EXCEEDED: i32 = 32;

/// Makes the sentences; knows the name under which HTCondor would show this machine.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    access_point: String,
}

impl Words {
    /// For the host of this name; HTCondor shows its first label.
    pub(crate) fn new(host: &str) -> Words {
        Words { access_point: host.split('.').next().unwrap_or(host).to_owned() }
    }

    /// An input cannot be read.
    pub(crate) fn input(&self, path: &Path, error: Errno) -> Trouble {
        self.input_because(&format!("reading from file {}: {}", path.display(), numbered(error)), error as i32)
    }

    /// An input cannot be sent for a reason that has no errno.
    pub(crate) fn input_refused(&self, path: &Path, why: &str) -> Trouble {
        self.input_because(&format!("sending file {}: {why}", path.display()), Errno::EINVAL as i32)
    }

    fn input_because(&self, failure: &str, subcode: i32) -> Trouble {
        let reason = format!(
            "Transfer input files failure at access point {} while sending files to execution point. Details: \
             1 total failures: first failure: {failure}",
            self.access_point
        );
        Trouble { code: TRANSFER_INPUT_ERROR, subcode, reason }
    }

    /// The inputs are larger than the job allows.
    pub(crate) fn too_large(&self, bytes: u64, limit_mb: u64) -> Trouble {
        let reason = format!(
            "Transfer input files failure at access point {} while sending files to execution point. Details: \
             total size of {bytes} bytes exceeds max_transfer_input_mb = {limit_mb}",
            self.access_point
        );
        Trouble { code: MAX_TRANSFER_INPUT_SIZE_EXCEEDED, subcode: 0, reason }
    }

    /// An output could not be opened if the job ran now.
    pub(crate) fn closed_output(&self, path: &Path, error: Errno) -> Trouble {
        let reason =
            format!("Failed to open '{}' as output: {} (errno {})", path.display(), error.desc(), error as i32);
        Trouble { code: UNABLE_TO_OPEN_OUTPUT, subcode: error as i32, reason }
    }

    /// The initial directory cannot be used.
    pub(crate) fn iwd(&self, path: &Path, error: Errno) -> Trouble {
        let reason = format!("Cannot access initial working directory {}: {}", path.display(), error.desc());
        Trouble { code: IWD_ERROR, subcode: error as i32, reason }
    }

    /// An output cannot be written or renamed.
    pub(crate) fn output(&self, path: &Path, error: Errno) -> Trouble {
        let reason = format!(
            "Transfer output files failure at access point {} while receiving files from execution point. Details: \
             1 total failures: first failure: writing to file {}: {}",
            self.access_point,
            path.display(),
            numbered(error)
        );
        Trouble { code: TRANSFER_OUTPUT_ERROR, subcode: error as i32, reason }
    }

    /// An output is not there any more, or not all of it, after the machine was started again.
    pub(crate) fn lost_output(&self, path: &Path, error: Errno, details: &str) -> Trouble {
        let reason = format!(
            "Transfer output files failure at access point {} after receiving files from execution point: the machine \
             went down before they were on its disk (condor_release runs the job again). Details: 1 total failures: \
             first failure: file {}: (errno {}) {details}",
            self.access_point,
            path.display(),
            error as i32
        );
        Trouble { code: TRANSFER_OUTPUT_ERROR, subcode: error as i32, reason }
    }
}

fn numbered(error: Errno) -> String {
    format!("(errno {}) {}", error as i32, error.desc())
}

/// The number in an error of the standard library; EIO for those that it made up itself.
pub(crate) fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_the_recorded_ones() {
        let words = Words::new("submit.example.org");
        let got = words.input(Path::new("/home/alice/jobs/gone.in"), Errno::ENOENT);
        assert_eq!((got.code, got.subcode), (13, 2));
        let recorded = "Transfer input files failure at access point submit while sending files to execution point \
            slot1@submit.example.org. Details: 1 total failures: first failure: reading from file \
            /home/alice/jobs/gone.in: (errno 2) No such file or directory";
        assert_eq!(got.reason, recorded.replace(" slot1@submit.example.org", ""));
        let got = words.output(Path::new("/o"), Errno::ENOSPC);
        assert_eq!((got.code, got.subcode), (12, 28));
        assert!(got.reason.ends_with("writing to file /o: (errno 28) No space left on device"), "{}", got.reason);
    }
}

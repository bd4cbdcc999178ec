//! Signals that end or change the service, held back while nobody could hear them.
//!
//! A planned restart replaces the program; a signal that reached the old one in its last moment would be lost, one that
//! reached the new one before it listens would end it, and all jobs with it. So they are held from before the state is
//! written down until the new program listens: the kernel keeps what is held over the `execve`. Threads are started with
//! the signals held, so that none of them takes one in the main thread's place.

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

/// As long as it lives, signals wait.
#[derive(Debug)]
pub(crate) struct Held {
    before: Option<SigSet>,
}

fn ours() -> SigSet {
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM].into_iter().collect()
}

/// Lets signals wait for this thread, and for threads that it starts.
pub(crate) fn hold() -> Held {
    let mut before = SigSet::empty();
    let held = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&ours()), Some(&mut before));
    Held { before: held.is_ok().then_some(before) }
}

/// From now on somebody listens, whoever held signals before.
pub(crate) fn release() {
    // Without it signals wait for ever, which their sender will notice.
    if let Err(errno) = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&ours()), None) {
        tracing::error!(%errno, "signals cannot be heard");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // What worked a moment ago works again.
            let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(before), None);
        }
    }
}

//! Signals (decision D8).
//!
//! The first SIGINT or SIGTERM stops the service within [`STOP_MAX`], the second ends it at once with 128 + the signal's
//! number. SIGHUP has the files of TLS and those settings read again that may change while the service runs; `awq reload`
//! is the way to all others. SIGPIPE is ignored, as Rust programs do.

use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use wq_core::Input;

use crate::driver::Shell;
use crate::rereading::Rereading;
use crate::signals;
use crate::systemd::Manager;

/// How long a stop may last before the process ends anyway.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(7);

/// How long the last writes may last after that.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Why the master ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything is flushed.
    InOrder,
    /// A second signal came.
    AtOnce(Signal),
    /// The stop took too long.
    TooLate,
}

impl End {
    /// The exit code: 0, 128 + signal number, 1.
    pub(crate) fn code(self) -> u8 {
        match self {
            End::InOrder => 0,
            End::AtOnce(signal) => 128 + signal as u8,
            End::TooLate => 1,
        }
    }
}

/// Waits for the end: signals, or the core's own.
///
/// # Errors
/// Signals cannot be heard.
pub(crate) async fn wait(shell: Rc<Shell>, manager: &Manager, mut rereading: Rereading) -> std::io::Result<End> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    signals::release();
    let mut deadline = None;
    loop {
        let too_late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let heard = tokio::select! {
            () = shell.ended() => return Ok(End::InOrder),
            () = too_late => return Ok(End::TooLate),
            _ = interrupt.recv() => Signal::SIGINT,
            _ = terminate.recv() => Signal::SIGTERM,
            _ = hangup.recv() => {
                rereading.reread(&shell);
                continue;
            }
        };
        if deadline.is_some() {
            tracing::warn!(signal = heard.as_str(), "a second signal: ending at once");
            return Ok(End::AtOnce(heard));
        }
        tracing::info!(signal = heard.as_str(), "stopping");
        manager.stopping();
        deadline = Some(tokio::time::Instant::now() + STOP_MAX);
        shell.input(Input::Stop);
    }
}

/// Ends the process in good order: what is queued for journal, event logs and the spool is written.
///
/// A disk or file server that hangs does not keep the process: after a while it ends anyway, with code 1.
pub(crate) fn leave(runtime: &tokio::runtime::Runtime, shell: &Shell) -> ! {
    let guard = std::thread::Builder::new().name("last-writes".into()).spawn(|| {
        std::thread::sleep(FLUSH_MAX);
        tracing::error!("the last writes took too long");
        std::process::exit(End::TooLate.code().into());
    });
    if let Err(error) = guard {
        tracing::warn!(%error, "nobody watches over the last writes");
    }
    runtime.block_on(shell.pool.wait(|| ()));
    shell.finish();
    tracing::info!("alien_work_queue ends");
    std::process::exit(End::InOrder.code().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_shells() {
        assert_eq!(End::InOrder.code(), 0);
        assert_eq!(End::AtOnce(Signal::SIGINT).code(), 130);
        assert_eq!(End::AtOnce(Signal::SIGTERM).code(), 143);
    }
}

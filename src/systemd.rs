//! What the service manager is told, and its watchdog: datagrams to `$NOTIFY_SOCKET` (sd_notify(3)).
//!
//! The watchdog is fed by a task of the core's own thread: when that loop stands still, nobody feeds it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The way to the service manager, if it started us.
#[derive(Debug, Default)]
pub(crate) struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// Fed once in this time, or the service is started anew.
    watchdog: Option<Duration>,
}

impl Manager {
    /// As the environment of this process says.
    pub(crate) fn from_environment() -> Manager {
        Manager::from_variables(|name| std::env::var_os(name), std::process::id())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>, pid: u32) -> Manager {
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        let socket = variable("NOTIFY_SOCKET").and_then(|name| match open(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(?name, %error, "the service manager cannot be told anything");
                None
            }
        });
        // The watchdog may be meant for a process that started us.
        let ours = number("WATCHDOG_PID").is_none_or(|meant| meant == u64::from(pid));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| ours && *usec > 0).map(Duration::from_micros);
        Manager { socket, watchdog }
    }

    /// The service works.
    pub(crate) fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// The program is about to be replaced; the next one, or this one if it comes to nothing, says that it is ready.
    pub(crate) fn reloading(&self) {
        // Systemd tells by the time which of several reloads is meant.
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()));
    }

    /// The service goes on as before.
    pub(crate) fn goes_on(&self) {
        self.say("READY=1");
    }

    /// The service is about to end.
    pub(crate) fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Feeds the watchdog for ever, three times as often as it must be.
    pub(crate) async fn feed_watchdog(&self) {
        let Some(limit) = self.watchdog.filter(|_| self.socket.is_some()) else {
            return std::future::pending().await;
        };
        let mut beat = tokio::time::interval((limit / 3).max(Duration::from_millis(1)));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            self.say("WATCHDOG=1");
        }
    }

    fn say(&self, words: &str) {
        let Some((socket, manager)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(words.as_bytes(), manager) {
            tracing::debug!(%error, "the service manager does not listen");
        }
    }
}

/// `/path`, or `@name` for an abstract one.
fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not stop the core.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(variables: &[(&str, &OsStr)]) -> Manager {
        let variables: Vec<(String, OsString)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Manager::from_variables(|name| variables.iter().find(|(known, _)| known == name).map(|(_, v)| v.clone()), 7)
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut room = [0; 200];
        let count = socket.recv(&mut room).unwrap();
        String::from_utf8(room[..count].to_vec()).unwrap()
    }

    #[test]
    fn the_manager_hears_of_ready_watchdog_and_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let variables = [
            ("NOTIFY_SOCKET", path.as_os_str()),
            ("WATCHDOG_USEC", OsStr::new("3000")),
            ("WATCHDOG_PID", "7".as_ref()),
        ];
        let told = manager(&variables);
        told.ready("serving");
        assert_eq!(heard(&listener), "READY=1\nSTATUS=serving");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let both = async { tokio::time::timeout(Duration::from_millis(50), told.feed_watchdog()).await };
        assert!(runtime.block_on(both).is_err(), "it is fed for ever");
        assert_eq!(heard(&listener), "WATCHDOG=1");
        assert_eq!(heard(&listener), "WATCHDOG=1");
        listener.set_nonblocking(true).unwrap();
        while listener.recv(&mut [0; 200]).is_ok() {}
        told.reloading();
        let reload = heard(&listener);
        let usec = reload.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|usec| usec.parse::<u64>().ok());
        assert!(usec.is_some_and(|usec| usec > 0), "{reload}");
        told.goes_on();
        assert_eq!(heard(&listener), "READY=1");
        while listener.recv(&mut [0; 200]).is_ok() {}
        told.stopping();
        assert_eq!(heard(&listener), "STOPPING=1");
    }

    #[test]
    fn names_may_be_abstract_and_watchdogs_anothers() {
        let name = format!("awq-test-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let told = manager(&[("NOTIFY_SOCKET", format!("@{name}").as_ref()), ("WATCHDOG_USEC", "0".as_ref())]);
        told.stopping();
        assert_eq!((heard(&listener).as_str(), told.watchdog), ("STOPPING=1", None));
        assert_eq!(manager(&[("WATCHDOG_USEC", "10".as_ref()), ("WATCHDOG_PID", "8".as_ref())]).watchdog, None);
        let alone = manager(&[]);
        alone.ready("nobody listens");
        assert!(alone.socket.is_none() && alone.watchdog.is_none());
    }
}

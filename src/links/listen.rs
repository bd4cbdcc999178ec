//! Listening sockets and the loop that accepts (decisions D7, D50, D67).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use wq_proto::Password;

use super::link::{Link, set_options};
use crate::driver::Shell;
use crate::places::BACKLOG;

/// How long accepting rests when descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the worker port does not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// The word is no address.
    #[error("--bind {word}: not an IP address, and not `*`")]
    NoAddress {
        /// As given.
        word: String,
    },
    /// Others could connect without a password.
    #[error("--bind {address}: other hosts could connect without a password; give --password-file, or --insecure")]
    Insecure {
        /// Which address.
        address: IpAddr,
    },
    /// The system says no.
    #[error("cannot listen on {address}")]
    System {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not one of the default addresses exists.
    #[error("this machine has no address to listen on")]
    Nowhere,
}

/// Addresses to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listening {
    /// In order.
    pub(crate) addresses: Vec<IpAddr>,
    /// Named by the user: each must work. The default ones may be missing, e.g. without IPv6.
    pub(crate) named: bool,
    /// Others can connect without a password.
    pub(crate) open: bool,
}

/// What to listen on (decision D7): with a password everything, without it loopback, anything else on demand.
///
/// # Errors
/// [`ListenError::NoAddress`] and [`ListenError::Insecure`].
pub(crate) fn addresses(bind: &[String], password: bool, insecure: bool) -> Result<Listening, ListenError> {
    let everything = [IpAddr::from(Ipv6Addr::UNSPECIFIED), IpAddr::from(Ipv4Addr::UNSPECIFIED)];
    let loopback = [IpAddr::from(Ipv6Addr::LOCALHOST), IpAddr::from(Ipv4Addr::LOCALHOST)];
    let mut addresses = Vec::new();
    for word in bind {
        match word.trim().trim_start_matches('[').trim_end_matches(']') {
            "*" => addresses.extend(everything),
            "localhost" => addresses.extend(loopback),
            plain => addresses.push(plain.parse().map_err(|_| ListenError::NoAddress { word: word.clone() })?),
        }
    }
    let named = bind.iter().any(|word| !matches!(word.trim(), "*" | "localhost"));
    if bind.is_empty() {
        addresses.extend(if password { everything } else { loopback });
    }
    let open = !password && addresses.iter().any(|address| !address.is_loopback());
    match addresses.iter().find(|address| !address.is_loopback()) {
        Some(address) if open && !insecure => Err(ListenError::Insecure { address: *address }),
        _ => Ok(Listening { addresses, named, open }),
    }
}

/// Opens the sockets. With port 0 the first chooses and the others take the same.
///
/// # Errors
/// [`ListenError::System`] and [`ListenError::Nowhere`].
pub(crate) fn listen(listening: &Listening, port: u16) -> Result<Vec<std::net::TcpListener>, ListenError> {
    listen_on(listening, port, Vec::new())
}

/// The same with sockets that are open already: those that are not wanted any more are closed.
///
/// # Errors
/// As [`listen`].
pub(crate) fn listen_on(
    listening: &Listening,
    port: u16,
    mut open_already: Vec<std::net::TcpListener>,
) -> Result<Vec<std::net::TcpListener>, ListenError> {
    let mut listeners: Vec<std::net::TcpListener> = Vec::new();
    for address in &listening.addresses {
        let port = match listeners.first().map(std::net::TcpListener::local_addr) {
            Some(Ok(first)) => first.port(),
            _ => port,
        };
        let address = SocketAddr::new(*address, port);
        let fits = |listener: &std::net::TcpListener| {
            listener.local_addr().is_ok_and(|open| open.ip() == address.ip() && [0, open.port()].contains(&port))
        };
        if let Some(at) = open_already.iter().position(fits) {
            listeners.push(open_already.swap_remove(at));
            continue;
        }
        match open(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if !listening.named && is_missing(&error) => {
                tracing::debug!(%address, %error, "not listening on an address that this machine does not have");
            }
            Err(source) => return Err(ListenError::System { address, source }),
        }
    }
    if listeners.is_empty() { Err(ListenError::Nowhere) } else { Ok(listeners) }
}

fn open(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own, so that both show their own addresses.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL))
}

/// Accepts connections for ever.
pub(crate) async fn accept(listener: TcpListener, password: Option<Rc<Password>>, shell: Rc<Shell>) {
    let mut full = false;
    loop {
        shell.door.opened().await;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shell.door.closed() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let was_full = std::mem::replace(&mut full, !shell.links.has_room());
                if full && !was_full {
                    tracing::warn!(links = shell.links.count(), "the limit of connections is reached; others wait");
                }
                if full {
                    // Who has not said yet what he wants goes first: silent peers must not keep honest ones out.
                    shell.links.drop_oldest_stranger();
                }
                while !shell.links.has_room() {
                    shell.links.room.notified().await;
                }
                if let Err(error) = set_options(&stream) {
                    // The peer is gone already.
                    tracing::debug!(%peer, %error, "a connection was lost at once");
                    continue;
                }
                let near = peer.ip().is_loopback();
                let link = shell.links.enter(|id| Link::new(id, stream, near, password.as_deref(), &shell));
                tokio::task::spawn_local(link.serve(Rc::clone(&shell), peer));
            }
            Err(error) => {
                let out = matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EMFILE | Errno::ENFILE));
                if out && !std::mem::replace(&mut full, true) {
                    tracing::warn!(%error, links = shell.links.count(), "no more connections can be accepted");
                }
                // Errors of a single connection (ECONNABORTED) need no rest; those of the system do.
                if out || error.kind() != io::ErrorKind::ConnectionAborted {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bind: &[&str], password: bool, insecure: bool) -> Result<Vec<String>, String> {
        let bind: Vec<String> = bind.iter().map(|word| (*word).to_owned()).collect();
        addresses(&bind, password, insecure)
            .map(|listening| listening.addresses.iter().map(ToString::to_string).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_password_only_loopback() {
        assert_eq!(check(&[], true, false).unwrap(), ["::", "0.0.0.0"]);
        assert_eq!(check(&[], false, false).unwrap(), ["::1", "127.0.0.1"]);
        assert_eq!(check(&[], false, true).unwrap(), ["::1", "127.0.0.1"]);
        assert_eq!(check(&["127.0.0.2"], false, false).unwrap(), ["127.0.0.2"]);
        assert!(check(&["*"], false, false).unwrap_err().contains("--insecure"));
        assert_eq!(check(&["*"], false, true).unwrap(), ["::", "0.0.0.0"]);
        assert_eq!(check(&["[::1]"], false, false).unwrap(), ["::1"]);
        assert!(check(&["example.org"], true, false).unwrap_err().contains("not an IP address"));
    }

    #[test]
    fn one_port_for_all_addresses() {
        let listeners = listen(&addresses(&[], false, false).unwrap(), 0).unwrap();
        let ports: std::collections::HashSet<u16> =
            listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 1);
    }

    #[test]
    fn open_sockets_are_used_again_as_far_as_they_are_wanted() {
        let both = addresses(&[], false, false).unwrap();
        let first = listen(&both, 0).unwrap();
        let port = first[0].local_addr().unwrap().port();
        let again = listen_on(&both, 0, first).unwrap();
        assert!(again.iter().all(|listener| listener.local_addr().unwrap().port() == port));
        let one = addresses(&["127.0.0.1".into()], false, false).unwrap();
        let left = listen_on(&one, port, again).unwrap();
        assert_eq!(left[0].local_addr().unwrap().to_string(), format!("127.0.0.1:{port}"));
    }

    #[test]
    fn a_taken_port_is_named() {
        let listening = addresses(&["127.0.0.1".into()], false, false).unwrap();
        let first = listen(&listening, 0).unwrap();
        let port = first[0].local_addr().unwrap().port();
        let error = listen(&listening, port).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{port}"));
    }
}

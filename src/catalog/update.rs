//! One update: its bytes, and their way to one server.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, UdpSocket};

use super::servers::{Server, Transport};
use crate::status;
use wq_core::master::Summary;

/// The server forgets a master that it has not heard of for so long, seconds; without it the server's own half an hour
/// would send workers to a master that is gone.
const LIFETIME_S: u32 = 300;

/// Larger datagrams are compressed, bytes: they would not fit one packet of a common network.
const PLAIN_MAX: usize = 1200;

/// The byte in front of a zlib stream (RFC 1950).
const COMPRESSED: u8 = 0x1A;

/// How long a machine may take to say that nobody listens to datagrams there.
const OBJECTION: Duration = Duration::from_millis(500);

/// Why an update did not go out.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpdateError {
    /// The name service does not know the host, or does not answer.
    #[error("the name {host} cannot be looked up: {source}")]
    Name {
        /// The name.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// It has no address.
    #[error("the name {host} has no address")]
    NoAddress {
        /// The name.
        host: String,
    },
    /// The network or the server's machine refuses.
    #[error("{address}: {source}")]
    Send {
        /// Where to.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// The object of the catalog, as text.
pub(super) fn text(about: &status::About, summary: &Summary) -> Vec<u8> {
    let mut object = status::queue(about, summary);
    object["lifetime"] = LIFETIME_S.into();
    // The server takes the name from the address that it sees.
    object.as_object_mut().expect("the queue is an object").remove("name");
    to_bytes(&object)
}

fn to_bytes(object: &Value) -> Vec<u8> {
    serde_json::to_vec(object).expect("a JSON value can be written")
}

/// What goes into a datagram.
fn datagram(text: &[u8]) -> Vec<u8> {
    if text.len() <= PLAIN_MAX {
        return text.to_vec();
    }
    let mut encoder = ZlibEncoder::new(vec![COMPRESSED], Compression::default());
    encoder.write_all(text).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

/// Sends one update; gives the address that it went to. `own` are the addresses on which the master listens.
pub(super) async fn send(
    server: &Server,
    transport: Transport,
    text: &[u8],
    own: &[SocketAddr],
) -> Result<IpAddr, UpdateError> {
    let host = || server.host.clone();
    let found = tokio::net::lookup_host((server.host.as_str(), server.port)).await;
    let found: Vec<SocketAddr> = found.map_err(|source| UpdateError::Name { host: host(), source })?.collect();
    // Catalog servers listen on IPv4 unless they are told otherwise, and nobody answers a datagram.
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    let mut address = *first.ok_or_else(|| UpdateError::NoAddress { host: host() })?;
    let from = SocketAddr::new(source_address(address.ip(), own), 0);
    let sent = match transport {
        Transport::Udp => send_datagram(from, address, &datagram(text)).await,
        Transport::Tcp => {
            address.set_port(server.port + 1);
            send_stream(from, address, text).await
        }
    };
    sent.map(|()| address.ip()).map_err(|source| UpdateError::Send { address, source })
}

async fn send_datagram(from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let socket = UdpSocket::bind(from).await?;
    socket.connect(to).await?;
    socket.send(bytes).await?;
    match tokio::time::timeout(OBJECTION, socket.recv(&mut [0])).await {
        Ok(Err(error)) => Err(error),
        // Nobody answers updates, so silence is all that can be hoped for.
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

async fn send_stream(from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(from)?;
    let mut stream = socket.connect(to).await?;
    stream.write_all(bytes).await?;
    stream.shutdown().await
}

/// The catalog tells workers the address from which an update came. If the master listens on a single one, it has to be
/// that; else the system's choice is right.
fn source_address(server: IpAddr, own: &[SocketAddr]) -> IpAddr {
    let mut usable = own.iter().map(SocketAddr::ip).filter(|own| own.is_ipv4() == server.is_ipv4());
    match (usable.next(), usable.next()) {
        (Some(only), None) if only.is_loopback() == server.is_loopback() => only,
        _ if server.is_ipv4() => Ipv4Addr::UNSPECIFIED.into(),
        _ => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::ZlibDecoder;

    use super::*;
    use crate::status::About;

    fn decoded(bytes: &[u8]) -> Vec<u8> {
        assert_eq!(bytes[0], COMPRESSED);
        let mut text = Vec::new();
        ZlibDecoder::new(&bytes[1..]).read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn long_texts_are_compressed_and_short_ones_stay_readable() {
        let (short, long) = (vec![b'x'; PLAIN_MAX], vec![b'x'; PLAIN_MAX + 1]);
        assert_eq!(datagram(&short), short);
        assert_eq!(decoded(&datagram(&long)), long);
    }

    #[test]
    fn an_update_fits_a_datagram_whatever_workers_call_their_hosts() {
        let blocked = (0..100).map(|number| format!("{number:0255}")).collect();
        let text = text(&About::default(), &Summary { blocked, ..Summary::default() });
        assert!(text.len() < 64_000, "{}", text.len());
    }

    #[test]
    fn an_update_holds_what_the_programs_read() {
        let about = About { project: "alien_jobs".into(), owner: "me".into(), port: 9094, ..About::default() };
        let summary = Summary { waiting: 3, blocked: vec!["a".into(), "b".into()], ..Summary::default() };
        let object: Value = serde_json::from_slice(&text(&about, &summary)).unwrap();
        for name in "type project port ssl master_preferred_connection manager_preferred_connection version owner \
                     starttime workers tasks_waiting tasks_running tasks_on_workers tasks_complete tasks_left \
                     tasks_total_cores tasks_total_memory tasks_total_disk tasks_total_gpus capacity capacity_tasks \
                     capacity_cores capacity_memory capacity_disk capacity_gpus capacity_weighted workers_blocked \
                     workers-blacklisted cores_total cores_inuse memory_total memory_inuse disk_total disk_inuse \
                     gpus_total gpus_inuse lifetime"
            .split_whitespace()
        {
            assert!(object.get(name).is_some(), "{name}");
        }
        assert_eq!((&object["type"], &object["tasks_waiting"]), (&"wq_master".into(), &3.into()));
        assert_eq!(object["workers_blocked"], serde_json::json!(["a", "b"]));
        assert_eq!(object["workers-blacklisted"], "a b");
        // Workers of some releases crash when a name in it is not the one they know (wire specification 6.2).
        assert_eq!(object.get("network_interfaces"), None);
    }

    #[test]
    fn updates_come_from_the_address_on_which_the_master_listens() {
        let check = |server: &str, own: &[&str]| {
            let own: Vec<SocketAddr> = own.iter().map(|address| address.parse().unwrap()).collect();
            source_address(server.parse().unwrap(), &own).to_string()
        };
        assert_eq!(check("10.0.0.9", &["10.0.0.7:9094"]), "10.0.0.7");
        assert_eq!(check("10.0.0.9", &["[::]:9094", "0.0.0.0:9094"]), "0.0.0.0");
        assert_eq!(check("10.0.0.9", &["10.0.0.7:9094", "10.1.0.7:9094"]), "0.0.0.0");
        assert_eq!(check("10.0.0.9", &["127.0.0.1:9094"]), "0.0.0.0", "nothing gets out from there");
        assert_eq!(check("127.0.0.1", &["[::1]:9094", "127.0.0.1:9094"]), "127.0.0.1");
        assert_eq!(check("::1", &["127.0.0.1:9094"]), "::");
    }
}

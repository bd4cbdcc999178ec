//! Which catalog servers there are, and how they are told: `--catalog-host`, `--catalog-port`, `CATALOG_UPDATE_PROTOCOL`.

use std::fmt;

/// The environment variable that chooses the transport, as for CCTools' own masters.
pub const TRANSPORT_VARIABLE: &str = "CATALOG_UPDATE_PROTOCOL";

/// The last port with another one behind it, for updates by TCP.
const PORT_MAX: u16 = u16::MAX - 1;

/// A catalog server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Port for datagrams and queries; updates by TCP go to the next one.
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How updates travel (decision D13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// One datagram.
    #[default]
    Udp,
    /// One connection to the next port.
    Tcp,
}

/// Why the catalog servers cannot be known.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ServersError {
    /// An entry of the list has no host.
    #[error("--catalog-host {list:?}: an entry names no host; give HOST or HOST:PORT, several with commas between")]
    NoHost {
        /// The whole list.
        list: String,
    },
    /// What stands behind the colon is no port.
    #[error("--catalog-host {entry}: {port:?} is no port; give a number from 1 to 65534")]
    BadPort {
        /// The entry.
        entry: String,
        /// Its port.
        port: String,
    },
    /// The variable has another value.
    #[error("{TRANSPORT_VARIABLE}={word}: give udp or tcp, or unset it")]
    Transport {
        /// The value.
        word: String,
    },
}

/// Reads `a,b:9097,[::1]:9097`; who names no port gets the default one.
///
/// # Errors
/// [`ServersError::NoHost`] and [`ServersError::BadPort`].
pub fn parse(list: &str, default_port: u16) -> Result<Vec<Server>, ServersError> {
    list.split(',').map(|entry| parse_one(list, entry.trim(), default_port)).collect()
}

fn parse_one(list: &str, entry: &str, default_port: u16) -> Result<Server, ServersError> {
    let (host, port) = match entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        // Without its colon it stays what it is, which is no port.
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or(entry))),
        // More than one colon is an IPv6 address.
        None if entry.matches(':').count() > 1 => (entry, None),
        None => entry.split_once(':').map_or((entry, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(ServersError::NoHost { list: list.to_owned() });
    }
    let text = port.map_or_else(|| default_port.to_string(), str::to_owned);
    match text.parse() {
        Ok(port @ 1..=PORT_MAX) => Ok(Server { host: host.to_owned(), port }),
        _ => Err(ServersError::BadPort { entry: entry.to_owned(), port: text }),
    }
}

impl Transport {
    /// From the value of the variable.
    ///
    /// # Errors
    /// [`ServersError::Transport`].
    pub fn parse(word: Option<&str>) -> Result<Transport, ServersError> {
        match word.map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "udp") => Ok(Transport::Udp),
            Some("tcp") => Ok(Transport::Tcp),
            Some(_) => Err(ServersError::Transport { word: word.unwrap_or_default().to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str) -> Result<String, String> {
        let servers = parse(list, 9097).map_err(|error| error.to_string())?;
        Ok(servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn lists_of_hosts_with_and_without_ports() {
        assert_eq!(check("catalog.example.org").unwrap(), "catalog.example.org:9097");
        assert_eq!(check("a:1, b:2,c").unwrap(), "a:1 b:2 c:9097");
        assert_eq!(check("[::1]:7,::1,[::2],10.0.0.1:8").unwrap(), "[::1]:7 [::1]:9097 [::2]:9097 10.0.0.1:8");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for list in ["", "a,,b", ":9097", "[]:1"] {
            assert!(check(list).unwrap_err().contains("names no host"), "{list}");
        }
        for (list, port) in [("a:", ""), ("a:0", "0"), ("a:65535", "65535"), ("a:9x", "9x"), ("[::1]9", "[::1]9")] {
            let error = check(list).unwrap_err();
            assert!(error.contains(&format!("{port:?} is no port")), "{error}");
        }
        assert!(parse("a", 0).is_err());
    }

    #[test]
    fn the_variable_takes_two_words() {
        assert_eq!(Transport::parse(None), Ok(Transport::Udp));
        assert_eq!(Transport::parse(Some("TCP")), Ok(Transport::Tcp));
        let error = Transport::parse(Some("carrier pigeon")).unwrap_err();
        assert_eq!(error.to_string(), "CATALOG_UPDATE_PROTOCOL=carrier pigeon: give udp or tcp, or unset it");
    }
}

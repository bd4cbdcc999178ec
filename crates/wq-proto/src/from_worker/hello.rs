//! The lines a connection may open with.

use super::message::put;
use crate::line::{Fields, LineError};
use crate::protocol::Protocol;
use bytes::BytesMut;

/// `workqueue P HOST OS ARCH VERSION`: a worker or foreman introduces itself.
///
/// Bytes that are no UTF-8 are replaced. Source: CCTools worker `send_master_message`, recorded for 6 to 11.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// What the peer speaks; everything sent to it is spelled accordingly.
    pub protocol: Protocol,
    /// One word; 11 may say `unknown`.
    pub host: String,
    /// `uname -s` or the worker's `-O`; exactly `foreman` for a foreman.
    pub os: String,
    /// `uname -m` or the worker's `-A`.
    pub arch: String,
    /// `major.minor.micro`; development builds say `8.0.0` and are older than they look. Never branch on it.
    pub version: String,
}

impl Hello {
    /// Whether the peer is a foreman.
    pub fn is_foreman(&self) -> bool {
        self.os == "foreman"
    }

    pub(crate) fn parse(mut fields: Fields<'_>) -> Result<Self, LineError> {
        let protocol = Protocol::try_from(fields.u32("protocol")?)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Self {
            protocol,
            host: text(fields.word("host")?),
            os: text(fields.word("os")?),
            arch: text(fields.word("arch")?),
            version: text(fields.rest("version")?),
        })
    }

    pub(crate) fn print_fields(&self, out: &mut BytesMut) {
        let Self { protocol, host, os, arch, version } = self;
        put(out, format_args!(" {protocol} {host} {os} {arch} {version}"));
    }
}

/// What a status tool asks; the reply is one JSON array, then the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusQuery {
    /// `queue_status` (`work_queue_status -Q`, and the factory).
    Queue,
    /// `task_status` (`-T`).
    Tasks,
    /// `worker_status` (`-W`).
    Workers,
    /// `wable_status` (`-A`): categories.
    Categories,
    /// `resources_status` (`-R`).
    Resources,
    /// `master_resource_status`: the older name of [`StatusQuery::Resources`].
    MasterResources,
}

impl StatusQuery {
    /// All queries.
    pub const ALL: [Self; 6] =
        [Self::Queue, Self::Tasks, Self::Workers, Self::Categories, Self::Resources, Self::MasterResources];

    /// The word on the wire; in HTTP requests the path without its slash.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Queue => "queue_status",
            Self::Tasks => "task_status",
            Self::Workers => "worker_status",
            Self::Categories => "wable_status",
            Self::Resources => "resources_status",
            Self::MasterResources => "master_resource_status",
        }
    }

    /// The query behind a word on the wire.
    pub fn from_verb(verb: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|query| query.verb().as_bytes() == verb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(rest: &str) -> Result<Hello, LineError> {
        Hello::parse(Fields::new("workqueue", Some(rest.as_bytes())))
    }

    #[test]
    fn worker_and_foreman() {
        let worker = hello("11 vm Linux x86_64 7.9.2").unwrap();
        assert_eq!(worker.protocol, Protocol::V11);
        assert_eq!((worker.host.as_str(), worker.arch.as_str()), ("vm", "x86_64"));
        assert!(!worker.is_foreman());
        assert!(hello("6 vm foreman x86_64 5.4.17").unwrap().is_foreman());
    }

    #[test]
    fn every_field_is_needed() {
        for rest in ["", "9", "9 vm", "9 vm Linux", "9 vm Linux x86_64", "9 vm Linux x86_64 "] {
            assert!(matches!(hello(rest), Err(LineError::MissingField { .. })), "{rest:?}");
        }
        assert!(matches!(hello("nine vm Linux x86_64 1"), Err(LineError::BadField { .. })));
        assert!(matches!(hello("5 vm Linux x86_64 1"), Err(LineError::UnsupportedProtocol(_))));
    }
}

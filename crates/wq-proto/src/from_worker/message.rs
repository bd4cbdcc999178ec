//! The closed list of messages from a peer, its parser and its printer.

use super::{Hello, Info, Resource, StatusQuery, TaskResult};
use crate::line::{Fields, LineError, excerpt, split_verb};
use crate::names::{decode_name, encode_name};
use crate::to_worker::TaskId;
use bytes::{BufMut, Bytes, BytesMut};
use std::fmt::Write;

/// One message of a worker, foreman or status tool, without its body.
///
/// Names are raw bytes as the peer sent them, except where noted. They may share memory with the receive buffer: copy
/// what is to be kept for long. Source: CCTools worker sources and the recorded conversations in
/// `tests/data/transcripts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromWorker {
    /// `workqueue P HOST OS ARCH VERSION`: a worker or foreman introduces itself.
    Hello(Box<Hello>),
    /// `name`: the worker wants to hear the project name before it says [`FromWorker::Hello`].
    Name,
    /// `queue_status` and its kin: a status tool wants a JSON array and then the end of the connection.
    Status(StatusQuery),
    /// `GET TARGET HTTP/1.x`: a browser. Header lines follow; they are no messages, stop decoding here.
    Http {
        /// The request target as written, e.g. `/queue_status`.
        target: Bytes,
        /// The word after it, e.g. `HTTP/1.1`.
        version: Bytes,
    },
    /// `auth password sha1`: the peer has a password and now waits; seen here, the master has none.
    PasswordOffered,
    /// `info KEY VALUE`.
    Info(Info),
    /// `resource KIND TOTAL SMALLEST LARGEST`.
    Resource(Resource),
    /// `resource tag N`: the figures already reflect the tasks up to this id; 0 = none received yet.
    ResourceTag(u64),
    /// `feature NAME`, decoded: a label of the worker (`--feature`), its GPU model or its coprocess.
    Feature(Bytes),
    /// `tlq URL` (9+); may be ignored.
    Tlq(Bytes),
    /// `alive`: the answer to `check`, or the head of a spontaneous update.
    Alive,
    /// `available_results`: at least one result waits; said once until `send_results` was served.
    AvailableResults,
    /// `result …`, followed by a body: stdout and stderr of the task.
    Result(TaskResult),
    /// `update ID PATH OFFSET LEN`, followed by a body: growth of a watched output.
    Update {
        /// The running task.
        task: TaskId,
        /// Sandbox name of the file.
        path: Bytes,
        /// Where in the file the body belongs, in bytes.
        offset: u64,
        /// Bytes of the body.
        len: u64,
    },
    /// `end`: the answer to `send_results` or `get` is complete.
    End,
    /// `file NAME LEN`, followed by a body: one regular file of a `get` reply. NAME starts with the requested name.
    File {
        /// Requested name, then the path below it; may hold blanks.
        name: Bytes,
        /// Bytes of the body.
        len: u64,
    },
    /// `dir NAME 0`: one directory of a `get` reply; its entries follow, depth first, without a closing line.
    Dir {
        /// Requested name, then the path below it; may hold blanks.
        name: Bytes,
    },
    /// `missing NAME ERRNO`: the requested entry, or one inside a directory, could not be read.
    Missing {
        /// Requested name, then the path below it; may hold blanks.
        name: Bytes,
        /// Error number of the peer's system; 2 = it does not exist.
        errno: i32,
    },
    /// `cache-update NAME SIZE USEC` (11): a `puturl` or `putcmd` entry was produced.
    CacheUpdate {
        /// Cache name.
        name: Bytes,
        /// Size in bytes.
        size: u64,
        /// Time it took, in µs.
        time_us: u64,
    },
    /// `cache-invalid NAME LEN` (11), followed by a body: why the entry could not be produced.
    CacheInvalid {
        /// Cache name.
        name: Bytes,
        /// Bytes of the body.
        len: u64,
    },
    /// `thirdput-complete 0|1` (6 to 10).
    ThirdputComplete {
        /// 1 on the wire.
        success: bool,
    },
}

impl FromWorker {
    /// Reads one line, given without its LF. Names are copied.
    ///
    /// # Errors
    /// [`LineError::UnknownVerb`] for a verb outside the list, otherwise what is wrong with a field. Unknown `info` keys
    /// and `resource` kinds are no errors.
    pub fn parse(line: &[u8]) -> Result<Self, LineError> {
        Self::parse_keeping(line, &Bytes::copy_from_slice)
    }

    /// As [`FromWorker::parse`], with the caller's way to keep the one name of those that [`FromWorker::name_mut`] knows.
    pub(crate) fn parse_keeping(line: &[u8], keep: &dyn Fn(&[u8]) -> Bytes) -> Result<Self, LineError> {
        let (verb, rest) = split_verb(line);
        let fields = |verb| Fields::new(verb, rest);
        match verb {
            b"info" => Ok(Self::Info(Info::parse(fields("info"))?)),
            b"result" => Ok(Self::Result(TaskResult::parse(fields("result"))?)),
            b"alive" => bare(fields("alive"), Self::Alive),
            b"available_results" => bare(fields("available_results"), Self::AvailableResults),
            b"end" => bare(fields("end"), Self::End),
            b"file" => {
                let mut fields = fields("file");
                let len = fields.last_u64("length")?;
                Ok(Self::File { name: keep(fields.rest("name")?), len })
            }
            b"dir" => {
                let mut fields = fields("dir");
                fields.last_u64("zero")?;
                Ok(Self::Dir { name: keep(fields.rest("name")?) })
            }
            b"missing" => {
                let mut fields = fields("missing");
                let errno = fields.last_i32("errno")?;
                Ok(Self::Missing { name: keep(fields.rest("name")?), errno })
            }
            b"resource" => parse_resource(fields("resource")),
            b"feature" => {
                let mut fields = fields("feature");
                let name = Bytes::from(decode_name(fields.rest("name")?).into_owned());
                Ok(Self::Feature(name))
            }
            b"workqueue" => Ok(Self::Hello(Box::new(Hello::parse(fields("workqueue"))?))),
            b"name" => bare(fields("name"), Self::Name),
            b"auth" => {
                let mut fields = fields("auth");
                match fields.rest("kind")? {
                    b"password sha1" => Ok(Self::PasswordOffered),
                    other => Err(LineError::BadField {
                        verb: "auth",
                        field: "kind",
                        wanted: "password exchange we know",
                        got: excerpt(other),
                    }),
                }
            }
            b"GET" => {
                let mut fields = Fields::new("GET", rest.map(|text| text.strip_suffix(b"\r").unwrap_or(text)));
                let message = Self::Http {
                    target: Bytes::copy_from_slice(fields.word("target")?),
                    version: Bytes::copy_from_slice(fields.word("version")?),
                };
                bare(fields, message)
            }
            b"tlq" => Ok(Self::Tlq(Bytes::copy_from_slice(fields("tlq").rest("url")?))),
            b"update" => {
                let mut fields = fields("update");
                let task = TaskId::parse(&mut fields)?;
                let len = fields.last_u64("length")?;
                let offset = fields.last_u64("offset")?;
                Ok(Self::Update { task, path: keep(fields.rest("path")?), offset, len })
            }
            b"cache-update" => {
                let mut fields = fields("cache-update");
                let time_us = fields.last_u64("time")?;
                let size = fields.last_u64("size")?;
                Ok(Self::CacheUpdate { name: keep(fields.rest("name")?), size, time_us })
            }
            b"cache-invalid" => {
                let mut fields = fields("cache-invalid");
                let len = fields.last_u64("length")?;
                Ok(Self::CacheInvalid { name: keep(fields.rest("name")?), len })
            }
            b"thirdput-complete" => {
                let mut fields = fields("thirdput-complete");
                let message = Self::ThirdputComplete { success: fields.i32("success")? != 0 };
                bare(fields, message)
            }
            verb => match StatusQuery::from_verb(verb) {
                Some(query) if rest.is_none() => Ok(Self::Status(query)),
                _ => Err(LineError::UnknownVerb { verb: excerpt(verb) }),
            },
        }
    }

    /// The file name of the messages that carry one; these come in numbers, the others once in a while.
    pub(crate) fn name_mut(&mut self) -> Option<&mut Bytes> {
        match self {
            Self::File { name, .. }
            | Self::Dir { name }
            | Self::Missing { name, .. }
            | Self::Update { path: name, .. }
            | Self::CacheUpdate { name, .. }
            | Self::CacheInvalid { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Bytes that follow the line on the wire; `None` when the message has no body at all.
    pub fn body_len(&self) -> Option<u64> {
        match self {
            Self::Result(result) => Some(result.len),
            Self::Update { len, .. } | Self::File { len, .. } | Self::CacheInvalid { len, .. } => Some(*len),
            _ => None,
        }
    }

    /// The first word of the line.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Hello(_) => "workqueue",
            Self::Name => "name",
            Self::Status(query) => query.verb(),
            Self::Http { .. } => "GET",
            Self::PasswordOffered => "auth",
            Self::Info(_) => "info",
            Self::Resource(_) | Self::ResourceTag(_) => "resource",
            Self::Feature(_) => "feature",
            Self::Tlq(_) => "tlq",
            Self::Alive => "alive",
            Self::AvailableResults => "available_results",
            Self::Result(_) => "result",
            Self::Update { .. } => "update",
            Self::End => "end",
            Self::File { .. } => "file",
            Self::Dir { .. } => "dir",
            Self::Missing { .. } => "missing",
            Self::CacheUpdate { .. } => "cache-update",
            Self::CacheInvalid { .. } => "cache-invalid",
            Self::ThirdputComplete { .. } => "thirdput-complete",
        }
    }

    /// Writes the line with its LF, as a worker would; the body is the caller's.
    ///
    /// For simulated workers and traces: names are written as they are, a name with an LF gives a broken line.
    pub fn print(&self, out: &mut BytesMut) {
        out.put_slice(self.verb().as_bytes());
        match self {
            Self::Hello(hello) => hello.print_fields(out),
            Self::Http { target, version } => {
                out.put_u8(b' ');
                out.put_slice(target);
                out.put_u8(b' ');
                out.put_slice(version);
            }
            Self::PasswordOffered => out.put_slice(b" password sha1"),
            Self::Info(info) => info.print_fields(out),
            Self::Resource(resource) => resource.print_fields(out),
            Self::ResourceTag(tag) => put(out, format_args!(" tag {tag}")),
            Self::Feature(name) => {
                out.put_u8(b' ');
                encode_name(name, out);
            }
            Self::Tlq(url) => {
                out.put_u8(b' ');
                out.put_slice(url);
            }
            Self::Result(result) => result.print_fields(out),
            Self::Update { task, path, offset, len } => {
                put(out, format_args!(" {task} "));
                out.put_slice(path);
                put(out, format_args!(" {offset} {len}"));
            }
            Self::File { name, len } | Self::CacheInvalid { name, len } => name_then(out, name, format_args!("{len}")),
            Self::Dir { name } => name_then(out, name, format_args!("0")),
            Self::Missing { name, errno } => name_then(out, name, format_args!("{errno}")),
            Self::CacheUpdate { name, size, time_us } => name_then(out, name, format_args!("{size} {time_us}")),
            Self::ThirdputComplete { success } => put(out, format_args!(" {}", i32::from(*success))),
            Self::Name | Self::Status(_) | Self::Alive | Self::AvailableResults | Self::End => {}
        }
        out.put_u8(b'\n');
    }
}

/// `message`, provided that no field is left.
fn bare(fields: Fields<'_>, message: FromWorker) -> Result<FromWorker, LineError> {
    fields.end()?;
    Ok(message)
}

fn parse_resource(mut fields: Fields<'_>) -> Result<FromWorker, LineError> {
    let kind = fields.word("kind")?;
    if kind == b"tag" {
        // Decimals here too in a future release would not surprise; the floor is the id.
        let message = FromWorker::ResourceTag(fields.amount("tag")?.floor());
        return bare(fields, message);
    }
    Ok(FromWorker::Resource(Resource::parse(kind, fields)?))
}

fn name_then(out: &mut BytesMut, name: &[u8], numbers: std::fmt::Arguments<'_>) {
    out.put_u8(b' ');
    out.put_slice(name);
    put(out, format_args!(" {numbers}"));
}

/// Formats onto a growing buffer.
pub(crate) fn put(out: &mut BytesMut, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a BytesMut grows, writing to it does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(line: &str) -> FromWorker {
        let message = FromWorker::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut out = BytesMut::new();
        message.print(&mut out);
        assert_eq!(out, format!("{line}\n"));
        message
    }

    #[test]
    fn every_message_prints_back() {
        for line in [
            "workqueue 9 vm Linux x86_64 7.4.16",
            "name",
            "queue_status",
            "task_status",
            "worker_status",
            "wable_status",
            "resources_status",
            "master_resource_status",
            "GET /queue_status HTTP/1.1",
            "auth password sha1",
            "info tasks_running 3",
            "resource cores 2.000000 0.000000 2.000000",
            "resource tag 17",
            "feature my%20feat/1",
            "tlq http://host:9000/x",
            "alive",
            "available_results",
            "result 0 -1 13 8244 1",
            "update 1 my log 14 7",
            "end",
            "file o-1/a b 6",
            "dir o-1/s p 0",
            "missing o-4 2",
            "cache-update u1 11 11160",
            "cache-invalid bad 38",
            "thirdput-complete 1",
        ] {
            check(line);
        }
    }

    #[test]
    fn names_take_all_but_the_last_number() {
        assert_eq!(check("file od/a b 2"), FromWorker::File { name: Bytes::from_static(b"od/a b"), len: 2 });
        assert_eq!(check("missing x 2 2"), FromWorker::Missing { name: Bytes::from_static(b"x 2"), errno: 2 });
        assert_eq!(
            check("update 4 a 1 b 10 20"),
            FromWorker::Update { task: TaskId(4), path: Bytes::from_static(b"a 1 b"), offset: 10, len: 20 }
        );
    }

    #[test]
    fn features_are_decoded() {
        assert_eq!(check("feature a%20%C3%A9"), FromWorker::Feature(Bytes::from("a é")));
    }

    #[test]
    fn a_browser_may_send_a_carriage_return() {
        let message = FromWorker::parse(b"GET / HTTP/1.1\r").unwrap();
        assert_eq!(
            message,
            FromWorker::Http { target: Bytes::from_static(b"/"), version: Bytes::from_static(b"HTTP/1.1") }
        );
    }

    #[test]
    fn refusals() {
        let error = |line: &[u8]| FromWorker::parse(line).unwrap_err();
        assert_eq!(error(b""), LineError::UnknownVerb { verb: String::new() });
        assert_eq!(error(b"ready host 1 2"), LineError::UnknownVerb { verb: "ready".into() });
        assert_eq!(error(b"queue_status x"), LineError::UnknownVerb { verb: "queue_status".into() });
        assert_eq!(error(b"alive "), LineError::Trailing { verb: "alive", got: String::new() });
        assert_eq!(error(b"file 12"), LineError::MissingField { verb: "file", field: "name" });
        assert_eq!(error(b"file  12"), LineError::MissingField { verb: "file", field: "name" });
        assert!(matches!(error(b"file x -1"), LineError::BadField { field: "length", .. }));
        assert!(matches!(error(b"file x 18446744073709551616"), LineError::BadField { field: "length", .. }));
        assert!(matches!(error(b"auth kerberos"), LineError::BadField { verb: "auth", .. }));
        assert!(matches!(error(b"workqueue 12 vm Linux x86_64 9.0.0"), LineError::UnsupportedProtocol(_)));
    }

    #[test]
    fn a_message_is_small() {
        assert!(size_of::<FromWorker>() <= 80, "{}", size_of::<FromWorker>());
    }

    proptest! {
        #[test]
        fn anything_is_taken_without_panic(line in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = FromWorker::parse(&line);
        }

        #[test]
        fn words_in_the_shape_of_messages_never_panic(
            verb in proptest::sample::select(vec!["info", "result", "update", "file", "dir", "missing", "resource",
                "cache-update", "cache-invalid", "workqueue", "GET", "feature", "thirdput-complete"]),
            rest in "[-a-z0-9 .%]{0,40}",
        ) {
            if let Ok(message) = FromWorker::parse(format!("{verb} {rest}").as_bytes()) {
                let mut out = BytesMut::new();
                message.print(&mut out);
                // Printing is canonical, so it must read back to the same message.
                prop_assert_eq!(FromWorker::parse(&out[..out.len() - 1]), Ok(message));
            }
        }
    }
}

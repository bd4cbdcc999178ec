//! From the bytes of a master to its messages and bodies: what a worker does, for simulated workers and tests.

use crate::decoder::{find_line_end, take_body};
use crate::line::{LINE_MAX, LineError};
use crate::protocol::Protocol;
use crate::to_worker::{Following, Place, ToWorker};
use bytes::{Buf, Bytes, BytesMut};

/// What a [`MasterDecoder`] accepts at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MasterLimits {
    /// Bytes of a line without its LF.
    pub line_max: usize,
    /// Bytes of a short body (`cmd`, `env`, `coprocess`, `symlink`, `url`), which is buffered as a whole.
    pub inline_max: usize,
    /// Bytes of the body of a `put`, which is not buffered.
    pub body_max: u64,
    /// How deep directories may nest.
    pub depth_max: u32,
}

impl Default for MasterLimits {
    /// 16 MiB of command, files as large as a file can be, directories 1000 deep.
    fn default() -> Self {
        Self { line_max: LINE_MAX, inline_max: 16 << 20, body_max: i64::MAX as u64, depth_max: 1000 }
    }
}

/// One step in the stream of a master; bodies as in [`crate::Event`], they follow `put` only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterEvent {
    /// A message, with its short body if it has one.
    Message(ToWorker),
    /// A piece of the body of the last `put`.
    Body(Bytes),
    /// The body is complete.
    BodyEnd,
}

/// Cuts the stream of a master into [`MasterEvent`]s, as a worker of one protocol reads it: what such a worker would answer
/// by disconnecting is an error.
#[derive(Debug, Clone)]
pub struct MasterDecoder {
    limits: MasterLimits,
    protocol: Protocol,
    place: Place,
    /// Open `dir`s.
    depth: u32,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Line {
        scanned: usize,
    },
    /// The next line is the answer to `name`.
    ProjectName {
        scanned: usize,
    },
    Inline {
        message: ToWorker,
        len: usize,
        then_lf: bool,
    },
    Body {
        left: u64,
    },
}

impl MasterDecoder {
    /// A decoder for what a master says to a peer of `protocol`, at the start of a message.
    pub fn new(protocol: Protocol, limits: MasterLimits) -> Self {
        Self { limits, protocol, place: Place::Top, depth: 0, state: State::Line { scanned: 0 } }
    }

    /// The worker has said `name`: the next line is a project name. To be called between messages.
    pub fn expect_project_name(&mut self) {
        if let State::Line { scanned } = self.state {
            self.state = State::ProjectName { scanned };
        }
    }

    /// The next event from the front of `buf`; `None` when more bytes are needed. Between calls `buf` may only grow.
    ///
    /// # Errors
    /// [`LineError`] for what a worker would not understand; it repeats.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<MasterEvent>, LineError> {
        match &mut self.state {
            State::Body { left: 0 } => {
                self.state = State::Line { scanned: 0 };
                Ok(Some(MasterEvent::BodyEnd))
            }
            State::Body { left } => Ok(take_body(left, buf).map(MasterEvent::Body)),
            State::ProjectName { scanned } => {
                let Some(end) = find_line_end(buf, scanned, self.limits.line_max)? else {
                    return Ok(None);
                };
                let name = Bytes::copy_from_slice(&buf[..end]);
                buf.advance(end + 1);
                self.state = State::Line { scanned: 0 };
                Ok(Some(MasterEvent::Message(ToWorker::ProjectName(name))))
            }
            State::Line { scanned } => {
                let Some(end) = find_line_end(buf, scanned, self.limits.line_max)? else {
                    return Ok(None);
                };
                let (message, following) = ToWorker::parse_header(&buf[..end], self.protocol.dialect(), self.place)?;
                self.check(&message, following)?;
                buf.advance(end + 1);
                self.enter(&message);
                self.follow(message, following, buf)
            }
            State::Inline { .. } => self.finish_inline(buf),
        }
    }

    fn check(&self, message: &ToWorker, following: Following) -> Result<(), LineError> {
        let verb = message.verb();
        let (len, max) = match following {
            Following::Nothing => (0, 0),
            Following::Stream(len) => (len, self.limits.body_max),
            Following::Inline(len) | Following::InlineLine(len) => (len, self.limits.inline_max as u64),
        };
        if len > max {
            return Err(LineError::BodyTooLong { verb, len, max });
        }
        if matches!(message, ToWorker::Dir { .. }) && self.depth >= self.limits.depth_max {
            return Err(LineError::Misplaced { verb });
        }
        Ok(())
    }

    fn enter(&mut self, message: &ToWorker) {
        match message {
            ToWorker::Task { .. } => self.place = Place::Task,
            ToWorker::EndTask => self.place = Place::Top,
            ToWorker::Dir { .. } => {
                self.depth += 1;
                self.place = Place::Tree;
            }
            ToWorker::EndDir => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.place = Place::Top;
                }
            }
            _ => {}
        }
    }

    fn follow(
        &mut self,
        message: ToWorker,
        following: Following,
        buf: &mut BytesMut,
    ) -> Result<Option<MasterEvent>, LineError> {
        match following {
            Following::Nothing => self.state = State::Line { scanned: 0 },
            Following::Stream(left) => self.state = State::Body { left },
            Following::Inline(len) | Following::InlineLine(len) => {
                let len = usize::try_from(len).expect("at most inline_max, which is a usize");
                let then_lf = matches!(following, Following::InlineLine(_));
                self.state = State::Inline { message, len, then_lf };
                return self.finish_inline(buf);
            }
        }
        Ok(Some(MasterEvent::Message(message)))
    }

    fn finish_inline(&mut self, buf: &mut BytesMut) -> Result<Option<MasterEvent>, LineError> {
        let State::Inline { message, len, then_lf } = &mut self.state else {
            unreachable!("called in this state only");
        };
        if buf.len() < *len + usize::from(*then_lf) {
            return Ok(None);
        }
        if *then_lf && buf[*len] != b'\n' {
            let got = String::from_utf8_lossy(&buf[*len..=*len]).into_owned();
            return Err(LineError::BadField {
                verb: message.verb(),
                field: "length",
                wanted: "length before an LF",
                got,
            });
        }
        *message.inline_mut().expect("only messages with a short body come here") = buf.split_to(*len).freeze();
        if *then_lf {
            buf.advance(1);
        }
        match std::mem::replace(&mut self.state, State::Line { scanned: 0 }) {
            State::Inline { message, .. } => Ok(Some(MasterEvent::Message(message))),
            _ => unreachable!("matched above"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileFlags, FileMode, TaskId};
    use proptest::prelude::*;

    /// All events of a stream in pieces, with the pieces of a body joined.
    fn events(protocol: Protocol, pieces: &[&[u8]], limits: MasterLimits) -> (Vec<MasterEvent>, Option<LineError>) {
        let mut decoder = MasterDecoder::new(protocol, limits);
        let mut buf = BytesMut::new();
        let mut events: Vec<MasterEvent> = Vec::new();
        for piece in pieces {
            buf.extend_from_slice(piece);
            loop {
                match (decoder.decode(&mut buf), events.last_mut()) {
                    (Ok(Some(MasterEvent::Body(more))), Some(MasterEvent::Body(before))) => {
                        *before = [&before[..], &more[..]].concat().into();
                    }
                    (Ok(Some(event)), _) => events.push(event),
                    (Ok(None), _) => break,
                    (Err(error), _) => {
                        assert_eq!(decoder.decode(&mut buf), Err(error.clone()), "errors repeat");
                        return (events, Some(error));
                    }
                }
            }
        }
        (events, None)
    }

    fn check(protocol: Protocol, stream: &[u8]) -> Result<Vec<MasterEvent>, LineError> {
        let (events, error) = events(protocol, &[stream], MasterLimits::default());
        error.map_or(Ok(events), Err)
    }

    const TREE: &[u8] = b"dir d\nsymlink link 5\na.txtput sp%20ace 4 0644\nx y\ndir sub\nput b 0 0644\nend\nend\n\
        task 1\ncmd 4\ntruedir empty\nenv 3\nA=\n\nend\nkill 1\n";

    #[test]
    fn words_mean_what_their_place_says() {
        let name = Bytes::from_static;
        let mode = FileMode::new(0o644);
        let message = MasterEvent::Message;
        assert_eq!(
            check(Protocol::V9, TREE).unwrap(),
            [
                message(ToWorker::Dir { name: name(b"d") }),
                message(ToWorker::Symlink { name: name(b"link"), target: name(b"a.txt") }),
                message(ToWorker::Put { name: name(b"sp ace"), len: 4, mode, flags: None }),
                MasterEvent::Body(name(b"x y\n")),
                MasterEvent::BodyEnd,
                message(ToWorker::Dir { name: name(b"sub") }),
                message(ToWorker::Put { name: name(b"b"), len: 0, mode, flags: None }),
                MasterEvent::BodyEnd,
                message(ToWorker::EndDir),
                message(ToWorker::EndDir),
                message(ToWorker::Task { id: TaskId(1) }),
                message(ToWorker::Cmd(name(b"true"))),
                message(ToWorker::TaskDir { name: name(b"empty") }),
                message(ToWorker::Env(name(b"A=\n"))),
                message(ToWorker::EndTask),
                message(ToWorker::Kill(Some(TaskId(1)))),
            ]
        );
    }

    #[test]
    fn protocol_8_counts_the_fields_of_put_from_the_right() {
        let put = |name: &'static [u8]| {
            MasterEvent::Message(ToWorker::Put {
                name: Bytes::from_static(name),
                len: 0,
                mode: FileMode::new(0o644),
                flags: Some(FileFlags::CACHE),
            })
        };
        assert_eq!(check(Protocol::V8, b"put d/sp ace 0 0644 1\n").unwrap()[0], put(b"d/sp ace"));
        assert_eq!(check(Protocol::V8, b"put a%20b 0 0644 1\n").unwrap()[0], put(b"a%20b"));
        assert_eq!(check(Protocol::V9, b"put a%20b 0 0644 1\n").unwrap()[0], put(b"a b"));
        let missing = LineError::MissingField { verb: "put", field: "flags" };
        assert_eq!(check(Protocol::V8, b"put a 0 0644\n"), Err(missing));
        assert!(check(Protocol::V7, b"put a b 0 0644 1\n").is_err());
    }

    #[test]
    fn what_disconnects_a_worker_is_an_error() {
        let unknown = |verb: &str| Err(LineError::UnknownVerb { verb: verb.into() });
        for protocol in Protocol::ALL {
            assert_eq!(check(protocol, b"\n"), unknown(""));
            assert_eq!(check(protocol, b"hello\n"), unknown("hello"));
            assert_eq!(check(protocol, b"auth password sha1\n"), unknown("auth"));
            assert_eq!(check(protocol, b"cmd 1\nx"), unknown("cmd"));
            assert_eq!(check(protocol, b"end\n"), unknown("end"));
            assert_eq!(check(protocol, b"symlink a 1\nx"), unknown("symlink"));
            assert_eq!(check(protocol, b"task 1\nkill 1\n"), unknown("kill"));
            assert!(check(protocol, b"task 0\n").is_err());
            assert!(check(protocol, b"task 1\nenv 3\nA=bc\n").is_err());
        }
        assert_eq!(check(Protocol::V6, b"task 1\ncategory x\n"), unknown("category"));
        assert_eq!(check(Protocol::V9, b"task 1\ncoprocess 1\nx"), unknown("coprocess"));
        assert_eq!(check(Protocol::V8, b"dir d\n"), unknown("dir"));
        assert_eq!(check(Protocol::V11, b"url u 1 0644\nx"), unknown("url"));
        assert_eq!(check(Protocol::V10, b"puturl s u 1 0644\n"), unknown("puturl"));
        assert_eq!(check(Protocol::V8, b"tlq x\n"), unknown("tlq"));
    }

    #[test]
    fn lengths_have_limits() {
        let limits = MasterLimits { line_max: 30, inline_max: 10, body_max: 100, depth_max: 2 };
        let error = |stream: &[u8]| events(Protocol::V9, &[stream], limits).1;
        let too_long = |verb, len, max| Some(LineError::BodyTooLong { verb, len, max });
        assert_eq!(error(b"task 1\ncmd 11\n"), too_long("cmd", 11, 10));
        assert_eq!(error(b"task 1\nenv 18446744073709551615\n"), too_long("env", u64::MAX, 10));
        assert_eq!(error(b"put a 101 0644 1\n"), too_long("put", 101, 100));
        assert_eq!(error(b"dir a\ndir b\ndir c\n"), Some(LineError::Misplaced { verb: "dir" }));
        assert_eq!(error(&[b'x'; 31]), Some(LineError::TooLong { max: 30 }));
        assert_eq!(error(&[b'x'; 30]), None);
    }

    #[test]
    fn a_project_name_is_any_line() {
        let mut decoder = MasterDecoder::new(Protocol::V6, MasterLimits::default());
        decoder.expect_project_name();
        let mut buf = BytesMut::from("check me\ncheck\n");
        let mut next = || decoder.decode(&mut buf).unwrap();
        assert_eq!(next(), Some(MasterEvent::Message(ToWorker::ProjectName(Bytes::from_static(b"check me")))));
        assert_eq!(next(), Some(MasterEvent::Message(ToWorker::Check)));
        assert_eq!(next(), None);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(mut cuts in proptest::collection::vec(0..TREE.len(), 0..20)) {
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&TREE[from..cut]);
                from = cut;
            }
            pieces.push(&TREE[from..]);
            let limits = MasterLimits::default();
            prop_assert_eq!(events(Protocol::V9, &pieces, limits), events(Protocol::V9, &[TREE], limits));
        }

        #[test]
        fn any_bytes_in_any_split_never_panic(
            words in proptest::collection::vec(proptest::sample::select(vec![
                "put", "dir", "end", "task", "cmd", "env", "symlink", "infile", "kill", "url", " ", "\n", "1", "0", "0644",
                "-", "%", "x", "\u{e9}",
            ]), 0..60),
            cut in 0usize..100,
            number in 6u32..=11,
        ) {
            let stream = words.concat().into_bytes();
            let cut = cut.min(stream.len());
            let protocol = Protocol::try_from(number).unwrap();
            let limits = MasterLimits { line_max: 60, inline_max: 50, body_max: 1000, depth_max: 3 };
            prop_assert_eq!(
                events(protocol, &[&stream[..cut], &stream[cut..]], limits),
                events(protocol, &[&stream], limits)
            );
        }
    }
}

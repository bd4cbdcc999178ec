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

//! From the bytes of a peer to its messages and bodies.

use crate::from_worker::FromWorker;
use crate::line::{LINE_MAX, LineError};
use bytes::{Buf, Bytes, BytesMut};
use std::cell::Cell;

/// What a [`Decoder`] accepts at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a line without its LF.
    pub line_max: usize,
    /// Bytes of one body. A body is never buffered, so this guards the caller's disk, not memory.
    pub body_max: u64,
}

impl Default for Limits {
    /// The protocol's line limit; bodies up to what a file can have.
    fn default() -> Self {
        Self { line_max: LINE_MAX, body_max: i64::MAX as u64 }
    }
}

/// One step in the stream of a peer.
///
/// A message with [`FromWorker::body_len`] is followed by any number of `Body` pieces of that length in total, none of them
/// empty, and then by `BodyEnd` (at once when the length is 0). No message comes in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A line.
    Message(FromWorker),
    /// A piece of the body of the last message; shares memory with the receive buffer.
    Body(Bytes),
    /// The body is complete.
    BodyEnd,
}

/// Cuts the stream of one peer into [`Event`]s. It holds no bytes itself and any split of the stream gives the same result.
#[derive(Debug, Clone)]
pub struct Decoder {
    limits: Limits,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a line, of which the first `scanned` bytes in the buffer hold no LF.
    Line { scanned: usize },
    /// In a body.
    Body { left: u64 },
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Decoder {
    /// A decoder at the start of a line.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, state: State::Line { scanned: 0 } }
    }

    /// The next event from the front of `buf`; `None` when more bytes are needed. Between calls `buf` may only grow.
    ///
    /// # Errors
    /// [`LineError`] when the peer broke the protocol. The offending bytes stay in `buf`, so the error repeats: close the
    /// link.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Event>, LineError> {
        match &mut self.state {
            State::Body { left: 0 } => {
                self.state = State::Line { scanned: 0 };
                Ok(Some(Event::BodyEnd))
            }
            State::Body { left } => Ok(take_body(left, buf).map(Event::Body)),
            State::Line { scanned } => {
                let Some(end) = find_line_end(buf, scanned, self.limits.line_max)? else {
                    return Ok(None);
                };
                let message = take_message(buf, end, self.limits.body_max)?;
                self.state = match message.body_len() {
                    Some(left) => State::Body { left },
                    None => State::Line { scanned: 0 },
                };
                Ok(Some(Event::Message(message)))
            }
        }
    }

    /// Bytes of the current body that are still to come; `None` in a line or between messages.
    pub fn body_left(&self) -> Option<u64> {
        match self.state {
            State::Body { left } => Some(left),
            State::Line { .. } => None,
        }
    }
}

/// The position of the LF that ends the line at the front of `buf`. Looks at no byte twice.
pub(crate) fn find_line_end(buf: &[u8], scanned: &mut usize, line_max: usize) -> Result<Option<usize>, LineError> {
    let seen = buf.len().min(line_max + 1);
    let from = (*scanned).min(seen);
    match buf[from..seen].iter().position(|b| *b == b'\n') {
        Some(at) => Ok(Some(from + at)),
        None if seen > line_max => Err(LineError::TooLong { max: line_max }),
        None => {
            *scanned = seen;
            Ok(None)
        }
    }
}

/// A piece of a body that has `left > 0` bytes to go.
pub(crate) fn take_body(left: &mut u64, buf: &mut BytesMut) -> Option<Bytes> {
    if buf.is_empty() {
        return None;
    }
    let len = usize::try_from(*left).map_or(buf.len(), |left| left.min(buf.len()));
    *left -= len as u64;
    Some(buf.split_to(len).freeze())
}

/// Reads the line of `end` bytes and removes it from `buf`, unless it is refused.
fn take_message(buf: &mut BytesMut, end: usize, body_max: u64) -> Result<FromWorker, LineError> {
    // The line is read in place. A file name is noted as a range and becomes a slice of the buffer afterwards, so that the
    // messages that come in numbers allocate nothing.
    let name = Cell::new(0..0);
    let line = &buf[..end];
    let keep = |part: &[u8]| {
        let start = part.as_ptr() as usize - line.as_ptr() as usize;
        name.set(start..start + part.len());
        Bytes::new()
    };
    let mut message = FromWorker::parse_keeping(line, &keep)?;
    if let Some(len) = message.body_len().filter(|len| *len > body_max) {
        return Err(LineError::BodyTooLong { verb: message.verb(), len, max: body_max });
    }
    if let Some(slot) = message.name_mut() {
        *slot = buf.split_to(end + 1).freeze().slice(name.into_inner());
    } else {
        buf.advance(end + 1);
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TaskId, TaskResult, TaskStatus};
    use proptest::prelude::*;

    /// All events of a stream that arrives in the given pieces, with the pieces of a body joined.
    fn events(pieces: &[&[u8]], limits: Limits) -> (Vec<Event>, Option<LineError>) {
        let mut decoder = Decoder::new(limits);
        let mut buf = BytesMut::new();
        let mut events: Vec<Event> = Vec::new();
        for piece in pieces {
            buf.extend_from_slice(piece);
            loop {
                match (decoder.decode(&mut buf), events.last_mut()) {
                    (Ok(Some(Event::Body(more))), Some(Event::Body(before))) => {
                        assert!(!more.is_empty());
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

    const STREAM: &[u8] = b"workqueue 9 vm Linux x86_64 7.4.16\ninfo tasks_running 0\nresult 0 7 13 8244 1\ngood day\nerr\n\
        result 0 7 0 5 2\nend\ndir o-5 0\nfile o-5/a b 5\nend\n.info x y\nmissing o-5/c 13\nend\nupdate 3 log 14 2\n\n\nalive\n\
        cache-invalid bad 4\nfileavailable_results\n";

    #[test]
    fn a_conversation() {
        let (events, error) = events(&[STREAM], Limits::default());
        assert_eq!(error, None);
        assert_eq!(events.len(), 23);
        assert_eq!(
            events[2..5],
            [
                Event::Message(FromWorker::Result(TaskResult {
                    status: TaskStatus::Success,
                    exit: 7,
                    len: 13,
                    time_us: 8244,
                    task: TaskId(1),
                })),
                Event::Body(Bytes::from_static(b"good day\nerr\n")),
                Event::BodyEnd,
            ]
        );
        assert_eq!(events[6], Event::BodyEnd, "an empty body ends at once");
        assert_eq!(events[9], Event::Message(FromWorker::File { name: Bytes::from_static(b"o-5/a b"), len: 5 }));
        assert_eq!(events[10], Event::Body(Bytes::from_static(b"end\n.")), "a body may look like a line");
    }

    #[test]
    fn a_long_line_is_refused_before_its_end() {
        let limits = Limits::default();
        let longest = [&b"info key "[..], &[b'x'; LINE_MAX - 9], b"\n"].concat();
        assert_eq!(events(&[&longest], limits).1, None);
        let endless = vec![b'x'; LINE_MAX + 1];
        assert_eq!(events(&[&endless], limits).1, Some(LineError::TooLong { max: LINE_MAX }));
        assert_eq!(events(&[&endless[..LINE_MAX]], limits), (vec![], None));
    }

    #[test]
    fn ten_megabytes_of_line_buffer_nothing_more() {
        let mut decoder = Decoder::default();
        let mut buf = BytesMut::from(&vec![b'a'; 10 << 20][..]);
        assert_eq!(decoder.decode(&mut buf), Err(LineError::TooLong { max: LINE_MAX }));
    }

    #[test]
    fn claims_are_not_allocations() {
        let (got, error) = events(&[b"file x 9223372036854775807\nabc"], Limits::default());
        assert_eq!(error, None);
        assert_eq!(got[1], Event::Body(Bytes::from_static(b"abc")));
        let (_, error) = events(&[b"file x 9223372036854775808\n"], Limits::default());
        assert_eq!(error, Some(LineError::BodyTooLong { verb: "file", len: 1 << 63, max: i64::MAX as u64 }));
        for len in ["-1", "18446744073709551616", "99999999999999999999999", "1e3", ""] {
            let (_, error) = events(&[format!("result 0 0 {len} 1 1\n").as_bytes()], Limits::default());
            assert!(matches!(error, Some(LineError::BadField { .. } | LineError::MissingField { .. })), "{len}");
        }
    }

    #[test]
    fn an_idle_decoder_is_small() {
        assert!(size_of::<Decoder>() <= 64, "{}", size_of::<Decoder>());
        assert!(size_of::<Event>() <= 88, "{}", size_of::<Event>());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(mut cuts in proptest::collection::vec(0..STREAM.len(), 0..20)) {
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&STREAM[from..cut]);
                from = cut;
            }
            pieces.push(&STREAM[from..]);
            prop_assert_eq!(events(&pieces, Limits::default()), events(&[STREAM], Limits::default()));
        }

        #[test]
        fn any_bytes_in_any_split_never_panic(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b' '), Just(b'0')], 0..300),
            cut in 0usize..300,
        ) {
            let cut = cut.min(bytes.len());
            let limits = Limits { line_max: 40, body_max: 1000 };
            prop_assert_eq!(events(&[&bytes[..cut], &bytes[cut..]], limits), events(&[&bytes], limits));
        }
    }
}

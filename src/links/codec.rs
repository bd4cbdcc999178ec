//! The stream of a peer as a tokio-util codec: password exchange first, then messages and bodies.

use bytes::BytesMut;
use tokio_util::codec::Decoder;
use wq_proto::{BANNER, Event, FromWorker, HANDSHAKE_LINE_MAX, LineError, MasterHandshake, Outcome, Password, Refusal};

use super::strangers::Challenges;

/// What comes out of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bytes to send back at once: our half of the password exchange.
    Answer(BytesMut),
    /// A message, or a piece or the end of a body.
    Event(Event),
}

/// Why the stream is given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    /// The password exchange failed; the bytes are the last that the peer hears.
    #[error("{refusal}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// The peer's `failure` line.
        answer: BytesMut,
    },
    /// No Work Queue.
    #[error(transparent)]
    Line(#[from] LineError),
    /// `tokio-util` asks for it; our reads report their errors elsewhere.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The decoder of one link.
#[derive(Debug)]
pub(crate) struct Codec {
    gate: Gate,
    messages: wq_proto::Decoder,
}

/// What stands before the messages.
#[derive(Debug)]
enum Gate {
    Open,
    /// The first line decides: a status request, or the password exchange, to which we have said nothing yet.
    Undecided(Box<Undecided>),
    Exchange(Box<Exchange>),
}

#[derive(Debug)]
struct Undecided {
    password: Password,
    recent: Challenges,
    /// Status requests are answered without the password.
    near: bool,
}

#[derive(Debug)]
struct Exchange {
    state: MasterHandshake,
    recent: Challenges,
}

impl Codec {
    /// For a peer that has nothing to prove.
    pub(crate) fn open() -> Codec {
        Codec::with(Gate::Open)
    }

    /// For a peer that must know the password.
    pub(crate) fn guarded(state: MasterHandshake, recent: Challenges) -> Codec {
        Codec::with(Gate::Exchange(Box::new(Exchange { state, recent })))
    }

    /// For a peer that must know the password, `near` ones for anything but a status request. Nothing is said to it
    /// before it has spoken.
    pub(crate) fn undecided(password: Password, recent: Challenges, near: bool) -> Codec {
        Codec::with(Gate::Undecided(Box::new(Undecided { password, recent, near })))
    }

    fn with(gate: Gate) -> Codec {
        Codec { gate, messages: wq_proto::Decoder::default() }
    }

    /// The password exchange is under way.
    pub(crate) fn is_in_exchange(&self) -> bool {
        matches!(self.gate, Gate::Exchange(_))
    }

    /// Whether a body is under way.
    pub(crate) fn in_body(&self) -> bool {
        self.messages.body_left().is_some()
    }
}

impl Decoder for Codec {
    type Item = Part;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Part>, CodecError> {
        let mut answer = BytesMut::new();
        if let Gate::Undecided(key) = &self.gate {
            match first_line(src, key.near) {
                First::Incomplete => return Ok(None),
                First::Status => self.gate = Gate::Open,
                First::Other => {
                    let Undecided { password, recent, .. } = &**key;
                    let state = MasterHandshake::start(password.clone(), recent.fresh(), &mut answer);
                    self.gate = Gate::Exchange(Box::new(Exchange { state, recent: recent.clone() }));
                }
            }
        }
        let Gate::Exchange(exchange) = &mut self.gate else {
            return Ok(self.messages.decode(src)?.map(Part::Event));
        };
        let recent = &exchange.recent;
        match exchange.state.advance(src, |challenge| recent.contains(challenge), &mut answer) {
            Outcome::NeedMore if answer.is_empty() => return Ok(None),
            Outcome::NeedMore => {}
            Outcome::Accepted => self.gate = Gate::Open,
            Outcome::Refused(refusal) => return Err(CodecError::Refused { refusal, answer }),
        }
        if answer.is_empty() { self.decode(src) } else { Ok(Some(Part::Answer(answer))) }
    }
}

/// What the first line of a connection is.
enum First {
    Incomplete,
    Status,
    Other,
}

fn first_line(src: &[u8], near: bool) -> First {
    if !near {
        return if src.is_empty() { First::Incomplete } else { First::Other };
    }
    // Whoever has begun with the exchange waits for our half of it.
    match src.iter().take(HANDSHAKE_LINE_MAX).position(|byte| *byte == b'\n') {
        None if src.len() >= HANDSHAKE_LINE_MAX || src.first() == Some(&BANNER[0]) => First::Other,
        None => First::Incomplete,
        Some(end) => match FromWorker::parse(&src[..end]) {
            Ok(FromWorker::Status(_) | FromWorker::Http { .. }) => First::Status,
            _ => First::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use wq_proto::{Challenge, StatusQuery, WorkerHandshake};

    use super::*;

    fn password() -> Password {
        Password::from_file_content(b"secret")
    }

    fn guarded(challenges: &Challenges) -> (Codec, BytesMut) {
        let mut out = BytesMut::new();
        let state = MasterHandshake::start(password(), challenges.fresh(), &mut out);
        (Codec::guarded(state, challenges.clone()), out)
    }

    #[test]
    fn messages_follow_the_password() {
        let (mut codec, mut to_worker) = guarded(&Challenges::default());
        let mut to_master = BytesMut::new();
        let mut worker = WorkerHandshake::start(password(), Challenge::from_random([9; 32]), &mut to_master);
        worker.advance(&mut to_worker, &mut to_master);
        let Some(Part::Answer(mut answer)) = codec.decode(&mut to_master).unwrap() else { panic!("an answer") };
        worker.advance(&mut answer, &mut to_master);
        to_master.extend_from_slice(b"alive\nali");
        assert_eq!(codec.decode(&mut to_master).unwrap(), Some(Part::Event(Event::Message(FromWorker::Alive))));
        assert_eq!(codec.decode(&mut to_master).unwrap(), None);
    }

    #[test]
    fn a_challenge_of_ours_from_another_connection_is_refused() {
        let challenges = Challenges::default();
        let (_, other) = guarded(&challenges);
        let (mut codec, _) = guarded(&challenges);
        let got = codec.decode(&mut BytesMut::from(&other[..]));
        assert!(matches!(got, Err(CodecError::Refused { refusal: Refusal::ReflectedChallenge, .. })), "{got:?}");
    }

    #[test]
    fn a_peer_without_password_hears_failure_only() {
        for line in ["workqueue 9 vm Linux x86_64 7.4.16\n", "queue_status\n", "GET /queue_status HTTP/1.1\r\n"] {
            let (mut codec, _) = guarded(&Challenges::default());
            match codec.decode(&mut BytesMut::from(line)) {
                Err(CodecError::Refused { refusal: Refusal::NoPassword | Refusal::NoBanner, answer }) => {
                    assert_eq!(&answer[..], b"failure\n")
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn from_elsewhere_a_status_request_needs_the_password_too() {
        let mut codec = Codec::undecided(password(), Challenges::default(), false);
        assert_eq!(codec.decode(&mut BytesMut::new()).unwrap(), None);
        match codec.decode(&mut BytesMut::from("queue_status\n")) {
            Err(CodecError::Refused { refusal: Refusal::NoBanner, answer }) => assert!(answer.ends_with(b"failure\n")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_status_request_needs_no_password_where_that_was_allowed() {
        let undecided = || Codec::undecided(password(), Challenges::default(), true);
        let (mut codec, mut line) = (undecided(), BytesMut::from("queue_st"));
        assert_eq!(codec.decode(&mut line).unwrap(), None, "nothing is said before it is decided");
        line.extend_from_slice(b"atus\n");
        let query = FromWorker::Status(StatusQuery::Queue);
        assert_eq!(codec.decode(&mut line).unwrap(), Some(Part::Event(Event::Message(query))));
        // Anything else gets the exchange: who offers it, who does not, who says too much.
        match undecided().decode(&mut BytesMut::from("a")).unwrap() {
            Some(Part::Answer(answer)) => assert!(answer.starts_with(BANNER), "{answer:?}"),
            other => panic!("{other:?}"),
        }
        for line in ["workqueue 9 vm Linux x86_64 7.4.16\n", "other_status\n", "\n", &"q".repeat(2000)] {
            match undecided().decode(&mut BytesMut::from(line)) {
                Err(CodecError::Refused { answer, .. }) => assert!(answer.ends_with(b"failure\n"), "{answer:?}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}

//! The stream of a peer as a tokio-util codec: password exchange first, then messages and bodies.

use bytes::BytesMut;
use tokio_util::codec::Decoder;
use wq_proto::{Event, LineError, MasterHandshake, Outcome, Refusal};

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
    handshake: Option<Box<Exchange>>,
    messages: wq_proto::Decoder,
}

#[derive(Debug)]
struct Exchange {
    state: MasterHandshake,
    recent: super::strangers::Challenges,
}

impl Codec {
    /// For a peer that has nothing to prove.
    pub(crate) fn open() -> Codec {
        Codec { handshake: None, messages: wq_proto::Decoder::default() }
    }

    /// For a peer that must know the password.
    pub(crate) fn guarded(state: MasterHandshake, recent: super::strangers::Challenges) -> Codec {
        Codec { handshake: Some(Box::new(Exchange { state, recent })), messages: wq_proto::Decoder::default() }
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
        let Some(exchange) = &mut self.handshake else {
            return Ok(self.messages.decode(src)?.map(Part::Event));
        };
        let mut answer = BytesMut::new();
        let recent = &exchange.recent;
        match exchange.state.advance(src, |challenge| recent.contains(challenge), &mut answer) {
            Outcome::NeedMore if answer.is_empty() => return Ok(None),
            Outcome::NeedMore => {}
            Outcome::Accepted => self.handshake = None,
            Outcome::Refused(refusal) => return Err(CodecError::Refused { refusal, answer }),
        }
        if answer.is_empty() { self.decode(src) } else { Ok(Some(Part::Answer(answer))) }
    }
}

#[cfg(test)]
mod tests {
    use wq_proto::{Challenge, FromWorker, Password, WorkerHandshake};

    use super::super::strangers::Challenges;
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
        let (mut codec, _) = guarded(&Challenges::default());
        match codec.decode(&mut BytesMut::from("workqueue 9 vm Linux x86_64 7.4.16\n")) {
            Err(CodecError::Refused { refusal: Refusal::NoPassword, answer }) => assert_eq!(&answer[..], b"failure\n"),
            other => panic!("{other:?}"),
        }
    }
}

//! Whole conversations: both directions decode completely and print back to the recorded bytes.

use crate::recording::{self, Recording};
use bytes::{Buf, BytesMut};
use wq_proto::{
    BANNER, Challenge, Decoder, EncodeError, Event, FromWorker, Limits, MasterDecoder, MasterEvent, MasterHandshake,
    MasterLimits, Outcome, Password, Protocol, ToWorker, WorkerHandshake,
};

/// File, protocol of the peer, messages of the peer, bodies of the peer, messages of the master, bodies of its `put`s.
pub(crate) const FILES: &[(&str, u32, usize, usize, usize, usize)] = &[
    ("c-master-and-worker-5.4.17.txt", 6, 25, 3, 39, 6),
    ("c-master-and-worker-6.2.8.txt", 7, 23, 3, 41, 6),
    ("c-master-and-worker-7.0.22.txt", 8, 23, 3, 42, 7),
    ("c-master-and-worker-7.4.16.txt", 9, 24, 3, 42, 6),
    ("c-master-and-worker-7.9.2.txt", 11, 24, 3, 42, 6),
    ("c-master-password-5.4.17.txt", 6, 25, 3, 39, 6),
    ("probe-foreman-5.4.17.txt", 6, 280, 17, 152, 4),
    ("probe-foreman-7.4.16.txt", 9, 435, 17, 173, 4),
    ("probe-foreman-7.9.2.txt", 11, 430, 14, 172, 4),
    ("probe-foreman-debian.txt", 9, 433, 17, 172, 4),
    ("probe-password-debian.txt", 9, 19, 2, 17, 1),
    ("probe-worker-5.4.17.txt", 6, 95, 17, 150, 4),
    ("probe-worker-6.2.8.txt", 7, 90, 17, 168, 4),
    ("probe-worker-7.0.22.txt", 8, 87, 17, 167, 4),
    ("probe-worker-7.4.16.txt", 9, 89, 17, 171, 4),
    ("probe-worker-7.9.2.txt", 11, 89, 17, 171, 4),
    ("probe-worker-debian.txt", 9, 88, 17, 170, 4),
    ("probe-worker-master.txt", 11, 91, 17, 172, 4),
    ("probe-worker-p10.txt", 10, 86, 17, 170, 4),
];

/// Password file of the recordings with a password.
const PASSWORD: &[u8] = b"s3cret pass\n";

#[test]
fn every_line_prints_back() {
    let mut counts = Vec::new();
    for (file, number, ..) in FILES {
        let mut recording = recording::read(&crate::read(file));
        if recording.from_peer.starts_with(BANNER) {
            check_password_exchange(file, &mut recording);
        }
        let (protocol, peer_messages, peer_bodies) = replay_peer(file, &recording.from_peer);
        assert_eq!(protocol.number(), *number, "{file}");
        let (master_messages, master_bodies) = replay_master(file, protocol, &recording.from_master);
        counts.push((*file, *number, peer_messages, peer_bodies, master_messages, master_bodies));
    }
    assert_eq!(counts, FILES);
}

/// Decodes what the peer said, in pieces of an awkward size.
fn replay_peer(file: &str, stream: &[u8]) -> (Protocol, usize, usize) {
    let mut decoder = Decoder::new(Limits::default());
    let (mut buf, mut printed, mut rest) = (BytesMut::new(), BytesMut::new(), stream);
    let (mut protocol, mut messages, mut bodies) = (None, 0, 0);
    for piece in stream.chunks(61) {
        buf.extend_from_slice(piece);
        while let Some(event) = decoder.decode(&mut buf).unwrap_or_else(|error| panic!("{file}: {error}")) {
            match event {
                Event::Message(message) => {
                    messages += 1;
                    message.print(&mut printed);
                    if let FromWorker::Hello(hello) = message {
                        assert_eq!(hello.is_foreman(), file.contains("foreman"), "{file}");
                        protocol = Some(hello.protocol);
                    }
                }
                Event::Body(bytes) => printed.extend_from_slice(&bytes),
                Event::BodyEnd => bodies += 1,
            }
        }
        rest = check_printed(file, rest, &mut printed);
    }
    assert!(rest.is_empty(), "{file}: something is left");
    (protocol.expect("a greeting"), messages, bodies)
}

/// Decodes what the master said, and checks that our encoder says the same where it says it at all.
fn replay_master(file: &str, protocol: Protocol, stream: &[u8]) -> (usize, usize) {
    let mut decoder = MasterDecoder::new(protocol, MasterLimits::default());
    let (mut buf, mut printed, mut rest) = (BytesMut::new(), BytesMut::new(), stream);
    let (mut messages, mut bodies) = (0, 0);
    for piece in stream.chunks(61) {
        buf.extend_from_slice(piece);
        while let Some(event) = decoder.decode(&mut buf).unwrap_or_else(|error| panic!("{file}: {error}")) {
            match event {
                MasterEvent::Message(message) => {
                    messages += 1;
                    let start = printed.len();
                    message.print(protocol, &mut printed);
                    check_encoder(file, protocol, &message, &printed[start..]);
                }
                MasterEvent::Body(bytes) => printed.extend_from_slice(&bytes),
                MasterEvent::BodyEnd => bodies += 1,
            }
        }
        rest = check_printed(file, rest, &mut printed);
    }
    assert!(rest.is_empty(), "{file}: something is left");
    (messages, bodies)
}

fn check_encoder(file: &str, protocol: Protocol, message: &ToWorker, recorded: &[u8]) {
    let mut encoded = BytesMut::new();
    let outcome = message.encode(protocol, &mut encoded);
    match message {
        ToWorker::EndTime(_) | ToWorker::WallTime(_) => {
            assert_eq!(outcome, Err(EncodeError::NeverSent { verb: message.verb() }), "{file}");
        }
        ToWorker::Symlink { target, .. } if !target.ends_with(b"\0") => {
            assert_eq!(outcome, Err(EncodeError::NotTerminated { verb: "symlink" }), "{file}");
        }
        ToWorker::Put { flags: None, .. } => {
            assert_eq!(outcome, Ok(()), "{file}");
            assert_eq!(encoded, [recorded.strip_suffix(b"\n").unwrap(), b" 0\n"].concat(), "{file}");
        }
        _ => {
            assert_eq!(outcome, Ok(()), "{file}: {message:?}");
            assert_eq!(encoded, recorded, "{file}");
        }
    }
}

/// Replays both sides of the recorded exchange and removes it from the streams.
fn check_password_exchange(file: &str, recording: &mut Recording) {
    let split = |stream: &mut Vec<u8>| -> Vec<Vec<u8>> {
        let lines: Vec<_> = stream.split(|b| *b == b'\n').take(4).map(<[u8]>::to_vec).collect();
        let len: usize = lines.iter().map(|line| line.len() + 1).sum();
        stream.drain(..len);
        lines
    };
    let (peer, master) = (split(&mut recording.from_peer), split(&mut recording.from_master));
    for lines in [&peer, &master] {
        assert_eq!((&lines[0][..], &lines[3][..]), (BANNER, &b"ok"[..]), "{file}");
    }
    let text = |lines: &[Vec<u8>]| {
        BytesMut::from(&lines.iter().flat_map(|l| [l, &b"\n"[..]].concat()).collect::<Vec<_>>()[..])
    };

    // Our worker, with the recorded password, answers the recorded master as the recorded worker did.
    let mut out = BytesMut::new();
    let challenge = Challenge::from_random([3; 32]);
    let mut worker = WorkerHandshake::start(Password::from_file_content(PASSWORD), challenge, &mut out);
    out.clear();
    assert_eq!(worker.advance(&mut text(&master[..2]), &mut out), Outcome::NeedMore, "{file}");
    assert_eq!(out, text(&peer[2..3]), "{file}");

    // Our master, with the recorded challenge where it has our form, says and accepts what was recorded.
    if let Ok(random) = hex::decode(&master[1]) {
        let challenge = Challenge::from_random(random.try_into().expect("32 bytes"));
        let mut out = BytesMut::new();
        let mut handshake = MasterHandshake::start(Password::from_file_content(PASSWORD), challenge, &mut out);
        assert_eq!(out, text(&master[..2]), "{file}");
        out.advance(out.len());
        assert_eq!(handshake.advance(&mut text(&peer[..2]), |_| false, &mut out), Outcome::NeedMore, "{file}");
        assert_eq!(out, "", "{file}: nothing is answered before the peer has proved itself");
        assert_eq!(handshake.advance(&mut text(&peer[2..]), |_| false, &mut out), Outcome::Accepted, "{file}");
        assert_eq!(out, text(&master[2..]), "{file}");
    } else {
        assert!(file.starts_with("c-master"), "{file}");
    }
}

/// What was printed must be what comes next in the recording; the rest of it.
fn check_printed<'a>(file: &str, recorded: &'a [u8], printed: &mut BytesMut) -> &'a [u8] {
    let printed = printed.split();
    let rest = recorded.strip_prefix(&printed[..]);
    rest.unwrap_or_else(|| panic!("{file}: {}", difference(recorded, &printed)))
}

fn difference(wanted: &[u8], got: &[u8]) -> String {
    let at = wanted.iter().zip(got).position(|(a, b)| a != b).unwrap_or(wanted.len().min(got.len()));
    let from = at.saturating_sub(40);
    let show = |bytes: &[u8]| bytes[from..bytes.len().min(at + 40)].escape_ascii().to_string();
    format!("byte {at}: recorded {:?}, printed {:?}", show(wanted), show(got))
}

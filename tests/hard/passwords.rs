//! Peers that do not know the password, and those who try to have the master tell it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use testkit::{Site, SiteOptions, WorkerOptions};
use wq_proto::{BANNER, Challenge, Outcome, Password, WorkerHandshake};

use crate::support::sim::greeting;

const PASSWORD: &[u8] = b"correct horse battery staple\n";

fn connect(site: &Site) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", site.port())).expect("the master listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out of some length");
    stream
}

/// Everything that is heard until the master hangs up.
fn rest(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    // A reset is an end too.
    if let Err(error) = stream.read_to_end(&mut heard) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the master did not hang up");
    }
    String::from_utf8_lossy(&heard).into_owned()
}

/// Says the banner, for which the master waits on its own machine, and reads banner and challenge of the master.
fn challenge(stream: &mut TcpStream) -> Vec<u8> {
    stream.write_all(&lines(&[BANNER])).expect("the master listens");
    let mut heard = Vec::new();
    let mut byte = [0];
    while heard.iter().filter(|byte| **byte == b'\n').count() < 2 {
        assert_eq!(stream.read(&mut byte).expect("the master speaks"), 1);
        heard.push(byte[0]);
    }
    let line = heard.strip_prefix(BANNER).expect("the banner").trim_ascii();
    line.to_vec()
}

/// What a peer says behind its banner.
fn after_banner(words: &[u8]) -> &[u8] {
    words.strip_prefix(&*lines(&[BANNER])).expect("a worker begins with its banner")
}

/// No line of it answers a challenge, and none is about jobs.
#[track_caller]
fn gave_nothing_away(heard: &str) {
    for line in heard.lines() {
        let answer = line.len() == 40 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(!answer && line != "ok" && !line.starts_with("put ") && !line.starts_with("task "), "{heard:?}");
    }
}

fn lines(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| [part, &b"\n"[..]].concat()).collect()
}

#[test]
fn without_the_password_nobody_gets_anything() {
    let site = Site::with(SiteOptions { password: Some(PASSWORD.into()), ..SiteOptions::default() });
    // Waits for whoever gets in.
    let cluster = site.submit("executable = /bin/echo\narguments = hello\noutput = out\nqueue\n");

    for wrong in [&b"wrong"[..], b"", b"correct horse battery staple", b"correct horse battery staple\n\n"] {
        let mut stream = connect(&site);
        let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
        let own = Challenge::from_random([7; 32]);
        let mut handshake = WorkerHandshake::start(Password::from_file_content(wrong), own, &mut out);
        let theirs = challenge(&mut stream);
        input.extend_from_slice(&lines(&[BANNER, &theirs]));
        assert_eq!(handshake.advance(&mut input, &mut out), Outcome::NeedMore);
        stream.write_all(after_banner(&out)).unwrap();
        stream.write_all(&greeting(1)).unwrap();
        gave_nothing_away(&rest(&mut stream));
    }

    // Reflection on one connection: the master's own challenge comes back to it.
    let mut stream = connect(&site);
    let theirs = challenge(&mut stream);
    stream.write_all(&lines(&[&theirs])).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    gave_nothing_away(&rest(&mut stream));

    // On two: the second is to answer the challenge of the first.
    let (mut first, mut second) = (connect(&site), connect(&site));
    let theirs = challenge(&mut first);
    challenge(&mut second);
    second.write_all(&lines(&[&theirs, &[b'0'; 40]])).unwrap();
    gave_nothing_away(&rest(&mut second));

    // Odd and over-long lines in each place.
    let long = vec![b'x'; 100_000];
    for words in [
        lines(&[b"workqueue 9 host Linux x86_64 7.4.16"]),
        lines(&[b"auth password md5", b"1234"]),
        lines(&[BANNER, b""]),
        lines(&[BANNER, b"", b""]),
        lines(&[BANNER, b"1234", b"ok", b"ok"]),
        lines(&[&long]),
        lines(&[BANNER, &long]),
        lines(&[BANNER, b"1234", &long]),
        long.clone(),
    ] {
        let mut stream = connect(&site);
        // The master may hang up in the middle of it.
        let _ = stream.write_all(&words).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        gave_nothing_away(&rest(&mut stream));
    }

    // A good exchange, broken off at every byte.
    let mut out = BytesMut::new();
    let own = Challenge::from_random([9; 32]);
    WorkerHandshake::start(Password::from_file_content(PASSWORD), own, &mut out);
    for end in 0..out.len() {
        let mut stream = connect(&site);
        stream.write_all(&out[..end]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        gave_nothing_away(&rest(&mut stream));
    }

    assert_eq!(site.statuses(cluster), [1], "nobody got the job");
    let _honest = site.worker(WorkerOptions::default());
    site.wait_for_end(cluster, Duration::from_secs(60));
    assert_eq!(site.read("out"), "hello\n");
}

#[test]
fn an_exchange_that_was_overheard_is_worth_nothing() {
    let site = Site::with(SiteOptions { password: Some(PASSWORD.into()), ..SiteOptions::default() });
    let password = || Password::from_file_content(PASSWORD);
    let mut stream = connect(&site);
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    let mut handshake = WorkerHandshake::start(password(), Challenge::from_random([9; 32]), &mut out);
    let theirs = challenge(&mut stream);
    input.extend_from_slice(&lines(&[BANNER, &theirs]));
    assert_eq!(handshake.advance(&mut input, &mut out), Outcome::NeedMore);
    stream.write_all(after_banner(&out)).unwrap();
    let said = out.clone();
    let mut heard = [0; 41];
    stream.read_exact(&mut heard).expect("who knows the password gets an answer");
    out.clear();
    input.extend_from_slice(&heard);
    handshake.advance(&mut input, &mut out);
    assert_eq!(out, "ok\n", "and it is the right one");

    let mut again = connect(&site);
    challenge(&mut again);
    again.write_all(after_banner(&said)).unwrap();
    gave_nothing_away(&rest(&mut again));
}

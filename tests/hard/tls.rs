//! TLS on the worker port, beside clear text (decision D7): who uses it gets all of it, and who abuses it nothing.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::BytesMut;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{Site, SiteOptions, WorkerOptions};
use wq_proto::{Challenge, Outcome, Password, WorkerHandshake};

use crate::support::dice::Dice;
use crate::support::sim::{SimWorker, greeting};
use crate::support::tls::{TlsStream, begin, session};

const PASSWORD: &[u8] = b"correct horse battery staple\n";
const DEADLINE: Duration = Duration::from_secs(30);

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

fn options(password: Option<&[u8]>, more: &[&str]) -> SiteOptions {
    let (cert, key) = (data("cert.pem"), data("key.pem"));
    let mut master_args = vec!["--tls-cert".into(), cert.into(), "--tls-key".into(), key.into()];
    master_args.extend(more.iter().map(Into::into));
    SiteOptions { password: password.map(Into::into), master_args, ..SiteOptions::default() }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the master listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a time-out of some length");
    stream
}

fn line(stream: &mut impl Read) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.last() != Some(&b'\n') {
        stream.read_exact(&mut byte).expect("the master says more");
        line.push(byte[0]);
    }
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

fn line_that_begins(stream: &mut impl Read, begin: &str) -> String {
    loop {
        let line = line(stream);
        if line.starts_with(begin) {
            return line;
        }
    }
}

/// Everything until the end, however the end comes.
fn rest(stream: &mut impl Read) -> Vec<u8> {
    let mut heard = Vec::new();
    if let Err(error) = stream.read_to_end(&mut heard) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the master did not hang up");
    }
    heard
}

/// A peer that has asked for the project's name and got it.
fn is_served(mut stream: TlsStream) -> TlsStream {
    stream.write_all(b"name\n").expect("the master listens");
    assert_eq!(line(&mut stream), "alien_jobs");
    stream
}

fn log_in(port: u16) -> TlsStream {
    let mut stream = begin(connect(port));
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    let own = Challenge::from_random([9; 32]);
    let mut handshake = WorkerHandshake::start(Password::from_file_content(PASSWORD), own, &mut out);
    loop {
        stream.write_all(&out).expect("the master listens");
        out.clear();
        input.extend_from_slice(line(&mut stream).as_bytes());
        input.extend_from_slice(b"\n");
        match handshake.advance(&mut input, &mut out) {
            Outcome::NeedMore => {}
            outcome => {
                assert_eq!(outcome, Outcome::Accepted);
                return stream;
            }
        }
    }
}

#[test]
fn a_worker_inside_tls_gives_its_password_and_runs_its_job_beside_one_in_clear_text() {
    let site = Site::with(options(Some(PASSWORD), &[]));
    site.write_script("job.sh", "#!/bin/sh\necho made by hand > big\n");
    let text = "executable = job.sh\nshould_transfer_files = YES\ntransfer_output_files = big\nqueue\n";
    let cluster = site.submit(text);
    let mut worker = log_in(site.port());
    worker.write_all(&greeting(1)).unwrap();
    let id = line_that_begins(&mut worker, "task ").split_off("task ".len());
    line_that_begins(&mut worker, "end");
    worker.write_all(b"available_results\n").unwrap();
    line_that_begins(&mut worker, "send_results ");
    worker.write_all(format!("result 0 0 0 1000 {id}\nend\n").as_bytes()).unwrap();
    let big: Vec<u8> = (0..3_000_001_u32).map(|n| n as u8).collect();
    let asked = line_that_begins(&mut worker, "get ");
    let name = asked.split(' ').nth(1).expect("a name to get").to_owned();
    worker.write_all(format!("file {name} {}\n", big.len()).as_bytes()).unwrap();
    worker.write_all(&big).unwrap();
    worker.write_all(b"end\n").unwrap();
    site.wait_for_end(cluster, DEADLINE);
    assert!(std::fs::read(site.home().join("big")).unwrap() == big, "the output came as it was");
    drop(worker);

    // No password, no answer: inside TLS as outside.
    let mut stranger = begin(connect(site.port()));
    stranger.write_all(&greeting(1)).unwrap();
    let heard = String::from_utf8_lossy(&rest(&mut stranger)).into_owned();
    assert!(heard.ends_with("\nfailure\n") && !heard.contains("task"), "{heard:?}");
    // The tools of this machine ask without it, and hear that TLS is to be had.
    let mut tool = begin(connect(site.port()));
    tool.write_all(b"queue_status\n").unwrap();
    let heard = String::from_utf8_lossy(&rest(&mut tool)).into_owned();
    assert!(heard.contains("\"ssl\":true"), "{heard:?}");

    let _clear = site.worker(WorkerOptions::default());
    let cluster = site.submit(text);
    site.wait_for_end(cluster, DEADLINE);
    assert_eq!(site.read("big"), "made by hand\n");
}

#[test]
fn clear_text_is_refused_where_tls_is_required() {
    let site = Site::with(options(None, &["--tls-required"]));
    for words in [&greeting(1)[..], b"queue_status\n", b"\n"] {
        let mut clear = connect(site.port());
        clear.write_all(words).unwrap();
        assert_eq!(rest(&mut clear), b"", "nothing is said in clear text");
    }
    is_served(begin(connect(site.port())));
    assert!(site.logs().contains("it speaks clear text, which --tls-required refuses"), "{}", site.logs());
}

/// The first flight of a client.
fn hello(versions: &[&'static rustls::SupportedProtocolVersion]) -> Vec<u8> {
    let mut hello = Vec::new();
    session(versions).write_tls(&mut hello).expect("a Vec takes all");
    hello
}

#[test]
fn what_only_looks_like_tls_is_hung_up_on_and_disturbs_nobody() {
    let site = Site::with(options(None, &[]));
    let mut dice = Dice::new(22);
    let mut honest = begin(connect(site.port()));
    honest.write_all(&greeting(1)).unwrap();
    let honest = is_served(honest);
    // Who begins and does not go on has ten seconds in all, in the middle of the handshake and behind it.
    let mut half = connect(site.port());
    half.write_all(&hello(rustls::ALL_VERSIONS)[..100]).unwrap();
    let mut silent = begin(connect(site.port()));
    silent.conn.complete_io(&mut silent.sock).expect("the handshake");
    let hello_12 = hello(&[&rustls::version::TLS12]);
    let with_version = |minor| {
        let mut old = hello_12.clone();
        // `client_version`, behind the heads of record and message.
        old[10] = minor;
        old
    };
    let mut ended: Vec<Vec<u8>> = vec![
        vec![0x16, 3, 1, 0xFF, 0xFF],
        vec![0x16, 3, 1, 0, 0],
        vec![0x16, 2, 0, 0, 1, 1],
        [&[0x16, 3, 1, 0, 5][..], b"hello"].concat(),
        [&hello(rustls::ALL_VERSIONS)[..], b"workqueue 9 host Linux x86_64 7.4.16\n"].concat(),
        [&hello_12[..], &hello_12[..], &hello_12[..]].concat(),
        // SSL 3, TLS 1.0 and 1.1.
        with_version(0),
        with_version(1),
        with_version(2),
    ];
    ended.extend((0..20).map(|_| [&[0x16][..], &dice.bytes(3000)].concat()));
    for bytes in &ended {
        let mut peer = connect(site.port());
        // The master may hang up in the middle of it.
        let _ = peer.write_all(bytes);
        rest(&mut peer);
    }
    // A good hello, broken off.
    let hello = hello(rustls::ALL_VERSIONS);
    for end in (1..hello.len()).step_by(13) {
        let mut peer = connect(site.port());
        peer.write_all(&hello[..end]).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut peer), b"", "nothing is said before the hello is whole");
    }
    assert_eq!(rest(&mut half), b"");
    assert_eq!(rest(&mut silent), b"");
    is_served(honest);
    SimWorker::join(site.port());
}

#[test]
fn both_versions_of_tls_are_spoken_and_a_new_certificate_needs_no_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::copy(data("cert.pem"), &cert).unwrap();
    std::fs::copy(data("key.pem"), &key).unwrap();
    let master_args = vec!["--tls-cert".into(), cert.clone().into(), "--tls-key".into(), key.into()];
    let site = Site::with(SiteOptions { master_args, ..SiteOptions::default() });
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stream = is_served(TlsStream::new(session(&[version]), connect(site.port())));
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
    }
    let shown = || {
        let stream = is_served(begin(connect(site.port())));
        stream.conn.peer_certificates().expect("servers show theirs")[0].to_vec()
    };
    let reload = || kill(Pid::from_raw(i32::try_from(site.master_pid()).unwrap()), Signal::SIGHUP).unwrap();
    let mut before = begin(connect(site.port()));
    before.write_all(&greeting(1)).unwrap();
    let before = is_served(before);
    let first = shown();

    std::fs::write(&cert, "no certificate").unwrap();
    reload();
    let warning = "the certificate was not read again; the old one stays in use";
    site.wait_until(DEADLINE, "warning about the certificate", || site.logs().contains(warning));
    assert_eq!(shown(), first);
    assert!(site.logs().contains("there is no certificate in it"), "{}", site.logs());

    std::fs::copy(data("expired.pem"), &cert).unwrap();
    reload();
    site.wait_until(DEADLINE, "the new certificate", || shown() != first);
    assert!(site.logs().contains("has expired at 2001-12-31T23:59:59Z: put a new one"), "{}", site.logs());
    is_served(before);
}

#[test]
fn a_master_does_not_start_with_files_that_cannot_be_used() {
    let site = Site::with(SiteOptions { without_master: true, ..SiteOptions::default() });
    for (args, wanted) in [
        (vec!["--tls-cert", "no-such.pem"], "cannot read the certificate no-such.pem: No such file"),
        (vec!["--tls-cert", data("key.pem").to_str().unwrap()], "there is no certificate in it; give a PEM file with"),
        (
            vec![
                "--tls-cert",
                data("cert.pem").to_str().unwrap(),
                "--tls-key",
                data("other-key.pem").to_str().unwrap(),
            ],
            "does not belong to the first certificate in",
        ),
        (vec!["--tls-required"], "give --tls-cert FILE too"),
    ] {
        let answer = site.master_command().args(&args).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8_lossy(&answer.stderr).into_owned();
        assert_eq!(answer.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(wanted), "{stderr}");
    }
    assert!(!site.work_dir().exists(), "a refused start writes nothing");
}

//! Clients of all kinds against a whole master.

use control_proto::frame::{self, Kind};
use control_proto::{ClusterRequest, Refusal, Reply, Request, Submit, VERSION};
use tokio::net::UnixStream;

use crate::blobs::Place;
use crate::testing::{SUBMISSION_MAX, with_bench};

fn code(reply: &Reply) -> Refusal {
    match reply {
        Reply::Refused { code, .. } => *code,
        other => panic!("{other:?}"),
    }
}

fn submission(blob_sizes: &[u64]) -> Request {
    let ad = [("Cmd", "\"/bin/true\""), ("Iwd", "\"/\""), ("JobUniverse", "5"), ("JobStatus", "1")];
    let ad = ad.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Request::Submit(Submit {
        clusters: vec![ClusterRequest { ad, procs: 1, executable: Some(0), ..ClusterRequest::default() }],
        blob_sizes: blob_sizes.to_vec(),
        ..Submit::default()
    })
}

#[test]
fn a_ping_is_answered() {
    with_bench(None, |bench| async move {
        assert_eq!(bench.ask(&Request::Ping, &[]).await, Reply::Pong);
    });
}

#[test]
fn a_newer_client_hears_what_we_speak() {
    with_bench(None, |bench| async move {
        let mut wire = frame::preamble().to_vec();
        wire[4..6].copy_from_slice(&(VERSION + 1).to_le_bytes());
        match bench.say(&wire).await {
            Reply::Refused { code: Refusal::Version, speaks: Some(VERSION), .. } => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn nonsense_is_refused_with_a_sentence() {
    with_bench(None, |bench| async move {
        let mut no_json = frame::preamble().to_vec();
        frame::put(&mut no_json, Kind::Request, &[b"{"]);
        let mut no_request = frame::preamble().to_vec();
        frame::put(&mut no_request, Kind::End, &[]);
        let too_long = [&frame::preamble()[..], &u32::MAX.to_le_bytes()].concat();
        for wire in [&b"GET / HTTP/1.1\r\n\r\n"[..], &no_json, &no_request, &too_long] {
            assert_eq!(code(&bench.say(wire).await), Refusal::Malformed);
        }
        let blob = |number: u16, bytes: &[u8]| (Kind::Blob, [&number.to_le_bytes()[..], bytes].concat());
        for attachments in [vec![], vec![blob(0, b"long")], vec![blob(1, b"x")], vec![(Kind::Procs, vec![7, 0])]] {
            let reply = bench.ask(&submission(&[3]), &attachments).await;
            assert_eq!(code(&reply), Refusal::Malformed, "{attachments:?}");
        }
    });
}

#[test]
fn large_submissions_are_refused_as_a_whole() {
    with_bench(None, |bench| async move {
        assert_eq!(code(&bench.ask(&submission(&[SUBMISSION_MAX]), &[]).await), Refusal::Limit);
        assert_eq!(code(&bench.ask(&submission(&[u64::MAX, u64::MAX]), &[]).await), Refusal::Limit);
        let rows = vec![(Kind::Procs, vec![0; 3 << 20]); 2];
        assert_eq!(code(&bench.ask(&submission(&[]), &rows).await), Refusal::Limit);
    });
}

#[test]
fn executables_are_stored_under_their_hash() {
    with_bench(None, |bench| async move {
        for size in [4, 100_000] {
            let content = vec![7u8; size];
            let pieces: Vec<_> = content.chunks(40_000).map(|piece| (Kind::Blob, [&[0, 0], piece].concat())).collect();
            let reply = bench.ask(&submission(&[size as u64]), &pieces).await;
            assert!(matches!(reply, Reply::Submitted { .. }), "{reply:?}");
            let stored = match bench.shell.blobs.find(crate::blobs::hash(&content)) {
                Place::Memory(bytes) => bytes.to_vec(),
                Place::File(path) => std::fs::read(path).unwrap(),
            };
            assert!(stored == content, "{size}");
        }
    });
}

#[test]
fn a_client_that_hangs_up_is_forgotten() {
    with_bench(None, |bench| async move {
        let path = bench.path("socket");
        drop(UnixStream::connect(&path).await.unwrap());
        let mut wire = frame::preamble().to_vec();
        frame::put(&mut wire, Kind::Request, &[b"{\"ask\":\"ping\"}"]);
        let stream = UnixStream::connect(&path).await.unwrap();
        stream.try_write(&wire).unwrap();
        drop(stream);
        assert_eq!(bench.ask(&Request::Ping, &[]).await, Reply::Pong);
    });
}

#[test]
fn files_of_a_submission_that_comes_to_nothing_go() {
    with_bench(None, |bench| async move {
        let spool = std::path::PathBuf::from(bench.path("spool"));
        let files = |folder: std::path::PathBuf| std::fs::read_dir(folder).unwrap().count();
        let uid = nix::unistd::geteuid().as_raw().to_string();
        let is_empty = || files(spool.join("temp")) + files(spool.join("blobs").join(&uid)) == 0;
        // The core refuses it when the file has its name already.
        let content = vec![7u8; 100_000];
        let Request::Submit(mut submit) = submission(&[100_000]) else { unreachable!() };
        submit.clusters[0].procs = 0;
        let piece = (Kind::Blob, [&[0, 0], &content[..]].concat());
        assert_eq!(code(&bench.ask(&Request::Submit(submit), &[piece]).await), Refusal::Malformed);
        while !is_empty() {
            tokio::task::yield_now().await;
        }
        // The client finds that a file has changed and hangs up.
        let mut wire = frame::preamble().to_vec();
        frame::put(&mut wire, Kind::Request, &[&serde_json::to_vec(&submission(&[100_000])).unwrap()]);
        frame::put(&mut wire, Kind::Blob, &[&[0, 0], &content[..50_000]]);
        let mut stream = UnixStream::connect(bench.path("socket")).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &wire).await.unwrap();
        while is_empty() {
            tokio::task::yield_now().await;
        }
        drop(stream);
        while !is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(bench.ask(&Request::Ping, &[]).await, Reply::Pong);
    });
}

//! Real workers and foremen: they start, talk to what listens, and end with their guard.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use testkit::{ForemanOptions, Site, SiteOptions, WorkerOptions, wait_until};

const LONG: Duration = Duration::from_secs(30);

fn site_without_master() -> Site {
    Site::with(SiteOptions { without_master: true, ..SiteOptions::default() })
}

/// The first line that a peer says to us.
fn first_line(listener: &TcpListener) -> (String, TcpStream) {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut line = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
    (line, stream)
}

#[test]
fn a_worker_announces_itself_and_ends_with_its_guard() {
    let site = site_without_master();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = Some(listener.local_addr().unwrap().port());
    let worker = site.worker(WorkerOptions { port, ..WorkerOptions::cores(3) });
    let (line, _stream) = first_line(&listener);
    assert!(line.starts_with("workqueue "), "{line:?}");
    let pid = worker.guard.pid();
    drop(worker);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_worker_behind_a_foreman_is_seen_through_it() {
    let site = site_without_master();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = Some(listener.local_addr().unwrap().port());
    let foreman = site.foreman(ForemanOptions { port, ..ForemanOptions::default() });
    let (line, stream) = first_line(&listener);
    assert_eq!(line.split(' ').nth(3), Some("foreman"), "{line:?}");
    let _worker = site.worker(WorkerOptions::cores(5).behind(&foreman));
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut reader = BufReader::new(stream);
    let mut said = String::new();
    wait_until(LONG, "5 cores behind the foreman", || {
        // A time-out keeps the part of a line that has come; the rest is appended by the next look.
        let _ = reader.read_line(&mut said);
        said.contains("resource cores 5 ")
    })
    .unwrap_or_else(|expired| panic!("{expired}; the foreman said:\n{said}\n{}", site.logs()));
}

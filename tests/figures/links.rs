//! Memory of idle connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use testkit::{Site, SiteOptions};

use crate::memory::resident_at_rest;
use crate::support::sim::{SimWorker, greeting};
use crate::support::tls::{self, TlsStream};
use crate::{alone, hold, measured_site, tell};

/// Workers connected inside TLS.
const TLS_WORKERS: usize = 2_000;

/// Workers connected.
const WORKERS: usize = 10_000;

#[test]
fn an_idle_worker_costs_at_most_4_kib() {
    let _alone = alone();
    let site = measured_site();
    // The first ones make what is made once.
    let first: Vec<SimWorker> = (0..10).map(|_| SimWorker::join(site.port())).collect();
    let before = resident_at_rest(site.master_pid());
    let workers: Vec<SimWorker> = (0..WORKERS).map(|_| SimWorker::join(site.port())).collect();
    let after = resident_at_rest(site.master_pid());
    drop((first, workers));
    hold("resident memory of an idle worker", (after - before) as f64 / WORKERS as f64, "B", 4096.0);
}

fn join_in_tls(port: u16) -> TlsStream {
    let mut stream = tls::begin(TcpStream::connect(("127.0.0.1", port)).expect("the master listens"));
    let words = [&greeting(1)[..], b"name\n"].concat();
    stream.write_all(&words).expect("the master reads");
    stream.read_exact(&mut [0]).expect("the master answers");
    stream
}

#[test]
fn an_idle_worker_inside_tls_costs_at_most_16_kib() {
    let _alone = alone();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
    let master_args =
        vec!["--tls-cert".into(), data.join("cert.pem").into(), "--tls-key".into(), data.join("key.pem").into()];
    let site = Site::with(SiteOptions { measured: true, master_args, ..SiteOptions::default() });
    let first: Vec<TlsStream> = (0..10).map(|_| join_in_tls(site.port())).collect();
    let before = resident_at_rest(site.master_pid());
    let begin = Instant::now();
    let workers: Vec<TlsStream> = (0..TLS_WORKERS).map(|_| join_in_tls(site.port())).collect();
    let join = begin.elapsed().as_secs_f64() * 1e3 / TLS_WORKERS as f64;
    tell("TLS handshake and hello, both sides", join, "ms", None);
    let after = resident_at_rest(site.master_pid());
    drop((first, workers));
    let each = (after - before) as f64 / TLS_WORKERS as f64;
    hold("resident memory of an idle worker inside TLS", each, "B", 16384.0);
}

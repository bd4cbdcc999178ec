//! Whatever arrives at the worker port, an honest worker's jobs run on (requirements P5 and R-14).

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use testkit::{Site, WorkerOptions};

use crate::support::dice::Dice;
use crate::support::sim::{SimWorker, greeting};

/// Jobs of the honest worker, one after the other.
const JOBS: usize = 20;
/// The master must hang up on garbage within this time, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is said, and whether the master must hang up by itself.
fn nonsense(dice: &mut Dice) -> Vec<(Vec<u8>, bool)> {
    let after_greeting = |line: &str| [&greeting(1), line.as_bytes()].concat();
    let long_word = "x".repeat(100_000);
    let mut all: Vec<(Vec<u8>, bool)> = vec![
        (vec![b'a'; 1 << 20], true),
        (format!("workqueue 9 {long_word}").into_bytes(), true),
        (b"workqueue 99 host Linux x86_64 9.9.9\n".to_vec(), true),
        (b"workqueue -1 host Linux x86_64 9.9.9\n".to_vec(), true),
        (b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".to_vec(), true),
        (b"POST /queue_status HTTP/1.0\r\n\r\n".to_vec(), true),
        (b"result 0 0 -1 0 1\n".to_vec(), true),
        (after_greeting("result 0 0 -5 100 77\n"), true),
        (after_greeting("result 0 0 18446744073709551616 100 77\n"), true),
        (after_greeting("resource cores 99999999999999999999999 1 1\n"), true),
        (after_greeting("resource cores many 1 1\n"), true),
        (after_greeting("file out 9223372036854775807\n"), true),
        (after_greeting("file ../../../../../../tmp/evil 4\nevil"), true),
        (after_greeting("end\n"), true),
        (after_greeting("\u{0}\u{1}\u{2}\n"), true),
        (after_greeting(&format!("info {long_word}\n")), true),
        // Lies that a master may take for an honest mistake, or for a slow peer.
        (after_greeting("result 0 0 1000000000000 100 77\nfew"), false),
        (after_greeting("result 0 0 3 100 77\nyesend\n"), false),
        (after_greeting("available_results\n"), false),
        (after_greeting("update 1 out 0 1000000000000\nfew"), false),
        (b"name\nname\nname\n".to_vec(), false),
        (b"queue_status\n".to_vec(), false),
        (b"\n\n\n".to_vec(), false),
        (Vec::new(), false),
    ];
    all.extend((0..10).map(|_| {
        let mut bytes = dice.bytes(5000);
        bytes.push(b'\n');
        (bytes, true)
    }));
    all
}

/// Says it; returns when the master has hung up, or hangs up itself.
fn say(port: u16, bytes: &[u8], must_end: bool) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the master listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out of some length");
    // The master may hang up in the middle of it.
    let _ = stream.write_all(bytes);
    if must_end {
        let begin = Instant::now();
        let mut heard = Vec::new();
        // A reset is an end too.
        let end = stream.read_to_end(&mut heard);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).into_owned();
        assert!(begin.elapsed() < PATIENCE, "the master did not hang up ({end:?}) on {shown:?}");
    }
}

/// Hangs up in the middle of a good greeting, at every byte, in both ways.
fn half_greetings(port: u16) {
    let words = greeting(1);
    for end in 0..words.len() {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the master listens");
        stream.write_all(&words[..end]).expect("nothing is wrong with it so far");
        if end % 2 == 0 {
            stream.shutdown(Shutdown::Write).expect("an open connection");
        }
    }
}

fn run_one_job(site: &Site, job: usize) -> Duration {
    let begin = Instant::now();
    let text = format!("executable = job.sh\narguments = {job}\noutput = out.{job}\nlog = jobs.log\nqueue\n");
    let cluster = site.submit(&text);
    site.wait_for_end(cluster, Duration::from_secs(60));
    let took = begin.elapsed();
    assert_eq!(site.read(&format!("out.{job}")), format!("job {job}\n"));
    took
}

fn told(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    println!("{what}: median {:?}, longest {:?}", times[times.len() / 2], times[times.len() - 1]);
}

/// Sets the flag also when the test fails, so that the others end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_honest_worker_works_on_between_hostile_peers() {
    let site = Site::start();
    // So many cores that liars who announce one are never chosen for want of room elsewhere, and a job that a liar got
    // nevertheless comes back when he is gone.
    let _worker = site.worker(WorkerOptions::cores(4));
    site.write_script("job.sh", "#!/bin/sh\necho job $1\n");
    run_one_job(&site, 0);
    told("submit to end, undisturbed", (1..JOBS).map(|job| run_one_job(&site, job)).collect());

    let (port, over, said, pid) = (site.port(), AtomicBool::new(false), AtomicU64::new(0), site.master_pid());
    let disturbed = std::thread::scope(|scope| {
        let end = Over(&over);
        let (over, said) = (&over, &said);
        for seed in 0..2 {
            scope.spawn(move || {
                let mut dice = Dice::new(seed);
                // Each list to its end, however fast the jobs are.
                loop {
                    for (bytes, must_end) in nonsense(&mut dice) {
                        say(port, &bytes, must_end);
                        said.fetch_add(1, Ordering::Relaxed);
                    }
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        scope.spawn(move || half_greetings(port));
        let times: Vec<Duration> = (JOBS..2 * JOBS).map(|job| run_one_job(&site, job)).collect();
        drop(end);
        times
    });
    told(&format!("submit to end, between {} hostile conversations", said.into_inner()), disturbed);
    assert_eq!(site.master_pid(), pid);
    // Nobody's name led out of the site's folders.
    assert!(!std::path::Path::new("/tmp/evil").exists());
    // And afterwards a new worker is welcome.
    drop(SimWorker::join(port));
    run_one_job(&site, 2 * JOBS);
}

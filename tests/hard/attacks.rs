//! An attacker's script: workers that meddle with tasks of others, lie about sizes, and connections that only wait.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use testkit::{Site, SiteOptions, WorkerOptions, bin};

use crate::support::sim::SimWorker;

const SOON: Duration = Duration::from_secs(60);

/// What a hostile worker may cost the master, bytes; it announces a million times more.
const GROWTH_MAX: u64 = 16 << 20;

/// Open files of a master that is short of them; half are for links.
const FEW_FILES: usize = 256;

fn line_that_begins(worker: &mut SimWorker, begin: &str) -> String {
    loop {
        let line = worker.line();
        if line.starts_with(begin) {
            return line;
        }
    }
}

fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("our master runs");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of the kernel");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kib << 10
}

/// Whoever is asked for results answers with `words`; reads until it is hung up on, or a moment of silence.
fn meddle(port: u16, words: &[u8], when_asked: bool) {
    let mut worker = SimWorker::join(port);
    if when_asked {
        worker.stream.write_all(b"available_results\n").expect("the master listens");
        line_that_begins(&mut worker, "send_results ");
    }
    // The master may hang up in the middle of it.
    let _ = worker.stream.write_all(words).and_then(|()| worker.stream.flush());
    // It is let go, or its next words are understood all the same: then the answer to them is here.
    let _ = worker.stream.write_all(b"name\n");
    worker.stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a time-out of some length");
    let _ = worker.stream.read(&mut [0; 4096]);
}

#[test]
fn tasks_of_others_cannot_be_ended_fed_or_read() {
    let site = Site::start();
    site.write_script("job.sh", "#!/bin/sh\necho never run\n");
    let cluster = site.submit("executable = job.sh\noutput = out\nlog = log\nqueue\n");
    let mut honest = SimWorker::join(site.port());
    let id = line_that_begins(&mut honest, "task ").split_off("task ".len());
    line_that_begins(&mut honest, "end");
    site.wait_until(SOON, "a running job", || site.statuses(cluster) == [2]);
    let before = resident(site.master_pid());
    let other: u64 = id.parse::<u64>().expect("a number") + 1;
    for (words, when_asked) in [
        (format!("result 0 0 0 1000 {id}\nend\n"), true),
        (format!("result 0 0 4 1000 {id}\nevilend\n"), true),
        (format!("result 0 0 0 1000 {other}\nend\n"), true),
        (format!("result 0 0 0 1000 {id}\n"), false),
        (format!("result 0 0 1000000000000 1000 {id}\n{}", "evil".repeat(300_000)), true),
        (format!("result 0 0 18446744073709551615 1000 {id}\nevil"), true),
        (format!("result 0 0 -1 1000 {id}\nend\n"), true),
        (format!("update {id} log 0 4\nevil"), false),
        (format!("update {id} out 0 9223372036854775807\n{}", "evil".repeat(300_000)), false),
        (format!("update {id} ../../evil 0 4\nevil"), false),
        (format!("file a{id}-o0 4\nevilend\n"), false),
        (format!("file a{id}-o0 9223372036854775807\nevil"), false),
        (format!("missing a{id}-o0 2\nend\n"), false),
        (format!("dir a{id}-o0 0\nend\n"), false),
        ("send_results 1\n".to_owned(), false),
        (format!("kill {id}\n"), false),
        ("end\nend\nend\n".to_owned(), false),
    ] {
        meddle(site.port(), words.as_bytes(), when_asked);
        assert_eq!(site.statuses(cluster), [2], "after {:?}", &words[..words.len().min(80)]);
    }
    let grown = resident(site.master_pid()).saturating_sub(before);
    println!("grown by {grown} bytes");
    assert!(grown < GROWTH_MAX, "grown by {grown} bytes");
    assert!(!site.home().join("out").exists(), "nothing has arrived yet");

    honest.stream.write_all(b"available_results\n").unwrap();
    line_that_begins(&mut honest, "send_results ");
    honest.stream.write_all(format!("result 0 0 0 1000 {id}\nend\n").as_bytes()).unwrap();
    let asked = line_that_begins(&mut honest, "get ");
    let name = asked.split(' ').nth(1).expect("a name to get");
    honest.stream.write_all(format!("file {name} 5\nfine\nend\n").as_bytes()).unwrap();
    site.wait_for_end(cluster, SOON);
    assert_eq!(site.read("out"), "fine\n");
    let log = site.read("log");
    let events: Vec<&str> = log.lines().filter(|line| line.starts_with("00")).map(|line| &line[..3]).collect();
    assert_eq!(events, ["000", "001", "005"], "{log}");
    assert!(!log.contains("evil"), "{log}");
}

#[test]
fn silent_connections_up_to_the_last_descriptor_keep_no_worker_out() {
    let program = bin("alien_work_queue");
    let site = Site::with(SiteOptions { without_master: true, ..SiteOptions::default() });
    let text = format!("#!/bin/sh\nulimit -n {FEW_FILES}\nexec '{}' \"$@\"\n", program.display());
    let script = site.write_script("master", &text);
    let site = {
        let mut site = site;
        site.set_master_program(Some(script));
        site.start_master();
        site
    };
    let connect = |byte: bool| {
        let mut stream = TcpStream::connect(("127.0.0.1", site.port())).expect("the backlog has room");
        if byte {
            stream.write_all(b"w").expect("an open connection");
        }
        stream
    };
    // More than the master can have: the rest waits in front of it, and comes in as others go.
    let mut crowd: Vec<TcpStream> = (0..2 * FEW_FILES).map(|n| connect(n % 2 == 0)).collect();
    let _worker = site.worker(WorkerOptions::default());
    crowd.extend((0..FEW_FILES).map(|n| connect(n % 2 == 0)));
    for round in 0..3 {
        let cluster = site.submit(&format!("executable = /bin/echo\narguments = {round}\noutput = out\nqueue\n"));
        site.wait_for_end(cluster, SOON);
        assert_eq!(site.read("out"), format!("{round}\n"));
    }
    drop(crowd);
}

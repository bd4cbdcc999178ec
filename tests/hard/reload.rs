//! A planned restart in the middle of everything that a link can be in the middle of.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use testkit::{Site, SiteOptions};

use crate::support::sim::{SimWorker, greeting};
use crate::support::tls::begin;

const SOON: Duration = Duration::from_secs(60);

#[track_caller]
fn reload(site: &Site) {
    site.condor("awq", &["reload"], "").ok();
}

#[test]
fn a_line_that_is_half_read_is_read_to_its_end_by_the_next_program() {
    let site = Site::start();
    let mut worker = SimWorker::join(site.port());
    for cut in 1..4 {
        let (begin, rest) = b"name\n".split_at(cut);
        worker.stream.write_all(begin).unwrap();
        reload(&site);
        worker.stream.write_all(rest).unwrap();
        assert_eq!(worker.line(), "alien_jobs");
    }
}

#[test]
fn a_file_that_is_half_sent_is_sent_to_its_end_by_the_next_program() {
    let site = Site::start();
    // More than the sockets between both take.
    let mut content = b"#!/bin/sh\n".to_vec();
    content.extend((0..12_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8));
    let program = site.write("large.sh", &content);
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut worker = SimWorker::join(site.port());
    let cluster = site.submit("executable = large.sh\nlog = log\nqueue\n");
    let put = worker.line();
    let words: Vec<&str> = put.split_whitespace().collect();
    assert_eq!((words[0], words[2]), ("put", content.len().to_string().as_str()), "{put}");
    // A first part; then the sockets are full, and the job is neither waiting nor running.
    let mut got = vec![0; 1_000_000];
    worker.stream.read_exact(&mut got).unwrap();
    reload(&site);
    assert_eq!(site.statuses(cluster), [1], "its last byte is not out");
    let mut more = vec![0; 1_000_000];
    worker.stream.read_exact(&mut more).unwrap();
    got.extend(more);
    reload(&site);
    let mut rest = vec![0; content.len() - got.len()];
    worker.stream.read_exact(&mut rest).unwrap();
    got.extend(rest);
    assert!(got == content, "the worker has the file");
    let task = worker.line();
    assert!(task.starts_with("task "), "{task}");
    while worker.line() != "end" {}
    site.wait_until(SOON, "the job runs", || site.statuses(cluster) == [2]);
    let starts = site.condor("condor_q", &[&cluster.to_string(), "-af", "NumJobStarts"], "").ok().stdout;
    assert_eq!(starts.trim(), "1");
}

#[test]
fn a_result_that_is_half_told_is_taken_before_or_after_but_once() {
    let site = Site::start();
    let mut worker = SimWorker::join(site.port());
    let submit = "executable = /bin/true\ntransfer_executable = false\nlog = log\nqueue\n";
    for round in 1..=3 {
        let cluster = site.submit(submit);
        let mut id = String::new();
        loop {
            let line = worker.line();
            if let Some(number) = line.strip_prefix("task ") {
                id = number.to_owned();
            }
            if line == "end" {
                break;
            }
        }
        site.wait_until(SOON, "the job runs", || site.statuses(cluster) == [2]);
        match round {
            // The offer is half said.
            1 => {
                worker.stream.write_all(b"available_res").unwrap();
                reload(&site);
                worker.stream.write_all(b"ults\n").unwrap();
            }
            // The request is out, and no word of the answer has come.
            2 => worker.stream.write_all(b"available_results\n").unwrap(),
            // It comes while the program changes.
            _ => {
                let mut stream = worker.stream.try_clone().unwrap();
                std::thread::scope(|scope| {
                    scope.spawn(move || stream.write_all(b"available_results\n").unwrap());
                    reload(&site);
                });
            }
        }
        let asked = worker.line();
        assert!(asked.starts_with("send_results"), "{asked}");
        if round == 2 {
            reload(&site);
        }
        let (begin, end) = ("result 0 0 0 10", format!("00 {id}\nend\n"));
        worker.stream.write_all(begin.as_bytes()).unwrap();
        if round == 1 {
            reload(&site);
        }
        worker.stream.write_all(end.as_bytes()).unwrap();
        site.wait_for_end(cluster, SOON);
        let killed = worker.line();
        assert_eq!(killed, format!("kill {id}"));
    }
    let log = site.read("log");
    assert_eq!((log.matches("\n005 (").count(), log.matches("\n004 (").count()), (3, 0), "{log}");
}

#[test]
fn an_output_that_does_not_come_to_its_end_keeps_the_program_as_it_is() {
    let site = Site::start();
    let mut worker = SimWorker::join(site.port());
    let cluster = site.submit("executable = /bin/true\ntransfer_executable = false\noutput = out\nlog = log\nqueue\n");
    let mut id = String::new();
    while id.is_empty() {
        id = worker.line().strip_prefix("task ").unwrap_or_default().to_owned();
    }
    while worker.line() != "end" {}
    worker.stream.write_all(b"available_results\n").unwrap();
    while !worker.line().starts_with("send_results") {}
    let get = worker.line();
    let name = get.split_whitespace().nth(1).unwrap().to_owned();
    assert!(get.starts_with("get "), "{get}");
    worker.stream.write_all(format!("result 0 0 0 1000 {id}\nend\nfile {name} 4\nab").as_bytes()).unwrap();
    let mut refused = site.condor("awq", &["reload", "--wait", "0"], "");
    // The first look may come before the result does.
    while refused.code == Some(0) {
        refused = site.condor("awq", &["reload", "--wait", "0"], "");
    }
    assert!(refused.stderr.contains("outputs of jobs are being fetched (1: sim.example.org)"), "{refused}");
    assert_eq!(site.statuses(cluster), [2]);
    worker.stream.write_all(b"cd").unwrap();
    worker.stream.write_all(b"end\n").unwrap();
    site.wait_for_end(cluster, SOON);
    assert_eq!(site.read("out"), "abcd");
    reload(&site);
    assert_eq!(site.read("out"), "abcd");
}

#[test]
fn a_crash_right_after_a_reload_runs_its_jobs_again_as_any_crash_does() {
    let site = Site::start();
    let mut worker = SimWorker::join(site.port());
    let cluster = site.submit("executable = /bin/true\ntransfer_executable = false\nlog = log\nqueue 2\n");
    while worker.line() != "end" {}
    site.wait_until(SOON, "one job runs", || site.statuses(cluster).contains(&2));
    reload(&site);
    reload(&site);
    site.kill_9();
    site.start_master();
    assert_eq!(site.statuses(cluster), [1, 1]);
    let constraint = "VacateReason =?= \"the service was restarted\" && NumJobStarts == 1";
    let again = site.condor("condor_q", &["-constraint", constraint, "-af", "ProcId"], "").ok().stdout;
    assert_eq!(again.lines().count(), 1, "the crash, and not the reloads, has cost it its run");
    let mut worker = SimWorker::join(site.port());
    while worker.line() != "end" {}
    site.wait_until(SOON, "one job runs again", || site.statuses(cluster).contains(&2));
    let log = site.read("log");
    assert_eq!((log.matches("\n001 (").count(), log.matches("\n004 (").count()), (2, 1), "{log}");
}

#[test]
fn workers_inside_tls_keep_the_program_as_it_is_unless_their_jobs_may_run_again() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
    let master_args =
        vec!["--tls-cert".into(), data.join("cert.pem").into(), "--tls-key".into(), data.join("key.pem").into()];
    let site = Site::with(SiteOptions { master_args, ..SiteOptions::default() });
    let mut clear = SimWorker::join(site.port());
    let cluster = site.submit("executable = /bin/true\ntransfer_executable = false\nlog = log\nqueue 2\n");
    while clear.line() != "end" {}
    let stream = TcpStream::connect(("127.0.0.1", site.port())).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut sealed = begin(stream);
    sealed.write_all(&greeting(1)).unwrap();
    site.wait_until(SOON, "both jobs run", || site.statuses(cluster) == [2, 2]);
    let refused = site.condor("awq", &["reload"], "");
    assert_eq!(refused.code, Some(1), "{refused}");
    let reason = "1 connections with 1 tasks use TLS and cannot be handed over; with --drop-tls they are closed and";
    assert!(refused.stderr.contains(reason), "{refused}");
    assert_eq!(site.statuses(cluster), [2, 2]);
    let told = site.condor("awq", &["reload", "--drop-tls"], "").ok().stdout;
    assert!(told.contains("1 connections, 1 tasks\n1 connections could not be handed over"), "{told}");
    let mut statuses = site.statuses(cluster);
    statuses.sort_unstable();
    assert_eq!(statuses, [1, 2], "the one in clear text runs on");
    let mut rest = Vec::new();
    // However the end comes.
    let _ = sealed.read_to_end(&mut rest);
    assert!(String::from_utf8_lossy(&rest).contains("task "), "it had its job");
    // The port speaks both as before.
    let stream = TcpStream::connect(("127.0.0.1", site.port())).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut sealed = begin(stream);
    sealed.write_all(&greeting(1)).unwrap();
    site.wait_until(SOON, "both jobs run", || site.statuses(cluster) == [2, 2]);
    let log = site.read("log");
    assert_eq!((log.matches("\n001 (").count(), log.matches("\n004 (").count()), (3, 1), "{log}");
}

//! Programs around the end of a job: `condor_watch_q`, `condor_tail`, `condor_wait`, `condor_history -file`.

use classad::ClassAd;

use crate::bench::{Bench, text};

fn job(cluster: i64, proc: i64, status: i64) -> ClassAd {
    let mut ad = ClassAd::new();
    ad.insert("ClusterId", cluster);
    ad.insert("ProcId", proc);
    ad.insert("Owner", "alice");
    ad.insert("JobStatus", status);
    ad
}

#[test]
fn a_condition_ends_the_watch_with_its_code() {
    let bench = Bench::new();
    let mut batch = job(2, 0, 5);
    batch.insert("JobBatchName", "my batch");
    bench.master().state().jobs = vec![job(1, 0, 2), job(1, 1, 1), batch];
    let outcome = bench.run("condor_watch_q", &["-exit", "all,done", "-exit", "any,held,7"]);
    assert_eq!((outcome.code, text(&outcome.err)), (7, String::new()));
    assert_eq!(
        text(&outcome.out),
        "BATCH     IDLE   RUN  HOLD  DONE  REMOVED  TOTAL  JOB_IDS\n\
         ID: 1        1     1     0     0        0      2  1.0 ... 1.1\n\
         my batch     0     0     1     0        0      1  2.0\n\
         Total: 3 jobs; 0 completed, 0 removed, 1 idle, 1 running, 1 held, 0 suspended\n\n"
    );
}

#[test]
fn jobs_that_ended_before_the_watch_began_are_counted() {
    let bench = Bench::new();
    bench.master().state().past = vec![job(3, 1, 3), job(3, 0, 4)];
    let listing = bench.answer("condor_watch_q", &["-clusters", "3", "-no-table"]);
    assert_eq!(listing, "Total: 2 jobs; 1 completed, 1 removed, 0 idle, 0 running, 0 held, 0 suspended\n\n");
    assert_eq!(bench.answer("condor_watch_q", &["-clusters", "4"]), "No jobs found\n");
    bench.write(
        "log",
        "005 (003.000.000) 2026-11-21 19:41:42 Job terminated.\n\t(1) Normal termination (return value 0)\n...\n",
    );
    assert_eq!(bench.answer("condor_watch_q", &["-files", "log", "-no-table"]), listing);
}

#[test]
fn only_a_streamed_output_has_a_tail() {
    let bench = Bench::new();
    bench.write("out", "first line\nlast line\n");
    let mut streamed = job(1, 0, 2);
    streamed.insert("Iwd", bench.world.cwd.as_str());
    streamed.insert("Out", "out");
    streamed.insert("StreamOut", true);
    bench.master().state().jobs = vec![streamed, job(1, 1, 2), job(1, 2, 1)];
    assert_eq!(bench.answer("condor_tail", &["1.0"]), "first line\nlast line\n");
    assert_eq!(bench.answer("condor_tail", &["-maxbytes", "5", "1.0"]), "line\n");
    for (number, why) in [("1.1", "stream_output = true"), ("1.2", "not running"), ("9.0", "no job 9.0")] {
        let outcome = bench.run("condor_tail", &[number]);
        assert_eq!((outcome.code, text(&outcome.out)), (1, String::new()));
        assert!(text(&outcome.err).contains(why), "{}", text(&outcome.err));
    }
}

#[test]
fn a_classic_history_file_is_read_without_a_master() {
    let bench = Bench::without_master();
    let ad = |cluster, status| format!("ClusterId = {cluster}\nProcId = 0\nOwner = \"alice\"\nJobStatus = {status}\n");
    bench.write("history", &format!("{}*** Offset = 0\n{}*** Offset = 60\n", ad(1, 4), ad(2, 3)));
    let words = ["-file", "history", "-af", "ClusterId", "JobStatus"];
    assert_eq!(bench.answer("condor_history", &words), "2 3\n1 4\n");
    let words = ["-f", "history", "-backwards", "-match", "1", "-constraint", "JobStatus == 4", "-af", "ClusterId"];
    assert_eq!(bench.answer("condor_history", &words), "1\n");
}

#[test]
fn a_log_is_read_to_its_end_or_to_an_event() {
    let bench = Bench::without_master();
    let event =
        |number: u16, job: &str, line: &str| format!("{number:03} ({job}.000) 2026-11-21 19:00:00 {line}\n...\n");
    bench.write(
        "w.log",
        &[
            event(0, "007.000", "Job submitted from host: <127.0.0.1:9618>"),
            event(1, "007.000", "Job executing on host: <10.0.0.5:9618>"),
            event(37, "007.-01", "Job Materialization Paused"),
            event(12, "007.000", "Job was held.\n\tReason\n\tCode 1 Subcode 0"),
        ]
        .concat(),
    );
    let wait = |words: &[&str]| {
        let outcome = bench.run("condor_wait", words);
        (outcome.code, text(&outcome.out), text(&outcome.err))
    };
    let said = |code: i32, out: &str| (code, out.to_owned(), String::new());
    assert_eq!(wait(&["-wait", "0", "w.log"]), said(0, ""));
    assert_eq!(wait(&["-all", "-log", "w.log"]), said(0, ""));
    let status = "7.0.0 submitted\n7.0.0 executing on host <10.0.0.5:9618>\n";
    assert_eq!(wait(&["-status", "-wait", "0", "w.log", "-1"]), said(0, status));
    assert_eq!(wait(&["-event-id", "12", "w.log"]), said(0, "Got 1 events of id 12\n"));
    assert_eq!(wait(&["-event-id:2", "12", "-wait", "0", "w.log"]), said(0, ""));
    bench.write("empty.log", "");
    assert_eq!(wait(&["empty.log"]), said(0, "All jobs done.\n"));
}

#[test]
fn places_are_told_with_and_without_a_master() {
    for bench in [Bench::new(), Bench::without_master()] {
        let value = |name: &str| bench.answer("condor_config_val", &[name]).trim().to_owned();
        assert!(value("LOCAL_DIR").starts_with('/') && value("LOG").starts_with('/'), "{}", value("LOCAL_DIR"));
        assert_eq!(value("SPOOL"), format!("{}/spool", value("LOCAL_DIR")));
        assert_eq!(bench.answer("condor_config_val", &["-raw", "SPOOL"]), "$(LOCAL_DIR)/spool\n");
    }
}

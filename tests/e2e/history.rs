//! Jobs that have left the queue: each is in the history once, whatever happens to the service.

use std::collections::BTreeSet;
use std::path::PathBuf;

use testkit::{Site, SiteOptions, Worker, WorkerOptions};

use crate::support::{EXECUTING, SOON, TERMINATED, count, events, site_with, site_with_cores, story, wait_for_event};

fn file(site: &Site) -> PathBuf {
    let answer = site.condor("condor_config_val", &["HISTORY"], "").ok();
    PathBuf::from(answer.stdout.trim())
}

/// `C.P STATUS` of each, the last one first.
#[track_caller]
fn history(site: &Site, more: &[&str]) -> Vec<String> {
    let answer = site.condor("condor_history", &[more, &["-af:j", "JobStatus"]].concat(), "").ok();
    answer.stdout.lines().map(str::to_owned).collect()
}

#[track_caller]
fn wait_for_history(site: &Site, jobs: usize) -> Vec<String> {
    let mut found = Vec::new();
    site.wait_until(SOON, &format!("{jobs} jobs in the history"), || {
        found = history(site, &[]);
        found.len() >= jobs
    });
    found
}

fn site_that_keeps(jobs: u32) -> (Site, Worker) {
    let master_args = vec!["--history-jobs".into(), jobs.to_string().into()];
    site_with(SiteOptions { master_args, ..SiteOptions::default() })
}

#[test]
fn ended_removed_and_held_jobs_are_there_in_the_order_in_which_they_left() {
    let (site, _worker) = site_with_cores(1);
    assert_eq!(history(&site, &[]), [""; 0]);
    site.submit("executable = /bin/sh\narguments = \"-c 'exit 3'\"\nlog = log\nqueue\n");
    wait_for_history(&site, 1);
    site.submit("executable = /bin/true\nhold = true\nlog = log\nqueue 2\n");
    site.condor("condor_rm", &["2.1"], "").ok();
    site.condor("condor_release", &["2.0"], "").ok();
    assert_eq!(wait_for_history(&site, 3).iter().collect::<BTreeSet<_>>().len(), 3);
    site.submit("executable = /bin/true\nhold = true\nlog = log\nqueue\n");
    site.condor("condor_rm", &["3"], "").ok();
    assert_eq!(wait_for_history(&site, 4)[0], "3.0 3");
    assert_eq!(history(&site, &["-forwards", "-limit", "1"]), ["1.0 4"]);
    assert_eq!(history(&site, &["2.1", "1"]), ["2.1 3", "1.0 4"]);
    assert_eq!(history(&site, &["-constraint", "JobStatus == 3 && ProcId == 0"]), ["3.0 3"]);
    let names = ["ExitCode", "ExitBySignal", "NumJobStarts", "LastJobStatus"];
    let answer = site.condor("condor_history", &[&["1.0", "-af"][..], &names].concat(), "").ok();
    assert_eq!(answer.stdout, "3 false 1 2\n");
    let times =
        ["CompletionDate >= QDate", "JobCurrentStartDate >= QDate", "RemoteWallClockTime >= 0", "LastRemoteHost"];
    let answer = site.condor("condor_history", &[&["1.0", "-af"][..], &times].concat(), "").ok();
    assert!(answer.stdout.starts_with("true true true slot1@"), "{}", answer.stdout);
    let table = site.condor("condor_history", &[], "").ok().stdout;
    assert!(
        table.starts_with(" ID          OWNER            SUBMITTED   RUN_TIME   ST   COMPLETED CMD\n3.0 "),
        "{table}"
    );
}

#[test]
fn a_job_is_in_the_queue_or_in_the_history_at_every_moment() {
    let (site, _worker) = site_with_cores(2);
    site.submit("executable = /bin/true\nqueue 30\n");
    loop {
        let queue = site.condor("condor_q", &["-af:j", "ClusterId"], "").ok().stdout;
        let history = history(&site, &[]);
        let ids: BTreeSet<String> = queue.lines().map(str::to_owned).chain(history.iter().cloned()).collect();
        let ids: BTreeSet<&str> = ids.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(ids.len(), 30, "queue {queue:?}, history {history:?}");
        if queue.is_empty() {
            break;
        }
    }
}

#[test]
fn a_service_that_is_killed_leaves_each_job_there_once() {
    let site = Site::start();
    let _worker = site.worker(WorkerOptions::cores(2));
    let cluster = site.submit("executable = /bin/true\nlog = log\nqueue 60\n");
    // At some moment of an end, of a row on its way, of a mark; the master of tests takes no pause between them.
    for ended in [5, 20, 40] {
        site.wait_until(SOON, &format!("{ended} ends"), || {
            events(&site, "log").iter().filter(|event| event.kind == TERMINATED).count() >= ended
        });
        site.kill_9();
        site.start_master();
    }
    wait_for_event(&site, "log", TERMINATED, 60);
    site.wait_for_end(cluster, SOON);
    let found = history(&site, &[]);
    let ids: BTreeSet<&String> = found.iter().collect();
    assert_eq!((found.len(), ids.len()), (60, 60), "{found:?}");
    for proc in 0..60 {
        let ends = story(&site, "log", &format!("{cluster}.{proc}")).iter().filter(|kind| **kind == TERMINATED).count();
        assert_eq!(ends, 1);
    }
}

#[test]
fn without_a_master_the_file_answers() {
    let (site, _worker) = site_with_cores(1);
    site.submit("executable = /bin/true\nlog = log\nqueue 3\n");
    wait_for_history(&site, 3);
    let file = file(&site);
    let name = file.to_str().expect("a path of ours");
    assert_eq!(history(&site, &["-file", name]).len(), 3, "the master reads its own file");
    let expected = history(&site, &[]);
    // Also what only the log of the data base holds.
    site.kill_9();
    assert_eq!(history(&site, &[]), expected);
    assert_eq!(history(&site, &["-f", name, "-backwards", "-match", "1", "1.0"]), ["1.0 4"]);
    assert_eq!(PathBuf::from(site.condor("condor_config_val", &["-schedd", "history"], "").ok().stdout.trim()), file);
    site.start_master();
    assert_eq!(history(&site, &[]), expected);
}

#[test]
fn a_damaged_file_stops_no_job() {
    let (site, _worker) = site_with_cores(1);
    site.submit("executable = /bin/true\nlog = log\nqueue\n");
    wait_for_history(&site, 1);
    let file = file(&site);
    site.kill_9();
    std::fs::write(&file, "no data base ".repeat(2000)).expect("the file is ours");
    // From its log SQLite would make it whole again.
    let _ = std::fs::remove_file(format!("{}-wal", file.display()));
    site.start_master();
    site.submit("executable = /bin/true\nlog = log\nqueue\n");
    wait_for_event(&site, "log", TERMINATED, 2);
    site.wait_for_end(2, SOON);
    assert_eq!(wait_for_history(&site, 1)[0], "2.0 4");
    let folder = file.parent().expect("it stands in the state dir");
    let names = std::fs::read_dir(folder).expect("the state dir").map(|entry| entry.expect("an entry").file_name());
    assert!(names.into_iter().any(|name| name.to_string_lossy().contains(".damaged-")));
}

#[test]
fn a_file_that_cannot_be_written_stops_no_job() {
    let (site, _worker) = site_with_cores(1);
    let file = file(&site);
    site.kill_9();
    for suffix in ["", "-wal", "-shm"] {
        // What stands there is nothing that a data base could be opened as.
        let path = PathBuf::from(format!("{}{suffix}", file.display()));
        let _ = std::fs::remove_file(&path);
        std::fs::create_dir(&path).expect("a folder");
    }
    site.start_master();
    site.submit("executable = /bin/true\nlog = log\nqueue\n");
    wait_for_event(&site, "log", TERMINATED, 1);
    site.wait_for_end(1, SOON);
}

#[test]
fn the_oldest_go() {
    let (site, _worker) = site_that_keeps(2);
    for _ in 0..4 {
        let cluster = site.submit("executable = /bin/true\nlog = log\nqueue\n");
        site.wait_for_end(cluster, SOON);
    }
    assert_eq!(history(&site, &[]), ["4.0 4", "3.0 4"]);
}

#[test]
fn without_a_history_jobs_leave_all_the_same() {
    let (site, _worker) = site_that_keeps(0);
    let cluster = site.submit("executable = /bin/true\nlog = log\nqueue\n");
    wait_for_event(&site, "log", TERMINATED, 1);
    site.wait_for_end(cluster, SOON);
    assert_eq!(history(&site, &[]), [""; 0]);
    site.condor("condor_config_val", &["HISTORY"], "").exits(1);
}

#[test]
fn condor_wait_and_condor_watch_q_see_the_end() {
    let (site, _worker) = site_with_cores(1);
    let cluster = site.submit("executable = /bin/true\nlog = log\nqueue 2\n");
    assert_eq!(site.condor("condor_wait", &["log"], "").ok().stdout, "All jobs done.\n");
    let number = cluster.to_string();
    let answer = site.condor("condor_watch_q", &["-clusters", &number, "-exit", "all,done,0"], "").ok();
    assert!(
        answer.stdout.ends_with("Total: 2 jobs; 2 completed, 0 removed, 0 idle, 0 running, 0 held, 0 suspended\n\n")
    );
    assert_eq!(count(&site, "JobStatus == 1"), 0);
}

#[test]
fn condor_tail_says_where_the_output_is() {
    let (site, _worker) = site_with_cores(1);
    site.submit("executable = /bin/sleep\narguments = 60\noutput = out\nlog = log\nqueue\n");
    wait_for_event(&site, "log", EXECUTING, 1);
    let answer = site.condor("condor_tail", &["1.0"], "");
    let answer = answer.exits(1);
    assert_eq!(answer.stdout, "");
    assert!(answer.stderr.contains("stream_output = true"), "{}", answer.stderr);
}

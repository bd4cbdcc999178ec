//! The jobs whose event logs were recorded from HTCondor (`tests/data/userlog`) run here: each has the same events in the
//! same order, without 006, which nothing measures (decision D65).
//!
//! Not among them: `running/suspend.log`, since no task of Work Queue can be suspended (decision D31).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use testkit::{Site, WorkerOptions};

/// Policies that do not follow a change of state have a minute, and then everything takes its time.
const STORIES: Duration = Duration::from_secs(180);

/// Image size updated.
const MEASURED: u32 = 6;

/// By proc, −1 for the cluster itself, the numbers of the events.
type Story = BTreeMap<i64, Vec<u32>>;

fn story(text: &str) -> Story {
    let mut story = Story::new();
    // 005 (007.000.000) 2026-11-21 19:10:00 Job terminated.
    for event in text.split_inclusive("\n...\n").filter_map(|event| event.strip_suffix("\n...\n")) {
        let number: u32 = event[..3].parse().expect("events begin with their number");
        let proc = event.split('.').nth(1).and_then(|proc| proc.parse().ok()).expect("and name their job");
        if number != MEASURED {
            story.entry(proc).or_default().push(number);
        }
    }
    story
}

fn recorded(log: &str) -> Story {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/userlog").join(log);
    story(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Recorded logs that are not among these. The other forms tell of the same jobs.
fn not_told(told: &[&str]) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/userlog");
    let names = |form: &'static str| {
        let entries = std::fs::read_dir(folder.join(form)).expect("the recorded logs");
        entries.map(move |entry| format!("{form}/{}", entry.expect("a log").file_name().to_string_lossy()))
    };
    ["iso", "running"].into_iter().flat_map(names).filter(|log| !told.contains(&log.as_str())).collect()
}

fn written(site: &Site, log: &str) -> Story {
    story(&std::fs::read_to_string(site.home().join(log)).unwrap_or_default())
}

/// Waits until the log begins as far as this: so many events of a kind.
#[track_caller]
fn wait_for(site: &Site, log: &str, number: u32, count: usize) {
    site.wait_until(STORIES, &format!("{count} events {number:03} in {log}"), || {
        written(site, log).values().flatten().filter(|found| **found == number).count() >= count
    });
}

/// Submits a shell script whose log is that of the recorded one; the cluster.
#[track_caller]
fn submit(site: &Site, log: &str, script: &str, keys: &str, queue: &str) -> String {
    let text = format!(
        "executable = /bin/sh\ntransfer_executable = false\narguments = \"-c '{script}'\"\nlog = {}\n{keys}\n{queue}\n",
        log.replace('/', "-")
    );
    site.submit(&text).to_string()
}

#[track_caller]
fn act(site: &Site, program: &str, cluster: &str) {
    site.condor(program, &[cluster], "").ok();
}

#[test]
fn jobs_have_the_events_that_htcondor_wrote_for_them() {
    let site = Site::start();
    // Before there is a worker.
    let nowhere = "requirements = false\n";
    submit(&site, "iso/periodic.log", "exit 0", &format!("{nowhere}periodic_hold = JobStatus == 1"), "queue");
    submit(&site, "iso/phdef.log", "exit 0", &format!("{nowhere}periodic_hold = JobStatus == 1"), "queue");
    submit(&site, "iso/premove.log", "exit 0", &format!("{nowhere}periodic_remove = JobStatus == 1"), "queue");
    let abort = submit(&site, "iso/abort.log", "exit 0", nowhere, "queue");
    act(&site, "condor_rm", &abort);
    let hold = submit(&site, "iso/hold.log", "exit 0", "", "queue");
    act(&site, "condor_hold", &hold);
    act(&site, "condor_release", &hold);
    let onhold = submit(&site, "iso/onhold.log", "exit 0", "hold = true", "queue");
    act(&site, "condor_release", &onhold);
    site.write("gone.in", "");
    let moved = "should_transfer_files = YES\nwhen_to_transfer_output = ON_EXIT\n";
    let noinput =
        submit(&site, "iso/noinput.log", "exit 0", &format!("{moved}transfer_input_files = gone.in"), "queue");
    std::fs::remove_file(site.home().join("gone.in")).unwrap();
    // On this machine they need no worker.
    submit(&site, "iso/local.log", "exit 0", "universe = local", "queue");
    submit(&site, "iso/sched.log", "exit 0", "universe = scheduler", "queue");
    for log in ["iso-local.log", "iso-sched.log"] {
        wait_for(&site, log, 5, 1);
    }
    let _worker = site.worker(WorkerOptions::cores(4));

    site.write("there.in", "");
    submit(&site, "iso/transfer.log", "cp there.in made", &format!("{moved}transfer_input_files = there.in"), "queue");
    let nooutput =
        submit(&site, "iso/nooutput.log", "exit 0", &format!("{moved}transfer_output_files = never.made"), "queue");
    site.write_script("bad.sh", "#!/no/such/interpreter\n");
    let noexec = site.submit("executable = bad.sh\nlog = iso-noexec.log\nqueue\n").to_string();
    for (log, cluster) in [("iso-noinput.log", noinput), ("iso-nooutput.log", nooutput), ("iso-noexec.log", noexec)] {
        wait_for(&site, log, 12, 1);
        act(&site, "condor_rm", &cluster);
    }

    submit(&site, "iso/ok.log", "exit 0", "", "queue");
    submit(&site, "iso/exit7.log", "exit 7", "", "queue");
    submit(&site, "iso/signal.log", "kill -9 $$", "", "queue");
    submit(&site, "iso/multi.log", "exit 0", "", "queue 3");
    submit(&site, "iso/notes.log", "exit 0", "submit_event_notes = a note", "queue");
    submit(&site, "iso/retry.log", "exit 1", "max_retries = 1", "queue");
    submit(&site, "iso/vacate.log", "exit 0", "", "queue");
    submit(&site, "iso/factory.log", "exit 0", "max_idle = 1", "queue 2");
    let oeh = submit(&site, "iso/oeh.log", "exit 0", "on_exit_hold = true", "queue");
    wait_for(&site, "iso-oeh.log", 12, 1);
    act(&site, "condor_rm", &oeh);

    let vacate = submit(&site, "running/vacate.log", "sleep 1000", "", "queue");
    let hold = submit(&site, "running/holdrun.log", "sleep 1000", "", "queue");
    let remove = submit(&site, "running/rmrun.log", "sleep 1000", "", "queue");
    // It was to be suspended, too early.
    let suspend = submit(&site, "iso/suspend.log", "sleep 1000", "", "queue");
    for log in ["running-vacate.log", "running-holdrun.log", "running-rmrun.log", "iso-suspend.log"] {
        wait_for(&site, log, 1, 1);
    }
    act(&site, "condor_rm", &remove);
    act(&site, "condor_rm", &suspend);
    act(&site, "condor_hold", &hold);
    wait_for(&site, "running-holdrun.log", 12, 1);
    act(&site, "condor_rm", &hold);
    act(&site, "condor_vacate_job", &vacate);
    wait_for(&site, "running-vacate.log", 1, 2);
    act(&site, "condor_rm", &vacate);
    for log in ["iso-periodic.log", "iso-phdef.log"] {
        wait_for(&site, log, 12, 1);
    }
    site.condor("condor_rm", &["-all"], "");

    let logs = [
        "iso/abort.log",
        "iso/exit7.log",
        "iso/factory.log",
        "iso/hold.log",
        "iso/local.log",
        "iso/multi.log",
        "iso/noexec.log",
        "iso/noinput.log",
        "iso/nooutput.log",
        "iso/notes.log",
        "iso/oeh.log",
        "iso/ok.log",
        "iso/onhold.log",
        "iso/periodic.log",
        "iso/phdef.log",
        "iso/premove.log",
        "iso/retry.log",
        "iso/sched.log",
        "iso/signal.log",
        "iso/suspend.log",
        "iso/transfer.log",
        "iso/vacate.log",
        "running/holdrun.log",
        "running/rmrun.log",
        "running/vacate.log",
    ];
    assert_eq!(not_told(&logs), ["running/suspend.log"]);
    for log in logs {
        let (wanted, ours) = (recorded(log), log.replace('/', "-"));
        let length = |story: &Story| story.values().map(Vec::len).sum::<usize>();
        site.wait_until(STORIES, &format!("the story of {log}"), || length(&written(&site, &ours)) >= length(&wanted));
        assert_eq!(written(&site, &ours), wanted, "{log}");
    }
}

#[test]
fn signals_notification_and_their_like_are_kept_and_do_nothing() {
    let site = Site::start();
    let keys = "hold = true\nkill_sig = SIGINT\njob_max_vacate_time = 30\nnotification = always\nnice_user = true";
    let job = submit(&site, "kept.log", "exit 0", keys, "queue");
    let names = ["KillSig", "JobMaxVacateTime", "JobNotification", "MaxJobRetirementTime"];
    let said = site.condor("condor_q", &[&[&*job, "-af"], &names[..]].concat(), "").ok().stdout;
    assert_eq!(said, "SIGINT 30 1 0\n");
    let _worker = site.worker(WorkerOptions::default());
    act(&site, "condor_release", &job);
    wait_for(&site, "kept.log", 5, 1);
}

#[test]
fn a_job_waits_for_its_time() {
    let site = Site::start();
    let _worker = site.worker(WorkerOptions::default());
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let keys = format!("deferral_time = {}\ndeferral_window = 100", now_s + 4);
    submit(&site, "deferred.log", "exit 0", &keys, "queue");
    submit(&site, "other.log", "exit 0", "", "queue");
    wait_for(&site, "other.log", 5, 1);
    wait_for(&site, "deferred.log", 5, 1);
    let began_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(began_s >= now_s + 4, "it ran before its time");
}

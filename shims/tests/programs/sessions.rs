//! Sessions recorded from HTCondor, replayed: what was printed then is printed now, byte for byte.
//!
//! Normalised are addresses, the name of the working directory, places of settings, sizes of programs, moments of
//! submission, and the build in the version string. What differs is
//! listed in `accepted.txt` with its reason, as a command is that cannot be replayed; a difference that is not listed,
//! and a listed one that is gone, fail the test.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use classad::{ClassAd, Expr, Value};
use control_proto::Request;

use crate::bench::Bench;
use crate::snapshots;

#[derive(Debug, Clone, serde::Deserialize)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) cmd: String,
    #[serde(default)]
    user: Option<String>,
    rc: i32,
    pub(crate) stdout: String,
    stderr: String,
}

pub(crate) fn records(file: &str) -> Vec<Record> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/cli").join(file);
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Begins the reason of a command whose program, or whose side of the master, is not written yet.
const NOT_YET: &str = "not there yet";

/// `accepted.txt`: a session, the name of one of its commands, a colon, why it differs.
fn accepted(session: &str) -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/cli/accepted.txt");
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines = lines.filter_map(|line| line.strip_prefix(session)?.strip_prefix(' '));
    lines
        .map(|line| {
            let (name, reason) = line.split_once(": ").expect("a session, a name, a colon, a reason");
            assert!(reason.len() > 12, "{line}: say why");
            (name.to_owned(), reason.to_owned())
        })
        .collect()
}

fn normalised(text: &str, bench: &Bench) -> String {
    let text = text.replace(bench.world.cwd.as_str(), "/home/alice/jobs");
    let mut out = String::new();
    // What the recorder's own shell said is no program's.
    for line in text.split_inclusive('\n').filter(|line| !line.starts_with("bash: ")) {
        out.push_str(&line_normalised(line));
    }
    out
}

fn line_normalised(line: &str) -> String {
    let mut line = line.to_owned();
    for before in ["127.0.0.1:", "127.0.0.1-"] {
        let mut from = 0;
        while let Some(begin) = line[from..].find(before).map(|at| at + from + before.len()) {
            let end = line[begin..].find(|c: char| !c.is_ascii_digit()).map_or(line.len(), |at| at + begin);
            line.replace_range(begin..end, "PORT");
            from = begin;
        }
    }
    if let Some(begin) = line.find("BuildID: ") {
        let end = line[begin..].find('$').map_or(line.len(), |at| at + begin);
        line.replace_range(begin..end, "BuildID: X ");
    }
    // The machine's memory.
    if line.starts_with("MIN({") {
        line = "MIN({MEMORY, 10000})\n".to_owned();
    }
    // Where a setting stands.
    if line.starts_with(" # at: ") || line.starts_with("#\t") {
        line = "# at PLACE\n".to_owned();
    }
    // Sizes of programs and the moment of submission are those of the machine.
    for name in ["DiskUsage", "ExecutableSize", "ImageSize", "QDate", "EnteredCurrentStatus", "HostFacts"] {
        for sign in [" = ", "="] {
            if line.starts_with(&format!("{name}{sign}")) {
                line = format!("{name}{sign}N\n");
            }
        }
    }
    line
}

/// Seconds of the head line's time, if a table was printed.
fn shown_time_s(record: &Record) -> Option<i64> {
    let (_, rest) = record.stdout.split_once(" @ ")?;
    let time = jiff::civil::DateTime::strptime("%m/%d/%y %H:%M:%S", rest.get(..17)?).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// Replays a session; `before` prepares the bench for each of its commands.
fn replay(session: &str, records: &[Record], bench: &mut Bench, before: &dyn Fn(&mut Bench, &Record)) {
    let mut listed = accepted(session);
    let (mut passed, mut missing, mut odd) = (0, 0, Vec::new());
    for record in records {
        before(bench, record);
        if let Some(master) = &bench.master {
            let mut state = master.state();
            if let Some(now_s) = shown_time_s(record) {
                state.site.now_s = now_s;
            }
            state.site.user = record.user.clone().unwrap_or_else(|| "alice".to_owned());
        }
        // The second conversion of `q-format-hex` prints memory that nobody wrote: no program can print it again.
        let stdout = record.stdout.replace("10140433500", "3");
        let wanted = (record.rc, normalised(&stdout, bench), normalised(&record.stderr, bench));
        // In `submit-mixed` the recorder's shell took this for a command of its own.
        let got = crate::shell::run(bench, &record.cmd.replace("$(n)", ""));
        let got = got.map(|(code, out, err)| (code, normalised(&out, bench), normalised(&err, bench)));
        let same = got.as_ref() == Some(&wanted);
        passed += usize::from(same);
        match listed.remove(&record.name) {
            Some(reason) if same => odd.push(format!("{}: listed ({reason}) and the same", record.name)),
            Some(reason) => missing += usize::from(reason.starts_with(NOT_YET)),
            None if same => {}
            None => odd.push(format!("{} $ {}\n got {got:#?}\n wanted {wanted:#?}", record.name, record.cmd)),
        }
    }
    let total = records.len();
    println!("oracle: commands {passed}/{total} accepted {} missing {missing}", total - passed - missing);
    assert!(odd.is_empty(), "{session}: {passed} of {total}\n{}", odd.join("\n"));
    assert!(listed.is_empty(), "accepted.txt lists what is not in {session}: {listed:?}");
}

/// Removed and completed jobs of earlier commands are not this test's business.
fn set_queue(bench: &mut Bench, jobs: Vec<ClassAd>) {
    bench.master().state().jobs = jobs;
}

#[test]
fn corpus_of_commands_main() {
    let records = records("cli.jsonl");
    let mut bench = bench_with_files();
    let schedd = snapshots::ads(&records, "status-schedd-long").remove(0);
    bench.master().state().schedd = schedd.clone();
    bench.master().state().machines = snapshots::slots(&records);
    bench.master().state().users = vec!["alice", "bob"];
    let queue = snapshots::main_session(&records);
    replay("cli", &records, &mut bench, &|bench, record| match record.name.as_str() {
        "q" => set_queue(bench, queue.clone()),
        "history" => {
            let past = snapshots::past_of_main_session(&records);
            bench.master().state().past = past;
        }
        "wait" => bench.write("w.log", &event_log(&records)[0]),
        // Two more jobs that have not ended.
        "wait-timeout" => bench.write("w.log", &event_log(&records).concat()),
        "status-master" => {
            // The ad that was shown was sent five seconds after the start.
            let mut state = bench.master().state();
            let began_s = state.schedd.get("DaemonStartTime").and_then(Expr::literal).and_then(Value::as_int);
            state.schedd.insert("MyCurrentTime", began_s.unwrap() + 5);
        }
        "status-schedd-long" => bench.master().state().schedd = schedd.clone(),
        "qedit" => bench.master().state().next_cluster = 22,
        // Jobs of other programs' commands: two more clusters, all removed and not yet gone.
        "q-no-schedd" => {
            set_queue(bench, snapshots::end_of_main_session(&records));
            bench.master().state().next_cluster = 23;
        }
        _ => {}
    });
    let state = bench.master().state();
    assert!(state.requests.iter().any(|request| matches!(request, Request::Act(_))));
}

/// The event log that `condor_wait` watched: two jobs that ended, two that were submitted afterwards.
fn event_log(records: &[Record]) -> [String; 2] {
    let log = &records.iter().find(|record| record.name == "wait-log").unwrap().stdout;
    let (ended, more) = log.split_at(log.find("000 (021.").unwrap());
    [ended.to_owned(), more.to_owned()]
}

#[test]
fn corpus_of_commands_second() {
    let slots = snapshots::busy_slots(&records("cli.jsonl"));
    let records = records("cli_extra.jsonl");
    let mut bench = bench_with_files();
    bench.master().state().machines = slots;
    bench.master().state().schedd = ClassAd::from_old_text(
        "Name = \"submit.example.org\"\nTotalJobAds = 26\nTotalRunningJobs = 3\nRecentJobsCompleted = 2\nRecentJobsStarted = 7\n",
    )
    .unwrap();
    replay("cli_extra", &records, &mut bench, &|bench, record| {
        if let Some(queue) = snapshots::extra_session(&records, &record.name) {
            set_queue(bench, queue);
        }
        if record.name == "history-mixed" {
            bench.master().state().past = snapshots::past_of_second_session(&records);
        }
    });
}

#[test]
fn corpus_of_commands_beside_logs() {
    let template = snapshots::ads(&records("cli.jsonl"), "q-long").remove(0);
    for session in ["running", "iso", "legacy", "utc_subsecond"] {
        let records = records(&format!("{session}.jsonl"));
        let mut bench = Bench::new();
        replay(session, &records, &mut bench, &|bench, record| {
            // Before each table the queue is what the table shows; the commands in between act on it.
            if record.name == "history-all" {
                bench.master().state().past = snapshots::past_of_logs(&record.stdout);
            }
            if let Some(now_s) = shown_time_s(record).filter(|_| record.stdout.contains("RUN_TIME ST")) {
                set_queue(bench, snapshots::from_rows(&template, &record.stdout, now_s));
            }
        });
    }
}

#[test]
fn corpus_of_commands_without_a_master() {
    let records = records("cli_down.jsonl");
    let mut bench = Bench::without_master();
    // The file of HTCondor's own kind, where the site's would be.
    let whole = snapshots::ads(&crate::sessions::records("cli.jsonl"), "history-long").remove(0);
    let table = &records.iter().find(|record| record.name == "down-history").unwrap().stdout;
    let mut text = String::new();
    for ad in snapshots::past(&whole, table).iter().rev() {
        text += &(classad::ad_to_long(ad) + "*** Offset = 0\n");
    }
    std::fs::create_dir(bench.world.work_dir.join("state")).unwrap();
    std::fs::write(bench.world.work_dir.join("state/history.db"), text).unwrap();
    replay("cli_down", &records, &mut bench, &|_, _| ());
}

fn bench_with_files() -> Bench {
    let bench = Bench::new();
    for (name, text) in SUBMIT_FILES {
        bench.write(name, text);
    }
    bench
}

/// The submit files of the sessions; their texts were not recorded, these have the recorded effects.
const SUBMIT_FILES: &[(&str, &str)] = &[
    (
        "sleep.sub",
        "executable = /bin/sleep\narguments = 600\noutput = out.$(Process)\nerror = err.$(Process)\nlog = sleep.log\nrequest_memory = 100\nqueue 3\n",
    ),
    (
        "idle.sub",
        "executable = /bin/sleep\narguments = 20\npriority = 5\nbatch_name = mybatch\nrequirements = HasNothing =?= true\nqueue 2\n",
    ),
    (
        "held.sub",
        "executable = /bin/echo\narguments = \"hi 'a b'\"\nhold = true\nlog = held.log\n+Foo = \"bar\"\n+Num = 3.5\nqueue 2\n",
    ),
    ("done.sub", "executable = /bin/true\nleave_in_queue = true\nqueue\n"),
    ("hold2.sub", "executable = /bin/sleep\nhold = true\nqueue 2\n"),
    ("one.sub", "executable = /bin/sleep\narguments = 1\n"),
    ("bad.sub", "executable = nosuch\nqueue\n"),
    ("w.sub", "executable = /bin/sleep\narguments = 5\nlog = w.log\nqueue 2\n"),
    ("missing-input.sub", "executable = /bin/sleep\ninput = nosuch.in\nqueue\n"),
    ("missing-transfer-input.sub", "executable = /bin/sleep\ntransfer_input_files = nosuch.in\nqueue\n"),
    ("blank-items.sub", "executable = /bin/sleep\nhold = true\n+I = \"$(I)\"\nqueue I from (\na\n\nb\n)\n"),
    ("items", "a\n\nb\n\n"),
    ("blank-items-file.sub", "executable = /bin/sleep\nhold = true\n+J = \"$(J)\"\nqueue J from items\n"),
    ("queue0.sub", "executable = /bin/sleep\nhold = true\nqueue 0\n"),
    ("noqueue.sub", "executable = /bin/sleep\nhold = true\n"),
    ("empty-file.sub", ""),
    ("output-dir-missing.sub", "executable = /bin/sleep\noutput = nosuchdir/out\nqueue\n"),
    ("spool.sub", "executable = /bin/sleep\narguments = 1\nqueue 2\n"),
    ("remote.sub", "executable = /bin/sleep\narguments = 1\nqueue\n"),
    ("long-cmd.sub", "executable = /bin/sleep\nhold = true\narguments = 500 a_very_long_argument_number_one\nqueue\n"),
    ("batch-a.sub", "executable = /bin/sleep\nhold = true\nbatch_name = shared batch\nqueue 2\n"),
    ("long-batch.sub", "executable = /bin/sleep\nhold = true\nbatch_name = this is a rather long batch name\nqueue\n"),
    ("desc.sub", "executable = /bin/sleep\nhold = true\npriority = -7\ndescription = my description\nqueue\n"),
    ("strings.sub", "executable = /bin/sleep\nhold = true\n+S1 = \"a\\\"b\"\nqueue\n"),
];

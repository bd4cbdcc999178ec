//! Sessions recorded from HTCondor, replayed: what was printed then is printed now, byte for byte.
//!
//! Normalised are addresses, the name of the working directory, and the build in the version string. A command that
//! belongs to another program, or that this shell cannot run, is not counted. What differs on purpose is listed with
//! its reason; a difference that is not listed, and a listed one that is gone, fail the test.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use classad::ClassAd;
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

/// Which programs a session is replayed for.
const OURS: &[&str] = &[
    "condor_config_val",
    "condor_hold",
    "condor_q",
    "condor_release",
    "condor_rm",
    "condor_status -schedd",
    "condor_submit",
    "condor_vacate_job",
    "condor_version",
];

fn is_ours(record: &Record) -> bool {
    let others = ["condor_history", "condor_wait", "condor_qedit", "condor_suspend", "condor_continue"];
    OURS.iter().any(|name| record.cmd.contains(name)) && !others.iter().any(|name| record.cmd.contains(name))
}

fn normalised(text: &str, bench: &Bench) -> String {
    let text = text.replace(bench.world.cwd.as_str(), "/home/alice/jobs");
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
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

/// What a session prints differently on purpose, with the reason.
type Differences = BTreeMap<&'static str, &'static str>;

/// Replays the records; `before` prepares the bench for each of them.
fn replay(
    file: &str,
    records: &[Record],
    bench: &mut Bench,
    known: &Differences,
    before: &dyn Fn(&mut Bench, &Record),
) {
    let (mut passed, mut total, mut odd) = (0, 0, Vec::new());
    for record in records {
        before(bench, record);
        if !is_ours(record) {
            continue;
        }
        if let Some(master) = &bench.master {
            let mut state = master.state();
            if let Some(now_s) = shown_time_s(record) {
                state.site.now_s = now_s;
            }
            state.site.user = record.user.clone().unwrap_or_else(|| "alice".to_owned());
        }
        let Some((code, out, err)) = crate::shell::run(bench, &record.cmd) else {
            continue;
        };
        total += 1;
        let got = (code, normalised(&out, bench), normalised(&err, bench));
        let wanted = (record.rc, normalised(&record.stdout, bench), normalised(&record.stderr, bench));
        if got == wanted {
            passed += 1;
            assert!(!known.contains_key(record.name.as_str()), "{}: no longer differs", record.name);
        } else if !known.contains_key(record.name.as_str()) {
            odd.push(format!("{} $ {}\n got {got:#?}\n wanted {wanted:#?}", record.name, record.cmd));
        }
    }
    println!("{file}: {passed} of {total} commands byte for byte, {} differences on purpose", known.len());
    for (name, why) in known {
        println!("  {name}: {why}");
    }
    assert!(odd.is_empty(), "{file}: {passed} of {total}\n{}", odd.join("\n"));
    assert_eq!(passed + known.len(), total, "a known difference was not replayed");
}

/// Removed and completed jobs of earlier commands are not this test's business.
fn set_queue(bench: &mut Bench, jobs: Vec<ClassAd>) {
    bench.master().state().jobs = jobs;
}

const TOTALS: &str = "-totals ends with the totals line itself (decision D61)";
const NO_SLOTS: &str = "matching is not analysed";
const NO_FILES: &str = "no configuration files";

#[test]
fn the_main_session() {
    let records = records("cli.jsonl");
    let known = Differences::from([
        ("q-empty-totals", TOTALS),
        ("q-totals", TOTALS),
        ("q-global", TOTALS),
        ("q-name", TOTALS),
        ("submit-version-opt", "-version answers like the others (decision D62)"),
        ("q-limit", "HTCondor's choice of jobs has no order; ours are the first ones"),
        ("q-owner-constraint", "as q-limit"),
        ("q-format-hex", "HTCondor prints a stray number for the second conversion"),
        ("q-analyze", NO_SLOTS),
        ("q-better", NO_SLOTS),
        ("q-unmatchable", NO_SLOTS),
        ("q-autocluster", "there are no autoclusters"),
        ("config-val-default", NO_FILES),
        ("config-val-v", NO_FILES),
        ("config-val-raw", NO_FILES),
        ("config-val-dump-match", NO_FILES),
    ]);
    let mut bench = Bench::new();
    for (name, text) in SUBMIT_FILES {
        bench.write(name, text);
    }
    bench.master().state().schedd = snapshots::ads(&records, "status-schedd-long").remove(0);
    let queue = snapshots::main_session(&records);
    replay("cli.jsonl", &records, &mut bench, &known, &|bench, record| match record.name.as_str() {
        "q" => set_queue(bench, queue.clone()),
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

#[test]
fn the_second_session() {
    let records = records("cli_extra.jsonl");
    let known = Differences::from([
        ("q-other-all", TOTALS),
        ("q-other-owner", TOTALS),
        ("q-other-cluster", TOTALS),
        ("rm-long", "the jobs removed before it have already left this queue"),
    ]);
    let mut bench = Bench::new();
    for (name, text) in SUBMIT_FILES {
        bench.write(name, text);
    }
    replay("cli_extra.jsonl", &records, &mut bench, &known, &|bench, record| {
        if let Some(queue) = snapshots::extra_session(&records, &record.name) {
            set_queue(bench, queue);
        }
    });
}

#[test]
fn running_jobs_and_logs() {
    let template = snapshots::ads(&records("cli.jsonl"), "q-long").remove(0);
    for file in ["running.jsonl", "iso.jsonl", "legacy.jsonl", "utc_subsecond.jsonl"] {
        let records = records(file);
        let mut bench = Bench::new();
        replay(file, &records, &mut bench, &Differences::new(), &|bench, record| {
            // Before each table the queue is what the table shows; the commands in between act on it.
            if let Some(now_s) = shown_time_s(record).filter(|_| record.stdout.contains("RUN_TIME ST")) {
                set_queue(bench, snapshots::from_rows(&template, &record.stdout, now_s));
            }
        });
    }
}

#[test]
fn without_a_master() {
    let records = records("cli_down.jsonl");
    let mut bench = Bench::without_master();
    replay("cli_down.jsonl", &records, &mut bench, &Differences::new(), &|_, _| ());
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

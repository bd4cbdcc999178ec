//! `condor_q -analyze` and its kin beyond the recorded case: other requirements, other machines, other states.

use classad::ClassAd;
use control_proto::{Explanation, Machines, Need};

use crate::bench::{Bench, text};

const TITLE: &str = "\n\n-- Schedd: submit.example.org : <127.0.0.1:34327?...\n";

fn ad(text: &str) -> ClassAd {
    ClassAd::from_old_text(text).unwrap()
}

fn job(status: i64, requirements: &str) -> ClassAd {
    ad(&format!(
        "ClusterId = 7\nProcId = 0\nOwner = \"alice\"\nUser = \"alice@example.org\"\nJobUniverse = 5\nJobStatus = {status}\n\
         RequestCpus = 2\nRequestMemory = 128\nRequirements = {requirements}\n"
    ))
}

/// As our master lists a machine.
fn machine(name: &str, cpus: i64, start: &str) -> ClassAd {
    ad(&format!(
        "Name = \"slot1@{name}\"\nMachine = \"{name}\"\nCpus = {cpus}\nState = \"Unclaimed\"\nWorkQueueProtocol = 10\n\
         WorkQueueFreeCpus = {cpus}\nStart = {start}\nRequirements = Start\n"
    ))
}

fn bench(jobs: Vec<ClassAd>, machines: Vec<ClassAd>) -> Bench {
    let bench = Bench::new();
    bench.master().state().jobs = jobs;
    bench.master().state().machines = machines;
    bench
}

#[test]
fn several_clauses_decide_together_and_one_machine_is_shown_whole() {
    let requirements = "TARGET.Cpus >= RequestCpus && (TARGET.Machine != \"b\" || !HasX)";
    let bench = bench(
        vec![job(1, requirements)],
        vec![machine("a", 4, "true"), machine("b", 4, "true"), machine("c", 1, "true")],
    );
    let out = bench.answer("condor_q", &["-better", "7"]);
    let wanted = format!(
        "{TITLE}The Requirements expression for job 7.000 is\n\n    TARGET.Cpus >= RequestCpus && (TARGET.Machine != \"b\" ||  !HasX)\n\n\
         \x20   [0]    : TARGET.Cpus >= RequestCpus\n    [1]    : TARGET.Machine != \"b\"\n    [2]    :  !HasX\n    [3]    : [1] || [2]\n    [4]    : [0] && [3]\n\n\
         Job 7.000 defines the following attributes:\n\n    RequestCpus = 2\n\n\
         The Requirements expression for job 7.000 reduces to these conditions:\n\n        Slots\nStep   Matched  Condition\n----- --------- ---------\n\
         [0]           2  TARGET.Cpus >= RequestCpus\n[1]           2  TARGET.Machine != \"b\"\n[4]           1  [0] && [1]\n\n\n\
         007.000:  Run analysis summary ignoring user priority.  Of 3 slots on 3 machines,\n      2 slots are rejected by your job's requirements\n\
         \x20     0 slots reject your job because of their own requirements\n      1 slots match and are willing to run your job\n\n\n\
         1 machines could take it now: it is about to start.\n"
    );
    assert_eq!(out, wanted);
    let one = bench.answer("condor_q", &["-better-analyze", "7.0", "-machine", "b"]);
    assert!(
        one.contains(
            "\n\nslot1@b has the following attributes:\n\n    TARGET.Cpus = 4\n    TARGET.Machine = \"b\"\n\n"
        ),
        "{one}"
    );
    assert!(one.contains("Of 1 slots on 1 machines,\n      1 slots are rejected"), "{one}");
    assert!(one.contains("No machines matched the job's constraints"), "{one}");
}

#[test]
fn requirements_do_not_see_what_a_machine_does_just_now() {
    let bench =
        bench(vec![job(1, "TARGET.State == \"Unclaimed\"")], vec![machine("a", 4, "true"), machine("b", 4, "true")]);
    let out = bench.answer("condor_q", &["-analyze", "-mconstraint", "Cpus > 1"]);
    assert!(out.contains("[0]           0  TARGET.State == \"Unclaimed\"\n"), "{out}");
}

#[test]
fn what_htcondor_has_no_words_for_follows_in_sentences() {
    let bench = bench(vec![job(1, "TARGET.Cpus > 0")], vec![machine("a", 4, "true"), machine("b", 4, "true")]);
    let machines = Machines { all: 2, hosts: 2, small: 1, busy: 1, ..Machines::default() };
    let needs = vec![Need { of: "MB of memory".into(), asked: 128, largest: 64, enough: 0 }];
    let why = Explanation { job: (7, 0), status: 1, machines, needs, ..Explanation::default() };
    bench.master().state().explanations = vec![why];
    let out = bench.answer("condor_q", &["-analyze", "7"]);
    let (summary, rest) = out.split_once("7.000:  Run").unwrap();
    // Every machine fulfils the requirements, so nothing is said of them.
    assert_eq!(summary, format!("{TITLE}\n00"));
    assert!(rest.contains("      1 slots reject your job because of their own requirements\n"), "{rest}");
    assert!(rest.contains("      1 slots match but are serving other users\n"), "{rest}");
    assert!(
        rest.ends_with(
            "No successful match recorded.\nLast failed match: Sat Nov 21 19:41:06 2026 from submit.example.org\n\
             Reason for last match failure: no match found\n\n\
             It asks for 128 MB of memory, and the largest machine has 64. Ask for less (condor_qedit 7.0 RequestMemory 64), or \
             start larger workers.\n\n\
             1 machines would do and are busy: it starts when one has room. More workers help; condor_prio puts it before \
             your other jobs.\n"
        ),
        "{rest}"
    );
    bench.master().state().machines.clear();
    bench.master().state().explanations.clear();
    let none = bench.answer("condor_q", &["-analyze", "7"]);
    assert!(none.ends_with(
        "\n\nNo worker is connected. Start workers for this alien_work_queue; condor_status lists those that came.\n"
    ));
}

#[test]
fn jobs_that_do_not_wait_say_what_they_are() {
    let mut held = job(5, "TARGET.Cpus > 0");
    held.insert("HoldReason", "because");
    held.insert("JobCurrentStartDate", 1_795_290_000);
    let bench = bench(vec![held], vec![machine("a", 4, "true"), machine("b", 4, "false")]);
    let out = bench.answer("condor_q", &["-analyze", "7"]);
    assert!(
        out.contains(
            "      1 slots reject your job because of their own requirements\n      1 slots match and are willing"
        ),
        "{out}"
    );
    let end = "\n\n007.000:  Job is held.\n\nHold reason: because\n\nLast successful match: Sat Nov 21 19:40:00 2026\n";
    assert!(out.ends_with(end), "{out}");
}

#[test]
fn machines_say_which_jobs_they_would_take() {
    let mut other = job(1, "TARGET.Cpus > 8");
    other.insert("ProcId", 1);
    let bench = bench(vec![job(1, "TARGET.Cpus > 0"), other], vec![machine("a", 4, "true"), machine("b", 4, "false")]);
    let out = bench.answer("condor_q", &["-reverse-analyze"]);
    let wanted = format!(
        "{TITLE}Analyzing matches for 2 jobs\n\
         \x20                Slot  Slot's Req    Job's Req     Both   \n\
         Name             Type  Matches Job Matches Slot    Match %\n\
         ---------------- ---- ------------ ------------ ----------\n\
         slot1@a          Stat            2            1      50.00\n\
         slot1@b          Stat            0            1       0.00\n"
    );
    assert_eq!(out, wanted);
    let one = bench.answer("condor_q", &["-reverse", "-machine", "slot1@b"]);
    let wanted = format!(
        "{TITLE}\n-- Slot: slot1@b : Analyzing matches for 2 Jobs in 2 autoclusters\n\n\
         The Requirements expression for this slot is\n\n    Start\n\n  START is\n    false\n\n    [0]    : Start\n\n\
         This slot defines the following attributes:\n\n\n\
         The Requirements expression for this slot reduces to these conditions:\n\n       Clusters\nStep   Matched  Condition\n----- --------- ---------\n\
         [0]       never  Start\n\n\
         slot1@b: Run analysis summary of 2 jobs.\n    0 (0.00 %) match both slot and job requirements.\n    0 match the requirements of this slot.\n\
         \x20   1 have job requirements that match this slot.\n"
    );
    assert_eq!(one, wanted);
}

#[test]
fn summaries_have_a_line_a_job() {
    let mut other = job(1, "TARGET.Cpus > 8");
    other.insert("ProcId", 1);
    let bench = bench(vec![job(1, "TARGET.Cpus > 0"), other], vec![machine("a", 4, "true"), machine("b", 4, "true")]);
    let out = bench.answer("condor_q", &["-analyze:summary"]);
    let rows: Vec<&str> = out.lines().skip(7).collect();
    assert_eq!(
        rows,
        [
            "7.0                                   2           0           0          0         2 ",
            "7.1                                   0           0           0          0         0 "
        ]
    );
    assert_eq!(
        bench.answer("condor_q", &["-analyze", "-unmatchable"]),
        format!("{TITLE}No slots match autocluster -1, jobs : 7.1\n")
    );
}

#[test]
fn machines_and_jobs_may_come_from_files() {
    let bench = Bench::new();
    bench.write(
        "slots",
        "Name = \"slot1@x\"\nMachine = \"x\"\nCpus = 1\n\nName = \"slot2@x\"\nMachine = \"x\"\nCpus = 8\n",
    );
    bench.write("jobs.json", "[\n{ \"ClusterId\": 3, \"ProcId\": 1, \"JobStatus\": 1, \"Owner\": \"bob\", \"Cmd\": \"/bin/x\" },\n{ \"ClusterId\": 3, \"ProcId\": 0, \"JobStatus\": 5, \"Owner\": \"bob\" }\n]\n");
    bench.master().state().jobs = vec![job(1, "TARGET.Cpus > 4")];
    let path = |name: &str| bench.path(name).to_str().unwrap().to_owned();
    let out = bench.answer("condor_q", &["-better", "7.0", "-slotads", &path("slots")]);
    assert!(out.contains("Of 2 slots on 1 machines,\n      1 slots are rejected"), "{out}");
    let jobs = path("jobs.json");
    assert_eq!(bench.answer("condor_q", &["-jobads", &jobs, "-af:j", "JobStatus"]), "3.0 5\n3.1 1\n");
    assert_eq!(bench.answer("condor_q", &["-jobads:json", &jobs, "3.1", "-format", "%s\\n", "Cmd"]), "/bin/x\n");
    let totals = bench.answer("condor_q", &["-jobads", &jobs, "-const", "JobStatus == 5", "-totals"]);
    assert!(
        totals.starts_with(&format!("\n\n-- Jobads: {jobs} @ 11/21/26 19:41:06\nTotal for query: 1 jobs; 0 completed")),
        "{totals}"
    );
    let missing = bench.run("condor_q", &["-jobads", "/no/such"]);
    assert_eq!((missing.code, text(&missing.out)), (1, String::new()));
    assert!(text(&missing.err).starts_with("Can't open file of ClassAds: /no/such"));
}

#[test]
fn an_event_log_is_a_queue_too() {
    let bench = Bench::without_master();
    let usage = ["Run Remote", "Run Local", "Total Remote", "Total Local"]
        .map(|of| format!("\t\tUsr 0 00:00:00, Sys 0 00:00:00  -  {of} Usage\n"))
        .concat();
    let bytes = ["Run Bytes Sent By", "Run Bytes Received By", "Total Bytes Sent By", "Total Bytes Received By"]
        .map(|of| format!("\t0  -  {of} Job\n"))
        .concat();
    let end = format!("Job terminated.\n\t(1) Normal termination (return value 3)\n{usage}{bytes}...\n");
    let log = format!(
        "000 (003.000.000) 2026-11-21 19:41:00 Job submitted from host: <127.0.0.1:1>\n...\n\
         000 (003.001.000) 2026-11-21 19:41:00 Job submitted from host: <127.0.0.1:1>\n...\n\
         001 (003.000.000) 2026-11-21 19:41:02 Job executing on host: <127.0.0.1:2>\n\tSlotName: slot1@w\n...\n\
         012 (003.001.000) 2026-11-21 19:41:03 Job was held.\n\tmine\n\tCode 1 Subcode 0\n...\n\
         005 (003.000.000) 2026-11-21 19:41:05 {end}005 (004.000.000) 2026-11-21 19:41:05 {end}"
    );
    bench.write("job.log", &log);
    let words = [
        "-userlog",
        "job.log",
        "-af:j",
        "JobStatus",
        "ExitCode",
        "RemoteWallClockTime",
        "HoldReason",
        "LastRemoteHost",
    ];
    assert_eq!(bench.answer("condor_q", &words), "3.0 4 3 3.0 undefined slot1@w\n3.1 5 undefined 0.0 mine undefined\n");
    let table = bench.answer("condor_q", &["-userlog", "job.log", "-hold"]);
    assert!(table.starts_with("\n\n-- Userlog: job.log @ 11/21/26 19:41:06\n ID "), "{table}");
    assert!(
        table.contains("\n   3.1   ???            11/21 19:41    1/0   mine\n\nTotal for query: 1 jobs;"),
        "{table}"
    );
    let missing = bench.run("condor_q", &["-userlog", "nosuch"]);
    assert_eq!((missing.code, text(&missing.err)), (1, "\nCan't open user log: nosuch\n".to_owned()));
}

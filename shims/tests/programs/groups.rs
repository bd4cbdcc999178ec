//! Rows of `condor_q` that are no single jobs: `-factory`, `-jobset`, `-hold-codes`, `-group-by`, `-autocluster` and what print-format
//! files say of that kind.

use classad::ClassAd;
use control_proto::Request;

use crate::bench::{Bench, text};

const HEAD: &str = "\n\n-- Schedd: submit.example.org : <127.0.0.1:34327?... @ 11/21/26 19:41:06\n";

fn job(number: &str, owner: &str, more: &str) -> ClassAd {
    let (cluster, proc) = number.split_once('.').unwrap();
    let text = format!(
        "ClusterId = {cluster}\nProcId = {proc}\nOwner = \"{owner}\"\nJobStatus = 1\nQDate = 1795290079\n{more}"
    );
    ClassAd::from_old_text(&text).unwrap()
}

fn held(number: &str, code: i64, subcode: &str, reason: &str) -> ClassAd {
    job(
        number,
        "alice",
        &format!(
            "JobStatus = 5\nHoldReasonCode = {code}\n{subcode}HoldReason = \"{reason}\"\nEnteredCurrentStatus = 1795290066\n"
        ),
    )
}

fn ran(bench: &Bench, words: &[&str]) -> (i32, String, String) {
    let outcome = bench.run("condor_q", words);
    (outcome.code, text(&outcome.out), text(&outcome.err))
}

#[test]
fn factories_have_a_row_each_and_are_asked_for_as_such() {
    let bench = Bench::new();
    let titles = " ID      OWNER            SUBMITTED  LIMIT PRESNT   RUN    IDLE   HOLD NEXTID MODE DIGEST\n";
    assert_eq!(bench.answer("condor_q", &["-factory"]), format!("{HEAD}{titles}"));
    let factory = |cluster: u32, more: &str| {
        let text = format!(
            "ClusterId = {cluster}\nOwner = \"alice\"\nQDate = 1795290079\nJobMaterializeLimit = 5\nJobsPresent = 4\nJobsRunning = 1\n\
             JobsIdle = 2\nJobsHeld = 1\nJobMaterializeNextProcId = 12\n{more}"
        );
        ClassAd::from_old_text(&text).unwrap()
    };
    bench.master().state().factories = vec![
        factory(7, "JobMaterializePaused = 0\n"),
        factory(1234, "JobMaterializePaused = 1\nJobMaterializeDigestFile = \"/spool/c.digest\"\n"),
    ];
    bench.master().state().jobs = vec![job("7.0", "alice", "")];
    let rows = [
        "   7.    alice          11/21 19:41      5      4      1      2      1     12 Norm undefined\n",
        "1234.    alice          11/21 19:41      5      4      1      2      1     12 Held /spool/c.digest\n",
    ];
    for option in ["-factory", "-fact", "-factory:clusters,late"] {
        assert_eq!(bench.answer("condor_q", &[option]), format!("{HEAD}{titles}{}{}", rows[0], rows[1]));
    }
    assert_eq!(bench.answer("condor_q", &["-factory", "1234"]), format!("{HEAD}{titles}{}", rows[1]));
    assert_eq!(bench.answer("condor_q", &["-factory", "-af", "ClusterId", "JobsIdle"]), "7 2\n1234 2\n");
    assert_eq!(bench.answer("condor_q", &["-factory", "-long", "-attr", "JobsHeld", "7"]), "JobsHeld = 1\n\n");
    match bench.master().state().requests.last() {
        Some(Request::Query(query)) => {
            assert!(query.factories && query.select.constraints.contains(&"ProcId is undefined".to_owned()));
        }
        other => panic!("{other:?}"),
    }
    // A table of jobs stays one.
    assert!(bench.answer("condor_q", &["-factory", "-run"]).contains("HOST(S)"));
    let unknown = (1, String::new(), "Error: unknown option x for -factory\n".to_owned());
    assert_eq!(ran(&bench, &["-factory:x"]), unknown);
}

#[test]
fn there_are_no_job_sets() {
    let bench = Bench::new();
    bench.master().state().jobs = vec![job("7.0", "alice", "JobSetName = \"js\"\n")];
    let titles = "JOBSETID NAME OWNER COMPLETE REMOVED    IDLE RUNNING    HELD\n";
    assert_eq!(bench.answer("condor_q", &["-jobset"]), format!("{HEAD}{titles}"));
    assert_eq!(bench.answer("condor_q", &["-jobset", "-long"]), "");
    assert_eq!(bench.answer("condor_q", &["-jobset", "-af", "JobSetName"]), "");
}

#[test]
fn holds_are_counted_by_code_and_the_oldest_job_is_shown() {
    let bench = Bench::new();
    let sub = |code: i64| format!("HoldReasonSubCode = {code}\n");
    bench.master().state().jobs = vec![
        held("7.0", 3, &sub(0), "policy"),
        held("7.1", 12, &sub(2), "output"),
        job("7.2", "alice", ""),
        held("8.0", 3, &sub(0), "policy again"),
        held("9.0", 3, &sub(5), "other"),
        held("10.0", 26, "", "no subcode"),
    ];
    let titles = "OWNER          CODE/SUB    COUNT  OLDEST_JOB_ID HELD_SINCE  HOLD_REASON\n";
    let rows = "\
        alice            12/2           1 7.1           11/21 19:41 output\n\
        alice            26             1 10.0          11/21 19:41 no subcode\n\
        alice             3/0           2 7.0           11/21 19:41 policy\n\
        alice             3/5           1 9.0           11/21 19:41 other\n";
    for option in ["-hold-codes", "-hold-c", "-holdcodes"] {
        assert_eq!(bench.answer("condor_q", &[option]), format!("{HEAD}{titles}{rows}"), "{option}");
    }
    let (code, out, err) = ran(&bench, &["-hold-codes:12,x"]);
    let wanted = format!("{HEAD}{titles}{}\n", rows.lines().next().unwrap());
    let warning = "Warning \"x\" is not a hold code and/or subcode. ignoring\n";
    assert_eq!((code, out, err), (0, wanted, warning.to_owned()));
    let (code, _, err) = ran(&bench, &["-idle", "-hold-codes"]);
    assert_eq!((code, err), (1, "-hold-codes incompatible with -idle or -run\n".to_owned()));
}

fn mixed() -> Bench {
    let bench = Bench::new();
    let request =
        |cpus: i64| format!("RequestCpus = {cpus}\nRequestMemory = 128\nRequestDisk = 10\nRequirements = true\n");
    bench.master().state().jobs = vec![
        job("7.0", "alice", &request(1)),
        job("7.1", "alice", &(request(2) + "JobStatus = 2\n")),
        job("8.0", "bob", &request(1)),
        job("9.0", "bob", &(request(1) + "JobStatus = 2\n")),
    ];
    bench
}

#[test]
fn jobs_that_are_alike_in_what_is_asked_for_are_one_row() {
    let bench = mixed();
    let af = |words: &[&str]| bench.answer("condor_q", &[&["-group-by"], words].concat());
    assert_eq!(af(&["-af", "JobStatus", "RequestCpus", "JobCount", "Id"]), "1 1 2 1\n2 2 1 2\n2 1 1 3\n");
    assert_eq!(af(&["-constraint", "JobStatus == 1", "-af", "Owner", "JobCount"]), "alice 1\nbob 1\n");
    assert_eq!(af(&["-limit", "1", "-af", "Owner", "JobCount"]), "alice 2\n");
    assert_eq!(
        af(&["-long", "-attributes", "JobStatus"]),
        "Id = 1\nJobCount = 2\nJobStatus = 1\n\nId = 2\nJobCount = 2\nJobStatus = 2\n\n"
    );
    // A table of jobs shows what makes each job another one.
    assert_eq!(af(&[]), bench.answer("condor_q", &["-nobatch", "-allusers"]));
    let (code, _, err) = ran(&bench, &["-batch", "-group-by"]);
    assert_eq!((code, err), (1, "Error: -batch conflicts with -group-by\n".to_owned()));
    let clusters = bench.answer("condor_q", &["-autocluster", "-af", "AutoClusterId", "RequestCpus", "JobCount"]);
    assert_eq!(clusters, "1 1 3\n2 2 1\n");
    assert!(bench.answer("condor_q", &["-autocluster"]).lines().any(|line| line.starts_with("    1     3 ")));
}

#[test]
fn print_formats_count_what_is_alike() {
    let bench = mixed();
    let rows = |file: &str| {
        bench.write("file.cpf", file);
        bench.answer("condor_q", &["-pr", bench.path("file.cpf").to_str().unwrap()])
    };
    assert_eq!(
        rows(
            "SELECT UNIQUE NOTITLE\n Owner\n JobStatus AS ST PRINTAS JOB_STATUS\n JobCount AS N\nGROUP BY Owner DESCENDING\n"
        ),
        "Owner ST N\nbob   I  1\nbob   R  1\nalice I  1\nalice R  1\n"
    );
    assert_eq!(
        rows("SELECT FROM AUTOCLUSTER BARE\n AutoClusterId\n RequestCpus\n JobCount\n"),
        "1             1           3       \n2             2           1       \n"
    );
}

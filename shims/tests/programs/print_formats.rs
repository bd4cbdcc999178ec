//! `-print-format` of `condor_q`, `condor_history` and `condor_status`; `-sort` and `-ads` of the last.

use classad::ClassAd;

use crate::bench::{Bench, text};

fn ad(text: &str) -> ClassAd {
    ClassAd::from_old_text(text).unwrap()
}

fn job(cluster: i64, proc: i64, status: i64, more: &str) -> ClassAd {
    ad(&format!(
        "ClusterId = {cluster}\nProcId = {proc}\nOwner = \"alice\"\nJobStatus = {status}\nQDate = 1795290079\nJobPrio = 5\n\
         RemoteUserCpu = 0.0\nRemoteWallClockTime = 61.0\nImageSize = 2048\nCmd = \"/bin/sleep\"\nArgs = \"20\"\nJobUniverse = 5\n\
         GlobalJobId = \"h#{cluster}.{proc}\"\n{more}"
    ))
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.master().state().jobs =
        vec![job(7, 0, 1, "Foo = 2.5\n"), job(7, 1, 2, "MemoryUsage = 12\n"), job(12, 0, 5, "Foo = \"long text\"\n")];
    bench
}

/// `condor_q -print-format` of a file with this text.
fn rows(bench: &Bench, file: &str, more: &[&str]) -> String {
    bench.write("file.cpf", file);
    let path = bench.path("file.cpf").to_str().unwrap().to_owned();
    let words: Vec<&str> = ["-print-format", &path].into_iter().chain(more.iter().copied()).collect();
    bench.answer("condor_q", &words)
}

const HEAD: &str = "\n\n-- Schedd: submit.example.org : <127.0.0.1:34327?... @ 11/21/26 19:41:06\n";

#[test]
fn the_manuals_table_is_the_one_of_nobatch() {
    let bench = bench();
    // As the manual has it, but for the width of SIZE, which is that of the program's own table.
    let file = "# queue.cpf\nSELECT\n\
        \x20  ClusterId     AS ' ID'          NOSUFFIX WIDTH 5 PRINTF '%4d.'\n\
        \x20  ProcId        AS ' '            NOPREFIX WIDTH 3 PRINTF '%-3d'\n\
        \x20  Owner         AS OWNER                   WIDTH -14  PRINTAS OWNER OR ??\n\
        \x20  QDate         AS '  SUBMITTED'           WIDTH 11   PRINTAS QDATE\n\
        \x20  RemoteUserCpu AS '    RUN_TIME'          WIDTH 12   PRINTAS CPU_TIME\n\
        \x20  JobStatus     AS ST                                 PRINTAS JOB_STATUS\n\
        \x20  JobPrio       AS PRI   WIDTH AUTO\n\
        \x20  ImageSize     AS SIZE                    WIDTH 4    PRINTAS MEMORY_USAGE\n\
        \x20  Cmd           AS CMD                     WIDTH 0    PRINTAS JOB_DESCRIPTION\n\
        SUMMARY STANDARD\n";
    assert_eq!(rows(&bench, file, &[]), bench.answer("condor_q", &["-nobatch"]));
}

#[test]
fn columns_grow_and_stand_left_or_right() {
    let bench = bench();
    let file = "SELECT NOTITLE\n  ClusterId AS Cluster\n  Foo\n  Foo AS F OR ?? WIDTH 6\n  Owner WIDTH 3 TRUNCATE\n  JobPrio WIDTH 4 PRINTF %03d\n  strcat(Owner, \"x\") AS 'Two words' LEFT\n";
    assert_eq!(
        rows(&bench, file, &[]),
        "Cluster Foo                   F      Owner JobPrio Two words\n\
         7       2.5                      2.5 ali  005 alicex   \n\
         7       undefined             [????] ali  005 alicex   \n\
         12      long text             long text ali  005 alicex   \n"
    );
}

#[test]
fn what_surrounds_fields_and_records() {
    let bench = bench();
    let bare = "SELECT BARE RECORDPREFIX '<' RECORDSUFFIX '>\\n' FIELDPREFIX '|' FIELDSUFFIX ;\n ProcId\n JobStatus NOPREFIX NOSUFFIX PRINTAS JOB_STATUS_RAW\n Owner\nWHERE ClusterId == 7\n";
    assert_eq!(rows(&bench, bare, &[]), "<0     ;Idle     |alice>\n<1     ;Running  |alice>\n");
    let labels = "SELECT NOTITLE LABEL SEPARATOR ': ' FIELDPREFIX '' RECORDSUFFIX '\\n\\n' FIELDSUFFIX '\\n'\n ClusterId AS Cluster\n Owner\n";
    assert_eq!(rows(&bench, labels, &["7.0"]), "Cluster: 7\nOwner: alice\n\n");
}

#[test]
fn rows_are_chosen_sorted_and_summed_up() {
    let bench = bench();
    let file = "SELECT NOHEADER\n JobId PRINTAS JOB_ID WIDTH AUTO AS ''\nWHERE JobStatus != 2\nGROUP BY\n JobStatus DESCENDING\n ProcId\nSUMMARY\n Jobs PRINTF '%d jobs,'\n Held PRINTF '%d held'\n";
    assert_eq!(rows(&bench, file, &[]), format!("{HEAD}12.0\n7.0 \nJobs    Held  \n\n2 jobs, 1 held\n\n"));
    assert_eq!(rows(&bench, "SELECT NOHEADER NOTITLE\nSUMMARY STANDARD\n", &["7"]).lines().count(), 4);
    assert_eq!(rows(&bench, "", &[]), HEAD);
}

#[test]
fn functions_make_words_of_values() {
    let bench = bench();
    for (column, wanted) in [
        ("QDate PRINTAS QDATE", "11/21 19:41"),
        ("QDate PRINTF %Y", "11/21 19:41"),
        ("RemoteWallClockTime PRINTAS RUNTIME", "0+00:01:01"),
        ("JobUniverse PRINTAS JOB_UNIVERSE", "Vanilla"),
        ("ImageSize PRINTAS READABLE_KB", "2.0 MB"),
        ("3000000 PRINTAS READABLE_MB", "2.9 TB"),
        ("{ 2,1,2 } PRINTAS UNIQUE", "1, 2"),
        ("{ \"a\",1,\"b\" } PRINTAS STRINGS_FROM_LIST", "a, b"),
        ("\"a, b c\" PRINTAS MEMBER_COUNT", "3"),
        ("Dummy PRINTAS JOB_COMMAND", "/bin/sleep 20"),
        ("\"$CondorVersion: 25.13.2 2026-08-20 $\" PRINTAS CONDOR_VERSION", "25.13.2"),
        ("\"$CondorPlatform: X86_64-AlmaLinux_8.10 $\" PRINTAS CONDOR_PLATFORM", "x86_64_AlmaLinux_8"),
        ("2 PRINTAS JOB_FACTORY_MODE", "Done"),
        ("1.0 / 3 PRINTAS LOAD_AVG", "0.333"),
        ("Nothing PRINTAS GRID_STATUS OR *", "*"),
    ] {
        assert_eq!(
            rows(&bench, &format!("SELECT BARE\n {column} AS ''\n"), &["7.0"]),
            format!("{wanted}\n"),
            "{column}"
        );
    }
}

#[test]
fn complaints_are_on_standard_error_and_the_rest_is_shown() {
    let bench = bench();
    bench.write("bad.cpf", "SELECT BARE ODD\n ClusterId PRINTAS NOSUCH\n 1 +\n ProcId WIDTH\nSUMMARY ODD\n");
    let path = bench.path("bad.cpf").to_str().unwrap().to_owned();
    let outcome = bench.run("condor_q", &["-pr", &path, "7.1"]);
    assert_eq!(outcome.code, 0);
    let err = text(&outcome.err);
    for complaint in [
        "Warning: Unknown header argument ODD for SELECT\n",
        "Unknown argument NOSUCH for PRINTAS\n",
        "attribute or expression is not valid: 1 +\n",
        "expected number or AUTO after WIDTH",
    ] {
        assert!(err.contains(complaint), "{complaint}: {err}");
    }
    assert!(text(&outcome.out).starts_with("7         1"), "{}", text(&outcome.out));
    bench.write("join.cpf", "SELECT BARE\n ClusterId \\\n   AS C\n JOIN Slot ON Machine == 1\nAND Odd\n JOIN USING Name\n  other words\nJOIN\n");
    let joined = bench.run("condor_q", &["-pr", bench.path("join.cpf").to_str().unwrap(), "7.1"]);
    let words = "ON was unexpected at line 4 offset 10 in JOIN\n\
                 expected data set name before ON or USING at line 6 offset 5 in JOIN\n\
                 words was unexpected at line 7 offset 6 in JOIN\n";
    assert_eq!((joined.code, text(&joined.out), text(&joined.err)), (0, "7\n".to_owned(), words.to_owned()));
    let missing = bench.run("condor_q", &["-pr", "/no/such"]);
    let words = "Can't open select file: /no/such\nError: invalid select file /no/such\n";
    assert_eq!((missing.code, text(&missing.out), text(&missing.err)), (1, String::new(), words.to_owned()));
}

#[test]
fn history_and_status_read_them_too() {
    let bench = bench();
    bench.master().state().past = vec![job(12, 0, 4, ""), job(7, 0, 3, "")];
    bench.master().state().machines = ["b 2 8", "a 1 4", "c 3 8"].map(|words| {
        let words: Vec<&str> = words.split(' ').collect();
        ad(&format!(
            "Name = \"slot1@{0}\"\nMachine = \"{0}\"\nSlotID = 1\nState = \"Claimed\"\nActivity = \"Busy\"\nN = {1}\nCpus = {2}\n",
            words[0], words[1], words[2]
        ))
    })
    .into();
    bench.write("short.cpf", "SELECT\n ClusterId AS ID\n Owner\nWHERE ClusterId > 0\n");
    bench.write("slots.cpf", "SELECT\n Name\n Dummy AS ST PRINTAS ACTIVITY_CODE\nGROUP BY N DESCENDING\n");
    let path = |name: &str| bench.path(name).to_str().unwrap().to_owned();
    let past = bench.answer("condor_history", &["-print-format", &path("short.cpf")]);
    assert_eq!(past, "ID Owner\n12 alice\n7  alice\n");
    let slots = bench.answer("condor_status", &["-pr", &path("slots.cpf"), "-constraint", "Cpus == 8"]);
    assert_eq!(slots, "Name    ST\nslot1@c Cb\nslot1@b Cb\n");
    let names = |words: &[&str]| {
        let words: Vec<&str> = words.iter().copied().chain(["-af", "Machine"]).collect();
        bench.answer("condor_status", &words).replace('\n', "")
    };
    assert_eq!(names(&[]), "abc");
    assert_eq!(names(&["-sort", "Cpus", "-sort", "-N"]), "acb");
    assert_eq!(names(&["-sort", "no"]), "bac");
    let bad = bench.run("condor_status", &["-sort", "1 +"]);
    assert_eq!((bad.code, text(&bad.out)), (1, String::new()));
    bench.write("ads", "Name = \"slot1@z\"\nMachine = \"z\"\nCpus = 1\n");
    assert_eq!(names(&["-ads", &path("ads")]), "z");
    assert_eq!(names(&["-ads", &path("ads"), "-constraint", "Cpus > 1"]), "");
}

#[test]
fn a_history_may_be_an_event_log() {
    let bench = Bench::without_master();
    bench.write(
        "job.log",
        "000 (003.000.000) 2026-11-21 19:41:00 Job submitted from host: <127.0.0.1:1>\n...\n\
         000 (004.000.000) 2026-11-21 19:41:01 Job submitted from host: <127.0.0.1:1>\n...\n\
         009 (003.000.000) 2026-11-21 19:41:03 Job was aborted.\n\tby me\n...\n",
    );
    let words = ["-userlog", "job.log", "-af", "ClusterId", "JobStatus", "RemoveReason"];
    assert_eq!(bench.answer("condor_history", &words), "4 1 undefined\n3 3 by me\n");
    let missing = bench.run("condor_history", &["-userlog", "nosuch"]);
    assert_eq!(missing.code, 1);
    assert_eq!(text(&missing.err), "Error opening history file nosuch: No such file or directory\n");
}

#[test]
fn what_is_alike_is_counted_by_condor_q_only() {
    let bench = bench();
    for (file, line) in [("unique.cpf", "SELECT UNIQUE\n Owner\n"), ("from.cpf", "SELECT FROM AUTOCLUSTER\n Owner\n")] {
        bench.write(file, line);
        let path = bench.path(file).to_str().unwrap().to_owned();
        let said = |program: &str| {
            let outcome = bench.run(program, &["-pr", &path]);
            (outcome.code, text(&outcome.out), text(&outcome.err))
        };
        let unserved =
            format!("UNIQUE aggregation is not supported.\nError: cannot execute print-format file {path}\n");
        assert_eq!(said("condor_history"), (1, String::new(), unserved));
        let unserved = format!("print-format aggregation not supported\nError: invalid select file {path}\n");
        assert_eq!(said("condor_status"), (1, String::new(), unserved));
    }
    let missing = bench.run("condor_history", &["-pr", "/no/such"]);
    let words = "Can't open select file: /no/such\nError: cannot execute print-format file /no/such\n";
    assert_eq!((missing.code, text(&missing.err)), (1, words.to_owned()));
    let missing = bench.run("condor_status", &["-pr", "/no/such"]);
    let words = "Can't open select file: /no/such\nError: invalid select file /no/such\n";
    assert_eq!((missing.code, text(&missing.err)), (1, words.to_owned()));
}

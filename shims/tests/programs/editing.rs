//! `condor_qedit`: which jobs, which changes, all or none.

use classad::ClassAd;

use crate::bench::{Bench, text};

fn bench() -> Bench {
    let bench = Bench::new();
    let job = |cluster: u32, proc: u32, owner: &str| {
        ClassAd::from_old_text(&format!("ClusterId = {cluster}\nProcId = {proc}\nOwner = \"{owner}\"\nJobStatus = 1\n"))
            .unwrap()
    };
    bench.master().state().jobs = vec![job(7, 0, "alice"), job(7, 1, "alice"), job(8, 0, "alice"), job(9, 0, "bob")];
    bench
}

fn edit(bench: &Bench, words: &[&str]) -> (i32, String, String) {
    let outcome = bench.run("condor_qedit", words);
    (outcome.code, text(&outcome.out), text(&outcome.err))
}

fn set(name: &str, count: u32) -> (i32, String, String) {
    (0, format!("Set attribute \"{name}\" for {count} matching jobs.\n"), String::new())
}

#[test]
fn jobs_that_fit_all_that_is_said_of_them_are_changed() {
    let bench = bench();
    let shown = || bench.answer("condor_q", &["-allusers", "-af:j", "A"]);
    assert_eq!(edit(&bench, &["alice", "A", "1", "-constraint", "ProcId == 1"]), set("A", 1));
    assert_eq!(shown(), "7.0 undefined\n7.1 1\n8.0 undefined\n9.0 undefined\n");
    assert_eq!(edit(&bench, &["7.0", "8.0", "A=2"]), set("A", 2));
    assert_eq!(shown(), "7.0 2\n7.1 1\n8.0 2\n9.0 undefined\n");
    // Jobs of others are left alone.
    assert_eq!(edit(&bench, &["-constraint", "true", "A", "-3"]), set("A", 3));
    assert_eq!(shown(), "7.0 -3\n7.1 -3\n8.0 -3\n9.0 undefined\n");
    let (code, out, _) = edit(&bench, &["7.0", "B", "1", "A", "1"]);
    let lines = "Set attribute \"A\" for 1 matching jobs.\nSet attribute \"B\" for 1 matching jobs.\n";
    assert_eq!((code, out.as_str()), (0, lines));
}

#[test]
fn all_jobs_that_are_named_are_changed_or_none() {
    let bench = bench();
    let failed = |line: &str| {
        (
            1,
            String::new(),
            format!("Failed to set attribute \"A\" {line}\nQueue transaction failed.  No attributes were set.\n"),
        )
    };
    assert_eq!(edit(&bench, &["7.0", "7.9", "A", "1"]), failed("for job 7.9."));
    assert_eq!(edit(&bench, &["7.9", "A", "1"]), failed("for job 7.9."));
    assert_eq!(edit(&bench, &["99", "A", "1"]), failed("by constraint: ( (ClusterId == 99 ) )"));
    assert_eq!(bench.answer("condor_q", &["7", "-af", "A"]), "undefined\nundefined\n");
    let (code, out, _) = edit(&bench, &["-dry-run", "7", "A", "1"]);
    assert_eq!((code, out.as_str()), (0, "Can Set attribute \"A\" for 2 matching jobs.\n"));
    assert_eq!(bench.answer("condor_q", &["7", "-af", "A"]), "undefined\nundefined\n");
    let none =
        "No jobs match the constraint: ( (ClusterId == 99 ) )\nQueue transaction failed.  No attributes were set.\n";
    assert_eq!(edit(&bench, &["-dry-run", "99", "A", "1"]), (1, String::new(), none.to_owned()));
    for (name, kind) in [("ClusterId", "immutable"), ("owner", "immutable"), ("TotalSubmitProcs", "secure")] {
        let line = format!(
            "Update of {kind} attribute \"{name}\" is not allowed.\nTransaction failed.  No attributes were set.\n"
        );
        assert_eq!(edit(&bench, &["7", name, "1"]), (1, String::new(), line));
    }
}

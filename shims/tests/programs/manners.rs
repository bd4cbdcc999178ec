//! What every program does alike: `-help`, `-version`, options that it does not have, a master that is not there.

use crate::bench::{Bench, PROGRAMS, text};

/// What stands for the programs of the family that only say that they are not served.
const UNSERVED: &[&str] = &["condor_ssh_to_job"];

/// The usual call of each program that needs the master.
const CALLS: &[(&str, &[&str])] = &[
    ("condor_continue", &["1.0"]),
    ("condor_history", &["-af", "ClusterId"]),
    ("condor_hold", &["1"]),
    ("condor_ping", &["WRITE"]),
    ("condor_prio", &["-p", "5", "1.0"]),
    ("condor_q", &["-af", "ClusterId"]),
    ("condor_qedit", &["1.0", "Foo", "5"]),
    ("condor_release", &["-all"]),
    ("condor_reschedule", &[]),
    ("condor_rm", &["alice"]),
    ("condor_status", &["-af", "Name"]),
    ("condor_suspend", &["1"]),
    ("condor_tail", &["1.0"]),
    ("condor_transfer_data", &["1"]),
    ("condor_vacate_job", &["1.0"]),
    ("condor_watch_q", &[]),
];

fn programs() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(name, _)| *name).filter(|name| !UNSERVED.contains(name))
}

#[test]
fn every_program_answers_help_and_version_without_a_master() {
    let bench = Bench::without_master();
    let version = bench.answer("condor_version", &[]);
    assert_eq!(version.lines().count(), 2);
    for name in programs() {
        let help = bench.run(name, &["-help"]);
        let both = text(&help.out) + &text(&help.err);
        assert_eq!(help.code, 0, "{name} -help: {both}");
        // That of condor_wait begins with "Use:"; so recorded.
        let usage = both.to_lowercase().contains("usage") || both.contains("Use:");
        assert!(usage && both.contains(name), "{name} -help: {both}");
        assert_eq!(bench.answer(name, &["-version"]), version, "{name}");
    }
}

#[test]
fn unknown_options_fail_and_nothing_is_done() {
    let bench = Bench::new();
    for name in programs().filter(|name| *name != "condor_ping") {
        let outcome = bench.run(name, &["-nosuch"]);
        let (out, err) = (text(&outcome.out), text(&outcome.err));
        // As recorded.
        let code = if name == "classad_eval" { 255 } else { 1 };
        assert_eq!(outcome.code, code, "{name}: {out}{err}");
        // condor_submit, as recorded, and condor_wait print their usage alone.
        let alone = ["condor_submit", "condor_wait"].contains(&name);
        assert!(err.contains("-nosuch") || alone, "{name} names the option: {err}");
        assert!(!err.is_empty(), "{name} says something");
        // The real condor_q and condor_history print their usage on standard output; so recorded.
        assert!(out.is_empty() || ["condor_q", "condor_history"].contains(&name), "{name}: {out}");
    }
    assert!(bench.master().state().requests.is_empty(), "{:?}", bench.master().state().requests);
}

#[test]
fn without_a_master_nothing_is_on_standard_output() {
    let bench = Bench::without_master();
    for (name, words) in CALLS {
        let outcome = bench.run(name, words);
        assert_eq!((outcome.code, text(&outcome.out)), (1, String::new()), "{name}");
        assert!(!outcome.err.is_empty(), "{name} says why");
    }
}

#[test]
fn what_is_missing_behind_an_option_is_told_in_htcondors_words() {
    let bench = Bench::new();
    let status = |what: &str| format!("condor_status: {what}\nUse \"condor_status -help\" for details\n");
    let line = |text: &str| format!("{text}\n");
    let once = "Error: Argument -forwards cannot be combined with -since.\n";
    for (program, words, wanted) in [
        ("condor_status", &["-constraint"][..], status("-constraint requires another argument")),
        ("condor_status", &["-lim"], status("-limit requires one additional argument")),
        ("condor_status", &["-format", "%s"], status("-format requires two other arguments")),
        ("condor_status", &["-sort"], status("-sort requires another argument")),
        ("condor_history", &["-constr"], line("Error: Argument -constr requires another parameter")),
        ("condor_history", &["-limit"], line("Error: Argument -match requires a number value as a parameter.")),
        ("condor_history", &["-attr"], line("Error: Argument -attributes must be followed by a list of attributes")),
        ("condor_history", &["-completedsince", "1 +"], line("Error: '1 +' not valid parameter for -completedsince ")),
        ("condor_history", &["-local", "-name", "x"], line("Error: -local and -name cannot be used together")),
        (
            "condor_history",
            &["-name", "x", "-local"],
            line("Error: Arguments -local and -name cannot be used together"),
        ),
        ("condor_history", &["-since", "3", "-forwards"], once.to_owned()),
        ("condor_history", &["-forwards", "-since", "3"], once.to_owned()),
    ] {
        let outcome = bench.run(program, words);
        assert_eq!((outcome.code, text(&outcome.out), text(&outcome.err)), (1, String::new(), wanted), "{words:?}");
    }
}

#[test]
fn a_history_since_a_time_leaves_out_what_ended_at_that_time() {
    let bench = Bench::new();
    let past = |cluster: i64, at_s: i64| {
        let text = format!("ClusterId = {cluster}\nProcId = 0\nJobStatus = 4\nCompletionDate = {at_s}\n");
        classad::ClassAd::from_old_text(&text).unwrap()
    };
    bench.master().state().past = vec![past(9, 300), past(8, 200), past(7, 100)];
    let since = |time: &str| bench.answer("condor_history", &["-completedsince", time, "-af", "ClusterId"]);
    assert_eq!((since("200"), since("199"), since("100 + 99")), ("9\n".into(), "9\n8\n".into(), "9\n8\n".into()));
}

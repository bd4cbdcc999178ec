//! The options of `condor_q`, and what they mean together.

use super::*;
use crate::options::unreachable_names;

fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(|&word| word.to_owned()).collect()
}

fn wish(line: &[&str]) -> Box<Wish> {
    match read(&words(line), true) {
        Asked::Wish(wish) => wish,
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn every_name_is_reachable() {
    // `-hold-codes` and `-hold` share a beginning; the whole word still finds its own entry.
    assert_eq!(unreachable_names(TABLE), Vec::<&str>::new());
}

#[test]
fn short_forms_of_the_field() {
    for line in [&["-const", "x"][..], &["-cons", "x"], &["-constr", "x"], &["--constraint", "x"]] {
        assert_eq!(wish(line).constraints, ["x"], "{line:?}");
    }
    for line in [["-tot"], ["-total"], ["-totals"]] {
        assert!(matches!(wish(&line).view, View::Totals));
    }
    assert!(matches!(wish(&["-nob"]).view, View::Rows(RowView::Plain(RunTime::All))));
    assert!(matches!(wish(&["-l"]).view, View::Ads(AdForm::Long)));
    assert!(wish(&["-g"]).global);
    assert_eq!(wish(&["-l", "-attr", "A,B C"]).attributes, ["A", "B", "C"]);
    assert!(matches!(wish(&["-totals", "-json"]).view, View::TotalsJson));
}

#[test]
fn mistakes_have_htcondors_words() {
    let line = |line: &[&str]| match read(&words(line), true) {
        Asked::Mistake { line, .. } => line,
        other => panic!("{line:?}: {other:?}"),
    };
    for (given, wanted) in [
        (&["-limit"][..], "Error: -limit requires the max number of results as an argument."),
        (&["-limit", "x"], "Error: Unable to convert (x) to a number for -limit."),
        (&["-limit", "0"], "Error: 0 is not a valid for -limit."),
        (&["-name"], "Error: -name requires the name of a schedd as an argument."),
        (&["-const"], "Error: -constraint requires another parameter"),
        (&["-attr"], "Error: -attributes requires a list of attributes to show"),
        (&["-xml", "-json"], "Error: Cannot print as both XML and JSON"),
        (&["-run", "-hold"], "-run and -hold/held or -idle are incompatible"),
        (&["-jobads"], "Error: -jobads requires a filename"),
        (&["-mconst"], "Error: -mconst requires another parameter"),
        (&["-batch", "-af", "Owner"], "Error: -batch conflicts with -format and -af"),
        (&["-name", "x", "-submitter", "y"], "Cannot query both schedd's and submitters"),
    ] {
        assert_eq!(line(given), wanted, "{given:?}");
    }
}

#[test]
fn hold_codes_become_a_constraint() {
    let held = wish(&["-hold:3,13/2,x"]);
    let codes = "HoldReasonCode == 3 || (HoldReasonCode == 13 && HoldReasonSubCode == 2)";
    assert_eq!(held.constraints, [codes, "JobStatus == 5"]);
    assert_eq!(wish(&["-held"]).constraints, ["JobStatus == 5"]);
    for alias in [["-all-users"], ["-al"]] {
        assert!(wish(&alias).all_users);
    }
    assert!(matches!(wish(&["-prog"]).view, View::Batch));
}

#[test]
fn words_are_numbers_or_owners() {
    let wish = wish(&["-nobatch", "1", "2.3", "alice", "1.x", "5-7", "", "99999999999"]);
    assert_eq!((&wish.clusters[..], &wish.jobs[..]), (&[1][..], &[(2, 3)][..]));
    assert_eq!(wish.owners, ["alice", "1.x", "5-7", "", "99999999999"]);
}

#[test]
fn the_two_counting_commands() {
    for expression in ["JobStatus==1", "JobStatus == 1", "JobStatus==1 || JobStatus==2", "JobStatus==1||JobStatus == 2"]
    {
        assert!(counting(&words(&["-constraint", expression])).is_some(), "{expression}");
    }
    for line in [
        &["-constraint", "JobStatus==2"][..],
        &["-constraint", "JobStatus==2||JobStatus==1"],
        &["-constraint", "JobStatus==1", "-nobatch"],
        &["-const", "JobStatus==1"],
        &["-constraint"],
    ] {
        assert!(counting(&words(line)).is_none(), "{line:?}");
    }
}

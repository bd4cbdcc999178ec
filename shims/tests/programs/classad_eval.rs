//! `classad_eval`: the examples of the manual page, and what is no ad, assignment or expression.

use crate::bench::{Bench, text};

fn check(arguments: &[&str], wanted: &str) {
    assert_eq!(Bench::without_master().answer("classad_eval", arguments), wanted, "{arguments:?}");
}

#[test]
fn assignments_and_ads_are_the_context() {
    check(&["a = 2", "a * 2"], "[ a = 2 ]\n4\n");
    check(&["a=2", "b=2", "a+b"], "[ a = 2; b = 2 ]\n4\n");
    check(&["a = 2; b = 2", "a + b"], "[ a = 2; b = 2 ]\n4\n");
    check(&["[ a = 2; b = 2 ]", "a + b"], "[ a = 2; b = 2 ]\n4\n");
    check(&["-quiet", "strcat(\"foo\", \"bar\")"], "\"foobar\"\n");
    check(&["strcat(\"foo\", \"bar\")"], "[  ]\n\"foobar\"\n");
}

#[test]
fn the_context_is_printed_when_it_is_new() {
    let words = ["x = y", "x", "y = 7", "x", "[ x = 6; z = \"foo\"; ]", "x", "x"];
    check(&words, "[ x = y ]\nundefined\n[ x = y; y = 7 ]\n7\n[ x = 6; y = 7; z = \"foo\" ]\n6\n6\n");
    let words = ["x = y", "x", "-quiet", "y = 7", "x", "[ x = 6; z = \"foo\"; ]", "x"];
    check(&words, "[ x = y ]\nundefined\n7\n6\n");
}

#[test]
fn comparisons_and_signs_are_expressions() {
    check(&["-q", "x = 1", "x == 1", "x =?= 2", "x =!= 2", "-5 + x", "- x"], "true\nfalse\ntrue\n-4\n-1\n");
}

#[test]
fn files_are_both_sides() {
    let bench = Bench::without_master();
    bench.write("job.ad", "[\n    Requirements = TARGET.Cpus > 1;\n    JobUniverse = 5\n]\n");
    bench.write("slots.ad", "{\n[ Cpus = 4; Rank = 0.0 ],\n[ Cpus = 1 ]\n}\n");
    let words =
        ["-quiet", "-my-file", "job.ad", "-target-file", "slots.ad", "MY.Requirements", "TARGET.Cpus", "JobUniverse"];
    assert_eq!(bench.answer("classad_eval", &words), "true\n4\n5\n");
    bench.write("old.ad", "JobUniverse = 5\n");
    let refused = bench.run("classad_eval", &["-file", "old.ad", "1"]);
    assert_eq!(refused.code, 1);
    assert!(text(&refused.err).contains("old.ad"), "{}", text(&refused.err));
    assert!(text(&bench.run("classad_eval", &["-file", "none", "1"]).err).contains("cannot read none"));
}

#[test]
fn mistakes_have_their_codes() {
    let bench = Bench::without_master();
    let broken = bench.run("classad_eval", &["-quiet", "1 + 1", "1 +", "2"]);
    assert_eq!((broken.code, text(&broken.out).as_str()), (1, "2\n"));
    assert!(text(&broken.err).starts_with("classad_eval: cannot parse '1 +': "));
    for words in [&["-nosuch"][..], &["-file"], &[]] {
        assert_eq!(bench.run("classad_eval", words).code, 255, "{words:?}");
    }
    assert_eq!(bench.run("classad_eval", &["-help"]).code, 0);
}

//! Masters that refuse, break off or say what nobody asked for.

use control_proto::Refusal;

use crate::bench::{Bench, text};
use crate::snapshots;

const LISTINGS: &[&[&str]] = &[&[], &["-nobatch"], &["-af", "ClusterId"], &["-json"], &["-long"], &["-run"]];

#[test]
fn a_listing_that_breaks_off_prints_nothing() {
    let bench = Bench::new();
    let records = crate::sessions::records("cli.jsonl");
    bench.master().state().jobs = snapshots::main_session(&records);
    for words in LISTINGS {
        bench.master().state().cut_listings = false;
        assert_eq!(bench.run("condor_q", words).code, 0, "{words:?}");
        bench.master().state().cut_listings = true;
        let outcome = bench.run("condor_q", words);
        assert_eq!((outcome.code, text(&outcome.out)), (1, String::new()), "{words:?}");
        assert!(text(&outcome.err).starts_with("condor_q: the connection to alien_work_queue broke"));
    }
}

#[test]
fn a_refusal_is_one_sentence_and_exit_code_1() {
    let bench = Bench::new();
    bench.write("one.sub", "executable = /bin/true\nqueue 3\n");
    bench.master().state().refusal = Some((Refusal::Draining, "the master is draining".into()));
    for (program, words, expected) in [
        ("condor_submit", &["one.sub"][..], "\nERROR: the master is draining\n"),
        ("condor_submit", &["-terse", "one.sub"], "\nERROR: the master is draining\n"),
        ("condor_submit", &["-verbose", "one.sub"], "\nERROR: the master is draining\n"),
        ("condor_q", &[], "condor_q: the master is draining\n"),
        ("condor_q", &["-constraint", "JobStatus==1"], "condor_q: the master is draining\n"),
        ("condor_rm", &["1.0"], "condor_rm: the master is draining\n"),
        ("condor_hold", &["-all"], "condor_hold: the master is draining\n"),
        ("condor_status", &["-schedd", "-af", "Name"], "Error: the master is draining\n"),
    ] {
        let outcome = bench.run(program, words);
        assert_eq!(
            (outcome.code, text(&outcome.out), text(&outcome.err)),
            (1, String::new(), expected.to_owned()),
            "{program} {words:?}"
        );
    }
}

#[test]
fn an_older_master_is_named() {
    let bench = Bench::new();
    bench.master().state().refusal = Some((Refusal::Version, "this version is too new".into()));
    let outcome = bench.run("condor_q", &[]);
    assert_eq!(outcome.code, 1);
    assert!(text(&outcome.err).starts_with("condor_q: this version is too new"));
}

#[test]
fn a_person_at_a_screen_learns_which_socket_was_tried() {
    let mut bench = Bench::without_master();
    let socket = bench.world.work_dir.join("awq.sock").to_string_lossy().into_owned();
    assert!(!text(&bench.run("condor_rm", &["1"]).err).contains(&socket));
    bench.world.errors_are_read = true;
    let err = text(&bench.run("condor_rm", &["1"]).err);
    assert!(err.starts_with("condor_rm: CEDAR:6001:Failed to connect to <"), "{err}");
    assert!(err.contains(&socket), "{err}");
}

#[test]
fn all_of_standard_input_is_read_although_nobody_is_there() {
    let bench = Bench::without_master();
    let mut input = std::io::Cursor::new(vec![b'#'; 1 << 20]);
    let outcome = bench.run_with("condor_submit", &[], &mut input);
    assert_eq!((outcome.code, input.position()), (1, 1 << 20));
    assert_eq!(text(&outcome.err), "\nERROR: Can't find address of local schedd\n");
}

#[test]
fn names_of_other_sites_are_unknown_and_nothing_is_done() {
    let bench = Bench::new();
    bench.write("one.sub", "executable = /bin/true\nqueue\n");
    for words in [&["-name", "nosuch.example.org", "one.sub"][..], &["-remote", "nosuch.example.org", "one.sub"]] {
        assert_eq!(bench.run("condor_submit", words).code, 1);
    }
    assert_eq!(bench.run("condor_rm", &["-name", "nosuch.example.org", "-all"]).code, 1);
    assert!(bench.master().state().requests.iter().all(|request| *request == control_proto::Request::Ping));
    for name in ["submit.example.org", "submit", "alias@submit.example.org"] {
        assert_eq!(bench.run("condor_submit", &["-name", name, "one.sub"]).code, 0, "{name}");
    }
}

#[test]
fn programs_that_are_not_served_say_so() {
    let bench = Bench::without_master();
    let outcome = bench.run("condor_ssh_to_job", &["1.0"]);
    assert_eq!(
        (outcome.code, text(&outcome.err)),
        (1, "condor_ssh_to_job: not supported by alien-workqueue\n".to_owned())
    );
}

//! What reaches the master from `condor_submit`: texts of the computing elements, files, numbers.

use std::os::unix::fs::PermissionsExt;

use classad::ClassAd;
use control_proto::{Request, Submit};

use crate::bench::{Bench, text};

/// A bench with `agent.startup` in the user's folder.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("agent.startup", "#!/bin/sh\necho hello\n");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(bench.path("agent.startup"), mode).unwrap();
    bench
}

/// `EXE` and `LOG` stand for paths in the user's folder.
fn filled(bench: &Bench, text: &str) -> String {
    text.replace("EXE", bench.path("agent.startup").to_str().unwrap()).replace("LOG", &bench.world.cwd)
}

#[track_caller]
fn submit(bench: &Bench, words: &[&str], stdin: &str) -> (String, String) {
    let outcome = bench.run_with("condor_submit", words, &mut stdin.as_bytes());
    assert_eq!(outcome.code, 0, "{}", text(&outcome.err));
    (text(&outcome.out), text(&outcome.err))
}

fn last_submit(bench: &Bench) -> Submit {
    match bench.master().state().requests.last() {
        Some(Request::Submit(submit)) => submit.clone(),
        other => panic!("{other:?}"),
    }
}

fn jobs(bench: &Bench) -> Vec<ClassAd> {
    bench.master().state().jobs.clone()
}

fn attribute(ad: &ClassAd, name: &str) -> String {
    ad.get(name).map_or_else(|| "missing".to_owned(), ToString::to_string)
}

const HINT: &str = "To monitor your job(s), run: condor_watch_q -clusters 1\n";

#[test]
fn alien_condor_pipes_its_text() {
    let bench = bench();
    let agent = filled(
        &bench,
        "executable = EXE\narguments = \n\n\noutput = LOG/AliEn.JobAgent.5.1.out\nerror  = LOG/AliEn.JobAgent.5.1.err\n\
         log    = LOG/AliEn.JobAgent.5.1.log\nenvironment=CONDOR_ID=$(Cluster).$(Process);ALIEN_CM_AS_LDAP_PROXY=h:1;\
         ALIEN_JOBAGENT_ID=5.1;ALIEN_ALICE_CM_AS_LDAP_PROXY=h:1\nqueue\n",
    );
    let (out, err) = submit(&bench, &[], &agent);
    assert_eq!((out.as_str(), err.as_str()), ("Submitting job(s).\n1 job(s) submitted to cluster 1.\n", HINT));
    // The computing element rewrites the file for the next wave.
    bench.write("agent.startup", "changed");
    let ad = &jobs(&bench)[0];
    assert!(attribute(ad, "Environment").contains("CONDOR_ID=1.0"), "{}", attribute(ad, "Environment"));
    let state = bench.master().state();
    assert_eq!(state.blobs[&0], b"#!/bin/sh\necho hello\n");
    drop(state);
    let sent = last_submit(&bench);
    assert_eq!((sent.clusters[0].executable, sent.blob_modes.as_slice(), sent.umask), (Some(0), &[0o755][..], 0o022));
}

#[test]
fn alien_htcondor_pipes_tabs_comments_and_no_last_newline() {
    let bench = bench();
    let agent = filled(
        &bench,
        "cmd = EXE\noutput = LOG/o.out\nerror = LOG/o.err\nlog = LOG/o.log\nuniverse = grid\n\t+TransferOutput = \"\"\n\
         \t#periodic_remove = (RemoteWallClockTime > 48*3600 ) || x\n\tperiodic_remove = (CurrentTime - QDate) > 7*24*3600\n\
         grid_resource = condor ce504.cern.ch ce504.cern.ch:9619\n+WantExternalCloud = True\nuse_x509userproxy = true\n\
         environment=\"ALIEN_CM_AS_LDAP_PROXY='h:p' ALIEN_ALICE_CM_AS_LDAP_PROXY='h:p' ALIEN_JOBAGENT_ID='5_1'\"\nqueue 1",
    );
    submit(&bench, &["-append", "+TestClassAd=1"], &agent);
    let ad = &jobs(&bench)[0];
    assert_eq!(attribute(ad, "TestClassAd"), "1");
    assert_eq!(attribute(ad, "GridResource"), "\"condor ce504.cern.ch ce504.cern.ch:9619\"");
    assert_eq!(attribute(ad, "TransferOutput"), "\"\"");
    assert_eq!(attribute(ad, "WantExternalCloud"), "true");
    assert_eq!(attribute(ad, "PeriodicRemove"), "(CurrentTime - QDate) > 7 * 24 * 3600");
    assert!(attribute(ad, "Environment").contains("ALIEN_JOBAGENT_ID=5_1"));
}

#[test]
fn jalien_local_pool_file_with_options_before_it() {
    let bench = bench();
    let agent = filled(
        &bench,
        "cmd = EXE\nlog = LOG/jobagent_5_1.log\n+TransferOutput = \"\"\n\
         periodic_hold = (JobStatus <= 2 && CurrentTime - EnteredCurrentStatus > 172800)\n\
         periodic_remove = CurrentTime - QDate > 259200\nuniverse = vanilla\njob_lease_duration = 7200\n\
         ShouldTransferFiles = YES\nuse_x509userproxy = true\nenvironment = \"ALIEN_CM_AS_LDAP_PROXY='h:1'\"\nqueue 1\n\n",
    );
    bench.write("htc-submit.1.jdl", &agent);
    let (out, _) = submit(&bench, &["-append", "+Site = \"X\"", "htc-submit.1.jdl"], "");
    assert_eq!(out, "Submitting job(s).\n1 job(s) submitted to cluster 1.\n");
    let ad = &jobs(&bench)[0];
    assert_eq!(attribute(ad, "Site"), "\"X\"");
    assert_eq!(attribute(ad, "ShouldTransferFiles"), "\"YES\"");
    assert_eq!(attribute(ad, "JobLeaseDuration"), "7200");
}

#[test]
fn a_proxy_travels_along_if_there_is_one() {
    let mut bench = bench();
    bench.write("x509", "secret");
    let proxy = bench.path("x509").to_string_lossy().into_owned();
    bench.world.variables = vec![("X509_USER_PROXY".into(), proxy)];
    let agent = filled(&bench, "executable = EXE\nuse_x509userproxy = true\nqueue\n");
    submit(&bench, &[], &agent);
    let sent = last_submit(&bench);
    assert_eq!(sent.clusters[0].proxy, Some(1));
    assert_eq!(bench.master().state().blobs[&1], b"secret");
}

#[test]
fn equal_texts_are_different_jobs() {
    let bench = bench();
    let agent = filled(&bench, "executable = EXE\nqueue 2\n");
    let first = submit(&bench, &["-terse"], &agent);
    let second = submit(&bench, &["--terse"], &agent);
    assert_eq!((first.0.as_str(), second.0.as_str()), ("1.0 - 1.1\n", "2.0 - 2.1\n"));
    assert_eq!((first.1 + &second.1, jobs(&bench).len()), (String::new(), 4));
}

#[test]
fn procs_differ_only_where_they_do() {
    let bench = bench();
    let agent = filled(&bench, "executable = EXE\noutput = o.$(Process)\narguments = $(Item)\nqueue in (a b c)\n");
    let (out, _) = submit(&bench, &[], &agent);
    assert_eq!(out, "Submitting job(s)...\n3 job(s) submitted to cluster 1.\n");
    let words: Vec<_> = jobs(&bench).iter().map(|ad| attribute(ad, "Args") + &attribute(ad, "Out")).collect();
    assert_eq!(words, ["\"a\"\"o.0\"", "\"b\"\"o.1\"", "\"c\"\"o.2\""]);
}

#[test]
fn a_text_that_computes_with_its_number_reserves_one() {
    let bench = bench();
    bench.master().state().next_cluster = 7;
    let agent = filled(&bench, "executable = EXE\narguments = $INT(Cluster,%05d)\nqueue\n");
    let (out, _) = submit(&bench, &[], &agent);
    assert_eq!(out, "Submitting job(s).\n1 job(s) submitted to cluster 7.\n");
    assert_eq!(attribute(&jobs(&bench)[0], "Args"), "\"00007\"");
    assert_eq!(bench.master().state().requests.len(), 2);
}

#[test]
fn several_clusters_that_compute_with_their_numbers_reserve_each() {
    let bench = bench();
    let agent =
        filled(&bench, "executable = EXE\narguments = $INT(Cluster,%03d)\nqueue\nexecutable = /bin/sleep\nqueue\n");
    let (out, _) = submit(&bench, &["-terse"], &agent);
    assert_eq!(out, "1.0 - 1.0\n2.0 - 2.0\n");
    let words: Vec<_> = jobs(&bench).iter().map(|ad| attribute(ad, "Args")).collect();
    assert_eq!(words, ["\"001\"", "\"002\""]);
    assert_eq!(last_submit(&bench).clusters.iter().map(|c| c.number).collect::<Vec<_>>(), [Some(1), Some(2)]);
}

#[test]
fn several_files_are_one_submission() {
    let bench = bench();
    bench.write("a.sub", &filled(&bench, "executable = EXE\nqueue 2\n"));
    bench.write("b.sub", &filled(&bench, "executable = EXE\nqueue\n"));
    let (out, _) = submit(&bench, &["a.sub", "b.sub"], "");
    assert_eq!(out, "Submitting job(s)...\n2 job(s) submitted to cluster 1.\n1 job(s) submitted to cluster 2.\n");
    let files: Vec<_> = jobs(&bench).iter().map(|ad| attribute(ad, "JobSubmitFile")).collect();
    assert_eq!(files, ["\"a.sub\"", "\"a.sub\"", "\"b.sub\""]);
    // One wrong file and nothing is queued.
    let outcome = bench.run("condor_submit", &["a.sub", "nosuch.sub"]);
    assert_eq!((outcome.code, text(&outcome.out), jobs(&bench).len()), (1, String::new(), 3));
}

#[test]
fn a_plain_submission_is_one_round_trip() {
    let bench = bench();
    let agent = filled(&bench, "executable = EXE\noutput = $(Cluster).$(Process).out\nqueue\n");
    submit(&bench, &[], &agent);
    assert_eq!(bench.master().state().requests.len(), 1);
    assert_eq!(attribute(&jobs(&bench)[0], "Out"), "\"1.0.out\"");
}

#[test]
fn several_clusters_of_one_file_print_a_line_each() {
    let bench = bench();
    let agent = filled(&bench, "executable = EXE\nqueue\nexecutable = /bin/sleep\narguments = 1\nqueue 2\n");
    let (out, err) = submit(&bench, &[], &agent);
    assert_eq!(out, "Submitting job(s)...\n1 job(s) submitted to cluster 1.\n2 job(s) submitted to cluster 2.\n");
    assert!(err.contains("Use of multiple queue statements"), "{err}");
}

#[test]
fn inputs_of_spooled_jobs_travel_along() {
    let bench = bench();
    for (name, content) in [("common", "c"), ("in.0", "zero"), ("in.1", "one"), ("words", "w")] {
        bench.write(name, content);
    }
    let agent = filled(
        &bench,
        "executable = EXE\ntransfer_input_files = common, in.$(Process)\ninput = words\noutput = logs/out\nqueue 2\n",
    );
    for words in [&["-spool"][..], &["--spool"], &["-remote", "submit.example.org"]] {
        submit(&bench, words, &agent);
        let sent = last_submit(&bench);
        let spool = sent.clusters[0].spool.clone().unwrap();
        let copies: Vec<_> = spool
            .iter()
            .map(|file| {
                assert_eq!(file.inside, "");
                let content = &bench.master().state().blobs[&file.blob.unwrap()];
                (file.input.rsplit('/').next().unwrap().to_owned(), text(content))
            })
            .collect();
        let wanted = [("common", "c"), ("in.0", "zero"), ("words", "w"), ("in.1", "one")];
        assert_eq!(copies, wanted.map(|(name, content)| (name.to_owned(), content.to_owned())));
        let ad = &jobs(&bench)[0];
        assert_eq!(["JobStatus", "HoldReasonCode"].map(|name| attribute(ad, name)), ["1", "missing"]);
        assert!(attribute(ad, "LeaveJobInQueue").contains("StageOutFinish"));
        assert_eq!(attribute(ad, "Out"), "\"_condor_stdout\"");
    }
    submit(&bench, &[], &agent);
    assert_eq!(last_submit(&bench).clusters[0].spool, None);
}

#[test]
fn inputs_with_the_clusters_number_are_found() {
    let bench = bench();
    bench.master().state().next_cluster = 7;
    bench.write("in.7.0", "seven");
    let agent = filled(&bench, "executable = EXE\ntransfer_input_files = in.$(Cluster).$(Process)\nqueue\n");
    let (out, _) = submit(&bench, &["-spool"], &agent);
    assert_eq!(out, "Submitting job(s).\n1 job(s) submitted to cluster 7.\n");
    assert_eq!(bench.master().state().blobs[&1], b"seven");
}

#[test]
fn an_input_that_cannot_be_copied_submits_nothing() {
    let bench = bench();
    let agent = filled(&bench, "executable = EXE\nqueue\n");
    nix::unistd::mkfifo(&bench.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (name, why) in [("gone", "No such file or directory"), ("fifo", "not a regular file")] {
        let line = format!("transfer_input_files = agent.startup, {name}");
        let outcome = bench.run_with("condor_submit", &["--spool", "-a", &line], &mut agent.as_bytes());
        let path = bench.path(name);
        let wanted =
            format!("\nERROR: Can't copy input file {}: {why}\nERROR: Failed to spool job files.\n", path.display());
        assert_eq!((outcome.code, text(&outcome.out), text(&outcome.err)), (1, String::new(), wanted));
    }
    assert!(jobs(&bench).is_empty());
    assert!(!bench.master().state().requests.iter().any(|request| matches!(request, Request::Submit(_))));
}

#[test]
fn outputs_are_asked_for_by_constraint() {
    let bench = bench();
    submit(&bench, &["-spool"], &filled(&bench, "executable = EXE\nqueue 2\n"));
    assert_eq!(bench.answer("condor_transfer_data", &["1"]), "Fetching data files...\n");
    assert_eq!(bench.answer("condor_transfer_data", &["1.0", "1.1", "-name", "submit"]), "Fetching data files...\n");
    match bench.master().state().requests.last() {
        Some(Request::TransferData(wanted)) => {
            assert_eq!(wanted.constraint, "(ClusterId == 1 && ProcId == 0) || (ClusterId == 1 && ProcId == 1)")
        }
        other => panic!("{other:?}"),
    }
    let failed = |words: &[&str], why: &str| {
        let outcome = bench.run("condor_transfer_data", words);
        let wanted = (1, "Fetching data files...\n".into(), format!("\n{why}\nERROR: Failed to spool job files.\n"));
        assert_eq!((outcome.code, text(&outcome.out), text(&outcome.err)), wanted);
    };
    failed(&["9"], "No job matches (ClusterId == 9)");
    failed(&["-constraint", "("], "the constraint cannot be parsed");
    bench.master().state().undeliverable = vec![((1, 1), "/no/such: No such file or directory".into())];
    failed(&["-all"], "Job 1.1: /no/such: No such file or directory");
    let outcome = Bench::without_master().run("condor_transfer_data", &["1"]);
    assert_eq!((outcome.code, outcome.out.is_empty(), outcome.err.is_empty()), (1, true, false));
}

#[test]
fn the_hint_can_be_switched_off() {
    let bench = bench();
    bench.master().state().site.submit_hint = false;
    let agent = filled(&bench, "executable = EXE\nqueue\n");
    assert_eq!(submit(&bench, &[], &agent).1, "");
}

#[test]
fn an_error_in_one_of_ten_jobs_queues_none() {
    let bench = bench();
    let agent = filled(&bench, "executable = EXE\npriority = $(Item)\nqueue in (1 2 3 x 5)\n");
    let outcome = bench.run_with("condor_submit", &[], &mut agent.as_bytes());
    assert_eq!(outcome.code, 1);
    assert!(text(&outcome.out).starts_with("Submitting job(s)") && !text(&outcome.out).contains('\n'));
    assert_eq!(jobs(&bench).len(), 0);
}

#[test]
fn dry_runs_need_no_master() {
    let bench = Bench::without_master();
    bench.write("t.sub", "executable = /bin/true\nqueue 2\n");
    let out = bench.answer("condor_submit", &["-dry-run:full", "ads.txt", "t.sub"]);
    assert_eq!(out, "Dry-Run job(s)..\n2 job(s) dry-run to cluster 1.\n");
    let ads = std::fs::read_to_string(bench.path("ads.txt")).unwrap();
    assert_eq!(ads.matches("\nProcId = ").count(), 2);
    assert_eq!(bench.answer("condor_submit", &["-dump", "dump.txt", "-terse", "t.sub"]), "1.0 - 1.1\n");
    assert_eq!(std::fs::read_to_string(bench.path("dump.txt")).unwrap(), ads);
}

//! Universes local and scheduler: jobs that run on the submit host, without any worker (decision D60).

use testkit::{Site, SiteOptions};

use crate::support::{
    ABORTED, EVICTED, EXECUTING, Gate, HELD, SOON, TERMINATED, attributes, count, events, run, runs, started, story,
    wait_for_event,
};

/// A job that starts a child in its process group and leaves both numbers in `started.ID` and `child.ID`. Both end by
/// themselves with the site: nothing marks them as the test's.
fn family(site: &Site, id: &str) -> String {
    let home = site.home();
    let home = home.display();
    let wait = format!("while [ -d '{home}' ]; do sleep 0.2; done");
    site.write_script(
        "family.sh",
        &format!(
            "#!/bin/sh\nsh -c 'echo $$ > \"{home}/new.child.$0\"; mv \"{home}/new.child.$0\" \"{home}/child.$0\"; {}' $1 &\n\
             echo $$ > '{home}/started.'$1\n{wait}\n",
            wait.replace('\'', "")
        ),
    );
    format!("universe = local\nexecutable = family.sh\narguments = {id}\nlog = log\n")
}

fn child(site: &Site, id: &str) -> u32 {
    let path = site.home().join(format!("child.{id}"));
    site.wait_until(SOON, &format!("child of {id}"), || path.exists());
    site.read(&format!("child.{id}")).trim().parse().expect("a process id")
}

fn wait_for_end(site: &Site, pids: &[u32]) {
    site.wait_until(SOON, &format!("the end of {pids:?}"), || !pids.iter().any(|pid| runs(*pid)));
}

#[test]
fn local_and_scheduler_jobs_run_here_with_files_arguments_and_environment() {
    let site = Site::start();
    site.write_script(
        "agent.sh",
        "#!/bin/sh\ncat\necho \"$#:$1:$2\" $A $PWD\necho scratch $([ -d \"$_CONDOR_SCRATCH_DIR\" ] && echo there)\n\
         echo oops >&2\necho made > made\numask\n",
    );
    std::fs::create_dir(site.home().join("sub")).unwrap();
    site.write("sub/in", "read\n");
    for universe in ["local", "scheduler"] {
        run(
            &site,
            &format!(
                "universe = {universe}\nexecutable = agent.sh\narguments = \"'a b' c\"\nenvironment = A=1\n\
                 initialdir = sub\ninput = in\noutput = out.{universe}\nerror = err.{universe}\n\
                 log = ../log\nrequest_cpus = 999\nrequest_memory = 99 TB\nqueue\n"
            ),
        );
        let here = site.home().join("sub");
        let wanted = format!("read\n2:a b:c 1 {}\nscratch there\n", here.display());
        let got = site.read(&format!("sub/out.{universe}"));
        assert!(got.starts_with(&wanted), "{got}");
        assert_eq!(site.read(&format!("sub/err.{universe}")), "oops\n");
        assert_eq!(site.read("sub/made"), "made\n");
    }
    let log = events(&site, "log");
    let host = log.iter().find(|event| event.kind == EXECUTING).unwrap();
    assert!(host.text.contains("Job executing on host: <127.0.0.1:"), "{}", host.text);
    assert!(host.text.contains("&alias=") && host.text.lines().count() == 1, "{}", host.text);
    let end = log.iter().find(|event| event.kind == TERMINATED).unwrap();
    assert!(!end.text.contains("Partitionable"), "{}", end.text);
    // The history comes after the end.
    site.wait_until(SOON, "both jobs in the history", || {
        let told = site.condor("condor_history", &["-af", "ClusterId", "JobUniverse", "ExitCode"], "").ok().stdout;
        told == "2 7 0\n1 12 0\n"
    });
}

#[test]
fn the_executable_is_what_it_was_at_submission_and_ends_with_code_or_signal() {
    let site = Site::start();
    site.write_script("agent.sh", "#!/bin/sh\necho first\n");
    let text = "universe = local\nexecutable = agent.sh\noutput = out\nlog = log\nhold = true\nqueue\n";
    let cluster = site.submit(text).to_string();
    site.write_script("agent.sh", "#!/bin/sh\necho second\n");
    site.condor("condor_release", &[&cluster], "").ok();
    wait_for_event(&site, "log", TERMINATED, 1);
    assert_eq!(site.read("out"), "first\n");
    let shell = |script: &str, keys: &str| {
        let text = format!(
            "universe = local\nexecutable = /bin/sh\narguments = \"-c '{script}'\"\nleave_in_queue = true\n{keys}\nqueue\n"
        );
        let cluster = site.submit(&text).to_string();
        site.wait_until(SOON, "its end", || !matches!(attributes(&site, &cluster, &["JobStatus"]).as_str(), "1" | "2"));
        cluster
    };
    let names = ["JobStatus", "ExitBySignal", "ExitCode", "ExitSignal"];
    // Unlike at a worker, 128 and a signal's number are an exit code like any other.
    assert_eq!(attributes(&site, &shell("exit 137", ""), &names), "4 false 137 undefined");
    assert_eq!(attributes(&site, &shell("kill -11 $$", ""), &names), "4 true undefined 11");
    let retried = shell("exit 3", "max_retries = 2");
    assert_eq!(attributes(&site, &retried, &["NumJobStarts", "ExitCode"]), "3 3");
    let held = shell("exit 3", "on_exit_hold = ExitCode == 3");
    assert_eq!(attributes(&site, &held, &["JobStatus", "HoldReasonCode"]), "5 3");
}

#[test]
fn what_cannot_be_executed_is_held_with_the_reason() {
    let site = Site::start();
    site.write_script("bad.sh", "#!/no/such/interpreter\n");
    site.submit("universe = local\nexecutable = bad.sh\nlog = log\nqueue\n");
    let held = wait_for_event(&site, "log", HELD, 1);
    assert!(held.text.contains("invalid interpreter (/no/such/interpreter) specified on first line"), "{}", held.text);
    assert_eq!(story(&site, "log", "1.0"), [0, 1, 21, 4, 12]);
    assert_eq!(attributes(&site, "1", &["HoldReasonCode", "HoldReasonSubCode"]), "6 2");
}

#[test]
fn removal_hold_and_vacate_end_the_whole_process_group() {
    let site = Site::start();
    let text = family(&site, "a$(Process)");
    let cluster = site.submit(&format!("{text}queue 3\n")).to_string();
    let pids = |id: &str| [started(&site, id), child(&site, id)];
    let families = ["a0", "a1", "a2"].map(pids);
    // A program may be faster than the news of its start.
    wait_for_event(&site, "log", EXECUTING, 3);
    let shown = site.condor("condor_q", &["-run", "-nobatch"], "").ok().stdout;
    assert_eq!(shown.lines().filter(|line| line.starts_with("   1.")).count(), 3, "{shown}");
    assert_eq!(attributes(&site, &cluster, &["JobUniverse", "JobStatus"]), "12 2\n12 2\n12 2");
    for file in ["started.a2", "child.a2"] {
        std::fs::remove_file(site.home().join(file)).unwrap();
    }
    site.condor("condor_rm", &[&format!("{cluster}.0")], "").ok();
    site.condor("condor_hold", &[&format!("{cluster}.1")], "").ok();
    site.condor("condor_vacate_job", &[&format!("{cluster}.2")], "").ok();
    wait_for_end(&site, families.as_flattened());
    wait_for_event(&site, "log", ABORTED, 1);
    wait_for_event(&site, "log", HELD, 1);
    // The third one runs again.
    let again = pids("a2");
    assert!(again.iter().all(|pid| runs(*pid)));
    wait_for_event(&site, "log", EXECUTING, 4);
    assert_eq!(story(&site, "log", &format!("{cluster}.2")), [0, 1, 4, 1]);
    site.stop_master();
    wait_for_end(&site, &again);
}

#[test]
fn a_crash_of_the_master_leaves_no_process_beside_the_rerun() {
    let site = Site::start();
    let text = family(&site, "a");
    site.submit(&format!("{text}queue\n"));
    let before = [started(&site, "a"), child(&site, "a")];
    for file in ["started.a", "child.a"] {
        std::fs::remove_file(site.home().join(file)).unwrap();
    }
    site.kill_9();
    // The program dies with its master; its child lives on until there is another one.
    wait_for_end(&site, &before[..1]);
    assert!(runs(before[1]));
    site.start_master();
    let after = [started(&site, "a"), child(&site, "a")];
    assert!(!runs(before[1]), "the old child runs beside the new one");
    assert!(after.iter().all(|pid| runs(*pid)));
    wait_for_event(&site, "log", EXECUTING, 2);
    assert_eq!(story(&site, "log", "1.0"), [0, 1, 4, 1]);
    let told = wait_for_event(&site, "log", EVICTED, 1);
    assert!(told.text.contains("the service was restarted"), "{}", told.text);
    assert_eq!(attributes(&site, "1", &["NumJobStarts"]), "2");
    site.condor("condor_rm", &["1"], "").ok();
    wait_for_end(&site, &after);
}

#[test]
fn thirty_jobs_are_twenty_at_once_and_the_limit_is_an_option() {
    let site = Site::start();
    let gate = Gate::closed(&site);
    let text = |id: &str| {
        gate.script(&site);
        format!(
            "universe = local\nexecutable = gated.sh\narguments = {id}$(Process)\noutput = out.{id}$(Process)\nlog = log\n"
        )
    };
    site.submit(&format!("{}queue 30\n", text("a")));
    wait_for_event(&site, "log", EXECUTING, 20);
    let running = || count(&site, "JobStatus == 2");
    assert_eq!((running(), count(&site, "JobStatus == 1")), (20, 10));
    let begun = || {
        std::fs::read_dir(site.home())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("started.a"))
    };
    site.wait_until(SOON, "twenty programs", || begun().count() == 20);
    let folder = site.state_dir().join("spool/local");
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 30);
    for proc in 0..30 {
        assert_eq!(site.read(&format!("out.a{proc}")), format!("done a{proc}\n"));
    }
    site.wait_until(SOON, "no folder left", || std::fs::read_dir(&folder).unwrap().count() == 0);
    drop(site);

    let options = SiteOptions { master_args: vec!["--local-jobs-max".into(), "1".into()], ..SiteOptions::default() };
    let site = Site::with(options);
    let gate = Gate::closed(&site);
    gate.script(&site);
    site.submit("universe = scheduler\nexecutable = gated.sh\narguments = $(Process)\nlog = log\nqueue 2\n");
    started(&site, "0");
    assert_eq!(story(&site, "log", "1.1"), [0]);
    let waiting = site.condor("condor_q", &["1.1", "-better-analyze"], "").ok().stdout;
    assert!(waiting.contains("runs on this machine"), "{waiting}");
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 2);
}

#[test]
fn spooled_local_jobs_give_back_what_they_made() {
    let site = Site::start();
    site.write_script("agent.sh", "#!/bin/sh\ncat in > copy\necho done\n");
    site.write("in", "given");
    let text = "universe = local\nexecutable = agent.sh\ntransfer_input_files = in\noutput = out\nlog = log\nqueue\n";
    site.condor("condor_submit", &["-spool", "-"], text).ok();
    site.write("in", "changed since");
    wait_for_event(&site, "log", TERMINATED, 1);
    site.condor("condor_transfer_data", &["1"], "").ok();
    assert_eq!((site.read("out").as_str(), site.read("copy").as_str()), ("done\n", "given"));
    assert_eq!(site.read("in"), "changed since", "an input that was not changed is no output");
}

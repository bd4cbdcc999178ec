//! Arguments, environment, standard streams, exit codes, and the job wrapper.

use std::process::Stdio;

use testkit::{Site, SiteOptions, WorkerOptions};

use crate::support::{
    EXECUTING, SOON, SUBMITTED, TERMINATED, attributes, events, run, site_with, site_with_cores, story, wait_for_event,
};

/// Prints each argument in brackets on a line of its own.
const BRACKETS: &str = "#!/bin/sh\nfor word; do printf '[%s]\\n' \"$word\"; done\n";

#[test]
fn arguments_arrive_as_they_were_written_in_either_syntax() {
    let (site, _worker) = site_with_cores(4);
    site.write_script("show.sh", BRACKETS);
    let cases = [
        ("one two", "[one]\n[two]\n"),
        (r#"say \"hi\" $HOME *"#, "[say]\n[\"hi\"]\n[$HOME]\n[*]\n"),
        ("it's `date`", "[it's]\n[`date`]\n"),
        (r#""'two words' three""#, "[two words]\n[three]\n"),
        (r#""it''s 'it''s' ""quoted"" ''""#, "[its]\n[it's]\n[\"quoted\"]\n[]\n"),
        (r#""$(Cluster).$(Process) ; exit 9""#, "[1.5]\n[;]\n[exit]\n[9]\n"),
        (r"back\slash a\\b", "[back\\slash]\n[a\\\\b]\n"),
    ];
    // One cluster, so that each case has its own number.
    let mut text = String::from("executable = show.sh\noutput = out.$(Process)\n");
    for (arguments, _) in cases {
        text += &format!("arguments = {arguments}\nqueue\n");
    }
    run(&site, &text);
    for (number, (arguments, wanted)) in cases.iter().enumerate() {
        assert_eq!(site.read(&format!("out.{number}")), *wanted, "{arguments}");
    }
    // AliEn writes `arguments = ` with nothing behind it.
    run(&site, "executable = show.sh\narguments = \noutput = none\nqueue\n");
    assert_eq!(site.read("none"), "");
}

#[test]
fn the_environment_arrives_in_either_syntax() {
    let (site, _worker) = site_with_cores(2);
    let text = "executable = /usr/bin/env\noutput = out.$(Process)\n\
                environment = A=old;B=two words;ID=$(Cluster).$(Process)\nqueue\n\
                environment = \"A='it''s' B=\"\"q\"\" C='a b' ID=$(Cluster).$(Process) dotted.name='d e'\"\nqueue\n";
    run(&site, text);
    for (proc, wanted) in [
        (0, &["A=old", "B=two words", "ID=1.0"][..]),
        // No shell keeps a name with a dot in it, and yet it arrives.
        (1, &["A=it's", "B=\"q\"", "C=a b", "ID=1.1", "dotted.name=d e"]),
    ] {
        let out = site.read(&format!("out.{proc}"));
        for entry in wanted {
            assert!(out.lines().any(|line| line == *entry), "no {entry} in {out}");
        }
    }
}

#[test]
fn getenv_takes_the_submitters_environment_and_environment_wins() {
    let (site, _worker) = site_with_cores(1);
    site.write_script("env.sh", "#!/bin/sh\necho $FROM_USER $BOTH $OTHER\n");
    let cases = [("all", "true", "user job other\n"), ("some", "FROM_*", "user job\n")];
    for (ends, (file, getenv, wanted)) in (1..).zip(cases) {
        let text = format!(
            "log = log\nexecutable = env.sh\noutput = {file}\ngetenv = {getenv}\nenvironment = BOTH=job\nqueue\n"
        );
        site.write("job.sub", text);
        let mut command = site.condor_command("condor_submit", &["job.sub"]);
        command.env("FROM_USER", "user").env("BOTH", "user").env("OTHER", "other").stdout(Stdio::null());
        // Without a guard: the job takes the environment along, and with it the mark by which a guard, when condor_submit
        // has ended, finds and ends all that it has started.
        assert!(command.status().expect("condor_submit was built").success());
        wait_for_event(&site, "log", TERMINATED, ends);
        assert_eq!(site.read(file), wanted, "getenv = {getenv}");
    }
}

#[test]
fn the_worker_gives_what_it_has_and_the_job_wins() {
    let site = Site::start();
    let env = vec![("FROM_WORKER".into(), "worker".into()), ("BOTH".into(), "worker".into())];
    let _worker = site.worker(WorkerOptions { env, ..WorkerOptions::default() });
    site.write_script(
        "env.sh",
        "#!/bin/sh\necho $FROM_WORKER $BOTH; [ \"$_CONDOR_SCRATCH_DIR\" = \"$PWD\" ] && echo here\n",
    );
    run(&site, "executable = env.sh\noutput = out\nenvironment = BOTH=job\nqueue\n");
    assert_eq!(site.read("out"), "worker job\nhere\n");
}

#[test]
fn the_proxy_goes_along() {
    use std::os::unix::fs::PermissionsExt;
    let (site, _worker) = site_with_cores(1);
    let proxy = site.write("my-proxy", "a proxy\n");
    std::fs::set_permissions(&proxy, std::fs::Permissions::from_mode(0o600)).unwrap();
    site.write_script("show.sh", "#!/bin/sh\ncat $X509_USER_PROXY\nstat -c %a $X509_USER_PROXY\ncase $X509_USER_PROXY in $PWD/*) echo inside;; esac\n");
    let text = "executable = show.sh\noutput = out\nlog = log\nuse_x509userproxy = true\nqueue\n";
    let mut command = site.condor_command("condor_submit", &[] as &[&str]);
    command.env("X509_USER_PROXY", &proxy);
    testkit::run_command(&mut command, text.as_bytes(), SOON).ok();
    wait_for_event(&site, "log", TERMINATED, 1);
    assert_eq!(site.read("out"), "a proxy\n600\ninside\n");
}

#[test]
fn exit_codes_and_signals_are_told() {
    let (site, _worker) = site_with_cores(4);
    let cluster = site.submit(
        "executable = /bin/sh\narguments = \"-c 'exit $(code)'\"\nlog = log\nleave_in_queue = true\n\
         transfer_executable = false\nqueue code in (0, 1, 7, 128)\n",
    );
    // `$$` is special in a submit file: a script says it without questions.
    site.write_script("killed.sh", "#!/bin/sh\nkill -9 $$\n");
    site.write_script("terminated.sh", "#!/bin/sh\nkill -TERM $$\n");
    for script in ["killed", "terminated"] {
        site.submit(&format!("executable = {script}.sh\nlog = log\nleave_in_queue = true\nqueue\n"));
    }
    wait_for_event(&site, "log", TERMINATED, 6);
    let told = |job: &str| {
        let all = events(&site, "log");
        let event = all.iter().find(|event| event.kind == TERMINATED && event.job == job).unwrap();
        event.text.lines().nth(1).unwrap().trim().to_owned()
    };
    for (proc, code) in [0, 1, 7, 128].into_iter().enumerate() {
        let job = format!("{cluster}.{proc}");
        assert_eq!(told(&job), format!("(1) Normal termination (return value {code})"));
        let said = attributes(&site, &job, &["JobStatus", "ExitBySignal", "ExitCode"]);
        assert_eq!(said, format!("4 false {code}"));
    }
    for (job, signal) in [("2.0", 9), ("3.0", 15)] {
        assert_eq!(told(job), format!("(0) Abnormal termination (signal {signal})"));
        let said = attributes(&site, job, &["JobStatus", "ExitBySignal", "ExitSignal"]);
        assert_eq!(said, format!("4 true {signal}"));
    }
}

#[test]
fn the_job_wrapper_stands_in_front() {
    let wrapper = "#!/bin/sh\necho wrapped $0 $1\nexport WRAPPED=yes\nexec \"$@\"\n".to_owned();
    let (site, _worker) = site_with(SiteOptions { job_wrapper: Some(wrapper), ..SiteOptions::default() });
    site.write_script("job.sh", "#!/bin/sh\necho job $WRAPPED \"$1\"\n");
    run(&site, "executable = job.sh\narguments = \"'a b'\"\noutput = out\nqueue\n");
    assert_eq!(site.read("out"), "wrapped ./wrapper.sh ./agent.sh\njob yes a b\n");
}

#[test]
fn the_originals_job_has_its_one_log_with_both_streams_in_order() {
    let (site, _worker) = site_with_cores(1);
    site.write_script("agent.startup.17", "#!/bin/sh\necho one; echo two >&2; echo three; ls; pwd\n");
    run(&site, "executable = agent.startup.17\noutput = out\nerror = out\nqueue\n");
    let text = site.read("out");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..3], ["one", "two", "three"]);
    // In its sandbox it finds itself and its log, under the names that the original gave them.
    assert!(lines.contains(&"agent.sh") && lines.contains(&"log"), "{lines:?}");
    assert_eq!(story(&site, "log", "1.0"), [SUBMITTED, EXECUTING, TERMINATED]);
}

//! `awq reload`: the program changes, the jobs run on.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use testkit::{Answer, ForemanOptions, Site, SiteOptions, WorkerOptions};

use crate::support::{
    EVICTED, EXECUTING, Gate, SOON, TERMINATED, attributes, count, events, log_of, runs, started, wait_for_event,
};

#[track_caller]
fn reload(site: &Site, more: &[&str]) -> Answer {
    site.condor("awq", &[&["reload"], more].concat(), "")
}

/// How often this event stands in the log.
fn told(site: &Site, log: &str, kind: u32) -> usize {
    events(site, log).iter().filter(|event| event.kind == kind).count()
}

/// A copy of the master's program, as an upgrade installs it, in the site's folder.
fn installed(site: &Site, name: &str) -> PathBuf {
    let path = site.folder().join(name);
    std::fs::copy(testkit::bin("alien_work_queue"), &path).unwrap();
    path
}

#[test]
fn twenty_jobs_on_real_workers_survive_an_upgrade() {
    let mut site = Site::with(SiteOptions { without_master: true, ..SiteOptions::default() });
    let program = installed(&site, "alien_work_queue");
    site.set_master_program(Some(program.clone()));
    site.start_master();
    let gate = Gate::closed(&site);
    gate.script(&site);
    let cluster =
        site.submit("executable = gated.sh\narguments = $(Process)\noutput = out.$(Process)\nlog = log\nqueue 22\n");
    let _workers: Vec<_> = (0..4).map(|_| site.worker(WorkerOptions::cores(5))).collect();
    wait_for_event(&site, "log", EXECUTING, 20);
    let running: Vec<u32> = (0..20).map(|proc| started(&site, &proc.to_string())).collect();
    let before = events(&site, "log");
    let pid = site.master_pid();
    // The running program is replaced on disk, as packages do it.
    let new = installed(&site, "new");
    std::fs::rename(new, &program).unwrap();
    let answer = reload(&site, &[]).ok();
    assert!(answer.stdout.contains("4 connections, 20 tasks"), "{answer}");
    assert_eq!(std::fs::read_link(format!("/proc/{pid}/exe")).unwrap(), program, "the same process, the new program");
    assert!(running.iter().all(|pid| runs(*pid)));
    assert_eq!(count(&site, "JobStatus == 2 && NumJobStarts == 1"), 20);
    assert_eq!(events(&site, "log"), before, "it is no event for any job");
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 22);
    site.wait_for_end(cluster, SOON);
    assert_eq!(told(&site, "log", EXECUTING), 22);
    assert_eq!(told(&site, "log", EVICTED), 0);
    for proc in 0..22 {
        assert_eq!(site.read(&format!("out.{proc}")), format!("done {proc}\n"));
    }
    // A crash after it finds everything in order, and a stop does.
    site.kill_9();
    site.start_master();
    assert_eq!(site.submit("executable = /bin/true\nqueue\n"), cluster + 1);
    assert_eq!(site.stop_master().code(), Some(0));
}

#[test]
fn a_program_that_cannot_take_over_changes_nothing() {
    let site = Site::start();
    let gate = Gate::closed(&site);
    gate.script(&site);
    let cluster = site.submit("executable = gated.sh\narguments = 0\noutput = out\nlog = log\nqueue\n");
    let _worker = site.worker(WorkerOptions::default());
    let job = started(&site, "0");
    let pid = site.master_pid();
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    // A broken build; another program; none; one that reads the state and then cannot be started: nobody tells in advance.
    site.write_script("broken", "#!/bin/sh\necho 'error while loading shared libraries' >&2\nexit 127\n");
    site.write_script("other", "#!/bin/sh\nexit 0\n");
    site.write_script("vanishing", "#!/bin/sh\ncat > /dev/null\necho '{\"reads_handover\":\"9.9\"}'\nrm \"$0\"\n");
    let table = [
        ("broken", "does not take over (exit status: 127): error while loading shared libraries"),
        ("other", "is no alien_work_queue that can be handed over to"),
        ("missing", "cannot start"),
        ("vanishing", "cannot start"),
    ];
    for (program, reason) in table {
        let answer = reload(&site, &["--program", program]);
        assert_eq!(answer.code, Some(1), "{answer}");
        let sentence = "nothing was restarted, the running master goes on: ";
        assert!(answer.stderr.contains(sentence) && answer.stderr.contains(reason), "{program}: {answer}");
        assert_eq!(std::fs::read_link(format!("/proc/{pid}/exe")).unwrap(), exe);
        assert!(runs(job));
        // It serves clients and workers as before.
        assert_eq!(attributes(&site, &format!("{cluster}.0"), &["JobStatus"]), "2");
    }
    // Settings that the new program would refuse are found too.
    let second = site.worker(WorkerOptions::default());
    assert_eq!(site.submit("executable = /bin/true\nlog = second\nqueue\n"), cluster + 1);
    wait_for_event(&site, "second", TERMINATED, 1);
    drop(second);
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 1);
    assert_eq!(site.read("out"), "done 0\n");
    assert_eq!(told(&site, "log", EVICTED), 0);
}

#[test]
fn twenty_reloads_while_jobs_come_and_go_lose_and_repeat_nothing() {
    // Compaction is under way most of the time.
    let master_args = vec!["--journal-floor-kb".into(), "8".into()];
    let site = Site::with(SiteOptions { master_args, ..SiteOptions::default() });
    let home = site.home();
    site.write_script(
        "job.sh",
        &format!(
            "#!/bin/sh\necho $1 >> '{}'/ran.$1\nhead -c 300000 /dev/zero\ncat in > copy\necho $1\n",
            home.display()
        ),
    );
    let input: Vec<u8> = (0..400_000u32).map(|n| (n % 251) as u8).collect();
    site.write("in", &input);
    let _workers: Vec<_> = (0..2).map(|_| site.worker(WorkerOptions::cores(2))).collect();
    let pid = site.master_pid();
    let mut clusters = Vec::new();
    for round in 0..20 {
        clusters.push(site.submit(&format!(
            "executable = job.sh\narguments = {round}.$(Process)\noutput = out.{round}.$(Process)\ntransfer_input_files = in\n\
             transfer_output_files = copy\ntransfer_output_remaps = \"copy = copy.{round}.$(Process)\"\n\
             should_transfer_files = YES\nlog = log\nqueue 3\n"
        )));
        let answer = reload(&site, &[]).ok();
        assert!(answer.stdout.contains("connections"), "{answer}");
    }
    for cluster in clusters {
        site.wait_for_end(cluster, SOON);
    }
    assert_eq!(site.master_pid(), pid);
    assert_eq!((told(&site, "log", TERMINATED), told(&site, "log", EXECUTING)), (60, 60));
    assert_eq!(told(&site, "log", EVICTED), 0);
    for round in 0..20 {
        for proc in 0..3 {
            let id = format!("{round}.{proc}");
            assert_eq!(site.read(&format!("ran.{id}")), format!("{id}\n"), "it ran once");
            let out = site.read(&format!("out.{id}"));
            assert!(out.len() > 300_000 && out.trim_start_matches('\0') == format!("{id}\n"), "{} bytes", out.len());
            assert!(std::fs::read(home.join(format!("copy.{id}"))).unwrap() == input, "{id}");
        }
    }
}

#[test]
fn clients_that_come_during_a_reload_wait_and_are_answered() {
    let site = Site::start();
    let cluster = site.submit("executable = /bin/true\nhold = true\nqueue 30\n");
    // One that connects early and speaks late.
    let mut early = std::os::unix::net::UnixStream::connect(site.work_dir().join("awq.sock")).unwrap();
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..3)
            .map(|_| {
                let mut commands: Vec<_> =
                    (0..15).map(|_| site.condor_command("condor_q", &["-af", "ProcId"])).collect();
                scope.spawn(move || {
                    for command in &mut commands {
                        let output = command.output().unwrap();
                        let lines = String::from_utf8_lossy(&output.stdout).lines().count();
                        assert!(output.status.success() && lines == 30, "{output:?}");
                    }
                })
            })
            .collect();
        while !askers.iter().all(|asker| asker.is_finished()) {
            reload(&site, &[]).ok();
        }
        askers.into_iter().for_each(|asker| asker.join().unwrap());
    });
    let ping = control_proto::Request::Ping;
    let mut wire = control_proto::frame::preamble().to_vec();
    let text = serde_json::to_vec(&ping).unwrap();
    control_proto::frame::put(&mut wire, control_proto::Kind::Request, &[&text]);
    control_proto::frame::put(&mut wire, control_proto::Kind::End, &[]);
    early.write_all(&wire).unwrap();
    let mut answer = Vec::new();
    early.read_to_end(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("\"pong\""), "{}", String::from_utf8_lossy(&answer));
    assert!(site.statuses(cluster).iter().all(|status| *status == 5));
}

#[test]
fn jobs_behind_a_foreman_and_a_password_survive_a_reload() {
    let site = Site::with(SiteOptions { password: Some(b"secret\n".to_vec()), ..SiteOptions::default() });
    let foreman = site.foreman(ForemanOptions::default());
    let _worker = site.worker(WorkerOptions { disk_mb: 1024, ..WorkerOptions::cores(2) }.behind(&foreman));
    let gate = Gate::closed(&site);
    gate.script(&site);
    let cluster =
        site.submit("executable = gated.sh\narguments = $(Process)\noutput = out.$(Process)\nlog = log\nqueue 2\n");
    let running = [started(&site, "0"), started(&site, "1")];
    let answer = reload(&site, &[]).ok();
    assert!(answer.stdout.contains("1 connections, 2 tasks"), "{answer}");
    assert!(running.iter().all(|pid| runs(*pid)));
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 2);
    site.wait_for_end(cluster, SOON);
    assert_eq!(told(&site, "log", EVICTED), 0);
    assert_eq!(site.read("out.1"), "done 1\n");
    // Who comes now must know the password as before.
    let _second = site.worker(WorkerOptions::cores(2));
    site.submit("executable = /bin/true\nlog = second\nrequirements = Machine =!= \"\"\nqueue\n");
    wait_for_event(&site, "second", TERMINATED, 1);
}

#[test]
fn settings_are_read_again_by_sighup_and_all_of_them_by_a_reload() {
    let mut site = Site::with(SiteOptions { without_master: true, ..SiteOptions::default() });
    let config = site.write("awq.toml", "log_level = \"warn\"\n");
    site = with_config(site, &config);
    site.start_master();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(site.master_pid()).unwrap());
    let hang_up = || nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
    std::fs::write(&config, "log_level = \"info\"\nproject_name = \"other\"\n").unwrap();
    hang_up();
    site.wait_until(SOON, "a word on it", || log_of(&site, "master").contains("the configuration was read again"));
    let log = log_of(&site, "master");
    assert!(log.contains("change only with `awq reload`") && log.contains("project_name"), "{log}");
    std::fs::write(&config, "log_level = 7\n").unwrap();
    hang_up();
    site.wait_until(SOON, "a complaint", || log_of(&site, "master").contains("awq.toml:1: invalid type"));
    // What a start would refuse, a reload refuses, and nothing changes.
    let refused = reload(&site, &[]);
    assert!(refused.stderr.contains("awq.toml:1: invalid type"), "{refused}");
    // The folders are fixed: the locks and sockets in them are handed over.
    std::fs::write(&config, "log_level = \"info\"\nproject_name = \"other\"\n").unwrap();
    reload(&site, &[]).ok();
    assert_eq!(site.submit("executable = /bin/true\nhold = true\nqueue\n"), 1);
    hang_up();
    site.wait_until(SOON, "the new program hears signals", || {
        log_of(&site, "master").rsplit("the planned restart is done").next().unwrap().contains("SIGHUP")
    });
    let log = log_of(&site, "master");
    let after = log.rsplit("the planned restart is done").next().unwrap();
    assert!(!after.contains("change only with"), "it has read all of them: {after}");
    assert_eq!(site.stop_master().code(), Some(0));
}

fn with_config(site: Site, config: &Path) -> Site {
    let program = site.folder().join("master");
    let text = format!(
        "#!/bin/sh\nexec '{}' --config '{}' \"$@\"\n",
        testkit::bin("alien_work_queue").display(),
        config.display()
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut site = site;
    site.set_master_program(Some(program));
    site
}

#[test]
fn jobs_of_this_host_keep_the_program_as_it_is_until_they_have_ended() {
    let site = Site::start();
    let gate = Gate::closed(&site);
    gate.script(&site);
    let cluster = site
        .submit("universe = local\nexecutable = gated.sh\narguments = $(Process)\noutput = out.$(Process)\nlog = log\nqueue 2\n");
    let running = [started(&site, "0"), started(&site, "1")];
    let refused = reload(&site, &[]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("2 jobs of the local or scheduler universe run here"), "{refused}");
    assert!(running.iter().all(|pid| runs(*pid)));
    gate.open();
    site.wait_for_end(cluster, SOON);
    assert_eq!(site.read("out.1"), "done 1\n");
    reload(&site, &[]).ok();
    // The new program runs such jobs, too.
    let next =
        site.submit("universe = local\nexecutable = gated.sh\narguments = 2\noutput = out.2\nlog = log\nqueue\n");
    site.wait_for_end(next, SOON);
    assert_eq!((site.read("out.2").as_str(), told(&site, "log", EVICTED)), ("done 2\n", 0));
}

#[test]
fn status_tools_and_the_service_manager_are_served_by_the_next_program() {
    let notify = tempfile::tempdir().unwrap();
    let path = notify.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(SOON)).unwrap();
    let mut site = Site::with(SiteOptions { without_master: true, ..SiteOptions::default() });
    let program = site.folder().join("master");
    let text = format!(
        "#!/bin/sh\nNOTIFY_SOCKET='{}' exec '{}' \"$@\"\n",
        path.display(),
        testkit::bin("alien_work_queue").display()
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    site.set_master_program(Some(program));
    site.start_master();
    let heard = || {
        let mut room = [0; 500];
        let count = manager.recv(&mut room).unwrap();
        String::from_utf8_lossy(&room[..count]).lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(heard(), "READY=1");
    reload(&site, &[]).ok();
    // Not a word of the trial between both.
    assert_eq!((heard(), heard()), ("RELOADING=1".to_owned(), "READY=1".to_owned()));
    reload(&site, &["--program", "/no/such/program"]);
    assert_eq!((heard(), heard()), ("RELOADING=1".to_owned(), "READY=1".to_owned()), "it goes on");
    let mut tool = std::net::TcpStream::connect(("127.0.0.1", site.port())).unwrap();
    tool.set_read_timeout(Some(SOON)).unwrap();
    tool.write_all(b"queue_status\n").unwrap();
    let mut answer = String::new();
    tool.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("tasks_running"), "{answer}");
    assert_eq!(site.stop_master().code(), Some(0));
    assert_eq!(heard(), "STOPPING=1");
}

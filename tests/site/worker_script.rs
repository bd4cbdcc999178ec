//! `alien_wq_worker.sh`: whom it starts, keeps running and stops, and whom it leaves alone.

use std::time::Duration;

use testkit::Terminal;

use crate::prefix::{operator, operator_at, start_master};

const SOON: Duration = Duration::from_secs(90);

/// A work_queue_worker that appends its arguments to `runs` and then does what the rest of the script says.
fn with_worker(terminal: &Terminal, rest: &str) {
    terminal.types("mkdir -p fake; PATH=$HOME/fake:$PATH; hash -r").ok();
    let text = format!(
        "#!/bin/bash\n[[ $1 != --help ]] || {{ echo --workdir --single-task; exit 0; }}\n\
         echo \"${{@:3}}\" >> \"$HOME/runs\"\n{rest}\n"
    );
    terminal.write("fake/work_queue_worker", &text, 0o755);
}

fn processes(terminal: &Terminal, word: &str) -> usize {
    terminal.running().iter().filter(|line| line.split(' ').any(|part| part.ends_with(word))).count()
}

#[test]
fn two_work_dirs_do_not_touch_each_other() {
    let terminal = operator();
    terminal.types("export WQ_NUM_WORKERS=2 WQ_NUM_FOREMEN=1; alien_wq_worker.sh start-foremen").ok();
    terminal.types("mkdir shared; touch shared/mine; export WQ_WORKDIR=shared").ok();
    terminal.types("alien_wq_worker.sh start-workers && alien_wq_worker.sh count-foremen").ok();
    terminal.waits_for(SOON, "alien_wq_worker.sh count-workers; alien_wq_worker.sh count-foremen", "2\n0");
    terminal.types("unset WQ_WORKDIR; alien_wq_worker.sh start-workers").ok();
    terminal.waits_for(SOON, "alien_wq_worker.sh count-workers; alien_wq_worker.sh count-foremen", "2\n1");
    terminal.types("alien_wq_worker.sh stop-workers && alien_wq_worker.sh stop-foremen").ok();
    terminal.waits_for(SOON, "WQ_WORKDIR=shared alien_wq_worker.sh count-workers", "2");
    terminal.types("test ! -e .alien_wq_tmp; WQ_WORKDIR=shared alien_wq_worker.sh stop-workers").ok();
    assert_eq!(terminal.types("find shared").stdout, "shared\nshared/mine\n");
    assert_eq!(terminal.running(), Vec::<String>::new());
}

#[test]
fn a_long_path_with_blanks_and_a_generous_umask() {
    let terminal = operator_at(&format!("a home of {}", "120 characters ".repeat(8).trim_end()));
    assert!(terminal.home().as_os_str().len() > 120);
    terminal.types("umask 002; export WQ_NUM_WORKERS=1 WQ_NUM_FOREMEN=1").ok();
    start_master(&terminal, "exec alien_work_queue");
    terminal.types("alien_wq_worker.sh start-foremen && alien_wq_worker.sh start-workers").ok();
    terminal
        .types("printf 'executable = /bin/sh\\narguments = \"-c umask\"\\noutput = out\\nqueue\\n' | condor_submit")
        .ok();
    terminal.waits_for(SOON, "condor_q -af ClusterId JobStatus HoldReason", "");
    assert_eq!(terminal.read("out"), "0002\n");
    // Nobody else writes pid files.
    assert_eq!(
        terminal.types("find .alien_wq_tmp .alien_wq_tmp/* /tmp/alien_wq.* -maxdepth 0 -perm /077 -type d").ok().stdout,
        ""
    );
    terminal.types("alien_wq_worker.sh stop-workers; alien_wq_worker.sh stop-foremen").ok();
    assert_eq!(terminal.types("ls -d .alien_wq_tmp /tmp/alien_wq.*").stdout, "");
}

#[test]
fn starting_again_starts_only_what_is_missing() {
    let terminal = operator();
    with_worker(&terminal, "exec sleep 600");
    terminal.types("export WQ_NUM_WORKERS=3; alien_wq_worker.sh start-workers").ok();
    terminal.waits_for(SOON, "alien_wq_worker.sh count-workers", "3");
    let answer = terminal.types("WQ_NUM_WORKERS=4 alien_wq_worker.sh start-workers").ok();
    assert_eq!(answer.stderr, "Number of Work Queue workers to start: 1\n");
    let answer = terminal.types("alien_wq_worker.sh start-workers").ok();
    assert_eq!(answer.stderr, "Number of Work Queue workers to start: 0\n");
    terminal.waits_for(SOON, "alien_wq_worker.sh count-workers; wc -l < runs", "4\n4");
    terminal.types("alien_wq_worker.sh stop-workers").ok();
    assert_eq!(terminal.running(), Vec::<String>::new());
}

#[test]
fn variables_become_options() {
    let terminal = operator();
    with_worker(&terminal, "exec sleep 600");
    terminal
        .types("touch pw; export WQ_PASSWORD_FILE=pw WQ_MASTER=head:9000 WQ_MASTER_BASEPORT=9200 WQ_NORESPAWN=1")
        .ok();
    terminal.types("WQ_FOREMEN=far WQ_NUM_FOREMEN=1 WQ_CORES=all alien_wq_worker.sh start-workers").ok();
    terminal
        .types("WQ_SINGLETASK=1 WQ_IDLETIMEOUT=7 WQ_NUM_WORKERS=2 WQ_CORES=4 alien_wq_worker.sh start-workers")
        .ok();
    terminal.leaves_running("foreman", "exec alien_wq_worker.sh foremen 5");
    terminal.waits_for(SOON, "alien_wq_worker.sh count-workers; alien_wq_worker.sh count-foremen", "2\n1");
    let runs = terminal.read("runs").replace(&*terminal.home().to_string_lossy(), "HOME");
    let password = "--password HOME/pw";
    let lines: Vec<&str> = runs.lines().collect();
    assert_eq!(lines[0], format!("{password} --cores 0 --single-shot --idle-timeout=100 far 9200"));
    let second = format!("{password} --cores 4 --single-task --single-shot --idle-timeout=7 127.0.0.1 920");
    assert!(lines[1].starts_with(&second), "{runs}");
    assert_eq!(lines[2], format!("{password} --foreman --foreman-port 9205 head 9000"));
    let answer = terminal.types("alien_wq_worker.sh foremen 5").exits(1);
    assert!(answer.stderr.contains("number 5 of the foremen runs already"), "{answer}");
    terminal.types("alien_wq_worker.sh stop-foremen && alien_wq_worker.sh stop-workers").ok();
}

#[test]
fn what_ends_is_started_again_after_a_pause_with_another_foreman() {
    let terminal = operator();
    with_worker(&terminal, "[[ $(wc -l < \"$HOME/runs\") -lt 4 ]] || exec sleep 600");
    terminal.types("WQ_NUM_FOREMEN=1000 WQ_NUM_WORKERS=1 alien_wq_worker.sh start-workers").ok();
    terminal.waits_for(SOON, "cat .alien_wq_tmp/*/workers.0/log | grep -o 'next start is in .*'; wc -l < runs", {
        "next start is in 1 s\nnext start is in 2 s\nnext start is in 4 s\n4"
    });
    let ports = terminal.types("awk '{ print $NF }' runs | sort -u | wc -l").stdout;
    assert_ne!(ports.trim(), "1", "{}", terminal.read("runs"));
    terminal.types("alien_wq_worker.sh stop-workers").ok();
    assert_eq!(terminal.running(), Vec::<String>::new());
}

#[test]
fn without_respawn_and_with_a_single_task_the_end_is_the_end() {
    let terminal = operator();
    with_worker(&terminal, "exit 0");
    for variable in ["WQ_NORESPAWN", "WQ_SINGLETASK"] {
        terminal.types(&format!("{variable}=1 alien_wq_worker.sh workers")).ok();
    }
    assert_eq!(terminal.read("runs").lines().count(), 2);
    assert_eq!(terminal.types("find .alien_wq_tmp -type f ! -name lock").stdout, "");
}

#[test]
fn stopping_ends_what_jobs_have_left_behind_and_nothing_else() {
    let terminal = operator();
    // The second one refuses to go, and works in the folder of its slot; the third is the user's own.
    with_worker(&terminal, "cd \"$2\"; (trap '' TERM; exec setsid sleep 601) & exec sleep 600");
    terminal.leaves_running("mine", "exec sleep 602");
    terminal.types("WQ_NUM_WORKERS=2 alien_wq_worker.sh start-workers").ok();
    terminal.waits_for(SOON, "alien_wq_worker.sh count-workers", "2");
    // A file that names a process of somebody else: its number has been given away since.
    terminal
        .types("cp .alien_wq_tmp/pids/*/workers.0 recycled && sed -i \"s/^[0-9]*/$(pgrep -f '^sleep 602')/\" recycled")
        .ok();
    terminal
        .types("for f in .alien_wq_tmp/pids/*/; do cp recycled $f/workers.7; cp recycled $f/workers.7.keeper; done")
        .ok();
    assert_eq!(terminal.types("alien_wq_worker.sh count-workers").stdout, "2\n");
    terminal.types("alien_wq_worker.sh stop-workers").ok();
    assert_eq!(terminal.running(), ["sleep 602"]);
    terminal.types("test ! -e .alien_wq_tmp").ok();
}

#[test]
fn killed_keepers_and_a_stubborn_worker_are_stopped_too() {
    let terminal = operator();
    with_worker(&terminal, "trap '' TERM; while :; do sleep 0.5; done");
    terminal.types("WQ_NUM_WORKERS=2 alien_wq_worker.sh start-workers").ok();
    terminal.waits_for(SOON, "alien_wq_worker.sh count-workers", "2");
    terminal.types("kill -KILL $(cut -d' ' -f1 .alien_wq_tmp/pids/*/workers.1.keeper)").ok();
    assert_eq!(terminal.types("alien_wq_worker.sh count-workers").stdout, "2\n");
    let answer = terminal.types("WQ_NUM_WORKERS=2 alien_wq_worker.sh start-workers").ok();
    assert_eq!(answer.stderr, "Number of Work Queue workers to start: 0\n");
    terminal.types("alien_wq_worker.sh stop-workers").ok();
    assert_eq!(processes(&terminal, "work_queue_worker"), 0);
    assert_eq!(terminal.running(), Vec::<String>::new());
}

#[test]
fn stopping_what_never_ran_makes_nothing() {
    let terminal = operator();
    terminal.types("alien_wq_worker.sh stop-workers && alien_wq_worker.sh stop-foremen").ok();
    assert_eq!(terminal.types("alien_wq_worker.sh count-workers; ls -A").stdout, "0\n");
}

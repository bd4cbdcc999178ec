//! `drain`: what runs is left to end, nothing is started again, and stopping is another matter.

use std::time::Duration;

use crate::prefix::{operator, start_master};

const SOON: Duration = Duration::from_secs(90);

/// A job that says that it runs, and runs until there is a file `gate` in home.
const GATED: &str = "#!/bin/sh\necho $1 >> \"$2/started\"\nwhile [ ! -e \"$2/gate\" ]; do sleep 0.1; done\n";

#[test]
fn running_jobs_end_and_waiting_ones_stay_in_the_queue() {
    let terminal = operator();
    start_master(&terminal, "exec alien_work_queue");
    terminal.types("export WQ_NUM_FOREMEN=1 WQ_NUM_WORKERS=2; alien_wq_worker.sh start-foremen").ok();
    terminal.types("alien_wq_worker.sh start-workers").ok();
    terminal.write("gated.sh", GATED, 0o755);
    terminal
        .types(
            "printf 'executable = gated.sh\\narguments = $(Process) '$HOME'\\nlog = log\\nqueue 2\\n' | condor_submit\n\
             printf 'executable = /bin/sleep\\narguments = 600\\nlog = later\\nqueue 4\\n' | condor_submit",
        )
        .ok();
    terminal.waits_for(SOON, "sort started", "0\n1");
    terminal.types("alien_wq_worker.sh drain && test -d .alien_wq_drain").ok();
    terminal.waits_for(SOON, "cat .alien_wq_tmp/*/workers.*/log | grep -c 'ends when its current work is done'", "2");
    assert_eq!(terminal.types("alien_wq_worker.sh count-workers").stdout, "2\n");
    terminal.types("touch gate").ok();
    terminal.waits_for(SOON, "alien_wq_worker.sh count-workers; alien_wq_worker.sh count-foremen", "0\n0");
    terminal.waits_for(SOON, "condor_q 1 -af ProcId", "");
    // Each has run once, and those that came too late wait as before.
    assert_eq!(terminal.types("sort started").stdout, "0\n1\n");
    assert_eq!(terminal.types("grep -c '^005 ' log").stdout, "2\n");
    terminal.waits_for(SOON, "condor_q 2 -af JobStatus", "1\n1\n1\n1");
    terminal.types("alien_wq_worker.sh start-foremen && test ! -e .alien_wq_drain").ok();
}

#[test]
fn the_flag_may_be_a_file_and_only_what_drain_makes_is_removed() {
    let terminal = operator();
    terminal.types("export WQ_NUM_WORKERS=1; touch .alien_wq_drain; alien_wq_worker.sh start-workers").ok();
    terminal.types("test ! -e .alien_wq_drain").ok();
    terminal.types("touch .alien_wq_drain").ok();
    terminal.waits_for(SOON, "find .alien_wq_tmp -type f ! -name lock", "");
    terminal.types("export WQ_DRAIN=$HOME/kept; mkdir -p kept/of/mine").ok();
    let answer = terminal.types("alien_wq_worker.sh start-workers").exits(1);
    assert!(answer.stderr.contains("kept (WQ_DRAIN) cannot be removed: Directory not empty\nremedy: "), "{answer}");
    terminal.types("test -d kept/of/mine && alien_wq_worker.sh stop-workers").ok();
}

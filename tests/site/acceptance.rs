//! The acceptance test of the original, line by line, but for two things: the master is started before jobs are
//! submitted (decision D5), and the installation has a prefix of its own.

use std::time::Duration;

use crate::prefix::{operator, prefix, start_master};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn three_foremen_five_workers_and_a_job_with_and_without_wrapper() {
    let terminal = operator();
    terminal.write("job.sh", "#!/bin/bash -e\necho this is a ${ALIEN_TEST_VARIABLE}${FILTERED_OUT}\n", 0o755);
    terminal.types("WQ_NUM_FOREMEN=3 alien_wq_worker.sh start-foremen").ok();
    terminal.types("WQ_NUM_WORKERS=5 alien_wq_worker.sh start-workers").ok();
    terminal.waits_for(SOON, "alien_wq_worker.sh count-foremen", "3");
    terminal.waits_for(SOON, "alien_wq_worker.sh count-workers", "5");
    terminal.types("export AWQ_WORKDIR=/tmp/awq_test").ok();
    let wrapper = format!("--job-wrapper '{}/etc/alien_job_wrapper.sh' ", prefix().display());
    for (option, expected) in [(&*wrapper, "this is a test\n"), ("", "this is a testyabba\n")] {
        start_master(
            &terminal,
            &format!("echo $BASHPID > \"$HOME/pid\"; exec alien_work_queue {option}--work-dir $AWQ_WORKDIR"),
        );
        terminal.types("rm -f job.out").ok();
        terminal
            .types(
                "printf 'executable = '$HOME'/job.sh\\noutput = '$HOME'/job.out\\n\
                 environment = ALIEN_TEST_VARIABLE=test;FILTERED_OUT=yabba\\n' | condor_submit",
            )
            .ok();
        terminal.waits_for(SOON, "condor_q -af ClusterId JobStatus HoldReason", "");
        assert_eq!(terminal.read("job.out"), expected, "{}", terminal.read("master.log"));
        terminal.types("kill -KILL $(cat pid)").ok();
        // Its lock lives as long as it does.
        terminal.waits_for(SOON, "kill -0 $(cat pid) 2> /dev/null || echo ended", "ended");
    }
}

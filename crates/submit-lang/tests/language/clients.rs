//! Submit texts as real software sends them, byte for byte.

use submit_lang::{ClusterText, Options, Submission};

use crate::site::{Site, value};

fn stdin() -> Options {
    Options { file_name: "<stdin>".to_owned(), ..Options::default() }
}

/// A site with the start script of an agent.
fn site() -> Site {
    let mut site = Site::new();
    site.add("/tmp/alien/agent.startup.1234", b"#!/bin/bash\nexec agent\n");
    site.add("condor.sh", b"eval \"$@\"\n");
    site.add("work_queue_worker", b"\x7fELF");
    site
}

fn check(submission: &Submission, want: &[(&str, &str)]) {
    for (name, text) in want {
        assert_eq!(value(submission, 0, name).as_deref(), Some(*text), "{name}");
    }
}

const ALIEN: &str = "executable = /tmp/alien/agent.startup.1234
arguments = \n

output = /var/log/alien/AliEn.JobAgent.77.1.out
error  = /var/log/alien/AliEn.JobAgent.77.1.err
log    = /var/log/alien/AliEn.JobAgent.77.1.log
environment=CONDOR_ID=$(Cluster).$(Process);ALIEN_CM_AS_LDAP_PROXY=vobox.example.org:8084;ALIEN_JOBAGENT_ID=77.1;ALIEN_ALICE_CM_AS_LDAP_PROXY=vobox.example.org:8084
queue
";

#[test]
fn alien_condor() {
    let submission = site().submit(ALIEN, &stdin()).unwrap();
    assert_eq!(submission.warnings, Vec::<String>::new());
    assert!(!submission.needs_cluster_number);
    let cluster = &submission.clusters[0];
    assert_eq!((cluster.procs, cluster.varying.len(), cluster.rows.len()), (1, 0, 0));
    let program = cluster.executable.as_ref().unwrap();
    assert_eq!((program.path.as_str(), program.size), ("/tmp/alien/agent.startup.1234", 23));
    check(
        &submission,
        &[
            (
                "Environment",
                "\"ALIEN_ALICE_CM_AS_LDAP_PROXY=vobox.example.org:8084 ALIEN_CM_AS_LDAP_PROXY=vobox.example.org:8084 \
                 ALIEN_JOBAGENT_ID=77.1 CONDOR_ID=1.0\"",
            ),
            ("Arguments", "\"\""),
            ("Out", "\"/var/log/alien/AliEn.JobAgent.77.1.out\""),
            ("UserLog", "\"/var/log/alien/AliEn.JobAgent.77.1.log\""),
        ],
    );
}

#[test]
fn alien_condor_of_2013_with_extra_lines() {
    let text = "executable = /tmp/alien/agent.startup.1234
arguments =\x20
output = o
error = e
log = l
requirements = (a == 1)
+MyAttr = \"x\"
grid_resource=gt2 ce.example.org
environment=ALIEN_CM_AS_LDAP_PROXY=h:1
queue
";
    let submission = site().submit(text, &stdin()).unwrap();
    check(&submission, &[("MyAttr", "\"x\""), ("JobUniverse", "5")]);
    assert!(value(&submission, 0, "Requirements").unwrap().starts_with("((a == 1)) && (TARGET.Arch"));
}

const HTCONDOR: &str = "cmd = /tmp/alien/agent.startup.1234
output = /l/2016-06-01/jobagent_77_1.out
error = /l/2016-06-01/jobagent_77_1.err
log = /l/2016-06-01/jobagent_77_1.log
universe = grid
\t+TransferOutput = \"\"
\t#periodic_remove = (RemoteWallClockTime > 48*3600 ) || (x \\
\tperiodic_remove = (CurrentTime - QDate) > 7*24*3600
grid_resource = condor ce504.cern.ch ce504.cern.ch:9619
+WantExternalCloud = True
use_x509userproxy = true
environment=\"ALIEN_CM_AS_LDAP_PROXY='h:1' ALIEN_ALICE_CM_AS_LDAP_PROXY='h:1' ALIEN_JOBAGENT_ID='77_1'\"
queue 1";

#[test]
fn alien_htcondor() {
    let options = Options { append: vec!["+TestClassAd=1".to_owned()], ..stdin() };
    let submission = site().submit(HTCONDOR, &options).unwrap();
    assert_eq!(submission.warnings, Vec::<String>::new());
    assert_eq!(submission.clusters[0].proxy, None, "a proxy that is not there is left out");
    check(
        &submission,
        &[
            ("JobUniverse", "9"),
            ("GridResource", "\"condor ce504.cern.ch ce504.cern.ch:9619\""),
            ("TransferOutput", "\"\""),
            ("PeriodicRemove", "(CurrentTime - QDate) > 7 * 24 * 3600"),
            ("WantExternalCloud", "true"),
            ("TestClassAd", "1"),
            ("Environment", "\"ALIEN_ALICE_CM_AS_LDAP_PROXY=h:1 ALIEN_CM_AS_LDAP_PROXY=h:1 ALIEN_JOBAGENT_ID=77_1\""),
        ],
    );
}

#[test]
fn alien_htcondor_through_the_router_with_continued_lines() {
    let text = "cmd = /tmp/alien/agent.startup.1234
log = /l/j.log
universe = vanilla
+WantJobRouter=True
job_lease_duration = 7200
ShouldTransferFiles = YES
+TransferOutput = \"\"
periodic_hold = \\
  JobStatus == 1 && ( \\
    GridJobStatus =?= undefined && CurrentTime - EnteredCurrentStatus > 1800 \\
  ) || \\
  JobStatus <= 2 && ( \\
    CurrentTime - EnteredCurrentStatus > 172800 \\
  )

periodic_remove = \\
  CurrentTime - QDate > 259200

use_x509userproxy = true
environment = \"ALIEN_CM_AS_LDAP_PROXY='h:1'\"
# site's own lines
periodic_remove = CurrentTime - QDate > 100
queue 1
";
    let mut site = site();
    site.env.insert("X509_USER_PROXY".to_owned(), "/tmp/x509up_u1000".to_owned());
    site.add("/tmp/x509up_u1000", b"proxy");
    let submission = site.submit(text, &stdin()).unwrap();
    assert_eq!(submission.clusters[0].proxy.as_deref(), Some("/tmp/x509up_u1000"));
    check(
        &submission,
        &[
            (
                "PeriodicHold",
                "JobStatus == 1 && (GridJobStatus =?= undefined && CurrentTime - EnteredCurrentStatus > 1800) || \
                 JobStatus <= 2 && (CurrentTime - EnteredCurrentStatus > 172800)",
            ),
            ("PeriodicRemove", "CurrentTime - QDate > 100"),
            ("ShouldTransferFiles", "\"YES\""),
            ("WantJobRouter", "true"),
            ("JobLeaseDuration", "7200"),
            ("x509userproxy", "\"/tmp/x509up_u1000\""),
        ],
    );
}

#[test]
fn the_first_htcondor_class_forgets_a_line_end() {
    let text = HTCONDOR.replace("7*24*3600\n", "7*24*3600)use_x509userproxy = true\n");
    let error = site().submit(&text, &stdin()).unwrap_err();
    assert!(error.message.starts_with("ERROR: Parse error in expression: \n\tPeriodicRemove = "), "{}", error.message);
}

const JALIEN: &str = "cmd = /tmp/alien/agent.startup.1234
log = /home/alice/htcondor/2024-03-01/jobagent_77_1.log
+TransferOutput = \"\"
periodic_hold = (JobStatus <= 2 && CurrentTime - EnteredCurrentStatus > 172800)
periodic_remove = CurrentTime - QDate > 259200
universe = vanilla
job_lease_duration = 7200
ShouldTransferFiles = YES
use_x509userproxy = true
environment = \"ALIEN_CM_AS_LDAP_PROXY='vobox.example.org:8084'\"
queue 1

";

#[test]
fn jalien() {
    let options = Options { file_name: "htc-submit.1.jdl".to_owned(), ..Options::default() };
    let submission = site().submit(JALIEN, &options).unwrap();
    assert_eq!(submission.warnings, Vec::<String>::new());
    assert_eq!(submission.clusters.len(), 1);
    check(
        &submission,
        &[
            ("Out", "\"/dev/null\""),
            ("TransferOutput", "\"\""),
            ("PeriodicHold", "(JobStatus <= 2 && CurrentTime - EnteredCurrentStatus > 172800)"),
            ("Environment", "\"ALIEN_CM_AS_LDAP_PROXY=vobox.example.org:8084\""),
            ("JobSubmitFile", "\"htc-submit.1.jdl\""),
        ],
    );
}

#[test]
fn jalien_test_site_names_variables_with_dots() {
    let text = JALIEN.replace(
        "environment = \"ALIEN_CM_AS_LDAP_PROXY='vobox.example.org:8084'\"",
        "environment = \"A='x' B=y c.d=e\"",
    );
    let submission = site().submit(&text, &stdin()).unwrap();
    check(&submission, &[("Environment", "\"A=x B=y c.d=e\"")]);
}

#[test]
fn jalien_with_a_token() {
    let text = JALIEN
        .replace("use_x509userproxy = true", "use_scitokens = true\nscitokens_file = /home/alice/.globus/wlcg.dat");
    let mut site = site();
    assert_eq!(site.submit(&text, &stdin()).unwrap().clusters[0].token, None);
    site.add("/home/alice/.globus/wlcg.dat", b"token");
    let submission = site.submit(&text, &stdin()).unwrap();
    assert_eq!(submission.clusters[0].token.as_deref(), Some("/home/alice/.globus/wlcg.dat"));
}

#[test]
fn cctools_batch_queue() {
    let text = "universe = vanilla
executable = condor.sh
arguments = \"./sim '''b c''' \"\"x\"\" > out \"
transfer_input_files = a.dat, b.dat,\x20
should_transfer_files = yes
when_to_transfer_output = on_exit
notification = never
transfer_executable = true
keep_claim_idle = 30
log = condor.logfile
+JobMaxSuspendTime = 0
requirements = (Memory > 1) && (machine != \"h\")
getenv = true
request_cpus = ifThenElse(1 > TotalSlotCpus, 1, TotalSlotCpus)
queue
";
    let mut site = site();
    site.env.insert("HOME".to_owned(), "/home/alice".to_owned());
    let submission =
        site.submit(text, &Options { file_name: "condor.submit".to_owned(), ..Options::default() }).unwrap();
    check(
        &submission,
        &[
            ("Arguments", "\"./sim ''''b' 'c'''' \\\"x\\\" > out\""),
            ("TransferInput", "\"a.dat,b.dat\""),
            ("Environment", "\"HOME=/home/alice\""),
            ("KeepClaimIdle", "30"),
            ("JobMaxSuspendTime", "0"),
            ("RequestCpus", "ifThenElse(1 > TotalSlotCpus,1,TotalSlotCpus)"),
            ("UserLog", "\"/home/alice/w/condor.logfile\""),
        ],
    );
    assert_eq!(value(&submission, 0, "TransferOutput"), None, "all new files come back");
}

#[test]
fn condor_submit_workers() {
    let text = "universe = vanilla
executable = work_queue_worker
arguments = --cores $$([TARGET.Cpus]) --memory $$([TARGET.Memory]) --disk $$([TARGET.Disk/1024]) -t 900 master.example.org 9123
transfer_input_files = work_queue_worker
should_transfer_files = yes
when_to_transfer_output = on_exit
error = worker.$(PROCESS).error
output = worker.$(PROCESS).output
log = workers.log
+JobMaxSuspendTime = 0
Requirements = (Memory >= 512)
request_cpus = 4
queue 100
";
    let options = Options { file_name: "condor_submit_file".to_owned(), ..Options::default() };
    let submission = site().submit(text, &options).unwrap();
    let cluster = &submission.clusters[0];
    assert_eq!((cluster.procs, cluster.varying.len()), (100, 0), "marks keep all jobs equal");
    assert_eq!(value(&submission, 42, "Out").as_deref(), Some("\"worker.42.output\""));
    check(
        &submission,
        &[(
            "Args",
            "\"--cores $$([TARGET.Cpus]) --memory $$([TARGET.Memory]) --disk $$([TARGET.Disk/1024]) -t 900 \
             master.example.org 9123\"",
        )],
    );
}

#[test]
fn law_items_with_commas() {
    let text = "executable = job.sh
arguments = $(arguments)
output = stdout$(law_job_postfix).txt
environment = \"LAW_HTCONDOR_JOB_CLUSTER=$(Cluster) LAW_HTCONDOR_JOB_PROCESS=$(Process)\"
transfer_output_remaps = \"a=b;c=d\"
queue law_job_postfix, arguments from (
  _0To1, first 'x y'
  _1To2, second
)
";
    let submission = site().submit(text, &stdin()).unwrap();
    assert_eq!(submission.clusters[0].procs, 2);
    assert_eq!(submission.clusters[0].varying, ["Args", "Out"]);
    assert_eq!(value(&submission, 1, "Out").as_deref(), Some("\"stdout_1To2.txt\""));
    assert_eq!(value(&submission, 0, "Args").as_deref(), Some("\"first 'x y'\""));
    assert_eq!(
        value(&submission, 1, "Environment").as_deref(),
        Some("\"LAW_HTCONDOR_JOB_CLUSTER=1 LAW_HTCONDOR_JOB_PROCESS=1\"")
    );
}

#[test]
fn harvester_joins_descriptions_in_one_cluster() {
    let one = |n: u32| format!("executable = job.sh\narguments = {n}\n+sdfPath = \"p{n}\"\nqueue\n\n");
    let text = [one(1), one(2), one(3)].concat();
    let mut options = Options { single_cluster: true, cluster: ClusterText::Number(7), ..stdin() };
    let submission = site().submit(&text, &options).unwrap();
    assert_eq!(submission.clusters.len(), 1);
    assert_eq!(submission.clusters[0].procs, 3);
    assert_eq!(value(&submission, 2, "sdfPath").as_deref(), Some("\"p3\""));
    options.single_cluster = false;
    let submission = site().submit(&text, &options).unwrap();
    let procs: Vec<u32> = submission.clusters.iter().map(|cluster| cluster.procs).collect();
    assert_eq!(procs, [1, 1, 1], "each executable line begins a new cluster");
}

#[test]
fn cromwell_indents_everything() {
    let text = "
        executable=job.sh
        log=/x/execution.log
        requirements=
        leave_in_queue=true
        request_memory=512.0
        request_disk=256000.0
        log_xml=true
        Iwd=/home/alice/w
        queue
";
    let submission = site().submit(text, &stdin()).unwrap();
    check(
        &submission,
        &[("RequestMemory", "512"), ("RequestDisk", "256000"), ("LeaveJobInQueue", "true"), ("UserLogUseXML", "true")],
    );
}

#[test]
fn blahp_keeps_jobs_until_they_are_seen() {
    let text = "#\n\nexecutable = job.sh\nleave_in_queue = JobStatus == 4 && (CompletionDate =?= UNDEFINED || CompletionDate == 0 || \
                ((CurrentTime - CompletionDate) < 1800))\nperiodic_remove = JobStatus == 2 && (time() - \
                JobCurrentStartExecutingDate > 60) =?= true\ntransfer_output_remaps=\"a=b;c=d\"\nqueue\n";
    let submission = site().submit(text, &stdin()).unwrap();
    check(
        &submission,
        &[
            (
                "LeaveJobInQueue",
                "JobStatus == 4 && (CompletionDate =?= undefined || CompletionDate == 0 || ((CurrentTime - \
                 CompletionDate) < 1800))",
            ),
            ("TransferOutputRemaps", "\"a=b;c=d\""),
        ],
    );
}

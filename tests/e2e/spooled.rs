//! `condor_submit -spool`: inputs are copied at once, outputs wait for `condor_transfer_data`.

use std::path::{Path, PathBuf};

use testkit::{Answer, Site, SiteOptions, WorkerOptions};

use crate::support::{SOON, TERMINATED, attributes, count, site_with_cores, wait_for_event};

#[track_caller]
fn spool(site: &Site, text: &str) -> Answer {
    site.condor("condor_submit", &["-spool"], text)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect());
    let mut names: Vec<String> =
        entries.unwrap_or_else(|_| Vec::new()).iter().map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// What the master keeps: how many files, and folders of which jobs.
fn kept(site: &Site) -> (usize, Vec<String>) {
    let spool = site.state_dir().join("spool");
    let owner = names(&spool.join("blobs")).pop().expect("the folder of the owner");
    let files = names(&spool.join("blobs").join(owner)).len() + names(&spool.join("temp")).len();
    (files, names(&spool.join("jobs")))
}

/// Two jobs that show what they find, and leave a file and a folder.
fn two_jobs(site: &Site) -> &'static str {
    let script =
        "#!/bin/sh\ncat common in.$1 d/deep/x\ncat\nls d\necho $1 > result.$1\nmkdir tree\necho leaf > tree/leaf.$1\n";
    site.write_script("show.sh", script);
    for (name, content) in [
        ("common", "for all\n"),
        ("in.0", "for zero\n"),
        ("in.1", "for one\n"),
        ("d/deep/x", "deep\n"),
        ("words", "some words\n"),
    ] {
        site.write(name, content);
    }
    std::os::unix::fs::symlink("../common", site.home().join("d/link")).unwrap();
    std::fs::create_dir_all(site.home().join("logs")).unwrap();
    "executable = show.sh\narguments = $(Process)\ninput = words\nlog = log\nshould_transfer_files = YES\n\
     when_to_transfer_output = ON_EXIT\ntransfer_input_files = common, in.$(Process), d\n\
     transfer_output_files = result.$(Process), tree\noutput = logs/out.$(Process)\nerror = err.$(Process)\nqueue 2\n"
}

const SHOWN: &str = "deep\nsome words\ndeep\nlink\n";

#[test]
fn inputs_may_go_after_the_submission_and_outputs_come_when_they_are_fetched() {
    let site = Site::start();
    let text = two_jobs(&site);
    let answer = spool(&site, text).ok();
    assert!(answer.stdout.contains("2 job(s) submitted to cluster 1."), "{answer}");
    for name in ["common", "in.0", "in.1", "words", "show.sh"] {
        std::fs::remove_file(site.home().join(name)).unwrap();
    }
    std::fs::remove_dir_all(site.home().join("d")).unwrap();
    site.kill_9();
    site.start_master();
    assert_eq!(site.statuses(1), [1, 1]);
    let _worker = site.worker(WorkerOptions::cores(2));
    wait_for_event(&site, "log", TERMINATED, 2);
    assert_eq!(site.statuses(1), [4, 4], "they stay until their outputs are fetched");
    assert_eq!(names(&site.home().join("logs")), [""; 0]);
    assert!(!site.home().join("result.0").exists());
    assert_eq!(attributes(&site, "1.0", &["SUBMIT_Iwd"]), site.home().to_str().unwrap());

    site.restart();
    assert_eq!(site.condor("condor_transfer_data", &["1.0"], "").ok().stdout, "Fetching data files...\n");
    assert_eq!(site.read("logs/out.0"), format!("for all\nfor zero\n{SHOWN}"));
    assert_eq!((site.read("err.0"), site.read("result.0")), (String::new(), "0\n".into()));
    site.wait_until(SOON, "one job less", || site.statuses(1).len() == 1);
    assert!(!site.home().join("logs/out.1").exists());
    site.condor("condor_transfer_data", &["-all"], "").ok();
    assert_eq!(site.read("logs/out.1"), format!("for all\nfor one\n{SHOWN}"));
    assert_eq!((site.read("tree/leaf.0"), site.read("tree/leaf.1")), ("leaf\n".into(), "leaf\n".into()));
    site.wait_for_end(1, SOON);
    site.wait_until(SOON, "an empty spool", || kept(&site) == (0, vec![]));
    site.condor("condor_transfer_data", &["1"], "").exits(1);
    site.restart();
    // Their rows of the history are written again, since the last mark is older.
    site.wait_for_end(1, SOON);
}

#[test]
fn a_removed_job_leaves_nothing_in_the_spool() {
    let (site, _worker) = site_with_cores(2);
    let text = two_jobs(&site);
    spool(&site, text).ok();
    wait_for_event(&site, "log", TERMINATED, 2);
    assert_eq!(kept(&site).1, ["1.0", "1.1"]);
    // Small ones are there some time after they have come.
    site.wait_until(SOON, "copies in the spool", || kept(&site).0 > 0);
    site.condor("condor_rm", &["1"], "").ok();
    site.wait_for_end(1, SOON);
    site.wait_until(SOON, "an empty spool", || kept(&site) == (0, vec![]));
    assert!(!site.home().join("result.0").exists());
}

#[test]
fn outputs_without_a_place_stay_until_there_is_one() {
    let (site, _worker) = site_with_cores(1);
    let text = "executable = /bin/echo\narguments = hello\noutput = later/out\nlog = log\nqueue\n";
    site.condor("condor_submit", &["-remote", "localhost"], text).ok();
    wait_for_event(&site, "log", TERMINATED, 1);
    let answer = site.condor("condor_transfer_data", &["1"], "").exits(1);
    assert_eq!(answer.stdout, "Fetching data files...\n");
    let why = format!("Job 1.0: {}: No such file or directory\n", site.home().join("later/out").display());
    assert_eq!(answer.stderr, format!("\n{why}ERROR: Failed to spool job files.\n"));
    assert_eq!(site.statuses(1), [4]);
    std::fs::create_dir(site.home().join("later")).unwrap();
    site.condor("condor_transfer_data", &["1"], "").ok();
    assert_eq!(site.read("later/out"), "hello\n");
    site.wait_for_end(1, SOON);
}

#[test]
fn large_inputs_come_as_they_were() {
    let (site, _worker) = site_with_cores(1);
    let bytes: Vec<u8> = (0..20_u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    site.write("large", &bytes);
    site.write_script("copy.sh", "#!/bin/sh\ncat large > back\n");
    let text = "executable = copy.sh\ntransfer_input_files = large\ntransfer_output_files = back\nlog = log\n\
                should_transfer_files = YES\nwhen_to_transfer_output = ON_EXIT\nqueue\n";
    spool(&site, text).ok();
    site.write("large", "something else");
    wait_for_event(&site, "log", TERMINATED, 1);
    site.condor("condor_transfer_data", &["1"], "").ok();
    assert!(std::fs::read(site.home().join("back")).unwrap() == bytes);
}

#[test]
fn what_cannot_be_copied_submits_nothing() {
    let site = Site::with(SiteOptions {
        master_args: ["--submission-max-mb", "1"].map(Into::into).to_vec(),
        ..SiteOptions::default()
    });
    site.write("large", vec![b'x'; 2 << 20]);
    let submit = |file: &str| {
        let text = format!("executable = /bin/cat\ntransfer_input_files = {file}\nqueue\n");
        let answer = spool(&site, &text).exits(1);
        assert_eq!(answer.stdout, "", "{answer}");
        answer.stderr
    };
    let gone: PathBuf = site.home().join("gone");
    let wanted = format!(
        "\nERROR: Can't copy input file {}: No such file or directory\nERROR: Failed to spool job files.\n",
        gone.display()
    );
    assert_eq!(submit("gone"), wanted);
    let large = submit("large");
    assert!(large.contains("the submission is too large") && large.contains("submission_max_mb"), "{large}");
    assert_eq!(count(&site, "true"), 0);
    assert_eq!(kept(&site), (0, vec![]));
}

#[test]
fn a_crash_while_inputs_arrive_leaves_nothing_behind() {
    let site = Site::start();
    site.write("large", vec![b'x'; 128 << 20]);
    site.write("job.sub", "executable = /bin/cat\ntransfer_input_files = large\nqueue\n");
    let mut command = site.condor_command("condor_submit", &["-spool", "job.sub"]);
    let submission = std::thread::spawn(move || testkit::run_command(&mut command, b"", SOON));
    let arriving = site.state_dir().join("spool").join("temp");
    site.wait_until(SOON, "the first bytes", || !names(&arriving).is_empty());
    site.kill_9();
    let answer = submission.join().expect("it ends").exits(1);
    assert_eq!(answer.stdout, "", "{answer}");
    site.start_master();
    assert_eq!((count(&site, "true"), kept(&site)), (0, (0, vec![])));
    spool(&site, &site.read("job.sub")).ok();
    assert_eq!(count(&site, "true"), 1);
}

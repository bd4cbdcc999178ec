//! What cannot run or be delivered is held with HTCondor's codes, and runs when it is released after mending.

use testkit::Site;

use crate::support::{HELD, SOON, TERMINATED, attributes, run, site_with_cores, wait_for_event};

/// Waits until the job is held and returns what `condor_q -af HoldReasonCode HoldReasonSubCode HoldReason` says.
#[track_caller]
fn held(site: &Site, job: &str) -> (i64, i64, String) {
    wait_for_event(site, "log", HELD, 1);
    assert_eq!(attributes(site, job, &["JobStatus"]), "5");
    let said = attributes(site, job, &["HoldReasonCode", "HoldReasonSubCode", "HoldReason"]);
    let mut words = said.splitn(3, ' ');
    let mut number = || words.next().unwrap().parse().unwrap();
    (number(), number(), words.next().unwrap().to_owned())
}

#[track_caller]
fn release(site: &Site, job: &str) {
    let answer = site.condor("condor_release", &[job], "").ok();
    assert_eq!(answer.stdout, format!("Job {job} released\n"));
    wait_for_event(site, "log", TERMINATED, 1);
    site.wait_until(SOON, "end of the job", || attributes(site, job, &["JobStatus"]).is_empty());
}

fn a_program_that_cannot_be_started(streams: &str) {
    let (site, _worker) = site_with_cores(1);
    site.write_script("bad.sh", "#!/no/such/interpreter\n");
    site.submit(&format!("executable = bad.sh\n{streams}log = log\nqueue\n"));
    let (code, subcode, reason) = held(&site, "1.0");
    assert_eq!((code, subcode), (6, 2), "{reason}");
    // The executable itself was copied at submission, so mending is a matter of the worker's machine: not here.
    assert_eq!(site.condor("condor_rm", &["1.0"], "").ok().stdout, "Job 1.0 marked for removal\n");
    site.wait_for_end(1, SOON);
}

#[test]
fn an_interpreter_that_is_missing() {
    a_program_that_cannot_be_started("output = out\nerror = err\n");
    a_program_that_cannot_be_started("output = out\nerror = out\n");
}

#[test]
fn an_interpreter_that_is_missing_for_a_job_without_streams() {
    // JAliEn's jobs have neither.
    a_program_that_cannot_be_started("");
}

#[test]
fn a_loader_that_is_missing_for_a_job_without_streams() {
    let mut program = std::fs::read("/bin/true").unwrap();
    // The path of its loader: /lib…/ld-….
    let at = program.windows(4).enumerate().find(|(at, part)| {
        let path = program[*at..].split(|byte| *byte == 0).next().unwrap_or_default();
        *part == b"/lib" && path.windows(4).any(|part| part == b"/ld-")
    });
    let at = at.expect("the programs of this machine have a loader").0;
    program[at..at + 4].copy_from_slice(b"/nil");
    for key in ["", "transfer_executable = false\n"] {
        let (site, _worker) = site_with_cores(1);
        let path = site.write_script("lost", "");
        std::fs::write(&path, &program).unwrap();
        site.submit(&format!("executable = {}\n{key}log = log\nqueue\n", path.display()));
        let (code, subcode, reason) = held(&site, "1.0");
        assert_eq!((code, subcode), (6, 2), "{reason}");
        assert!(reason.contains("loader"), "{reason}");
    }
}

#[test]
fn an_elf_program_that_ends_with_127_itself_has_run_once_and_is_not_held() {
    let (site, _worker) = site_with_cores(1);
    for key in ["", "transfer_executable = false\n"] {
        let script = format!("echo once >> {}; exit 127", site.home().join("ran").display());
        run(&site, &format!("executable = /bin/sh\n{key}arguments = \"-c '{script}'\"\nqueue\n"));
    }
    assert_eq!(site.read("ran"), "once\nonce\n");
    assert!(wait_for_event(&site, "log", TERMINATED, 2).text.contains("(return value 127)"));
}

#[test]
fn a_program_that_is_not_there() {
    let (site, _worker) = site_with_cores(1);
    site.submit("executable = /no/such/program\ntransfer_executable = false\nlog = log\nqueue\n");
    let (code, subcode, reason) = held(&site, "1.0");
    assert_eq!((code, subcode), (6, 2), "{reason}");
    assert!(reason.contains("/no/such/program"), "{reason}");
}

#[test]
fn a_program_that_ends_with_127_itself_is_not_held() {
    let (site, _worker) = site_with_cores(1);
    site.write_script("odd.sh", "#!/bin/sh\nno-such-command\n");
    run(&site, "executable = odd.sh\nqueue\n");
    let end = wait_for_event(&site, "log", TERMINATED, 1);
    assert!(end.text.contains("(return value 127)"), "{}", end.text);
}

#[test]
fn a_folder_for_the_output_that_is_missing() {
    let (site, _worker) = site_with_cores(1);
    site.submit("executable = /bin/echo\narguments = hello\noutput = later/out\nlog = log\nqueue\n");
    let (code, subcode, reason) = held(&site, "1.0");
    assert_eq!((code, subcode), (7, 2), "{reason}");
    assert!(reason.contains("later"), "{reason}");
    std::fs::create_dir(site.home().join("later")).unwrap();
    release(&site, "1.0");
    assert_eq!(site.read("later/out"), "hello\n");
}

#[test]
fn an_output_that_is_a_directory() {
    let (site, _worker) = site_with_cores(1);
    std::fs::create_dir(site.home().join("out")).unwrap();
    site.submit("executable = /bin/echo\narguments = hello\noutput = out\nlog = log\nqueue\n");
    let (code, _, reason) = held(&site, "1.0");
    assert!([7, 12].contains(&code), "{code} {reason}");
    std::fs::remove_dir(site.home().join("out")).unwrap();
    release(&site, "1.0");
    assert_eq!(site.read("out"), "hello\n");
}

#[test]
fn an_input_that_is_missing() {
    let (site, _worker) = site_with_cores(1);
    site.submit(
        "executable = /bin/cat\narguments = data\ntransfer_input_files = data\noutput = out\nlog = log\nqueue\n",
    );
    let (code, subcode, reason) = held(&site, "1.0");
    assert_eq!((code, subcode), (13, 2), "{reason}");
    assert!(reason.contains("data"), "{reason}");
    site.write("data", "here\n");
    release(&site, "1.0");
    assert_eq!(site.read("out"), "here\n");
}

#[test]
fn a_declared_output_that_the_job_does_not_make() {
    let (site, _worker) = site_with_cores(1);
    // What the job needs to make its output is somewhere else.
    let home = site.home();
    site.write_script("make.sh", &format!("#!/bin/sh\ncp '{}/source' result\n", home.display()));
    site.submit(
        "executable = make.sh\nshould_transfer_files = YES\nwhen_to_transfer_output = ON_EXIT\n\
         transfer_output_files = result\nlog = log\nqueue\n",
    );
    let (code, subcode, reason) = held(&site, "1.0");
    assert_eq!((code, subcode), (12, 2), "{reason}");
    assert!(reason.contains("result"), "{reason}");
    site.write("source", "made\n");
    release(&site, "1.0");
    assert_eq!(site.read("result"), "made\n");
}

#[test]
fn submitted_on_hold_and_released() {
    let (site, _worker) = site_with_cores(1);
    site.submit("executable = /bin/echo\narguments = hello\noutput = out\nhold = true\nlog = log\nqueue\n");
    let said = attributes(&site, "1.0", &["JobStatus", "HoldReasonCode", "HoldReason"]);
    assert_eq!(said, "5 15 submitted on hold at user's request");
    release(&site, "1.0");
    assert_eq!(site.read("out"), "hello\n");
}

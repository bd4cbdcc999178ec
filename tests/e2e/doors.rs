//! The original's doors: the spool folder `queue/`, `stat/latest`, and the file `drain`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::{Answer, Site, SiteOptions, WorkerOptions, bin, require, run_command};

use crate::support::{EXECUTING, Gate, SOON, SUBMITTED, TERMINATED, count, events, log_of, started, wait_for_event};

/// What is rejected after a minute, is rejected by then.
const A_MINUTE_AND_MORE: Duration = Duration::from_secs(150);

fn queue(site: &Site) -> PathBuf {
    site.work_dir().join("queue")
}

/// Puts a text into the spool folder in one step, as a careful program does.
#[track_caller]
fn put(site: &Site, name: &str, text: &str) {
    let aside = site.folder().join("aside");
    fs::write(&aside, text).unwrap();
    fs::rename(aside, queue(site).join(name)).unwrap();
}

/// Names in a folder below the spool folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[track_caller]
fn wait_until_gone(site: &Site, name: &str) {
    let path = queue(site).join(name);
    site.wait_until(SOON, &format!("{name} is taken"), || fs::symlink_metadata(&path).is_err());
}

/// A site that is not started; its spool folder is there.
fn site_with_queue() -> Site {
    let site = Site::with(SiteOptions { without_master: true, ..SiteOptions::default() });
    fs::create_dir_all(queue(&site)).unwrap();
    fs::set_permissions(site.work_dir(), fs::Permissions::from_mode(0o700)).unwrap();
    site
}

/// A text as AliEn's class writes it.
fn text(site: &Site, script: &Path, id: &str) -> String {
    let (script, home) = (script.display(), site.home().display().to_string());
    format!(
        "executable = {script}\narguments = \noutput = {home}/out.{id}\nlog = {home}/log\n\
         environment=CONDOR_ID=$(Cluster).$(Process);ID={id}\nqueue\n"
    )
}

#[test]
fn a_file_becomes_a_job() {
    let site = Site::start();
    let script = site.write_script(
        "job.sh",
        "#!/bin/sh\necho \"$CONDOR_ID $A $*\" \"${_CONDOR_SCRATCH_DIR-unset}\"\necho err >&2\nexit 3\n",
    );
    let home = site.home().display().to_string();
    let text = format!(
        "EXECUTABLE = {}\nArguments = one \"'two words'\"\nOutput={home}/out.$(Process)\nLOG = {home}/log\n\
         Environment = CONDOR_ID=$(Cluster).$(Process);A=it's\nsomething_else = 7\n+X = \"y\"",
        script.display()
    );
    put(&site, "job", &text.replace("one \"'two words'\"", "\"one 'two words'\""));
    wait_until_gone(&site, "job");
    let answer = site.condor("condor_q", &["-af", "ClusterId", "X", "something_else"], "").ok();
    assert_eq!(answer.stdout, "1 y undefined\n");
    let _worker = site.worker(WorkerOptions::default());
    let end = wait_for_event(&site, "log", TERMINATED, 1);
    assert!(end.text.contains("return value 3"), "{}", end.text);
    // Both streams in one file, as the original wrote them.
    assert_eq!(site.read("out.0"), "1.0 it's one two words unset\nerr\n");
    assert_eq!(names(&queue(&site)), ["rejected"]);
}

#[test]
fn files_that_wait_for_the_master_are_taken_in_their_order() {
    let site = site_with_queue();
    let script = site.write_script("job.sh", "#!/bin/sh\necho $ID\n");
    for number in 0..100 {
        put(&site, &format!("{}", 500 - number), &text(&site, &script, &number.to_string()));
    }
    site.start_master();
    let _worker = site.worker(WorkerOptions::cores(2));
    wait_for_event(&site, "log", TERMINATED, 100);
    for number in 0..100 {
        assert_eq!(site.read(&format!("out.{number}")), format!("{number}\n"));
    }
    let submitted = events(&site, "log").into_iter().filter(|event| event.kind == SUBMITTED).map(|event| event.job);
    assert_eq!(submitted.collect::<Vec<_>>(), (1..=100).map(|cluster| format!("{cluster}.0")).collect::<Vec<_>>());
    assert_eq!(names(&queue(&site)), ["rejected"]);
}

#[test]
fn a_half_written_file_waits_for_its_rest() {
    let site = Site::start();
    let _worker = site.worker(WorkerOptions::default());
    let script = site.write_script("job.sh", "#!/bin/sh\necho $ID\n");
    let whole = text(&site, &script, "half");
    let (first, second) = whole.split_at(whole.find("output").unwrap());
    put(&site, "half", first);
    // A file that came later and is complete shows that the first one was seen.
    put(&site, "full", &text(&site, &script, "full"));
    wait_until_gone(&site, "full");
    assert_eq!(names(&queue(&site)), ["half", "rejected"]);
    let mut file = fs::File::options().append(true).open(queue(&site).join("half")).unwrap();
    std::io::Write::write_all(&mut file, second.as_bytes()).unwrap();
    drop(file);
    wait_until_gone(&site, "half");
    wait_for_event(&site, "log", TERMINATED, 2);
    assert_eq!(site.read("out.half"), "half\n");
}

#[test]
fn a_replaced_file_runs_as_what_it_has_become() {
    let site = Site::start();
    let _worker = site.worker(WorkerOptions::default());
    let script = site.write_script("job.sh", "#!/bin/sh\necho $ID >> \"$HOME/ran\"\n");
    let with_home = |id: &str| {
        text(&site, &script, id).replace("environment=", &format!("environment=HOME={};", site.home().display()))
    };
    put(&site, "job", &with_home("first"));
    put(&site, "job", &with_home("second"));
    wait_for_event(&site, "log", TERMINATED, 1);
    assert_eq!(site.read("ran"), "second\n");
    // The same name and the same text once more: another job.
    put(&site, "job", &with_home("second"));
    wait_for_event(&site, "log", TERMINATED, 2);
    assert_eq!(site.read("ran"), "second\nsecond\n");
}

#[test]
fn what_cannot_be_taken_is_rejected_with_its_reason() {
    let site = Site::start();
    let script = site.write_script("job.sh", "#!/bin/sh\n");
    let good = text(&site, &script, "x");
    let secret = site.write("secret", &good);
    symlink(&secret, queue(&site).join("link")).unwrap();
    nix::unistd::mkfifo(&queue(&site).join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    put(&site, "large", &"#".repeat(2 << 20));
    put(&site, "nonsense", "\u{0}\u{1}\u{2}\n%%%\n");
    put(&site, "without-output", &good.replace("output", "otput"));
    put(&site, "without-program", &good.replace("executable", "exe"));
    put(&site, "no-such-program", &good.replace("job.sh", "no.sh"));
    put(&site, "no-jobs", &good.replace("queue\n", "queue x in ()\n"));
    put(&site, "command", &good.replace("queue\n", "include : touch started |\nqueue\n"));
    put(&site, &"n".repeat(255), "x");
    put(&site, ".hidden", &good);
    fs::create_dir(queue(&site).join("folder")).unwrap();
    let mut wanted = vec![
        ("link", "it is a symbolic link"),
        ("pipe", "it is not a regular file"),
        ("large", "it has 2097152 bytes"),
        ("nonsense", "it has no line \"executable = "),
        ("without-output", "it has no line \"output = "),
        ("without-program", "it has no line \"executable = "),
        ("no-such-program", "Can't access executable file"),
        ("no-jobs", "its queue statements name no job"),
        ("command", "texts in the spool folder start no commands"),
    ];
    if nix::unistd::geteuid().is_root() {
        // Only root can give files away.
        put(&site, "foreign", &good);
        std::os::unix::fs::chown(queue(&site).join("foreign"), Some(12_345), None).unwrap();
        wanted.push(("foreign", "it belongs to user 12345"));
    }
    let rejected = queue(&site).join("rejected");
    site.wait_until(A_MINUTE_AND_MORE, "all are rejected", || names(&rejected).len() == 2 * wanted.len() + 2);
    for (name, reason) in &wanted {
        let told = fs::read_to_string(rejected.join(format!("{name}.reason"))).unwrap();
        assert!(told.contains(reason) && told.contains("move it back"), "{name}: {told}");
        fs::symlink_metadata(rejected.join(name)).unwrap();
    }
    assert_eq!(fs::read_to_string(rejected.join("without-output")).unwrap(), good.replace("output", "otput"));
    assert_eq!(names(&queue(&site)), [".hidden", "folder", "rejected"]);
    assert_eq!(count(&site, "true"), 0);
    assert_eq!(fs::read_to_string(&secret).unwrap(), good);
    assert!(!site.home().join("started").exists());
    // Put right and moved back, it runs.
    fs::write(rejected.join("without-output"), &good).unwrap();
    fs::rename(rejected.join("without-output"), queue(&site).join("without-output")).unwrap();
    wait_until_gone(&site, "without-output");
    assert_eq!(count(&site, "true"), 1);
}

/// A master that is killed when it unlinks the first file of the spool folder.
fn killed_at_its_first_unlink(folder: &Path) -> PathBuf {
    let script = folder.join("killed-master");
    let text = format!(
        "#!/bin/sh\nexec {} -f -o /dev/null -e trace=unlinkat -e inject=unlinkat:signal=KILL:when=1 {} \"$@\"\n",
        require("strace").display(),
        bin("alien_work_queue").display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

#[test]
fn a_crash_between_record_and_unlink_starts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = site_with_queue();
    let script = site.write_script("job.sh", "#!/bin/sh\necho $ID\n");
    for name in ["one", "two"] {
        put(&site, name, &text(&site, &script, name));
    }
    site.set_master_program(Some(killed_at_its_first_unlink(folder.path())));
    site.start_master();
    site.wait_for_master_end(SOON);
    assert_eq!(names(&queue(&site)), ["one", "rejected", "two"], "the crash came before the unlink");
    let submitted = |site: &Site| events(site, "log").iter().filter(|event| event.kind == SUBMITTED).count();
    let before = submitted(&site);
    assert!(before > 0, "and behind the record");
    site.set_master_program(None);
    site.start_master();
    assert_eq!(count(&site, "true"), before);
    let _worker = site.worker(WorkerOptions::default());
    for name in ["one", "two"] {
        wait_until_gone(&site, name);
    }
    wait_for_event(&site, "log", TERMINATED, 2);
    assert_eq!((submitted(&site), count(&site, "true")), (2, 0));
    assert_eq!((site.read("out.one").as_str(), site.read("out.two").as_str()), ("one\n", "two\n"));
}

#[test]
fn a_drained_master_ends_when_nothing_is_left_to_run() {
    let site = Site::start();
    let gate = Gate::closed(&site);
    let script = gate.script(&site);
    let cluster =
        site.submit(&format!("executable = {}\narguments = $(Process)\nlog = log\nqueue 3\n", script.display()));
    site.condor("condor_hold", &[&format!("{cluster}.2")], "").ok();
    let _worker = site.worker(WorkerOptions::default());
    started(&site, "0");
    let drain = site.work_dir().join("drain");
    fs::write(&drain, "").unwrap();
    for text in ["executable = /bin/true\nqueue\n", "executable = /bin/true\n+X = $INT(ClusterId)\nqueue\n"] {
        let refused = site.condor("condor_submit", &[], text);
        assert_eq!(refused.code, Some(1), "{refused}");
        assert_eq!(
            refused.stderr,
            "\nERROR: alien_work_queue is draining: no new jobs until the file drain in its work dir is removed\n"
        );
    }
    // Removed, it takes jobs again.
    fs::remove_file(&drain).unwrap();
    assert_eq!(site.submit("executable = /bin/true\nlog = log\nqueue\n"), cluster + 1);
    fs::write(&drain, "").unwrap();
    put(&site, "job", &text(&site, &script, "later"));
    gate.open();
    assert!(site.wait_for_master_end(SOON).success());
    assert_eq!(events(&site, "log").iter().filter(|event| event.kind == TERMINATED).count(), 3);
    assert_eq!(names(&queue(&site)), ["job", "rejected"], "the spool folder is left alone");
    // As long as the file is there, a master with nothing to run ends at once; the held job waits.
    site.start_master();
    assert!(site.wait_for_master_end(SOON).success());
    fs::remove_file(&drain).unwrap();
    site.start_master();
    wait_until_gone(&site, "job");
    assert_eq!(site.statuses(cluster), [5]);
}

#[test]
fn an_existing_work_dir_of_the_original_is_closed_and_used() {
    let site = site_with_queue();
    let script = site.write_script("job.sh", "#!/bin/sh\necho $ID\n");
    put(&site, "da39a3ee5e6b4b0d3255bfef95601890afd80709", &text(&site, &script, "old"));
    fs::create_dir(site.work_dir().join("stat")).unwrap();
    fs::write(site.work_dir().join("stat/latest"), "WAITING=9\nRUNNING=9\nTIMESTAMP=1\n").unwrap();
    fs::write(site.work_dir().join("stat/tmp"), "WAIT").unwrap();
    let folders = ["", "queue", "stat"].map(|name| site.work_dir().join(name));
    for folder in &folders {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o2775)).unwrap();
    }
    site.start_master();
    for folder in &folders {
        assert_eq!(fs::metadata(folder).unwrap().mode() & 0o777, 0o700, "{}", folder.display());
    }
    wait_until_gone(&site, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    let latest = site.work_dir().join("stat/latest");
    site.wait_until(SOON, "one job waits", || {
        fs::read_to_string(&latest).unwrap().starts_with("WAITING=1\nRUNNING=0\n")
    });
    let _worker = site.worker(WorkerOptions::default());
    wait_for_event(&site, "log", TERMINATED, 1);
    site.wait_until(SOON, "no job waits", || {
        fs::read_to_string(&latest).unwrap().starts_with("WAITING=0\nRUNNING=0\n")
    });
    let log = log_of(&site, "master");
    assert_eq!(log.matches("was open to others and has been closed").count(), 3, "{log}");
}

/// Runs one of the original's own scripts.
#[track_caller]
fn original(site: &Site, script: &str, args: &[&str], stdin: &str) -> Answer {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/original").join(script);
    let mut command = Command::new(script);
    command.args(args);
    site.lead_here(&mut command);
    run_command(&mut command, stdin.as_bytes(), SOON)
}

#[test]
fn the_originals_own_scripts_work() {
    let site = Site::start();
    let gate = Gate::closed(&site);
    let home = site.home().display().to_string();
    let script = site.write_script("agent.startup.1", &format!("#!/bin/sh\n{}\n", gate.wait()));
    let job = site
        .write("job.sub", format!("executable = {}\noutput = {home}/out\nlog = {home}/log\nqueue\n", script.display()));
    let counted = |constraint: &str| original(&site, "condor_q", &["-constraint", constraint], "").ok().stdout;
    let (waiting, both) = ("JobStatus==1", "JobStatus==1 || JobStatus==2");
    site.wait_until(SOON, "stat/latest", || site.work_dir().join("stat/latest").exists());
    assert_eq!((counted(waiting).as_str(), counted(both).as_str()), ("", ""));
    original(&site, "condor_submit", &["ignored"], &fs::read_to_string(&job).unwrap()).ok();
    site.wait_until(SOON, "one waits", || counted(waiting) == "**waiting**\n");
    original(&site, "qfill.sh", &["4", job.to_str().unwrap()], "").ok();
    site.wait_until(SOON, "four wait", || counted(waiting).lines().count() == 4);
    // Both ways of counting agree.
    assert_eq!(count(&site, waiting), 4);
    let _worker = site.worker(WorkerOptions::cores(3));
    wait_for_event(&site, "log", EXECUTING, 3);
    site.wait_until(SOON, "three run", || counted(both) == "**waiting**\n**running**\n**running**\n**running**\n");
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 4);
    site.wait_until(SOON, "all have ended", || counted(both).is_empty());
}

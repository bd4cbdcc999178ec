//! What a job finds in its sandbox: standard input, files, directories.

use testkit::{ForemanOptions, Site, WorkerOptions};

use crate::support::{SOON, TERMINATED, log_of, run, site_with_cores, wait_for_event};

/// Prints every file below the sandbox but its own, with its content, and every empty directory.
const SHOW: &str = "#!/bin/sh\n\
    find . -type f ! -name agent.sh ! -name log ! -name err ! -name '.awq-*' ! -path './cctools*' | sort | \
    while read -r f; do echo \"$f: $(cat \"$f\")\"; done\nfind . -type d -empty ! -path './cctools*' | sort\n";

fn tree(site: &Site) {
    site.write_script("show.sh", SHOW);
    site.write("plain", "1");
    site.write("with blank", "2");
    site.write("d/inner", "3");
    site.write("d/deep/er", "4");
    std::fs::create_dir_all(site.home().join("d/void")).unwrap();
}

#[test]
fn standard_input_is_a_file_of_the_submitter() {
    let (site, _worker) = site_with_cores(1);
    site.write("words", "some words\n");
    run(&site, "executable = /bin/cat\ninput = words\noutput = out\nqueue\n");
    assert_eq!(site.read("out"), "some words\n");
}

#[test]
fn without_input_a_job_reads_nothing() {
    let (site, _worker) = site_with_cores(1);
    run(&site, "executable = /bin/cat\noutput = out\nqueue\n");
    assert_eq!(site.read("out"), "");
}

fn directories_arrive(site: &Site) {
    tree(site);
    let text = "executable = show.sh\nshould_transfer_files = YES\nwhen_to_transfer_output = ON_EXIT\n\
                transfer_output_files = \"\"\noutput = out.$(Process)\n\
                transfer_input_files = plain, with blank, d\nqueue\n\
                transfer_input_files = d/ ,\nqueue\n";
    run(site, text);
    assert_eq!(
        site.read("out.0"),
        "./d/deep/er: 4\n./d/inner: 3\n./plain: 1\n./with blank: 2\n./d/void\n",
        "a directory comes as itself"
    );
    assert_eq!(site.read("out.1"), "./deep/er: 4\n./inner: 3\n./void\n", "with a slash only what is in it");
}

#[test]
fn files_and_directories_arrive() {
    let (site, _worker) = site_with_cores(2);
    directories_arrive(&site);
}

#[test]
fn files_and_directories_arrive_through_a_foreman() {
    let site = Site::start();
    let foreman = site.foreman(ForemanOptions::default());
    let _worker = site.worker(WorkerOptions::default().behind(&foreman));
    directories_arrive(&site);
}

#[test]
fn paths_are_relative_to_initialdir() {
    let (site, _worker) = site_with_cores(1);
    site.write("sub/data", "from sub");
    site.write("sub/in", "read\n");
    site.write_script("sub/job.sh", "#!/bin/sh\ncat data -\necho no >&2\n");
    let text = "initialdir = sub\nexecutable = sub/job.sh\ninput = in\ntransfer_input_files = data\n\
                output = out\nerror = err\nlog = log\nqueue\n";
    site.submit(text);
    wait_for_event(&site, "sub/log", TERMINATED, 1);
    assert_eq!(site.read("sub/out"), "from subread\n");
    assert_eq!(site.read("sub/err"), "no\n");
}

#[test]
fn an_input_is_read_when_the_job_starts() {
    let site = Site::start();
    site.write("data", "old\n");
    site.submit(
        "executable = /bin/cat\narguments = data\ntransfer_input_files = data\noutput = out\nlog = log\nqueue\n",
    );
    site.write("data", "new\n");
    let _worker = site.worker(WorkerOptions::default());
    wait_for_event(&site, "log", TERMINATED, 1);
    assert_eq!(site.read("out"), "new\n");
}

#[test]
fn twenty_megabytes_go_and_come_back_unchanged() {
    let (site, _worker) = site_with_cores(1);
    twenty_megabytes(&site);
}

#[test]
fn twenty_megabytes_go_and_come_back_through_a_foreman() {
    let site = Site::start();
    let foreman = site.foreman(ForemanOptions::default());
    let _worker = site.worker(WorkerOptions::default().behind(&foreman));
    twenty_megabytes(&site);
}

fn twenty_megabytes(site: &Site) {
    // Not compressible by accident, and different at every place.
    let bytes: Vec<u8> = (0..20_u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    assert_eq!(bytes.len(), 20 << 20);
    site.write("large", &bytes);
    site.write_script("copy.sh", "#!/bin/sh\nmd5sum < large\ncp large back\ncat large >&2\n");
    let text = "executable = copy.sh\ntransfer_input_files = large\ntransfer_output_files = back\n\
                should_transfer_files = YES\nwhen_to_transfer_output = ON_EXIT\noutput = sum\nerror = too\nqueue\n";
    run(site, text);
    let mut md5 = std::process::Command::new("md5sum");
    let wanted = testkit::run_command(&mut md5, &bytes, SOON).ok().stdout;
    assert_eq!(site.read("sum"), wanted);
    for file in ["back", "too"] {
        assert!(std::fs::read(site.home().join(file)).unwrap() == bytes, "{file}");
    }
}

#[test]
fn names_that_a_shell_would_read_are_only_names() {
    let (site, _worker) = site_with_cores(1);
    tree(&site);
    for name in ["it's", "$HOME", "a;b", "-n", "%41"] {
        site.write(&format!("odd/{name}"), name);
    }
    run(&site, "executable = show.sh\ntransfer_input_files = odd/\noutput = out\nqueue\n");
    let mut lines: Vec<String> = site.read("out").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["./$HOME: $HOME", "./%41: %41", "./-n: -n", "./a;b: a;b", "./it's: it's"]);
}

/// Jobs that share a large input and write to it, on workers that hard-link what they cache.
fn large_inputs_stay_what_they_are(site: &Site) {
    site.write("large", format!("whole\n{}", "x".repeat(100_000)));
    site.write("d/other large", format!("other\n{}", "y".repeat(200_000)));
    site.write_script(
        "alter.sh",
        "#!/bin/sh\nhead -n 1 large; head -n 1 'd/other large'; echo altered > large; rm -f 'd/other large'\n",
    );
    let text = "executable = alter.sh\nshould_transfer_files = YES\nwhen_to_transfer_output = ON_EXIT\n\
                transfer_output_files = \"\"\ntransfer_input_files = large, d\noutput = out.$(Process)\nqueue 6\n";
    run(site, text);
    for proc in 0..6 {
        assert_eq!(site.read(&format!("out.{proc}")), "whole\nother\n", "job {proc}");
    }
}

/// How often the site's only worker was sent something that it keeps.
fn kept_puts(site: &Site) -> usize {
    log_of(site, "worker-1").lines().filter(|line| line.contains(": put b")).count()
}

#[test]
fn large_inputs_that_jobs_share_are_sent_once() {
    let (site, _worker) = site_with_cores(2);
    large_inputs_stay_what_they_are(&site);
    assert_eq!(kept_puts(&site), 2);
    // Another version is another content.
    site.write("large", format!("newer\n{}", "z".repeat(100_000)));
    site.write_script("look.sh", "#!/bin/sh\nhead -n 1 large\n");
    let text = "executable = look.sh\ntransfer_input_files = large\noutput = new.$(Process)\nqueue 2\n";
    run(&site, text);
    assert_eq!((site.read("new.0"), site.read("new.1")), ("newer\n".to_owned(), "newer\n".to_owned()));
}

#[test]
fn large_inputs_are_shared_through_a_foreman() {
    let site = Site::start();
    let foreman = site.foreman(ForemanOptions::default());
    let _worker = site.worker(WorkerOptions::cores(2).behind(&foreman));
    large_inputs_stay_what_they_are(&site);
}

//! What comes back, where it lies, and that it is there when its event says so.

use testkit::{ForemanOptions, Site, WorkerOptions};

use crate::support::{Gate, SOON, TERMINATED, run, site_with_cores, wait_for_event};

/// The header of jobs that transfer files.
const TRANSFER: &str = "should_transfer_files = YES\nwhen_to_transfer_output = ON_EXIT\n";

#[test]
fn standard_streams_go_to_two_files_or_to_one() {
    let (site, _worker) = site_with_cores(2);
    site.write_script("both.sh", "#!/bin/sh\necho one; echo two >&2; echo three\n");
    run(&site, "executable = both.sh\noutput = o\nerror = e\nqueue\noutput = same\nerror = same\nqueue\n");
    assert_eq!((site.read("o").as_str(), site.read("e").as_str()), ("one\nthree\n", "two\n"));
    assert_eq!(site.read("same"), "one\ntwo\nthree\n");
}

#[test]
fn an_empty_stream_is_an_empty_file_and_none_is_none() {
    let (site, _worker) = site_with_cores(2);
    site.write("old", "from before\n");
    run(&site, "executable = /bin/true\noutput = empty\nqueue\n");
    run(&site, "executable = /bin/true\noutput = /dev/null\nerror = old\nqueue\n");
    assert_eq!(site.read("empty"), "");
    assert_eq!(site.read("old"), "", "what was there before is gone");
    let null = std::fs::metadata("/dev/null").unwrap().file_type();
    assert!(std::os::unix::fs::FileTypeExt::is_char_device(&null), "/dev/null is what it was");
    let mut names: Vec<_> = std::fs::read_dir(site.home())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["empty", "log", "old"], "nothing else is left");
}

#[test]
fn a_directory_comes_back_and_remaps_give_other_names() {
    let (site, _worker) = site_with_cores(1);
    site.write_script(
        "make.sh",
        "#!/bin/sh\nmkdir -p dir/deep dir/void\necho 1 > dir/a\necho 2 > 'dir/deep/b c'\necho 3 > plain\necho 4 > 'with blank'\n\
         echo 5 > not-asked-for\n",
    );
    std::fs::create_dir(site.home().join("elsewhere")).unwrap();
    let text = format!(
        "executable = make.sh\n{TRANSFER}transfer_output_files = dir, plain, with blank\n\
         transfer_output_remaps = \"plain=elsewhere/renamed\"\nqueue\n"
    );
    run(&site, &text);
    for (file, text) in [("dir/a", "1\n"), ("dir/deep/b c", "2\n"), ("elsewhere/renamed", "3\n"), ("with blank", "4\n")]
    {
        assert_eq!(site.read(file), text, "{file}");
    }
    assert!(!site.home().join("plain").exists() && !site.home().join("not-asked-for").exists());
}

fn everything_new_comes_back(site: &Site) {
    site.write("given", "unchanged\n");
    site.write("changed", "before\n");
    site.write_script(
        "make.sh",
        "#!/bin/sh\nmkdir dir; echo 1 > dir/inside; echo 2 > new; echo 3 > .hidden; echo after >> changed; chmod +x new\n",
    );
    let text = format!("executable = make.sh\n{TRANSFER}transfer_input_files = given, changed\noutput = out\nqueue\n");
    run(site, &text);
    assert_eq!(site.read("new"), "2\n");
    assert_eq!(site.read("changed"), "before\nafter\n");
    assert_eq!(site.read("given"), "unchanged\n");
    assert!(!site.home().join("dir").exists(), "only what is at the top");
}

#[test]
fn with_nothing_declared_all_new_files_come_back() {
    let (site, _worker) = site_with_cores(1);
    everything_new_comes_back(&site);
}

#[test]
fn with_nothing_declared_all_new_files_come_back_through_a_foreman() {
    let site = Site::start();
    let foreman = site.foreman(ForemanOptions::default());
    let _worker = site.worker(WorkerOptions::default().behind(&foreman));
    everything_new_comes_back(&site);
}

#[test]
fn transfer_output_nothing_brings_nothing() {
    let (site, _worker) = site_with_cores(1);
    site.write_script("make.sh", "#!/bin/sh\necho 1 > new\n");
    run(&site, &format!("executable = make.sh\n{TRANSFER}+TransferOutput = \"\"\nqueue\n"));
    assert!(!site.home().join("new").exists());
}

#[test]
fn without_file_transfer_a_job_works_in_its_own_folder() {
    let (site, _worker) = site_with_cores(1);
    site.write_script("here.sh", "#!/bin/sh\npwd; echo made > made\n");
    run(&site, "executable = here.sh\nshould_transfer_files = NO\noutput = out\nqueue\n");
    assert_eq!(site.read("out").trim_end(), site.home().to_str().unwrap());
    assert_eq!(site.read("made"), "made\n");
}

#[test]
fn whoever_sees_the_end_finds_the_output_whole() {
    let (site, _worker) = site_with_cores(4);
    // Long enough that it comes in many pieces.
    site.write_script("long.sh", "#!/bin/sh\nhead -c 3000000 /dev/zero\n");
    site.submit("executable = long.sh\noutput = out.$(Process)\nlog = log\nqueue 12\n");
    let mut seen = 0;
    site.wait_until(SOON, "12 ends", || {
        for event in
            crate::support::events(&site, "log").into_iter().filter(|event| event.kind == TERMINATED).skip(seen)
        {
            seen += 1;
            let file = site.home().join(event.job.replace("1.", "out."));
            let size = std::fs::metadata(&file).map_or(0, |facts| facts.len());
            assert_eq!(size, 3_000_000, "{} at its end", event.job);
        }
        seen == 12
    });
    wait_for_event(&site, "log", TERMINATED, 12);
}

#[test]
fn a_streamed_output_grows_while_the_job_runs() {
    let (site, _worker) = site_with_cores(1);
    let gate = Gate::closed(&site);
    site.write_script("grow.sh", &format!("#!/bin/sh\necho first\n{}\necho last\n", gate.wait()));
    site.submit("executable = grow.sh\noutput = out\nstream_output = true\nlog = log\nqueue\n");
    let out = || std::fs::read_to_string(site.home().join("out")).unwrap_or_default();
    site.wait_until(SOON, "the first line of a running job", || out() == "first\n");
    assert_eq!(site.statuses(1), [2]);
    gate.open();
    wait_for_event(&site, "log", TERMINATED, 1);
    assert_eq!(out(), "first\nlast\n");
}

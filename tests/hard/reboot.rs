//! A power cut takes outputs whose ends the journal has (decision D36).

use std::time::Duration;

use journal::{ClockMark, OutputsUpto, Record};
use testkit::{Site, SiteOptions, WorkerOptions};

use crate::support::journal::{append, records};

const SOON: Duration = Duration::from_secs(60);

/// A site on which two jobs have ended; each left 12 bytes in an output of its own.
fn site_with_two_ends(options: SiteOptions) -> Site {
    let site = Site::with(options);
    let _worker = site.worker(WorkerOptions::cores(1));
    let cluster =
        site.submit("executable = /bin/echo\narguments = a long line\noutput = out.$(Process)\nlog = log\nqueue 2\n");
    site.wait_until(SOON, "two ends", || log(&site).matches("\n...\n005 (").count() == 2);
    site.wait_for_end(cluster, SOON);
    site
}

fn log(site: &Site) -> String {
    std::fs::read_to_string(site.home().join("log")).unwrap_or_default()
}

/// What the journal of a machine looks like that was up in between under another boot id.
fn reboot(site: &Site) {
    let last = records(site).into_iter().rev().find_map(|record| match record {
        Record::ClockMark(mark) => Some(mark),
        _ => None,
    });
    let mark = last.expect("each run begins with a mark of the clock");
    append(site, &ClockMark { boot_id: mark.boot_id.map(|byte| !byte), boottime_us: 1, ..mark }.into());
}

/// What a power cut leaves: the end is in the journal, its output only in part on the disk.
fn shorten_the_second_output(site: &Site) {
    assert_eq!(site.read("out.1"), "a long line\n");
    site.write("out.1", "a lo");
}

fn held(site: &Site) -> String {
    let names = ["-af", "ClusterId", "ProcId", "JobStatus", "HoldReasonCode", "HoldReasonSubCode", "HoldReason"];
    site.condor("condor_q", &names, "").ok().stdout
}

#[test]
fn a_job_whose_output_was_lost_is_held_and_runs_again_when_released() {
    let site = site_with_two_ends(SiteOptions::default());
    site.kill_9();
    reboot(&site);
    shorten_the_second_output(&site);
    site.start_master();
    site.wait_until(SOON, "a held job and nothing else", || held(&site).starts_with("1 1 5 12 5 "));
    let told = held(&site);
    let path = site.home().join("out.1");
    assert_eq!(told.lines().count(), 1, "the other one's output is whole: {told}");
    let words = format!("first failure: file {}: (errno 5) 4 of 12 bytes are there", path.display());
    assert!(told.contains(&words), "{told}");
    site.wait_until(SOON, "the event of the hold", || log(&site).contains("\n012 (001.001.000)"));
    assert!(!log(&site).contains("\n012 (001.000.000)"));

    site.condor("condor_release", &["1.1"], "").ok();
    let _worker = site.worker(WorkerOptions::cores(1));
    site.wait_for_end(1, SOON);
    assert_eq!(site.read("out.1"), "a long line\n");
    // Its executable was kept although the job had left the queue.
    assert_eq!(log(&site).matches("\n005 (001.001.000)").count(), 2, "{}", log(&site));
}

#[test]
fn an_output_that_is_gone_holds_its_job_as_well() {
    let site = site_with_two_ends(SiteOptions::default());
    site.kill_9();
    reboot(&site);
    std::fs::remove_file(site.home().join("out.0")).unwrap();
    site.start_master();
    site.wait_until(SOON, "a held job and nothing else", || held(&site).starts_with("1 0 5 12 2 "));
    assert!(held(&site).contains("out.0: (errno 2) No such file or directory"), "{}", held(&site));
}

#[test]
fn the_same_boot_nothing_lost_a_planned_stop_and_outputs_fsync_hold_nothing() {
    let nothing_held = |site: &Site, why: &str| {
        site.start_master();
        // While the outputs are looked at the jobs are in the queue.
        site.wait_until(SOON, why, || held(site).is_empty());
        assert!(!log(site).contains("\n012 ("), "{why}");
    };
    let site = site_with_two_ends(SiteOptions::default());
    site.kill_9();
    shorten_the_second_output(&site);
    nothing_held(&site, "the machine was not started again");

    let site = site_with_two_ends(SiteOptions::default());
    site.kill_9();
    reboot(&site);
    nothing_held(&site, "all is there");

    let site = site_with_two_ends(SiteOptions::default());
    site.stop_master();
    assert!(marks(&site).iter().any(|seq| *seq != OutputsUpto::ALL), "the stop leaves a mark");
    reboot(&site);
    shorten_the_second_output(&site);
    nothing_held(&site, "the master had brought everything to disk before it ended");

    let options = SiteOptions { master_args: vec!["--outputs-fsync".into()], ..SiteOptions::default() };
    let site = site_with_two_ends(options);
    site.kill_9();
    assert!(marks(&site).is_empty());
    reboot(&site);
    shorten_the_second_output(&site);
    nothing_held(&site, "each output was on disk before its end");
}

fn marks(site: &Site) -> Vec<u64> {
    let seq = |record| if let Record::OutputsUpto(mark) = record { Some(mark.seq) } else { None };
    records(site).into_iter().filter_map(seq).collect()
}

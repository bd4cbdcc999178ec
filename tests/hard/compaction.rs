//! The journal is written anew while the master works (requirement R-5, decision D53).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use journal::replay;
use testkit::{Site, SiteOptions, WorkerOptions};

use crate::support::dice::Dice;
use crate::support::journal::{journal_of, read_journal};
use crate::support::sim::end_tasks_at_once;

const SOON: Duration = Duration::from_secs(120);

fn site_with_floor(kib: u64) -> Site {
    let master_args = vec!["--journal-floor-kb".into(), kib.to_string().into()];
    Site::with(SiteOptions { master_args, ..SiteOptions::default() })
}

#[test]
fn crashes_at_random_moments_while_the_journal_is_compacted_lose_nothing() {
    const ROUNDS: u64 = 12;
    let site = site_with_floor(100);
    let _worker = site.worker(WorkerOptions::cores(4));
    let mut dice = Dice::new(17);
    // Jobs that wait for ever, with a tag each; some are held.
    let mut live: BTreeSet<String> = BTreeSet::new();
    let (mut last, mut ended, mut compacted) = (0, 0, 0);
    for round in 0..ROUNDS {
        let tag = format!("round{round}");
        let text = format!(
            "executable = /bin/true\nrequest_cpus = 99\narguments = {tag}.$(Process)\nhold = {}\nqueue 3\n",
            if round % 3 == 0 { "true" } else { "false" }
        );
        let cluster = site.submit(&text);
        assert!(cluster > last, "numbers are not used again");
        live.extend((0..3).map(|proc| format!("{tag}.{proc} {}", if round % 3 == 0 { 5 } else { 1 })));
        // Each brings its executable along, as computing elements do.
        for _ in 0..4 {
            last = site.submit("executable = /bin/true\nlog = log\nqueue 4\n");
            ended += 4;
        }
        let (_, first) = journal_of(&site);
        let begin = Instant::now();
        let behind = Duration::from_micros(dice.below(400_000));
        while begin.elapsed() < behind {
            std::hint::spin_loop();
        }
        site.kill_9();
        // A sound journal, whatever the moment was.
        replay(&read_journal(&site), |_| ()).unwrap();
        compacted += u64::from(journal_of(&site).1 > first);
        site.start_master();
        let constraint = ["-constraint", "RequestCpus == 99", "-af", "Args", "JobStatus"];
        let there = site.condor("condor_q", &constraint, "").ok().stdout;
        assert_eq!(there.lines().map(str::to_owned).collect::<BTreeSet<_>>(), live, "round {round}");
        assert_eq!(there.lines().count(), live.len(), "round {round}");
    }
    site.wait_until(SOON, "the end of all short jobs", || site.read("log").matches("\n005 (").count() >= ended);
    site.wait_until(SOON, "an empty queue of short jobs", || {
        site.condor("condor_q", &["-constraint", "RequestCpus != 99", "-af", "ClusterId"], "").ok().stdout.is_empty()
    });
    let log = format!("\n{}", site.read("log"));
    assert_eq!(log.matches("\n005 (").count(), ended, "each job ended once");
    println!("{compacted} of {ROUNDS} crashes fell right behind a compaction; first segment {}", journal_of(&site).1);
    assert!(journal_of(&site).1 > 4, "the journal was compacted again and again");
}

#[test]
fn fifty_thousand_short_jobs_leave_a_small_journal() {
    const JOBS: u64 = 50_000;
    const FLOOR_KIB: u64 = 1024;
    let site = site_with_floor(FLOOR_KIB);
    let port = site.port();
    let worker = std::thread::spawn(move || end_tasks_at_once(port));
    let mut most = 0;
    for _ in 0..JOBS / 5_000 {
        let cluster = site.submit("executable = /bin/true\ntransfer_executable = false\nqueue 5000\n");
        site.wait_until(SOON, "their end", || {
            most = most.max(journal_of(&site).0);
            site.statuses(cluster).is_empty()
        });
    }
    let (bytes, first) = journal_of(&site);
    println!("{JOBS} jobs: at most {most} bytes of journal, {bytes} at the end, first segment {first}");
    // Twice the floor and what is written during a checkpoint and the wait for its end.
    assert!(most < (6 * FLOOR_KIB) << 10, "{most} bytes");
    assert!(first > 3, "segment {first} is the first");
    site.kill_9();
    let begin = Instant::now();
    site.start_master();
    // Those that ended last are on their way to the history once more.
    let queue = ["-constraint", "JobStatus != 4", "-af", "ClusterId"];
    assert_eq!(site.condor("condor_q", &queue, "").ok().stdout, "");
    println!("a restart takes {:?}", begin.elapsed());
    assert!(site.submit("executable = /bin/true\ntransfer_executable = false\nqueue\n") == JOBS / 5_000 + 1);
    drop(worker);
}

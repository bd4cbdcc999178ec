//! While the master crashes and comes back, no query ever gives a wrong number (requirement P6).

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use testkit::{Guard, Site, bin, run_command, wait_until};

use crate::support::dice::Dice;

const JOBS: usize = 50;
const CRASHES: u64 = 100;
/// Between two queries of one client.
const PAUSE: Duration = Duration::from_millis(5);
/// Most queries between start and crash.
const QUERIES_MAX: u64 = 6;

/// The forms in which jobs are counted, and how each is read.
type Form = (&'static [&'static str], fn(&str) -> usize);
const FORMS: [Form; 3] = [
    (&["-af", "ClusterId"], |text| text.lines().count()),
    (&["-constraint", "JobStatus==1"], |text| text.lines().filter(|line| line.contains("waiting")).count()),
    (&["-totals"], |text| {
        let last = text.trim_end().lines().last().unwrap_or_default();
        last.split_once(": ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()).unwrap_or(0)
    }),
];

/// What the queries of all clients came to.
#[derive(Debug, Default)]
struct Sums {
    asked: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    over: AtomicBool,
}

fn ask_on(form: Form, work_dir: &Path, home: &Path, sums: &Sums) {
    let (arguments, count) = form;
    while !sums.over.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let mut command = Command::new(bin("condor_q"));
        command.args(arguments).env("AWQ_WORKDIR", work_dir).current_dir(home);
        let answer = run_command(&mut command, b"", Duration::from_secs(60));
        match answer.code {
            Some(0) => {
                assert_eq!(count(&answer.stdout), JOBS, "{answer}");
                sums.answered.fetch_add(1, Ordering::Relaxed);
            }
            Some(1) => {
                assert_eq!(answer.stdout, "", "{answer}");
                sums.failed.fetch_add(1, Ordering::Relaxed);
            }
            _ => panic!("{answer}"),
        }
        sums.asked.fetch_add(1, Ordering::Relaxed);
        let _ = wait_until(PAUSE.saturating_sub(begin.elapsed()), "the next query", || begin.elapsed() >= PAUSE);
    }
}

/// Ends the clients, also when the test fails.
struct Over<'a>(&'a Sums);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_hundred_crashes_and_never_another_number() {
    let site = Site::start();
    let mut dice = Dice::new(3);
    for _ in 0..JOBS / 10 {
        site.submit("executable = /bin/true\nlog = jobs.log\nqueue 10\n");
    }
    let (work_dir, home) = (site.work_dir(), site.home());
    let sums = Sums::default();
    site.kill_9();
    std::thread::scope(|scope| {
        let over = Over(&sums);
        for form in FORMS {
            let (work_dir, home, sums) = (&work_dir, &home, &sums);
            scope.spawn(move || {
                // A client that fails ends the others, and the test.
                let _over = Over(sums);
                ask_on(form, work_dir, home, sums);
            });
        }
        for crash in 0..CRASHES {
            let mut master = Guard::start("master", &mut site.master_command()).unwrap();
            // By the count of queries and not by what the master says: some crashes fall into its start.
            let until = sums.asked.load(Ordering::Relaxed) + dice.below(QUERIES_MAX);
            site.wait_until(Duration::from_secs(60), "some more queries", || {
                sums.asked.load(Ordering::Relaxed) >= until || sums.over.load(Ordering::Relaxed)
            });
            assert!(master.ended().is_none(), "the master ended by itself at crash {crash}\n{}", site.logs());
            master.kill_9();
        }
        drop(over);
    });
    let [asked, answered, failed] = [&sums.asked, &sums.answered, &sums.failed].map(|sum| sum.load(Ordering::Relaxed));
    println!("{CRASHES} crashes, {asked} queries: {answered} answered, {failed} failed");
    assert!(answered >= 100, "{answered} answers are too few to mean anything");
    assert!(failed >= 1, "no query ever met a crash");
    site.start_master();
    assert_eq!(site.condor("condor_q", FORMS[0].0, "").ok().stdout.lines().count(), JOBS);
}

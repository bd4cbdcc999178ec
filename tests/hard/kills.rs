//! The master is killed at random moments while simulated workers run many short jobs: nothing is lost, nothing told twice,
//! every start accounted for (requirement R-1).
//!
//! The gate kills it 50 times under 1,000 jobs. For more:
//! `AWQ_KILLS=1000 AWQ_KILL_JOBS=10000 AWQ_SEED=1 cargo test --test hard kills -- --nocapture`

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use testkit::Site;
use testkit::simulated::{Fleet, FleetOptions, TAG};

use crate::support::dice::Dice;

/// Kills come at most so long after the last awaited result …
const BEHIND_US: u64 = 30_000;
/// … and that is at most this one of a round.
const RESULTS_MAX: u64 = 60;
/// The gate's part ends here even when the machine is too busy for all its kills; it says how many there were.
const GATE_TIME: Duration = Duration::from_secs(30);
/// Fewer would not mean anything.
const KILLS_MIN: u64 = 10;
const SOON: Duration = Duration::from_secs(300);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// What the event log tells of one job.
#[derive(Debug, Default)]
struct Story {
    submitted: u32,
    started: u64,
    evicted: u64,
    ended: u32,
    removed: u32,
}

/// The story of every job, by `cluster.proc`.
fn stories(log: &str) -> BTreeMap<String, Story> {
    let mut stories: BTreeMap<String, Story> = BTreeMap::new();
    for event in log.split_inclusive("\n...\n").filter_map(|event| event.strip_suffix("\n...\n")) {
        let (kind, rest) = event.split_once(" (").expect("an event begins with its number and job");
        let mut ids = rest.split(['.', ')']).map(|part| part.parse::<u64>().expect("ids are numbers"));
        let job = format!("{}.{}", ids.next().expect("a cluster"), ids.next().expect("a proc"));
        let story = stories.entry(job).or_default();
        match kind {
            "000" => story.submitted += 1,
            "001" => story.started += 1,
            "004" => story.evicted += 1,
            "005" => story.ended += 1,
            "009" => story.removed += 1,
            other => panic!("an event {other} that nothing here causes: {event}"),
        }
    }
    stories
}

struct Sums {
    jobs: usize,
    lost: usize,
    double: usize,
    unexplained: u64,
    extra: u64,
}

/// Compares what was submitted, what the log and the history tell, what the workers saw and what lies there.
fn audit(site: &Site, submitted: &BTreeSet<String>, seen: &std::collections::HashMap<String, u64>) -> Sums {
    let stories = stories(&site.read("log"));
    let mut history: BTreeMap<String, usize> = BTreeMap::new();
    for line in site.condor("condor_history", &["-af", "ClusterId", "ProcId"], "").ok().stdout.lines() {
        *history.entry(line.replace(' ', ".")).or_default() += 1;
    }
    let mut sums = Sums { jobs: submitted.len(), lost: 0, double: 0, unexplained: 0, extra: 0 };
    for job in submitted {
        let Some(story) = stories.get(job) else {
            println!("lost: {job} has no story");
            sums.lost += 1;
            continue;
        };
        let ends = story.ended + story.removed;
        let in_history = history.get(job).copied().unwrap_or_default();
        let output = site.home().join("out").join(job);
        let length = std::fs::metadata(&output).map_or(0, |facts| facts.len());
        let is_whole = story.ended == 0 || length == FleetOptions::default().output_bytes as u64;
        if ends == 0 || in_history == 0 || !is_whole {
            println!("lost: {job}: {story:?}, {in_history} times in the history, output of {length} bytes");
            sums.lost += 1;
        }
        if ends > 1 || in_history > 1 || story.submitted != 1 {
            println!("twice: {job}: {story:?}, {in_history} times in the history");
            sums.double += 1;
        }
        // Every start has an end or an eviction, and no worker saw more starts than are told.
        let told = story.started;
        let explained = story.evicted + u64::from(story.ended);
        let ran = seen.get(job).copied().unwrap_or_default();
        let unexplained = told.abs_diff(explained) + ran.saturating_sub(told);
        if unexplained > 0 {
            println!("unexplained: {job}: {story:?}, {ran} starts at workers");
        }
        sums.unexplained += unexplained;
        sums.extra += told.saturating_sub(1);
    }
    assert_eq!(stories.len(), submitted.len(), "no job that nobody submitted");
    sums
}

#[test]
fn kills_at_any_moment_lose_nothing_and_tell_nothing_twice() {
    let (wanted, jobs) = (number("AWQ_KILLS"), number("AWQ_KILL_JOBS").unwrap_or(1000));
    let limit = if wanted.is_some() { Duration::MAX } else { GATE_TIME };
    let wanted = wanted.unwrap_or(50);
    let mut dice = Dice::new(number("AWQ_SEED").unwrap_or(1));
    let site = Site::start();
    std::fs::create_dir(site.home().join("out")).unwrap();
    let fleet = Fleet::start(
        site.port(),
        FleetOptions {
            workers: 50,
            cores: 4,
            run_min: Duration::from_millis(1),
            run_max: Duration::from_millis(200),
            ..FleetOptions::default()
        },
    );
    let text = format!(
        "executable = /bin/true\ntransfer_executable = false\nenvironment = \"{TAG}=$(Cluster).$(Process)\"\n\
         output = out/$(Cluster).$(Process)\nlog = log\nqueue {jobs}\n"
    );
    let mut submitted: BTreeSet<String> = BTreeSet::new();
    let submit = |submitted: &mut BTreeSet<String>| {
        let cluster = site.submit(&text);
        submitted.extend((0..jobs).map(|proc| format!("{cluster}.{proc}")));
    };
    let begin = Instant::now();
    let mut kills = 0;
    let mut last = fleet.results();
    submit(&mut submitted);
    while kills < wanted && (begin.elapsed() < limit || kills < KILLS_MIN) {
        let goal = last + dice.below(RESULTS_MAX);
        // A queue that runs empty meanwhile is filled again.
        site.wait_until(SOON, "results of simulated workers", || {
            fleet.results() >= goal || fleet.results() >= submitted.len() as u64
        });
        if dice.below(4) == 0 {
            let victim = submitted.iter().nth(dice.below(submitted.len() as u64) as usize).expect("it is below");
            // It may have ended.
            site.condor("condor_rm", &[victim], "");
        }
        if dice.below(4) == 0 {
            fleet.drop_some(1 + dice.below(3) as usize);
        }
        let (wait, moment) = (Duration::from_micros(dice.below(BEHIND_US)), Instant::now());
        while moment.elapsed() < wait {
            std::hint::spin_loop();
        }
        site.kill_9();
        kills += 1;
        last = fleet.results();
        site.start_master();
        if (submitted.len() as u64) < last + jobs / 2 {
            submit(&mut submitted);
        }
    }
    let queue = || site.condor("condor_q", &["-af", "ClusterId"], "").ok().stdout;
    site.wait_until(SOON, "the end of all jobs", || queue().is_empty());
    site.stop_master();
    site.start_master();
    let sums = audit(&site, &submitted, &fleet.starts());
    let line = serde_json::json!({
        "figure": "kill -9 at random moments", "kills": kills, "jobs_at_once": jobs, "jobs": sums.jobs, "lost": sums.lost,
        "double": sums.double, "extra_starts": sums.extra, "unexplained_starts": sums.unexplained,
        "seconds": begin.elapsed().as_secs(),
    });
    println!("{line}");
    assert_eq!((sums.lost, sums.double, sums.unexplained), (0, 0, 0), "lost, double, unexplained");
}

//! Acknowledged means durable, whatever moment the master dies at (requirement P1).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use testkit::{Guard, Site, bin, run_command};

use crate::support::dice::Dice;

const ROUNDS: u64 = 30;
const CLIENTS: u64 = 3;
/// Most acknowledgements of a round before the crash …
const ACKNOWLEDGED_MAX: u64 = 8;
/// … and most microseconds behind the last of them, so that crashes fall everywhere.
const BEHIND_US: u64 = 20_000;

/// A submission and what became of it.
#[derive(Debug)]
struct Attempt {
    /// Argument of its jobs.
    tag: String,
    jobs: usize,
    /// Its cluster, if it was acknowledged.
    cluster: Option<u32>,
}

/// Submits until the master is gone.
fn submit_on(
    client: u64,
    round: u64,
    seed: u64,
    site: (&Path, &Path),
    sums: (&AtomicU64, &AtomicBool),
) -> Vec<Attempt> {
    let ((work_dir, home), (acknowledged, over)) = (site, sums);
    let mut dice = Dice::new(seed);
    let mut attempts = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let jobs = 1 + dice.below(4) as usize;
        let tag = format!("round{round}.client{client}.{}", attempts.len());
        let text = format!("executable = /bin/true\narguments = {tag}\nlog = {tag}.log\nqueue {jobs}\n");
        let mut command = Command::new(bin("condor_submit"));
        command.env("AWQ_WORKDIR", work_dir).env("AWQ_WAIT_S", "0").current_dir(home);
        let answer = run_command(&mut command, text.as_bytes(), Duration::from_secs(60));
        let number = |rest: &str| rest.split('.').next().unwrap_or_default().parse().ok();
        let cluster = answer.stdout.split_once("submitted to cluster ").and_then(|(_, rest)| number(rest));
        assert_eq!(answer.code == Some(0), cluster.is_some(), "{answer}");
        if cluster.is_some() {
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        attempts.push(Attempt { tag, jobs, cluster });
    }
    attempts
}

/// All jobs in the queue: argument, and the clusters and procs that have it.
fn queue(site: &Site) -> BTreeMap<String, BTreeSet<(u32, u32)>> {
    // Removed ones may be on their way to the history once more.
    let words = ["-constraint", "JobStatus != 3", "-af", "Args", "ClusterId", "ProcId"];
    let answer = site.condor("condor_q", &words, "").ok();
    let mut jobs: BTreeMap<String, BTreeSet<(u32, u32)>> = BTreeMap::new();
    for line in answer.stdout.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [tag, cluster, proc] = words[..] else { panic!("{answer}") };
        let fresh = jobs.entry(tag.into()).or_default().insert((cluster.parse().unwrap(), proc.parse().unwrap()));
        assert!(fresh, "a job twice\n{answer}");
    }
    jobs
}

#[test]
fn thirty_crashes_while_three_clients_submit() {
    let site = Site::start();
    let (work_dir, home) = (site.work_dir(), site.home());
    let mut dice = Dice::new(5);
    // What must be in the queue: cluster by tag.
    let mut expected: BTreeMap<String, (u32, usize)> = BTreeMap::new();
    let mut used: BTreeSet<u32> = BTreeSet::new();
    let (mut kept, mut lost) = (0, 0);
    site.stop_master();
    for round in 0..ROUNDS {
        site.start_master();
        let (acknowledged, over) = (AtomicU64::new(0), AtomicBool::new(false));
        let (wanted, behind) = (dice.below(ACKNOWLEDGED_MAX), Duration::from_micros(dice.below(BEHIND_US)));
        let attempts: Vec<Attempt> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (seed, places) = (dice.below(u64::MAX), (work_dir.as_path(), home.as_path()));
                    let sums = (&acknowledged, &over);
                    scope.spawn(move || submit_on(client, round, seed, places, sums))
                })
                .collect();
            site.wait_until(Duration::from_secs(60), "acknowledgements", || {
                acknowledged.load(Ordering::Relaxed) >= wanted || clients.iter().any(|client| client.is_finished())
            });
            let begin = Instant::now();
            while begin.elapsed() < behind {
                std::hint::spin_loop();
            }
            site.kill_9();
            over.store(true, Ordering::Relaxed);
            clients.into_iter().flat_map(|client| client.join().expect("no client fails")).collect()
        });
        site.start_master();
        let there = queue(&site);
        for Attempt { tag, jobs, cluster } in &attempts {
            let found = there.get(tag);
            match (cluster, found) {
                (Some(cluster), Some(_)) => {
                    assert!(used.insert(*cluster), "cluster {cluster} was used before");
                    expected.insert(tag.clone(), (*cluster, *jobs));
                }
                (Some(cluster), None) => panic!("{tag} was acknowledged as cluster {cluster} and is lost\n{there:?}"),
                (None, Some(found)) => {
                    let cluster = found.first().expect("not empty").0;
                    assert!(used.insert(cluster), "cluster {cluster} was used before");
                    expected.insert(tag.clone(), (cluster, *jobs));
                    kept += 1;
                }
                (None, None) => lost += 1,
            }
        }
        for (tag, (cluster, jobs)) in &expected {
            let whole = (0..*jobs as u32).map(|proc| (*cluster, proc)).collect();
            assert_eq!(there.get(tag), Some(&whole), "{tag}");
        }
        assert_eq!(there.len(), expected.len(), "nothing else is there");
        // Numbers of jobs that are gone are not given out again either.
        if let Some(newest) = expected.values().map(|(cluster, _)| *cluster).max() {
            site.condor("condor_rm", &[&newest.to_string()], "").ok();
            expected.retain(|_, (cluster, _)| *cluster != newest);
            site.wait_until(Duration::from_secs(30), "removal", || site.statuses(newest.into()).is_empty());
        }
        site.kill_9();
    }
    println!(
        "{ROUNDS} rounds: {} submissions, of those without an answer {kept} were there and {lost} not",
        used.len() + lost
    );
    assert!(used.len() as u64 >= ROUNDS, "{} submissions are too few to mean anything", used.len());
}

#[test]
fn a_client_killed_at_any_moment_leaves_all_or_nothing() {
    const JOBS: usize = 100;
    let site = Site::start();
    let mut dice = Dice::new(8);
    site.write("many.sub", format!("executable = /bin/true\narguments = many\nqueue {JOBS}\n"));
    for _ in 0..40 {
        let mut command = site.condor_command("condor_submit", &["many.sub"]);
        command.stdout(std::process::Stdio::null());
        let behind = Duration::from_micros(dice.below(BEHIND_US));
        let begin = Instant::now();
        let mut client = Guard::start("condor_submit", &mut command).unwrap();
        while begin.elapsed() < behind {
            std::hint::spin_loop();
        }
        client.kill_9();
    }
    // The master may be at work on the last one: two answers with a durable submission between them settle it.
    let last = site.submit("executable = /bin/true\narguments = last\nqueue\n");
    let procs = queue(&site);
    let many = procs.get("many").cloned().unwrap_or_default();
    let clusters: BTreeSet<u32> = many.iter().map(|(cluster, _)| *cluster).collect();
    for cluster in &clusters {
        assert_eq!(many.iter().filter(|(of, _)| of == cluster).count(), JOBS, "cluster {cluster}");
    }
    println!("of 40 killed clients {} had submitted; the last cluster is {last}", clusters.len());
}

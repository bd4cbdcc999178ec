//! As many workers as descriptors allow (requirement R-15), and all of them coming back at once.

use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use testkit::Site;
use testkit::simulated::{Fleet, FleetOptions, connect_from};

use crate::memory::{cpu_time, resident_at_rest};
use crate::{alone, hold, measured_site, tell};

/// Workers, where the limit of descriptors is 20,000 (decision D67).
const WORKERS: usize = 19_000;

/// Of the descriptors of the test, so many stay for what is no worker.
const OURS: usize = 300;

/// Workers that are lost at once.
const LOST: usize = 10_000;

/// Connections beyond what the master takes.
const BEYOND: usize = 100;

/// How long an idle master is watched.
const IDLE: Duration = Duration::from_secs(2);

const LONG: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(180);

/// The limit of open files as high as it goes, until this is dropped; and how many that are.
struct Descriptors(u64, u64);

impl Descriptors {
    fn raised() -> Descriptors {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the system says");
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit");
        Descriptors(soft, hard)
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        setrlimit(Resource::RLIMIT_NOFILE, self.0, self.1).expect("as it was");
    }
}

/// Runs a query again and again while something goes on; tells how long they took and holds the longest to a limit.
fn queries_during(site: &Site, when: &str, limit_ms: f64, what: impl FnOnce()) {
    let over = AtomicBool::new(false);
    let mut command = site.condor_command("condor_q", &["-totals"]);
    command.stdout(std::process::Stdio::null());
    let mut times = std::thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let mut command = command;
            let mut times = Vec::new();
            while !over.load(Ordering::Relaxed) || times.len() < 10 {
                let begin = Instant::now();
                assert!(command.status().expect("condor_q was built").success());
                times.push(begin.elapsed().as_secs_f64() * 1e3);
            }
            times
        });
        what();
        over.store(true, Ordering::Relaxed);
        asker.join().expect("every query is answered")
    });
    times.sort_by(f64::total_cmp);
    tell(&format!("median of {} queries {when}", times.len()), times[times.len() / 2], "ms", None);
    hold(&format!("longest of {} queries {when}", times.len()), times[times.len() - 1], "ms", limit_ms);
}

/// Share of a core, in percent, that the master takes while nothing happens.
fn idle_percent(site: &Site) -> f64 {
    let (begin, before) = (Instant::now(), cpu_time(site.master_pid()));
    // What is measured is a time in which nothing happens: there is no condition to wait for.
    site.wait_until(PATIENCE, "the time of the measurement", || begin.elapsed() >= IDLE);
    (cpu_time(site.master_pid()) - before).as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0
}

#[test]
fn as_many_workers_as_descriptors_allow_come_stay_and_come_back() {
    let _alone = alone();
    let descriptors = Descriptors::raised();
    let limit = usize::try_from(descriptors.1.min(1 << 20)).expect("at most 2^20");
    // What the master takes by decision D67, less what still comes in this test.
    let workers = WORKERS.min(limit.saturating_sub(1000));
    let lost = LOST.min(workers);
    let site = measured_site();
    let base = resident_at_rest(site.master_pid());
    let begin = Instant::now();
    let options = FleetOptions { workers, run_min: LONG, run_max: LONG, ..FleetOptions::default() };
    let fleet = Fleet::start(site.port(), options);
    site.wait_until(PATIENCE, "an answer for each worker", || fleet.greeted() == workers);
    hold(&format!("{workers} workers connect and are answered"), begin.elapsed().as_secs_f64(), "s", 60.0);
    let full = resident_at_rest(site.master_pid());
    tell("resident memory of a master without workers", base as f64 / 1e6, "MB", None);
    // The share of the limit that this machine's descriptors allow, beside the master itself.
    let share = workers as f64 / WORKERS as f64;
    hold(&format!("resident memory of a master with {workers} workers"), full as f64 / 1e6, "MB", 15.0 + 85.0 * share);
    hold("share of a core that idle workers cost", idle_percent(&site), "%", 5.0);

    let room = limit - 512 - workers;
    let beyond: Vec<TcpStream> = (0..(room + BEYOND).min(limit - OURS - workers))
        .map(|_| connect_from(Ipv4Addr::LOCALHOST, site.port()).expect("the system takes them for the master"))
        .collect();
    // Requirement R-15 says 100 ms, R-18 a second; twice that is the slack of a busy machine.
    queries_during(&site, "at the limit of connections", 200.0, || {
        idle_percent(&site);
    });
    hold("share of a core at the limit of connections", idle_percent(&site), "%", 25.0);
    assert_eq!(fleet.greeted(), workers, "who has introduced himself stays");
    drop(beyond);

    let cluster = site.submit(&format!("executable = /bin/true\ntransfer_executable = false\nqueue {workers}\n"));
    let starts = |fleet: &Fleet| fleet.starts().values().sum::<u64>();
    let all = workers as u64;
    site.wait_until(PATIENCE, "a job at each worker", || starts(&fleet) == all);
    let mut busy = 0.0;
    tell("resident memory with a job at each worker", resident_at_rest(site.master_pid()) as f64 / 1e6, "MB", None);
    queries_during(&site, "while they come back", 2000.0, || {
        let begin = Instant::now();
        fleet.drop_some(lost);
        site.wait_until(PATIENCE, "the jobs of those that were lost again", || {
            starts(&fleet) >= all + lost as u64 && fleet.greeted() == workers
        });
        busy = begin.elapsed().as_secs_f64();
    });
    hold(&format!("{lost} workers lost at once are back and have jobs again"), busy, "s", 60.0);
    assert_eq!(starts(&fleet), all + lost as u64, "nobody else's job began again");
    assert!(site.statuses(cluster).iter().all(|status| *status == 2), "all run");
    tell("resident memory behind the storm", resident_at_rest(site.master_pid()) as f64 / 1e6, "MB", None);

    let begin = Instant::now();
    site.kill_9();
    site.start_master();
    let up = begin.elapsed().as_secs_f64();
    queries_during(&site, "behind a crash of the master", 2000.0, || {
        site.wait_until(PATIENCE, "all jobs again behind a crash of the master", || {
            starts(&fleet) >= 2 * all + lost as u64 && fleet.greeted() == workers
        });
    });
    tell("a killed master listens again", up, "s", None);
    let figure = format!("{workers} workers of a killed master are back and have jobs again");
    hold(&figure, begin.elapsed().as_secs_f64(), "s", 60.0);
}

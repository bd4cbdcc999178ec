//! What a process takes: resident memory, and time of the processors.

use std::time::Duration;

use testkit::wait_until;

/// Looks in a row that must show the same.
const LOOKS: u32 = 25;

/// Resident bytes of a process, everything included: heap with the allocator's caches, stacks, tables, code.
pub(crate) fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("our own master runs");
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).expect("smaps_rollup has a line Rss");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kib << 10
}

/// The same once it has stopped changing: what was given to threads is done.
pub(crate) fn resident_at_rest(pid: u32) -> u64 {
    let (mut last, mut same) = (0, 0);
    wait_until(Duration::from_secs(60), "memory at rest", || {
        let now = resident(pid);
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same >= LOOKS
    })
    .expect("a master that nobody asks comes to rest");
    last
}

/// Time that all threads of a process have had of the processors.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("our own master runs");
    // A thread may end between the two looks; what it had is then lost, which idle masters do not have.
    let each = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
    Duration::from_nanos(each.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum())
}

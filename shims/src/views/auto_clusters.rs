//! `-autocluster`: jobs that are alike to the matchmaker, counted.

use crate::job::Job;

use super::Scene;

/// What makes jobs alike. HTCondor's list has more, which no requirements of ours look at.
pub const AUTO_CLUSTER_ATTRIBUTES: &[&str] = &["RequestCpus", "RequestMemory", "RequestDisk", "Requirements"];

/// Titles and rows, numbered in the order of their first jobs. The universe is not among the attributes, which
/// HTCondor shows as `[??????]`.
pub fn auto_clusters(jobs: impl Iterator<Item = Job>, scene: &Scene<'_>) -> String {
    let mut counts: Vec<(String, u64)> = Vec::new();
    for job in jobs {
        let number = |name| {
            let whole = job.int(name, scene.env).map(|number| number.to_string());
            whole.unwrap_or_else(|| job.value(name, scene.env).display_old())
        };
        let requirements = job.expr("requirements").map(ToString::to_string).unwrap_or_default();
        let alike = format!(
            "[??????] {:>4} {:>6} {:>8} {requirements}",
            number("requestcpus"),
            number("requestmemory"),
            number("requestdisk")
        );
        match counts.iter_mut().find(|(known, _)| *known == alike) {
            Some((_, count)) => *count += 1,
            None => counts.push((alike, 1)),
        }
    }
    let before = "[??????] ".len() + 21;
    let longest = counts.iter().map(|(alike, _)| alike.chars().count().saturating_sub(before)).max().unwrap_or(0);
    let mut out = String::new();
    scene.line(&mut out, &format!("   ID COUNT UNIVERSE CPUS MEMORY     DISK {:<longest$}", "REQUIREMENTS"));
    for (number, (alike, count)) in (1..).zip(counts) {
        scene.line(&mut out, &format!("{number:>5} {count:>5} {alike}"));
    }
    out
}

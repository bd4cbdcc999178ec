//! `-analyze:summary` and `-analyze -unmatchable`: a line a job.

use std::collections::BTreeMap;

use control_proto::Explanation;

use super::{Scene, Slots};
use crate::job::Job;

type Whys = BTreeMap<(i64, i64), Explanation>;

/// The table of `-analyze:summary`. There are no autoclusters here, so each job stands for itself.
pub(super) fn print(jobs: &[Job], whys: &Whys, slots: &Slots, scene: &Scene<'_>) -> String {
    let count = slots.slots.len();
    let mut out = match &slots.named {
        Some(name) => format!("{name}: Analyzing matches for {count} slots\n"),
        None => format!("Analyzing matches for {count} slots\n"),
    };
    for [job, cluster, fits, rejects, yours, others, free] in [
        ["", " Autocluster", "   Matches  ", "  Machine  ", "  Running  ", "  Serving ", ""],
        [" JobId", "Members/Idle", "Requirements", "Rejects Job", " Users Job ", "Other User", "Available"],
        ["-------------", "------------", "------------", "-----------", "-----------", "----------", "---------"],
    ] {
        out += &format!("{job:<13} {cluster:>12} {fits:>12} {rejects:>11} {yours:>11} {others:>10} {free:>9} \n");
    }
    for job in jobs {
        let (cluster, proc) = job.id(scene.env);
        let c = slots.counts(job, whys.get(&(cluster, proc)), scene.env);
        let running = match job.int("jobstatus", scene.env) {
            Some(2 | 6 | 7) => format!("1/{}", c.yours),
            _ => c.yours.to_string(),
        };
        out += &format!(
            "{:<13} {:<12} {:>12} {:>11} {running:>11} {:>10} {:>9} \n",
            format!("{cluster}.{proc}"),
            "",
            c.all - c.rejected,
            c.unwilling,
            c.running - c.yours,
            c.willing
        );
    }
    out
}

/// Jobs that nothing matches, each by itself.
pub(super) fn unmatchable(jobs: &[Job], whys: &Whys, slots: &Slots, scene: &Scene<'_>) -> String {
    let line = |job: &Job| {
        let (cluster, proc) = job.id(scene.env);
        let c = slots.counts(job, whys.get(&(cluster, proc)), scene.env);
        let why = if c.rejected < c.all { "All slots reject" } else { "No slots match" };
        (c.running + c.willing == 0).then(|| format!("{why} autocluster -1, jobs : {cluster}.{proc}\n"))
    };
    jobs.iter().filter_map(line).collect()
}

//! `-factory` and `-jobset`: tables of what is no job.

use crate::job::Job;

use super::Scene;

/// Which ads are those of clusters whose jobs enter one after another, as HTCondor chooses them.
pub const IS_FACTORY: &str = "ProcId is undefined";

/// Attributes that the table of clusters needs.
pub const FACTORY_ATTRIBUTES: &[&str] = &[
    "ClusterId",
    "Owner",
    "QDate",
    "JobMaterializeLimit",
    "JobsPresent",
    "JobsRunning",
    "JobsIdle",
    "JobsHeld",
    "JobMaterializeNextProcId",
    "JobMaterializePaused",
    "JobMaterializeDigestFile",
];

/// In the order of their columns.
const COUNTS: [&str; 6] =
    ["jobmaterializelimit", "jobspresent", "jobsrunning", "jobsidle", "jobsheld", "jobmaterializenextprocid"];

/// The titles of `-jobset`. There are no job sets here, and so no rows: `jobset` of a submit file is kept in the ad.
pub const JOB_SET_TITLES: &str = "JOBSETID NAME OWNER COMPLETE REMOVED    IDLE RUNNING    HELD";

/// Titles and a row for each cluster.
pub fn factories(clusters: impl Iterator<Item = Job>, scene: &Scene<'_>) -> String {
    let mut out = String::new();
    let titles = " ID      OWNER            SUBMITTED  LIMIT PRESNT   RUN    IDLE   HOLD NEXTID MODE DIGEST";
    scene.line(&mut out, titles);
    for cluster in clusters {
        let number = |name: &str| cluster.int(name, scene.env);
        let count = |name: &str| number(name).map_or_else(|| " ".repeat(6), |count| format!("{count:>6}"));
        let counts = COUNTS.map(count);
        let row = format!(
            "{:>4}.    {:<14} {:>11} {} {:<4} {}",
            number("clusterid").unwrap_or(0),
            cluster.text("owner", scene.env).unwrap_or_else(|| "??".into()),
            scene.clock.short(number("qdate").unwrap_or(0)),
            counts.join(" "),
            mode(number("jobmaterializepaused")),
            cluster.value("jobmaterializedigestfile", scene.env).display_old(),
        );
        scene.line(&mut out, &row);
    }
    out
}

/// What `JobMaterializePaused` means.
pub(crate) fn mode(paused: Option<i64>) -> &'static str {
    match paused {
        None => "_",
        Some(-1) => "Errs",
        Some(0) => "Norm",
        Some(1) => "Held",
        Some(2) => "Done",
        Some(3) => "Gone",
        Some(_) => "Unk",
    }
}

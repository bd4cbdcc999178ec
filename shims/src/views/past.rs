//! The table of `condor_history`.

use crate::clock::span;
use crate::job::Job;

use super::Scene;
use super::rows::{command, status};

/// Attributes that the table needs.
pub const PAST_ATTRIBUTES: &[&str] = &[
    "ClusterId",
    "ProcId",
    "Owner",
    "QDate",
    "RemoteWallClockTime",
    "JobStatus",
    "CompletionDate",
    "Cmd",
    "Args",
    "Arguments",
    "JobDescription",
];

const TITLES: &str = " ID          OWNER            SUBMITTED   RUN_TIME   ST   COMPLETED CMD";

/// Titles and rows.
pub fn past(jobs: impl Iterator<Item = Job>, scene: &Scene<'_>) -> String {
    let mut out = String::new();
    scene.line(&mut out, TITLES);
    for job in jobs {
        let env = scene.env;
        let (cluster, proc) = job.id(env);
        let row = format!(
            "{:<12} {:<14} {:>11} {:>12} {:<2} {:>11} {}",
            format!("{cluster}.{proc}"),
            job.text("owner", env).unwrap_or_default(),
            scene.clock.short(job.int("qdate", env).unwrap_or(0)),
            span(job.int("remotewallclocktime", env).unwrap_or(0)),
            status(&job, scene),
            job.int("completiondate", env).filter(|s| *s > 0).map(|s| scene.clock.short(s)).unwrap_or_default(),
            command(&job, scene)
        );
        scene.line(&mut out, &row);
    }
    out
}

//! The default view: one row for each batch of jobs.

use std::collections::HashMap;

use crate::job::Job;

use super::Scene;

/// Attributes that the view needs.
pub const BATCH_ATTRIBUTES: &[&str] = &[
    "ClusterId",
    "ProcId",
    "Owner",
    "JobStatus",
    "JobUniverse",
    "QDate",
    "TotalSubmitProcs",
    "JobBatchName",
    "DAGNodeName",
];

/// One row of the table.
#[derive(Debug, Default)]
struct Batch {
    owner: String,
    name: String,
    submitted_s: i64,
    running: u64,
    idle: u64,
    held: u64,
    /// Jobs of the batch that were listed.
    listed: u64,
    /// Jobs that were ever submitted in its clusters.
    submitted: u64,
    first: (i64, i64),
    last: (i64, i64),
}

/// Titles and rows. `single_jobs`: procs were asked for by number, so nothing can be said of the others.
///
/// Widths as recorded: OWNER is as wide as the longest owner from five letters on, else eight (five when there is
/// no row), BATCH_NAME at least ten (twelve when there is no row), HOLD is left out when nothing listed is held.
pub fn batch(jobs: impl Iterator<Item = Job>, scene: &Scene<'_>, single_jobs: bool) -> String {
    let batches = collect(jobs, scene);
    let longest_owner = batches.iter().map(|b| b.owner.chars().count()).max();
    let owner_width = match longest_owner {
        None => 5,
        Some(longest) if longest >= 5 => longest,
        Some(_) => 8,
    };
    let longest_name = batches.iter().map(|b| b.name.chars().count()).max();
    let name_width = longest_name.map_or(12, |longest| longest.max(10));
    let with_hold = batches.is_empty() || batches.iter().any(|b| b.held > 0);

    let mut out = String::new();
    let hold = if with_hold { "   HOLD" } else { "" };
    let title = format!(
        "{:<owner_width$} {:<name_width$} {:>12}   DONE   RUN    IDLE{hold}  TOTAL JOB_IDS",
        "OWNER", "BATCH_NAME", "SUBMITTED"
    );
    scene.line(&mut out, &title);
    for b in &batches {
        let done = if single_jobs { 0 } else { b.submitted.saturating_sub(b.listed) };
        let mut row = format!(
            "{:<owner_width$} {:<name_width$} {:>12} {:>6} {:>6} {:>6}",
            b.owner,
            b.name,
            scene.clock.short(b.submitted_s),
            number(done),
            number(b.running),
            number(b.idle)
        );
        if with_hold {
            row.push_str(&format!(" {:>6}", number(b.held)));
        }
        row.push_str(&format!(" {:>6} {}", number(b.submitted), ids(b)));
        scene.line(&mut out, &row);
    }
    out
}

/// Batches in the order of their first job.
fn collect(jobs: impl Iterator<Item = Job>, scene: &Scene<'_>) -> Vec<Batch> {
    let env = scene.env;
    let mut batches: Vec<Batch> = Vec::new();
    let mut known: HashMap<(String, String), usize> = HashMap::new();
    for job in jobs {
        let (cluster, proc) = job.id(env);
        let owner = job.text("owner", env).unwrap_or_default();
        let name = batch_name(&job, cluster, scene);
        let index = *known.entry((owner.clone(), name.clone())).or_insert_with(|| {
            batches.push(Batch {
                owner,
                name,
                submitted_s: job.int("qdate", env).unwrap_or(0),
                first: (cluster, proc),
                last: (-1, -1),
                ..Batch::default()
            });
            batches.len() - 1
        });
        let batch = &mut batches[index];
        // The jobs come sorted, so a cluster is over when the next one begins.
        if batch.last.0 != cluster {
            batch.submitted += job.int("totalsubmitprocs", env).map_or(1, |count| count.max(0).unsigned_abs());
        }
        batch.last = (cluster, proc);
        batch.listed += 1;
        match job.int("jobstatus", env) {
            Some(1 | 7) => batch.idle += 1,
            Some(2 | 6) => batch.running += 1,
            Some(5) => batch.held += 1,
            _ => {}
        }
    }
    batches
}

fn batch_name(job: &Job, cluster: i64, scene: &Scene<'_>) -> String {
    let env = scene.env;
    if let Some(name) = job.text("jobbatchname", env) {
        return name;
    }
    if job.int("jobuniverse", env) == Some(7) {
        return format!("DAG: {cluster}");
    }
    match job.text("dagnodename", env) {
        Some(node) => format!("NODE: {node}"),
        None => format!("ID: {cluster}"),
    }
}

fn number(count: u64) -> String {
    if count == 0 { "_".to_owned() } else { count.to_string() }
}

/// `1.0`, `1.0-2` or `12.0 ... 13.1`.
fn ids(batch: &Batch) -> String {
    let ((first_cluster, first_proc), (last_cluster, last_proc)) = (batch.first, batch.last);
    if batch.first == batch.last {
        format!("{first_cluster}.{first_proc}")
    } else if first_cluster == last_cluster {
        format!("{first_cluster}.{first_proc}-{last_proc}")
    } else {
        format!("{first_cluster}.{first_proc} ... {last_cluster}.{last_proc}")
    }
}

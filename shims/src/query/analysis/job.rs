//! The analysis of one job.

use classad::ClassAd;
use classad::analysis::Analysis;
use control_proto::Explanation;

use super::{Counts, Detail, Scene, Slots, parts, reasons};
use crate::job::Job;

/// Not an attribute that the requirements refer to, but they themselves.
const HIDDEN: &[&str] = &["requirements"];

/// The whole text; `why` if the job waits and has not left meanwhile.
pub(super) fn print(job: &Job, why: Option<&Explanation>, slots: &Slots, detail: Detail, scene: &Scene<'_>) -> String {
    let counts = slots.counts(job, why, scene.env);
    let mut out = String::new();
    if counts.rejected > 0 || detail.better {
        out += &requirements(job, slots, detail, scene);
        out.push('\n');
    }
    if counts.all > 0 {
        out += &summary(job, counts, scene);
    }
    out.push('\n');
    out += &story(job, why, counts, scene);
    for reason in why.map(|why| reasons::reasons(why, scene.env)).unwrap_or_default() {
        out += &format!("\n{reason}\n");
    }
    out
}

/// The expression in lines, in clauses, and what is left of it when the machines have been asked.
fn requirements(job: &Job, slots: &Slots, detail: Detail, scene: &Scene<'_>) -> String {
    let (cluster, proc) = job.id(scene.env);
    let title = format!("{cluster}.{proc:03}");
    let mut out = String::new();
    let Some(expr) = job.expr("requirements") else { return out };
    let of_requirements = |what: &str| format!("The Requirements expression for job {title} {what}\n\n");
    out += &of_requirements("is");
    out += &format!("    {}\n\n", parts::wrapped(expr, 4, scene.width));
    let analysis = Analysis::new(expr, job.ad(), &[], detail.branches);
    out += &parts::numbered(&analysis);
    out += &format!("\nJob {title} defines the following attributes:\n\n");
    out += &parts::own_attributes(expr, job.ad(), HIDDEN);
    if slots.named.is_some() || slots.slots.len() == 1 {
        for slot in &slots.slots {
            let values = parts::target_attributes(expr, job.ad(), &slot.matched, scene.env);
            if !values.is_empty() {
                let name = Job::from(slot.ad.clone()).text("name", scene.env).unwrap_or_else(|| "Target".into());
                out += &format!("\n{name} has the following attributes:\n\n{values}");
            }
        }
    }
    out.push('\n');
    let targets: Vec<&ClassAd> = slots.slots.iter().map(|slot| &slot.matched).collect();
    let targets = parts::alike(expr, job.ad(), &targets);
    let left = analysis.reduce(&targets, scene.env, detail.all_clauses);
    out += &of_requirements("reduces to these conditions:");
    out += &parts::conditions(&left, "Slot", detail);
    if matches!(job.int("jobuniverse", scene.env), Some(7 | 12)) {
        out += "\nWARNING: Analysis is not complete for Scheduler or Local universe jobs.\n";
    }
    out
}

fn summary(job: &Job, counts: Counts, scene: &Scene<'_>) -> String {
    let (cluster, proc) = job.id(scene.env);
    let mut out = format!(
        "\n{cluster:03}.{proc:03}:  Run analysis summary ignoring user priority.  Of {} slots on {} machines,\n",
        counts.all, counts.hosts
    );
    let mut line = |count: u64, what: &str| out += &format!("  {count:>5} slots {what}\n");
    line(counts.rejected, "are rejected by your job's requirements");
    line(counts.unwilling, "reject your job because of their own requirements");
    if counts.yours > 0 {
        line(counts.yours, "match and are already running your jobs");
    }
    if counts.running > 0 {
        line(counts.running - counts.yours, "match but are serving other users");
    }
    line(counts.willing, "match and are willing to run your job");
    if counts.rejected == counts.all {
        out += "\nWARNING:  Be advised:\n   No machines matched the job's constraints\n";
    } else if counts.rejected + counts.unwilling == counts.all {
        out += "\nWARNING:  Be advised:\n   Job did not match any machines' constraints\n   To see why, pick a machine that \
                you think should match and add\n     -reverse -machine <name>\n   to your query.\n";
    }
    out
}

/// What the job is when it does not wait, and its last matches.
fn story(job: &Job, why: Option<&Explanation>, counts: Counts, scene: &Scene<'_>) -> String {
    let env = scene.env;
    let (cluster, proc) = job.id(env);
    let status = match job.int("jobstatus", env) {
        Some(2 | 6 | 7) => "Job is running.".to_owned(),
        Some(3) => "Job is removed.".to_owned(),
        Some(4) => "Job is completed.".to_owned(),
        Some(5) => match job.text("holdreason", env).filter(|reason| !reason.is_empty()) {
            Some(reason) => format!("Job is held.\n\nHold reason: {reason}"),
            None => "Job is held.".to_owned(),
        },
        _ => String::new(),
    };
    let mut out = String::new();
    if !status.is_empty() {
        out += &format!("\n{cluster:03}.{proc:03}:  {status}\n\n");
    }
    let matched_s = ["lastmatchtime", "jobcurrentstartdate"].iter().find_map(|name| job.int(name, env)).unwrap_or(0);
    // The master has just tried all machines: what it found is the last match that failed.
    let tried_s = why.filter(|_| counts.willing == 0).and(env.now_s).unwrap_or(0);
    let failed_s = job.int("lastrejmatchtime", env).unwrap_or(tried_s);
    if matched_s > 0 {
        out += &format!("Last successful match: {}\n", scene.clock.in_full(matched_s));
    } else if failed_s > 0 {
        out += "No successful match recorded.\n";
    }
    if failed_s > matched_s {
        let by = job.text("lastrejmatchnegotiator", env).unwrap_or_else(|| scene.host.to_owned());
        let reason = job.text("lastrejmatchreason", env).unwrap_or_else(|| "no match found".to_owned());
        out += &format!("Last failed match: {} from {by}\n", scene.clock.in_full(failed_s));
        out += &format!("Reason for last match failure: {reason}\n");
    }
    out
}

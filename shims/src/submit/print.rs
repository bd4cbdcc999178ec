//! What `condor_submit` prints.

use control_proto::{Site, SubmittedCluster};
use submit_lang::{Submission, dry_run_ads};

use super::command_line::Order;

/// Standard output and standard error of a success.
pub(super) fn success(
    order: &Order,
    submission: &Submission,
    clusters: &[SubmittedCluster],
    site: &Site,
    now_s: i64,
) -> (String, String) {
    let mut out = String::new();
    let mut hint = String::new();
    if order.terse {
        for c in clusters {
            let last = c.first_proc + c.procs.saturating_sub(1);
            out.push_str(&format!("{0}.{1} - {0}.{last}\n", c.cluster, c.first_proc));
        }
    } else if order.verbose() {
        if order.announces() {
            out.push_str("Submitting job(s)");
        }
        let first = clusters.first().map_or(1, |c| c.cluster);
        for ad in dry_run_ads(submission, first, now_s) {
            out.push_str(&format!("\n** Proc {}.{}:\n", number(&ad, "ClusterId"), number(&ad, "ProcId")));
            out.push_str(&full(&ad));
        }
        out.push_str(if order.announces() { "\n\n" } else { "\n" });
    } else {
        let jobs: u64 = clusters.iter().map(|c| u64::from(c.procs)).sum();
        out.push_str("Submitting job(s)");
        out.push_str(&".".repeat(usize::try_from(jobs).unwrap_or(0)));
        out.push('\n');
        for c in clusters {
            out.push_str(&format!("{} job(s) submitted to cluster {}.\n", c.procs, c.cluster));
        }
        if site.submit_hint && !clusters.is_empty() {
            let numbers: Vec<String> = clusters.iter().map(|c| c.cluster.to_string()).collect();
            hint = format!("To monitor your job(s), run: condor_watch_q -clusters {}\n", numbers.join(" "));
        }
    }
    (out, hint)
}

/// Warnings about unused lines come behind the hint, all others before it.
pub(super) fn warnings(order: &Order, submission: &Submission, hint: &str) -> String {
    let unused = |text: &&String| text.starts_with("WARNING: the ");
    let (late, early): (Vec<&String>, Vec<&String>) = submission.warnings.iter().partition(unused);
    let mut err: String = early.into_iter().map(String::as_str).collect();
    err.push_str(hint);
    if !order.hide_unused {
        err.extend(late.into_iter().map(String::as_str));
    }
    err
}

/// Standard output of a dry run and the text of its file. `to_stdout`: they are the same.
pub(super) fn dry_run(
    order: &Order,
    submission: &Submission,
    now_s: i64,
    full_ads: bool,
    to_stdout: bool,
) -> (String, String) {
    let mut out = String::new();
    let mut file = String::new();
    if order.announces() {
        out.push_str("Dry-Run job(s)");
    }
    let mut before: Option<Vec<(String, String)>> = None;
    for ad in dry_run_ads(submission, 1, now_s) {
        let text = if full_ads { format!("{}\n", full(&ad)) } else { compact(&ad, before.as_deref()) };
        if to_stdout {
            out.push_str(&text)
        } else {
            file.push_str(&text)
        }
        if order.announces() {
            out.push('.');
        }
        before = Some(ad);
    }
    if order.announces() {
        out.push('\n');
    }
    for (number, cluster) in (1..).zip(&submission.clusters) {
        if order.terse {
            out.push_str(&format!("{number}.0 - {number}.{}\n", cluster.procs - 1));
        } else {
            out.push_str(&format!("{} job(s) dry-run to cluster {number}.\n", cluster.procs));
        }
    }
    (out, file)
}

fn full(ad: &[(String, String)]) -> String {
    ad.iter().map(|(name, text)| format!("{name} = {text}\n")).collect()
}

fn number<'a>(ad: &'a [(String, String)], wanted: &str) -> &'a str {
    ad.iter().find(|(name, _)| name == wanted).map_or("", |(_, text)| text)
}

/// The form without `:full`: the cluster's attributes by length of name, then each proc's own; later procs of a
/// cluster show only what differs.
fn compact(ad: &[(String, String)], before: Option<&[(String, String)]>) -> String {
    const OF_THE_PROC: [&str; 2] = ["ProcId", "JobStatus"];
    let mut out = String::from("\n");
    let mut put = |name: &str, text: &str| out.push_str(&format!("{name}={text}\n"));
    let same_cluster = before.is_some_and(|before| number(before, "ClusterId") == number(ad, "ClusterId"));
    let mut rest: Vec<&(String, String)> = ad
        .iter()
        .filter(|(name, _)| name != "ClusterId" && !OF_THE_PROC.contains(&name.as_str()))
        .filter(|pair| !(same_cluster && before.is_some_and(|before| before.contains(pair))))
        .collect();
    rest.sort_by_key(|(name, _)| (name.len(), name.to_ascii_lowercase()));
    if same_cluster {
        for name in OF_THE_PROC {
            put(name, number(ad, name));
        }
        rest.iter().for_each(|(name, text)| put(name, text));
    } else {
        put("ClusterId", number(ad, "ClusterId"));
        rest.iter().for_each(|(name, text)| put(name, text));
        for name in OF_THE_PROC {
            put(name, number(ad, name));
        }
    }
    out
}

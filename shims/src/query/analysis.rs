//! `condor_q -analyze` and `-better-analyze`: why a job waits, as the master's own matching sees it.

use std::collections::{BTreeMap, BTreeSet};

use classad::{Env, Expr};
use control_proto::client::ClientError;
use control_proto::{Explanation, Reply, Request, Why};

use crate::job::Job;
use crate::master;
use crate::world::World;

/// Attributes of a job that its analysis needs; the master adds what the requirements refer to.
pub(super) const ATTRIBUTES: &[&str] =
    &["ClusterId", "ProcId", "JobStatus", "Requirements", "HoldReason", "RemoteHost", "RequestCpus"];

/// How deep attributes that refer to attributes are followed.
const DEPTH: usize = 8;

/// What the master says of the jobs that wait, asked in parts of the size that it takes.
pub(super) fn explanations(
    jobs: &[Job],
    world: &World,
    env: &Env,
) -> Result<BTreeMap<(i64, i64), Explanation>, ClientError> {
    let number = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
    let idle = jobs.iter().filter(|job| job.int("jobstatus", env) == Some(1));
    let idle: Vec<(u32, u32)> = idle.map(|job| job.id(env)).map(|(c, p)| (number(c), number(p))).collect();
    let mut all = BTreeMap::new();
    for part in idle.chunks(Why::JOBS_MAX) {
        let answer = master::ask(world, &Request::Why(Why { jobs: part.to_vec() }))?;
        if let Reply::Explained { jobs } = answer.reply {
            all.extend(jobs.into_iter().map(|why| ((why.job.0.into(), why.job.1.into()), why)));
        }
    }
    Ok(all)
}

/// The analysis of one job; `explanation` if it waits and has not left meanwhile.
pub(super) fn print(job: &Job, explanation: Option<&Explanation>, env: &Env) -> String {
    let (cluster, proc) = job.id(env);
    let head = format!("{cluster:03}.{proc:03}:  ");
    let text = |name: &str| job.text(name, env).unwrap_or_default();
    match (job.int("jobstatus", env), explanation) {
        (Some(5), _) => format!(
            "\n{head}Job is held.\n\nHold reason: {}\n\nWhen that is mended: condor_release {cluster}.{proc}\n\n",
            text("holdreason")
        ),
        (Some(2), _) => format!("\n{head}Job is running on {}.\n\n", text("remotehost")),
        (Some(3), _) => format!("\n{head}Job is removed.\n\n"),
        (Some(4), _) => format!("\n{head}Job is completed.\n\n"),
        (_, None) => format!("\n{head}Job no longer waits.\n\n"),
        (_, Some(explanation)) => waiting(job, explanation, &head, env),
    }
}

fn waiting(job: &Job, why: &Explanation, head: &str, env: &Env) -> String {
    let (cluster, proc) = job.id(env);
    let title = format!("{cluster}.{proc:03}");
    let mut out = String::new();
    if let Some(requirements) = job.expr("requirements") {
        out.push_str(&format!("The Requirements expression for job {title} is\n\n"));
        let clauses: Vec<String> =
            requirements.conjuncts().iter().map(|clause| format!("({})", bare(clause))).collect();
        out.push_str(&wrapped(&clauses));
        out.push_str(&format!("\nJob {title} defines the following attributes:\n\n"));
        for name in referred(job, requirements) {
            let unit = match name.to_ascii_lowercase().as_str() {
                "requestdisk" => " (kb)",
                "requestmemory" => " (mb)",
                _ => "",
            };
            let expr = job.expr(&name).map(Expr::to_string).unwrap_or_default();
            out.push_str(&format!("    {name} = {expr}{unit}\n"));
        }
        out.push_str(&format!("\nThe Requirements expression for job {title} reduces to these conditions:\n\n"));
        out.push_str("        Slots\nStep   Matched  Condition\n----- --------- ---------\n");
        for (step, clause) in requirements.conjuncts().iter().enumerate() {
            out.push_str(&format!("{:<5} {:>9}  {}\n", format!("[{step}]"), matched(clause, why), bare(clause)));
        }
    }
    let m = &why.machines;
    out.push_str(&format!(
        "\n\n{head}Run analysis summary ignoring user priority.  Of {} slots on {} machines,\n",
        m.all, m.hosts
    ));
    out.push_str(&format!(
        "{:>7} slots are rejected by your job's requirements\n\
         {:>7} slots reject your job because of their own requirements\n\
         {:>7} slots match and are willing to run your job\n",
        m.unfit + m.small,
        m.quarantined + m.unusable + m.reserved,
        m.busy + m.free
    ));
    if m.busy + m.free == 0 {
        out.push_str("\nWARNING:  Be advised:\n   No machines matched the job's constraints\n");
    }
    out.push('\n');
    reasons(why, env).iter().for_each(|reason| out.push_str(&format!("{reason}\n")));
    out
}

/// What stands in the way, each with its remedy.
fn reasons(why: &Explanation, env: &Env) -> Vec<String> {
    let job = format!("{}.{}", why.job.0, why.job.1);
    let m = &why.machines;
    let mut reasons = Vec::new();
    if why.starting {
        reasons.push("It is on its way to a worker: its files are looked up or sent.".to_owned());
    }
    if let Some(at_s) = why.deferred_until_s {
        let left_s = (at_s - env.now_s.unwrap_or(at_s)).max(0);
        reasons.push(format!("It may not start for another {left_s} s (deferral_time)."));
    }
    if m.all == 0 {
        reasons.push(
            "No worker is connected. Start workers for this alien_work_queue; condor_status lists those that came."
                .to_owned(),
        );
        return reasons;
    }
    if m.unfit > 0 {
        let worst = why.clauses.iter().min_by_key(|(_, holds)| *holds);
        let worst = worst.map(|(text, holds)| format!(": {} holds on {holds} of {}", text, m.all)).unwrap_or_default();
        reasons.push(format!(
            "{} machines do not fulfil the requirements{worst}. To change them: condor_qedit {job} Requirements EXPRESSION",
            m.unfit
        ));
    }
    let short: Vec<_> = why.needs.iter().filter(|need| need.enough == 0).collect();
    for need in &short {
        reasons.push(format!(
            "It asks for {} {}, and the largest machine has {}. Ask for less (condor_qedit {job} {} {}), or start larger workers.",
            need.asked,
            need.of,
            need.largest,
            attribute(&need.of),
            if need.of == "MB of disk" { need.largest.saturating_mul(1024) } else { need.largest }
        ));
    }
    if m.small > 0 && short.is_empty() {
        reasons.push(format!("{} machines are smaller than what it asks for.", m.small));
    }
    if m.quarantined > 0 {
        reasons.push(format!(
            "{} machines get no work for a while, because jobs failed there in a row through no fault of theirs: look at \
             these machines (condor_status -constraint 'WorkQueueQuarantinedUntil > 0').",
            m.quarantined
        ));
    }
    if m.unusable > 0 {
        reasons.push(format!(
            "{} machines take no such job: they are leaving, gave such jobs back, or are foremen of CCTools 7.5 or later.",
            m.unusable
        ));
    }
    match (m.reserved, why.has_reserved) {
        (_, true) => reasons.push(
            "It has waited long, so a machine is kept free for it: it starts there as soon as there is room."
                .to_owned(),
        ),
        (0, false) => {}
        (n, false) => reasons.push(format!("{n} machines are kept free for jobs that have waited longer.")),
    }
    if m.busy > 0 {
        reasons.push(format!(
            "{} machines would do and are busy: it starts when one has room. More workers help; condor_prio puts it before \
             your other jobs.",
            m.busy
        ));
    }
    if m.free > 0 {
        reasons.push(format!("{} machines could take it now: it is about to start.", m.free));
    }
    reasons
}

/// The attribute that a need comes from.
fn attribute(of: &str) -> &'static str {
    match of {
        "cores" => "RequestCpus",
        "gpus" => "RequestGPUs",
        "MB of memory" => "RequestMemory",
        _ => "RequestDisk",
    }
}

/// Machines that fulfil a clause. One that the master does not tell from others by is fulfilled by all; what the job
/// asks in amounts stands apart.
fn matched(clause: &Expr, why: &Explanation) -> u64 {
    let text = clause.to_string();
    if let Some((_, holds)) = why.clauses.iter().find(|(known, _)| *known == text) {
        return *holds;
    }
    let of_amount = why.needs.iter().find(|need| {
        let resource = match need.of.as_str() {
            "cores" => "Cpus",
            "gpus" => "GPUs",
            "MB of memory" => "Memory",
            _ => "Disk",
        };
        bare(clause) == format!("TARGET.{resource} >= {}", attribute(&need.of))
    });
    of_amount.map_or(why.machines.all, |need| need.enough)
}

/// A clause without the parentheses around it, in the words that HTCondor's analysis uses.
fn bare(clause: &Expr) -> String {
    let text = clause.to_new_string();
    let mut depth = 0;
    let closes_early = text.char_indices().any(|(at, c)| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth == 0 && at + 1 < text.len()
    });
    match text.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) if !closes_early => inner.to_owned(),
        _ => text,
    }
}

/// Clauses joined with `&&`, broken before column 80.
fn wrapped(clauses: &[String]) -> String {
    let mut out = String::new();
    let mut line = String::from("   ");
    for (at, clause) in clauses.iter().enumerate() {
        let and = if at + 1 < clauses.len() { " &&" } else { "" };
        if line.len() > 3 && line.len() + 1 + clause.len() + and.len() > 80 {
            out.push_str(&line);
            out.push('\n');
            line.replace_range(3.., "");
        }
        line.push_str(&format!(" {clause}{and}"));
    }
    out + &line + "\n"
}

/// The job's attributes that an expression depends on, by name.
fn referred(job: &Job, expr: &Expr) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut open = vec![expr.clone()];
    for _ in 0..DEPTH {
        for expr in std::mem::take(&mut open) {
            let references = expr.references();
            for name in references.unscoped.iter().chain(&references.my) {
                if let (Some(spelling), Some(expr)) = (job.ad().spelling(name), job.expr(name))
                    && names.insert(spelling.to_owned())
                {
                    open.push(expr.clone());
                }
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use control_proto::{Machines, Need};

    use super::*;

    fn why(machines: Machines) -> Explanation {
        Explanation { job: (7, 0), status: 1, machines, ..Explanation::default() }
    }

    #[track_caller]
    fn check(why: &Explanation, words: &[&str]) {
        let reasons = reasons(why, &Env::default());
        assert_eq!(reasons.len(), words.len(), "{reasons:#?}");
        for (reason, word) in reasons.iter().zip(words) {
            assert!(reason.contains(word), "{word}: {reason}");
        }
    }

    #[test]
    fn each_obstacle_has_a_sentence() {
        check(&why(Machines::default()), &["No worker is connected"]);
        let mut unfit = why(Machines { all: 3, unfit: 2, busy: 1, ..Machines::default() });
        unfit.clauses = vec![("TARGET.Arch == \"X86_64\"".into(), 3), ("HasFoo".into(), 1)];
        check(&unfit, &["HasFoo holds on 1 of 3", "1 machines would do and are busy"]);
        let mut small = why(Machines { all: 2, small: 2, ..Machines::default() });
        small.needs = vec![Need { of: "cores".into(), asked: 8, largest: 4, enough: 0 }];
        check(&small, &["asks for 8 cores, and the largest machine has 4"]);
        let others = Machines { all: 4, quarantined: 1, unusable: 1, reserved: 1, free: 1, ..Machines::default() };
        check(&why(others), &["get no work", "take no such job", "kept free for jobs", "about to start"]);
        check(
            &Explanation { starting: true, has_reserved: true, ..why(others) },
            &["on its way", "get no work", "take no", "kept free for it", "about"],
        );
    }

    #[test]
    fn clauses_are_shown_bare_and_lines_are_broken() {
        let parse = |text: &str| classad::parse_expr(text).unwrap();
        assert_eq!(bare(&parse("(A =?= true)")), "A is true");
        assert_eq!(bare(&parse("(A) || (B)")), "(A) || (B)");
        let clauses = vec!["(x)".repeat(10), "(y)".repeat(10), "(z)".repeat(10)];
        assert!(wrapped(&clauses).lines().all(|line| line.len() <= 80));
        assert_eq!(wrapped(&clauses).lines().count(), 2);
    }
}

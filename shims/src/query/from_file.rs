//! `condor_q -jobads` and `-userlog`: the queue that a file tells of, without a master.

use std::collections::BTreeMap;

use classad::{ClassAd, Env, Expr, Value, eval, parse_expr};
use userlog::{Event, Kind};

use super::command_line::{Source, Wish};
use crate::ad_files;
use crate::job::Job;
use crate::world::World;

/// The jobs of a file by number, and what stands in the head of their table; else a line for standard error.
pub(super) fn jobs(source: &Source, wish: &Wish, world: &World, env: &Env) -> Result<(Vec<Job>, String), String> {
    let mut constraints = Vec::new();
    for text in &wish.constraints {
        constraints.push(parse_expr(text).map_err(|_| format!("Error: {text} is not a valid constraint"))?);
    }
    let (ads, head) = match source {
        Source::Ads(path, form) => (ad_files::load(path, *form)?, format!("Jobads: {path}")),
        Source::Log(path) => {
            let bytes = std::fs::read(std::path::Path::new(&world.cwd).join(path))
                .map_err(|_| format!("\nCan't open user log: {path}"))?;
            (jobs_of_log(&String::from_utf8_lossy(&bytes), path, world), format!("Userlog: {path}"))
        }
    };
    let mut jobs: Vec<Job> =
        ads.into_iter().map(Job::from).filter(|job| is_wanted(job, wish, &constraints, env)).collect();
    jobs.sort_by_key(|job| job.id(env));
    if wish.grouped.is_none() {
        jobs.truncate(wish.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX));
    }
    Ok((jobs, head))
}

/// Numbers and owners that were named, and every constraint.
fn is_wanted(job: &Job, wish: &Wish, constraints: &[Expr], env: &Env) -> bool {
    let (cluster, proc) = job.id(env);
    let owner = job.text("owner", env).unwrap_or_default();
    let nobody = wish.jobs.is_empty() && wish.clusters.is_empty() && wish.owners.is_empty();
    (nobody
        || wish.jobs.iter().any(|&(c, p)| (i64::from(c), i64::from(p)) == (cluster, proc))
        || wish.clusters.iter().any(|&c| i64::from(c) == cluster)
        || wish.owners.contains(&owner))
        && constraints.iter().all(|expr| eval(expr, job.ad(), None, env).truth() == Some(true))
}

/// The jobs that an event log tells of; those whose submission it does not tell are left out, as HTCondor does.
pub(crate) fn jobs_of_log(text: &str, path: &str, world: &World) -> Vec<ClassAd> {
    let offset = |at_s| world.clock.offset_s(at_s);
    let owner = ["USER", "LOGNAME"].iter().find_map(|name| world.variable(name)).unwrap_or("???");
    let mut jobs: BTreeMap<(i32, i32), ClassAd> = BTreeMap::new();
    for entry in userlog::parse(text, world.clock.date(world.now_s).0.into(), &offset).flatten() {
        let event = entry.event;
        let number = (event.job.cluster, event.job.proc_);
        match (&event.kind, jobs.get_mut(&number)) {
            (Kind::Submit(_), _) => drop(jobs.insert(number, submitted(&event, path, owner, world.now_s))),
            (_, Some(ad)) => happened(ad, &event),
            (_, None) => {}
        }
    }
    jobs.into_values().collect()
}

/// What a table asks of a job that was just submitted. What the log does not say is made up as HTCondor does.
fn submitted(event: &Event, path: &str, owner: &str, now_s: i64) -> ClassAd {
    let mut ad = ClassAd::new();
    let at_s = event.time.wall_s;
    ad.insert("MyType", "Job");
    ad.insert("TargetType", "Machine");
    ad.insert("ClusterId", i64::from(event.job.cluster));
    ad.insert("ProcId", i64::from(event.job.proc_));
    ad.insert("GlobalJobId", format!("localhost#{}.{}#{at_s}", event.job.cluster, event.job.proc_));
    ad.insert("UserLog", path);
    ad.insert("QDate", at_s);
    ad.insert("EnteredCurrentStatus", at_s);
    ad.insert("ServerTime", now_s);
    ad.insert("JobStatus", 1);
    ad.insert("LastJobStatus", 0);
    ad.insert("Owner", owner);
    ad.insert("Cmd", "???");
    for name in ["JobPrio", "ImageSize", "CompletionDate", "NumJobStarts", "LastSuspensionTime"] {
        ad.insert(name, 0);
    }
    for name in ["LocalUserCpu", "RemoteUserCpu", "LocalSysCpu", "RemoteSysCpu", "RemoteWallClockTime"] {
        ad.insert(name, Value::Real(0.0));
    }
    if let Kind::Submit(submit) = &event.kind {
        ad.insert("SubmitHost", submit.host.as_str());
        for (name, value) in submit.structured.iter() {
            if let userlog::Value::Text(text) = value {
                ad.insert(name, text.as_str());
            }
        }
    }
    ad
}

fn happened(ad: &mut ClassAd, event: &Event) {
    let at_s = event.time.wall_s;
    let int = |ad: &ClassAd, name: &str| ad.get(name).and_then(|expr| expr.literal()?.as_int()).unwrap_or(0);
    let become_ = |ad: &mut ClassAd, status: i64| {
        ad.insert("LastJobStatus", int(ad, "JobStatus"));
        ad.insert("JobStatus", status);
        ad.insert("EnteredCurrentStatus", at_s);
    };
    let why = |ad: &mut ClassAd, name: &str, reason: Option<&str>| {
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            ad.insert(name, reason);
        }
    };
    match &event.kind {
        Kind::Execute(execute) => {
            become_(ad, 2);
            ad.insert("JobCurrentStartDate", at_s);
            ad.insert("ShadowBday", at_s);
            ad.insert("NumJobStarts", int(ad, "NumJobStarts") + 1);
            let host = execute.slot.as_deref().unwrap_or(&execute.host);
            ad.insert("RemoteHost", host);
        }
        Kind::Terminated(terminated) => {
            ran(ad, at_s);
            become_(ad, 4);
            ad.insert("CompletionDate", at_s);
            match &terminated.exit {
                userlog::Exit::Code(code) => {
                    ad.insert("ExitBySignal", false);
                    ad.insert("ExitCode", i64::from(*code));
                }
                userlog::Exit::Signal { signal, .. } => {
                    ad.insert("ExitBySignal", true);
                    ad.insert("ExitSignal", i64::from(*signal));
                }
            }
        }
        Kind::Evicted(evicted) => {
            ran(ad, at_s);
            become_(ad, 1);
            ad.insert("LastVacateTime", at_s);
            why(ad, "LastVacateReason", evicted.reason.as_deref());
        }
        Kind::ShadowException(exception) => {
            ran(ad, at_s);
            become_(ad, 1);
            ad.insert("LastVacateTime", at_s);
            why(ad, "LastVacateReason", Some(&exception.message));
        }
        Kind::ReconnectFailed(failed) => {
            ran(ad, at_s);
            become_(ad, 1);
            ad.insert("LastVacateTime", at_s);
            why(ad, "LastVacateReason", Some(&failed.reason));
        }
        Kind::Aborted(reason) => {
            ran(ad, at_s);
            become_(ad, 3);
            why(ad, "RemoveReason", reason.as_deref());
        }
        Kind::Held(held) => {
            ran(ad, at_s);
            become_(ad, 5);
            why(ad, "HoldReason", Some(&held.reason));
            ad.insert("HoldReasonCode", i64::from(held.code));
            ad.insert("HoldReasonSubCode", i64::from(held.subcode));
        }
        Kind::Released(reason) => {
            become_(ad, 1);
            for name in ["HoldReason", "HoldReasonCode", "HoldReasonSubCode"] {
                ad.remove(name);
            }
            why(ad, "ReleaseReason", reason.as_deref());
        }
        Kind::Suspended(_) => {
            become_(ad, 7);
            ad.insert("LastSuspensionTime", at_s);
        }
        Kind::Unsuspended => become_(ad, 2),
        Kind::ImageSize(size) => {
            ad.insert("ImageSize", size.size_kb);
            for (name, value) in [("MemoryUsage", size.memory_mb), ("ResidentSetSize", size.resident_kb)] {
                if let Some(value) = value {
                    ad.insert(name, value);
                }
            }
        }
        _ => {}
    }
}

/// A run is over: its seconds are counted, its place becomes the last one.
fn ran(ad: &mut ClassAd, at_s: i64) {
    let Some(began_s) = ad.remove("ShadowBday").and_then(|expr| expr.literal()?.as_int()) else { return };
    let before = ad.get("RemoteWallClockTime").and_then(|expr| expr.literal()?.as_real()).unwrap_or(0.0);
    ad.insert("RemoteWallClockTime", Value::Real(before + (at_s - began_s).max(0) as f64));
    if let Some(host) = ad.remove("RemoteHost") {
        ad.insert("LastRemoteHost", host);
    }
}

//! The tables of `condor_status`: pure functions of ads.

use std::collections::BTreeMap;

use classad::{Env, Value};

use crate::clock::span;
use crate::job::Job;

/// Narrowest column for names of machines.
const NAME_MIN: usize = 34;

/// States in the order of their columns, with their widths: as HTCondor's programs know them.
const STATES: [(&str, &str, usize); 7] = [
    ("Owner", "Owner", 6),
    ("Claimed", "Claimed", 8),
    ("Unclaimed", "Unclaimed", 10),
    ("Matched", "Matched", 8),
    ("Preempting", "Preempting", 11),
    ("Drained", "Drain", 7),
    ("Backfill", "Backfill", 9),
];

fn text(ad: &Job, name: &str, env: &Env) -> String {
    ad.text(name, env).unwrap_or_default()
}

fn real(ad: &Job, name: &str, env: &Env) -> f64 {
    ad.real(name, env).unwrap_or(0.0)
}

/// Width of a column: its widest text, at least `min`.
fn widest(ads: &[Job], name: &str, min: usize, env: &Env) -> usize {
    ads.iter().map(|ad| text(ad, name, env).chars().count()).max().unwrap_or(0).max(min)
}

/// Seconds since a moment, by the ad's own clock.
fn since(ad: &Job, name: &str, env: &Env) -> String {
    let now_s = ad.int("mycurrenttime", env).or(env.now_s).unwrap_or(0);
    span((now_s - ad.int(name, env).unwrap_or(now_s)).max(0))
}

/// `X86_64/LINUX`
fn platform(ad: &Job, env: &Env) -> String {
    format!("{}/{}", text(ad, "arch", env), text(ad, "opsys", env))
}

/// `x64/Debian12`
fn short_platform(ad: &Job, env: &Env) -> String {
    let arch = match text(ad, "arch", env).as_str() {
        "X86_64" => "x64".to_owned(),
        "INTEL" => "x86".to_owned(),
        other => other.to_owned(),
    };
    format!("{arch}/{}", ad.text("opsysandver", env).unwrap_or_else(|| text(ad, "opsys", env)))
}

/// MB for people: a foreman tells what all its workers have, as others do what they have.
fn memory_mb(ad: &Job, env: &Env) -> i64 {
    let foreman = ad.value("workqueueforeman", env).truth() == Some(true);
    ad.int(if foreman { "totalmemory" } else { "memory" }, env).unwrap_or(0)
}

/// Machines by state, one line a kind.
fn totals(ads: &[Job], kind: impl Fn(&Job) -> String, env: &Env) -> String {
    let mut kinds: BTreeMap<String, [u64; STATES.len()]> = BTreeMap::new();
    let mut all = [0; STATES.len()];
    for ad in ads {
        let counts = kinds.entry(kind(ad)).or_default();
        let state = text(ad, "state", env);
        if let Some(at) = STATES.iter().position(|(name, ..)| *name == state) {
            counts[at] += 1;
            all[at] += 1;
        }
    }
    let width = kinds.keys().map(|kind| kind.chars().count()).max().unwrap_or(0).max(14);
    let line = |kind: &str, counts: &[u64]| {
        let cells: String = counts.iter().zip(STATES).map(|(n, (.., width))| format!("{n:>width$}")).collect();
        format!("{kind:>width$}{:>6}{cells}{:>7}\n", counts.iter().sum::<u64>(), 0)
    };
    let titles: String = STATES.iter().map(|(_, title, width)| format!("{title:>width$}")).collect();
    let rows: String = kinds.iter().map(|(kind, counts)| line(kind, counts)).collect();
    format!("{:width$}{:>6}{titles}{:>7}\n\n{rows}\n{}", "", "Total", "BkIdle", line("Total", &all))
}

/// The default table.
pub(super) fn machines(ads: &[Job], env: &Env) -> String {
    let name = widest(ads, "name", NAME_MIN, env);
    let (state, activity) = (widest(ads, "state", 9, env), widest(ads, "activity", 8, env));
    let mut out = format!(
        "{:<name$} {:<10} {:<8} {:<state$} {:<activity$} LoadAv Mem     ActvtyTime\n\n",
        "Name", "OpSys", "Arch", "State", "Activity"
    );
    for ad in ads {
        out.push_str(&format!(
            "{:<name$} {:<10} {:<8} {:<state$} {:<activity$} {:>6.3} {:>6}  {}\n",
            text(ad, "name", env),
            text(ad, "opsys", env),
            text(ad, "arch", env),
            text(ad, "state", env),
            text(ad, "activity", env),
            real(ad, "loadavg", env),
            memory_mb(ad, env),
            since(ad, "enteredcurrentactivity", env),
        ));
    }
    out + "\n" + &totals(ads, |ad| platform(ad, env), env)
}

/// `-totals`
pub(super) fn machine_totals(ads: &[Job], env: &Env) -> String {
    "\n".to_owned() + &totals(ads, |ad| platform(ad, env), env)
}

/// `-claimed`
pub(super) fn claimed(ads: &[Job], env: &Env) -> String {
    let (name, user) = (widest(ads, "name", NAME_MIN, env), widest(ads, "remoteowner", 20, env));
    let mut out =
        format!("{:<name$} {:<10} {:<8} LoadAv {:<user$} ClientMachine\n\n", "Name", "OpSys", "Arch", "RemoteUser");
    for ad in ads {
        out.push_str(&format!(
            "{:<name$} {:<10} {:<8} {:>6.3} {:<user$} {}\n",
            text(ad, "name", env),
            text(ad, "opsys", env),
            text(ad, "arch", env),
            real(ad, "loadavg", env),
            text(ad, "remoteowner", env),
            text(ad, "clientmachine", env),
        ));
    }
    out + "\n" + &totals(ads, |ad| platform(ad, env), env)
}

/// `-compact`: a line for each host.
pub(super) fn compact(ads: &[Job], env: &Env) -> String {
    let mut hosts: BTreeMap<String, Vec<&Job>> = BTreeMap::new();
    for ad in ads {
        hosts.entry(text(ad, "machine", env)).or_default().push(ad);
    }
    let machine = widest(ads, "machine", 7, env);
    let kind = ads.iter().map(|ad| short_platform(ad, env).chars().count()).max().unwrap_or(0).max(8);
    let mut out = format!(
        "{:<machine$} {:<kind$} Slots Cpus Gpus  TotalGb FreCpu  FreeGb  CpuLoad ST Jobs/Min MaxSlotGb\n\n",
        "Machine", "Platform"
    );
    for (host, slots) in &hosts {
        let most = |name: &str| slots.iter().map(|ad| real(ad, name, env)).fold(0.0, f64::max);
        let is_free = |ad: &&&Job| text(ad, "state", env) == "Unclaimed";
        // What a worker has left, which runs several jobs, or the whole of what is free.
        let free = |left: &str, whole: &str| -> f64 {
            let own =
                |ad: &&Job| ad.real(left, env).unwrap_or_else(|| if is_free(&ad) { real(ad, whole, env) } else { 0.0 });
            slots.iter().map(own).sum()
        };
        let letters = |ad: &&Job| {
            let activity = text(ad, "activity", env).to_lowercase();
            text(ad, "state", env).chars().take(1).chain(activity.chars().take(1)).collect::<String>()
        };
        let standing = letters(&slots[0]);
        let standing = if slots.iter().all(|ad| letters(ad) == standing) { standing } else { "**".to_owned() };
        let gpus = most("totalgpus");
        let gpus = if gpus > 0.0 { format!("{gpus:.0}") } else { String::new() };
        let load = ads.iter().map(|ad| real(ad, "totalloadavg", env)).fold(0.0, f64::max) / most("totalcpus").max(1.0);
        let starts: f64 = slots.iter().map(|ad| real(ad, "recentjobstarts", env)).sum();
        out.push_str(&format!(
            "{host:<machine$} {:<kind$} {:>5} {:>4.0} {gpus:>4} {:>8.2} {:>6.0} {:>8.2} {load:>7.2} {standing:<2} {:>8.2} {:>9.2}\n",
            short_platform(slots[0], env),
            format!("{}S", slots.len()),
            most("cpus"),
            most("memory") / 1024.0,
            free("workqueuefreecpus", "cpus"),
            free("workqueuefreememory", "memory") / 1024.0,
            // Recent is what happened in the last 20 minutes.
            starts / 20.0,
            most("memory") / 1024.0,
        ));
    }
    out + "\n" + &totals(ads, |ad| short_platform(ad, env), env)
}

/// `-state`. Its column for memory is empty, and its totals are 0, in HTCondor as recorded.
pub(super) fn state(ads: &[Job], env: &Env) -> String {
    let name = widest(ads, "name", NAME_MIN, env);
    let mut out =
        format!("{:<name$} Cpu  Mem  LoadAv   KbdIdle    State     StateTime  Activ   ActvtyTime\n\n", "Name");
    for ad in ads {
        out.push_str(&format!(
            "{:<name$} {:<10}{:>6.3}   {:>10} {:<9}   {} {:<7} {}\n",
            text(ad, "name", env),
            ad.int("cpus", env).unwrap_or(0),
            real(ad, "loadavg", env),
            span(ad.int("keyboardidle", env).unwrap_or(0)),
            text(ad, "state", env),
            since(ad, "enteredcurrentstate", env),
            text(ad, "activity", env),
            since(ad, "enteredcurrentactivity", env),
        ));
    }
    let order = [("Owner", 6), ("Unclaimed", 10), ("Claimed", 8), ("Preempting", 11), ("Matched", 8)];
    let order: Vec<(&str, usize)> = order.into_iter().chain([("Drained", 7), ("Backfill", 9)]).collect();
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ad in ads {
        kinds.entry(text(ad, "activity", env)).or_default().push(text(ad, "state", env));
    }
    let line = |kind: &str, states: &[String]| {
        let count = |wanted: &str| states.iter().filter(|state| *state == wanted).count();
        let cells: String = order.iter().map(|(name, width)| format!("{:>width$}", count(name))).collect();
        format!("{kind:>14}{:>6}{cells}{:>7}\n", 0, 0)
    };
    out.push_str("\n               Total Owner Unclaimed Claimed Preempting Matched  Drain Backfill BkIdle\n\n");
    out.extend(kinds.iter().map(|(kind, states)| line(kind, states)));
    let all: Vec<String> = kinds.values().flatten().cloned().collect();
    out + "\n" + &line("Total", &all)
}

/// `-server`
pub(super) fn server(ads: &[Job], env: &Env) -> String {
    let name = widest(ads, "name", NAME_MIN, env);
    let mut out =
        format!("{:<name$} {:<10} {:<8} LoadAv Memory   Disk      Mips    KFlops   \n\n", "Name", "OpSys", "Arch");
    let number = |ad: &Job, name: &str, width: usize| match ad.value(name, env) {
        Value::Undefined | Value::Error => format!("[{:?<1$}]", "", width - 2),
        value => format!("{:>width$}", value.display_old()),
    };
    let mut kinds: BTreeMap<String, [i64; 6]> = BTreeMap::new();
    let mut malformed = 0;
    for ad in ads {
        out.push_str(&format!(
            "{:<name$} {:<10} {:<8} {:>6.3} {:>8} {:>9} {} {}\n",
            text(ad, "name", env),
            text(ad, "opsys", env),
            text(ad, "arch", env),
            real(ad, "loadavg", env),
            memory_mb(ad, env),
            ad.int("disk", env).unwrap_or(0),
            number(ad, "mips", 7),
            number(ad, "kflops", 9),
        ));
        let known = |name: &str| ad.int(name, env);
        malformed += usize::from(known("mips").is_none() || known("kflops").is_none());
        let free = i64::from(text(ad, "state", env) == "Unclaimed");
        let sums = kinds.entry(platform(ad, env)).or_default();
        let own = [1, free, memory_mb(ad, env)];
        let rest = ["disk", "mips", "kflops"].map(|name| known(name).unwrap_or(0));
        sums.iter_mut().zip(own.into_iter().chain(rest)).for_each(|(sum, n)| *sum += n);
    }
    let line = |kind: &str, [slots, free, memory, disk, mips, kflops]: [i64; 6]| {
        format!("{kind:>14}{slots:>9}{free:>6}{memory:>12}{disk:>12}{mips:>12}{kflops:>12}\n")
    };
    out.push_str("\n                  Slots Avail  Memory        Disk        MIPS      KFLOPS\n\n");
    let mut all = [0; 6];
    for (kind, sums) in kinds {
        out.push_str(&line(&kind, sums));
        all.iter_mut().zip(sums).for_each(|(sum, n)| *sum += n);
    }
    out.push('\n');
    out.push_str(&line("Total", all));
    if malformed > 0 {
        out.push_str(&format!("\n              (Omitted {malformed} malformed ads in computed attribute totals)\n\n"));
    }
    out
}

/// `-schedd`
pub(super) fn schedd(ads: &[Job], env: &Env) -> String {
    let attributes = ["totalrunningjobs", "totalidlejobs", "totalheldjobs"];
    let (mut out, [running, idle, held]) = jobs(ads, attributes, env);
    out.push_str(&format!("\n{:>32}{:>19}{:>19}\n", "TotalRunningJobs", "TotalIdleJobs", "TotalHeldJobs"));
    out.push_str(&format!("\n{:14}\n{:>14}{running:>18}{idle:>19}{held:>19}\n", "", "Total"));
    out
}

/// `-submitters`
pub(super) fn submitters(ads: &[Job], env: &Env) -> String {
    let attributes = ["runningjobs", "idlejobs", "heldjobs"];
    let (mut out, sums) = jobs(ads, attributes, env);
    let name = widest(ads, "name", 17, env);
    let line =
        |name_: &str, [running, idle, held]: [i64; 3]| format!("{name_:>name$} {running:>10} {idle:>10} {held:>10}\n");
    out.push_str(&format!("\n{:name$}{:>11} {:>10} {:>10}\n\n", "", "RunningJobs", "IdleJobs", "HeldJobs"));
    for ad in ads {
        out.push_str(&line(&text(ad, "name", env), attributes.map(|name| ad.int(name, env).unwrap_or(0))));
    }
    out + "\n" + &line("Total", sums)
}

/// Names and machines with counts of jobs, and the sums of these.
fn jobs(ads: &[Job], attributes: [&str; 3], env: &Env) -> (String, [i64; 3]) {
    let (name, machine) = (widest(ads, "name", 4, env), widest(ads, "machine", 7, env));
    let mut out = format!(
        "{:<name$} {:<machine$} {:>11} {:>10} {:>10}\n\n",
        "Name", "Machine", "RunningJobs", "IdleJobs", "HeldJobs"
    );
    let mut sums = [0; 3];
    for ad in ads {
        let counts = attributes.map(|name| ad.int(name, env).unwrap_or(0));
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        let [running, idle, held] = counts;
        out.push_str(&format!(
            "{:<name$} {:<machine$} {running:>11} {idle:>10} {held:>10}\n",
            text(ad, "name", env),
            text(ad, "machine", env)
        ));
    }
    (out, sums)
}

/// `-run`
pub(super) fn run(ads: &[Job], env: &Env) -> String {
    let name = widest(ads, "name", 4, env);
    let mut out = format!("{:<name$} TotalJobs Shadows ActiveDAGs IdleDAGs RcntDone RcntStart\n\n", "Name");
    for ad in ads {
        let n = |name: &str| ad.int(name, env).unwrap_or(0);
        out.push_str(&format!(
            "{:<name$} {:>9} {:>7} {:>10} {:>8} {:>8} {:>9}\n",
            text(ad, "name", env),
            n("totaljobads"),
            n("totalrunningjobs"),
            n("totalschedulerjobsrunning"),
            n("totalschedulerjobsidle"),
            n("recentjobscompleted"),
            n("recentjobsstarted"),
        ));
    }
    out
}

/// `-master`
pub(super) fn master(ads: &[Job], env: &Env) -> String {
    let name = widest(ads, "name", 18, env);
    let mut out = format!("{:<name$} {:<14} Cpus   Memory      Uptime    \n\n", "Name", "Version");
    for ad in ads {
        let memory = match ad.int("detectedmemory", env).unwrap_or(0) {
            mb @ ..1024 => format!("{mb}.0 MB"),
            mb => format!("{:.1} GB", mb as f64 / 1024.0),
        };
        out.push_str(&format!(
            "{:<name$} {:<14.21} {:>4} {memory:>10} {:>13}\n",
            text(ad, "name", env),
            release(&text(ad, "condorversion", env)),
            ad.int("detectedcpus", env).unwrap_or(0),
            since(ad, "daemonstarttime", env)
        ));
    }
    out
}

/// `25.13.2.BUILD` of `$CondorVersion: 25.13.2 2026-08-20 BuildID: BUILD … $`.
fn release(version: &str) -> String {
    let words: Vec<&str> = version.split(' ').collect();
    let build = words.iter().position(|word| *word == "BuildID:").and_then(|at| words.get(at + 1));
    [words.get(1).copied(), build.copied()].into_iter().flatten().collect::<Vec<_>>().join(".")
}

/// `-any`
pub(super) fn any(ads: &[Job], env: &Env) -> String {
    let mut out = format!("{:<18} {:<18} {:<41}\n\n", "MyType", "TargetType", "Name");
    for ad in ads {
        let target = ad.text("targettype", env).filter(|target| !target.is_empty()).unwrap_or_else(|| "None".into());
        out.push_str(&format!("{:<18} {target:<18} {:<41}\n", text(ad, "mytype", env), text(ad, "name", env)));
    }
    out
}

//! `condor_q -analyze`, `-better-analyze`, `-reverse-analyze`: why a job waits, in HTCondor's layout, from the ads of the
//! machines and from what the master's own matching says.
//!
//! Requirements are taken apart by [`classad::analysis`] and tried on the machines' ads as the matching sees them; the
//! summary of a waiting job is the master's. What HTCondor has no words for follows in sentences ([`reasons`]).

mod job;
mod parts;
mod reasons;
mod slots;
mod summary;

use std::collections::{BTreeMap, BTreeSet};

use classad::{ClassAd, Env, eval};
use control_proto::client::ClientError;
use control_proto::{Explanation, MachineQuery, Reply, Request, Why};

use crate::job::{Job, Jobs};
use crate::master;
use crate::world::World;

/// Attributes of a job that its analysis needs; the master adds what the requirements refer to.
pub(super) const ATTRIBUTES: &[&str] = &[
    "ClusterId",
    "ProcId",
    "JobStatus",
    "JobUniverse",
    "User",
    "Requirements",
    "HoldReason",
    "RequestCpus",
    "RequestMemory",
    "RequestDisk",
    "JobCurrentStartDate",
    "LastMatchTime",
    "LastRejMatchTime",
    "LastRejMatchReason",
    "LastRejMatchNegotiator",
];

/// How much an analysis tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Detail {
    /// The requirements of every job, not only of those that some machine does not fulfil.
    pub(super) better: bool,
    /// Machines are asked which jobs they would take.
    pub(super) reverse: bool,
    /// A table with one row a job, or a machine.
    pub(super) summary: bool,
    /// Clauses that make no difference too.
    pub(super) all_clauses: bool,
    /// The branches of `ifThenElse` are clauses.
    pub(super) branches: bool,
    /// Only jobs that no machine does for, in a line each.
    pub(super) unmatchable: bool,
}

/// Which machines an analysis looks at.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// `-machine`: the name of a slot or of a host.
    pub(super) name: Option<String>,
    /// `-mconstraint`.
    pub(super) constraint: Option<String>,
    /// `-slotads`: ads from a file instead of the site's.
    pub(super) ads: Option<Vec<ClassAd>>,
}

/// The machines of an analysis.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    /// One machine was named.
    named: Option<String>,
    /// They are all that the site has, so that the master's word on them holds.
    whole_site: bool,
}

#[derive(Debug)]
struct Slot {
    ad: ClassAd,
    /// Without what only listings show: that requirements do not see.
    matched: ClassAd,
}

/// How machines stand to a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    all: u64,
    hosts: u64,
    /// Do not fulfil its requirements.
    rejected: u64,
    /// Do, and do not want it.
    unwilling: u64,
    /// Run other jobs, `yours` of them the same user's.
    running: u64,
    yours: u64,
    willing: u64,
}

/// What the master says of jobs, asked in parts of the size that it takes.
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

/// The machines that were chosen. The outer error is that no master answers, the inner one a sentence.
pub(super) fn slots(choice: &Choice, world: &World, env: &Env) -> Result<Result<Slots, String>, ClientError> {
    // A constraint that is a name means that machine, as in HTCondor.
    let is_name = |text: &&String| text.chars().all(|c| c.is_ascii_alphanumeric() || "-.@_".contains(c));
    let named = choice.name.as_ref().or(choice.constraint.as_ref().filter(is_name));
    let mut constraints: Vec<String> = choice.constraint.iter().filter(|text| !is_name(text)).cloned().collect();
    constraints.extend(named.map(|name| {
        let name = classad::quote_old(name);
        format!("Name == {name} || Machine == {name}")
    }));
    let whole_site = constraints.is_empty() && choice.ads.is_none();
    let ads: Vec<Job> = match &choice.ads {
        Some(ads) => {
            let mut parsed = Vec::new();
            for text in &constraints {
                match classad::parse_expr(text) {
                    Ok(expr) => parsed.push(expr),
                    Err(error) => return Ok(Err(format!("the machine constraint {text} does not parse: {error}"))),
                }
            }
            let fits = |ad: &&ClassAd| parsed.iter().all(|expr| eval(expr, *ad, None, env).truth() == Some(true));
            ads.iter().filter(fits).cloned().map(Job::from).collect()
        }
        None => {
            let answer = master::ask(world, &Request::Machines(MachineQuery { constraints }))?;
            if let Reply::Refused { code, message, speaks } = &answer.reply {
                return Ok(Err(master::sentence(*code, message, *speaks)));
            }
            let mut listed = Jobs::new(&answer);
            let ads: Vec<Job> = listed.by_ref().collect();
            if let Err(fault) = listed.check(answer.end.map_or(0, |end| end.ads)) {
                return Ok(Err(fault.to_string()));
            }
            ads
        }
    };
    let mut ads = ads;
    ads.sort_by_cached_key(|ad| (ad.text("machine", env), ad.int("slotid", env), ad.text("name", env)));
    let slots = ads.into_iter().map(|ad| Slot::new(ad.into_ad())).collect();
    let named = named.filter(|_| choice.constraint.as_ref().is_none_or(|text| is_name(&text))).cloned();
    Ok(Ok(Slots { slots, named, whole_site }))
}

/// Everything that is printed behind the head.
pub(super) fn print(
    jobs: &[Job],
    whys: &BTreeMap<(i64, i64), Explanation>,
    slots: &Slots,
    detail: Detail,
    scene: &Scene<'_>,
) -> String {
    match detail {
        Detail { reverse: true, .. } => slots::print(jobs, slots, detail, scene),
        Detail { unmatchable: true, .. } => summary::unmatchable(jobs, whys, slots, scene),
        Detail { summary: true, .. } => summary::print(jobs, whys, slots, scene),
        _ => jobs.iter().map(|job| job::print(job, whys.get(&job.id(scene.env)), slots, detail, scene)).collect(),
    }
}

/// What an analysis knows besides.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) env: &'a Env,
    pub(super) clock: &'a crate::clock::Clock,
    /// Whose matching it is.
    pub(super) host: &'a str,
    /// Columns of the screen.
    pub(super) width: usize,
}

impl Slot {
    fn new(ad: ClassAd) -> Slot {
        let mut matched = ad.clone();
        // Only our master's machines have more in listings than in matching.
        if matched.get("WorkQueueProtocol").is_some() {
            control_proto::MACHINE_STATE.iter().for_each(|name| drop(matched.remove(name)));
        }
        Slot { ad, matched }
    }

    /// Whether the machine's own requirements let the job in. A machine without any takes what it is given.
    fn takes(&self, job: &Job, env: &Env) -> bool {
        let own = self.ad.get("Requirements");
        own.is_none_or(|expr| eval(expr, &self.ad, Some(job.ad()), env).truth() == Some(true))
    }

    /// Whether the machine does what the job requires.
    fn fulfils(&self, job: &Job, env: &Env) -> bool {
        let required = job.expr("requirements");
        required.is_none_or(|expr| eval(expr, job.ad(), Some(&self.matched), env).truth() == Some(true))
    }

    /// Who uses it so that the job finds no room.
    fn busy_with(&self, job: &Job, env: &Env) -> Option<String> {
        let value = |name| self.ad.get(name).map(|expr| eval(expr, &self.ad, None, env));
        let user = value("RemoteUser").and_then(|user| user.as_str().map(str::to_owned));
        if user.is_some() {
            return user;
        }
        let free = value("WorkQueueFreeCpus")?.as_int()?;
        let owner = value("RemoteOwner").and_then(|owner| owner.as_str().map(str::to_owned));
        owner.filter(|_| free < job.int("requestcpus", env).unwrap_or(1))
    }
}

impl Slots {
    /// The master's word on a waiting job, else what the ads tell.
    fn counts(&self, job: &Job, why: Option<&Explanation>, env: &Env) -> Counts {
        let mut counts = Counts { all: self.slots.len() as u64, ..Counts::default() };
        let mut hosts = BTreeSet::new();
        let user = job.text("user", env);
        for slot in &self.slots {
            hosts.insert(slot.ad.get("Machine").map(|expr| eval(expr, &slot.ad, None, env).to_string()));
            let of = if !slot.fulfils(job, env) {
                &mut counts.rejected
            } else if !slot.takes(job, env) {
                &mut counts.unwilling
            } else if let Some(other) = slot.busy_with(job, env) {
                counts.yours += u64::from(Some(other) == user);
                &mut counts.running
            } else {
                &mut counts.willing
            };
            *of += 1;
        }
        counts.hosts = hosts.len() as u64;
        match why.filter(|_| self.whole_site) {
            Some(why) => {
                let m = &why.machines;
                Counts {
                    all: m.all,
                    hosts: m.hosts,
                    rejected: m.unfit,
                    unwilling: m.small + m.quarantined + m.unusable + m.reserved,
                    running: m.busy,
                    yours: counts.yours.min(m.busy),
                    willing: m.free,
                }
            }
            None => counts,
        }
    }
}

//! `condor_q -factory`: an ad for each cluster whose jobs enter the queue one after another.

use classad::{ClassAd, Expr, Value};
use control_proto::{ListingEnd, Query, Reply, Totals, listing};

use super::{Factory, Master};
use crate::ids::{ClientId, JobId, Timestamp};
use crate::io::{Caller, Effect};
use crate::jobs::Status;
use crate::jobs::view::{is_shown, with_references};
use crate::master::query::FRAME_BYTES;
use crate::master::submit::AdScope;

/// `JobMaterializePaused` as HTCondor counts.
mod mode {
    /// Jobs enter when there is room for them.
    pub(super) const RUNNING: i64 = 0;
    /// The cluster is held.
    pub(super) const HELD: i64 = 1;
    /// All of them have entered.
    pub(super) const DONE: i64 = 2;
    /// The cluster was removed.
    pub(super) const REMOVED: i64 = 3;
}

impl Master {
    /// Answers with the clusters that are meant, in the order of their numbers, in one turn: they are few beside jobs.
    pub(in crate::master) fn list_factories(
        &mut self,
        now: Timestamp,
        client: ClientId,
        caller: &Caller,
        query: &Query,
        constraints: &[Expr],
    ) {
        let select = &query.select;
        // A job's number means a job.
        let named = !(select.jobs.is_empty() && select.clusters.is_empty() && select.owners.is_empty());
        let env = classad::Env { now_s: Some(now.seconds() + self.wall_offset_s), ..classad::Env::default() };
        let wanted: Vec<String> = query.attributes.iter().map(|name| name.to_ascii_lowercase()).collect();
        let mut end = ListingEnd { all: self.table.totals(None), ..ListingEnd::default() };
        if let Some(owner) = self.table.find_owner(caller.uid) {
            end.mine = self.table.totals(Some(owner));
        }
        let mut frames = Vec::new();
        let mut writer = listing::Writer::default();
        for (cluster, factory) in &self.factories.by_cluster {
            let owner = self.table.owner_of(factory.owner);
            let own = owner.uid == caller.uid;
            let is_named = select.clusters.contains(cluster) || select.owners.iter().any(|name| **name == *owner.name);
            if (named && !is_named) || (select.mine && !caller.superuser && !own) {
                continue;
            }
            let ad = self.factory_ad(*cluster, factory, own || caller.superuser);
            if !constraints.iter().all(|expr| classad::eval(expr, &ad, None, &env).truth() == Some(true)) {
                continue;
            }
            end.selected.jobs += 1;
            if query.totals_only || query.limit.is_some_and(|limit| end.ads >= limit) {
                continue;
            }
            let names: Vec<String> = match wanted.as_slice() {
                [] => ad.iter().map(|(name, _)| name.to_owned()).collect(),
                _ => with_references(&ad, &wanted),
            };
            let pairs = names.iter().filter_map(|name| Some((ad.spelling(name)?, ad.get(name)?.to_string())));
            let row: Vec<(&str, String)> = pairs.collect();
            writer.push(row.iter().map(|(name, text)| (*name, text.as_str())));
            end.ads += 1;
            if writer.size() >= FRAME_BYTES {
                frames.push(writer.take());
            }
        }
        if writer.ads() > 0 {
            frames.push(writer.take());
        }
        self.answer(client, Reply::Listing);
        for payload in frames {
            self.effect(Effect::Rows { client, payload });
        }
        self.effect(Effect::Finish { client, end });
    }

    /// What the jobs of a cluster share, and what is counted of them. There is no file that they are made from
    /// (`JobMaterializeDigestFile`): all of them came with the submission.
    fn factory_ad(&self, cluster: u32, factory: &Factory, private: bool) -> ClassAd {
        let scope = AdScope { ad: &factory.ad, id: JobId::new(cluster, 0) };
        let mut ad = ClassAd::new();
        for (name, text) in factory.ad.iter() {
            let folded = name.to_ascii_lowercase();
            let differs = text.contains('\u{2}') || factory.varying.contains(&folded);
            if !differs && is_shown(&folded, private) && folded != "procid" {
                ad.extend(classad::Scope::lookup(&scope, &folded).map(|expr| (name.to_owned(), expr.into_owned())));
            }
        }
        let owner = &*self.table.owner_of(factory.owner).name;
        ad.insert("ClusterId", i64::from(cluster));
        ad.insert("Owner", owner);
        ad.insert("User", format!("{owner}@{}", self.site.domain));
        ad.insert("QDate", factory.wall_s);
        ad.insert("TotalSubmitProcs", i64::from(factory.procs));
        // Where only `max_idle` was given HTCondor's limit is the number of jobs.
        ad.insert("JobMaterializeLimit", i64::from(factory.window.jobs.min(factory.procs)));
        ad.insert("JobMaterializeNextProcId", i64::from(factory.next));
        let mode = match factory {
            Factory { removed: Some(_), .. } => mode::REMOVED,
            Factory { next, end, .. } if next == end => mode::DONE,
            Factory { paused: true, .. } => mode::HELD,
            _ => mode::RUNNING,
        };
        ad.insert("JobMaterializePaused", mode);
        let present = self.present(cluster);
        let count = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        ad.insert("JobsPresent", count(present.jobs));
        ad.insert("JobsIdle", count(present.idle));
        ad.insert("JobsRunning", count(present.running));
        ad.insert("JobsHeld", count(present.held));
        ad
    }

    /// The jobs of a cluster that are in the queue.
    fn present(&self, cluster: u32) -> Totals {
        let mut totals = Totals::default();
        for (_, slot) in self.table.of_cluster(cluster) {
            totals.jobs += 1;
            match self.table.get(slot).status() {
                Status::Idle => totals.idle += 1,
                Status::Running => totals.running += 1,
                Status::Held => totals.held += 1,
                Status::Removed => totals.removed += 1,
                Status::Completed => totals.completed += 1,
            }
        }
        totals
    }
}

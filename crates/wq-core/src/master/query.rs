//! `condor_q`: a cursor over the queue in slices, so that a long listing delays nobody (decision D55).

use std::collections::BTreeSet;

use control_proto::{ListingEnd, Query, Refusal, Reply, Selection, Totals, listing};

use super::Master;
use super::act::clusters_named;
use super::condition::Condition;
use crate::ids::{ClientId, JobId, Timestamp};
use crate::io::{Caller, Effect};
use crate::jobs::plan::Plan;
use crate::jobs::view::with_references;
use crate::jobs::{OwnerId, Slot, Status};

/// Jobs looked at in one turn.
const SLICE: usize = 1000;

/// A frame is sent when it has this many bytes.
pub(super) const FRAME_BYTES: usize = 256 << 10;

/// A listing under way.
#[derive(Debug)]
pub(super) struct Cursor {
    caller: Caller,
    /// Stretches of job numbers, ascending.
    ranges: Vec<(JobId, JobId)>,
    range: usize,
    next: JobId,
    owners: Vec<String>,
    /// Jobs and clusters that were named beside owners.
    listed: BTreeSet<JobId>,
    clusters: BTreeSet<u32>,
    condition: Condition,
    mine: bool,
    attributes: Vec<String>,
    /// What `attributes` means for the jobs of one template, which follow each other.
    plan: Option<Plan>,
    limit: u64,
    totals_only: bool,
    end: ListingEnd,
}

impl Master {
    pub(super) fn query(&mut self, now: Timestamp, client: ClientId, caller: Caller, query: Query) {
        let mut constraints = Vec::new();
        for text in &query.select.constraints {
            match classad::parse_expr(text) {
                Ok(expr) => constraints.push(expr),
                Err(error) => {
                    return self.refuse(
                        client,
                        Refusal::Constraint,
                        format!("the constraint {text} does not parse: {error}"),
                    );
                }
            }
        }
        if query.factories {
            return self.list_factories(now, client, &caller, &query, &constraints);
        }
        let ranges = ranges(&query.select);
        let first = ranges.first().map_or(JobId::new(0, 0), |range| range.0);
        let mut cursor = Cursor {
            mine: query.select.mine && !caller.superuser,
            listed: query.select.jobs.iter().map(|(c, p)| JobId::new(*c, *p)).collect(),
            clusters: query.select.clusters.iter().copied().collect(),
            owners: query.select.owners,
            ranges,
            range: 0,
            next: first,
            condition: Condition::new(&constraints),
            attributes: query.attributes.iter().map(|name| name.to_ascii_lowercase()).collect(),
            plan: None,
            limit: query.limit.unwrap_or(u64::MAX),
            totals_only: query.totals_only,
            end: ListingEnd {
                mine: self
                    .table
                    .find_owner(caller.uid)
                    .map_or_else(Totals::default, |owner| self.table.totals(Some(owner))),
                all: self.table.totals(None),
                ..ListingEnd::default()
            },
            caller,
        };
        self.answer(client, Reply::Listing);
        if cursor.totals_only
            && let Some(selected) = self.count(&mut cursor)
        {
            cursor.end.selected = selected;
            return self.effect(Effect::Finish { client, end: cursor.end });
        }
        self.cursors.insert(client, cursor);
        self.continue_query(now, client);
    }

    /// The sums of a listing, if the table keeps them.
    fn count(&self, cursor: &mut Cursor) -> Option<Totals> {
        // Named jobs are looked at one by one.
        if cursor.ranges != everything() || !cursor.listed.is_empty() || !cursor.clusters.is_empty() {
            return None;
        }
        let Cursor { condition, owners, mine, caller, .. } = cursor;
        let meant = |owner: &OwnerId| {
            let owner = self.table.owner_of(*owner);
            (!*mine || owner.uid == caller.uid)
                && (owners.is_empty() || owners.iter().any(|name| **name == *owner.name))
        };
        condition.count(&self.table, self.table.owner_ids().filter(meant))
    }

    /// The next slice of a listing.
    pub(super) fn continue_query(&mut self, now: Timestamp, client: ClientId) {
        let Some(mut cursor) = self.cursors.remove(&client) else { return };
        // Templates may have come and gone since the last slice.
        cursor.plan = None;
        let mut writer = listing::Writer::default();
        let mut looked = 0;
        let done = loop {
            let Some((_, to)) = cursor.ranges.get(cursor.range).copied() else { break true };
            let mut over = true;
            let mut last = None;
            for (id, slot) in self.table.from(cursor.next) {
                if id > to {
                    break;
                }
                if looked >= SLICE || writer.size() >= FRAME_BYTES {
                    over = false;
                    break;
                }
                looked += 1;
                last = Some(id);
                if cursor.end.ads >= cursor.limit {
                    break;
                }
                self.list(now, &mut cursor, slot, &mut writer);
            }
            if let Some(id) = last {
                cursor.next = after(id);
            }
            if !over {
                break false;
            }
            if cursor.end.ads >= cursor.limit {
                break true;
            }
            cursor.range += 1;
            if let Some((from, _)) = cursor.ranges.get(cursor.range) {
                cursor.next = cursor.next.max(*from);
            }
        };
        let any = writer.ads() > 0;
        if any {
            self.effect(Effect::Rows { client, payload: writer.take() });
        }
        if done {
            self.effect(Effect::Finish { client, end: cursor.end });
        } else {
            if !any {
                // Nothing to send in this slice, yet others shall have their turn before the next.
                self.effect(Effect::Rows { client, payload: writer.take() });
            }
            self.cursors.insert(client, cursor);
        }
    }

    fn list(&self, now: Timestamp, cursor: &mut Cursor, slot: Slot, writer: &mut listing::Writer) {
        let view = self.view(slot, now);
        let owner = self.table.owner_of(view.job.owner);
        let own = owner.uid == cursor.caller.uid;
        if cursor.mine && !own {
            return;
        }
        if !cursor.owners.is_empty()
            && !cursor.owners.iter().any(|name| **name == *owner.name)
            && !cursor.listed.contains(&view.job.id)
            && !cursor.clusters.contains(&view.job.id.cluster)
        {
            return;
        }
        if !cursor.condition.is_met(&view) {
            return;
        }
        add(&mut cursor.end.selected, view.job.status());
        if cursor.totals_only {
            return;
        }
        let private = own || cursor.caller.superuser;
        if !cursor.attributes.is_empty() && view.job.story().edits.is_empty() {
            if cursor.plan.as_ref().is_none_or(|plan| !plan.is_for(&view, private)) {
                cursor.plan = Some(Plan::new(&view, private, with_references(&view, &cursor.attributes)));
            }
            if cursor.plan.as_mut().is_some_and(|plan| plan.write(&view, writer)) {
                cursor.end.ads += 1;
                return;
            }
        }
        let mut ad: Vec<(String, String)> = Vec::new();
        if cursor.attributes.is_empty() {
            view.for_each(private, |name, text| ad.push((name.to_owned(), text)));
        } else {
            for name in with_references(&view, &cursor.attributes) {
                ad.extend(view.entry(&name, private));
            }
        }
        writer.push(ad.iter().map(|(name, text)| (name.as_str(), text.as_str())));
        cursor.end.ads += 1;
    }
}

fn everything() -> Vec<(JobId, JobId)> {
    vec![(JobId::new(0, 0), JobId::new(u32::MAX, u32::MAX))]
}

/// Which numbers have to be looked at.
fn ranges(select: &Selection) -> Vec<(JobId, JobId)> {
    let of_cluster = |cluster: u32| (JobId::new(cluster, 0), JobId::new(cluster, u32::MAX));
    let mut ranges: Vec<(JobId, JobId)> =
        match (select.owners.is_empty(), select.jobs.is_empty() && select.clusters.is_empty()) {
            (true, false) => {
                let jobs = select.jobs.iter().map(|(c, p)| (JobId::new(*c, *p), JobId::new(*c, *p)));
                jobs.chain(select.clusters.iter().map(|c| of_cluster(*c))).collect()
            }
            (true, true) => match select.constraints.iter().find_map(|text| clusters_named(text)) {
                Some(clusters) => clusters.into_iter().map(of_cluster).collect(),
                None => return everything(),
            },
            (false, _) => return everything(),
        };
    ranges.sort_unstable();
    // A job named twice, or beside its cluster, is listed once: the cursor never goes back.
    ranges
}

fn after(id: JobId) -> JobId {
    JobId::unpack(id.pack().saturating_add(1))
}

fn add(totals: &mut Totals, status: Status) {
    totals.jobs += 1;
    let field = match status {
        Status::Idle => &mut totals.idle,
        Status::Running => &mut totals.running,
        Status::Removed => &mut totals.removed,
        Status::Completed => &mut totals.completed,
        Status::Held => &mut totals.held,
    };
    *field += 1;
}

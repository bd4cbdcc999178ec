//! `condor_status`: the connected workers and foremen as ads, in slices, so that a long listing delays nobody.

use classad::{ClassAd, Expr, Value};
use control_proto::{ListingEnd, MachineQuery, Refusal, Reply, listing};

use super::Master;
use crate::ids::{ClientId, JobId, Timestamp};
use crate::io::Effect;
use crate::workers::machine::machine;
use crate::workers::{Peer, Phase};

/// Peers looked at in one turn: an ad of a machine costs some 10 µs.
const SLICE: usize = 100;

/// A listing under way.
#[derive(Debug)]
pub(super) struct Cursor {
    constraints: Vec<Expr>,
    /// Slot of the next peer to look at.
    next: u32,
    ads: u64,
}

impl Master {
    pub(super) fn machines(&mut self, now: Timestamp, client: ClientId, query: &MachineQuery) {
        let mut constraints = Vec::new();
        for text in &query.constraints {
            match classad::parse_expr(text) {
                Ok(expr) => constraints.push(expr),
                Err(error) => {
                    let message = format!("the constraint {text} does not parse: {error}");
                    return self.refuse(client, Refusal::Constraint, message);
                }
            }
        }
        self.machine_cursors.insert(client, Cursor { constraints, next: 0, ads: 0 });
        self.answer(client, Reply::Listing);
        self.continue_machines(now, client);
    }

    /// The next slice.
    pub(super) fn continue_machines(&mut self, now: Timestamp, client: ClientId) {
        let Some(mut cursor) = self.machine_cursors.remove(&client) else { return };
        let env = classad::Env { now_s: Some(now.seconds() + self.wall_offset_s), ..classad::Env::default() };
        let mut writer = listing::Writer::default();
        let mut peers = self.peers.from(cursor.next);
        for peer in peers.by_ref().take(SLICE).filter(|peer| peer.phase == Phase::Ready) {
            let ad = self.machine_ad(now, peer);
            if cursor.constraints.iter().all(|expr| classad::eval(expr, &ad, None, &env).truth() == Some(true)) {
                let row: Vec<(&str, String)> = ad.iter().map(|(name, expr)| (name, expr.to_string())).collect();
                writer.push(row.iter().map(|(name, text)| (*name, text.as_str())));
            }
        }
        let next = peers.next().map(|peer| peer.link.slot);
        drop(peers);
        cursor.ads += writer.ads();
        let any = writer.ads() > 0;
        if any || next.is_some() {
            // An empty slice is sent too: others shall have their turn before the next.
            self.effect(Effect::Rows { client, payload: writer.take() });
        }
        match next {
            Some(next) => {
                cursor.next = next;
                self.machine_cursors.insert(client, cursor);
            }
            None => {
                let all = self.table.totals(None);
                self.effect(Effect::Finish {
                    client,
                    end: ListingEnd { ads: cursor.ads, all, ..ListingEnd::default() },
                });
            }
        }
    }

    /// What requirements see of a peer, and what it does now. Nothing of the jobs but their numbers.
    fn machine_ad(&self, now: Timestamp, peer: &Peer) -> ClassAd {
        let int = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
        let wall_s = |at: Timestamp| Value::Int(at.seconds() + self.wall_offset_s);
        let mut ad = machine(peer, self.table.idle.classes.common());
        let (state, activity) = standing(peer);
        let (_, since) = peer.active;
        let free = peer.total.less(peer.used);
        let address = format!("<{}>", peer.address);
        let attributes: [(&str, Value); 22] = [
            ("Activity", activity.into()),
            ("EnteredCurrentActivity", wall_s(since)),
            ("EnteredCurrentState", wall_s(since)),
            ("JobStarts", int(peer.completed + u64::from(peer.booked))),
            ("LastHeardFrom", wall_s(peer.heard_at)),
            ("LoadAvg", Value::Real(f64::from(peer.used.cores))),
            ("MyAddress", address.into()),
            ("MyCurrentTime", wall_s(now)),
            ("MyType", "Machine".into()),
            ("SlotID", int(1)),
            ("SlotType", "Static".into()),
            ("State", state.into()),
            ("TargetType", "Job".into()),
            ("TotalDisk", int(peer.total.disk_mb.saturating_mul(1024))),
            ("TotalGPUs", int(peer.total.gpus.into())),
            ("TotalSlots", int(1)),
            ("WorkQueueForeman", Value::Bool(peer.foreman)),
            ("WorkQueueFreeCpus", int(free.cores.into())),
            ("WorkQueueFreeMemory", int(free.memory_mb)),
            ("WorkQueueJobs", int(peer.booked.into())),
            ("WorkQueueProtocol", int(peer.protocol.number().into())),
            ("WorkQueueWorkers", int(peer.workers_below().into())),
        ];
        for (name, value) in attributes {
            ad.insert(name, value);
        }
        // A machine takes whatever it is given, unless it gets nothing, or only the job that it is kept free for.
        let start = match peer.reserved {
            _ if peer.room().is_none() => Expr::from(Value::Bool(false)),
            Some(JobId { cluster, proc_ }) => {
                let text = format!("TARGET.ClusterId == {cluster} && TARGET.ProcId == {proc_}");
                classad::parse_expr(&text).expect("written above")
            }
            None => Expr::from(Value::Bool(true)),
        };
        ad.insert("Start", start);
        ad.insert("Requirements", Expr::attribute("Start"));
        let mut attempts = peer.tasks.values().chain(&peer.preparing).filter_map(|id| self.attempts.get(id));
        if let Some(first) = attempts.next() {
            let owner = &self.table.owner_of(self.table.get(first.slot).owner).name;
            ad.insert("ClientMachine", Value::from(self.config.host.as_str()));
            ad.insert("JobId", Value::from(first.job.to_string()));
            ad.insert("RemoteOwner", Value::from(format!("{owner}@{}", self.config.domain)));
        }
        if let Some(until) = peer.quarantined_until {
            ad.insert("WorkQueueQuarantinedUntil", wall_s(until));
        }
        if let Some(job) = peer.reserved {
            ad.insert("WorkQueueReservedFor", Value::from(job.to_string()));
        }
        ad
    }
}

/// HTCondor's words for what a machine does. One that gets no work for its failures belongs to its owner.
fn standing(peer: &Peer) -> (&'static str, &'static str) {
    match peer.booked {
        _ if peer.leaving => ("Drained", "Retiring"),
        0 if peer.reserved.is_some() => ("Matched", "Idle"),
        0 if peer.room().is_none() => ("Owner", "Idle"),
        0 => ("Unclaimed", "Idle"),
        _ => ("Claimed", "Busy"),
    }
}

//! Why jobs wait: every machine is asked what stands between it and the job, in slices (`condor_q -better-analyze`).
//!
//! The questions are those of the matching itself, in its order, so that the answer is the truth and no opinion.

use std::collections::{BTreeMap, BTreeSet};

use control_proto::{Explanation, Machines, Need, Refusal, Reply, Why};

use super::Master;
use super::timers::Timer;
use crate::ids::{ClientId, JobId, Timestamp};
use crate::jobs::QueueKey;
use crate::workers::machine::machine;
use crate::workers::{Peer, Phase, Shape};

/// Machines asked in one turn, times the different wishes of the jobs.
const SLICE: usize = 100;

/// Pause between two turns, so that others have theirs.
const PAUSE_US: u64 = 1_000;

/// A question under way.
#[derive(Debug)]
pub(super) struct Inquiry {
    jobs: Vec<JobId>,
    /// Jobs that ask the same of a machine have one answer.
    answers: BTreeMap<QueueKey, Answer>,
    hosts: BTreeSet<Box<str>>,
    /// Slot of the next machine.
    next: u32,
}

/// What is known so far for jobs of one queue.
#[derive(Debug)]
struct Answer {
    clauses: Vec<(String, u64)>,
    needs: [Need; 4],
    machines: Machines,
}

impl Answer {
    fn new(shape: Shape) -> Answer {
        let need = |of: &str, asked: u64| Need { of: of.to_owned(), asked, ..Need::default() };
        let needs = [
            need("cores", shape.cores.into()),
            need("gpus", shape.gpus.into()),
            need("MB of memory", shape.memory_mb),
            need("MB of disk", shape.disk_mb),
        ];
        Answer { clauses: Vec::new(), needs, machines: Machines::default() }
    }
}

impl Master {
    pub(super) fn why(&mut self, now: Timestamp, client: ClientId, why: &Why) {
        if why.jobs.len() > Why::JOBS_MAX {
            let message =
                format!("{} jobs are named, at most {} can be explained at once", why.jobs.len(), Why::JOBS_MAX);
            return self.refuse(client, Refusal::Limit, message);
        }
        let jobs: Vec<JobId> = why.jobs.iter().map(|(cluster, proc)| JobId::new(*cluster, *proc)).collect();
        let mut answers = BTreeMap::new();
        for slot in jobs.iter().filter_map(|job| self.table.find(*job)) {
            let key = self.table.idle.key(self.table.get(slot).queue);
            answers.insert(key, Answer::new(key.shape));
        }
        self.inquiries.insert(client, Inquiry { jobs, answers, hosts: BTreeSet::new(), next: 0 });
        self.continue_why(now, client);
    }

    /// Asks some more machines, then answers.
    pub(super) fn continue_why(&mut self, now: Timestamp, client: ClientId) {
        let Some(mut inquiry) = self.inquiries.remove(&client) else { return };
        let wall_s = now.seconds() + self.wall_offset_s;
        let mut peers = self.peers.from(inquiry.next);
        let count = (SLICE / inquiry.answers.len().max(1)).max(1);
        for peer in peers.by_ref().take(count).filter(|peer| peer.phase == Phase::Ready) {
            inquiry.hosts.insert(peer.host.clone());
            for (key, answer) in &mut inquiry.answers {
                self.ask_machine(peer, *key, answer, wall_s);
            }
        }
        let next = peers.next().map(|peer| peer.link.slot);
        drop(peers);
        match next {
            Some(next) => {
                inquiry.next = next;
                self.inquiries.insert(client, inquiry);
                self.timers.set(Timestamp(now.0 + PAUSE_US), Timer::Why(client));
            }
            None => {
                let jobs = inquiry.jobs.iter().filter_map(|job| self.explanation(*job, &inquiry)).collect();
                self.answer(client, Reply::Explained { jobs });
            }
        }
    }

    fn ask_machine(&self, peer: &Peer, key: QueueKey, answer: &mut Answer, wall_s: i64) {
        let classes = &self.table.idle.classes;
        let verdicts = match classes.get(key.class) {
            Some(class) => class.verdicts(&machine(peer, classes.common()), wall_s),
            None => Vec::new(),
        };
        if answer.clauses.is_empty() {
            answer.clauses = verdicts.iter().map(|(text, _)| (text.clone(), 0)).collect();
        }
        for ((_, count), (_, holds)) in answer.clauses.iter_mut().zip(&verdicts) {
            *count += u64::from(*holds);
        }
        let most = peer.largest;
        let has = [most.cores.into(), most.gpus.into(), most.memory_mb, most.disk_mb];
        for (need, has) in answer.needs.iter_mut().zip(has) {
            need.largest = need.largest.max(has);
            need.enough += u64::from(has >= need.asked);
        }
        let machines = &mut answer.machines;
        machines.all += 1;
        let reason = if !verdicts.iter().all(|(_, holds)| *holds) {
            &mut machines.unfit
        } else if !peer.could_hold(key.shape) {
            &mut machines.small
        } else if peer.quarantined_until.is_some() {
            &mut machines.quarantined
        } else if peer.room().is_none() || !peer.takes(key.shape) {
            &mut machines.unusable
        } else if peer.reserved.is_some() {
            &mut machines.reserved
        } else if !peer.fits(key.shape) {
            &mut machines.busy
        } else {
            &mut machines.free
        };
        *reason += 1;
    }

    fn explanation(&self, id: JobId, inquiry: &Inquiry) -> Option<Explanation> {
        let job = self.table.get(self.table.find(id)?);
        // It was changed meanwhile, and asks for something else: as if it had not been there.
        let answer = inquiry.answers.get(&self.table.idle.key(job.queue))?;
        let hosts = inquiry.hosts.len() as u64;
        Some(Explanation {
            job: (id.cluster, id.proc_),
            status: job.status() as i32,
            starting: job.story().attempt.is_some(),
            deferred_until_s: self.table.deferrals.get(&id).filter(|d| d.waits).map(|d| d.at_s),
            local: self.table.idle.shape(job.queue).is_local().then(|| self.local_places()),
            has_reserved: self.is_cleared_for(id),
            clauses: answer.clauses.clone(),
            needs: answer.needs.to_vec(),
            machines: Machines { hosts, ..answer.machines },
        })
    }
}

//! What the catalog and status tools are told: sums that are kept anyway, and lists part by part.
//!
//! Nothing here changes anything, and nothing here holds arguments or environments of jobs (decision D7).

use super::Master;
use crate::ids::{JobId, Timestamp};
use crate::jobs::view::JobView;
use crate::jobs::{Slot, Status};
use crate::workers::{Amount, Phase, Shape, Sum};

/// Hosts named in a summary; it has to fit a datagram.
const BLOCKED_MAX: usize = 100;

/// Jobs or peers looked at for one part of a list.
const PART: usize = 1000;

/// The state of the queue in numbers; costs the same for an empty queue and for a million jobs.
///
/// Foremen are counted so that `work_queue_factory` does not count twice. It wants `waiting + on_workers` workers (or
/// what `needs` calls for) and takes off `workers`. With its option for foremen it wants `waiting` and what the foremen
/// say of themselves, and takes off `workers`, those behind foremen, less one for each foreman. Observed with 8.0.0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Jobs that wait for a worker; held ones do not.
    pub waiting: u64,
    /// Jobs whose task is with a worker or foreman (`JobStatus` 2).
    pub running: u64,
    /// Tasks that keep a worker: on their way to it or running there. A foreman counts as one worker with one task.
    pub on_workers: u64,
    /// Jobs that ended since the start.
    pub complete: u64,
    /// Workers that are connected here. A foreman that has workers counts as one.
    pub workers: u64,
    /// Workers, here and behind foremen.
    pub workers_total: u64,
    /// Foremen that are connected here.
    pub foremen: u64,
    /// What waiting jobs and those on workers need, as far as they said; foremen tell of theirs themselves.
    pub needs: Sum,
    /// What the workers have.
    pub total: Sum,
    /// What of it is booked.
    pub used: Sum,
    /// Hosts of workers that get no work for a while, each once; at most 100 workers are looked at.
    pub blocked: Vec<String>,
}

/// A job as status tools see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFacts {
    /// Its number.
    pub job: JobId,
    /// `JobPrio`.
    pub priority: i32,
    /// File name of its program.
    pub program: String,
    /// What it needs, as far as it said.
    pub shape: Shape,
    /// Submission, service clock.
    pub submitted: Timestamp,
    /// Where it runs.
    pub place: Option<TaskPlace>,
}

/// Where a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPlace {
    /// What the worker calls its host.
    pub host: String,
    /// `ip:port` of the worker.
    pub address: String,
    /// When the last byte of its task was sent, service clock.
    pub started: Timestamp,
}

/// A worker or foreman as status tools see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerFacts {
    /// What it calls its host.
    pub host: String,
    /// `ip:port`.
    pub address: String,
    /// It is a foreman.
    pub foreman: bool,
    /// Workers below a foreman; 1 for a worker.
    pub workers: u32,
    /// Tasks that it has now.
    pub running: usize,
    /// Tasks that it ran to their end.
    pub completed: u64,
    /// What it has in all.
    pub total: Amount,
    /// What of it is booked.
    pub used: Amount,
}

impl Master {
    /// The state of the queue.
    pub fn summary(&self) -> Summary {
        let tally = self.peers.tally();
        let (workers, foremen) = (tally.workers, tally.foremen);
        let mut blocked: Vec<String> =
            self.peers.quarantined().take(BLOCKED_MAX).map(|peer| peer.host.to_string()).collect();
        blocked.sort_unstable();
        blocked.dedup();
        Summary {
            waiting: (self.table.idle.ready() - self.table.idle.ready_local()) as u64,
            running: self.table.totals(None).running - self.running_local(),
            on_workers: workers.tasks + foremen.busy,
            complete: self.completed,
            workers: workers.peers + foremen.manned,
            workers_total: workers.workers + foremen.workers,
            foremen: foremen.peers,
            needs: self.table.idle.needs().plus(workers.used),
            total: tally.total,
            used: workers.used.plus(foremen.used),
            blocked,
        }
    }

    /// Waiting and running jobs from this number on, ascending, and the number to go on with; `None` at the end.
    ///
    /// A part looks at a bounded number of jobs and may be empty. A job that is there from the first part to the last is
    /// in exactly one of them.
    pub fn list_tasks(&self, now: Timestamp, from: JobId) -> (Vec<TaskFacts>, Option<JobId>) {
        let mut jobs = self.table.from(from);
        let part = jobs.by_ref().take(PART);
        let facts = part.filter_map(|(_, slot)| self.task_facts(&self.view(slot, now), slot)).collect();
        (facts, jobs.next().map(|(id, _)| id))
    }

    fn task_facts(&self, view: &JobView<'_>, slot: Slot) -> Option<TaskFacts> {
        let job = self.table.get(slot);
        // What runs on the submit host is nothing for workers.
        if !matches!(job.status(), Status::Idle | Status::Running) || self.table.idle.shape(job.queue).is_local() {
            return None;
        }
        let attempt = job.story().attempt.filter(|_| job.status() == Status::Running);
        let place = attempt.and_then(|id| self.attempts.get(&id)).and_then(|attempt| {
            let peer = self.peers.get(attempt.link)?;
            let (host, address) = (peer.host.to_string(), peer.address.to_string());
            Some(TaskPlace { host, address, started: attempt.started })
        });
        let program = view.string("cmd").unwrap_or_default();
        Some(TaskFacts {
            job: job.id,
            priority: job.prio,
            program: program.rsplit('/').next().unwrap_or_default().to_owned(),
            shape: self.table.idle.shape(job.queue),
            submitted: Timestamp(u64::from(job.qdate_s) * 1_000_000),
            place,
        })
    }

    /// Peers that are ready, from this slot on, and the slot to go on with; `None` at the end.
    pub fn list_peers(&self, from: u32) -> (Vec<PeerFacts>, Option<u32>) {
        let mut facts = Vec::new();
        for peer in self.peers.from(from).filter(|peer| peer.phase == Phase::Ready) {
            if facts.len() == PART {
                return (facts, Some(peer.link.slot));
            }
            facts.push(PeerFacts {
                host: peer.host.to_string(),
                address: peer.address.to_string(),
                foreman: peer.foreman,
                workers: peer.workers_below(),
                running: peer.tasks.len(),
                completed: peer.completed,
                total: peer.total,
                used: peer.used,
            });
        }
        (facts, None)
    }
}

//! The auditor: knows what was promised to whom, hears everything that the world can see, and says what was broken.
//!
//! It takes nothing from the master's word but its answers, the events of logs, the rows of the history and the records that
//! the disk has. `disk` judges what is said against what is durable, `stories` the event logs, `answers` what clients hear,
//! `whole` the end of the history.

mod answers;
mod disk;
mod stories;
mod whole;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use journal::keeper::Order;
use journal::{JobId, Record};
use wq_core::Config;
use wq_core::ids::LinkId;
use wq_proto::TaskId;

pub(crate) use self::answers::Request;
use self::stories::Story;
use crate::truth::Truth;

/// What is known of one job.
#[derive(Debug, Default)]
struct Job {
    /// Its submission.
    tag: usize,
    /// Promises about it that are on disk.
    removed: u32,
    ended: u32,
    held: u32,
    released: u32,
    /// The last priority that a client was told is set.
    prio: Option<i64>,
    story: Story,
    /// Notes of starts and losses that are not on disk yet.
    open_notes: u32,
    /// Some were lost: with the power, or in the journal's queue when the master died (decision D51).
    notes_lost: bool,
    /// The master has said of its last run that it is over.
    run_over: bool,
    /// Tasks of it that were taken back while they were being sent.
    taken_back: u64,
    /// It has left the queue as far as the disk tells.
    left: bool,
    /// A power cut took outputs of it: a hold takes its end back.
    outputs_lost: bool,
    /// The last row that the history got.
    archived: bool,
}

/// A submission.
#[derive(Debug, Default)]
struct Submission {
    /// Its clusters and their jobs, once they are on disk.
    clusters: BTreeMap<u32, u32>,
    acknowledged: bool,
    refused: bool,
    /// It is a file of the spool folder.
    is_file: bool,
    /// The master has it and has not answered.
    taking: bool,
}

/// The auditor.
#[derive(Debug)]
pub(crate) struct Auditor {
    pub(crate) violation: Option<String>,
    pub(crate) truth: Truth,
    keeps_history: bool,
    submissions: BTreeMap<usize, Submission>,
    /// The submission of each cluster on disk.
    clusters: BTreeMap<u32, usize>,
    jobs: BTreeMap<JobId, Job>,
    requests: BTreeMap<usize, Request>,
    next_request: usize,
    /// Where tasks of a job are, as far as the master has told its peers.
    out: BTreeMap<JobId, BTreeSet<(LinkId, TaskId)>>,
    /// Jobs with notes since the last sync that the master heard of.
    unsynced_notes: BTreeSet<JobId>,
    /// Foremen at which tasks of ended runs may linger.
    lingering: BTreeSet<LinkId>,
    /// Tasks whose last byte is not in the socket.
    sending: BTreeMap<LinkId, VecDeque<(TaskId, JobId)>>,
}

impl Auditor {
    pub(crate) fn new(config: &Config) -> Auditor {
        Auditor {
            violation: None,
            truth: Truth::default(),
            keeps_history: config.history,
            submissions: BTreeMap::new(),
            clusters: BTreeMap::new(),
            jobs: BTreeMap::new(),
            requests: BTreeMap::new(),
            next_request: 0,
            out: BTreeMap::new(),
            unsynced_notes: BTreeSet::new(),
            lingering: BTreeSet::new(),
            sending: BTreeMap::new(),
        }
    }

    /// A promise was broken. The first one counts.
    pub(crate) fn violated(&mut self, what: impl Into<String>) {
        self.violation.get_or_insert(what.into());
    }

    /// Jobs that clients may name: all that are on disk and not over, and some of the others.
    pub(crate) fn known_jobs(&self) -> Vec<JobId> {
        self.jobs.iter().filter(|(id, job)| !job.story.is_over() || id.cluster % 5 == 0).map(|(id, _)| *id).collect()
    }

    pub(crate) fn jobs_accepted(&self) -> u64 {
        self.jobs.len() as u64
    }

    // ---- tasks -----------------------------------------------------------------------------------------------

    /// A whole task goes to a peer: its job must be on disk, and be nowhere else.
    pub(crate) fn task_sent(&mut self, link: LinkId, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let number = |text: &str| text.strip_prefix("task ")?.lines().next()?.parse().ok().map(TaskId);
        let job = |text: &str| text.split_once("'job' '")?.1.split_once('\'')?.0.parse::<JobId>().ok();
        let (Some(task), Some(job)) = (number(&text), job(&text)) else {
            return self.violated("a task without its job's arguments was sent");
        };
        if !self.jobs.contains_key(&job) {
            return self.violated(format!("job {job} was sent before its submission was on disk"));
        }
        if self.jobs[&job].ended > self.jobs[&job].story.reopened() {
            return self.violated(format!("job {job} was sent although it has ended"));
        }
        let places = self.out.entry(job).or_default();
        if std::mem::take(&mut self.jobs.get_mut(&job).expect("just seen").run_over) {
            places.retain(|(at, _)| !self.lingering.contains(at));
        }
        if let Some((other, _)) = places.first() {
            let other = *other;
            return self.violated(format!("job {job} was sent to {link:?} while it is at {other:?}"));
        }
        places.insert((link, task));
        self.sending.entry(link).or_default().push_back((task, job));
    }

    /// The last byte of the link's next task is in the socket.
    pub(crate) fn task_flushed(&mut self, link: LinkId) {
        self.sending.get_mut(&link).map(VecDeque::pop_front);
    }

    /// A peer was told to forget a task.
    pub(crate) fn task_killed(&mut self, link: LinkId, task: TaskId) {
        if let Some((_, job)) = self.sending.get(&link).and_then(|tasks| tasks.iter().find(|(id, _)| *id == task))
            && let Some(job) = self.jobs.get_mut(job)
        {
            job.taken_back += 1;
        }
        self.out.values_mut().for_each(|places| {
            places.remove(&(link, task));
        });
    }

    /// The master gives a link up.
    pub(crate) fn link_over(&mut self, link: LinkId) {
        self.out.values_mut().for_each(|places| places.retain(|(at, _)| *at != link));
        for (_, id) in self.sending.remove(&link).into_iter().flatten() {
            // It may begin for a moment.
            if let Some(job) = self.jobs.get_mut(&id) {
                job.taken_back += 1;
            }
        }
        self.lingering.remove(&link);
    }

    /// A foreman of protocol 11: a task that may wait there is not killed but left to its end, and forgotten (decision D42).
    pub(crate) fn may_linger(&mut self, link: LinkId) {
        self.lingering.insert(link);
    }

    // ---- outputs ---------------------------------------------------------------------------------------------

    /// An output got to its place: it must be all that one run of this very job has left there.
    pub(crate) fn delivered(&mut self, target: &str, name: &str, content: &[u8]) {
        let Some(job) = job_of_path(target) else {
            return self.violated(format!("something was delivered to {target}, which nobody asked for"));
        };
        let whole =
            self.truth.runs.iter().filter(|run| run.job == job).any(|run| match run.outputs.get(name.as_bytes()) {
                Some(left) => left == content,
                None => run.exit.is_some() && content.is_empty(),
            });
        if !whole && !self.truth.lied_about(job) {
            let bytes = content.len();
            self.violated(format!("{target} got {bytes} bytes, which no run of job {job} has left as {name}"));
        }
    }

    // ---- the master's ends and begins ------------------------------------------------------------------------

    /// The master is gone, and what it had not written with it.
    pub(crate) fn died(&mut self, unwritten: &[Order], unsynced_too: bool) {
        self.out.clear();
        self.sending.clear();
        self.requests.clear();
        self.unsynced_notes.clear();
        self.lingering.clear();
        for submission in self.submissions.values_mut() {
            submission.taking = false;
        }
        for job in self.jobs.values_mut() {
            job.notes_lost |= unsynced_too && job.open_notes > 0;
            job.open_notes = 0;
        }
        for order in unwritten {
            if let Order::Record { record, .. } = order
                && let Some(job) = note_of(record).and_then(|id| self.jobs.get_mut(&id))
            {
                job.notes_lost = true;
            }
        }
    }

    /// The disk did not obey until the end: what was refused may be there.
    pub(crate) fn refusals_are_void(&mut self) {
        self.submissions.values_mut().for_each(|submission| submission.refused = false);
    }

    /// Outputs of these jobs were lost in a power cut: they come back, unless they are removed.
    pub(crate) fn outputs_lost(&mut self, jobs: impl Iterator<Item = JobId>) {
        for id in jobs {
            if let Some(job) = self.jobs.get_mut(&id).filter(|job| job.ended > job.story.reopened()) {
                job.outputs_lost = true;
                // It is in the queue until it is held or removed.
                job.left = false;
            }
        }
    }
}

/// The job that a note tells of.
fn note_of(record: &Record) -> Option<JobId> {
    match record {
        Record::Started(started) => Some(started.job),
        Record::Lost(lost) => Some(lost.job),
        _ => None,
    }
}

/// The job whose output this is: `…/o.7.0`.
fn job_of_path(path: &str) -> Option<JobId> {
    let name = path.rsplit('/').next()?;
    let (kind, job) = name.split_once('.')?;
    ["o", "e", "d"].contains(&kind).then(|| job.parse().ok())?
}

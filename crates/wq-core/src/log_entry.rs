//! What goes into a job event log.

use userlog::{Event, EventJob};

/// One entry of a job event log.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// Absolute path.
    pub path: String,
    /// `log_xml = true`.
    pub xml: bool,
    /// The event, with wall-clock time.
    pub event: Event,
    /// The same happened to so many jobs behind this one in its cluster: a submission of a million jobs is one entry.
    pub more: u32,
}

impl LogEntry {
    /// Takes `next` in if it tells the same of the job behind the last one.
    pub(crate) fn takes_in(&mut self, next: &LogEntry) -> bool {
        let (job, follower) = (self.event.job, next.event.job);
        let behind = i64::from(job.proc_) + i64::from(self.more) + 1;
        let same = (job.cluster, behind, job.subproc) == (follower.cluster, follower.proc_.into(), follower.subproc)
            && (&self.path, self.xml, self.event.time) == (&next.path, next.xml, next.event.time)
            && next.more == 0
            && self.event.kind == next.event.kind;
        self.more += u32::from(same);
        same
    }

    /// The jobs that it tells of.
    pub fn jobs(&self) -> impl Iterator<Item = EventJob> + use<> {
        let first = self.event.job;
        (0..=self.more).map(move |step| EventJob { proc_: first.proc_ + step.cast_signed(), ..first })
    }

    /// The events, one for each job.
    pub fn events(&self) -> impl Iterator<Item = Event> + '_ {
        self.jobs().map(|job| Event { job, ..self.event.clone() })
    }
}

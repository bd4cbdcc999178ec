//! What goes into a job event log.

/// One entry of a job event log.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// Absolute path.
    pub path: String,
    /// `log_xml = true`.
    pub xml: bool,
    /// After a crash: the event may be in the file already. Look for its number and job in the file's tail and
    /// write only if it is not there (decision D57).
    pub once: bool,
    /// With `once`, of a hold or release: nothing later of the two kinds may be missing, so it stands there only if it is
    /// the last of them in the file. A job may be held for the second time.
    pub newest: bool,
    /// The event, with wall-clock time.
    pub event: userlog::Event,
    /// The same happened to so many jobs behind this one in its cluster: a submission of a million jobs is one entry.
    pub more: u32,
}

/// Whether an event `found` in a log decides if one of this number is there: see [`LogEntry::newest`].
pub fn decides(number: u16, newest: bool, found: u16) -> bool {
    /// Holds and releases.
    const HOLDS: [u16; 2] = [12, 13];
    if newest && HOLDS.contains(&number) { HOLDS.contains(&found) } else { found == number }
}

impl LogEntry {
    /// Takes `next` in if it tells the same of the job behind the last one.
    pub(crate) fn takes_in(&mut self, next: &LogEntry) -> bool {
        let (job, follower) = (self.event.job, next.event.job);
        let behind = i64::from(job.proc_) + i64::from(self.more) + 1;
        let same = (job.cluster, behind, job.subproc) == (follower.cluster, follower.proc_.into(), follower.subproc)
            && (&self.path, self.xml, self.once, self.event.time) == (&next.path, next.xml, next.once, next.event.time)
            && next.more == 0
            && self.event.kind == next.event.kind;
        // Each entry that may stand in the file already is looked for by itself.
        let merged = same && !self.once;
        self.more += u32::from(merged);
        merged
    }

    /// The events, one for each job.
    pub fn events(&self) -> impl Iterator<Item = userlog::Event> + '_ {
        (0..=self.more).map(|step| {
            let mut event = self.event.clone();
            event.job.proc_ += step.cast_signed();
            event
        })
    }
}

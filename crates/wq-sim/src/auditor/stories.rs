//! The event logs: each job has one story, in an order that makes sense, and only of what is durable.

use journal::JobId;
use userlog::{Event, Exit, Kind};

use super::Auditor;

/// Where a job is in its story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// No event yet.
    #[default]
    New,
    Idle,
    Running,
    Held,
    Over,
}

/// A job's story as its log tells it.
#[derive(Debug, Default)]
pub(super) struct Story {
    state: State,
    submits: u32,
    pub(super) starts: u32,
    pub(super) evictions: u32,
    ends: u32,
    aborts: u32,
    holds: u32,
    releases: u32,
    /// It was released, and its result may be fetched where it still lies (decision D37).
    released: bool,
    /// Ends that were taken back, with the outputs that a power cut took.
    reopened: u32,
}

impl Story {
    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    pub(super) fn is_held(&self) -> bool {
        self.state == State::Held
    }

    /// Ends that the log tells of.
    pub(super) fn ends(&self) -> u32 {
        self.ends
    }

    /// Ends that were taken back.
    pub(super) fn reopened(&self) -> u32 {
        self.reopened
    }

    /// Ends that hold still: one for a job that is over.
    pub(super) fn final_events(&self) -> u32 {
        (self.ends + self.aborts).saturating_sub(self.reopened)
    }

    pub(super) fn has_completed(&self) -> bool {
        self.is_over() && self.aborts == 0
    }

    pub(super) fn reopen(&mut self) {
        self.reopened += 1;
    }

    /// The next event; an error says why it cannot come now.
    fn take(&mut self, number: u16, may_lack_notes: bool) -> Result<(), &'static str> {
        use State::{Held, Idle, New, Over, Running};
        // A hold or removal of a running job tells of the eviction first.
        self.state = match (number, self.state) {
            (0, New) => {
                self.submits += 1;
                Idle
            }
            (0, _) => return Err("it was submitted before"),
            (_, New) => return Err("it was not submitted yet"),
            (1, Idle) => Running,
            (1, Running) if may_lack_notes => Running,
            (1, Running) => return Err("it runs already, and nothing tells what became of that run"),
            (4, Running) => Idle,
            (4, Idle) if may_lack_notes || self.released => Idle,
            (4, _) => return Err("it does not run"),
            (5, Running) => Over,
            (5, Idle) if may_lack_notes || self.released => Over,
            (9, Idle | Held) => Over,
            (9, Running) if may_lack_notes => Over,
            (12, Idle) => Held,
            (12, Running) if may_lack_notes => Held,
            (12, Over) if self.reopened > 0 => Held,
            (12, Held) => return Err("it is held already"),
            (13, Held) => Idle,
            (13, _) => return Err("it is not held"),
            (_, Over) => return Err("it is over"),
            (_, Running) => return Err("it runs, and nothing tells what became of that run"),
            _ => return Err("that makes no sense now"),
        };
        self.released = number == 13 || (self.released && number == 4);
        match number {
            1 => self.starts += 1,
            4 => self.evictions += 1,
            5 => self.ends += 1,
            9 => self.aborts += 1,
            12 => self.holds += 1,
            13 => self.releases += 1,
            _ => {}
        }
        Ok(())
    }
}

impl Auditor {
    /// An event stands in a log.
    pub(crate) fn logged(&mut self, event: &Event) {
        let number = event.kind.number();
        let id = JobId::new(event.job.cluster as u32, event.job.proc_ as u32);
        if !matches!(number, 0 | 1 | 4 | 5 | 9 | 12 | 13) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else {
            return self.violated(format!("event {number:03} tells of job {id} before its submission is on disk"));
        };
        let before = job.story.state;
        if let Err(why) = job.story.take(number, job.notes_lost) {
            return self.violated(format!("event {number:03} of job {id}, which was {before:?}: {why}"));
        }
        let (story, promised) = (&job.story, [job.ended, job.removed, job.held, job.released]);
        let told = [story.ends, story.aborts, story.holds, story.releases];
        let what = ["end", "removal", "hold", "release"];
        if let Some(at) = (0..4).find(|at| told[*at] > promised[*at]) {
            return self
                .violated(format!("event {number:03} tells of a {} of job {id} before it is on disk", what[at]));
        }
        if let Kind::Terminated(terminated) = &event.kind {
            let raw = match terminated.exit {
                Exit::Code(code) => code,
                Exit::Signal { signal, .. } => 128 + signal,
            };
            if !self.truth.ended(id, raw) && !self.truth.lied_about(id) {
                self.violated(format!("job {id} is said to have ended with {raw}, which no run of it did"));
            }
        }
    }
}

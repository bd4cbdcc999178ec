//! The end: every story is told to its end, in every place where it is told.

use std::collections::BTreeMap;

use journal::JobId;

use super::Auditor;
use crate::disk::Machine;

impl Auditor {
    /// The history gets a job.
    pub(crate) fn archived(&mut self, id: JobId, ad: &BTreeMap<String, String>) {
        let number = |name: &str| ad.get(name).and_then(|text| text.parse::<i64>().ok());
        let Some(job) = self.jobs.get_mut(&id) else {
            return self.violated(format!("the history gets job {id}, which is not on disk"));
        };
        job.archived = true;
        let promised = match number("JobStatus") {
            Some(4) => job.ended > 0,
            Some(3) => job.removed > 0,
            _ => false,
        };
        if !promised {
            let status = number("JobStatus");
            return self.violated(format!("the history gets job {id} with status {status:?} before that is on disk"));
        }
        let starts = number("NumJobStarts").unwrap_or(0);
        let explained = number("NumJobCompletions").unwrap_or(0) + number("NumVacates").unwrap_or(0);
        let at_removal = i64::from(number("JobStatus") == Some(3));
        if starts > explained + at_removal && !job.notes_lost {
            return self.violated(format!("job {id} was started {starts} times, of which {explained} are explained"));
        }
        self.check_starts(id, starts as u64);
    }

    /// Nothing is under way any more.
    pub(crate) fn whole_story(&mut self, machine: &Machine) {
        for (tag, submission) in &self.submissions {
            if submission.is_file && submission.clusters.is_empty() {
                return self.violated(format!("file {tag} of the spool folder never became jobs"));
            }
        }
        let mut found = None;
        for (id, job) in &self.jobs {
            let story = &job.story;
            let in_history = machine.history.contains_key(id);
            let fault = if !story.is_over() && !story.is_held() {
                Some("is neither over nor held")
            } else if story.is_over() && story.final_events() != 1 {
                Some("has not exactly one end in its log")
            } else if self.keeps_history && story.is_over() != in_history {
                Some("is not in exactly one of queue and history")
            } else if story.has_completed()
                && !(job.outputs_lost && job.removed > 0)
                && !machine.files.contains_key(&format!("/home/a/o.{id}"))
            {
                Some("has completed, and its output is not there")
            } else {
                None
            };
            if let Some(fault) = fault {
                found = Some(format!("in the end job {id} {fault}: {story:?}, in the history: {in_history}"));
                break;
            }
        }
        if let Some(found) = found {
            return self.violated(found);
        }
        self.check_outputs(machine);
    }

    /// What lies in the places of outputs is whole, also after a power cut.
    fn check_outputs(&mut self, machine: &Machine) {
        for (id, job) in &self.jobs {
            // It was removed before it could be held for that.
            let were_lost = job.outputs_lost && job.removed > 0;
            if !job.story.has_completed() || were_lost || self.truth.lied_about(*id) {
                continue;
            }
            let content = &machine.files[&format!("/home/a/o.{id}")].content;
            let mut runs = self.truth.runs.iter().filter(|run| run.job == *id && run.exit.is_some());
            let whole = |run: &crate::truth::Run| {
                run.outputs.values().any(|left| left == content) || (content.is_empty() && run.outputs.len() < 4)
            };
            if !runs.any(whole) {
                let bytes = content.len();
                return self.violated(format!("in the end the {bytes} bytes of o.{id} are no whole output"));
            }
        }
    }
}

//! What clients hear.

use std::collections::{BTreeMap, BTreeSet};

use control_proto::{JobOutcome, Reply};
use journal::JobId;

use super::Auditor;
use crate::clients::{Plan, TAG};

/// A request under way.
#[derive(Debug)]
pub(crate) struct Request {
    plan: Plan,
    /// Jobs that a listing must show if nothing happens to them meanwhile.
    must: BTreeSet<JobId>,
}

impl Auditor {
    /// A request reaches the master; its number.
    pub(crate) fn asked(&mut self, plan: &Plan) -> usize {
        self.next_request += 1;
        let must = match plan {
            Plan::Query => self.jobs.iter().filter(|(_, job)| self.must_be_there(job)).map(|(id, _)| *id).collect(),
            _ => BTreeSet::new(),
        };
        if let Plan::Submit(tag) = plan {
            self.submissions.entry(*tag).or_default();
        }
        self.requests.insert(self.next_request, Request { plan: plan.clone(), must });
        self.next_request
    }

    /// Acknowledged, and nothing on disk or in the log says that it is about to leave.
    fn must_be_there(&self, job: &super::Job) -> bool {
        let acknowledged = self.submissions.get(&job.tag).is_some_and(|submission| submission.acknowledged);
        acknowledged && !job.left && job.removed == 0 && !job.story.is_over() && job.ended <= job.story.ends()
    }

    /// The client is gone; what becomes of its request is open.
    pub(crate) fn client_killed(&mut self, request: usize) {
        self.requests.remove(&request);
    }

    /// A file of the spool folder is there.
    pub(crate) fn file_came(&mut self, tag: usize) {
        self.submissions.entry(tag).or_default().is_file = true;
    }

    pub(crate) fn is_being_taken(&self, tag: usize) -> bool {
        self.submissions[&tag].taking
    }

    pub(crate) fn taking(&mut self, tag: usize) {
        self.submissions.entry(tag).or_default().taking = true;
    }

    /// The master answers.
    pub(crate) fn answered(&mut self, request: usize, reply: &Reply) {
        let Some(Request { plan, .. }) = self.requests.remove(&request) else { return };
        match (plan, reply) {
            (Plan::Submit(tag) | Plan::Take(_, tag), Reply::Submitted { clusters, .. }) => {
                let told: BTreeMap<u32, u32> = clusters.iter().map(|c| (c.cluster, c.procs)).collect();
                let submission = self.submissions.get_mut(&tag).expect("it was asked for");
                submission.taking = false;
                if submission.clusters != told {
                    let known = submission.clusters.clone();
                    let what = format!("submission {tag} is acknowledged as {told:?}, the disk has {known:?}");
                    return self.violated(what);
                }
                submission.acknowledged = true;
            }
            (Plan::Submit(tag), Reply::Refused { .. }) => {
                let submission = self.submissions.get_mut(&tag).expect("it was asked for");
                submission.refused = true;
                if !submission.clusters.is_empty() {
                    self.violated(format!("submission {tag} is refused, but the disk has it"));
                }
            }
            (Plan::Take(_, tag), Reply::Refused { .. }) => {
                self.submissions.get_mut(&tag).expect("it was asked for").taking = false;
            }
            (Plan::Act(control_proto::Action::Remove, _), Reply::Acted(acted)) => {
                for (number, outcome) in &acted.jobs {
                    let id = JobId::new(number.0, number.1);
                    let promised = self.jobs.get(&id).is_some_and(|job| job.removed > 0);
                    if *outcome == JobOutcome::Success && !promised {
                        return self.violated(format!("the removal of job {id} is acknowledged and not on disk"));
                    }
                }
            }
            (Plan::Edit(id, prio), Reply::Acted(acted)) if acted.counts.success == 1 => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.prio = Some(prio);
                }
            }
            _ => {}
        }
    }

    /// The master shows a job as it is now.
    pub(crate) fn shown(&mut self, row: &BTreeMap<String, String>) -> JobId {
        let number = |name: &str| row.get(name).and_then(|text| text.parse::<i64>().ok());
        let id = JobId::new(number("ClusterId").unwrap_or(0) as u32, number("ProcId").unwrap_or(0) as u32);
        let Some(job) = self.jobs.get(&id) else {
            self.violated(format!("a listing shows job {id}, which is not on disk"));
            return id;
        };
        if number(TAG) != Some(job.tag as i64) {
            self.violated(format!("a listing shows job {id} with the ad of another submission"));
        } else if job.left && !self.keeps_history && matches!(number("JobStatus"), Some(1 | 2 | 5)) {
            self.violated(format!("a listing shows job {id}, which has left"));
        } else if number("JobStatus") == Some(5) && row.get("HoldReason").is_none_or(|reason| reason.len() < 3) {
            self.violated(format!("job {id} is held without a reason"));
        }
        self.check_starts(id, number("NumJobStarts").unwrap_or(0) as u64);
        id
    }

    /// A listing of the whole queue is complete.
    pub(crate) fn listed(&mut self, request: usize, jobs: &[JobId], announced: u64) {
        let Some(Request { must, .. }) = self.requests.remove(&request) else { return };
        if announced != jobs.len() as u64 {
            return self.violated(format!("a listing of {announced} ads has {} rows", jobs.len()));
        }
        let seen: BTreeSet<JobId> = jobs.iter().copied().collect();
        if seen.len() < jobs.len() {
            return self.violated("a listing shows a job twice");
        }
        let missing = must.iter().find(|id| !seen.contains(id) && self.must_be_there(&self.jobs[id]));
        if let Some(id) = missing {
            self.violated(format!(
                "a listing of {announced} jobs lacks job {id}, which was acknowledged and has not ended"
            ));
        }
    }

    /// Every program that began at an honest worker is counted.
    pub(super) fn check_starts(&mut self, id: JobId, counted: u64) {
        // A task that is taken back while it is being sent may begin for a moment, which no master can know (decision D33).
        let begun = self.truth.begun(id).saturating_sub(self.jobs[&id].taken_back);
        if counted < begun && !self.jobs[&id].notes_lost && !self.truth.lied_about(id) {
            self.violated(format!("job {id} was started {begun} times, and {counted} are counted"));
        }
    }
}

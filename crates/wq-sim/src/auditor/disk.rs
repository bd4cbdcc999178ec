//! What the disk has promised.

use std::collections::BTreeMap;

use journal::{JobId, Record, Submitted};

use super::{Auditor, Job, note_of};
use crate::clients::TAG;

/// The submission that a record tells of.
fn tag_of(ad: &[(String, String)]) -> Option<usize> {
    ad.iter().find(|(name, _)| name == TAG)?.1.parse().ok()
}

impl Auditor {
    /// The master asks for a record.
    pub(crate) fn recorded(&mut self, record: &Record) {
        if let Record::Submitted(submitted) = record {
            self.check_numbers(submitted);
        }
        if let Some(job) = note_of(record).and_then(|id| self.jobs.get_mut(&id)) {
            job.open_notes += 1;
        }
        self.unsynced_notes.extend(note_of(record));
        let ended = match record {
            Record::Lost(lost) => Some(lost.job),
            Record::Held(held) => Some(held.job),
            _ => None,
        };
        if let Some(job) = ended.and_then(|id| self.jobs.get_mut(&id)) {
            job.run_over = true;
        }
    }

    /// The master hears that all records so far are on disk.
    pub(crate) fn stored(&mut self) {
        self.unsynced_notes.clear();
    }

    /// The journal is given up: what no sync has covered is taken back, notes as well.
    pub(crate) fn journal_failed(&mut self) {
        for id in std::mem::take(&mut self.unsynced_notes) {
            self.of_job(id, |job| job.notes_lost = true);
        }
    }

    /// A number belongs to one submission for ever.
    fn check_numbers(&mut self, submitted: &Submitted) {
        for cluster in &submitted.clusters {
            let tag = tag_of(&cluster.ad);
            if let Some(known) = self.clusters.get(&cluster.cluster)
                && Some(*known) != tag
            {
                let number = cluster.cluster;
                return self.violated(format!("cluster {number} of submission {known} is given to submission {tag:?}"));
            }
        }
    }

    /// A record is on disk.
    pub(crate) fn durable(&mut self, record: &Record) {
        if let Some(job) = note_of(record).and_then(|id| self.jobs.get_mut(&id)) {
            job.open_notes = job.open_notes.saturating_sub(1);
        }
        match record {
            Record::Submitted(submitted) => self.submission_durable(submitted),
            Record::Removed(removed) => self.of_job(removed.job, |job| job.removed += 1),
            Record::Ended(ended) => self.of_job(ended.job, |job| job.ended += 1),
            Record::Held(held) => self.of_job(held.job, |job| {
                job.held += 1;
                job.left = false;
                if std::mem::take(&mut job.outputs_lost) {
                    job.story.reopen();
                    job.archived = false;
                }
            }),
            Record::Released(released) => self.of_job(released.job, |job| job.released += 1),
            Record::LeftQueue(left) => self.of_job(left.job, |job| job.left = true),
            _ => {}
        }
    }

    fn submission_durable(&mut self, submitted: &Submitted) {
        self.check_numbers(submitted);
        let mut clusters = BTreeMap::new();
        let mut tag = 0;
        for cluster in &submitted.clusters {
            let Some(of) = tag_of(&cluster.ad) else { return self.violated("a submission lost its attributes") };
            tag = of;
            clusters.insert(cluster.cluster, cluster.procs);
        }
        let submission = self.submissions.entry(tag).or_default();
        if submission.refused {
            return self.violated(format!("submission {tag} was refused and is on disk all the same"));
        }
        if !submission.clusters.is_empty() && submission.clusters != clusters {
            return self.violated(format!("submission {tag} became jobs twice"));
        }
        submission.clusters.clone_from(&clusters);
        for (cluster, procs) in clusters {
            self.clusters.insert(cluster, tag);
            for proc_ in 0..procs {
                self.jobs.entry(JobId::new(cluster, proc_)).or_insert_with(|| Job { tag, ..Job::default() });
            }
        }
    }

    fn of_job(&mut self, id: JobId, change: impl FnOnce(&mut Job)) {
        match self.jobs.get_mut(&id) {
            Some(job) => change(job),
            None => self.violated(format!("the journal tells of job {id}, whose submission is not on disk")),
        }
    }
}

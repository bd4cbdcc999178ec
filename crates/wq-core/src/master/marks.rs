//! Which outputs are on disk, and what becomes of the jobs whose outputs a power cut took (decision D36).
//!
//! The end of a job is durable while its outputs may still be in the machine's memory only. So some time after an end the
//! shell brings the file systems to disk that outputs went to, and the journal hears of it: a mark. After a reboot the
//! outputs of jobs that ended behind the last mark are looked at, and a job that lost some is held. Where each output is
//! synced before its end is recorded (`outputs.fsync`), marks are needless, and one says so.

use std::collections::{BTreeMap, VecDeque};

use classad::ClassAd;
use journal::{Ended, OutputsUpto, Record};

use super::Master;
use super::dispatch::{machine_ad, outputs};
use super::timers::Timer;
use crate::ids::{AttemptId, BlobId, JobId, RecordNo, Timestamp};
use crate::io::{Effect, ExpectedOutputs, Trouble};
use crate::jobs::{Departure, Slot, Status};
use crate::run::{JobFiles, OutputKind, SandboxNames};

/// From the first end behind a mark to the next mark, in seconds.
const MARK_S: u64 = 30;

/// Longest wait for a mark when the service stops, in seconds.
const LAST_MARK_S: u64 = 2;

/// Ends behind the last mark.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Their records in order, with the blobs that their jobs named: they are needed again if the outputs get lost.
    ends: VecDeque<(RecordNo, Vec<BlobId>)>,
    /// Folders that an earlier run delivered to; they are part of the next mark.
    folders: Vec<String>,
    /// The journal says which ends are in doubt.
    pub(super) kept: bool,
    under_way: bool,
    timer_set: bool,
    stop_waits: bool,
    /// Ends before a reboot; the shell looks at their outputs.
    checking: Vec<(RecordNo, JobId)>,
}

/// An end that no mark covers, found in the journal.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) no: RecordNo,
    pub(super) job: JobId,
    sizes: Vec<u64>,
    /// The machine was started again since.
    pub(super) rebooted: bool,
    /// When its job left the queue, and the record that says so.
    pub(super) left: (RecordNo, Timestamp),
}

impl Doubt {
    pub(super) fn new(no: RecordNo, ended: &Ended) -> Doubt {
        let at = Timestamp(ended.at_s.max(0) as u64 * 1_000_000);
        Doubt { no, job: ended.job, sizes: ended.sizes.clone(), rebooted: false, left: (no, at) }
    }
}

impl Marks {
    /// Outputs of ends before a reboot are being looked at.
    pub(super) fn are_looked_at(&self) -> bool {
        !self.checking.is_empty()
    }
}

impl Master {
    // ---- in service ------------------------------------------------------------------------------------------

    /// Before the first end of a run: the journal must say whether ends are in doubt from here on.
    pub(super) fn begin_marks(&mut self) {
        if self.marks.kept == self.config.outputs_fsync && self.marks.ends.is_empty() && self.marks.checking.is_empty()
        {
            self.mark(self.last_record());
        }
    }

    fn mark(&mut self, upto: RecordNo) {
        let seq = if self.config.outputs_fsync { OutputsUpto::ALL } else { upto.0 };
        self.record(Record::OutputsUpto(OutputsUpto { seq }));
        self.marks.kept = !self.config.outputs_fsync;
        while let Some((_, blobs)) = self.marks.ends.pop_front_if(|(no, _)| no.0 <= seq) {
            blobs.into_iter().for_each(|blob| self.release_blob(blob));
        }
    }

    /// An end is recorded; its job may be gone and have left these blobs.
    pub(super) fn outputs_delivered(&mut self, now: Timestamp, no: RecordNo, blobs: Vec<BlobId>) {
        if !self.marks.kept {
            return blobs.into_iter().for_each(|blob| self.release_blob(blob));
        }
        self.marks.ends.push_back((no, blobs));
        self.mark_later(now);
    }

    fn mark_later(&mut self, now: Timestamp) {
        if !std::mem::replace(&mut self.marks.timer_set, true) {
            self.timers.set(now.plus_s(MARK_S), Timer::OutputsUpto);
        }
    }

    pub(super) fn outputs_due(&mut self, _now: Timestamp) {
        self.marks.timer_set = false;
        // One that is under way sets the timer again for what came meanwhile; none covers what is still looked at.
        if self.marks.under_way || !self.marks.checking.is_empty() {
            return;
        }
        if let Some((upto, _)) = self.marks.ends.back() {
            self.marks.under_way = true;
            let folders = std::mem::take(&mut self.marks.folders);
            self.effect(Effect::SyncOutputs { upto: *upto, folders });
        }
    }

    /// Whether the outputs of all ends up to this record are on disk; if not, a mark is on its way.
    pub(super) fn outputs_are_on_disk(&mut self, now: Timestamp, upto: RecordNo) -> bool {
        let settled = self.marks.checking.is_empty() && self.marks.ends.front().is_none_or(|(no, _)| *no > upto);
        if !settled {
            self.outputs_due(now);
        }
        settled
    }

    pub(super) fn outputs_synced(&mut self, now: Timestamp, upto: RecordNo, done: bool) {
        self.marks.under_way = false;
        if done && self.store_failed.is_none() {
            self.mark(upto);
        }
        if std::mem::take(&mut self.marks.stop_waits) {
            self.finish_stop();
        } else if !self.marks.ends.is_empty() {
            self.mark_later(now);
        }
    }

    /// The service stops: outputs of the last seconds shall not be in doubt after a planned reboot.
    pub(super) fn mark_and_stop(&mut self, now: Timestamp) {
        self.outputs_due(now);
        if self.marks.under_way {
            self.marks.stop_waits = true;
            self.timers.set(now.plus_s(LAST_MARK_S), Timer::LastMark);
        } else {
            self.finish_stop();
        }
    }

    pub(super) fn last_mark_due(&mut self) {
        if std::mem::take(&mut self.marks.stop_waits) {
            self.finish_stop();
        }
    }

    // ---- after a restart -------------------------------------------------------------------------------------

    /// Takes up the ends that no mark covers. Without a reboot the machine still has their outputs and the next mark comes at
    /// once; else the shell looks at them first, and their jobs stay completed in the queue for so long.
    pub(super) fn take_doubts(&mut self, now: Timestamp, doubts: Vec<Doubt>) {
        let mut expected = Vec::new();
        for doubt in doubts {
            let Some(slot) = self.completed_job(doubt.job) else { continue };
            let files = self.expected(now, slot, &doubt.sizes);
            if doubt.rebooted {
                self.marks.checking.push((doubt.no, doubt.job));
                if self.table.get(slot).story().departure == Departure::None && !self.stays(now, slot) {
                    self.table.get_mut(slot).story_mut().departure = Departure::Doubted;
                }
                expected.push(ExpectedOutputs { job: doubt.job, files });
            } else {
                let folder = |path: &str| path.rsplit_once('/').map(|(folder, _)| format!("{folder}/"));
                self.marks.folders.extend(files.iter().filter_map(|(path, _)| folder(path)));
                if self.table.get(slot).story().departure != Departure::Leaving {
                    self.leave_completed(now, doubt.no, slot);
                }
            }
        }
        self.marks.folders.sort_unstable();
        self.marks.folders.dedup();
        if expected.is_empty() {
            return self.outputs_due(now);
        }
        only_last_writers(&mut expected);
        self.effect(Effect::CheckOutputs(expected));
    }

    pub(super) fn outputs_checked(&mut self, now: Timestamp, lost: Vec<(JobId, Trouble)>) {
        let lost: BTreeMap<JobId, Trouble> = lost.into_iter().collect();
        for (no, job) in std::mem::take(&mut self.marks.checking) {
            // Removed meanwhile?
            let Some(slot) = self.completed_job(job) else { continue };
            if self.table.get(slot).story().departure == Departure::Leaving {
                continue;
            }
            match lost.get(&job) {
                // How its program ended is known from its end.
                Some(trouble) => {
                    self.recall(slot);
                    self.hold(now, slot, trouble, None);
                }
                None => self.leave_completed(now, no, slot),
            }
        }
        self.outputs_due(now);
    }

    pub(super) fn completed_job(&self, job: JobId) -> Option<Slot> {
        self.table.find(job).filter(|slot| self.table.get(*slot).status() == Status::Completed)
    }

    /// The outputs of an ended job that can be looked at: all but the new files of a whole sandbox, whose names nobody kept.
    fn expected(&self, now: Timestamp, slot: Slot, sizes: &[u64]) -> Vec<(String, u64)> {
        let view = self.view(slot, now);
        let story = view.job.story();
        let machine = match (story.allocation, story.last_host.as_deref()) {
            (Some((cores, memory_mb, disk_mb, gpus)), Some(host)) => {
                machine_ad(host.strip_prefix("slot1@").unwrap_or(host), cores, gpus, memory_mb, disk_mb)
            }
            _ => ClassAd::new(),
        };
        // It was read before the job ran; if that fails now, nothing is known of its outputs.
        let Ok(files) = JobFiles::read(&view, &machine) else { return Vec::new() };
        let names = SandboxNames::for_job(&files);
        let outputs = outputs(AttemptId(0), &files, &names);
        if outputs.len() != sizes.len() {
            return Vec::new();
        }
        let all = outputs.into_iter().zip(sizes);
        all.filter(|(output, _)| output.kind != OutputKind::Everything)
            .map(|(output, size)| (output.target, *size))
            .collect()
    }
}

/// Of several jobs with the same output only the last one's is there.
fn only_last_writers(expected: &mut [ExpectedOutputs]) {
    let mut last = BTreeMap::new();
    for (index, job) in expected.iter().enumerate() {
        last.extend(job.files.iter().map(|(path, _)| (path.clone(), index)));
    }
    for (index, job) in expected.iter_mut().enumerate() {
        job.files.retain(|(path, _)| last[path] == index);
    }
}

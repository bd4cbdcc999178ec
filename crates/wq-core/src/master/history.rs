//! The way of a job out of the queue and into the history (decision D56).
//!
//! A job that leaves is handed to the history and shown until that has it, so that at no moment it is neither here nor
//! there. Its end in the journal is the truth for so long: after a crash every job that the last mark of the history does
//! not cover is handed over again, and the history keeps one of each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use journal::{HistoryUpto, How, LeftQueue, Record};

use super::Master;
use super::marks::Doubt;
use crate::departed::Departed;
use crate::ids::{JobId, RecordNo, Timestamp};
use crate::io::Effect;
use crate::jobs::{Departure, Slot, Status};

/// Jobs that are handed over and not yet confirmed. The others wait in the table, where they need no memory for their ads.
const HANDED_MAX: usize = 1000;

/// A job between queue and history.
#[derive(Debug)]
struct Leaver {
    no: RecordNo,
    job: JobId,
    left_s: i64,
    /// The record of its end, if it came to one.
    end: Option<RecordNo>,
}

/// Jobs between queue and history, by the record of their leaving.
#[derive(Debug, Default)]
pub(super) struct Leavers {
    jobs: VecDeque<Leaver>,
    /// So many of the first ones were handed over.
    handed: usize,
    /// Records of leaving that a power cut could take from the history.
    unsynced: VecDeque<RecordNo>,
}

/// What the journal says of departures, while it is read.
#[derive(Debug, Default)]
pub(super) struct Departures {
    /// Jobs that left behind the last mark of the history, each with the last record that says so.
    left: BTreeMap<JobId, RecordNo>,
    /// Ends whose outputs may not be on disk; their jobs stay here whatever the history has.
    doubted: BTreeSet<JobId>,
}

impl Master {
    // ---- in service ------------------------------------------------------------------------------------------

    /// A job leaves for good. `end` is the record of its end, if it came to one.
    pub(super) fn leave(&mut self, now: Timestamp, slot: Slot, end: Option<RecordNo>) {
        let job = self.table.get(slot);
        if job.story().departure == Departure::Leaving {
            return;
        }
        let (job, how) = (job.id, how(job.status()));
        let no = self.record(Record::LeftQueue(LeftQueue { job, at_s: now.seconds(), how }));
        if !self.config.history {
            return self.gone(now, slot, end);
        }
        self.table.get_mut(slot).story_mut().departure = Departure::Leaving;
        let left_s = now.seconds() + self.wall_offset_s;
        self.leavers.unsynced.push_back(no);
        self.leavers.jobs.push_back(Leaver { no, job, left_s, end });
        self.hand_over(now);
    }

    fn hand_over(&mut self, now: Timestamp) {
        while self.leavers.handed < HANDED_MAX
            && let Some(&Leaver { no, job, left_s, .. }) = self.leavers.jobs.get(self.leavers.handed)
        {
            self.leavers.handed += 1;
            let slot = self.table.find(job).expect("a job stays until the history has it");
            let view = self.view(slot, now);
            let owner = self.table.owner_of(view.job.owner);
            let (uid, owner, ad) = (owner.uid, owner.name.to_string(), view.last_ad());
            let departed = Departed { no, job, submitted_s: self.submitted_s(slot), left_s, uid, owner, ad };
            self.effect(Effect::Archive(Box::new(departed)));
        }
    }

    /// The history has the jobs that left up to this record.
    pub(super) fn archived(&mut self, now: Timestamp, upto: RecordNo) {
        while let Some(Leaver { job, end, .. }) = self.leavers.jobs.pop_front_if(|leaver| leaver.no <= upto) {
            self.leavers.handed -= 1;
            let slot = self.table.find(job).expect("a job stays until the history has it");
            self.gone(now, slot, end);
        }
        self.hand_over(now);
    }

    /// And a power cut does not take them from it.
    pub(super) fn archive_synced(&mut self, upto: RecordNo) {
        if self.marks.are_looked_at() {
            // What left before the machine went down and is looked at first is handed over behind that.
            return;
        }
        while self.leavers.unsynced.pop_front_if(|no| *no <= upto).is_some() {}
        self.record(Record::HistoryUpto(HistoryUpto { seq: upto.0 }));
    }

    /// Whether nothing that left up to this record can be taken from the history.
    pub(super) fn history_is_on_disk(&self, upto: RecordNo) -> bool {
        self.leavers.unsynced.front().is_none_or(|no| *no > upto)
    }

    /// A checkpoint has a job that has left already: that follows.
    pub(super) fn repeat_departure(&mut self, now: Timestamp, slot: Slot) {
        let job = self.table.get(slot);
        if job.story().departure == Departure::Leaving {
            let how = how(job.status());
            let job = job.id;
            self.record(Record::LeftQueue(LeftQueue { job, at_s: now.seconds(), how }));
        }
    }

    /// Whether the job is gone for everybody who wants to do something with it: its end is on the way to the disk, or it
    /// is on its way to the history.
    pub(super) fn is_gone(&self, slot: Slot) -> bool {
        self.ends(slot) || self.table.get(slot).story().departure == Departure::Leaving
    }

    /// The end of a job was none: its outputs got lost.
    pub(super) fn recall(&mut self, slot: Slot) {
        if self.config.history {
            let (job, submitted_s) = (self.table.get(slot).id, self.submitted_s(slot));
            self.effect(Effect::Recall { job, submitted_s });
        }
    }

    /// Nothing of the job is needed any more, but its blobs if its outputs should be lost.
    pub(super) fn gone(&mut self, now: Timestamp, slot: Slot, end: Option<RecordNo>) {
        let blobs = self.take_out(slot);
        match end {
            Some(no) => self.outputs_delivered(now, no, blobs),
            None => blobs.into_iter().for_each(|blob| self.release_blob(blob)),
        }
    }

    fn submitted_s(&self, slot: Slot) -> i64 {
        let cluster = self.table.cluster(self.table.get(slot).id.cluster);
        cluster.map_or(0, |cluster| cluster.wall_s.into())
    }

    // ---- after a restart -------------------------------------------------------------------------------------

    /// The journal says that a job left.
    pub(super) fn recover_departure(&mut self, no: RecordNo, slot: Slot) {
        let job = self.table.get(slot).id;
        self.departures().left.insert(job, no);
        self.table.get_mut(slot).story_mut().departure = Departure::Leaving;
    }

    /// The history has the jobs that left up to this record: they go, unless their outputs are in doubt.
    pub(super) fn recover_archived(&mut self, upto: u64) {
        let archived: Vec<JobId> =
            self.departures().left.extract_if(.., |_, no| no.0 <= upto).map(|(job, _)| job).collect();
        for job in archived {
            let Some(slot) = self.table.find(job) else { continue };
            if self.departures().doubted.contains(&job) {
                self.table.get_mut(slot).story_mut().departure = Departure::Archived;
            } else {
                self.forget(slot);
            }
        }
    }

    /// The outputs of an ended job may not be on disk.
    pub(super) fn doubt(&mut self, job: JobId) {
        self.departures().doubted.insert(job);
    }

    /// They are; true if nothing else keeps the job here.
    pub(super) fn undoubt(&mut self, slot: Slot) -> bool {
        let job = self.table.get(slot).id;
        self.departures().doubted.remove(&job);
        self.table.get(slot).story().departure == Departure::Archived
    }

    /// The job did not leave after all.
    pub(super) fn recover_stayed(&mut self, slot: Slot) {
        let job = self.table.get(slot).id;
        self.departures().doubted.remove(&job);
        self.departures().left.remove(&job);
        self.table.get_mut(slot).story_mut().departure = Departure::None;
    }

    fn departures(&mut self) -> &mut Departures {
        &mut self.recovery.as_mut().expect("records are read before the start").departures
    }

    /// Takes jobs that have not left after all back from the history, which may have been told so and not have heard it.
    pub(super) fn recall_again(&mut self, jobs: &BTreeSet<JobId>) {
        for job in jobs {
            if let Some(slot) = self.table.find(*job)
                && !matches!(self.table.get(slot).status(), Status::Completed | Status::Removed)
            {
                self.recall(slot);
            }
        }
    }

    /// Hands over what the history may lack, in the order in which it left; not jobs whose outputs are looked at first.
    pub(super) fn leave_again(&mut self, now: Timestamp, departures: &Departures, doubts: &[Doubt]) {
        let doubts: BTreeMap<JobId, &Doubt> = doubts.iter().map(|doubt| (doubt.job, doubt)).collect();
        let mut left: Vec<(RecordNo, JobId)> = departures.left.iter().map(|(job, no)| (*no, *job)).collect();
        left.sort_unstable();
        for (_, job) in left {
            let Some(slot) = self.table.find(job) else { continue };
            self.table.get_mut(slot).story_mut().departure = Departure::None;
            match doubts.get(&job) {
                // That it left will be found out anew.
                Some(doubt) if doubt.rebooted => {}
                doubt => self.leave(now, slot, doubt.map(|doubt| doubt.no)),
            }
        }
    }
}

fn how(status: Status) -> How {
    if status == Status::Completed { How::Completed } else { How::Removed }
}

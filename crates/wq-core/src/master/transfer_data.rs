//! `condor_transfer_data`: outputs of spooled jobs leave the spool, and then the jobs the queue (decision D18).

use control_proto::{Refusal, Reply, TransferData};
use journal::{Edited, Record};

use super::Master;
use super::promises::Then;
use crate::ids::{ClientId, JobId, Timestamp};
use crate::io::{Caller, Effect, SpooledOutputs};
use crate::jobs::{Slot, Status};
use crate::run::fetch_remaps;

/// The attribute that says when the outputs were in their places, on disk.
pub(super) const FETCHED: &str = "StageOutFinish";

impl Master {
    pub(super) fn transfer_data(&mut self, now: Timestamp, client: ClientId, caller: &Caller, wanted: &TransferData) {
        let text = &wanted.constraint;
        let Ok(constraint) = classad::parse_expr(text) else {
            return self.refuse(client, Refusal::Constraint, format!("the constraint does not parse: {text}"));
        };
        let mut slots = self.matching(now, text, &constraint);
        slots.retain(|slot| self.may_change(caller, *slot));
        let outputs = slots.iter().filter_map(|slot| self.spooled_outputs(now, *slot)).collect();
        self.effect(Effect::TransferData { client, jobs: slots.len() as u64, outputs });
    }

    /// A held job may have left something that tells why; of one that runs or waits nothing is complete.
    fn spooled_outputs(&self, now: Timestamp, slot: Slot) -> Option<SpooledOutputs> {
        let view = self.view(slot, now);
        if !matches!(view.job.status(), Status::Completed | Status::Held) {
            return None;
        }
        let folder = view.spool_folder()?;
        let (iwd, places) = fetch_remaps(&view);
        Some(SpooledOutputs { job: view.job.id, folder, iwd, places })
    }

    /// The files are in place: that is recorded, and what stayed only for them leaves.
    pub(super) fn data_transferred(
        &mut self,
        now: Timestamp,
        client: ClientId,
        jobs: u64,
        outcomes: Vec<(JobId, Result<(), String>)>,
    ) {
        if let Some(reason) = &self.store_failed {
            let message = format!("the journal cannot be written: {reason}");
            return self.refuse(client, Refusal::Storage, message);
        }
        let before = self.last_record();
        let mut failures = Vec::new();
        for (job, outcome) in outcomes {
            match (outcome, self.table.find(job)) {
                (Err(why), _) => failures.push(((job.cluster, job.proc_), why)),
                (Ok(()), Some(slot)) if self.table.get(slot).status() == Status::Completed => {
                    let wall_s = (now.seconds() + self.wall_offset_s).to_string();
                    let attributes = ["StageOutStart", FETCHED].map(|name| (name.into(), Some(wall_s.clone())));
                    let edited = Edited { job, at_s: now.seconds(), attributes: attributes.into() };
                    self.apply_edited(slot, &edited);
                    let no = self.record(Record::Edited(edited));
                    self.when_stored(no, Then::Fetched(job));
                }
                // It was removed meanwhile, or is held.
                (Ok(()), _) => {}
            }
        }
        let reply = Reply::DataTransferred { jobs, failures };
        match self.promises.last() {
            Some(last) if last > before => self.when_stored(last, Then::AnswerLogged(client, reply)),
            _ => self.answer(client, reply),
        }
    }
}

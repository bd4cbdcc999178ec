//! `deferral_time` and `cron_*`: jobs that may not start before a time (decision D46).
//!
//! The job stays idle until then, and nothing holds a worker for it meanwhile, so `deferral_prep_time` has no effect.
//! One that has not started when its window is over is held, as HTCondor does it.

use super::Master;
use super::timers::Timer;
use crate::ids::{JobId, Timestamp};
use crate::io::Trouble;
use crate::jobs::cron::{FIELDS, Schedule, ScheduleError};
use crate::jobs::view::JobView;
use crate::jobs::{Deferral, Slot, Status};

/// HTCondor's codes.
const MISSED: i32 = 20;
const INVALID_CRON: i32 = 25;

impl Master {
    /// Whether the job has to wait for a time, or is held because it has missed it.
    pub(super) fn defer(&mut self, now: Timestamp, slot: Slot) -> bool {
        let job = self.table.get(slot).id;
        // Of a run before there may be another time.
        self.table.deferrals.remove(&job);
        let wall_s = now.seconds() + self.wall_offset_s;
        let view = self.view(slot, now);
        let at_s = match schedule(&view) {
            None if view.text("deferraltime").is_none() => return false,
            None => view.value("deferraltime").as_int().filter(|at_s| *at_s >= 0),
            Some(schedule) => match schedule.and_then(|schedule| schedule.next(wall_s, self.config.zone.0.as_ref())) {
                Ok(at_s) => Some(at_s),
                Err(error) => {
                    self.hold(now, slot, &Trouble { code: INVALID_CRON, subcode: 0, reason: error.to_string() }, None);
                    return true;
                }
            },
        };
        let Some(at_s) = at_s else {
            self.hold(now, slot, &missed(), None);
            return true;
        };
        self.table.deferrals.insert(job, Deferral { at_s, waits: wall_s < at_s });
        if wall_s < at_s {
            self.timers.set(now.plus_s(at_s.abs_diff(wall_s)), Timer::Deferral(job));
            return true;
        }
        self.watch_window(now, slot, at_s)
    }

    /// A job whose time has come must start before its window is over. True if that is the case already.
    fn watch_window(&mut self, now: Timestamp, slot: Slot, at_s: i64) -> bool {
        let wall_s = now.seconds() + self.wall_offset_s;
        let view = self.view(slot, now);
        let job = view.job.id;
        let last_s = at_s.saturating_add(view.value("deferralwindow").as_int().unwrap_or(0).max(0));
        if wall_s > last_s {
            self.hold(now, slot, &missed(), None);
            return true;
        }
        self.timers.set(now.plus_s(last_s.abs_diff(wall_s) + 1), Timer::Deferral(job));
        false
    }

    /// The time of a job has come, or its window is over.
    pub(super) fn deferral_due(&mut self, now: Timestamp, job: JobId) {
        let Some(deferral) = self.table.deferrals.get(&job).copied() else { return };
        let Some(slot) = self.table.find(job).filter(|slot| self.table.get(*slot).status() == Status::Idle) else {
            return;
        };
        let wall_s = now.seconds() + self.wall_offset_s;
        if deferral.waits && wall_s < deferral.at_s {
            // The wall clock was set back, or somebody has changed the ad.
            self.make_ready(now, slot);
        } else if deferral.waits {
            self.table.deferrals.insert(job, Deferral { waits: false, ..deferral });
            if !self.watch_window(now, slot, deferral.at_s) {
                self.wait_for_worker(now, slot);
            }
        } else if self.table.get(slot).is_waiting() {
            self.watch_window(now, slot, deferral.at_s);
        }
    }
}

fn missed() -> Trouble {
    Trouble { code: MISSED, subcode: 0, reason: "Job missed deferred execution time".into() }
}

/// The job's schedule, if it has one.
fn schedule(view: &JobView<'_>) -> Option<Result<Schedule, ScheduleError>> {
    let text = |name: &str| {
        let folded = name.to_ascii_lowercase();
        view.string(&folded).or_else(|| view.text(&folded))
    };
    FIELDS.iter().any(|(name, ..)| text(name).is_some()).then(|| Schedule::read(text))
}

//! What happened to a job: kept apart, since most waiting jobs have no story yet.

use std::borrow::Cow;

use journal::Exit;

use crate::ids::AttemptId;

/// Counters, reasons and times of a job that is no longer fresh.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Story {
    /// The attempt under way.
    pub attempt: Option<AttemptId>,
    /// `NumJobStarts`: task messages that went out completely.
    pub starts: u32,
    /// `NumShadowStarts`: attempts, also those that never started.
    pub attempts: u32,
    /// Losses that count against the job (decision D41).
    pub losses: u32,
    /// `NumHolds`.
    pub holds: u32,
    /// `NumSystemHolds`: holds that nobody asked for.
    pub system_holds: u32,
    /// `NumJobCompletions`.
    pub completions: u32,
    /// `LastJobStatus`, 0 = none yet.
    pub last_status: u8,
    /// Service seconds of the last change of state; `None`: there was none since the submission.
    pub entered_s: Option<u32>,
    /// Why it is held.
    pub hold: Option<Hold>,
    /// Why it was held before.
    pub last_hold: Option<Hold>,
    /// `ReleaseReason`.
    pub release_reason: Option<Box<str>>,
    /// `RemoveReason`.
    pub remove_reason: Option<Box<str>>,
    /// `VacateReason` and `LastVacateTime` of the last start that came to nothing.
    pub vacate: Option<(Box<str>, i64)>,
    /// `NumVacatesByReason`: name of the reason and how often, in the order of first occurrence.
    pub vacates: Vec<(Cow<'static, str>, u32)>,
    /// Changed attributes, in order; `None` deletes.
    pub edits: Vec<(String, Option<String>)>,
    /// `JobStartDate`, service seconds.
    pub first_start_s: Option<i64>,
    /// `JobCurrentStartDate`, service seconds.
    pub start_s: Option<i64>,
    /// `RemoteWallClockTime` of past runs, in seconds.
    pub wall_clock_s: i64,
    /// `RemoteHost` while running.
    pub host: Option<Box<str>>,
    /// `LastRemoteHost`.
    pub last_host: Option<Box<str>>,
    /// Cores, memory in MB, disk in MB and GPUs of the current run.
    pub allocation: Option<(u32, u64, u64, u32)>,
    /// `TransferringOutput`.
    pub transferring_output: bool,
    /// How the program ended.
    pub ending: Option<Ending>,
    /// Its log has heard that it was removed; it stays in the queue because its owner wants to see it.
    pub told_removed: bool,
    /// Whether it is on its way out.
    pub departure: Departure,
}

/// How far a job is on its way out of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Departure {
    /// It stays.
    #[default]
    None,
    /// It has left; it is shown until the history has it.
    Leaving,
    /// The history has it, while its outputs are still looked at.
    Archived,
    /// It had left, or would have, before the machine was started again; first its outputs are looked at.
    Doubted,
}

impl Story {
    /// Counts one start that came to nothing, with its reason.
    pub fn count_vacate(&mut self, name: &'static str, text: &str, at_s: i64) {
        match self.vacates.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => self.vacates.push((name.into(), 1)),
        }
        self.vacate = Some((text.into(), at_s));
    }
}

/// `HoldReason…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// `HoldReasonCode`.
    pub code: i32,
    /// `HoldReasonSubCode`.
    pub subcode: i32,
    /// `HoldReason`.
    pub reason: Box<str>,
}

impl Hold {
    /// Of its record.
    pub(crate) fn of(held: &journal::Held) -> Hold {
        Hold { code: held.code, subcode: held.subcode, reason: held.reason.as_str().into() }
    }
}

/// The end of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Code or signal.
    pub exit: Exit,
    /// `CompletionDate`, service seconds.
    pub at_s: i64,
    /// Bytes to the worker.
    pub sent: u64,
    /// Bytes back.
    pub received: u64,
}

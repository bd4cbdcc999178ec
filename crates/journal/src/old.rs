//! Payloads of earlier versions, and what they are today.

use serde::Deserialize;

use crate::JobId;
use crate::checkpoint::{Allocation, CheckpointJob, HoldReason, JobEnding, JobStatus, JobStory};
use crate::record::{Edits, Ended, Held, Lost, LostReason, Released, Removed, Started};

/// Version 1 of [`CheckpointJob`]: its row, its counters, and the last record of each kind that it had.
#[derive(Debug, Deserialize)]
pub(crate) struct CheckpointJobV1 {
    /// Records of this job up to this sequence number are contained; replay skips them.
    reflects_seq: u64,
    /// The job.
    job: JobId,
    /// Its values of the varying attributes: one packed row.
    #[serde(with = "crate::raw_bytes")]
    row: Vec<u8>,
    /// Its state.
    status: JobStatus,
    /// When it entered that state.
    status_since_s: i64,
    /// The state before.
    last_status: Option<JobStatus>,
    /// All changes of its ad so far; one entry an attribute.
    edits: Edits,
    /// What is counted.
    counters: Counters,
    /// Its last hold.
    held: Option<Held>,
    /// Its last release.
    released: Option<Released>,
    /// Its removal.
    removed: Option<Removed>,
    /// Its last start.
    started: Option<Started>,
    /// Its last loss.
    lost: Option<Lost>,
    /// Its last end.
    ended: Option<Ended>,
}

/// What is counted over the life of a job.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "they stand in the bytes; nothing shows them any more")]
struct Counters {
    /// `NumJobStarts`.
    job_starts: u32,
    /// `NumShadowStarts`.
    shadow_starts: u32,
    /// `NumJobMatches`.
    matches: u32,
    /// `NumJobCompletions`.
    completions: u32,
    /// `NumHolds`.
    holds: u32,
    /// `NumHoldsByReason`: hold code and how often.
    holds_by_code: Vec<(i32, u32)>,
    /// `NumVacatesByReason`: reason and how often.
    vacates: Vec<(LostReason, u32)>,
    /// Losses that count against the job since its last good start.
    counted_losses: u32,
    /// Run time of all attempts, µs (`RemoteWallClockTime`, `CumulativeSlotTime`).
    run_time_us: u64,
    /// Bytes sent to workers in all attempts.
    bytes_sent: u64,
    /// Bytes received from workers in all attempts.
    bytes_received: u64,
}

impl From<CheckpointJobV1> for Box<CheckpointJob> {
    fn from(old: CheckpointJobV1) -> Box<CheckpointJob> {
        let CheckpointJobV1 { counters, held, started, lost, .. } = old;
        let is = |status| old.status == status;
        let reason = |held: Held| HoldReason { code: held.code, subcode: held.subcode, reason: held.reason };
        let (hold, last_hold) = if is(JobStatus::Held) { (held, None) } else { (None, held) };
        let wished = counters.holds_by_code.iter().find(|(code, _)| *code == 1).map_or(0, |(_, times)| *times);
        let slot = started.as_ref().map(|started| started.slot.clone());
        let (host, last_host) = if is(JobStatus::Running) { (slot, None) } else { (None, slot) };
        let story = JobStory {
            status_since_s: Some(old.status_since_s),
            last_status: old.last_status,
            attempts: counters.shadow_starts,
            starts: counters.job_starts,
            losses: counters.counted_losses,
            holds: counters.holds,
            system_holds: counters.holds.saturating_sub(wished),
            completions: counters.completions,
            hold: hold.map(reason),
            last_hold: last_hold.map(reason),
            release_reason: old.released.map(|released| released.reason),
            remove_reason: old.removed.map(|removed| removed.reason),
            told_removed: false,
            vacate: lost.map(|lost| (lost.text, lost.at_s)),
            vacates: counters.vacates.iter().map(|(reason, times)| (format!("{reason:?}"), *times)).collect(),
            edits: old.edits,
            first_start_s: started.as_ref().map(|started| started.at_s),
            start_s: started.as_ref().map(|started| started.at_s),
            run_time_s: i64::try_from(counters.run_time_us / 1_000_000).unwrap_or(i64::MAX),
            host,
            last_host,
            allocation: started.map(|s| Allocation {
                cpus: s.cpus,
                memory_mb: s.memory_mb,
                disk_mb: s.disk_mb,
                gpus: s.gpus,
            }),
            ending: old.ended.map(|ended| JobEnding {
                exit: ended.exit,
                at_s: ended.at_s,
                bytes_sent: ended.bytes_sent,
                bytes_received: ended.bytes_received,
            }),
        };
        Box::new(CheckpointJob {
            reflects_seq: old.reflects_seq,
            job: old.job,
            row: old.row,
            status: old.status,
            story: Some(Box::new(story)),
        })
    }
}

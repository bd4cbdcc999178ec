//! The records of a checkpoint: the whole state of the queue, written anew so that older segments can go.
//!
//! The rules for changes are those of `record.rs`.

use serde::{Deserialize, Serialize};

use crate::JobId;
use crate::record::{Blob, BlobHash, Edits, Ended, Held, Lost, LostReason, Released, Removed, Started};

/// A checkpoint begins: from here to its end stands the whole state, among records of what happens meanwhile.
///
/// Right after it the current `ClockMark`, `EventsUpto`, `HistoryUpto` and each `Taken` whose file is not yet unlinked
/// are written again, as ordinary records, since the older ones may go with their segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointBegin {
    /// The next free cluster number.
    pub next_cluster: u32,
    /// When.
    pub at_s: i64,
}

/// A content that clusters of the checkpoint name; each once per owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointBlob {
    /// User id of the owner.
    pub uid: u32,
    /// The content.
    pub blob: Blob,
}

/// What the jobs of one cluster share; stands before their [`CheckpointJob`]s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointCluster {
    /// Number of the cluster.
    pub cluster: u32,
    /// How many jobs it had when it was submitted.
    pub procs: u32,
    /// When it was submitted, by the service clock.
    pub at_s: i64,
    /// When it was submitted, by the wall clock, seconds since 1970.
    pub wall_s: i64,
    /// User id of the owner.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
    /// Login name of the owner.
    pub owner: String,
    /// As in [`SubmittedCluster`](crate::SubmittedCluster).
    pub ad: Vec<(String, String)>,
    /// As in [`SubmittedCluster`](crate::SubmittedCluster).
    pub varying: Vec<String>,
    /// The executable, one of the owner's blobs.
    pub executable: Option<BlobHash>,
    /// The X.509 proxy, one of the owner's blobs.
    pub proxy: Option<BlobHash>,
    /// The bearer token, one of the owner's blobs.
    pub token: Option<BlobHash>,
}

/// The whole durable state of one job: its row, its counters, and the last record of each kind that it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointJob {
    /// Records of this job up to this sequence number are contained; replay skips them.
    pub reflects_seq: u64,
    /// The job.
    pub job: JobId,
    /// Its values of the varying attributes: one packed row.
    #[serde(with = "crate::raw_bytes")]
    pub row: Vec<u8>,
    /// Its state.
    pub status: JobStatus,
    /// When it entered that state.
    pub status_since_s: i64,
    /// The state before.
    pub last_status: Option<JobStatus>,
    /// All changes of its ad so far; one entry an attribute.
    pub edits: Edits,
    /// What is counted.
    pub counters: Counters,
    /// Its last hold.
    pub held: Option<Held>,
    /// Its last release.
    pub released: Option<Released>,
    /// Its removal.
    pub removed: Option<Removed>,
    /// Its last start.
    pub started: Option<Started>,
    /// Its last loss.
    pub lost: Option<Lost>,
    /// Its last end.
    pub ended: Option<Ended>,
}

/// The states of HTCondor that a job can rest in; `JobStatus` shows them as 1 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobStatus {
    /// 1: waiting for a worker.
    Idle,
    /// 2: with a worker.
    Running,
    /// 3: marked for removal.
    Removed,
    /// 4: ended, on its way to the history.
    Completed,
    /// 5: held.
    Held,
}

/// What is counted over the life of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// `NumJobStarts`.
    pub job_starts: u32,
    /// `NumShadowStarts`.
    pub shadow_starts: u32,
    /// `NumJobMatches`.
    pub matches: u32,
    /// `NumJobCompletions`.
    pub completions: u32,
    /// `NumHolds`.
    pub holds: u32,
    /// `NumHoldsByReason`: hold code and how often.
    pub holds_by_code: Vec<(i32, u32)>,
    /// `NumVacatesByReason`: reason and how often.
    pub vacates: Vec<(LostReason, u32)>,
    /// Losses that count against the job since its last good start.
    pub counted_losses: u32,
    /// Run time of all attempts, µs (`RemoteWallClockTime`, `CumulativeSlotTime`).
    pub run_time_us: u64,
    /// Bytes sent to workers in all attempts.
    pub bytes_sent: u64,
    /// Bytes received from workers in all attempts.
    pub bytes_received: u64,
}

/// A checkpoint is complete. Without this record what stands since its begin is as if never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointEnd {
    /// Sequence number of the begin.
    pub begin_seq: u64,
    /// Number of `CheckpointJob`s since then.
    pub jobs: u64,
}

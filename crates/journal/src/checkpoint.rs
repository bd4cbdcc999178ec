//! The records of a checkpoint: the whole state of the queue, written anew so that older segments can go.
//!
//! The rules for changes are those of `record.rs`.

use serde::{Deserialize, Serialize};

use crate::JobId;
use crate::record::{Blob, BlobHash, Edits, Exit};

/// A checkpoint begins: from here to its end stands the whole state, among records of what happens meanwhile.
///
/// Right after it the current `ClockMark`, whether outputs are marked (`OutputsUpto`) and each `Taken` whose file is not yet
/// unlinked are written again, as ordinary records, since the older ones may go with their segments. Before its end,
/// `EventsUpto`, `HistoryUpto` and `OutputsUpto` are past everything that its jobs reflect.
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
    /// As in [`SubmittedCluster`](crate::SubmittedCluster), with what the queue has added.
    pub ad: Vec<(String, String)>,
    /// As in [`SubmittedCluster`](crate::SubmittedCluster).
    pub varying: Vec<String>,
    /// The executable, one of the owner's blobs, if `ad` does not say so itself.
    pub executable: Option<BlobHash>,
    /// The X.509 proxy, one of the owner's blobs, if `ad` does not say so itself.
    pub proxy: Option<BlobHash>,
    /// The bearer token, one of the owner's blobs, if `ad` does not say so itself.
    pub token: Option<BlobHash>,
}

/// The jobs of one cluster that have not entered the queue (`max_idle`, `max_materialize`); stands behind its jobs that have,
/// and directly behind a [`CheckpointCluster`]. Many rows are cut into several records, between which none of them enters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointFactory {
    /// Number of the cluster.
    pub cluster: u32,
    /// Number of the first one, and the number behind the last that will enter; `None`: rows that follow those of the
    /// record before.
    pub procs: Option<(u32, u32)>,
    /// Packed rows of the varying attributes, from the first one on.
    #[serde(with = "crate::raw_bytes")]
    pub rows: Vec<u8>,
}

/// The whole durable state of one job.
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
    /// What happened to it; `None`: nothing yet.
    pub story: Option<Box<JobStory>>,
}

/// What happened to a job since it was submitted. Times are those of the service clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStory {
    /// When it entered its state; `None`: when it was submitted.
    pub status_since_s: Option<i64>,
    /// The state before.
    pub last_status: Option<JobStatus>,
    /// `NumShadowStarts`.
    pub attempts: u32,
    /// `NumJobStarts`.
    pub starts: u32,
    /// Losses that count against the job since its last release.
    pub losses: u32,
    /// `NumHolds`.
    pub holds: u32,
    /// `NumSystemHolds`.
    pub system_holds: u32,
    /// `NumJobCompletions`.
    pub completions: u32,
    /// Why it is held.
    pub hold: Option<HoldReason>,
    /// Why it was held before.
    pub last_hold: Option<HoldReason>,
    /// `ReleaseReason`.
    pub release_reason: Option<String>,
    /// `RemoveReason`.
    pub remove_reason: Option<String>,
    /// Its log has heard of its removal; its owner wants to see it.
    pub told_removed: bool,
    /// `VacateReason` and `LastVacateTime`.
    pub vacate: Option<(String, i64)>,
    /// `NumVacatesByReason`: name and how often.
    pub vacates: Vec<(String, u32)>,
    /// All changes of its ad so far, in order.
    pub edits: Edits,
    /// `JobStartDate`.
    pub first_start_s: Option<i64>,
    /// `JobCurrentStartDate`.
    pub start_s: Option<i64>,
    /// Run time of all past attempts, seconds.
    pub run_time_s: i64,
    /// `RemoteHost`, while it runs.
    pub host: Option<String>,
    /// `LastRemoteHost`.
    pub last_host: Option<String>,
    /// What the last start was given.
    pub allocation: Option<Allocation>,
    /// How its program ended.
    pub ending: Option<JobEnding>,
}

/// `HoldReasonCode`, `HoldReasonSubCode`, `HoldReason`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReason {
    /// The code.
    pub code: i32,
    /// The sub code.
    pub subcode: i32,
    /// One line.
    pub reason: String,
}

/// What a start was given of its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Cores.
    pub cpus: u32,
    /// MB.
    pub memory_mb: u64,
    /// MB.
    pub disk_mb: u64,
    /// GPUs.
    pub gpus: u32,
}

/// The end of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnding {
    /// Code or signal.
    pub exit: Exit,
    /// When.
    pub at_s: i64,
    /// Bytes that went to the worker.
    pub bytes_sent: u64,
    /// Bytes that came back.
    pub bytes_received: u64,
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

/// A checkpoint is complete. Without this record what stands since its begin is as if never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointEnd {
    /// Sequence number of the begin.
    pub begin_seq: u64,
    /// Number of `CheckpointJob`s since then.
    pub jobs: u64,
}

//! The records: everything the queue remembers over a restart.
//!
//! The order of fields is the order of bytes (postcard), so a field is added, moved or dropped only together with a
//! new version of its kind in `frame.rs`; a kind that holds another's struct ([`CheckpointJob`]) rises with it. The
//! same is true of enum variants: new ones go to the end, under a new version.
//!
//! Times ending in `_s` are seconds of the service clock unless the name says `wall`: that clock never runs backwards
//! and does not follow steps of the wall clock.

use serde::{Deserialize, Serialize};

use crate::JobId;
use crate::checkpoint::{
    CheckpointBegin, CheckpointBlob, CheckpointCluster, CheckpointEnd, CheckpointFactory, CheckpointJob,
};

/// Longest content, in bytes, that stands in a record itself; a longer one, or one of very many, is a file, durable
/// before the record.
pub const INLINE_MAX: usize = 64 * 1024;

/// SHA-256 of a content.
pub type BlobHash = [u8; 32];

/// Changes to a job's ad: attribute and its new expression text, `None` where the attribute was deleted.
pub type Edits = Vec<(String, Option<String>)>;

/// One entry of the journal.
///
/// *Promises* are durable before anybody hears of them, *notes* are written before their effect but not waited for;
/// see [`Record::is_promise`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Jobs entered the queue.
    Submitted(Submitted),
    /// A job's ad was changed.
    Edited(Edited),
    /// A job was held.
    Held(Held),
    /// A held job was released.
    Released(Released),
    /// A job was marked for removal.
    Removed(Removed),
    /// An attempt began.
    Started(Started),
    /// An attempt came to nothing.
    Lost(Lost),
    /// An attempt ran to its end.
    Ended(Ended),
    /// A job is gone from the queue.
    LeftQueue(LeftQueue),
    /// A file of the legacy spool folder was taken in.
    Taken(Taken),
    /// What ties the service clock to the machine's clocks.
    ClockMark(ClockMark),
    /// Events are in the users' logs up to here.
    EventsUpto(EventsUpto),
    /// Ended jobs are in the history up to here.
    HistoryUpto(HistoryUpto),
    /// Outputs of ended jobs are on disk up to here.
    OutputsUpto(OutputsUpto),
    /// A checkpoint begins.
    CheckpointBegin(CheckpointBegin),
    /// A content that jobs of the checkpoint name.
    CheckpointBlob(CheckpointBlob),
    /// What the jobs of one cluster share.
    CheckpointCluster(CheckpointCluster),
    /// One job of the checkpoint.
    CheckpointJob(Box<CheckpointJob>),
    /// A checkpoint is complete.
    CheckpointEnd(CheckpointEnd),
    /// Jobs of a cluster of the checkpoint that have not entered the queue.
    CheckpointFactory(CheckpointFactory),
}

/// Jobs entered the queue: one submission, whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// When, by the service clock.
    pub at_s: i64,
    /// When, by the wall clock, seconds since 1970.
    pub wall_s: i64,
    /// User id of the owner.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
    /// Login name of the owner.
    pub owner: String,
    /// The clusters, ids ascending.
    pub clusters: Vec<SubmittedCluster>,
    /// The contents that the clusters name by index.
    pub blobs: Vec<Blob>,
}

/// One cluster of a submission: what its jobs share, and how they differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmittedCluster {
    /// Number of the cluster.
    pub cluster: u32,
    /// How many jobs it has.
    pub procs: u32,
    /// Number of its first job, usually 0.
    pub first_proc: u32,
    /// Attributes that all its jobs share, with their expression texts.
    pub ad: Vec<(String, String)>,
    /// Names of the attributes that differ from job to job, in the order of the values in `rows`.
    pub varying: Vec<String>,
    /// The values of the varying attributes, one packed row a job. The packing is the core's; the journal keeps bytes.
    #[serde(with = "crate::raw_bytes")]
    pub rows: Vec<u8>,
    /// The executable, an index into the submission's blobs.
    pub executable: Option<u16>,
    /// The X.509 proxy, an index into the submission's blobs.
    pub proxy: Option<u16>,
    /// The bearer token, an index into the submission's blobs.
    pub token: Option<u16>,
}

/// A content that jobs need: an executable, a proxy, a token, a copied input. Stored once per owner and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// SHA-256 of the content, computed by the master.
    pub hash: BlobHash,
    /// Length in bytes.
    pub len: u64,
    /// Permission bits.
    pub mode: u32,
    /// The content itself, at most [`INLINE_MAX`] bytes; `None`: it is a file of the spool.
    #[serde(with = "crate::raw_bytes::option")]
    pub inline: Option<Vec<u8>>,
}

/// A job's ad was changed (`condor_qedit`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    /// The job.
    pub job: JobId,
    /// When.
    pub at_s: i64,
    /// The changes, applied in order.
    pub attributes: Edits,
}

/// A job was held: it stays, and does not run until it is released. One that had ended is back: its outputs were lost
/// in a power cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The job.
    pub job: JobId,
    /// When.
    pub at_s: i64,
    /// `HoldReasonCode` of HTCondor.
    pub code: i32,
    /// `HoldReasonSubCode`, an errno where the code speaks of a file.
    pub subcode: i32,
    /// `HoldReason`, one line.
    pub reason: String,
    /// The attempt that ended by it, if one was under way.
    pub attempt: Option<u32>,
    /// How the program of that attempt ended, if it did (`on_exit_hold`, outputs that cannot be delivered).
    pub exit: Option<Exit>,
}

/// A held job was released: it is idle again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The job.
    pub job: JobId,
    /// When.
    pub at_s: i64,
    /// `ReleaseReason`, one line.
    pub reason: String,
}

/// A job was marked for removal. If it was running it leaves when its end is confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The job.
    pub job: JobId,
    /// When.
    pub at_s: i64,
    /// `RemoveReason`, one line.
    pub reason: String,
}

/// An attempt began: the task is with a worker. A note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The job.
    pub job: JobId,
    /// When.
    pub at_s: i64,
    /// Number of this start of this job, from 1.
    pub attempt: u32,
    /// Host of the direct peer (a foreman's behind a foreman).
    pub host: String,
    /// Name of the slot as users see it.
    pub slot: String,
    /// Cores given.
    pub cpus: u32,
    /// Memory given, MB.
    pub memory_mb: u64,
    /// Disk given, MB.
    pub disk_mb: u64,
    /// GPUs given.
    pub gpus: u32,
}

/// An attempt came to nothing; the job is idle again unless a `Held` or `Removed` says otherwise. A note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The job.
    pub job: JobId,
    /// When.
    pub at_s: i64,
    /// Which start of the job.
    pub attempt: u32,
    /// Whether it counts against the job (the guard against poison jobs).
    pub counted: bool,
    /// Why, for counting.
    pub reason: LostReason,
    /// Why, for reading: one line.
    pub text: String,
}

/// Why an attempt came to nothing. The order is the number in the journal: new reasons go to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LostReason {
    /// The connection of the worker or foreman broke.
    LinkLost,
    /// The worker did not answer a keepalive in time.
    Silent,
    /// The worker or foreman said that it gives the task up.
    Forsaken,
    /// The worker announced that it leaves (idle, time over, drained).
    WorkerLeft,
    /// The service was stopped.
    ServiceStopped,
    /// The service crashed and was started again.
    ServiceRestarted,
    /// The owner or the operator sent the job back to the queue.
    Vacated,
    /// The master moved the job to another place.
    Rescheduled,
    /// The job could not be sent or its result not be fetched.
    TransferFailed,
    /// The worker could not start the program.
    NotStarted,
    /// The worker broke the protocol.
    Misbehaved,
    /// The job was held or removed while it ran.
    Ordered,
}

impl LostReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [LostReason; 12] = [
        LostReason::LinkLost,
        LostReason::Silent,
        LostReason::Forsaken,
        LostReason::WorkerLeft,
        LostReason::ServiceStopped,
        LostReason::ServiceRestarted,
        LostReason::Vacated,
        LostReason::Rescheduled,
        LostReason::TransferFailed,
        LostReason::NotStarted,
        LostReason::Misbehaved,
        LostReason::Ordered,
    ];
}

/// An attempt ran to its end and its outputs are in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The job.
    pub job: JobId,
    /// When.
    pub at_s: i64,
    /// When, by the wall clock: completed jobs keep it.
    pub wall_s: i64,
    /// Which start of the job.
    pub attempt: u32,
    /// How the program ended.
    pub exit: Exit,
    /// Run time at the worker, µs.
    pub run_time_us: u64,
    /// When the attempt began.
    pub started_s: i64,
    /// Bytes that went to the worker for this attempt.
    pub bytes_sent: u64,
    /// Bytes that came back.
    pub bytes_received: u64,
    /// Sizes of the delivered outputs in the order of the job's output list, bytes; checked after a power cut.
    pub sizes: Vec<u64>,
    /// Host of the direct peer.
    pub host: String,
    /// The reason why the job's exit policy sent it back to the queue; `None`: the job is completed.
    pub requeued: Option<String>,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// A job leaves the queue. Its event is written; its history row may be missing until a [`HistoryUpto`] covers this record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftQueue {
    /// The job.
    pub job: JobId,
    /// When.
    pub at_s: i64,
    /// In which state it left.
    pub how: How,
}

/// The state in which a job left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// It ran to its end.
    Completed,
    /// It was removed.
    Removed,
}

/// A file of the legacy spool folder became jobs. Follows their `Submitted`, precedes the unlink; a file with this
/// identity is only unlinked, never submitted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Taken {
    /// Device number of the file.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Time of its last status change, ns since 1970.
    pub ctime_ns: i64,
    /// Size in bytes.
    pub size: u64,
}

/// What ties the service clock to the machine's clocks, so that it goes on after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockMark {
    /// Identity of this boot of the machine.
    pub boot_id: [u8; 16],
    /// Time since boot at the mark (`CLOCK_BOOTTIME`), µs.
    pub boottime_us: u64,
    /// The service clock at the mark, s.
    pub service_s: i64,
    /// Wall clock minus service clock, s.
    pub wall_offset_s: i64,
}

/// The events of all records up to `seq` are in the users' logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsUpto {
    /// Sequence number, inclusive.
    pub seq: u64,
}

/// The ended jobs of all records up to `seq` are in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryUpto {
    /// Sequence number, inclusive.
    pub seq: u64,
}

/// The outputs of the jobs that ended in records up to `seq` are on disk: what a power cut leaves of the others must be
/// looked at. A journal without such a record has no ends in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputsUpto {
    /// Sequence number, inclusive; [`OutputsUpto::ALL`]: from here on outputs are on disk before their `Ended` is.
    pub seq: u64,
}

impl OutputsUpto {
    /// The `seq` of a service that syncs each output.
    pub const ALL: u64 = u64::MAX;
}

macro_rules! from_payload {
    ($($kind:ident),*) => {$(
        impl From<$kind> for Record {
            fn from(payload: $kind) -> Record {
                Record::$kind(payload)
            }
        }
    )*};
}
from_payload!(
    Submitted,
    Edited,
    Held,
    Released,
    Removed,
    Started,
    Lost,
    Ended,
    LeftQueue,
    Taken,
    ClockMark,
    EventsUpto,
    HistoryUpto,
    OutputsUpto,
    CheckpointBegin,
    CheckpointBlob,
    CheckpointCluster,
    CheckpointEnd,
    CheckpointFactory
);

impl From<CheckpointJob> for Record {
    fn from(payload: CheckpointJob) -> Record {
        Record::CheckpointJob(Box::new(payload))
    }
}

impl Record {
    /// Whether the record must be durable before its reply, its event or any further effect.
    ///
    /// The others are notes: a crash keeps them, a power cut may lose those since the last sync. The end of a
    /// checkpoint counts as a promise, because segments are removed on its word.
    pub fn is_promise(&self) -> bool {
        match self {
            Record::Submitted(_)
            | Record::Edited(_)
            | Record::Held(_)
            | Record::Released(_)
            | Record::Removed(_)
            | Record::Ended(_)
            | Record::Taken(_)
            | Record::CheckpointEnd(_) => true,
            Record::Started(_)
            | Record::Lost(_)
            | Record::LeftQueue(_)
            | Record::ClockMark(_)
            | Record::EventsUpto(_)
            | Record::HistoryUpto(_)
            | Record::OutputsUpto(_)
            | Record::CheckpointBegin(_)
            | Record::CheckpointBlob(_)
            | Record::CheckpointCluster(_)
            | Record::CheckpointJob(_)
            | Record::CheckpointFactory(_) => false,
        }
    }

    /// The job that the record is about, if it is about exactly one.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Record::Edited(r) => Some(r.job),
            Record::Held(r) => Some(r.job),
            Record::Released(r) => Some(r.job),
            Record::Removed(r) => Some(r.job),
            Record::Started(r) => Some(r.job),
            Record::Lost(r) => Some(r.job),
            Record::Ended(r) => Some(r.job),
            Record::LeftQueue(r) => Some(r.job),
            Record::CheckpointJob(r) => Some(r.job),
            Record::Submitted(_)
            | Record::Taken(_)
            | Record::ClockMark(_)
            | Record::EventsUpto(_)
            | Record::HistoryUpto(_)
            | Record::OutputsUpto(_)
            | Record::CheckpointBegin(_)
            | Record::CheckpointBlob(_)
            | Record::CheckpointCluster(_)
            | Record::CheckpointEnd(_)
            | Record::CheckpointFactory(_) => None,
        }
    }
}

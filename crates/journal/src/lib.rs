//! The journal: the durable story of the queue, as bytes.
//!
//! What is here: the records ([`Record`]), their frames ([`frame`]), the [`Writer`] that turns records into steps on
//! segment files, the [`keeper`] that decides what is written and synced together, the [`Storage`] that carries them out, the scan that reads a journal back and tells a torn tail from
//! damage, and the salvage of a damaged one. What is not: files (the shell implements [`Storage`]), clocks, threads,
//! and the meaning of a record for the queue, which is the core's. The bytes are described in `docs/journal-format.md`.
//!
//! Start reading at [`Record`], then [`Writer`], then [`replay()`].

mod checkpoint;
mod error;
pub mod frame;
mod job_id;
pub mod keeper;
mod old;
#[doc(hidden)]
pub mod powercut;
mod raw_bytes;
mod record;
mod replay;
mod salvage;
mod segment;
mod storage;
mod walk;
mod writer;

pub use checkpoint::{
    Allocation, CheckpointBegin, CheckpointBlob, CheckpointCluster, CheckpointEnd, CheckpointFactory, CheckpointJob,
    HoldReason, JobEnding, JobStatus, JobStory,
};
pub use error::{Fault, JournalError, Position};
pub use frame::{EncodeError, PAYLOAD_MAX, PayloadError};
pub use job_id::{JobId, JobIdError};
pub use record::{
    Blob, BlobHash, ClockMark, Edited, Edits, Ended, EventsUpto, Exit, Held, HistoryUpto, How, INLINE_MAX, LeftQueue,
    Lost, LostReason, OutputsUpto, Record, Released, Removed, Started, Submitted, SubmittedCluster, Taken,
};
pub use replay::{Checkpoint, Entry, Recovery, Tail, read_through, replay, survey};
pub use salvage::{Loss, Salvaged, salvage};
pub use segment::{JournalId, segment_name, segment_number};
pub use storage::Storage;
pub use writer::{Batch, ROTATE_AT, Segment, Step, StepError, UNSYNCED_MAX, Writer};

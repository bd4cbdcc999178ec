//! One dispatch of a job, from the match to its last word.

use journal::{Exit, LostReason};
use wq_proto::TaskId;

use crate::ids::{BlobId, JobId, LinkId, RecordNo, Timestamp};
use crate::io::{Delivery, Trouble};
use crate::jobs::Slot;
use crate::jobs::limits::LimitsId;
use crate::run::{JobFiles, SandboxNames};
use crate::workers::Shape;

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The shell looks up its files.
    Preparing,
    /// Its bytes are on the way to the peer.
    Sending,
    /// The peer has the whole task.
    Running,
    /// The result is in, outputs are being fetched; so many are missing.
    Fetching(usize),
    /// Outputs are being put in place.
    Delivering,
    /// Its end is on the way to the disk.
    Recording,
    /// Outputs could not be put in place: they wait at the worker (decision D37).
    Parked,
    /// A `kill` is on its way; this happens when the peer has confirmed it.
    Killing(Verdict),
}

/// What follows when a run was stopped on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The job leaves.
    Remove,
    /// The job stays held, by this record.
    Hold(RecordNo),
    /// The job goes back to the queue for this reason.
    Requeue(LostReason, String),
    /// Its story has gone on already; if it waits, it waits only for this.
    Nothing,
}

/// Something the job brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Name in the peer's cache.
    pub cached: String,
    /// Path in the sandbox.
    pub sandbox: String,
    /// Where it goes.
    pub target: String,
    /// What it is.
    pub kind: OutputKind,
    /// The worker sends its growth while the job runs.
    pub watched: bool,
    /// Has arrived.
    pub done: bool,
    /// Nothing of that name was there.
    pub missing: bool,
    /// Bytes.
    pub size: u64,
}

/// Kinds of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// stdout or stderr: empty when missing.
    Stream,
    /// Declared: the job is held when it is missing.
    Declared,
    /// The folder of all new files.
    Everything,
}

/// An attempt.
#[derive(Debug)]
pub struct Attempt {
    /// Whose.
    pub job: JobId,
    /// Where the job stands.
    pub slot: Slot,
    /// Where it runs; [`LinkId::NONE`] if that is the submit host.
    pub link: LinkId,
    /// It runs on the submit host: universes local and scheduler.
    pub local: bool,
    /// Its share of the peer; given back when the result is in.
    pub shape: Shape,
    /// The share is booked.
    pub booked: bool,
    /// What it has taken of things that are limited.
    pub limits: LimitsId,
    /// Number of the attempt among the job's.
    pub number: u32,
    /// How far it is.
    pub state: State,
    /// Number of the task on the link.
    pub task: Option<TaskId>,
    /// What the job takes along and brings back.
    pub files: Box<JobFiles>,
    /// Names in the sandbox.
    pub names: Box<SandboxNames>,
    /// What it brings back.
    pub outputs: Vec<Output>,
    /// Names in the peer's cache that go with the attempt.
    pub cached: Vec<String>,
    /// What it needs of the contents that the peer keeps.
    pub kept: Vec<BlobId>,
    /// Its outputs were asked for together with its result.
    pub asked_ahead: bool,
    /// When the last byte of the task was sent.
    pub started: Timestamp,
    /// Bytes to the worker.
    pub sent: u64,
    /// Bytes back.
    pub received: u64,
    /// From the result.
    pub exit: Option<Exit>,
    /// Raw exit number of the result.
    pub raw_exit: i32,
    /// Run time at the worker in µs.
    pub run_time_us: u64,
    /// First bytes of the worker's own text (not the job's log).
    pub text: Vec<u8>,
    /// What went wrong with an output.
    pub trouble: Option<Trouble>,
}

impl Attempt {
    /// What the attempt leaves in the peer's cache.
    pub fn names_in_cache(&self) -> Vec<String> {
        self.cached.iter().cloned().chain(self.outputs.iter().map(|output| output.cached.clone())).collect()
    }

    /// What is to be put in place.
    pub fn deliveries(&self) -> Vec<Delivery> {
        use crate::io::DeliveryKind;
        let mode = self.files.output_mode;
        let all = self.outputs.iter().enumerate();
        all.map(|(at, output)| Delivery {
            output: at as u16,
            target: output.target.clone(),
            how: match output.kind {
                OutputKind::Stream if output.missing => DeliveryKind::Empty(mode),
                OutputKind::Everything if output.missing => DeliveryKind::Nowhere,
                OutputKind::Everything => DeliveryKind::Spread { remaps: self.files.remaps.clone() },
                OutputKind::Stream | OutputKind::Declared => DeliveryKind::Rename,
            },
        })
        .collect()
    }
}

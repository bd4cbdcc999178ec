//! Peers, attempts and timers of the core. Moments are µs of the service clock, which goes on over restarts.

use journal::{Exit, Started};
use serde::{Deserialize, Serialize};

use crate::text;

/// What the core knows beyond the journal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Core {
    /// Number of the attempt that comes next: names in the peers' caches have it.
    pub next_attempt: u64,
    /// Number of the cluster that comes next.
    #[serde(default)]
    pub next_cluster: u32,
    /// Cluster numbers that were handed out and not used yet.
    #[serde(default)]
    pub reserved: Vec<u32>,
    /// Jobs that ended since the service began.
    #[serde(default)]
    pub completed: u64,
    /// When links were lost of late.
    #[serde(default)]
    pub recent_losses: Vec<u64>,
    /// Hosts that fail jobs.
    #[serde(default)]
    pub hosts: Vec<Host>,
    /// By slot.
    pub peers: Vec<Peer>,
    /// In order of their numbers.
    pub attempts: Vec<Attempt>,
    /// What is due and when.
    #[serde(default)]
    pub timers: Vec<(u64, Timer)>,
    /// Jobs that find no room, one for all that are like it, and since when.
    #[serde(default)]
    pub stuck: Vec<(u32, u32, u64)>,
}

/// A link's place and turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkId {
    /// Place in the table.
    pub slot: u32,
    /// How often it was used before.
    pub turn: u32,
}

/// Cores, GPUs, memory and disk in MB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Cores.
    pub cores: u32,
    /// GPUs.
    pub gpus: u32,
    /// MB.
    pub memory_mb: u64,
    /// MB.
    pub disk_mb: u64,
}

/// What a job needs, in the same terms.
pub type Shape = Amount;

/// Failures in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strikes {
    /// How many.
    pub failures: u32,
    /// No work until then.
    pub until: Option<u64>,
}

/// A host that fails jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Name and address.
    pub key: String,
    /// Its failures.
    pub strikes: Strikes,
    /// The last one.
    pub last: u64,
}

/// How far a peer has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its greeting is not complete.
    #[default]
    Greeting,
    /// It gets work.
    Ready,
}

/// A shape that a peer has given back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which.
    pub shape: Shape,
    /// How often in a row.
    pub times: u32,
}

/// A content in a peer's cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its hash.
    pub content: String,
    /// Bytes.
    pub size: u64,
}

/// Resources whose lines are being read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// In all.
    pub total: Amount,
    /// For one job.
    pub largest: Amount,
    /// Workers.
    pub workers: u32,
}

/// An answer that is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// To `send_results`; the attempt whose outputs were asked for with it.
    Results(Option<u64>),
    /// To a `get`: attempt and output.
    Output(u64, u16),
}

/// A worker or foreman.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// Its connection.
    pub link: LinkId,
    /// `ip:port`.
    pub address: String,
    /// How far it is.
    pub phase: Phase,
    /// What it speaks.
    pub protocol: u32,
    /// It has workers of its own.
    pub foreman: bool,
    /// What only foremen have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<Below>,
    /// Its name.
    pub host: String,
    /// Processor.
    pub arch: String,
    /// Operating system.
    pub op_sys: String,
    /// What it has.
    pub total: Amount,
    /// The most for one job.
    pub largest: Amount,
    /// Workers that it told of.
    pub workers: u32,
    /// Half a block of resources.
    #[serde(default)]
    pub stage: Option<Stage>,
    /// Tasks that it ran.
    #[serde(default)]
    pub completed: u64,
    /// Number of its next task.
    pub next_task: u32,
    /// Answers still to come, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expects: Vec<Expect>,
    /// More results wait there than were asked for.
    #[serde(default)]
    pub more_results: bool,
    /// Results wait there and were not asked for because of the restart.
    #[serde(default)]
    pub put_off: bool,
    /// What it keeps, longest unneeded first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Kept>,
    /// Unanswered `check`s, each with the attempts whose `kill` was sent before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Vec<u64>>,
    /// When the oldest of them was sent.
    #[serde(default)]
    pub checked_at: Option<u64>,
    /// When it is looked at.
    #[serde(default)]
    pub look_at: Option<u64>,
    /// When it was heard last.
    #[serde(default)]
    pub heard_at: u64,
    /// Whether it has tasks, and since when.
    #[serde(default)]
    pub active: (bool, u64),
    /// It said that it is leaving.
    #[serde(default)]
    pub leaving: bool,
    /// What it has given back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// Its failures.
    #[serde(default)]
    pub strikes: Strikes,
    /// No work until then.
    #[serde(default)]
    pub quarantined_until: Option<u64>,
    /// It is kept free for this job: cluster and proc.
    #[serde(default)]
    pub reserved: Option<(u32, u32)>,
}

/// Tasks at a foreman.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Below {
    /// The youngest task that it had received when it last said so.
    pub tag: u32,
    /// Its next word on waiting tasks means something else.
    #[serde(default)]
    pub second: bool,
    /// Since when tasks wait there.
    #[serde(default)]
    pub waiting_since: Option<u64>,
    /// Attempts to be killed once no task waits, and the numbers of their tasks.
    #[serde(default)]
    pub kills: Vec<(u64, u32)>,
    /// Tasks that are left to end.
    #[serde(default)]
    pub leftovers: Vec<Leftover>,
}

/// A task whose job has gone on without it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// Its number.
    pub task: u32,
    /// Its share.
    pub shape: Shape,
    /// Names in the foreman's cache that go with it.
    pub names: Vec<String>,
}

/// What an output is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// stdout or stderr.
    #[default]
    Stream,
    /// A declared one.
    Declared,
    /// All new files.
    Everything,
}

/// Something that a job brings back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Name in the peer's cache.
    pub cached: String,
    /// Path in the sandbox.
    pub sandbox: String,
    /// Where it goes.
    pub target: String,
    /// What it is.
    pub kind: OutputKind,
    /// Its growth is sent while the job runs.
    #[serde(default)]
    pub watched: bool,
}

/// How far an attempt is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Its bytes are on their way; the record of its start is written and does not count yet.
    Sending(Started),
    /// The peer has it.
    #[default]
    Running,
    /// Its outputs wait at the peer until they can be put in place.
    Parked,
}

/// A dispatch of a job that is with a peer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number.
    pub id: u64,
    /// The job's cluster …
    pub cluster: u32,
    /// … and proc.
    pub proc_: u32,
    /// Where it is.
    pub link: LinkId,
    /// Its share.
    pub shape: Shape,
    /// The share is booked.
    pub booked: bool,
    /// What it takes of things that are limited is taken.
    #[serde(default)]
    pub limited: bool,
    /// Number among the job's attempts.
    pub number: u32,
    /// How far it is.
    pub progress: Progress,
    /// Number of the task on the link.
    pub task: u32,
    /// What it brings back.
    pub outputs: Vec<Output>,
    /// Names in the peer's cache that go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cached: Vec<String>,
    /// Contents that it needs of those that the peer keeps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// Its outputs were asked for together with its result.
    #[serde(default)]
    pub asked_ahead: bool,
    /// The time before which the job might not start, in seconds since 1970.
    #[serde(default)]
    pub deferred_s: Option<i64>,
    /// When the last byte of the task was out.
    pub started: u64,
    /// Bytes to the worker.
    #[serde(default)]
    pub sent: u64,
    /// First bytes of the worker's own text.
    #[serde(default, with = "text", skip_serializing_if = "Vec::is_empty")]
    pub text: Vec<u8>,
    /// How the program ended, if it has.
    #[serde(default)]
    pub exit: Option<Exit>,
    /// The same as the peer's number.
    #[serde(default)]
    pub raw_exit: i32,
    /// Run time at the worker in µs.
    #[serde(default)]
    pub run_time_us: u64,
}

/// What shall happen later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// A peer's greeting must be complete.
    Hello(LinkId),
    /// A look at a peer.
    Check(LinkId),
    /// A peer may get work again.
    Quarantine(LinkId),
    /// An undeliverable result has waited long enough.
    Parked(u64),
    /// The job may not run longer.
    TimeLimit(u64),
}

//! Events: what happened to which job, and when.

use crate::resources::Resources;
use crate::time::EventTime;
use crate::value::{Attributes, Value};

/// One entry of a job event log.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The job it is about.
    pub job: EventJob,
    /// When it happened.
    pub time: EventTime,
    /// What happened.
    pub kind: Kind,
}

/// `(cluster.proc.subproc)` of an event. Negative numbers say that there is none: an event about a whole cluster has
/// proc −1, an event about the log itself has −1 three times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventJob {
    /// Cluster id.
    pub cluster: i32,
    /// Number in the cluster.
    pub proc_: i32,
    /// Always 0 since the parallel universe of old is gone.
    pub subproc: i32,
}

impl EventJob {
    /// The job `cluster.proc`.
    pub const fn new(cluster: i32, proc_: i32) -> EventJob {
        EventJob { cluster, proc_, subproc: 0 }
    }
}

/// What happened. The number in front of each is the event number of HTCondor.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// 000
    Submit(Submit),
    /// 001
    Execute(Execute),
    /// 004
    Evicted(Box<Evicted>),
    /// 005
    Terminated(Box<Terminated>),
    /// 006
    ImageSize(ImageSize),
    /// 007
    ShadowException(ShadowException),
    /// 008: any text, on one line.
    Generic(String),
    /// 009, with the reason.
    Aborted(Option<String>),
    /// 010, with the number of processes suspended.
    Suspended(i64),
    /// 011
    Unsuspended,
    /// 012
    Held(Held),
    /// 013, with the reason.
    Released(Option<String>),
    /// 021
    RemoteError(RemoteError),
    /// 022
    Disconnected(Disconnected),
    /// 023
    Reconnected(Reconnected),
    /// 024
    ReconnectFailed(ReconnectFailed),
    /// 035: a cluster whose jobs appear one after another, with the host it was submitted from.
    ClusterSubmit(String),
    /// 036
    ClusterRemove(ClusterRemove),
    /// 037
    FactoryPaused(FactoryPaused),
    /// 038, with the reason.
    FactoryResumed(Option<String>),
    /// 040
    FileTransfer(FileTransfer),
    /// Any number, read from a classic log in a shape not known here.
    Unknown(Unknown),
    /// Any number, read from an XML or JSON log in a shape not known here. Cluster, proc, time and number are not
    /// among the attributes.
    Ad(u16, Attributes),
}

impl Kind {
    /// The event number.
    pub fn number(&self) -> u16 {
        match self {
            Kind::Submit(_) => 0,
            Kind::Execute(_) => 1,
            Kind::Evicted(_) => 4,
            Kind::Terminated(_) => 5,
            Kind::ImageSize(_) => 6,
            Kind::ShadowException(_) => 7,
            Kind::Generic(_) => 8,
            Kind::Aborted(_) => 9,
            Kind::Suspended(_) => 10,
            Kind::Unsuspended => 11,
            Kind::Held(_) => 12,
            Kind::Released(_) => 13,
            Kind::RemoteError(_) => 21,
            Kind::Disconnected(_) => 22,
            Kind::Reconnected(_) => 23,
            Kind::ReconnectFailed(_) => 24,
            Kind::ClusterSubmit(_) => 35,
            Kind::ClusterRemove(_) => 36,
            Kind::FactoryPaused(_) => 37,
            Kind::FactoryResumed(_) => 38,
            Kind::FileTransfer(_) => 40,
            Kind::Unknown(unknown) => unknown.number,
            Kind::Ad(number, _) => *number,
        }
    }

    /// Whether the job is over: it terminated or was aborted.
    pub fn is_final(&self) -> bool {
        matches!(self.number(), 5 | 9)
    }
}

/// A job entered the queue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Submit {
    /// Address of the queue, `<127.0.0.1:9618?addrs=…>`.
    pub host: String,
    /// Notes with names: `JobBatchName`, `DAGNodeName`.
    pub structured: Attributes,
    /// `submit_event_notes`. The classic layout shows them only when there are no structured ones, as recorded.
    pub log_notes: Option<String>,
    /// `submit_event_user_notes`.
    pub user_notes: Option<String>,
}

/// A job began to run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Execute {
    /// Address of the place it runs at.
    pub host: String,
    /// Name of the slot.
    pub slot: Option<String>,
    /// `CondorScratchDir`, `Cpus`, `Disk` (KB), `Memory` (MB) …
    pub props: Attributes,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this exit code.
    Code(i32),
    /// By a signal.
    Signal {
        /// Number of the signal.
        signal: i32,
        /// Path of the core file, if there is one.
        core: Option<String>,
    },
}

/// CPU time, user and system, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time in the program.
    pub user_s: u64,
    /// Time in the kernel for it.
    pub system_s: u64,
}

/// CPU times at the worker (remote) and here (local).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// At the worker.
    pub remote: Usage,
    /// Here.
    pub local: Usage,
}

/// An attempt ended without ending the job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evicted {
    /// Set if the program ran to its end and the job's policy sent it back to the queue.
    pub requeue: Option<Requeue>,
    /// `ReasonCode`, 0 if there is none. 1022: vacated, 1023: removed, else a hold code.
    pub code: i32,
    /// `ReasonSubCode`.
    pub subcode: i32,
    /// Why.
    pub reason: Option<String>,
    /// CPU times of the attempt.
    pub run: CpuTimes,
    /// Bytes that the job sent.
    pub sent_bytes: u64,
    /// Bytes that it received.
    pub received_bytes: u64,
    /// The table, if the attempt had one.
    pub resources: Option<Resources>,
}

/// The end of an attempt whose job was sent back to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requeue {
    /// How the program ended.
    pub exit: Exit,
}

/// A job ran to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Terminated {
    /// How the program ended.
    pub exit: Exit,
    /// CPU times of the last attempt.
    pub run: CpuTimes,
    /// CPU times of all attempts.
    pub total: CpuTimes,
    /// Bytes that the job sent in its last attempt.
    pub sent_bytes: u64,
    /// Bytes that it received in its last attempt.
    pub received_bytes: u64,
    /// Bytes sent in all attempts.
    pub total_sent_bytes: u64,
    /// Bytes received in all attempts.
    pub total_received_bytes: u64,
    /// The table, if the job had one.
    pub resources: Option<Resources>,
}

/// New measures of a running job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImageSize {
    /// Image size, KB.
    pub size_kb: i64,
    /// `MemoryUsage`, MB.
    pub memory_mb: Option<i64>,
    /// `ResidentSetSize`, KB.
    pub resident_kb: Option<i64>,
    /// `ProportionalSetSize`, KB.
    pub proportional_kb: Option<i64>,
}

/// The place where a job ran was lost in an unexpected way.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShadowException {
    /// What went wrong.
    pub message: String,
    /// Bytes that the job sent.
    pub sent_bytes: u64,
    /// Bytes that it received.
    pub received_bytes: u64,
}

/// A job was held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Why; empty prints as `Reason unspecified`.
    pub reason: String,
    /// `HoldReasonCode`.
    pub code: i32,
    /// `HoldReasonSubCode`.
    pub subcode: i32,
}

/// A daemon at the worker reports an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteError {
    /// `starter` …
    pub daemon: String,
    /// The slot.
    pub host: String,
    /// What it says; may have several lines.
    pub message: String,
    /// Whether it is an error, or only a warning.
    pub critical: bool,
    /// Hold code, 0 if there is none.
    pub code: i32,
    /// Its sub code.
    pub subcode: i32,
}

/// The connection to a running job broke; it may come back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disconnected {
    /// Why.
    pub reason: String,
    /// Slot where the job runs.
    pub startd_name: String,
    /// Address of that place.
    pub startd_addr: String,
}

/// The connection to a running job is back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconnected {
    /// Slot where the job runs.
    pub startd_name: String,
    /// Address of that place.
    pub startd_addr: String,
    /// Address of the job's own guardian there.
    pub starter_addr: String,
}

/// The connection to a running job did not come back; the job is idle again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReconnectFailed {
    /// Why.
    pub reason: String,
    /// Slot where the job ran.
    pub startd_name: String,
}

/// A cluster whose jobs appeared one after another is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRemove {
    /// Jobs that appeared.
    pub materialized: i64,
    /// Rows of its item list.
    pub items: i64,
    /// How far it came.
    pub completion: Completion,
}

/// How far the jobs of a cluster had appeared when it was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// Not all.
    Incomplete,
    /// All.
    Complete,
    /// Not all, and the rest was paused.
    Paused,
}

/// No more jobs of a cluster appear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactoryPaused {
    /// Why.
    pub reason: Option<String>,
    /// 1 when the cluster was held, -1 when its jobs cannot be made; 0 is not told.
    pub pause_code: i32,
    /// As `HoldReasonCode`; 0 is not told.
    pub hold_code: i32,
}

/// A stage of moving files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTransfer {
    /// Which.
    pub stage: TransferStage,
    /// The other side.
    pub host: Option<String>,
    /// How long the transfer waited for its turn, s.
    pub queueing_delay_s: Option<i64>,
}

/// The stages of moving files, numbered from 1 in the attribute `Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferStage {
    /// 1: inputs wait for their turn.
    InputQueued,
    /// 2: inputs begin to move.
    InputStarted,
    /// 3: inputs are there.
    InputFinished,
    /// 4: outputs wait for their turn.
    OutputQueued,
    /// 5: outputs begin to move.
    OutputStarted,
    /// 6: outputs are here.
    OutputFinished,
}

impl TransferStage {
    /// All stages in the order of their numbers.
    pub const ALL: [TransferStage; 6] = [
        TransferStage::InputQueued,
        TransferStage::InputStarted,
        TransferStage::InputFinished,
        TransferStage::OutputQueued,
        TransferStage::OutputStarted,
        TransferStage::OutputFinished,
    ];

    /// The headline in the classic layout.
    pub(crate) fn headline(self) -> &'static str {
        match self {
            TransferStage::InputQueued => "Entered queue to transfer input files",
            TransferStage::InputStarted => "Started transferring input files",
            TransferStage::InputFinished => "Finished transferring input files",
            TransferStage::OutputQueued => "Entered queue to transfer output files",
            TransferStage::OutputStarted => "Started transferring output files",
            TransferStage::OutputFinished => "Finished transferring output files",
        }
    }
}

/// An event as it stood in a classic log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown {
    /// The event number.
    pub number: u16,
    /// What follows the date in the header line.
    pub headline: String,
    /// The lines between header and `...`, with their leading blanks.
    pub lines: Vec<String>,
}

/// A text on one line: each run of line breaks and other control characters (tabs excepted) becomes one blank.
///
/// All texts of an event pass through here when they are printed, so that no reason can end its event early or begin
/// another one.
pub fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_run = false;
    for c in text.chars() {
        let breaks = c.is_control() && c != '\t';
        match (breaks, in_run) {
            (false, _) => out.push(c),
            (true, false) => out.push(' '),
            (true, true) => {}
        }
        in_run = breaks;
    }
    out
}

/// Events as the master writes them.
impl Event {
    /// 000: a job entered the queue at `host`.
    pub fn submit(job: EventJob, time: EventTime, host: &str, batch_name: Option<&str>) -> Event {
        let structured = batch_name.map(|name| ("JobBatchName".to_owned(), Value::text(name))).into_iter().collect();
        let submit = Submit { host: host.to_owned(), structured, ..Submit::default() };
        Event { job, time, kind: Kind::Submit(submit) }
    }

    /// 001: a job runs at `host` with these resources (disk in KB, memory in MB).
    pub fn executing(
        job: EventJob,
        time: EventTime,
        host: &str,
        slot: &str,
        cpus: i64,
        disk_kb: i64,
        memory_mb: i64,
    ) -> Event {
        let props = [("Cpus", cpus), ("Disk", disk_kb), ("Memory", memory_mb)]
            .map(|(name, number)| (name.to_owned(), Value::Int(number)))
            .to_vec();
        let execute = Execute { host: host.to_owned(), slot: Some(slot.to_owned()), props };
        Event { job, time, kind: Kind::Execute(execute) }
    }

    /// 001 of a job that runs on the submit host: no slot, no resources.
    pub fn executing_here(job: EventJob, time: EventTime, host: &str) -> Event {
        let execute = Execute { host: host.to_owned(), ..Execute::default() };
        Event { job, time, kind: Kind::Execute(execute) }
    }

    /// 005: a job ran to its end. CPU times are 0, since nothing measures them; `bytes` are those sent and received
    /// by the job in its last attempt, `total_bytes` in all.
    pub fn terminated(
        job: EventJob,
        time: EventTime,
        exit: Exit,
        bytes: (u64, u64),
        total_bytes: (u64, u64),
        resources: Option<Resources>,
    ) -> Event {
        let terminated = Terminated {
            exit,
            run: CpuTimes::default(),
            total: CpuTimes::default(),
            sent_bytes: bytes.0,
            received_bytes: bytes.1,
            total_sent_bytes: total_bytes.0,
            total_received_bytes: total_bytes.1,
            resources,
        };
        Event { job, time, kind: Kind::Terminated(Box::new(terminated)) }
    }

    /// 004: an attempt came to nothing. `code` is 1022 (vacated, lost), 1023 (removed) or a hold code.
    pub fn evicted(
        job: EventJob,
        time: EventTime,
        (code, subcode): (i32, i32),
        reason: &str,
        bytes: (u64, u64),
        resources: Option<Resources>,
    ) -> Event {
        let evicted = Evicted {
            code,
            subcode,
            reason: Some(reason.to_owned()),
            sent_bytes: bytes.0,
            received_bytes: bytes.1,
            resources,
            ..Evicted::default()
        };
        Event { job, time, kind: Kind::Evicted(Box::new(evicted)) }
    }

    /// 004: an attempt ran to its end and the job's policy sent it back to the queue, for this reason.
    pub fn requeued(job: EventJob, time: EventTime, exit: Exit, reason: &str, bytes: (u64, u64)) -> Event {
        let evicted = Evicted {
            requeue: Some(Requeue { exit }),
            reason: Some(reason.to_owned()),
            sent_bytes: bytes.0,
            received_bytes: bytes.1,
            ..Evicted::default()
        };
        Event { job, time, kind: Kind::Evicted(Box::new(evicted)) }
    }

    /// 012: a job was held.
    pub fn held(job: EventJob, time: EventTime, reason: &str, code: i32, subcode: i32) -> Event {
        let held = Held { reason: reason.to_owned(), code, subcode };
        Event { job, time, kind: Kind::Held(held) }
    }

    /// 013: a job was released.
    pub fn released(job: EventJob, time: EventTime, reason: &str) -> Event {
        Event { job, time, kind: Kind::Released(Some(reason.to_owned())) }
    }

    /// 009: a job was removed.
    pub fn aborted(job: EventJob, time: EventTime, reason: &str) -> Event {
        Event { job, time, kind: Kind::Aborted(Some(reason.to_owned())) }
    }

    /// 021: the program could not be started, or files not be moved.
    pub fn remote_error(
        job: EventJob,
        time: EventTime,
        slot: &str,
        message: &str,
        (code, subcode): (i32, i32),
    ) -> Event {
        let error = RemoteError {
            daemon: "starter".to_owned(),
            host: slot.to_owned(),
            message: message.to_owned(),
            critical: true,
            code,
            subcode,
        };
        Event { job, time, kind: Kind::RemoteError(error) }
    }

    /// 040: a stage of moving files.
    pub fn file_transfer(job: EventJob, time: EventTime, stage: TransferStage, host: Option<&str>) -> Event {
        let transfer = FileTransfer { stage, host: host.map(str::to_owned), queueing_delay_s: None };
        Event { job, time, kind: Kind::FileTransfer(transfer) }
    }
}

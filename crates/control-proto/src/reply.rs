//! Replies: what the master answers.

use serde::{Deserialize, Serialize};

use crate::request::JobNumber;

/// Facts about the site that come with every answer, so that the programs need no configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// The scheduler's name: the host name.
    pub host: String,
    /// `UID_DOMAIN`: the host name without its first label.
    pub domain: String,
    /// `ip:port` of the worker port, shown where HTCondor shows the schedd's address.
    pub address: String,
    /// The `$CondorVersion: … $` string.
    pub condor_version: String,
    /// Wall clock of the answer in seconds since 1970.
    pub now_s: i64,
    /// The caller's user name as the master knows it.
    pub user: String,
    /// The caller may see and change everybody's jobs.
    pub superuser: bool,
    /// Print one line a job for AliEn's own two counting commands (decision D61).
    pub alien_count_lines: bool,
    /// Path of the history's file; empty if none is kept.
    #[serde(default)]
    pub history: String,
    /// Print the "To monitor your job(s)" hint on stderr after a submission (decision D63).
    pub submit_hint: bool,
}

/// Head of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Reply {
    /// The jobs are durable.
    Submitted {
        /// In the order of the request.
        clusters: Vec<SubmittedCluster>,
        /// Sentences for stderr, e.g. that a log file cannot be written.
        #[serde(default)]
        warnings: Vec<String>,
    },
    /// A reserved cluster number.
    Reserved {
        /// The number.
        cluster: u32,
    },
    /// What became of each job or of all that matched.
    Acted(Acted),
    /// The outputs of the jobs that were meant are in their places, as far as they could be.
    DataTransferred {
        /// Jobs that were meant, whether or not they had anything to bring.
        jobs: u64,
        /// Jobs whose outputs could not be put in place, and why; they stay in the spool.
        failures: Vec<(JobNumber, String)>,
    },
    /// Hosts that get work again: name and address of each.
    HostsReleased {
        /// Those that had to wait.
        hosts: Vec<String>,
        /// Names of the request that meant none of them.
        others: Vec<String>,
    },
    /// The planned restart is done; this is the new program.
    Reloaded(Reloaded),
    /// Why each job waits, in the order of the request.
    Explained {
        /// Those that are in the queue.
        jobs: Vec<Explanation>,
    },
    /// Ads follow in [`crate::Kind::Rows`] frames, then [`ListingEnd`] in the `End` frame.
    Listing,
    /// Alive.
    Pong,
    /// Nothing was done.
    Refused {
        /// For the program to branch on.
        code: Refusal,
        /// One sentence for the user.
        message: String,
        /// With [`Refusal::Version`]: the newest version that the master speaks.
        #[serde(default)]
        speaks: Option<u16>,
    },
}

/// Why nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The client is newer than the master.
    Version,
    /// The frame or its content cannot be understood.
    Malformed,
    /// This user may not.
    Permission,
    /// A constraint does not parse.
    Constraint,
    /// A limit of jobs, size or rate.
    Limit,
    /// The master is draining or stopping.
    Draining,
    /// The state directory cannot be written.
    Storage,
    /// It cannot be done at this moment; nothing was changed.
    NotNow,
}

/// What a planned restart has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Release of the old program.
    pub from: String,
    /// Release of the new one.
    pub to: String,
    /// How long nothing was sent to workers, in ms.
    pub paused_ms: u64,
    /// Connections that went along.
    pub links: u64,
    /// Tasks that are with workers and went along.
    pub tasks: u64,
    /// Connections that could not go along and were closed.
    #[serde(default)]
    pub dropped: u64,
}

/// One cluster that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmittedCluster {
    /// Its number.
    pub cluster: u32,
    /// First proc, normally 0.
    pub first_proc: u32,
    /// How many procs.
    pub procs: u32,
}

/// Result of one action on one job, in the words of HTCondor's own codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// Done.
    Success,
    /// No such job.
    NotFound,
    /// The job's state does not allow it (release of a job that is not held).
    BadStatus,
    /// It is so already.
    AlreadyDone,
    /// Somebody else's job, or one that is complete.
    PermissionDenied,
}

/// Answer to an action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// For single jobs: each with its outcome, in the order of the request.
    #[serde(default)]
    pub jobs: Vec<(JobNumber, JobOutcome)>,
    /// Sums over all jobs that were meant.
    pub counts: Counts,
    /// The queue had no job at all.
    #[serde(default)]
    pub queue_empty: bool,
}

/// Numbers of jobs by outcome, as `-totals` prints them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// [`JobOutcome::Success`].
    pub success: u64,
    /// [`JobOutcome::NotFound`].
    pub not_found: u64,
    /// [`JobOutcome::BadStatus`].
    pub bad_status: u64,
    /// [`JobOutcome::AlreadyDone`].
    pub already_done: u64,
    /// [`JobOutcome::PermissionDenied`].
    pub permission_denied: u64,
}

impl Counts {
    /// Adds one outcome.
    pub fn add(&mut self, outcome: JobOutcome) {
        let field = match outcome {
            JobOutcome::Success => &mut self.success,
            JobOutcome::NotFound => &mut self.not_found,
            JobOutcome::BadStatus => &mut self.bad_status,
            JobOutcome::AlreadyDone => &mut self.already_done,
            JobOutcome::PermissionDenied => &mut self.permission_denied,
        };
        *field += 1;
    }
}

/// Why a job waits: what the connected machines (workers and foremen) are to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Which job.
    pub job: JobNumber,
    /// `JobStatus`.
    pub status: i32,
    /// It is on its way to a worker: its files are looked up, or are being sent.
    pub starting: bool,
    /// It may not start before this time, seconds since 1970 (`deferral_time`).
    #[serde(default)]
    pub deferred_until_s: Option<i64>,
    /// It runs on the master's own machine (universe local or scheduler), where so many run of so many; no other machine
    /// counts.
    #[serde(default)]
    pub local: Option<(u64, u64)>,
    /// A machine is kept free for it, because it has waited long for room.
    pub has_reserved: bool,
    /// Each clause of `Requirements` that tells machines apart, and how many machines fulfil it.
    pub clauses: Vec<(String, u64)>,
    /// What it needs of a machine.
    pub needs: Vec<Need>,
    /// How the machines stand to it; each is counted once, for the first reason that applies.
    pub machines: Machines,
}

/// An amount that a job needs of one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// `cores`, `gpus`, `MB of memory`, `MB of disk`.
    pub of: String,
    /// How much; 0 where it asks for none.
    pub asked: u64,
    /// The most that one machine has.
    pub largest: u64,
    /// Machines that have enough.
    pub enough: u64,
}

/// Machines by what they are to a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machines {
    /// All that are connected and ready.
    pub all: u64,
    /// Different host names among them.
    pub hosts: u64,
    /// `Requirements` do not hold.
    pub unfit: u64,
    /// They never have as much as the job needs.
    pub small: u64,
    /// They get no work for a while, because they or their host failed jobs in a row.
    pub quarantined: u64,
    /// They are leaving, or gave such jobs back, or are foremen that lose their inputs (CCTools 7.5 and later).
    pub unusable: u64,
    /// They are kept free for another job that has waited long.
    pub reserved: u64,
    /// They have not enough free at the moment.
    pub busy: u64,
    /// They could take the job now.
    pub free: u64,
}

/// Attributes of a machine in listings that `requirements` and `rank` of jobs do not see: what it does now, and what
/// it would take. All others are those of the matching.
pub const MACHINE_STATE: &[&str] = &[
    "Activity",
    "ClientMachine",
    "EnteredCurrentActivity",
    "EnteredCurrentState",
    "JobId",
    "JobStarts",
    "LastHeardFrom",
    "LoadAvg",
    "MyAddress",
    "MyCurrentTime",
    "MyType",
    "RemoteOwner",
    "Requirements",
    "SlotID",
    "SlotType",
    "Start",
    "State",
    "TargetType",
    "TotalDisk",
    "TotalGPUs",
    "TotalSlots",
    "WorkQueueForeman",
    "WorkQueueFreeCpus",
    "WorkQueueFreeMemory",
    "WorkQueueJobs",
    "WorkQueueProtocol",
    "WorkQueueQuarantinedUntil",
    "WorkQueueReservedFor",
    "WorkQueueWorkers",
];

/// Jobs by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// All of them.
    pub jobs: u64,
    /// `JobStatus` 4.
    pub completed: u64,
    /// 3.
    pub removed: u64,
    /// 1.
    pub idle: u64,
    /// 2 (and 6).
    pub running: u64,
    /// 5.
    pub held: u64,
    /// 7.
    pub suspended: u64,
}

/// Content of the `End` frame of a listing: proof that the listing is whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingEnd {
    /// Ads that were sent.
    pub ads: u64,
    /// Over the selected jobs.
    pub selected: Totals,
    /// Over the caller's jobs.
    pub mine: Totals,
    /// Over the whole queue.
    pub all: Totals,
}

/// The payload of a [`crate::Kind::Reply`] frame.
pub fn write_head(site: &Site, reply: &Reply) -> Vec<u8> {
    let mut out = serde_json::to_vec(site).expect("a site is plain data");
    out.push(b'\n');
    out.extend(serde_json::to_vec(reply).expect("a reply is plain data"));
    out
}

/// Reads the payload of a [`crate::Kind::Reply`] frame.
pub fn read_head(payload: &[u8]) -> Result<(Site, Reply), serde_json::Error> {
    let cut = payload.iter().position(|b| *b == b'\n').unwrap_or(payload.len());
    let rest = payload.get(cut + 1..).unwrap_or_default();
    Ok((serde_json::from_slice(&payload[..cut])?, serde_json::from_slice(rest)?))
}

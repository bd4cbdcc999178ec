//! Requests: what a client may ask for in its one round trip.

use serde::{Deserialize, Serialize};

/// A job's number as users write it: cluster and proc.
pub type JobNumber = (u32, u32);

/// Everything a client can ask. Closed on purpose: reading it is reading the socket's surface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// New jobs, all or none.
    Submit(Submit),
    /// A cluster number for a submission whose text computes with `$(Cluster)`; the number is used up.
    ReserveCluster,
    /// Job ads.
    Query(Query),
    /// Remove, hold, release … jobs.
    Act(Act),
    /// Change attributes of jobs (`condor_qedit`, `condor_prio`); answered by [`crate::Reply::Acted`].
    Edit(Edit),
    /// Why jobs wait (`condor_q -better-analyze`).
    Why(Why),
    /// Ads of workers and foremen (`condor_status`).
    Machines(MachineQuery),
    /// Outputs of spooled jobs to their places (`condor_transfer_data`).
    TransferData(TransferData),
    /// Ads of jobs that have left the queue.
    History(HistoryQuery),
    /// The ad of the scheduler itself (`condor_status -schedd`).
    Schedd(ScheddQuery),
    /// An ad for each user who had jobs since the start (`condor_status -submitters`).
    Submitters(ScheddQuery),
    /// Hosts that get no work for their failures shall have another chance at once (`awq release-host`); for the master's
    /// own user and super-users. Answered by [`crate::Reply::HostsReleased`].
    ReleaseHosts(ReleaseHosts),
    /// A planned restart (`awq reload`), answered by [`crate::Reply::Reloaded`] when the new program serves.
    Reload(Reload),
    /// Is somebody there, and who?
    Ping,
}

/// Which hosts are forgiven.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseHosts {
    /// Names as `condor_status` shows them, exact; none means all hosts.
    pub hosts: Vec<String>,
}

/// How to restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// Absolute path of another program than the one that was started.
    #[serde(default)]
    pub program: Option<String>,
    /// How long what is under way may take to come to rest, in seconds.
    #[serde(default)]
    pub wait_s: u32,
    /// Connections inside TLS, which cannot be handed over, are closed; otherwise they keep the program as it is.
    #[serde(default)]
    pub drop_tls: bool,
}

/// `condor_submit`: the clusters of one submit file.
///
/// Behind the request frame follow, in any order, one [`crate::Kind::Blob`] frame or more for each entry of
/// `blob_sizes` and one [`crate::Kind::Procs`] frame for each cluster with varying attributes; then
/// [`crate::Kind::End`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submit {
    /// In the order of the file.
    pub clusters: Vec<ClusterRequest>,
    /// Sizes in bytes of executables, proxies and spooled inputs that come along.
    #[serde(default)]
    pub blob_sizes: Vec<u64>,
    /// Permission bits of each blob's file, parallel to `blob_sizes`.
    #[serde(default)]
    pub blob_modes: Vec<u32>,
    /// The submitter's umask: outputs get mode `0666 & !umask`.
    #[serde(default)]
    pub umask: u32,
}

/// One cluster of a submission.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRequest {
    /// A number from [`Request::ReserveCluster`]; `None` lets the master choose.
    #[serde(default)]
    pub number: Option<u32>,
    /// Attribute and expression text, common to all procs (and the first proc's value of the varying ones).
    /// The bytes U+0001 and U+0002 stand for the cluster's and the proc's number in decimal.
    pub ad: Vec<(String, String)>,
    /// How many procs, at least 1.
    pub procs: u32,
    /// Attributes whose text differs between procs; their values come in the `Procs` frame, one
    /// `classad::packed` row for each proc.
    #[serde(default)]
    pub varying: Vec<String>,
    /// The blob that is the executable; `None` when it is not transferred.
    #[serde(default)]
    pub executable: Option<u16>,
    /// The blob that is the X.509 proxy.
    #[serde(default)]
    pub proxy: Option<u16>,
    /// The blob that is the bearer token.
    #[serde(default)]
    pub token: Option<u16>,
    /// `-spool`: copies of everything that the jobs' ads name as inputs; outputs then wait to be fetched. `None`:
    /// inputs are read when the jobs start, outputs go to their places.
    #[serde(default)]
    pub spool: Option<Vec<SpooledFile>>,
}

/// A copied input, or a part of one that is a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpooledFile {
    /// Absolute path of the input, as [`crate::job_files`] makes it of the ad.
    pub input: String,
    /// Path below it, of plain components; empty: the input itself.
    #[serde(default)]
    pub inside: String,
    /// The blob with its content; `None`: an empty folder.
    #[serde(default)]
    pub blob: Option<u16>,
}

/// Which jobs: numbers, clusters and owners are or-ed; constraints are and-ed to them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Single jobs.
    #[serde(default)]
    pub jobs: Vec<JobNumber>,
    /// Whole clusters.
    #[serde(default)]
    pub clusters: Vec<u32>,
    /// Owners by name.
    #[serde(default)]
    pub owners: Vec<String>,
    /// ClassAd expressions in old syntax, each must be true.
    #[serde(default)]
    pub constraints: Vec<String>,
    /// Only the caller's own jobs (ignored for root and super-users).
    #[serde(default)]
    pub mine: bool,
}

/// `condor_q`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Which jobs.
    #[serde(default)]
    pub select: Selection,
    /// Attributes wanted; the master adds those that the ads' own expressions refer to. Empty: all.
    #[serde(default)]
    pub attributes: Vec<String>,
    /// At most so many ads.
    #[serde(default)]
    pub limit: Option<u64>,
    /// No ads, only the totals.
    #[serde(default)]
    pub totals_only: bool,
    /// Instead of jobs the ads of clusters whose jobs enter the queue one after another (`condor_q -factory`). They have no
    /// `ProcId`, so a constraint to that end keeps a master that does not know of this from listing jobs.
    #[serde(default)]
    pub factories: bool,
}

/// `condor_history`. Jobs are read in the order in which they left, the last one first, and answered in that order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryQuery {
    /// Which jobs; `mine` is not looked at.
    #[serde(default)]
    pub select: Selection,
    /// As in [`Query::attributes`].
    #[serde(default)]
    pub attributes: Vec<String>,
    /// At most so many ads.
    #[serde(default)]
    pub limit: Option<u64>,
    /// At most so many jobs are read.
    #[serde(default)]
    pub scan_limit: Option<u64>,
    /// Expressions; at the first job for which one is true reading ends, before that job.
    #[serde(default)]
    pub until: Vec<String>,
    /// The first one first.
    #[serde(default)]
    pub forwards: bool,
}

/// What to do with jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `condor_rm`.
    Remove,
    /// `condor_rm -forcex`: drop jobs in state X without waiting for their worker.
    RemoveForce,
    /// `condor_hold`.
    Hold,
    /// `condor_release`.
    Release,
    /// `condor_vacate_job`: stop the run, queue the job again.
    Vacate,
}

/// Which jobs an [`Act`] means; one kind each request, as HTCondor's programs send them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", content = "what", rename_all = "snake_case")]
pub enum Targets {
    /// Single jobs, answered one by one.
    Jobs(Vec<JobNumber>),
    /// All jobs for which the expression is true and which the caller may change.
    Constraint(String),
    /// All jobs of the caller (all jobs for root).
    All,
}

/// `condor_rm`, `condor_hold`, …
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// What to do.
    pub action: Action,
    /// With which jobs.
    pub targets: Targets,
    /// The caller's words (`-reason`); the master makes the attribute of it.
    #[serde(default)]
    pub reason: Option<String>,
    /// `-subcode` of `condor_hold`.
    #[serde(default)]
    pub subcode: Option<i32>,
}

/// `condor_qedit`, `condor_prio`: all changes of all jobs that are meant and that the caller may change, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Which jobs.
    pub targets: Targets,
    /// Attributes and expression texts in old syntax.
    pub attributes: Vec<(String, String)>,
    /// Each expression's value in the job's own ad is what is set, not the expression itself.
    #[serde(default)]
    pub evaluate: bool,
    /// Nothing is changed: the answer says what would be.
    #[serde(default)]
    pub dry_run: bool,
}

/// Why jobs wait, judged by the master with the eyes of its own matching; answered by [`crate::Reply::Explained`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// Which, at most [`Why::JOBS_MAX`]. Those that are not in the queue are left out of the answer.
    pub jobs: Vec<JobNumber>,
}

impl Why {
    /// Jobs that one request may name: each may ask something else of every machine.
    pub const JOBS_MAX: usize = 100;
}

/// `condor_status`: one ad for each worker or foreman that is connected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineQuery {
    /// Old-syntax expressions over a machine's ad, each must be true.
    #[serde(default)]
    pub constraints: Vec<String>,
}

/// `condor_transfer_data`: the outputs of all jobs for which an expression is true and which the caller may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferData {
    /// ClassAd expression in old syntax.
    pub constraint: String,
}

/// `condor_status -schedd`, and with `-submitters`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheddQuery {
    /// Old-syntax expressions over an ad, each must be true.
    #[serde(default)]
    pub constraints: Vec<String>,
}

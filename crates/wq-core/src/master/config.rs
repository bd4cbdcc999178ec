//! What the shell tells the master once, at its start.

use std::collections::BTreeMap;

use crate::ids::RecordNo;
use crate::io::BlobIn;

/// Local time, for `cron_*`; nothing: Greenwich.
#[derive(Clone, Default)]
pub struct Zone(pub Option<classad::OffsetAt>);

impl std::fmt::Debug for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Zone(local)" } else { "Zone(UTC)" })
    }
}

/// Settings and facts; plain data.
#[derive(Debug, Clone)]
pub struct Config {
    /// The schedd's name: the host name.
    pub host: String,
    /// `UID_DOMAIN`.
    pub domain: String,
    /// `ip:port` of the worker port, for event logs.
    pub address: String,
    /// `$CondorVersion: … $`.
    pub condor_version: String,
    /// `$CondorPlatform: … $`.
    pub condor_platform: String,
    /// Processors of this machine, for the scheduler's ad.
    pub cpus: u64,
    /// Memory of this machine, for the scheduler's ad.
    pub memory_mb: u64,
    /// When the service began, wall clock.
    pub started_s: i64,
    /// `--project-name`, the answer to a worker's `name`.
    pub project: String,
    /// `--job-wrapper`: sent with each job and put in front of its command.
    pub job_wrapper: Option<BlobIn>,
    /// Folder with the folders of spooled jobs, absolute.
    pub spool: String,
    /// Number of the first record to be written.
    pub next_record: RecordNo,
    /// Wall clock minus service clock, in seconds.
    pub wall_offset_s: i64,
    /// Local time of this machine.
    pub zone: Zone,
    /// `GridJobStatus` of idle jobs (`compat.grid_idle`).
    pub grid_idle: String,
    /// Most jobs of one submission.
    pub procs_max: u32,
    /// Most jobs of one owner.
    pub owner_jobs_max: u64,
    /// Most held jobs of one owner: beyond, submissions are refused.
    pub owner_held_max: u64,
    /// Most jobs of the universes local and scheduler that run at once (decision D60).
    pub local_jobs_max: usize,
    /// Losses that count until a job is held.
    pub losses_max: u32,
    /// The shell syncs each output before it reports it delivered (decision D36).
    pub outputs_fsync: bool,
    /// There is a history: jobs that leave are handed to it ([`Effect::Archive`](crate::Effect::Archive)).
    pub history: bool,
    /// Identity of this boot of the machine.
    pub boot_id: [u8; 16],
    /// Ask for the outputs of a link's only task together with its result, and send the next task with them (D38).
    pub one_write: bool,
    /// `requirements` and `rank` of jobs count (decision D44).
    pub match_requirements: bool,
    /// How many jobs that name a thing in `concurrency_limits` may run at once; what is not here is unlimited.
    pub concurrency_limits: BTreeMap<String, u64>,
    /// Seconds until a job that finds no room has a worker cleared for it (decision D45).
    pub reserve_s: u64,
    /// Seconds until a peer must have said hello.
    pub hello_s: u64,
    /// Seconds between checks of a peer with tasks.
    pub check_busy_s: u64,
    /// Seconds between checks of an idle peer.
    pub check_idle_s: u64,
    /// Seconds for the answer to a check.
    pub check_answer_s: u64,
    /// Seconds for the answer to a check behind a kill, which may block a worker.
    pub check_kill_s: u64,
    /// Seconds until a removed job is reported without its worker's confirmation.
    pub confirm_s: u64,
    /// What the master does wrong on purpose.
    #[cfg(feature = "mistakes")]
    pub mistake: Option<crate::Mistake>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            host: "localhost".into(),
            domain: "localdomain".into(),
            address: "127.0.0.1:9094".into(),
            condor_version: "$CondorVersion: 25.13.2 2026-08-20 BuildID: alien-workqueue-dev $".into(),
            condor_platform: "$CondorPlatform: X86_64-Debian_12 $".into(),
            cpus: 1,
            memory_mb: 1024,
            started_s: 0,
            project: "alien_jobs".into(),
            job_wrapper: None,
            spool: "/var/lib/alien-workqueue/spool/jobs".into(),
            next_record: RecordNo(1),
            wall_offset_s: 0,
            zone: Zone::default(),
            grid_idle: "IDLE".into(),
            procs_max: 1_000_000,
            owner_jobs_max: 10_000_000,
            owner_held_max: 10_000,
            local_jobs_max: 20,
            losses_max: 5,
            outputs_fsync: false,
            history: false,
            boot_id: [0; 16],
            one_write: true,
            match_requirements: true,
            concurrency_limits: BTreeMap::new(),
            reserve_s: 900,
            hello_s: 30,
            check_busy_s: 120,
            check_idle_s: 900,
            check_answer_s: 30,
            check_kill_s: 90,
            confirm_s: 10,
            #[cfg(feature = "mistakes")]
            mistake: None,
        }
    }
}

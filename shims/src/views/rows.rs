//! The views with one row a job: `-nobatch`, `-run`, `-hold`, `-idle`, `-grid` and those that never have rows here.

use crate::clock::span;
use crate::job::Job;

use super::Scene;

/// What the third column of `-nobatch` and `-run` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunTime {
    /// All runs together.
    #[default]
    All,
    /// `-currentrun`: the present run.
    Current,
    /// `-cputime`: processor time.
    Cpu,
    /// `-unmatchable` asks for no times, and shows -1.
    Unknown,
}

/// A view with one row a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowView {
    /// `-nobatch`.
    Plain(RunTime),
    /// `-run`.
    Run(RunTime),
    /// `-hold`.
    Hold,
    /// `-idle`.
    Idle,
    /// `-grid`.
    Grid,
    /// `-io`: bytes that running jobs read and wrote. Work Queue tells nothing of them, so there are no rows.
    Io,
}

impl RowView {
    /// Which jobs belong into the view, as a constraint.
    pub fn constraint(self) -> Option<&'static str> {
        match self {
            RowView::Plain(_) => None,
            RowView::Run(_) => Some("JobStatus == 2 || JobStatus == 6 || JobStatus == 7"),
            RowView::Hold => Some("JobStatus == 5"),
            RowView::Idle => Some("JobStatus == 1"),
            RowView::Grid => Some("JobUniverse == 9"),
            RowView::Io => Some("false"),
        }
    }

    /// Whether totals stand below the table.
    pub fn with_totals(self) -> bool {
        matches!(self, RowView::Plain(_) | RowView::Hold | RowView::Io)
    }

    /// Attributes that the view needs.
    pub fn attributes(self) -> &'static [&'static str] {
        match self {
            RowView::Plain(_) => &[
                "ClusterId",
                "ProcId",
                "Owner",
                "QDate",
                "JobStatus",
                "JobPrio",
                "Cmd",
                "Args",
                "Arguments",
                "JobDescription",
                "MemoryUsage",
                "ImageSize",
                "RemoteWallClockTime",
                "ShadowBday",
                "JobCurrentStartDate",
                "RemoteUserCpu",
                "ServerTime",
                "TransferringInput",
                "TransferringOutput",
                "TransferQueued",
            ],
            RowView::Run(_) => &[
                "ClusterId",
                "ProcId",
                "Owner",
                "QDate",
                "JobStatus",
                "RemoteHost",
                "RemoteWallClockTime",
                "ShadowBday",
                "JobCurrentStartDate",
                "RemoteUserCpu",
                "ServerTime",
            ],
            RowView::Hold => &[
                "ClusterId",
                "ProcId",
                "Owner",
                "JobStatus",
                "EnteredCurrentStatus",
                "HoldReason",
                "HoldReasonCode",
                "HoldReasonSubCode",
            ],
            RowView::Idle => &[
                "ClusterId",
                "ProcId",
                "Owner",
                "JobStatus",
                "JobUniverse",
                "WantDocker",
                "WantContainer",
                "RequestCpus",
                "RequestMemory",
                "NumJobStarts",
                "LastRemoteHost",
            ],
            RowView::Grid => &["ClusterId", "ProcId", "Owner", "GridJobStatus", "GridResource", "GridJobId"],
            RowView::Io => &["ClusterId", "JobStatus"],
        }
    }

    fn title(self) -> String {
        let time = |run_time| if run_time == RunTime::Cpu { "CPU_TIME" } else { "RUN_TIME" };
        match self {
            RowView::Plain(t) => {
                format!(" ID      OWNER            SUBMITTED     {} ST PRI SIZE CMD", time(t))
            }
            RowView::Run(t) => format!(" ID      OWNER            SUBMITTED     {} HOST(S)", time(t)),
            RowView::Hold => " ID      OWNER          HELD_SINCE  CODE/SUB HOLD_REASON".into(),
            RowView::Idle => " ID      OWNER          UNIVERSE  CPUS MEMORY STARTS LAST_HOST".into(),
            RowView::Grid => " ID      OWNER          STATUS     GRID->MANAGER    HOST       GRID_JOB_ID".into(),
            RowView::Io => " ID      OWNER          RUNS ST  INPUT  OUTPUT  RATE      MISC".into(),
        }
    }

    /// Titles and rows.
    pub fn print(self, jobs: impl Iterator<Item = Job>, scene: &Scene<'_>) -> String {
        let mut out = String::new();
        scene.line(&mut out, &self.title());
        for job in jobs {
            let (cluster, proc) = job.id(scene.env);
            let owner = job.text("owner", scene.env).unwrap_or_default();
            let row = format!("{cluster:>4}.{proc:<3} {owner:<14} {}", self.cells(&job, scene));
            scene.line(&mut out, &row);
        }
        out
    }

    /// What stands behind number and owner.
    fn cells(self, job: &Job, scene: &Scene<'_>) -> String {
        let env = scene.env;
        let submitted = || scene.clock.short(job.int("qdate", env).unwrap_or(0));
        match self {
            RowView::Plain(t) => format!(
                "{:>11} {:>12} {:<2} {:<3} {:>4.1} {}",
                submitted(),
                if t == RunTime::Unknown { "0+00:00:-1".to_owned() } else { span(run_time_s(job, scene, t)) },
                status(job, scene),
                job.int("jobprio", env).unwrap_or(0),
                size_mb(job, scene),
                command(job, scene)
            ),
            RowView::Run(t) => {
                let host = job.text("remotehost", env).unwrap_or_else(|| "[????????????????]".into());
                format!("{:>11} {:>12} {host}", submitted(), span(run_time_s(job, scene, t)))
            }
            RowView::Hold => {
                let sub_code = match job.int("holdreasonsubcode", env) {
                    Some(code) => format!("/{code:<3}"),
                    None => "    ".into(),
                };
                format!(
                    "{:>11} {:>4}{sub_code} {}",
                    scene.clock.short(job.int("enteredcurrentstatus", env).unwrap_or(0)),
                    job.int("holdreasoncode", env).unwrap_or(0),
                    job.text("holdreason", env).unwrap_or_default()
                )
            }
            RowView::Idle => format!(
                "{:<9} {:>4} {:>6} {:>6} {}",
                universe(job, scene),
                job.value("requestcpus", env).display_old(),
                job.value("requestmemory", env).display_old(),
                job.int("numjobstarts", env).unwrap_or(0),
                job.value("lastremotehost", env).display_old()
            ),
            RowView::Grid => {
                let resource = job.text("gridresource", env).unwrap_or_default();
                let mut words = resource.split_whitespace();
                let manager = words.next().unwrap_or("");
                let host = words.next().unwrap_or("");
                format!(
                    "{:<10} {manager:<16} {host:<10} {}",
                    job.text("gridjobstatus", env).unwrap_or_default(),
                    job.text("gridjobid", env).unwrap_or_default()
                )
            }
            RowView::Io => String::new(),
        }
    }
}

/// Seconds of earlier runs and, while it runs, of the present one.
pub(crate) fn run_time_s(job: &Job, scene: &Scene<'_>, which: RunTime) -> i64 {
    let env = scene.env;
    if which == RunTime::Cpu {
        return job.int("remoteusercpu", env).unwrap_or(0);
    }
    let earlier = match which {
        RunTime::Current => 0,
        _ => job.int("remotewallclocktime", env).unwrap_or(0),
    };
    let running = matches!(job.int("jobstatus", env), Some(2 | 6 | 7));
    let began = job.int("shadowbday", env).or_else(|| job.int("jobcurrentstartdate", env)).filter(|s| *s > 0);
    match began {
        Some(began) if running => {
            let now = job.int("servertime", env).unwrap_or(scene.now_s);
            earlier + (now - began).max(0)
        }
        _ => earlier,
    }
}

/// The letter of the status; `<` and `>` while files travel, with `q` while they wait for that.
pub(crate) fn status(job: &Job, scene: &Scene<'_>) -> String {
    let flag = |name| job.value(name, scene.env).truth() == Some(true);
    let queued = if flag("transferqueued") { "q" } else { "" };
    if flag("transferringinput") {
        return format!("<{queued}");
    }
    if flag("transferringoutput") {
        return format!(">{queued}");
    }
    match job.int("jobstatus", scene.env) {
        Some(code @ 0..=7) => ["U", "I", "R", "X", "C", "H", ">", "S"][code as usize].to_owned(),
        _ => "?".to_owned(),
    }
}

fn size_mb(job: &Job, scene: &Scene<'_>) -> f64 {
    let memory = job.real("memoryusage", scene.env);
    memory.unwrap_or_else(|| job.real("imagesize", scene.env).unwrap_or(0.0) / 1024.0)
}

/// The description in parentheses, or the program's own name with its arguments as they stand in the ad.
pub(crate) fn command(job: &Job, scene: &Scene<'_>) -> String {
    let env = scene.env;
    if let Some(words) = job.text("jobdescription", env) {
        return format!("({words})");
    }
    let cmd = job.text("cmd", env).unwrap_or_default();
    let name = cmd.rsplit('/').next().unwrap_or_default();
    let arguments = job.text("args", env).or_else(|| job.text("arguments", env)).unwrap_or_default();
    if arguments.is_empty() { name.to_owned() } else { format!("{name} {arguments}") }
}

fn universe(job: &Job, scene: &Scene<'_>) -> &'static str {
    let flag = |name| job.value(name, scene.env).truth() == Some(true);
    match job.int("jobuniverse", scene.env) {
        Some(5) if flag("wantdocker") => "Docker",
        Some(5) if flag("wantcontainer") => "Container",
        number => universe_name(number.unwrap_or(0)),
    }
}

/// HTCondor's name of a `JobUniverse`.
pub(crate) fn universe_name(number: i64) -> &'static str {
    match number {
        5 => "Vanilla",
        7 => "Scheduler",
        9 => "Grid",
        10 => "Java",
        11 => "Parallel",
        12 => "Local",
        13 => "VM",
        _ => "Unknown",
    }
}

//! The functions of `PRINTAS`.

use std::collections::BTreeSet;

use classad::Value;

use crate::clock::span;
use crate::job::Job;
use crate::views::{self, RunTime, Scene};

/// One of the built-in functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    ActivityCode,
    ActivityTime,
    BatchName,
    BufferIoMisc,
    CondorPlatform,
    CondorVersion,
    CpuTime,
    CpuUtil,
    Date,
    DueDate,
    ElapsedTime,
    GridJobId,
    GridResource,
    GridStatus,
    JobCommand,
    JobDescription,
    JobFactoryMode,
    JobId,
    JobStatus,
    JobStatusRaw,
    JobUniverse,
    LoadAvg,
    MemberCount,
    MemoryUsage,
    Owner,
    Platform,
    /// Of so many bytes each.
    Readable(u32),
    RemoteHost,
    Runtime,
    StringsFromList,
    Time,
    Unique,
}

const FUNCTIONS: &[(&str, Function)] = &[
    ("ACTIVITY_CODE", Function::ActivityCode),
    ("ACTIVITY_TIME", Function::ActivityTime),
    ("BATCH_NAME", Function::BatchName),
    ("BUFFER_IO_MISC", Function::BufferIoMisc),
    ("CONDOR_PLATFORM", Function::CondorPlatform),
    ("CONDOR_VERSION", Function::CondorVersion),
    ("CPU_TIME", Function::CpuTime),
    ("CPU_UTIL", Function::CpuUtil),
    ("DAG_OWNER", Function::Owner),
    ("DATE", Function::Date),
    ("DUE_DATE", Function::DueDate),
    ("ELAPSED_TIME", Function::ElapsedTime),
    ("GRID_JOB_ID", Function::GridJobId),
    ("GRID_RESOURCE", Function::GridResource),
    ("GRID_STATUS", Function::GridStatus),
    ("JOB_COMMAND", Function::JobCommand),
    ("JOB_DESCRIPTION", Function::JobDescription),
    ("JOB_FACTORY_MODE", Function::JobFactoryMode),
    ("JOB_ID", Function::JobId),
    ("JOB_STATUS", Function::JobStatus),
    ("JOB_STATUS_RAW", Function::JobStatusRaw),
    ("JOB_UNIVERSE", Function::JobUniverse),
    ("LOAD_AVG", Function::LoadAvg),
    ("MEMBER_COUNT", Function::MemberCount),
    ("MEMORY_USAGE", Function::MemoryUsage),
    ("OWNER", Function::Owner),
    ("PLATFORM", Function::Platform),
    ("QDATE", Function::Date),
    ("READABLE_BYTES", Function::Readable(1)),
    ("READABLE_KB", Function::Readable(1024)),
    ("READABLE_MB", Function::Readable(1_048_576)),
    ("REMOTE_HOST", Function::RemoteHost),
    ("RUNTIME", Function::Runtime),
    ("STRINGS_FROM_LIST", Function::StringsFromList),
    ("TIME", Function::Time),
    ("UNIQUE", Function::Unique),
];

impl Function {
    pub(super) fn named(name: &str) -> Option<Function> {
        FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
    }

    /// Attributes that it looks at besides the value, in lower case.
    pub(super) fn reads(self) -> &'static [&'static str] {
        match self {
            Function::ActivityCode => &["state", "activity"],
            Function::ActivityTime => &["mycurrenttime", "lastheardfrom"],
            Function::BatchName => &["jobbatchname", "jobuniverse", "clusterid", "dagnodename", "dagmanjobid"],
            Function::BufferIoMisc => &["transferringinput", "transferringoutput", "transferqueued"],
            Function::CpuTime => &[
                "remoteusercpu",
                "remotewallclocktime",
                "jobstatus",
                "shadowbday",
                "jobcurrentstartdate",
                "servertime",
            ],
            Function::CpuUtil => &["committedtime", "remoteusercpu"],
            Function::DueDate | Function::ElapsedTime => &["lastheardfrom"],
            Function::GridJobId => &["gridjobid"],
            Function::GridResource => &["gridresource"],
            Function::GridStatus => &["gridjobstatus"],
            Function::JobCommand => &["cmd", "args", "arguments"],
            Function::JobDescription => &["cmd", "args", "arguments", "jobdescription"],
            Function::JobId => &["clusterid", "procid"],
            Function::JobStatus => &["jobstatus", "transferringinput", "transferringoutput", "transferqueued"],
            Function::MemoryUsage => &["memoryusage", "imagesize"],
            Function::Owner => &["owner"],
            Function::Platform => &["arch", "opsysandver", "opsys"],
            Function::RemoteHost => &["jobuniverse", "gridresource", "remotehost"],
            Function::CondorPlatform
            | Function::CondorVersion
            | Function::Date
            | Function::JobFactoryMode
            | Function::JobStatusRaw
            | Function::JobUniverse
            | Function::LoadAvg
            | Function::MemberCount
            | Function::Readable(_)
            | Function::Runtime
            | Function::StringsFromList
            | Function::Time
            | Function::Unique => &[],
        }
    }

    /// What it makes of a value, or of the ad; `None` if that has nothing of the kind.
    pub(super) fn call(self, value: Value, job: &Job, scene: &Scene<'_>) -> Option<String> {
        let env = scene.env;
        let text = |name: &str| job.text(name, env);
        let number = value.as_real();
        let whole = number.map(|number| number as i64);
        Some(match self {
            Function::ActivityCode => activity_code(&text("state")?, &text("activity")?),
            Function::ActivityTime => {
                let now_s = job.int("mycurrenttime", env).or_else(|| job.int("lastheardfrom", env))?;
                span(now_s - whole?)
            }
            Function::BatchName => match (text("jobbatchname"), job.int("jobuniverse", env)) {
                (Some(name), _) => name,
                (None, Some(7)) => format!("DAG: {}", job.id(env).0),
                (None, _) => format!("NODE: {}", text("dagnodename").filter(|_| job.expr("dagmanjobid").is_some())?),
            },
            Function::BufferIoMisc => {
                let flag = |name: &str| job.value(name, env).truth() == Some(true);
                let all = [("in", "transferringinput"), ("out", "transferringoutput"), ("queued", "transferqueued")];
                let words: Vec<&str> = all.iter().filter(|(_, name)| flag(name)).map(|(word, _)| *word).collect();
                if words.is_empty() { String::new() } else { format!(" transfer={}", words.join(",")) }
            }
            Function::CondorPlatform => {
                let word = value.as_str()?.split_whitespace().nth(1)?.split(['.', '$']).next()?.replace('-', "_");
                word.strip_prefix('X').map_or(word.clone(), |rest| format!("x{rest}"))
            }
            Function::CondorVersion => value.as_str()?.split_whitespace().nth(1)?.to_owned(),
            Function::CpuTime => {
                job.real("remoteusercpu", env)?;
                span(views::run_time_s(job, scene, RunTime::All))
            }
            Function::CpuUtil => {
                let committed = job.real("committedtime", env).filter(|time| *time > 0.0)?;
                format!("{:.1}", job.real("remoteusercpu", env)? / committed * 100.0)
            }
            Function::Date => scene.clock.short(whole?),
            Function::DueDate => scene.clock.short(job.int("lastheardfrom", env)? + whole?),
            Function::ElapsedTime => span(job.int("lastheardfrom", env)? - whole?),
            Function::GridJobId => text("gridjobid")?.rsplit(' ').next()?.to_owned(),
            Function::GridResource => {
                let resource = text("gridresource")?;
                let mut words = resource.splitn(3, ' ');
                let (kind, host) = (words.next()?, words.next().unwrap_or("[???]"));
                let bare = host.split_once("://").map_or(host, |(_, rest)| rest);
                let bare = bare.split([':', '/']).next().unwrap_or(bare);
                format!("{kind}->{} {bare}", words.next().unwrap_or("[?]").replace(' ', "/"))
            }
            Function::GridStatus => match job.value("gridjobstatus", env) {
                Value::Str(text) => text.to_string(),
                Value::Int(status) => grid_status(status),
                _ => return None,
            },
            Function::JobCommand => {
                let arguments = text("args").or_else(|| text("arguments"));
                text("cmd")? + &arguments.map(|words| format!(" {words}")).unwrap_or_default()
            }
            Function::JobDescription => {
                text("cmd")?;
                views::command(job, scene)
            }
            Function::JobFactoryMode => match whole {
                Some(_) => views::mode(whole),
                None if value == Value::Undefined => return None,
                None => "????",
            }
            .to_owned(),
            Function::JobId => {
                let (cluster, proc) = (job.int("clusterid", env)?, job.int("procid", env));
                proc.map_or_else(|| cluster.to_string(), |proc| format!("{cluster}.{proc}"))
            }
            Function::JobStatus => {
                job.int("jobstatus", env)?;
                format!("{:<2}", views::status(job, scene))
            }
            Function::JobStatusRaw => {
                let names = ["Idle   ", "Running", "Removed", "Complet", "Held   ", "XFerOut", "Suspend"];
                let at = usize::try_from(whole? - 1).ok();
                at.and_then(|at| names.get(at)).unwrap_or(&"Unk    ").to_string()
            }
            Function::JobUniverse => views::universe_name(whole?).to_owned(),
            Function::LoadAvg => format!("{:.3}", number?),
            Function::MemberCount => match &value {
                Value::Str(text) => text.split([',', ' ']).filter(|word| !word.is_empty()).count().to_string(),
                Value::List(items) => items.len().to_string(),
                _ => return None,
            },
            Function::MemoryUsage => match job.real("memoryusage", env) {
                Some(mb) => format!("{mb:.1}"),
                None => format!("{:.1}", job.real("imagesize", env)? / 1024.0),
            },
            Function::Owner => text("owner")?,
            Function::Platform => {
                let arch = text("arch").unwrap_or_default();
                let arch = match arch.as_str() {
                    "X86_64" => "x64",
                    "X86" | "INTEL" => "x86",
                    other => other,
                };
                format!("{arch}/{}", text("opsysandver").or_else(|| text("opsys"))?)
            }
            Function::Readable(unit) => match &value {
                Value::Int(_) | Value::Real(_) => readable(number? * f64::from(unit)),
                _ => "        ".to_owned(),
            },
            Function::RemoteHost => {
                if job.int("jobuniverse", env) == Some(9) {
                    text("gridresource")?
                } else {
                    text("remotehost")?
                }
            }
            Function::Runtime | Function::Time => span(whole?),
            Function::StringsFromList => {
                let Value::List(items) = &value else { return None };
                let texts = items.iter().filter_map(|item| item.literal().and_then(|value| value.as_str()));
                texts.collect::<Vec<_>>().join(", ")
            }
            Function::Unique => {
                let words: BTreeSet<String> = match &value {
                    Value::List(items) => items
                        .iter()
                        .map(|item| item.literal().map_or_else(|| item.to_string(), Value::display_old))
                        .collect(),
                    Value::Str(text) => {
                        text.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
                    }
                    _ => return None,
                };
                words.into_iter().collect::<Vec<_>>().join(", ")
            }
        })
    }
}

/// `Ci`: a letter for the state, one for the activity.
fn activity_code(state: &str, activity: &str) -> String {
    let state = match state {
        "Owner" => 'O',
        "Unclaimed" => 'U',
        "Matched" => 'M',
        "Claimed" => 'C',
        "Preempting" => 'P',
        "Shutdown" => 'S',
        "Delete" => 'X',
        "Backfill" => 'F',
        "Drained" => 'D',
        "None" => '~',
        _ => '?',
    };
    let activity = match activity {
        "Idle" => 'i',
        "Busy" => 'b',
        "Retiring" => 'r',
        "Vacating" => 'v',
        "Suspended" => 's',
        "Benchmarking" => 'e',
        "Killing" => 'k',
        "None" => '0',
        _ => '?',
    };
    format!("{state}{activity}")
}

fn grid_status(status: i64) -> String {
    match status {
        1 => "IDLE".into(),
        2 => "RUNNING".into(),
        3 => "REMOVED".into(),
        4 => "COMPLETED".into(),
        5 => "HELD".into(),
        6 => "XFER_OUT".into(),
        7 => "SUSPENDED".into(),
        other => other.to_string(),
    }
}

/// `1.5 GB`
fn readable(bytes: f64) -> String {
    let mut value = bytes;
    let mut units = ["B ", "KB", "MB", "GB"].iter();
    for unit in units.by_ref() {
        if value <= 1024.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TB")
}

//! What every ad has, and the checks that belong to no single key.

use crate::ad::Assigned;
use crate::job::Job;
use crate::refusal::Refusal;
use crate::steps::universe::{GRID, LOCAL, SCHEDULER};
use crate::values;

/// Integers that begin at 0.
const COUNTERS: [&str; 12] = [
    "CommittedSlotTime",
    "CommittedSuspensionTime",
    "CommittedTime",
    "CumulativeSlotTime",
    "CumulativeSuspensionTime",
    "ExitStatus",
    "LastSuspensionTime",
    "NumCkpts",
    "NumJobCompletions",
    "NumJobStarts",
    "NumRestarts",
    "NumSystemHolds",
];

/// Times in seconds that begin at 0.
const TIMES: [&str; 5] =
    ["CumulativeRemoteSysCpu", "CumulativeRemoteUserCpu", "RemoteSysCpu", "RemoteUserCpu", "RemoteWallClockTime"];

/// Counters, types and versions.
pub(super) fn counters(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if !job.first {
        return Ok(());
    }
    for name in COUNTERS {
        job.set_int(name, 0);
    }
    job.set_int("TotalSuspensions", 0);
    for name in TIMES {
        job.ad.set(name, Assigned::Expr("0.0".to_owned()));
    }
    job.set_bool("ExitBySignal", false);
    // 0: by condor_submit.
    job.set_int("JobSubmitMethod", 0);
    job.set_text("MyType", "Job");
    job.set_text("TargetType", "Machine");
    let host = job.macros.world.host().clone();
    job.set_text("CondorVersion", host.condor_version.clone());
    job.set_text("SubmitVersion", host.condor_version);
    job.set_text("CondorPlatform", host.condor_platform);
    Ok(())
}

/// `skip_filechecks`: a truth value or `warn`. Files other than the program are not looked at anyway.
pub(super) fn file_checks(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    match job.param("skip_filechecks", None)? {
        Some(value) if value.eq_ignore_ascii_case("warn") => job.checks_warn = true,
        Some(value) if values::boolean(&value).is_none() => return Err(Refusal::SkipFileChecks { value }),
        _ => {}
    }
    Ok(())
}

/// Attributes that follow from others.
pub(super) fn automatic(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if !job.ad.has("MaxHosts") {
        job.set_int("MinHosts", 1);
        job.set_int("MaxHosts", 1);
    }
    if !job.ad.has("CurrentHosts") {
        job.set_int("CurrentHosts", 0);
    }
    if job.ad.has("SuccessCheckpointExitCode") {
        job.set_bool("WantFTOnCheckpoint", true);
    }
    let reconnects = ![GRID, LOCAL, SCHEDULER].contains(&job.universe.number);
    if reconnects && !job.ad.has("JobLeaseDuration") {
        job.set_int("JobLeaseDuration", 2400);
    }
    if !job.ad.has("JobPrio") {
        job.set_int("JobPrio", 0);
    }
    if job.ad.has("JobStarterLog") && !job.ad.has("JobStarterDebug") {
        job.set_bool("JobStarterDebug", true);
    }
    Ok(())
}

/// Values that are allowed but hardly meant.
pub(super) fn common_mistakes(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if let Some(user) =
        job.ad.string("NotifyUser").filter(|user| ["false", "never"].iter().any(|word| user.eq_ignore_ascii_case(word)))
        && once(job, "notify_user")
    {
        let domain = job.macros.world.host().uid_domain.clone();
        job.warn(format!(
            "You used  notify_user={user}  in your submit file.\nThis means notification email will go to user \
             \"{user}@{domain}\".\nThis is probably not what you expect!\nIf you do not want notification email, put \
             \"notification = never\"\ninto your submit file, instead.\n"
        ));
    }
    if let Some(value) = job.ad.int("JobMachineAttrsHistoryLength")
        && !(0..=i64::from(i32::MAX)).contains(&value)
    {
        return Err(Refusal::HistoryLength { value });
    }
    if job.ad.literal_number("JobLeaseDuration").is_some_and(|lease| lease > 0.0 && lease < 20.0) {
        if once(job, "job_lease_duration") {
            job.warn("JobLeaseDuration less than 20 seconds is not allowed, using 20 instead\n");
        }
        job.set_int("JobLeaseDuration", 20);
    }
    if job.universe.number == SCHEDULER && job.ad.has("DeferralTime") {
        let attribute = super::policy::deferral_cause(job).unwrap_or("DeferralTime");
        return Err(Refusal::DeferralInScheduler { attribute });
    }
    if job.ad.has("OutputDestination") && job.ad.has("OutputDirectory") {
        return Err(Refusal::TwoDestinations);
    }
    Ok(())
}

/// True the first time.
pub(super) fn once(job: &mut Job<'_, '_>, what: &'static str) -> bool {
    let first = !job.warned.contains(&what);
    if first {
        job.warned.push(what);
    }
    first
}

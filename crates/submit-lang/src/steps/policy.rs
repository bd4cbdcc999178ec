//! What the queue does with the job: status, periodic and exit expressions, retries, signals, deferral.

use crate::ad::Assigned;
use crate::job::Job;
use crate::refusal::Refusal;
use crate::steps::universe::VANILLA;
use crate::values;

/// `hold`
pub(super) fn status(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    const IDLE: i64 = 1;
    const HELD: i64 = 5;
    let hold = job.bool_param("hold", None)?.unwrap_or(false);
    let (code, reason) = match (hold, job.remote()) {
        (true, true) => return Err(Refusal::HoldAndSpool),
        (true, false) => (15, "submitted on hold at user's request"),
        (false, true) => (16, "Spooling input data files"),
        (false, false) => {
            job.set_int("JobStatus", IDLE);
            return Ok(());
        }
    };
    job.set_int("JobStatus", HELD);
    job.set_int("HoldReasonCode", code);
    job.set_text("HoldReason", reason);
    Ok(())
}

pub(super) fn notification(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    let number = match job.param("notification", "JobNotification")? {
        None => 0,
        Some(word) => match word.to_ascii_lowercase().as_str() {
            "never" => 0,
            "always" => 1,
            "complete" => 2,
            "error" => 3,
            "start" => 4,
            _ => return Err(Refusal::Notification),
        },
    };
    job.set_int("JobNotification", number);
    Ok(())
}

pub(super) fn rank(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if !job.expr_param("rank", "preferences", "Rank")? {
        job.ad.set("Rank", Assigned::Expr("0.0".to_owned()));
    }
    Ok(())
}

pub(super) fn periodic(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    for (key, attribute) in [
        ("periodic_hold", "PeriodicHold"),
        ("periodic_hold_reason", "PeriodicHoldReason"),
        ("periodic_hold_subcode", "PeriodicHoldSubCode"),
        ("periodic_release", "PeriodicRelease"),
        ("periodic_remove", "PeriodicRemove"),
        ("periodic_vacate", "PeriodicVacate"),
        ("on_exit_hold_reason", "OnExitHoldReason"),
        ("on_exit_hold_subcode", "OnExitHoldSubCode"),
    ] {
        job.expr_param(key, attribute, attribute)?;
    }
    Ok(())
}

pub(super) fn leave_in_queue(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    const NAME: &str = "LeaveJobInQueue";
    if !job.expr_param("leave_in_queue", NAME, NAME)? && !job.ad.has(NAME) {
        if job.remote() {
            // Ten days to fetch the output of a spooled job.
            job.set_expr(
                NAME,
                "JobStatus == 4 && (time() - (CompletionDate ?: time())) < 864000 && (StageOutFinish ?: 0) < \
                 EnteredCurrentStatus",
            )?;
        } else {
            job.set_bool(NAME, false);
        }
    }
    Ok(())
}

/// `max_retries`, `success_exit_code`, `retry_until`, `on_exit_remove`, `on_exit_hold`.
pub(super) fn retries(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    const REMOVE: &str = "OnExitRemove";
    const HOLD: &str = "OnExitHold";
    let remove = job.param("on_exit_remove", REMOVE)?;
    let hold = job.param("on_exit_hold", HOLD)?;
    let retries = job.int_param("max_retries", "JobMaxRetries")?;
    let success = job.int_param("success_exit_code", "JobSuccessExitCode")?;
    if let Some(code) = success.filter(|code| i32::try_from(*code).is_err()) {
        return Err(Refusal::NotInteger { key: "success_exit_code".to_owned(), value: code.to_string() });
    }
    let until = job.param("retry_until", None)?;
    if retries.is_none() && success.is_none() && until.is_none() {
        if let Some(text) = remove {
            job.set_expr(REMOVE, &text)?;
        }
        if let Some(text) = hold {
            job.set_expr(HOLD, &text)?;
        }
        return Ok(());
    }
    let until = until.map(|text| until_clause(&text)).transpose()?;
    if retries.is_some() || !job.ad.has("JobMaxRetries") {
        job.set_int("JobMaxRetries", retries.unwrap_or(2));
    }
    match hold {
        Some(text) => job.set_expr(HOLD, &text)?,
        None if !job.ad.has(HOLD) => job.set_bool(HOLD, false),
        None => {}
    }
    if job.ad.has(REMOVE) && success.is_none() && until.is_none() {
        return Ok(());
    }
    let mut text = "NumJobCompletions > JobMaxRetries || ExitCode =?= ".to_owned();
    match success {
        Some(code) => {
            job.set_int("JobSuccessExitCode", code);
            text.push_str("JobSuccessExitCode");
        }
        None => text.push('0'),
    }
    if let Some(until) = until {
        text.push_str(" || ");
        text.push_str(&until);
    }
    if let Some(value) = remove {
        let Some(own) = values::normalised(&value) else {
            return Err(Refusal::NotBooleanExpression { key: "on_exit_remove", value });
        };
        text.push_str(" || ");
        text.push_str(&values::wrapped_for(&own, &["? ", "?: "]));
    }
    job.set_expr(REMOVE, &text)
}

/// An exit code, or an expression that joins others by `||`.
fn until_clause(text: &str) -> Result<String, Refusal> {
    let invalid = || Refusal::RetryUntil { key: "retry_until", value: text.to_owned() };
    let own = classad::parse_expr(text).map_err(|_| invalid())?;
    let references = own.references();
    let names = [&references.unscoped, &references.my, &references.target];
    if names.iter().all(|set| set.is_empty())
        && let Some(code) = values::integer(text)
    {
        return i32::try_from(code).map(|code| format!("ExitCode =?= {code}")).map_err(|_| invalid());
    }
    Ok(values::wrapped_for(&own.to_string(), &["? ", "?: "]))
}

/// `on_evict_checks`: names of transformations whose bodies are keys of their own.
pub(super) fn on_evict(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    let Some(list) = job.param("on_evict_checks", "TransformOnEvict")? else { return Ok(()) };
    let mut names = Vec::new();
    for name in values::words(&list) {
        let key = format!("transform_body_{name}");
        let attribute = format!("TransformBody_{name}");
        let raw = [&key, &attribute]
            .into_iter()
            .find_map(|key| job.macros.lookup(&key.to_ascii_lowercase(), crate::macros::Numbers::Digits))
            .map(std::borrow::Cow::into_owned);
        let Some(raw) = raw else { continue };
        let text = job.expanded(&key, &raw, crate::macros::Numbers::Digits)?;
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        job.set_text(&attribute, lines.join("\u{1e}"));
        names.push(name);
    }
    job.set_text("TransformOnEvict", names.join(" "));
    Ok(())
}

/// Signals of Linux by number from 1 on.
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

fn signal_name(text: String) -> Result<String, Refusal> {
    let number = values::leading_integer(&text);
    let found = if number == 0 {
        SIGNALS.iter().find(|name| name.eq_ignore_ascii_case(&text))
    } else {
        usize::try_from(number - 1).ok().and_then(|index| SIGNALS.get(index))
    };
    found.map(|name| (*name).to_owned()).ok_or(Refusal::Signal { name: text })
}

/// `kill_sig` and its relatives.
pub(super) fn signals(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    for (key, attribute) in
        [("kill_sig", "KillSig"), ("remove_kill_sig", "RemoveKillSig"), ("hold_kill_sig", "HoldKillSig")]
    {
        match job.param(key, attribute)? {
            Some(text) => {
                let name = signal_name(text)?;
                job.set_text(attribute, name);
            }
            None if key == "kill_sig" && job.universe.number != VANILLA => job.set_text(attribute, "SIGTERM"),
            None => {}
        }
    }
    if let Some(text) = job.param("kill_sig_timeout", "KillSigTimeout")? {
        job.set_int("KillSigTimeout", values::leading_integer(&text));
    }
    Ok(())
}

/// The first attribute because of which the job waits for a time.
pub(super) fn deferral_cause(job: &mut Job<'_, '_>) -> Option<&'static str> {
    ["CronMinute", "CronHour", "CronDayOfMonth", "CronMonth", "CronDayOfWeek", "DeferralTime"]
        .into_iter()
        .find(|name| job.ad.has(name))
}

/// `deferral_*` and what `cron_*` needs beside.
pub(super) fn deferral(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    seconds(job, &["deferral_time", "DeferralTime"], "deferral_time", "DeferralTime")?;
    if deferral_cause(job).is_none() {
        return Ok(());
    }
    let window = ["cron_window", "CronWindow", "deferral_window", "DeferralWindow"];
    if !seconds(job, &window, "deferral_window", "DeferralWindow")? {
        job.set_int("DeferralWindow", 0);
    }
    let prep = ["cron_prep_time", "CronPrepTime", "deferral_prep_time", "DeferralPrepTime"];
    if !seconds(job, &prep, "deferral_prep_time", "DeferralPrepTime")? {
        job.set_int("DeferralPrepTime", 300);
    }
    Ok(())
}

/// Assigns a number of seconds or an expression from the first of `keys` that is set.
fn seconds(
    job: &mut Job<'_, '_>,
    keys: &[&str],
    shown: &'static str,
    attribute: &'static str,
) -> Result<bool, Refusal> {
    for key in keys {
        let Some(value) = job.param(key, None)? else { continue };
        if values::normalised(&value).is_none() {
            return Err(Refusal::NotSeconds { key: shown, attribute, value, is_expression: false });
        }
        job.set_expr(attribute, &value)?;
        let expr = classad::parse_expr(&value).ok();
        let literal = expr.as_ref().and_then(|expr| expr.literal());
        let is_truth = matches!(literal, Some(classad::Value::Bool(_)));
        if is_truth || literal.is_some() && job.ad.int(attribute).is_none_or(|number| number < 0) {
            return Err(Refusal::NotSeconds { key: shown, attribute, value, is_expression: true });
        }
        return Ok(true);
    }
    Ok(false)
}

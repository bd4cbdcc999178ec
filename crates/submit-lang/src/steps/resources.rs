//! `request_*` and what belongs to GPUs.

use crate::job::Job;
use crate::refusal::Refusal;
use crate::steps::{grid, retry_sizes};
use crate::values;

/// Defaults of an unconfigured HTCondor: `JOB_DEFAULT_REQUEST…`.
const DEFAULT_CPUS: &str = "1";
const DEFAULT_MEMORY: &str = "128";
const DEFAULT_DISK: &str = "MAX({1024, (TransferInputSizeMB+1) * 1.25}) * 1024";

/// Set where the user named `request_memory`.
const MEMORY_ASKED: &str = "_AwqMemoryAsked";
/// Set where the user named `request_disk`.
const DISK_ASKED: &str = "_AwqDiskAsked";

pub(super) const MIB: i64 = 1 << 20;
pub(super) const KIB: i64 = 1 << 10;

/// A key that begins with `request_`.
pub(super) fn request(job: &mut Job<'_, '_>, key: &str) -> Result<(), Refusal> {
    match key.to_ascii_lowercase().as_str() {
        "request_cpus" => cpus(job),
        "request_gpus" => gpus(job),
        "request_disk" => disk(job),
        "request_memory" => memory(job),
        mistake @ ("request_cpu" | "request_gpu") => {
            // The look-up keeps the line from being called unused as well.
            let _ = job.param(mistake, None)?;
            job.warn(format!("{key} is not a valid submit keyword, did you mean {mistake}s?\n"));
            Ok(())
        }
        "request_gpu_memory" | "request_gpus_memory" => Ok(()),
        _ => {
            let name = &key["request_".len()..];
            if name.len() >= 2 && !name.starts_with('_') {
                job.expr_param(key, None, &format!("Request{name}"))?;
            }
            Ok(())
        }
    }
}

fn is_key_set(job: &Job<'_, '_>, key: &str) -> bool {
    job.macros.raw(key).is_some()
}

pub(super) fn default_cpus(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if is_key_set(job, "request_cpus") { Ok(()) } else { cpus(job) }
}

pub(super) fn default_gpus(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if is_key_set(job, "request_gpus") { Ok(()) } else { gpus(job) }
}

pub(super) fn default_disk(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if is_key_set(job, "request_disk") { Ok(()) } else { disk(job) }
}

pub(super) fn default_memory(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if is_key_set(job, "request_memory") { Ok(()) } else { memory(job) }
}

/// Notes that the user named this resource, by its key or as an attribute.
pub(super) fn note_asked(job: &mut Job<'_, '_>, attribute: &str) {
    let note = match attribute.to_ascii_lowercase().as_str() {
        "requestmemory" => MEMORY_ASKED,
        "requestdisk" => DISK_ASKED,
        _ => return,
    };
    job.set_bool(note, true);
}

/// The user's value, else the default unless the attribute stands already or defaults do not count. That it is the
/// user's is noted: HTCondor's defaults are shown, but they reserve nothing on a worker.
fn wanted(job: &mut Job<'_, '_>, key: &str, attribute: &'static str, default: &str) -> Result<Option<String>, Refusal> {
    let given = job.param(key, attribute)?;
    if given.is_some() {
        note_asked(job, attribute);
    }
    if given.is_some() || job.ad.has(attribute) || grid::is_batch(job) {
        return Ok(given);
    }
    Ok(Some(default.to_owned()))
}

fn is_undefined(text: &str) -> bool {
    text.eq_ignore_ascii_case("undefined")
}

fn cpus(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    match wanted(job, "request_cpus", "RequestCpus", DEFAULT_CPUS)? {
        Some(text) if !is_undefined(&text) => job.set_expr("RequestCpus", &text),
        _ => Ok(()),
    }
}

fn memory(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    const NAME: &str = "RequestMemory";
    let Some(text) = wanted(job, "request_memory", NAME, DEFAULT_MEMORY)? else { return Ok(()) };
    if is_undefined(&text) {
        return Ok(());
    }
    let Some(size) = values::size(&text, MIB, true) else { return job.set_expr(NAME, &text) };
    job.set_int(NAME, size.amount);
    if let Some(rest) = size.rest.strip_prefix(',').filter(|rest| !rest.is_empty()) {
        return retry_sizes::assign(job, &retry_sizes::MEMORY, "request_memory", Some(rest), None);
    }
    let list = job.param("retry_request_memory", None)?;
    let max = job.param("retry_request_memory_max", None)?;
    let increase = job.param("retry_request_memory_increase", None)?;
    match (list, max, increase) {
        (Some(list), _, increase) => {
            if increase.is_some() {
                job.warn(
                    "\nWARNING: retry_request_memory_increase will be ignored because retry_request_memory was used",
                );
            }
            retry_sizes::assign(job, &retry_sizes::MEMORY, "retry_request_memory", Some(&list), None)
        }
        (None, None, None) => Ok(()),
        (None, max, increase) => retry_sizes::assign(
            job,
            &retry_sizes::MEMORY,
            "retry_request_memory_max",
            max.as_deref(),
            increase.as_deref(),
        ),
    }
}

fn disk(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    const NAME: &str = "RequestDisk";
    let Some(text) = wanted(job, "request_disk", NAME, DEFAULT_DISK)? else { return Ok(()) };
    if is_undefined(&text) {
        return Ok(());
    }
    let Some(size) = values::size(&text, KIB, true) else { return job.set_expr(NAME, &text) };
    job.set_int(NAME, size.amount);
    if let Some(rest) = size.rest.strip_prefix(',').filter(|rest| !rest.is_empty()) {
        return retry_sizes::assign(job, &retry_sizes::DISK, "request_disk", Some(rest), None);
    }
    match job.param("retry_request_disk", None)? {
        Some(list) => retry_sizes::assign(job, &retry_sizes::DISK, "request_disk", Some(&list), None),
        None => Ok(()),
    }
}

fn gpus(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if let Some(text) = job.param("request_gpus", "RequestGPUs")?
        && !is_undefined(&text)
    {
        job.set_expr("RequestGPUs", &text)?;
    }
    if !job.ad.has("RequestGPUs") {
        return Ok(());
    }
    for (key, attribute) in [
        ("require_gpus", "RequireGPUs"),
        ("gpus_minimum_capability", "GPUsMinCapability"),
        ("gpus_maximum_capability", "GPUsMaxCapability"),
    ] {
        job.expr_param(key, attribute, attribute)?;
    }
    match job.param("gpus_minimum_memory", "GPUsMinMemory")? {
        Some(text) => match values::size(&text, MIB, false) {
            Some(size) => job.set_int("GPUsMinMemory", size.amount),
            None => job.set_expr("GPUsMinMemory", &text)?,
        },
        None => {
            let mut mistake = job.param("request_gpu_memory", None)?;
            if mistake.is_none() {
                mistake = job.param("request_gpus_memory", None)?;
            }
            if mistake.is_some() {
                job.warn("\nWARNING: request_gpu_memory is not a submit command, did you mean gpus_minimum_memory?");
            }
        }
    }
    if let Some(text) = job.param("gpus_minimum_runtime", "GPUsMinRuntime")? {
        match runtime_version(&text) {
            Some(version) => job.set_int("GPUsMinRuntime", version),
            None => job.set_expr("GPUsMinRuntime", &text)?,
        }
    }
    Ok(())
}

/// `12.1` and `12010` are both 12010.
fn runtime_version(text: &str) -> Option<i64> {
    let (major, minor) = match text.split_once('.') {
        None => (text.parse::<i64>().ok()?, None),
        Some((major, minor)) => {
            (major.parse().ok()?, Some(minor.parse::<i64>().ok().filter(|m| (0..100).contains(m))?))
        }
    };
    match minor {
        None if major > 1000 => Some(major),
        minor => major.checked_mul(1000)?.checked_add(minor.unwrap_or(0) * 10),
    }
}

/// Joins the wishes about GPUs into `RequireGPUs`; what the user's own expression names already is left alone.
pub(super) fn gpu_properties(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    const NAME: &str = "RequireGPUs";
    if !job.ad.has("RequestGPUs") {
        return Ok(());
    }
    let own = job.ad.get(NAME).map(crate::ad::Assigned::to_text);
    let named = own.as_deref().and_then(|text| classad::parse_expr(text).ok()).map(|expr| expr.references());
    let names = |property: &str| named.as_ref().is_some_and(|found| found.unscoped.contains(property));
    let mut clauses = Vec::new();
    for (wish, property, clause) in [
        ("GPUsMinCapability", "capability", "Capability >= GPUsMinCapability"),
        ("GPUsMaxCapability", "capability", "Capability <= GPUsMaxCapability"),
        ("GPUsMinMemory", "globalmemorymb", "GlobalMemoryMb >= GPUsMinMemory"),
        ("GPUsMinRuntime", "maxsupportedversion", "MaxSupportedVersion >= GPUsMinRuntime"),
    ] {
        if job.ad.has(wish) && !names(property) {
            clauses.push(clause);
        }
    }
    if clauses.is_empty() {
        return Ok(());
    }
    let clauses = clauses.join(" && ");
    let text = match own {
        Some(own) => format!("{} && {clauses}", values::wrapped_for(&own, &["||", "? ", "?: "])),
        None => clauses,
    };
    job.set_expr(NAME, &text)
}

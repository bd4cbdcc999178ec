//! Events to text.

use std::fmt::Write as _;

use crate::event::{Completion, CpuTimes, Event, Evicted, Exit, Kind, Submit, Terminated, Usage, one_line};
use crate::form::{Form, Layout};
use crate::time::{self, OffsetAt};
use crate::value::{classic_ad, ignoring_case};
use crate::{ad, json, xml};

use super::read::begins_event;

/// What stands for a missing hold reason.
pub(crate) const NO_REASON: &str = "Reason unspecified";
/// Headline of 037.
pub(crate) const PAUSED: &str = "Job Materialization Paused";
/// Headline of 038.
pub(crate) const RESUMED: &str = "Job Materialization Resumed";
/// Headline of 022.
pub(crate) const RECONNECT: &str = "Job disconnected, attempting to reconnect";

/// Prints an event, end mark and line ends included, ready to be appended to a log in one write.
///
/// `offset` knows the zone in which local times are shown; a form in UTC does not ask it. The same event always gives
/// the same bytes, so whether it is in a log already can be seen by looking for them.
pub fn format(event: &Event, form: &Form, offset: OffsetAt<'_>) -> String {
    let stamp = time::print(event.time, *form, offset);
    match form.layout {
        Layout::Xml => xml::print(&ad::of_event(event, stamp)),
        Layout::Json => json::print(&ad::of_event(event, stamp)),
        Layout::Classic => {
            let (headline, body) = lines(&event.kind);
            let job = event.job;
            format!(
                "{:03} ({:03}.{:03}.{:03}) {stamp} {headline}\n{body}...\n",
                event.kind.number(),
                job.cluster,
                job.proc_,
                job.subproc
            )
        }
    }
}

/// The end of the header line, and the body lines with their line ends.
pub(super) fn lines(kind: &Kind) -> (String, String) {
    let mut body = String::new();
    let headline = match kind {
        Kind::Submit(submit) => {
            notes(submit, &mut body);
            format!("Job submitted from host: {}", one_line(&submit.host))
        }
        Kind::Execute(execute) => {
            if let Some(slot) = &execute.slot {
                line(&mut body, &format!("SlotName: {slot}"));
            }
            let mut props: Vec<_> = execute.props.iter().collect();
            props.sort_by(|(a, _), (b, _)| ignoring_case(a, b));
            for (name, value) in props {
                line(&mut body, &format!("{name} = {}", value.classic()));
            }
            format!("Job executing on host: {}", one_line(&execute.host))
        }
        Kind::Evicted(evicted) => {
            eviction(evicted, &mut body);
            match (evicted.code, evicted.subcode) {
                (0, 0) => "Job was evicted.".to_owned(),
                (code, subcode) => format!("Job was evicted. Code {code} Subcode {subcode}"),
            }
        }
        Kind::Terminated(terminated) => {
            termination(terminated, &mut body);
            "Job terminated.".to_owned()
        }
        Kind::ImageSize(image) => {
            for (number, what) in [
                (image.memory_mb, "MemoryUsage of job (MB)"),
                (image.resident_kb, "ResidentSetSize of job (KB)"),
                (image.proportional_kb, "ProportionalSetSize of job (KB)"),
            ] {
                if let Some(number) = number {
                    line(&mut body, &format!("{number}  -  {what}"));
                }
            }
            format!("Image size of job updated: {}", image.size_kb)
        }
        Kind::ShadowException(exception) => {
            line(&mut body, &exception.message);
            bytes(&mut body, "Run", exception.sent_bytes, exception.received_bytes);
            "Shadow exception!".to_owned()
        }
        Kind::Generic(info) => one_line(info),
        Kind::Aborted(reason) => {
            optional_line(&mut body, reason.as_deref());
            "Job was aborted.".to_owned()
        }
        Kind::Suspended(processes) => {
            line(&mut body, &format!("Number of processes actually suspended: {processes}"));
            "Job was suspended.".to_owned()
        }
        Kind::Unsuspended => "Job was unsuspended.".to_owned(),
        Kind::Held(held) => {
            line(&mut body, if held.reason.is_empty() { NO_REASON } else { &held.reason });
            line(&mut body, &format!("Code {} Subcode {}", held.code, held.subcode));
            "Job was held.".to_owned()
        }
        Kind::Released(reason) => {
            optional_line(&mut body, reason.as_deref());
            "Job was released.".to_owned()
        }
        Kind::RemoteError(error) => {
            error.message.lines().for_each(|text| line(&mut body, text));
            if (error.code, error.subcode) != (0, 0) {
                line(&mut body, &format!("Code {} Subcode {}", error.code, error.subcode));
            }
            let what = if error.critical { "Error" } else { "Warning" };
            format!("{what} from {} on {}:", one_line(&error.daemon), one_line(&error.host))
        }
        Kind::Disconnected(event) => {
            let place = format!("{} {}", event.startd_name, event.startd_addr);
            indented(&mut body, &event.reason);
            indented(&mut body, &format!("Trying to reconnect to {place}"));
            RECONNECT.to_owned()
        }
        Kind::Reconnected(event) => {
            indented(&mut body, &format!("startd address: {}", event.startd_addr));
            indented(&mut body, &format!("starter address: {}", event.starter_addr));
            format!("Job reconnected to {}", one_line(&event.startd_name))
        }
        Kind::ReconnectFailed(event) => {
            indented(&mut body, &event.reason);
            let place = &event.startd_name;
            indented(&mut body, &format!("Can not reconnect to {place}, rescheduling job"));
            "Job reconnection failed".to_owned()
        }
        Kind::ClusterSubmit(host) => format!("Cluster submitted from host: {}", one_line(host)),
        Kind::ClusterRemove(remove) => {
            let word = completion_word(remove.completion);
            let (jobs, items) = (remove.materialized, remove.items);
            line(&mut body, &format!("Materialized {jobs} jobs from {items} items.\t{word}"));
            "Cluster removed".to_owned()
        }
        Kind::FactoryPaused(paused) => {
            let reason = paused.reason.as_deref().unwrap_or("");
            // The reader takes the first line for the reason.
            if !reason.is_empty() || (paused.pause_code, paused.hold_code) != (0, 0) {
                line(&mut body, reason);
            }
            for (name, code) in [("PauseCode", paused.pause_code), ("HoldCode", paused.hold_code)] {
                if code != 0 {
                    line(&mut body, &format!("{name} {code}"));
                }
            }
            PAUSED.to_owned()
        }
        Kind::FactoryResumed(reason) => {
            optional_line(&mut body, reason.as_deref());
            RESUMED.to_owned()
        }
        Kind::FileTransfer(transfer) => {
            if let Some(seconds) = transfer.queueing_delay_s {
                line(&mut body, &format!("Seconds spent in queue: {seconds}"));
            }
            if let Some(host) = &transfer.host {
                line(&mut body, &format!("Transferring to host: {host}"));
            }
            transfer.stage.headline().to_owned()
        }
        Kind::Unknown(unknown) => {
            for text in &unknown.lines {
                // Only such a line could end the event early, or begin another one.
                let text = one_line(text);
                let breaks_out = text.starts_with("...") || begins_event(&text);
                let _ = writeln!(body, "{}{text}", if breaks_out { "\t" } else { "" });
            }
            one_line(&unknown.headline)
        }
        Kind::Ad(number, attributes) => {
            for (name, value) in attributes {
                line(&mut body, &format!("{name} = {}", value.classic()));
            }
            format!("Event {number}")
        }
    };
    (headline, body)
}

/// A body line: a tab and a text that cannot break out of it.
fn line(body: &mut String, text: &str) {
    let _ = writeln!(body, "\t{}", one_line(text));
}

fn indented(body: &mut String, text: &str) {
    let _ = writeln!(body, "    {}", one_line(text));
}

fn optional_line(body: &mut String, text: Option<&str>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        line(body, text);
    }
}

fn notes(submit: &Submit, body: &mut String) {
    if !submit.structured.is_empty() {
        indented(body, &classic_ad(&submit.structured));
    } else if let Some(text) = &submit.log_notes {
        indented(body, text);
    }
    if let Some(text) = &submit.user_notes {
        indented(body, text);
    }
}

fn eviction(evicted: &Evicted, body: &mut String) {
    let what = if evicted.requeue.is_some() { "Job terminated and was requeued" } else { "CPU times" };
    line(body, &format!("(0) {what}"));
    times(body, "Run", evicted.run);
    bytes(body, "Run", evicted.sent_bytes, evicted.received_bytes);
    let reason = evicted.reason.as_deref().filter(|reason| !reason.is_empty());
    if let Some(requeue) = &evicted.requeue {
        exit(body, &requeue.exit);
        optional_line(body, reason);
    } else if let Some(reason) = reason {
        line(body, &format!("Reason: {reason}"));
    }
    if let Some(resources) = &evicted.resources {
        resources.print(body);
    }
}

fn termination(terminated: &Terminated, body: &mut String) {
    exit(body, &terminated.exit);
    times(body, "Run", terminated.run);
    times(body, "Total", terminated.total);
    bytes(body, "Run", terminated.sent_bytes, terminated.received_bytes);
    bytes(body, "Total", terminated.total_sent_bytes, terminated.total_received_bytes);
    if let Some(resources) = &terminated.resources {
        resources.print(body);
    }
}

fn exit(body: &mut String, exit: &Exit) {
    match exit {
        Exit::Code(code) => line(body, &format!("(1) Normal termination (return value {code})")),
        Exit::Signal { signal, core } => {
            line(body, &format!("(0) Abnormal termination (signal {signal})"));
            match core {
                Some(path) if !path.trim().is_empty() => line(body, &format!("(1) Corefile in: {path}")),
                // HTCondor's reader stops at a core file without a name.
                _ => line(body, "(0) No core file"),
            }
        }
    }
}

fn times(body: &mut String, which: &str, times: CpuTimes) {
    for (usage_of, place) in [(times.remote, "Remote"), (times.local, "Local")] {
        let _ = writeln!(body, "\t\t{}  -  {which} {place} Usage", usage(usage_of));
    }
}

fn bytes(body: &mut String, which: &str, sent: u64, received: u64) {
    line(body, &format!("{sent}  -  {which} Bytes Sent By Job"));
    line(body, &format!("{received}  -  {which} Bytes Received By Job"));
}

/// `Usr <days> <hh:mm:ss>, Sys <days> <hh:mm:ss>`
pub(crate) fn usage(usage: Usage) -> String {
    let clock = |s: u64| format!("{} {:02}:{:02}:{:02}", s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    format!("Usr {}, Sys {}", clock(usage.user_s), clock(usage.system_s))
}

pub(crate) fn completion_word(completion: Completion) -> &'static str {
    match completion {
        Completion::Incomplete => "Incomplete",
        Completion::Complete => "Complete",
        Completion::Paused => "Paused",
    }
}

//! Text to events. Whatever does not print back to the same lines is kept as it stood.

use crate::event::{
    ClusterRemove, Completion, CpuTimes, Disconnected, Event, EventJob, Evicted, Execute, Exit, FactoryPaused,
    FileTransfer, Held, ImageSize, Kind, ReconnectFailed, Reconnected, RemoteError, Requeue, ShadowException, Submit,
    Terminated, TransferStage, Unknown, Usage,
};
use crate::form::{Form, Layout};
use crate::resources::Resources;
use crate::time::{self, OffsetAt};
use crate::value::{Value, read_classic_ad};

use super::print::{NO_REASON, PAUSED, RECONNECT, RESUMED, completion_word, lines};

/// Reads one event: its header line and the lines up to the end mark, without line ends. `None` if the first line is
/// no header.
pub(crate) fn read_block(block: &[&str], year: i64, offset: OffsetAt<'_>) -> Option<(Event, Form)> {
    let (header, body) = block.split_first()?;
    let (number, rest) = header.split_once(' ')?;
    if number.len() < 3 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u16 = number.parse().ok()?;
    let (job, rest) = rest.strip_prefix('(')?.split_once(") ")?;
    let mut numbers = job.splitn(3, '.').map(|text| text.parse::<i32>().ok());
    let job = EventJob { cluster: numbers.next()??, proc_: numbers.next()??, subproc: numbers.next()?? };
    let (date, rest) = rest.split_once(' ')?;
    let (clock, headline) = rest.split_once(' ').unwrap_or((rest, ""));
    let (time, form) = time::read(date, clock, Layout::Classic, year, offset)?;
    let kind =
        read_kind(number, headline, body).filter(|kind| prints_back(kind, headline, body)).unwrap_or_else(|| {
            Kind::Unknown(Unknown {
                number,
                headline: headline.to_owned(),
                lines: body.iter().map(|&line| line.to_owned()).collect(),
            })
        });
    Some((Event { job, time, kind }, form))
}

/// Whether a line begins an event, whatever the layout; a line inside an event never does.
pub(crate) fn begins_event(line: &str) -> bool {
    // A leap year, so that no day of a date without a year is missing.
    line.starts_with("<c>") || line == "{" || read_block(&[line], 1972, &time::utc).is_some()
}

fn prints_back(kind: &Kind, headline: &str, body: &[&str]) -> bool {
    let (printed_headline, printed_body) = lines(kind);
    printed_headline == headline && printed_body.lines().eq(body.iter().copied())
}

fn read_kind(number: u16, headline: &str, body: &[&str]) -> Option<Kind> {
    let after = |prefix: &str| headline.strip_prefix(prefix).map(str::to_owned);
    let mut body = Lines(body);
    Some(match number {
        0 => Kind::Submit(read_notes(after("Job submitted from host: ")?, body)),
        1 => Kind::Execute(Execute {
            host: after("Job executing on host: ")?,
            slot: body.after("\tSlotName: "),
            props: body
                .0
                .iter()
                .map(|line| {
                    let (name, value) = line.strip_prefix('\t')?.split_once(" = ")?;
                    Some((name.to_owned(), Value::read_classic(value)))
                })
                .collect::<Option<_>>()?,
        }),
        4 => Kind::Evicted(Box::new(read_eviction(&after("Job was evicted.")?, body)?)),
        5 => Kind::Terminated(Box::new(read_termination(body)?)),
        6 => Kind::ImageSize(ImageSize {
            size_kb: after("Image size of job updated: ")?.parse().ok()?,
            memory_mb: body.measure("MemoryUsage of job (MB)"),
            resident_kb: body.measure("ResidentSetSize of job (KB)"),
            proportional_kb: body.measure("ProportionalSetSize of job (KB)"),
        }),
        7 => {
            let message = body.text()?;
            let (sent_bytes, received_bytes) = body.bytes("Run")?;
            Kind::ShadowException(ShadowException { message, sent_bytes, received_bytes })
        }
        8 => Kind::Generic(headline.to_owned()),
        9 => Kind::Aborted(body.text()),
        10 => Kind::Suspended(body.after("\tNumber of processes actually suspended: ")?.parse().ok()?),
        11 => Kind::Unsuspended,
        12 => {
            let reason = body.text()?;
            let (code, subcode) = body.code()?;
            let reason = if reason == NO_REASON { String::new() } else { reason };
            Kind::Held(Held { reason, code, subcode })
        }
        13 => Kind::Released(body.text()),
        21 => Kind::RemoteError(read_remote_error(headline, body)?),
        22 if headline == RECONNECT => {
            let reason = body.after("    ")?;
            let place = body.after("    Trying to reconnect to ")?;
            let (startd_name, startd_addr) = place.split_once(' ')?;
            Kind::Disconnected(Disconnected {
                reason,
                startd_name: startd_name.to_owned(),
                startd_addr: startd_addr.to_owned(),
            })
        }
        23 => Kind::Reconnected(Reconnected {
            startd_name: after("Job reconnected to ")?,
            startd_addr: body.after("    startd address: ")?,
            starter_addr: body.after("    starter address: ")?,
        }),
        24 => {
            let reason = body.after("    ")?;
            let place = body.after("    Can not reconnect to ")?;
            let startd_name = place.strip_suffix(", rescheduling job")?.to_owned();
            Kind::ReconnectFailed(ReconnectFailed { reason, startd_name })
        }
        35 => Kind::ClusterSubmit(after("Cluster submitted from host: ")?),
        36 => Kind::ClusterRemove(read_cluster_remove(&body.after("\tMaterialized ")?)?),
        37 if headline == PAUSED => {
            let reason = body.text().filter(|reason| !reason.is_empty());
            let mut code = |name: &str| body.after(name).map_or(Some(0), |code| code.parse().ok());
            let (pause_code, hold_code) = (code("\tPauseCode ")?, code("\tHoldCode ")?);
            Kind::FactoryPaused(FactoryPaused { reason, pause_code, hold_code })
        }
        38 if headline == RESUMED => Kind::FactoryResumed(body.text()),
        40 => Kind::FileTransfer(FileTransfer {
            stage: TransferStage::ALL.into_iter().find(|stage| stage.headline() == headline)?,
            queueing_delay_s: match body.after("\tSeconds spent in queue: ") {
                Some(seconds) => Some(seconds.parse().ok()?),
                None => None,
            },
            host: body.after("\tTransferring to host: "),
        }),
        _ => return None,
    })
}

fn read_notes(host: String, mut body: Lines<'_>) -> Submit {
    let mut submit = Submit { host, ..Submit::default() };
    if let Some(first) = body.after("    ") {
        match read_classic_ad(&first) {
            Some(ad) if !ad.is_empty() => submit.structured = ad,
            _ => submit.log_notes = Some(first),
        }
    }
    submit.user_notes = body.after("    ");
    submit
}

fn read_eviction(code: &str, mut body: Lines<'_>) -> Option<Evicted> {
    let mut evicted = Evicted::default();
    if !code.is_empty() {
        (evicted.code, evicted.subcode) = read_code(code.strip_prefix(' ')?)?;
    }
    let requeued = match body.text()?.as_str() {
        "(0) CPU times" => false,
        "(0) Job terminated and was requeued" => true,
        _ => return None,
    };
    evicted.run = body.times("Run")?;
    (evicted.sent_bytes, evicted.received_bytes) = body.bytes("Run")?;
    if requeued {
        evicted.requeue = Some(Requeue { exit: body.exit()? });
        let is_table = body.0.first().is_some_and(|line| line.starts_with("\tPartitionable Resources "));
        evicted.reason = if is_table { None } else { body.text() };
    } else {
        evicted.reason = body.after("\tReason: ");
    }
    evicted.resources = body.resources()?;
    Some(evicted)
}

fn read_termination(mut body: Lines<'_>) -> Option<Terminated> {
    let exit = body.exit()?;
    let (run, total) = (body.times("Run")?, body.times("Total")?);
    let (sent_bytes, received_bytes) = body.bytes("Run")?;
    let (total_sent_bytes, total_received_bytes) = body.bytes("Total")?;
    let resources = body.resources()?;
    Some(Terminated { exit, run, total, sent_bytes, received_bytes, total_sent_bytes, total_received_bytes, resources })
}

fn read_remote_error(headline: &str, body: Lines<'_>) -> Option<RemoteError> {
    let (what, rest) = headline.strip_suffix(':')?.split_once(" from ")?;
    let (daemon, host) = rest.split_once(" on ")?;
    let coded = body.0.last().and_then(|line| read_code(line.strip_prefix('\t')?));
    let message = &body.0[..body.0.len() - usize::from(coded.is_some())];
    let message: Vec<&str> = message.iter().map(|line| line.strip_prefix('\t')).collect::<Option<_>>()?;
    let (code, subcode) = coded.unwrap_or((0, 0));
    Some(RemoteError {
        daemon: daemon.to_owned(),
        host: host.to_owned(),
        message: message.join("\n"),
        critical: what == "Error",
        code,
        subcode,
    })
}

fn read_cluster_remove(text: &str) -> Option<ClusterRemove> {
    let (materialized, rest) = text.split_once(" jobs from ")?;
    let (items, word) = rest.split_once(" items.\t")?;
    let completion = [Completion::Incomplete, Completion::Complete, Completion::Paused]
        .into_iter()
        .find(|completion| completion_word(*completion) == word)?;
    Some(ClusterRemove { materialized: materialized.parse().ok()?, items: items.parse().ok()?, completion })
}

/// `Code 1 Subcode 0`
fn read_code(text: &str) -> Option<(i32, i32)> {
    let (code, subcode) = text.strip_prefix("Code ")?.split_once(" Subcode ")?;
    Some((code.parse().ok()?, subcode.parse().ok()?))
}

/// `Usr 0 00:00:00, Sys 0 00:00:00`
pub(crate) fn read_usage(text: &str) -> Option<Usage> {
    let seconds = |text: &str| {
        let (days, clock) = text.split_once(' ')?;
        let mut parts = clock.splitn(3, ':').map(|part| part.parse::<u64>().ok());
        let (h, m, s) = (parts.next()??, parts.next()??, parts.next()??);
        let days = days.parse::<u64>().ok().filter(|days| *days < 1_000_000)?;
        (h < 24 && m < 60 && s < 60).then_some(days * 86_400 + h * 3600 + m * 60 + s)
    };
    let (user, system) = text.strip_prefix("Usr ")?.split_once(", Sys ")?;
    Some(Usage { user_s: seconds(user)?, system_s: seconds(system)? })
}

/// The body lines not yet read. Each reader takes a line only if it is what it looks for.
struct Lines<'a>(&'a [&'a str]);

impl Lines<'_> {
    /// What follows `prefix` in the next line.
    fn after(&mut self, prefix: &str) -> Option<String> {
        let (first, rest) = self.0.split_first()?;
        let text = first.strip_prefix(prefix)?.to_owned();
        self.0 = rest;
        Some(text)
    }

    /// The next line without its tab.
    fn text(&mut self) -> Option<String> {
        self.after("\t")
    }

    /// What precedes `suffix` in the next line.
    fn before<T>(&mut self, suffix: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let (first, rest) = self.0.split_first()?;
        let value = read(first.strip_suffix(suffix)?)?;
        self.0 = rest;
        Some(value)
    }

    fn measure(&mut self, what: &str) -> Option<i64> {
        self.before(&format!("  -  {what}"), |text| text.strip_prefix('\t')?.parse().ok())
    }

    fn times(&mut self, which: &str) -> Option<CpuTimes> {
        let mut usage = |place: &str| {
            self.before(&format!("  -  {which} {place} Usage"), |text| read_usage(text.strip_prefix("\t\t")?))
        };
        Some(CpuTimes { remote: usage("Remote")?, local: usage("Local")? })
    }

    fn bytes(&mut self, which: &str) -> Option<(u64, u64)> {
        let mut count = |way: &str| {
            self.before(&format!("  -  {which} Bytes {way} By Job"), |text| text.strip_prefix('\t')?.parse().ok())
        };
        Some((count("Sent")?, count("Received")?))
    }

    fn code(&mut self) -> Option<(i32, i32)> {
        read_code(&self.text()?)
    }

    fn exit(&mut self) -> Option<Exit> {
        let text = self.text()?;
        let number = |prefix: &str| text.strip_prefix(prefix)?.strip_suffix(')')?.parse().ok();
        if let Some(code) = number("(1) Normal termination (return value ") {
            return Some(Exit::Code(code));
        }
        let signal = number("(0) Abnormal termination (signal ")?;
        let core = self.after("\t(1) Corefile in: ");
        if core.is_none() {
            self.after("\t(0) No core file")?;
        }
        Some(Exit::Signal { signal, core })
    }

    /// The rest of the lines as a table; `Some(None)` if there are none.
    fn resources(&mut self) -> Option<Option<Resources>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let lines: Vec<&str> = self.0.iter().map(|line| line.strip_prefix('\t')).collect::<Option<_>>()?;
        Resources::read(&lines).map(Some)
    }
}

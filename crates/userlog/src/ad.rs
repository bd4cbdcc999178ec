//! Events as ads: the attributes that the XML and JSON layouts show.

use crate::classic::{RECONNECT, read_usage, usage};
use crate::event::{
    ClusterRemove, Completion, CpuTimes, Disconnected, Event, EventJob, Evicted, Execute, Exit, FactoryPaused,
    FileTransfer, Held, ImageSize, Kind, ReconnectFailed, Reconnected, RemoteError, Requeue, ShadowException, Submit,
    Terminated, TransferStage, Usage,
};
use crate::form::{Form, Layout};
use crate::resources::Resources;
use crate::time::{self, OffsetAt};
use crate::value::{Attributes, Value, by_length, ignoring_case};

/// Names of the kinds, by number.
const TYPES: &[(u16, &str)] = &[
    (0, "SubmitEvent"),
    (1, "ExecuteEvent"),
    (4, "JobEvictedEvent"),
    (5, "JobTerminatedEvent"),
    (6, "JobImageSizeEvent"),
    (7, "ShadowExceptionEvent"),
    (8, "GenericEvent"),
    (9, "JobAbortedEvent"),
    (10, "JobSuspendedEvent"),
    (11, "JobUnsuspendedEvent"),
    (12, "JobHeldEvent"),
    (13, "JobReleaseEvent"),
    (21, "RemoteErrorEvent"),
    (22, "JobDisconnectedEvent"),
    (23, "JobReconnectedEvent"),
    (24, "JobReconnectFailedEvent"),
    (35, "ClusterSubmitEvent"),
    (36, "ClusterRemoveEvent"),
    (37, "FactoryPausedEvent"),
    (38, "FactoryResumedEvent"),
    (40, "FileTransferEvent"),
];

/// The attributes of an event, in no particular order. `stamp` is its time as printed.
pub(crate) fn of_event(event: &Event, stamp: String) -> Attributes {
    let mut ad = Builder(Attributes::new());
    let number = event.kind.number();
    let known = TYPES.iter().find(|(known, _)| *known == number);
    if !matches!(event.kind, Kind::Ad(..)) {
        ad.text("MyType", known.map_or("FutureEvent", |(_, name)| name));
    }
    ad.put("EventTypeNumber", Value::Int(i64::from(number)));
    ad.text("EventTime", &stamp);
    for (name, number) in [("Cluster", event.job.cluster), ("Proc", event.job.proc_), ("Subproc", event.job.subproc)] {
        if number >= 0 {
            ad.put(name, Value::Int(i64::from(number)));
        }
    }
    of_kind(&event.kind, &mut ad);
    ad.0
}

fn of_kind(kind: &Kind, ad: &mut Builder) {
    match kind {
        Kind::Submit(submit) => {
            ad.text("SubmitHost", &submit.host);
            ad.optional("LogNotes", submit.log_notes.as_deref());
            ad.optional("UserNotes", submit.user_notes.as_deref());
            if !submit.structured.is_empty() {
                ad.put("StructuredNotes", Value::Ad(submit.structured.clone()));
            }
        }
        Kind::Execute(execute) => {
            ad.text("ExecuteHost", &execute.host);
            ad.optional("SlotName", execute.slot.as_deref());
            if !execute.props.is_empty() {
                ad.put("ExecuteProps", Value::Ad(execute.props.clone()));
            }
        }
        Kind::Evicted(evicted) => {
            ad.put("Checkpointed", Value::Bool(false));
            ad.put("TerminatedAndRequeued", Value::Bool(evicted.requeue.is_some()));
            match &evicted.requeue {
                Some(requeue) => ad.exit(&requeue.exit),
                None => ad.put("TerminatedNormally", Value::Bool(false)),
            }
            ad.times("Run", evicted.run);
            ad.bytes("", evicted.sent_bytes, evicted.received_bytes);
            ad.optional("Reason", evicted.reason.as_deref());
            ad.nonzero("ReasonCode", evicted.code);
            ad.nonzero("ReasonSubCode", evicted.subcode);
        }
        Kind::Terminated(terminated) => {
            ad.exit(&terminated.exit);
            ad.times("Run", terminated.run);
            ad.times("Total", terminated.total);
            ad.bytes("", terminated.sent_bytes, terminated.received_bytes);
            ad.bytes("Total", terminated.total_sent_bytes, terminated.total_received_bytes);
            if let Some(resources) = &terminated.resources {
                resources.to_ad(&mut ad.0);
            }
        }
        Kind::ImageSize(image) => {
            ad.put("Size", Value::Int(image.size_kb));
            ad.optional_int("MemoryUsage", image.memory_mb);
            ad.optional_int("ResidentSetSize", image.resident_kb);
            ad.optional_int("ProportionalSetSize", image.proportional_kb);
        }
        Kind::ShadowException(exception) => {
            ad.text("Message", &exception.message);
            ad.bytes("", exception.sent_bytes, exception.received_bytes);
        }
        Kind::Generic(info) => ad.text("Info", info),
        Kind::Aborted(reason) | Kind::Released(reason) | Kind::FactoryResumed(reason) => {
            ad.optional("Reason", reason.as_deref())
        }
        Kind::Suspended(processes) => ad.put("NumberOfPIDs", Value::Int(*processes)),
        Kind::Unsuspended => {}
        Kind::Held(held) => {
            ad.optional("HoldReason", Some(held.reason.as_str()).filter(|reason| !reason.is_empty()));
            ad.put("HoldReasonCode", Value::Int(i64::from(held.code)));
            ad.put("HoldReasonSubCode", Value::Int(i64::from(held.subcode)));
        }
        Kind::RemoteError(error) => {
            ad.text("Daemon", &error.daemon);
            ad.text("ExecuteHost", &error.host);
            ad.text("ErrorMsg", &error.message);
            if !error.critical {
                ad.put("CriticalError", Value::Bool(false));
            }
            if (error.code, error.subcode) != (0, 0) {
                ad.put("HoldReasonCode", Value::Int(i64::from(error.code)));
                ad.put("HoldReasonSubCode", Value::Int(i64::from(error.subcode)));
            }
        }
        Kind::Disconnected(event) => {
            ad.text("EventDescription", RECONNECT);
            ad.text("DisconnectReason", &event.reason);
            ad.text("StartdName", &event.startd_name);
            ad.text("StartdAddr", &event.startd_addr);
        }
        Kind::Reconnected(event) => {
            ad.text("EventDescription", "Job reconnected");
            ad.text("StartdName", &event.startd_name);
            ad.text("StartdAddr", &event.startd_addr);
            ad.text("StarterAddr", &event.starter_addr);
        }
        Kind::ReconnectFailed(event) => {
            ad.text("EventDescription", "Job reconnect impossible: rescheduling job");
            ad.text("Reason", &event.reason);
            ad.text("StartdName", &event.startd_name);
        }
        Kind::ClusterSubmit(host) => ad.text("SubmitHost", host),
        Kind::ClusterRemove(remove) => {
            ad.put("NextProcId", Value::Int(remove.materialized));
            ad.put("NextRow", Value::Int(remove.items));
            ad.put("Completion", Value::Int(remove.completion as i64));
        }
        Kind::FactoryPaused(paused) => {
            ad.optional("Reason", paused.reason.as_deref().filter(|reason| !reason.is_empty()));
            ad.put("PauseCode", Value::Int(i64::from(paused.pause_code)));
            ad.put("HoldCode", Value::Int(i64::from(paused.hold_code)));
        }
        Kind::FileTransfer(transfer) => {
            ad.put("Type", Value::Int(transfer.stage as i64 + 1));
            ad.optional("Host", transfer.host.as_deref());
            ad.optional_int("QueueingDelay", transfer.queueing_delay_s);
        }
        Kind::Unknown(unknown) => {
            ad.text("EventHead", &unknown.headline);
            ad.optional("EventPayloadLines", Some(unknown.lines.join("\n")).as_deref().filter(|p| !p.is_empty()));
        }
        Kind::Ad(_, attributes) => ad.0.extend(attributes.iter().cloned()),
    }
}

/// The event that an ad tells of; `None` if it has no number or no time.
pub(crate) fn to_event(ad: &Attributes, layout: Layout, offset: OffsetAt<'_>) -> Option<(Event, Form)> {
    let found = Found(ad);
    let number = u16::try_from(found.int("EventTypeNumber")?).ok()?;
    let stamp = found.text("EventTime")?;
    let (date, clock) = stamp.split_once('T')?;
    let (time, form) = time::read(date, clock, layout, 1970, offset)?;
    let id = |name: &str| match found.int(name) {
        Some(number) => i32::try_from(number).ok(),
        None => Some(-1),
    };
    let job = EventJob { cluster: id("Cluster")?, proc_: id("Proc")?, subproc: id("Subproc")? };
    if let Some(kind) = to_kind(number, &found) {
        let event = Event { job, time, kind };
        if same(&of_event(&event, stamp.to_owned()), ad) {
            return Some((event, form));
        }
    }
    let frame = ["EventTypeNumber", "EventTime", "Cluster", "Proc", "Subproc"];
    let rest = ad.iter().filter(|(name, _)| !frame.contains(&name.as_str())).cloned().collect();
    Some((Event { job, time, kind: Kind::Ad(number, rest) }, form))
}

/// The kind, as far as it can be read; the caller compares what it would print.
fn to_kind(number: u16, ad: &Found<'_>) -> Option<Kind> {
    Some(match number {
        0 => Kind::Submit(Submit {
            host: ad.string("SubmitHost")?,
            structured: ad.nested("StructuredNotes"),
            log_notes: ad.string("LogNotes"),
            user_notes: ad.string("UserNotes"),
        }),
        1 => Kind::Execute(Execute {
            host: ad.string("ExecuteHost")?,
            slot: ad.string("SlotName"),
            props: ad.nested("ExecuteProps"),
        }),
        4 => Kind::Evicted(Box::new(Evicted {
            requeue: match ad.get("TerminatedAndRequeued") {
                Some(Value::Bool(true)) => Some(Requeue { exit: ad.exit()? }),
                _ => None,
            },
            code: ad.number("ReasonCode").unwrap_or(0),
            subcode: ad.number("ReasonSubCode").unwrap_or(0),
            reason: ad.string("Reason"),
            run: ad.times("Run")?,
            sent_bytes: ad.bytes("SentBytes")?,
            received_bytes: ad.bytes("ReceivedBytes")?,
            resources: None,
        })),
        5 => Kind::Terminated(Box::new(Terminated {
            exit: ad.exit()?,
            run: ad.times("Run")?,
            total: ad.times("Total")?,
            sent_bytes: ad.bytes("SentBytes")?,
            received_bytes: ad.bytes("ReceivedBytes")?,
            total_sent_bytes: ad.bytes("TotalSentBytes")?,
            total_received_bytes: ad.bytes("TotalReceivedBytes")?,
            resources: Resources::from_ad(ad.0),
        })),
        6 => Kind::ImageSize(ImageSize {
            size_kb: ad.int("Size")?,
            memory_mb: ad.int("MemoryUsage"),
            resident_kb: ad.int("ResidentSetSize"),
            proportional_kb: ad.int("ProportionalSetSize"),
        }),
        7 => Kind::ShadowException(ShadowException {
            message: ad.string("Message")?,
            sent_bytes: ad.bytes("SentBytes")?,
            received_bytes: ad.bytes("ReceivedBytes")?,
        }),
        8 => Kind::Generic(ad.string("Info")?),
        9 => Kind::Aborted(ad.string("Reason")),
        10 => Kind::Suspended(ad.int("NumberOfPIDs")?),
        11 => Kind::Unsuspended,
        12 => Kind::Held(Held {
            reason: ad.string("HoldReason").unwrap_or_default(),
            code: ad.number("HoldReasonCode")?,
            subcode: ad.number("HoldReasonSubCode")?,
        }),
        13 => Kind::Released(ad.string("Reason")),
        21 => Kind::RemoteError(RemoteError {
            daemon: ad.string("Daemon")?,
            host: ad.string("ExecuteHost")?,
            message: ad.string("ErrorMsg")?,
            critical: ad.get("CriticalError") != Some(&Value::Bool(false)),
            code: ad.number("HoldReasonCode").unwrap_or(0),
            subcode: ad.number("HoldReasonSubCode").unwrap_or(0),
        }),
        22 => Kind::Disconnected(Disconnected {
            reason: ad.string("DisconnectReason")?,
            startd_name: ad.string("StartdName")?,
            startd_addr: ad.string("StartdAddr")?,
        }),
        23 => Kind::Reconnected(Reconnected {
            startd_name: ad.string("StartdName")?,
            startd_addr: ad.string("StartdAddr")?,
            starter_addr: ad.string("StarterAddr")?,
        }),
        24 => Kind::ReconnectFailed(ReconnectFailed {
            reason: ad.string("Reason")?,
            startd_name: ad.string("StartdName")?,
        }),
        35 => Kind::ClusterSubmit(ad.string("SubmitHost")?),
        36 => Kind::ClusterRemove(ClusterRemove {
            materialized: ad.int("NextProcId")?,
            items: ad.int("NextRow")?,
            completion: match ad.int("Completion")? {
                0 => Completion::Incomplete,
                1 => Completion::Complete,
                2 => Completion::Paused,
                _ => return None,
            },
        }),
        37 => Kind::FactoryPaused(FactoryPaused {
            reason: ad.string("Reason"),
            pause_code: ad.number("PauseCode")?,
            hold_code: ad.number("HoldCode")?,
        }),
        38 => Kind::FactoryResumed(ad.string("Reason")),
        40 => Kind::FileTransfer(FileTransfer {
            stage: *TransferStage::ALL.get(usize::try_from(ad.int("Type")?.checked_sub(1)?).ok()?)?,
            host: ad.string("Host"),
            queueing_delay_s: ad.int("QueueingDelay"),
        }),
        _ => return None,
    })
}

/// Whether two ads print alike.
fn same(a: &Attributes, b: &Attributes) -> bool {
    a.len() == b.len()
        && by_length(a).into_iter().zip(by_length(b)).all(|((name_a, a), (name_b, b))| {
            name_a == name_b
                && match (a, b) {
                    (Value::Ad(a), Value::Ad(b)) => same(a, b),
                    _ => a == b,
                }
        })
}

struct Builder(Attributes);

impl Builder {
    fn put(&mut self, name: &str, value: Value) {
        self.0.push((name.to_owned(), value));
    }

    fn text(&mut self, name: &str, text: &str) {
        self.put(name, Value::text(text));
    }

    fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn optional_int(&mut self, name: &str, number: Option<i64>) {
        if let Some(number) = number {
            self.put(name, Value::Int(number));
        }
    }

    fn nonzero(&mut self, name: &str, number: i32) {
        self.optional_int(name, Some(i64::from(number)).filter(|number| *number != 0));
    }

    fn exit(&mut self, exit: &Exit) {
        self.put("TerminatedNormally", Value::Bool(matches!(exit, Exit::Code(_))));
        match exit {
            Exit::Code(code) => self.put("ReturnValue", Value::Int(i64::from(*code))),
            Exit::Signal { signal, core } => {
                self.put("TerminatedBySignal", Value::Int(i64::from(*signal)));
                self.optional("CoreFile", core.as_deref());
            }
        }
    }

    fn times(&mut self, which: &str, times: CpuTimes) {
        self.text(&format!("{which}RemoteUsage"), &usage(times.remote));
        self.text(&format!("{which}LocalUsage"), &usage(times.local));
    }

    fn bytes(&mut self, which: &str, sent: u64, received: u64) {
        self.put(&format!("{which}SentBytes"), Value::Real(sent as f64));
        self.put(&format!("{which}ReceivedBytes"), Value::Real(received as f64));
    }
}

struct Found<'a>(&'a Attributes);

impl<'a> Found<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    fn int(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    fn number(&self, name: &str) -> Option<i32> {
        i32::try_from(self.int(name)?).ok()
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        match self.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn string(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    fn nested(&self, name: &str) -> Attributes {
        match self.get(name) {
            Some(Value::Ad(ad)) => {
                // Inside an event, attributes have one order whatever log they come from.
                let mut ad = ad.clone();
                ad.sort_by(|(a, _), (b, _)| ignoring_case(a, b));
                ad
            }
            _ => Attributes::new(),
        }
    }

    fn usage(&self, name: &str) -> Option<Usage> {
        read_usage(self.text(name)?)
    }

    fn times(&self, which: &str) -> Option<CpuTimes> {
        Some(CpuTimes {
            remote: self.usage(&format!("{which}RemoteUsage"))?,
            local: self.usage(&format!("{which}LocalUsage"))?,
        })
    }

    fn bytes(&self, name: &str) -> Option<u64> {
        match self.get(name) {
            // Larger counts are no longer exact in a real; no log holds one.
            Some(Value::Real(number)) if (0.0..9e15).contains(number) => Some(*number as u64),
            _ => None,
        }
    }

    fn exit(&self) -> Option<Exit> {
        if self.get("TerminatedNormally") == Some(&Value::Bool(true)) {
            return Some(Exit::Code(self.number("ReturnValue")?));
        }
        Some(Exit::Signal { signal: self.number("TerminatedBySignal")?, core: self.string("CoreFile") })
    }
}

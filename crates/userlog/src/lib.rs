//! The job event log of HTCondor: events to text and back.
//!
//! [`format()`] prints one [`Event`] in one [`Form`]; [`parse`] reads a log, whatever its form, and gives the events with
//! the form they stood in, so that printing gives back the same bytes. An event of a kind or shape that is not known
//! here keeps its lines ([`Kind::Unknown`]) or attributes ([`Kind::Ad`]).
//!
//! What is not here: files, locks, clocks, and zone data bases. Times are seconds since 1970; whoever formats or parses
//! local times passes a function that knows the offset of the zone.
//!
//! Source: recorded logs of HTCondor 25.13.2, `tests/data/userlog`; the manual's chapter "Job Event Log Codes".

mod ad;
mod classic;
mod event;
mod form;
mod json;
mod parse;
mod resources;
mod time;
mod value;
mod xml;

pub use classic::format;
pub use event::{
    ClusterRemove, Completion, CpuTimes, Disconnected, Event, EventJob, Evicted, Execute, Exit, FactoryPaused,
    FileTransfer, Held, ImageSize, Kind, ReconnectFailed, Reconnected, RemoteError, Requeue, ShadowException, Submit,
    Terminated, TransferStage, Unknown, Usage, one_line,
};
pub use form::{DateForm, Form, Layout};
pub use parse::{Entry, Log, LogError, parse};
pub use resources::{Amount, Resource, Resources};
pub use time::{EventTime, OffsetAt, utc};
pub use value::{Attributes, Value};

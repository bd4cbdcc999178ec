//! The Work Queue wire protocol, versions 6 to 11, as a pure library.
//!
//! A Work Queue *master* listens; *workers*, *foremen* and status tools connect and speak first. Everything they say is a
//! [`FromWorker`], everything the master says a [`ToWorker`] or a whole [`TaskMessage`]. The peer announces its
//! [`Protocol`]; the master never announces one, so one master serves all versions by spelling each message in the
//! peer's dialect.
//!
//! The crate turns bytes into messages and back and knows nothing else: no sockets, no clock, no randomness, no opinion
//! on which message is due. Where a message ends is decided from its header line alone.
//!
//! Start reading at [`FromWorker`] and [`ToWorker`], then [`Decoder`]; [`MasterHandshake`] stands before both when the
//! master has a password. [`MasterDecoder`] and [`WorkerHandshake`] are the worker's half, for tests and simulation.

mod amount;
mod auth;
mod decoder;
mod from_worker;
mod line;
mod master_decoder;
mod names;
mod protocol;
mod status;
mod to_worker;

pub use amount::Amount;
pub use auth::{BANNER, Challenge, HANDSHAKE_LINE_MAX, MasterHandshake, Outcome, Password, Refusal, WorkerHandshake};
pub use decoder::{Decoder, Event, Limits};
pub use from_worker::{
    Exhaustion, FromWorker, Hello, Info, Resource, ResourceKind, Statistic, StatusQuery, TaskResult,
};
pub use line::{LINE_MAX, LineError};
pub use master_decoder::{MasterDecoder, MasterEvent, MasterLimits};
pub use names::{decode_name, encode_name, is_plain_name};
pub use protocol::{Dialect, Protocol, UnsupportedProtocol};
pub use status::TaskStatus;
pub use to_worker::{
    EncodeError, FileFlags, FileMode, Infile, NameFault, Outfile, TaskId, TaskMessage, ThirdPartyKind, ToWorker,
};

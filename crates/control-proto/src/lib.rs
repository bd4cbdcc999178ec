//! What the condor programs and the master say to each other over the Unix socket `awq.sock`.
//!
//! One round trip: the client's first write is [`frame::preamble`] and a request; the master answers with
//! frames until a frame of kind [`Kind::End`]. Requests and heads of replies are JSON, so fields can be added
//! without a new version; executables and listings travel as bytes of their own.
//!
//! Start with [`Request`] and [`Reply`]; [`frame`] is the layout on the wire, [`listing`] the compact rows of
//! job ads, [`job_files`] how ads name files, [`client`] the blocking client that the programs use. The master's side of the socket lives in the
//! shell, which only needs the types and [`frame::Splitter`].
//!
//! This crate decides nothing: who may do what, and what an answer contains, is the master's business.

#[cfg(feature = "client")]
pub mod client;
pub mod frame;
pub mod job_files;
pub mod listing;
mod reply;
mod request;

pub use frame::{FrameError, Kind, VERSION};
pub use reply::{
    Acted, Counts, Explanation, JobOutcome, ListingEnd, MACHINE_STATE, Machines, Need, Refusal, Reloaded, Reply, Site,
    SubmittedCluster, Totals, read_head, write_head,
};
pub use request::{
    Act, Action, ClusterRequest, Edit, HistoryQuery, JobNumber, MachineQuery, Query, ReleaseHosts, Reload, Request,
    ScheddQuery, Selection, SpooledFile, Submit, Targets, TransferData, Why,
};

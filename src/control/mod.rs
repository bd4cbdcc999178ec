//! The socket of the `condor_*` programs: one request, one answer (decision D6).

mod callers;
mod clients;
mod codec;
mod conversation;
mod intake;
#[cfg(test)]
mod tests;

pub(crate) use callers::{Callers, SiteFacts, look_up};
pub(crate) use clients::Clients;
pub(crate) use conversation::{accept, refuse_late, reply_late};
pub(crate) use intake::{Blob, Submission};

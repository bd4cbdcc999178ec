//! What the operator's log hears of.

use crate::ids::{JobId, LinkId};
use crate::io::Trouble;

/// Facts for the operator's log; never secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A peer said hello.
    WorkerJoined {
        /// Which.
        link: LinkId,
        /// Its host.
        host: String,
        /// `6`…`11`.
        protocol: u32,
        /// It is a foreman.
        foreman: bool,
    },
    /// A peer went.
    WorkerLeft {
        /// Which.
        link: LinkId,
        /// Its host.
        host: String,
        /// Jobs it took along.
        jobs: usize,
        /// Why.
        reason: String,
    },
    /// A job went on hold.
    JobHeld {
        /// Which.
        job: JobId,
        /// Why.
        trouble: Trouble,
    },
    /// A worker or host gets no jobs for a while, after failures that were not the jobs' (decision D41).
    Quarantined {
        /// Name and address of the host.
        who: String,
        /// Only this connection of the host, or all of them.
        worker: Option<LinkId>,
        /// How long.
        minutes: u64,
    },
    /// A peer broke a rule.
    Misbehaved {
        /// Which.
        link: LinkId,
        /// How.
        how: String,
    },
}

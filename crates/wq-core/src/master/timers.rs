//! All timers in one table; a timer whose reason is gone is ignored when it fires.

use std::collections::BTreeSet;

use crate::ids::{AttemptId, ClientId, JobId, LinkId, Timestamp};

/// What shall happen later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A peer must have said hello.
    Hello(LinkId),
    /// Is the peer still there?
    Check(LinkId),
    /// A peer may get work again.
    Quarantine(LinkId),
    /// The kill of a task must be confirmed.
    Confirm(AttemptId),
    /// An undeliverable result has waited long enough at its worker.
    Parked(AttemptId),
    /// The job may not run longer.
    TimeLimit(AttemptId),
    /// A job may start now, or its time is over.
    Deferral(JobId),
    /// More matches than one turn allows.
    Dispatch,
    /// The next slice of jobs for the periodic policies.
    Policies,
    /// A look at queues that find no room.
    Starving,
    /// Remember how far the event logs are.
    EventsUpto,
    /// Outputs that were delivered are to be brought to disk.
    OutputsUpto,
    /// A stop waits no longer for that.
    LastMark,
    /// The next slice of a checkpoint.
    Checkpoint,
    /// More machines to look at for a client that asks why its jobs wait.
    Why(ClientId),
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Timestamp, Timer)>,
}

impl Timers {
    /// Adds a timer.
    pub(crate) fn set(&mut self, at: Timestamp, timer: Timer) {
        self.due.insert((at, timer));
    }

    /// The first time at which something is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// All that is due at some time, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Timestamp, Timer)> + '_ {
        self.due.iter().copied()
    }

    /// Takes the first timer that is due.
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<Timer> {
        match self.due.first() {
            Some((at, _)) if *at <= now => self.due.pop_first().map(|(_, timer)| timer),
            _ => None,
        }
    }
}

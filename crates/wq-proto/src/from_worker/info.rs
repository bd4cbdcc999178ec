//! `info KEY VALUE`: advisory facts about a peer.

use super::message::put;
use crate::line::{Fields, LineError};
use bytes::{BufMut, Bytes, BytesMut};

/// One `info` line. All are advisory; unknown keys, and values of an unexpected shape, are [`Info::Other`].
///
/// Source: CCTools worker sources; keys as recorded from all protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Info {
    /// `end_of_resource_update`: the resource block is complete; the first one means work may be sent.
    EndOfResourceUpdate,
    /// `worker-id`: `worker-` and 32 hex digits, the same for the life of the process.
    WorkerId(Bytes),
    /// `tasks_waiting`: tasks the peer holds without running them. A foreman says it twice in each block; only the first
    /// has this meaning.
    TasksWaiting(u64),
    /// `tasks_running`: processes that run now.
    TasksRunning(u64),
    /// `worker-end-time` (9+): when the worker will stop, Unix seconds; 0 = no such time.
    WorkerEndTime(u64),
    /// `from-factory` (11): name of the factory that started the worker.
    FromFactory(Bytes),
    /// `idle-disconnecting`: idle for this many seconds, it is about to leave.
    IdleDisconnecting {
        /// The worker's idle time-out.
        seconds: u64,
    },
    /// `vacating` (7+): it was told to stop by a signal and is leaving.
    Vacating {
        /// Signal number of the peer's system.
        signal: u64,
    },
    /// `wall_time_exhausted` and kin: it is leaving or has dropped its tasks.
    Exhausted {
        /// What ran out.
        what: Exhaustion,
        /// Seconds or megabytes, see [`Exhaustion`].
        amount: u64,
    },
    /// A figure of a foreman's statistics block.
    Statistic {
        /// Which figure.
        what: Statistic,
        /// A count, µs or bytes, by its name.
        value: u64,
    },
    /// Anything else.
    Other {
        /// First word.
        key: Bytes,
        /// The rest of the line; empty if there is none.
        value: Bytes,
    },
}

/// An enum whose variants are words on the wire.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The key on the wire.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            fn from_key(key: &[u8]) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.key().as_bytes() == key)
            }
        }
    };
}

words! {
    /// What a worker ran out of.
    Exhaustion {
        /// `wall_time_exhausted`: the worker's own `--wall-time`, seconds.
        WallTime = "wall_time_exhausted",
        /// `disk_space_exhausted` (6): MB left.
        DiskSpace = "disk_space_exhausted",
        /// `disk_exhausted`: MB used.
        Disk = "disk_exhausted",
        /// `memory_exhausted`: MB used.
        Memory = "memory_exhausted",
        /// `disk_error`: MB; the disk does not work as it should.
        DiskError = "disk_error",
    }
}

words! {
    /// The figures of a foreman: protocol 6 says the `total_…` ones, 7 and later the others.
    ///
    /// `time_…` are µs, `bytes_…` bytes, the rest counts; all since the foreman started.
    Statistic {
        /// Workers that joined the foreman.
        WorkersJoined = "workers_joined",
        /// Workers that left, for any reason.
        WorkersRemoved = "workers_removed",
        /// Workers sent away.
        WorkersReleased = "workers_released",
        /// Workers that left for lack of work.
        WorkersIdledOut = "workers_idled_out",
        /// Workers dropped for being slow.
        WorkersFastAborted = "workers_fast_aborted",
        /// Workers blocked.
        WorkersBlacklisted = "workers_blacklisted",
        /// Workers lost.
        WorkersLost = "workers_lost",
        /// Tasks sent to a worker and not yet back.
        TasksOnWorkers = "tasks_on_workers",
        /// Tasks whose result waits at a worker.
        TasksWithResults = "tasks_with_results",
        /// Time spent sending.
        TimeSend = "time_send",
        /// Time spent receiving.
        TimeReceive = "time_receive",
        /// The same, for tasks that succeeded.
        TimeSendGood = "time_send_good",
        /// The same, for tasks that succeeded.
        TimeReceiveGood = "time_receive_good",
        /// Run time of tasks.
        TimeWorkersExecute = "time_workers_execute",
        /// Run time of tasks that succeeded.
        TimeWorkersExecuteGood = "time_workers_execute_good",
        /// Run time of tasks that exhausted a resource.
        TimeWorkersExecuteExhaustion = "time_workers_execute_exhaustion",
        /// Bytes sent to workers.
        BytesSent = "bytes_sent",
        /// Bytes received from workers.
        BytesReceived = "bytes_received",
        /// Protocol 6: workers that joined.
        TotalWorkersJoined = "total_workers_joined",
        /// Protocol 6: workers that left.
        TotalWorkersRemoved = "total_workers_removed",
        /// Protocol 6: workers lost.
        TotalWorkersLost = "total_workers_lost",
        /// Protocol 6: workers that left for lack of work.
        TotalWorkersIdledOut = "total_workers_idled_out",
        /// Protocol 6: workers dropped for being slow.
        TotalWorkersFastAborted = "total_workers_fast_aborted",
        /// Protocol 6: time spent sending.
        TotalSendTime = "total_send_time",
        /// Protocol 6: time spent receiving.
        TotalReceiveTime = "total_receive_time",
        /// Protocol 6: run time of tasks.
        TotalExecuteTime = "total_execute_time",
        /// Protocol 6: bytes sent to workers.
        TotalBytesSent = "total_bytes_sent",
        /// Protocol 6: bytes received from workers.
        TotalBytesReceived = "total_bytes_received",
    }
}

impl Info {
    pub(crate) fn parse(mut fields: Fields<'_>) -> Result<Self, LineError> {
        let key = fields.word("key")?;
        let value = fields.rest("value").unwrap_or(b"");
        Ok(Self::known(key, value)
            .unwrap_or_else(|| Self::Other { key: Bytes::copy_from_slice(key), value: Bytes::copy_from_slice(value) }))
    }

    /// The typed form; `None` for an unknown key or a value that is not written as we would write it.
    fn known(key: &[u8], value: &[u8]) -> Option<Self> {
        Some(match key {
            // The value is always 0 and means nothing; the line is what counts.
            b"end_of_resource_update" => Self::EndOfResourceUpdate,
            b"tasks_running" => Self::TasksRunning(number(value)?),
            b"tasks_waiting" => Self::TasksWaiting(number(value)?),
            b"worker-id" if !value.is_empty() => Self::WorkerId(Bytes::copy_from_slice(value)),
            b"worker-end-time" => Self::WorkerEndTime(number(value)?),
            b"from-factory" if !value.is_empty() => Self::FromFactory(Bytes::copy_from_slice(value)),
            b"idle-disconnecting" => Self::IdleDisconnecting { seconds: number(value)? },
            b"vacating" => Self::Vacating { signal: number(value)? },
            _ => match (Statistic::from_key(key), Exhaustion::from_key(key)) {
                (Some(what), _) => Self::Statistic { what, value: number(value)? },
                (_, Some(what)) => Self::Exhausted { what, amount: number(value)? },
                (None, None) => return None,
            },
        })
    }

    pub(crate) fn print_fields(&self, out: &mut BytesMut) {
        let mut numeric = |key: &str, value: u64| put(out, format_args!(" {key} {value}"));
        match self {
            Self::EndOfResourceUpdate => numeric("end_of_resource_update", 0),
            Self::TasksWaiting(count) => numeric("tasks_waiting", *count),
            Self::TasksRunning(count) => numeric("tasks_running", *count),
            Self::WorkerEndTime(seconds) => numeric("worker-end-time", *seconds),
            Self::IdleDisconnecting { seconds } => numeric("idle-disconnecting", *seconds),
            Self::Vacating { signal } => numeric("vacating", *signal),
            Self::Exhausted { what, amount } => numeric(what.key(), *amount),
            Self::Statistic { what, value } => numeric(what.key(), *value),
            Self::WorkerId(id) => textual(out, b"worker-id", id),
            Self::FromFactory(name) => textual(out, b"from-factory", name),
            Self::Other { key, value } => textual(out, key, value),
        }
    }
}

fn textual(out: &mut BytesMut, key: &[u8], value: &[u8]) {
    out.put_u8(b' ');
    out.put_slice(key);
    if !value.is_empty() {
        out.put_u8(b' ');
        out.put_slice(value);
    }
}

/// A decimal number in the only spelling we print: no sign, no leading zero.
fn number(text: &[u8]) -> Option<u64> {
    if text.len() > 1 && text[0] == b'0' || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rest: &str, wanted: &Info) {
        let info = Info::parse(Fields::new("info", Some(rest.as_bytes()))).unwrap();
        assert_eq!(info, *wanted);
        let mut out = BytesMut::new();
        info.print_fields(&mut out);
        assert_eq!(out, format!(" {rest}"));
    }

    fn other(key: &'static str, value: &'static str) -> Info {
        Info::Other { key: Bytes::from_static(key.as_bytes()), value: Bytes::from_static(value.as_bytes()) }
    }

    #[test]
    fn known_keys_are_typed() {
        check("end_of_resource_update 0", &Info::EndOfResourceUpdate);
        check("tasks_running 12", &Info::TasksRunning(12));
        check("tasks_waiting 0", &Info::TasksWaiting(0));
        check("worker-id worker-0a16", &Info::WorkerId(Bytes::from_static(b"worker-0a16")));
        check("worker-end-time 1795290034", &Info::WorkerEndTime(1_795_290_034));
        check("from-factory my factory", &Info::FromFactory(Bytes::from_static(b"my factory")));
        check("idle-disconnecting 900", &Info::IdleDisconnecting { seconds: 900 });
        check("vacating 15", &Info::Vacating { signal: 15 });
        check("wall_time_exhausted 8", &Info::Exhausted { what: Exhaustion::WallTime, amount: 8 });
        check("bytes_sent 5", &Info::Statistic { what: Statistic::BytesSent, value: 5 });
    }

    #[test]
    fn the_rest_is_kept_as_it_is() {
        check("something new", &other("something", "new"));
        check("key", &other("key", ""));
        check("tasks_running -1", &other("tasks_running", "-1"));
        check("tasks_running 007", &other("tasks_running", "007"));
        check("time_send 18446744073709551616", &other("time_send", "18446744073709551616"));
        check("vacating", &other("vacating", ""));
    }

    #[test]
    fn a_key_is_needed() {
        assert!(Info::parse(Fields::new("info", None)).is_err());
        assert!(Info::parse(Fields::new("info", Some(b""))).is_err());
    }

    #[test]
    fn keys_are_unique() {
        let mut keys: Vec<_> =
            Statistic::ALL.iter().map(|s| s.key()).chain(Exhaustion::ALL.iter().map(|e| e.key())).collect();
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }
}

//! The STATUS number of a result.

/// How the worker or foreman says a task ended: the first number of `result`.
///
/// Bits 0 to 2 flag missing input, output and stdout; the rest is a reason times 8. Peers combine some with OR, so sums
/// occur ([`TaskStatus::Sum`]) and a sum can look like another reason (16 + 40 reads as 56).
/// Source: CCTools `work_queue.h`; which peer sends which number was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskStatus {
    /// 0: the process ran; the exit field tells how it ended.
    Success,
    /// 1: an input was not in the cache (worker 11: exit 1; foreman: exit −1).
    InputMissing,
    /// 2: an output was not made; said by foremen only, a worker answers `missing` to `get`.
    OutputMissing,
    /// 4: stdout too large; a C master's own note.
    StdoutMissing,
    /// 8: never sent.
    Signal,
    /// 16: the task used more disk than it was given.
    ResourceExhaustion,
    /// 24: past its `end_time`.
    TaskTimeout,
    /// 32: a C master's own note.
    Unknown,
    /// 40: not the task's fault, run it elsewhere. Its stdout, if any bytes are announced, is none of the task's.
    Forsaken,
    /// 48: a C master's or foreman's retry limit.
    MaxRetries,
    /// 56: past its `wall_time`; to a master that sends none it is the sum of 16 and 40.
    MaxRunTime,
    /// 64: the disk allocation of the task is full.
    DiskAllocationFull,
    /// 72: a C master's own note.
    MonitorError,
    /// 80: a C master's own note.
    OutputTransferError,
    /// Any other number.
    Sum {
        /// The number on the wire.
        number: u32,
    },
}

/// Number and name of each status, the only place where the numbers stand.
const TABLE: [(u32, TaskStatus); 14] = [
    (0, TaskStatus::Success),
    (1, TaskStatus::InputMissing),
    (2, TaskStatus::OutputMissing),
    (4, TaskStatus::StdoutMissing),
    (8, TaskStatus::Signal),
    (16, TaskStatus::ResourceExhaustion),
    (24, TaskStatus::TaskTimeout),
    (32, TaskStatus::Unknown),
    (40, TaskStatus::Forsaken),
    (48, TaskStatus::MaxRetries),
    (56, TaskStatus::MaxRunTime),
    (64, TaskStatus::DiskAllocationFull),
    (72, TaskStatus::MonitorError),
    (80, TaskStatus::OutputTransferError),
];

impl TaskStatus {
    /// The status behind a number; never fails, see [`TaskStatus::Sum`].
    pub fn from_number(number: u32) -> Self {
        TABLE.iter().find(|(n, _)| *n == number).map_or(Self::Sum { number }, |(_, status)| *status)
    }

    /// The number on the wire.
    pub fn number(self) -> u32 {
        if let Self::Sum { number } = self {
            return number;
        }
        TABLE.iter().find(|(_, status)| *status == self).expect("TABLE holds every variant but Sum").0
    }

    /// The status without the three "missing" flags.
    pub fn reason(self) -> Self {
        Self::from_number(self.number() & !7)
    }

    /// An input was missing, possibly among other things.
    pub fn misses_input(self) -> bool {
        self.number() & 1 != 0
    }

    /// An output was missing, possibly among other things.
    pub fn misses_output(self) -> bool {
        self.number() & 2 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table_is_a_bijection() {
        for (number, status) in TABLE {
            assert_eq!(TaskStatus::from_number(number), status);
            assert_eq!(status.number(), number);
        }
    }

    #[test]
    fn sums_keep_their_parts() {
        let status = TaskStatus::from_number(41);
        assert_eq!(status, TaskStatus::Sum { number: 41 });
        assert_eq!(status.reason(), TaskStatus::Forsaken);
        assert!(status.misses_input() && !status.misses_output());
        assert!(TaskStatus::from_number(3).misses_input() && TaskStatus::from_number(3).misses_output());
        assert_eq!(TaskStatus::from_number(3).reason(), TaskStatus::Success);
    }

    proptest! {
        #[test]
        fn every_number_survives(number: u32) {
            prop_assert_eq!(TaskStatus::from_number(number).number(), number);
        }
    }
}

//! `result STATUS EXIT LEN USEC ID`: a task that ended.

use super::message::put;
use crate::line::{Fields, LineError};
use crate::status::TaskStatus;
use crate::to_worker::TaskId;
use bytes::BytesMut;

/// `result <status> <exit> <len> <time_us> <task>`: a finished attempt; `len` bytes of stdout and stderr follow.
///
/// The bytes must be read whatever the status is (FORSAKEN may announce some). Source: CCTools worker
/// `report_task_complete`; transcript `tests/data/transcripts/probe-worker-7.4.16.txt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskResult {
    /// How the peer says it ended.
    pub status: TaskStatus,
    /// Exit code 0 to 255, or the signal number if a signal ended the process (the two cannot be told apart), or −1.
    pub exit: i32,
    /// Bytes of the body.
    pub len: u64,
    /// Run time at the worker in µs; 0 when a clock step made it negative.
    pub time_us: u64,
    /// Which task.
    pub task: TaskId,
}

impl TaskResult {
    pub(crate) fn parse(mut fields: Fields<'_>) -> Result<Self, LineError> {
        let status = TaskStatus::from_number(fields.u32("status")?);
        let exit = fields.i32("exit")?;
        let len = fields.u64("length")?;
        let time = fields.word("time")?;
        let time_us = if time.first() == Some(&b'-') {
            // A clock that was set back is no reason to lose the result.
            Fields::new("result", Some(time)).i64("time").map(|_| 0)?
        } else {
            Fields::new("result", Some(time)).u64("time")?
        };
        let task = TaskId::parse(&mut fields)?;
        fields.end()?;
        Ok(Self { status, exit, len, time_us, task })
    }

    pub(crate) fn print_fields(&self, out: &mut BytesMut) {
        let Self { status, exit, len, time_us, task } = self;
        put(out, format_args!(" {} {exit} {len} {time_us} {task}", status.number()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rest: &str) -> Result<TaskResult, LineError> {
        TaskResult::parse(Fields::new("result", Some(rest.as_bytes())))
    }

    #[test]
    fn fields_in_order() {
        let result = read("40 -1 13 8244 2147483647").unwrap();
        assert_eq!(
            result,
            TaskResult { status: TaskStatus::Forsaken, exit: -1, len: 13, time_us: 8244, task: TaskId(2_147_483_647) }
        );
        assert_eq!(read("0 0 0 -5 1").unwrap().time_us, 0);
        assert_eq!(read("56 9 0 1 1").unwrap().status, TaskStatus::MaxRunTime);
    }

    #[test]
    fn out_of_range_is_refused() {
        for rest in [
            "-1 0 0 0 1",
            "0 0 -1 0 1",
            "0 0 18446744073709551616 0 1",
            "0 0 0 0 0",
            "0 0 0 0 -1",
            "0 0 0 0 2147483648",
            "0 0 0 0 1 1",
            "0 0 0 0",
        ] {
            assert!(read(rest).is_err(), "{rest}");
        }
    }
}

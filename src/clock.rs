//! The service clock: monotonic, counted on over restarts (decision D58).
//!
//! Within one boot it follows `CLOCK_BOOTTIME`, so that neither a stepped wall clock nor a suspended machine disturbs
//! it. The last [`ClockMark`] of the journal ties it to that clock; after a reboot it goes on at the wall clock, or
//! where it was if that is later.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use journal::{ClockMark, Record};
use nix::time::{ClockId, clock_gettime};
use wq_core::ids::Timestamp;

/// What the machine's clocks say at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Identity of this boot.
    pub(crate) boot_id: [u8; 16],
    /// `CLOCK_BOOTTIME`, µs.
    pub(crate) boottime_us: u64,
    /// Seconds since 1970.
    pub(crate) wall_s: i64,
}

/// The service clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    boot_id: [u8; 16],
    /// service = boottime + base, µs.
    base_us: i128,
}

/// What the journal knows about time, gathered during replay.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Past {
    mark: Option<ClockMark>,
    latest_s: i64,
}

impl Past {
    /// Looks at one record, in order.
    pub(crate) fn see(&mut self, record: &Record) {
        if let Record::ClockMark(mark) = record {
            self.mark = Some(*mark);
            self.latest_s = self.latest_s.max(mark.service_s);
        }
        self.latest_s = self.latest_s.max(time_of(record).unwrap_or(0));
    }
}

impl Reading {
    /// Now.
    ///
    /// # Errors
    /// The boot id cannot be read or is none.
    pub(crate) fn now() -> io::Result<Reading> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let mut boot_id = [0; 16];
        hex::decode_to_slice(text.trim().replace('-', ""), &mut boot_id)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Reading { boot_id, boottime_us: boottime_us(), wall_s: wall_s() })
    }
}

impl Clock {
    /// The clock that goes on after `past`.
    pub(crate) fn new(past: &Past, now: Reading) -> Clock {
        let service_us = match past.mark {
            Some(mark) if mark.boot_id == now.boot_id && mark.boottime_us <= now.boottime_us => {
                i128::from(mark.service_s) * 1_000_000 + i128::from(now.boottime_us - mark.boottime_us)
            }
            _ => i128::from(now.wall_s) * 1_000_000,
        };
        // Records newer than the last mark may be later than it; no time runs backwards.
        let service_us = service_us.max(i128::from(past.latest_s) * 1_000_000);
        Clock { boot_id: now.boot_id, base_us: service_us - i128::from(now.boottime_us) }
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.at(boottime_us())
    }

    /// Wall clock less service clock, seconds.
    pub(crate) fn wall_offset_s(&self) -> i64 {
        wall_s() - self.now().seconds()
    }

    /// The tie between this clock and the machine's, for the journal.
    ///
    /// The mark stands at the last whole second of the service clock, so that nothing is rounded away at restarts.
    pub(crate) fn mark(&self) -> ClockMark {
        let service = self.now();
        let service_s = service.seconds();
        let boottime_us = u64::try_from(i128::from(service_s) * 1_000_000 - self.base_us).unwrap_or(0);
        ClockMark { boot_id: self.boot_id, boottime_us, service_s, wall_offset_s: self.wall_offset_s() }
    }

    fn at(&self, boottime_us: u64) -> Timestamp {
        Timestamp(u64::try_from(i128::from(boottime_us) + self.base_us).unwrap_or(0))
    }
}

/// `CLOCK_BOOTTIME`, µs.
pub(crate) fn boottime_us() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has had CLOCK_BOOTTIME since 2.6.39");
    u64::try_from(Duration::from(time).as_micros()).unwrap_or(u64::MAX)
}

fn wall_s() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    }
}

/// When a record was made, by the service clock, seconds.
fn time_of(record: &Record) -> Option<i64> {
    Some(match record {
        Record::Submitted(r) => r.at_s,
        Record::Edited(r) => r.at_s,
        Record::Held(r) => r.at_s,
        Record::Released(r) => r.at_s,
        Record::Removed(r) => r.at_s,
        Record::Started(r) => r.at_s,
        Record::Lost(r) => r.at_s,
        Record::Ended(r) => r.at_s,
        Record::LeftQueue(r) => r.at_s,
        Record::CheckpointBegin(r) => r.at_s,
        Record::CheckpointJob(r) => r.story.as_ref()?.status_since_s?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: [u8; 16] = [7; 16];

    fn reading(boot_id: [u8; 16], boottime_s: u64, wall_s: i64) -> Reading {
        Reading { boot_id, boottime_us: boottime_s * 1_000_000, wall_s }
    }

    fn past(records: &[Record]) -> Past {
        let mut past = Past::default();
        records.iter().for_each(|record| past.see(record));
        past
    }

    fn mark(boottime_s: u64, service_s: i64) -> Record {
        ClockMark { boot_id: BOOT, boottime_us: boottime_s * 1_000_000, service_s, wall_offset_s: 0 }.into()
    }

    fn service_s(past: &Past, now: Reading) -> i64 {
        Clock::new(past, now).at(now.boottime_us).seconds()
    }

    #[test]
    fn the_first_start_takes_the_wall_clock() {
        assert_eq!(service_s(&past(&[]), reading(BOOT, 50, 1_000)), 1_000);
    }

    #[test]
    fn a_restart_in_the_same_boot_ignores_the_wall_clock() {
        let past = past(&[mark(50, 1_000)]);
        assert_eq!(service_s(&past, reading(BOOT, 80, 9)), 1_030);
        assert_eq!(service_s(&past, reading(BOOT, 80, 1_000_000)), 1_030);
    }

    #[test]
    fn a_reboot_goes_on_at_the_later_of_both() {
        let past = past(&[mark(50, 1_000)]);
        assert_eq!(service_s(&past, reading([8; 16], 1, 2_000)), 2_000);
        assert_eq!(service_s(&past, reading([8; 16], 1, 9)), 1_000);
    }

    #[test]
    fn time_never_falls_behind_a_record() {
        let lost = journal::LeftQueue {
            job: journal::JobId { cluster: 1, proc_: 0 },
            at_s: 1_500,
            how: journal::How::Completed,
        };
        assert_eq!(service_s(&past(&[mark(50, 1_000), lost.into()]), reading([8; 16], 1, 9)), 1_500);
    }

    #[test]
    fn marks_carry_the_clock_exactly() {
        let clock = Clock::new(&Past::default(), Reading::now().unwrap());
        let mark = clock.mark();
        let again = Clock::new(&past(&[mark.into()]), Reading::now().unwrap());
        assert_eq!(clock.base_us, again.base_us);
        assert!(clock.wall_offset_s().abs() <= 1);
    }
}

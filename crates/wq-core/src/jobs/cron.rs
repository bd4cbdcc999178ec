//! Schedules as of cron: `cron_minute` and its relatives name the times at which a job may start.
//!
//! Each field is a list of `*`, numbers and ranges, each with an optional step. Where both days of the month and days of
//! the week are restricted, either will do.

use classad::{Date, OffsetAt};

/// The attributes, in the order of a crontab's fields, with the range of each.
pub const FIELDS: [(&str, u32, u32); 5] = [
    ("CronMinute", 0, 59),
    ("CronHour", 0, 23),
    ("CronDayOfMonth", 1, 31),
    ("CronMonth", 1, 12),
    ("CronDayOfWeek", 0, 7),
];

/// Years that are searched: a 29th of February on a given day of the week comes every 28 years, or after 40.
const YEARS: i64 = 41;

const DAY_S: i64 = 86_400;

/// A schedule: for each field one bit for each number that will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    fields: [u64; 5],
}

/// Why there is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A field that is none.
    #[error("Invalid parameter value '{text}' for {attribute}")]
    Field {
        /// Which.
        attribute: &'static str,
        /// What stands there.
        text: String,
    },
    /// 30 February.
    #[error("The cron settings name a day that never comes")]
    Never,
}

impl Schedule {
    /// Reads the fields; one that is missing is `*`.
    ///
    /// # Errors
    /// [`ScheduleError::Field`].
    pub fn read(field: impl Fn(&str) -> Option<String>) -> Result<Schedule, ScheduleError> {
        let mut fields = [0; 5];
        for (bits, (attribute, min, max)) in fields.iter_mut().zip(FIELDS) {
            let text = field(attribute).unwrap_or_else(|| "*".to_owned());
            *bits = numbers(&text, min, max).ok_or(ScheduleError::Field { attribute, text })?;
        }
        // Sunday is 0 and 7.
        if fields[4] & 1 << 7 != 0 {
            fields[4] |= 1;
        }
        Ok(Schedule { fields })
    }

    /// The first time after `now_s` (seconds since 1970) that will do, at the beginning of a minute of local time.
    ///
    /// # Errors
    /// [`ScheduleError::Never`].
    pub fn next(&self, now_s: i64, offset_at: Option<&OffsetAt>) -> Result<i64, ScheduleError> {
        let offset = |secs: i64| offset_at.map_or(0, |at| i64::from(at(secs)));
        let mut local = (now_s + offset(now_s)).div_euclid(60) * 60 + 60;
        let end = local + YEARS * 366 * DAY_S;
        while local < end {
            let date = Date::of(local);
            let weekday = (local.div_euclid(DAY_S) + 4).rem_euclid(7);
            if !self.has(3, date.month) {
                local = Date { month: date.month + 1, day: 1, hour: 0, minute: 0, ..date }.secs();
            } else if !self.has_day(date.day, weekday) {
                local = (local.div_euclid(DAY_S) + 1) * DAY_S;
            } else if !self.has(1, date.hour) {
                local = (local.div_euclid(3600) + 1) * 3600;
            } else if !self.has(0, date.minute) {
                local += 60;
            } else {
                // The offset of a time that is known only in local time: of the first guess, put right once.
                let guess = local - offset(local);
                return Ok((local - offset(guess)).max(now_s + 1));
            }
        }
        Err(ScheduleError::Never)
    }

    fn has(&self, field: usize, number: i64) -> bool {
        self.fields[field] & 1 << number != 0
    }

    fn has_day(&self, day: i64, weekday: i64) -> bool {
        let all = |field: usize| {
            let (_, min, max) = FIELDS[field];
            (min..=max).all(|n| self.has(field, n.into()))
        };
        match (all(2), all(4)) {
            (false, false) => self.has(2, day) || self.has(4, weekday),
            _ => self.has(2, day) && self.has(4, weekday),
        }
    }
}

/// The numbers of a field as bits.
fn numbers(text: &str, min: u32, max: u32) -> Option<u64> {
    let mut bits = 0;
    for part in text.split(',').map(str::trim) {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range.trim(), step.trim().parse::<u32>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (min, max),
            Some((first, last)) => (first.trim().parse().ok()?, last.trim().parse().ok()?),
            None => {
                let only: u32 = range.parse().ok()?;
                (only, only)
            }
        };
        if first < min || last > max || first > last {
            return None;
        }
        for number in (first..=last).step_by(step as usize) {
            bits |= 1_u64 << number;
        }
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Fields by blanks, as in a crontab.
    fn schedule(text: &str) -> Result<Schedule, ScheduleError> {
        let fields: Vec<&str> = text.split(' ').collect();
        Schedule::read(|name| {
            let at = FIELDS.iter().position(|(field, ..)| *field == name)?;
            fields.get(at).map(|field| (*field).to_owned())
        })
    }

    fn next(text: &str, after: (i64, i64, i64, i64, i64)) -> (i64, i64, i64, i64, i64) {
        let (year, month, day, hour, minute) = after;
        let now_s = Date { year, month, day, hour, minute, second: 7 }.secs();
        let date = Date::of(schedule(text).unwrap().next(now_s, None).unwrap());
        assert_eq!(date.second, 0);
        (date.year, date.month, date.day, date.hour, date.minute)
    }

    #[test]
    fn the_next_time_is_found() {
        let sunday = (2026, 11, 22, 10, 59);
        assert_eq!(next("*", sunday), (2026, 11, 22, 11, 0));
        assert_eq!(next("0,30", sunday), (2026, 11, 22, 11, 0));
        assert_eq!(next("59", sunday), (2026, 11, 22, 11, 59), "the minute has begun");
        assert_eq!(next("5 1-3", sunday), (2026, 11, 23, 1, 5));
        assert_eq!(next("*/20 8-20/4", sunday), (2026, 11, 22, 12, 0));
        assert_eq!(next("0 0 1", sunday), (2026, 12, 1, 0, 0));
        assert_eq!(next("0 0 31 2,3", sunday), (2027, 3, 31, 0, 0));
        assert_eq!(next("0 0 * * 1", sunday), (2026, 11, 23, 0, 0));
        assert_eq!(next("0 12 * * 7", sunday), (2026, 11, 22, 12, 0));
        assert_eq!(next("0 0 29 2 *", sunday), (2028, 2, 29, 0, 0));
        assert_eq!(next("0 0 24 * 3", sunday), (2026, 11, 24, 0, 0), "either day will do");
        assert_eq!(next("0 0 24 * 1", sunday), (2026, 11, 23, 0, 0));
    }

    #[test]
    fn local_time_counts() {
        // Winter time begins on 25 October 2026, 01:00 UTC.
        let change = Date { year: 2026, month: 10, day: 25, hour: 1, minute: 0, second: 0 }.secs();
        let offset: OffsetAt = Arc::new(move |secs| if secs < change { 7200 } else { 3600 });
        let before = Date { year: 2026, month: 10, day: 24, hour: 23, minute: 30, second: 0 }.secs();
        let at = |text: &str| Date::of(schedule(text).unwrap().next(before, Some(&offset)).unwrap());
        assert_eq!((at("0 2").day, at("0 2").hour), (25, 1), "the second of two");
        assert_eq!((at("0 5").day, at("0 5").hour), (25, 4));
    }

    #[test]
    fn what_is_no_schedule_is_named() {
        for bad in ["60", "x", "1-", "5-1", "*/0", "", "1,,2", "-1", "1/2/3"] {
            let error = schedule(bad).unwrap_err();
            assert_eq!(error.to_string(), format!("Invalid parameter value '{bad}' for CronMinute"));
        }
        assert_eq!(schedule("0 0 30 2").unwrap().next(0, None), Err(ScheduleError::Never));
    }
}

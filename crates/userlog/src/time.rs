//! Times of events, and how they are written.

use crate::form::{DateForm, Form, Layout};

/// When an event happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime {
    /// Wall clock, seconds since 1970 UTC.
    pub wall_s: i64,
    /// Milliseconds of that second, 0 to 999.
    pub millis: u16,
}

impl EventTime {
    /// A time with whole seconds.
    pub const fn seconds(wall_s: i64) -> EventTime {
        EventTime { wall_s, millis: 0 }
    }
}

/// The offset of local time from UTC, in seconds, east positive, at a time given in seconds since 1970.
pub type OffsetAt<'a> = &'a dyn Fn(i64) -> i32;

/// The offset of UTC from itself.
pub fn utc(_wall_s: i64) -> i32 {
    0
}

const DAY_S: i64 = 86_400;

/// Largest distance from 1970 that is printed or read, in seconds: about 100,000 years.
const FAR_S: i64 = 100_000 * 366 * DAY_S;

/// Year, month and day of a day number counted from 1970-01-01 (Gregorian calendar).
fn civil(day: i64) -> (i64, u32, u32) {
    // Days are counted from 0000-03-01, so that the leap day is the last of its year.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day_of_month)
}

/// The inverse of [`civil`]; `None` if there is no such day.
fn day_number(year: i64, month: u32, day: u32) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted_year = year - i64::from(month <= 2);
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let month_from_march = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let number = era * 146_097 + day_of_era - 719_468;
    (civil(number) == (year, month, day)).then_some(number)
}

/// The time as it stands in a log of this form.
pub(crate) fn print(time: EventTime, form: Form, offset: OffsetAt<'_>) -> String {
    let wall_s = time.wall_s.clamp(-FAR_S, FAR_S);
    let local_s = if form.utc { wall_s } else { wall_s + i64::from(offset(wall_s)) };
    let (year, month, day) = civil(local_s.div_euclid(DAY_S));
    let second = local_s.rem_euclid(DAY_S);
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    let date = match (form.layout, form.date) {
        (Layout::Classic, DateForm::Legacy) => format!("{month:02}/{day:02} "),
        (Layout::Classic, DateForm::Iso) => format!("{year:04}-{month:02}-{day:02} "),
        (Layout::Xml | Layout::Json, _) => format!("{year:04}-{month:02}-{day:02}T"),
    };
    let fraction = if form.sub_second { format!(".{:03}", time.millis.min(999)) } else { String::new() };
    let zone = if form.utc { "Z" } else { "" };
    format!("{date}{h:02}:{m:02}:{s:02}{fraction}{zone}")
}

/// Reads a date and a time; gives the time and what was seen of its form. `year` serves where none is written.
pub(crate) fn read(
    date: &str,
    clock: &str,
    layout: Layout,
    year: i64,
    offset: OffsetAt<'_>,
) -> Option<(EventTime, Form)> {
    let (date_form, day) = match date.split_once('/') {
        Some((month, day)) => (DateForm::Legacy, day_number(year, digits(month, 2)?, digits(day, 2)?)?),
        None => {
            let mut parts = date.splitn(3, '-');
            let year = digits(parts.next()?, 4)?;
            let (month, day) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
            (DateForm::Iso, day_number(i64::from(year), month, day)?)
        }
    };
    let (clock, utc) = clock.strip_suffix('Z').map_or((clock, false), |clock| (clock, true));
    let (clock, millis) = match clock.split_once('.') {
        Some((clock, millis)) => (clock, Some(digits(millis, 3)?)),
        None => (clock, None),
    };
    let mut parts = clock.splitn(3, ':');
    let mut next = || digits(parts.next()?, 2);
    let (h, m, s) = (next()?, next()?, next()?);
    if h > 23 || m > 59 || s > 60 {
        return None;
    }
    let local_s = day * DAY_S + i64::from(h * 3600 + m * 60 + s);
    let wall_s = if utc { local_s } else { to_utc(local_s, offset) };
    let form = Form { layout, date: date_form, utc, sub_second: millis.is_some() };
    Some((EventTime { wall_s, millis: millis.unwrap_or(0) as u16 }, form))
}

/// The second pass is right except in the hour that a change of the zone skips or repeats.
fn to_utc(local_s: i64, offset: OffsetAt<'_>) -> i64 {
    let guess = local_s - i64::from(offset(local_s));
    local_s - i64::from(offset(guess))
}

/// Exactly `count` digits as a number.
fn digits(text: &str, count: usize) -> Option<u32> {
    if text.len() != count || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_look_as_recorded() {
        let time = EventTime { wall_s: 1_795_290_128, millis: 81 };
        for (form, text) in [
            (Form::ISO, "2026-11-21 19:42:08"),
            (Form::LEGACY, "11/21 19:42:08"),
            (Form::UTC_SUB_SECOND, "2026-11-21 19:42:08.081Z"),
            (Form::XML, "2026-11-21T19:42:08.081"),
        ] {
            assert_eq!(print(time, form, &utc), text);
        }
        assert_eq!(print(time, Form::ISO, &|_| 3600), "2026-11-21 20:42:08");
        assert_eq!(print(time, Form::UTC_SUB_SECOND, &|_| 3600), "2026-11-21 19:42:08.081Z");
    }

    #[test]
    fn impossible_dates_are_refused() {
        for (date, clock) in [
            ("2026-02-29", "00:00:00"),
            ("2026-13-01", "00:00:00"),
            ("2026-1-01", "00:00:00"),
            ("02/30", "00:00:00"),
            ("2026-01-01", "24:00:00"),
            ("2026-01-01", "00:60:00"),
            ("2026-01-01", "00:00"),
            ("2026-01-01", "00:00:00.1"),
            ("", ""),
        ] {
            assert_eq!(read(date, clock, Layout::Classic, 2026, &utc), None, "{date} {clock}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(
            wall_s in 0i64..253_402_300_799 - 50_400,
            millis in 0u16..1000,
            offset in -50_400i32..50_400,
            utc: bool,
        ) {
            let form = Form { utc, sub_second: true, ..Form::ISO };
            let wall_s = wall_s.max(50_400);
            let text = print(EventTime { wall_s, millis }, form, &|_| offset);
            let (date, clock) = text.split_once(' ').unwrap();
            prop_assert_eq!(
                read(date, clock, Layout::Classic, 1970, &|_| offset),
                Some((EventTime { wall_s, millis }, form))
            );
        }
    }
}

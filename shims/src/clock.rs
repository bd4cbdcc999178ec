//! Times as the tables show them, in the zone of whoever runs the program.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Shows seconds since 1970 in one zone.
#[derive(Debug, Clone)]
pub struct Clock {
    zone: TimeZone,
}

impl Clock {
    /// The given zone.
    pub fn new(zone: TimeZone) -> Clock {
        Clock { zone }
    }

    /// `$TZ`, else the system's zone.
    pub fn system() -> Clock {
        Clock::new(TimeZone::system())
    }

    fn civil(&self, at_s: i64) -> jiff::civil::DateTime {
        let at = Timestamp::from_second(at_s).unwrap_or(Timestamp::UNIX_EPOCH);
        self.zone.to_datetime(at)
    }

    /// Seconds east of Greenwich at that time.
    pub fn offset_s(&self, at_s: i64) -> i32 {
        let at = Timestamp::from_second(at_s).unwrap_or(Timestamp::UNIX_EPOCH);
        self.zone.to_offset(at).seconds()
    }

    /// Year, month (1 to 12) and day (1 to 31).
    pub fn date(&self, at_s: i64) -> (i32, u8, u8) {
        let t = self.civil(at_s);
        (i32::from(t.year()), t.month().unsigned_abs(), t.day().unsigned_abs())
    }

    /// `11/21/26 19:41:19`: the head of the tables.
    pub fn head(&self, at_s: i64) -> String {
        let t = self.civil(at_s);
        format!(
            "{:02}/{:02}/{:02} {:02}:{:02}:{:02}",
            t.month(),
            t.day(),
            t.year().rem_euclid(100),
            t.hour(),
            t.minute(),
            t.second()
        )
    }

    /// `11/21 19:41`, month and day at least two wide: the columns SUBMITTED and HELD_SINCE.
    pub fn short(&self, at_s: i64) -> String {
        let t = self.civil(at_s);
        format!("{:>2}/{:<2} {:02}:{:02}", t.month(), t.day(), t.hour(), t.minute())
    }
}

/// `0+00:00:13`: days, hours, minutes, seconds.
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    format!("{days}+{:02}:{:02}:{:02}", rest / 3600, rest % 3600 / 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let clock = Clock::new(TimeZone::UTC);
        assert_eq!(clock.head(1_795_290_079), "11/21/26 19:41:19");
        assert_eq!(clock.short(1_795_290_079), "11/21 19:41");
        assert_eq!(clock.short(1_767_323_045), " 1/2  03:04");
        assert_eq!(span(13), "0+00:00:13");
        assert_eq!(span(90_061), "1+01:01:01");
    }

    #[test]
    fn the_zone_is_the_callers() {
        let clock = Clock::new(TimeZone::fixed(jiff::tz::offset(2)));
        assert_eq!(clock.short(1_795_290_079), "11/21 21:41");
        assert_eq!(clock.offset_s(0), 7200);
        assert_eq!(clock.date(1_795_290_079), (2026, 11, 21));
    }
}

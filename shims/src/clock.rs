//! Times as the tables show them, in the zone of whoever runs the program.

use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Shows seconds since 1970 in one zone.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Of the system it is looked up when it is first needed: most answers show no time.
    zone: OnceLock<TimeZone>,
}

impl Clock {
    /// The given zone.
    pub fn new(zone: TimeZone) -> Clock {
        Clock { zone: zone.into() }
    }

    /// The zone that `$TZ` names, else the system's.
    ///
    /// A named zone is read from its own file: the library would first walk over the whole data base, which takes
    /// longer than everything else that these programs do.
    pub fn system() -> Clock {
        Clock { zone: OnceLock::new() }
    }

    fn zone(&self) -> &TimeZone {
        self.zone.get_or_init(|| {
            let named = std::env::var("TZ").ok().and_then(|name| zone_file(&name));
            named.unwrap_or_else(TimeZone::system)
        })
    }

    fn civil(&self, at_s: i64) -> jiff::civil::DateTime {
        let at = Timestamp::from_second(at_s).unwrap_or(Timestamp::UNIX_EPOCH);
        self.zone().to_datetime(at)
    }

    /// Seconds east of Greenwich at that time.
    pub fn offset_s(&self, at_s: i64) -> i32 {
        let at = Timestamp::from_second(at_s).unwrap_or(Timestamp::UNIX_EPOCH);
        self.zone().to_offset(at).seconds()
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

    /// `Sat Nov 21 19:41:18 2026`, as `ctime` does.
    pub fn in_full(&self, at_s: i64) -> String {
        self.civil(at_s).strftime("%a %b %e %H:%M:%S %Y").to_string()
    }

    /// `11/21 19:41`, month and day at least two wide: the columns SUBMITTED and HELD_SINCE.
    pub fn short(&self, at_s: i64) -> String {
        let t = self.civil(at_s);
        format!("{:>2}/{:<2} {:02}:{:02}", t.month(), t.day(), t.hour(), t.minute())
    }
}

/// The same as [`Clock::short`] where only the zone of evaluations is known.
pub fn short_in(at_s: i64, env: &classad::Env) -> String {
    let offset_s = env.offset_at.as_ref().map_or(0, |offset_at| offset_at(at_s));
    let offset = jiff::tz::Offset::from_seconds(offset_s).unwrap_or(jiff::tz::Offset::UTC);
    Clock::new(TimeZone::fixed(offset)).short(at_s)
}

/// The zone of a file below the zone folder, or of the file named in full. `None` for what is no such file, as
/// the rules `CET-1CEST`.
fn zone_file(name: &str) -> Option<TimeZone> {
    /// The largest real ones have a few kilobytes.
    const BYTES_MAX: u64 = 1 << 20;
    let name = name.strip_prefix(':').unwrap_or(name);
    if name.is_empty() || name.split('/').any(|part| part == "..") {
        return None;
    }
    let folder = std::env::var("TZDIR").unwrap_or_else(|_| "/usr/share/zoneinfo".to_owned());
    let path = std::path::Path::new(&folder).join(name);
    let facts = std::fs::metadata(&path).ok()?;
    if !facts.is_file() || facts.len() > BYTES_MAX {
        return None;
    }
    TimeZone::tzif(name, &std::fs::read(&path).ok()?).ok()
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
        assert_eq!(clock.in_full(1_767_323_045), "Fri Jan  2 03:04:05 2026");
        assert_eq!(span(13), "0+00:00:13");
        assert_eq!(span(90_061), "1+01:01:01");
    }

    /// `TZif` version 1 with one type: two hours east, no summer time.
    fn two_hours_east() -> Vec<u8> {
        let counts = [0u32, 0, 0, 0, 1, 4];
        let mut file = b"TZif\0".to_vec();
        file.extend([0; 15]);
        counts.iter().for_each(|count| file.extend(count.to_be_bytes()));
        file.extend(7200i32.to_be_bytes());
        file.extend([0, 0]);
        file.extend(b"TWO\0");
        file
    }

    #[test]
    fn zones_are_read_from_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Two");
        std::fs::write(&path, two_hours_east()).unwrap();
        let name = path.to_str().unwrap();
        for name in [name.to_owned(), format!(":{name}")] {
            let zone = zone_file(&name).expect("a zone's file");
            assert_eq!(Clock::new(zone).short(1_795_290_079), "11/21 21:41");
        }
        std::fs::write(&path, "no zone").unwrap();
        let outside = format!("{name}/../Two");
        for name in [name, "", "CET-1CEST", "../../etc/passwd", &outside, "/dev/zero"] {
            assert!(zone_file(name).is_none(), "{name}");
        }
    }

    #[test]
    fn the_zone_is_the_callers() {
        let clock = Clock::new(TimeZone::fixed(jiff::tz::offset(2)));
        assert_eq!(clock.short(1_795_290_079), "11/21 21:41");
        assert_eq!(clock.offset_s(0), 7200);
        assert_eq!(clock.date(1_795_290_079), (2026, 11, 21));
    }
}

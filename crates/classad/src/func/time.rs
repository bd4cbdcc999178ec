//! Dates and times as texts; the functions are in [`super::times`].

use crate::AbsTime;

/// `2020-01-02T03:04:05-00:00`, local to the offset.
pub(crate) fn abs_time_text(time: AbsTime) -> String {
    let date = Date::of(time.secs.saturating_add(i64::from(time.offset_s)));
    let sign = if time.offset_s > 0 { '+' } else { '-' };
    let offset = time.offset_s.unsigned_abs() / 60;
    format!(
        "{}-{:02}-{:02}T{:02}:{:02}:{:02}{sign}{:02}:{:02}",
        date.year,
        date.month,
        date.day,
        date.hour,
        date.minute,
        date.second,
        offset / 60,
        offset % 60
    )
}

/// `[-]days+hh:mm:ss` without leading zero parts; a fraction of the seconds is kept.
pub(crate) fn rel_time_text(secs: f64) -> String {
    let sign = if secs < 0.0 { "-" } else { "" };
    let secs = secs.abs();
    let whole = secs as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    let rest = (whole % 60) as f64 + secs.fract();
    let mut out = sign.to_owned();
    if days > 0 {
        out += &format!("{days}+");
    }
    if days + hours > 0 {
        out += &format!("{hours:02}:");
    }
    if days + hours + minutes > 0 {
        out += &format!("{minutes:02}:");
    }
    let six_digits = format!("{:.*}", if rest < 10.0 { 5 } else { 4 }, rest);
    out += &format!("{:0>2}", six_digits.trim_end_matches('0').trim_end_matches('.'));
    out
}

/// Dates beyond are shown as this one: it leaves room for sums of parts.
const SECS_MAX: i64 = 10_000_000_000_000_000;

/// A date of the proleptic Gregorian calendar with the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// Any.
    pub year: i64,
    /// From 1.
    pub month: i64,
    /// From 1.
    pub day: i64,
    /// 0 to 23.
    pub hour: i64,
    /// 0 to 59.
    pub minute: i64,
    /// 0 to 59.
    pub second: i64,
}

impl Date {
    /// The date of seconds since the epoch, within some hundred million years.
    pub fn of(secs: i64) -> Date {
        let secs = secs.clamp(-SECS_MAX, SECS_MAX);
        let (days, in_day) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
        // Years begin in March here, so that the leap day is the last one.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Date {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
            hour: in_day / 3600,
            minute: in_day / 60 % 60,
            second: in_day % 60,
        }
    }

    /// Seconds since the epoch; parts out of range carry over, so month 13 is January.
    pub fn secs(&self) -> i64 {
        let months = self.month - 1;
        let year = self.year + months.div_euclid(12);
        let month = months.rem_euclid(12) + 1;
        let shifted_year = if month <= 2 { year - 1 } else { year };
        let era = shifted_year.div_euclid(400);
        let year_of_era = shifted_year.rem_euclid(400);
        let shifted_month = (month + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        days * 86_400 + self.hour * 3600 + self.minute * 60 + self.second
    }
}

/// A date and time as `2020-01-02T03:04:05+01:00`: any separators, time of day and offset optional, `Z` for UTC.
/// Without an offset it is local to the given one, or to Greenwich.
pub(crate) fn parse_abs_time(text: &str, local_s: Option<i32>) -> Option<AbsTime> {
    let text = text.trim_end();
    if !text.is_ascii() {
        return None;
    }
    let (text, offset_s) = split_offset(text)?;
    let mut fields = Fields { text, at: 0 };
    let year = fields.next(4).ok()??;
    let mut part = || fields.next(2);
    // A date that ends early has day 0, which is the day before.
    let month = part().ok()?;
    let (month, day) = (month.unwrap_or(1), part().ok()?.unwrap_or(0));
    let hour = part().ok()?.unwrap_or(0);
    let minute = part().ok()?.unwrap_or(0);
    let second = part().ok()?.unwrap_or(0);
    if fields.text[fields.at..].bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let offset_s = offset_s.or(local_s).unwrap_or(0);
    let local = Date { year, month, day, hour, minute, second };
    Some(AbsTime { secs: local.secs() - i64::from(offset_s), offset_s })
}

/// `Z`, `+hhmm` or `+hh:mm` at the end.
fn split_offset(text: &str) -> Option<(&str, Option<i32>)> {
    if let Some(rest) = text.strip_suffix(['z', 'Z']) {
        return Some((rest, Some(0)));
    }
    let signed = |length: usize, colon: bool| {
        let from = text.len().checked_sub(length).filter(|from| *from > 0)?;
        let tail = &text[from..];
        let negative = tail.starts_with('-');
        let has_colon = tail.as_bytes()[3] == b':';
        let digits: String = tail.chars().filter(char::is_ascii_digit).collect();
        if !(negative || tail.starts_with('+')) || has_colon != colon || digits.len() != 4 {
            return None;
        }
        let number: i32 = digits.parse().ok()?;
        let offset = number / 100 * 3600 + number % 100 * 60;
        Some((&text[..from], Some(if negative { -offset } else { offset })))
    };
    Some(signed(6, true).or_else(|| signed(5, false)).unwrap_or((text, None)))
}

struct Fields<'t> {
    text: &'t str,
    at: usize,
}

/// A number that is cut off.
struct CutOff;

impl Fields<'_> {
    /// The number at the beginning of the next `width` characters that begin with a digit; `None` at the end.
    fn next(&mut self, width: usize) -> Result<Option<i64>, CutOff> {
        let rest = &self.text[self.at..];
        let Some(start) = rest.find(|c: char| c.is_ascii_digit()) else { return Ok(None) };
        let field = rest.get(start..start + width).ok_or(CutOff)?;
        let digits = field.bytes().take_while(u8::is_ascii_digit).count();
        self.at += start + width;
        field[..digits].parse().map(Some).map_err(|_| CutOff)
    }
}

/// A span: `[-][days+][[hh:]mm:]ss[.fraction]` or `1d2h3m4s`, seconds. Nothing is 0.
pub(crate) fn parse_rel_time(text: &str) -> Option<f64> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    };
    let secs = if text.ends_with(|c: char| c.is_ascii_alphabetic()) { with_units(text) } else { with_colons(text) }?;
    Some(if negative { -secs } else { secs })
}

/// Days, hours, minutes, seconds in this order, each with its letter; only seconds have a fraction.
fn with_units(text: &str) -> Option<f64> {
    let mut units = [('d', 86_400.0), ('h', 3600.0), ('m', 60.0), ('s', 1.0)].iter();
    let mut secs = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let letter = char::from(rest.as_bytes()[unit_at]).to_ascii_lowercase();
        let (_, unit_s) = units.find(|(unit, _)| *unit == letter)?;
        let number = &rest[..unit_at];
        secs += unit_s * if letter == 's' { seconds(number) } else { whole(number) }?;
        rest = rest[unit_at + 1..].trim_start();
    }
    Some(secs)
}

fn with_colons(text: &str) -> Option<f64> {
    let (days, clock) = match text.split_once('+') {
        Some((days, clock)) => (whole(days)?, clock),
        None => (0.0, text),
    };
    let mut parts = clock.rsplit(':');
    let secs = seconds(parts.next()?)?;
    let minutes = parts.next().map_or(Some(0.0), whole)?;
    let hours = parts.next().map_or(Some(0.0), whole)?;
    if parts.next().is_some() {
        return None;
    }
    Some(days * 86_400.0 + hours * 3600.0 + minutes * 60.0 + secs)
}

/// Digits; nothing is 0.
fn whole(text: &str) -> Option<f64> {
    let text = text.trim();
    match text.bytes().all(|b| b.is_ascii_digit()) {
        true if text.is_empty() => Some(0.0),
        true => text.parse().ok(),
        false => None,
    }
}

/// Digits and at most one point; nothing is 0.
fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    match text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        true if text.is_empty() => Some(0.0),
        true => text.parse().ok(),
        false => None,
    }
}

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Date {
    fn days(&self) -> i64 {
        Date { hour: 0, minute: 0, second: 0, ..*self }.secs() / 86_400
    }

    /// 0 is Sunday.
    pub(super) fn day_of_week(&self) -> i64 {
        (self.days() + 4).rem_euclid(7)
    }

    /// From 0.
    pub(super) fn day_of_year(&self) -> i64 {
        self.days() - Date { month: 1, day: 1, ..*self }.days()
    }

    /// Year and week of ISO 8601: weeks begin on Monday, the first has the year's first Thursday.
    fn iso_week(&self) -> (i64, i64) {
        let from_monday = (self.day_of_week() + 6) % 7;
        let thursday = Date::of((self.days() - from_monday + 3) * 86_400);
        (thursday.year, thursday.day_of_year() / 7 + 1)
    }
}

/// `+hhmm`
pub(super) fn offset_text(offset_s: i32) -> String {
    let sign = if offset_s < 0 { '-' } else { '+' };
    let minutes = offset_s.unsigned_abs() / 60;
    format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
}

/// As C's `strftime` in the C locale. `secs` is for `%s`. Unknown conversions stay as they are.
pub(super) fn strftime(format: &str, date: &Date, secs: i64, offset_s: i32, zone: &str) -> String {
    let mut out = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let before = rest.as_str();
        let style = FieldStyle::take(&mut rest);
        let mut conversion = rest.next();
        // Alternative forms of other locales.
        if let Some('E' | 'O') = conversion {
            conversion = rest.next();
        }
        match conversion.and_then(|c| Some((c, converted(c, date, secs, offset_s, zone)?))) {
            Some((conversion, text)) => style.push(&mut out, conversion, text),
            None => {
                out.push('%');
                rest = before.chars();
            }
        }
    }
    out
}

/// What GNU's library allows between `%` and the conversion: flags and a width.
#[derive(Default)]
struct FieldStyle {
    /// `-` no padding, `_` blanks, `0` zeros; the last one counts.
    padding: Option<char>,
    upper: bool,
    swapped: bool,
    width: usize,
}

impl FieldStyle {
    fn take(rest: &mut std::str::Chars<'_>) -> FieldStyle {
        let mut style = FieldStyle::default();
        loop {
            let after = rest.clone();
            match rest.next() {
                Some(flag @ ('-' | '_' | '0')) => style.padding = Some(flag),
                Some('^') => style.upper = true,
                Some('#') => style.swapped = true,
                _ => {
                    *rest = after;
                    break;
                }
            }
        }
        while let Some(digit) = rest.as_str().chars().next().and_then(|c| c.to_digit(10)) {
            rest.next();
            // Beyond the longest text the field is refused anyway.
            style.width = (style.width * 10 + digit as usize).min(WIDTH_MAX);
        }
        style
    }

    fn push(&self, out: &mut String, conversion: char, text: String) {
        let is_number = "CdegGHIjklmMsSuUVwWyY".contains(conversion);
        let text = match conversion {
            'Z' | 'p' if self.swapped => text.to_lowercase(),
            'a' | 'A' | 'b' | 'B' | 'h' if self.swapped => text.to_uppercase(),
            _ if self.upper => text.to_uppercase(),
            _ => text,
        };
        let blanks = matches!(conversion, 'e' | 'k' | 'l');
        let (text, natural) = match (is_number, self.padding) {
            (true, Some(_)) => {
                let bare = text.trim_start_matches(if blanks { ' ' } else { '0' });
                let bare = if bare.is_empty() { "0" } else { bare };
                (bare.to_owned(), text.len())
            }
            _ => (text, 0),
        };
        let (fill, width) = match self.padding {
            Some('-') => (' ', self.width),
            Some('_') => (' ', self.width.max(natural)),
            Some(_) => ('0', self.width.max(natural)),
            None if is_number && !blanks => ('0', self.width),
            None => (' ', self.width),
        };
        out.extend(std::iter::repeat_n(fill, width.saturating_sub(text.len())));
        out.push_str(&text);
    }
}

/// The widest field.
const WIDTH_MAX: usize = 4096;

fn converted(conversion: char, date: &Date, secs: i64, offset_s: i32, zone: &str) -> Option<String> {
    let again = |format: &str| strftime(format, date, secs, offset_s, zone);
    let weekday = date.day_of_week();
    let name = WEEKDAYS[usize::try_from(weekday).expect("below 7")];
    let month = MONTHS[usize::try_from((date.month - 1).rem_euclid(12)).expect("below 12")];
    let hour12 = (date.hour + 11).rem_euclid(12) + 1;
    let two = |number: i64| format!("{number:02}");
    Some(match conversion {
        'a' => name[..3].to_owned(),
        'A' => name.to_owned(),
        'b' | 'h' => month[..3].to_owned(),
        'B' => month.to_owned(),
        'c' => again("%a %b %e %H:%M:%S %Y"),
        'C' => two(date.year.div_euclid(100)),
        'd' => two(date.day),
        'D' | 'x' => again("%m/%d/%y"),
        'e' => format!("{:2}", date.day),
        'F' => again("%Y-%m-%d"),
        'g' => two(date.iso_week().0.rem_euclid(100)),
        'G' => date.iso_week().0.to_string(),
        'H' => two(date.hour),
        'I' => two(hour12),
        'j' => format!("{:03}", date.day_of_year() + 1),
        'k' => format!("{:2}", date.hour),
        'l' => format!("{hour12:2}"),
        'm' => two(date.month),
        'M' => two(date.minute),
        'n' => "\n".to_owned(),
        'p' => if date.hour < 12 { "AM" } else { "PM" }.to_owned(),
        'P' => if date.hour < 12 { "am" } else { "pm" }.to_owned(),
        'r' => again("%I:%M:%S %p"),
        'R' => again("%H:%M"),
        's' => secs.to_string(),
        'S' => two(date.second),
        't' => "\t".to_owned(),
        'T' | 'X' => again("%H:%M:%S"),
        'u' => if weekday == 0 { 7 } else { weekday }.to_string(),
        'U' => two((date.day_of_year() + 7 - weekday).div_euclid(7)),
        'V' => two(date.iso_week().1),
        'w' => weekday.to_string(),
        'W' => two((date.day_of_year() + 7 - (weekday + 6) % 7).div_euclid(7)),
        'y' => two(date.year.rem_euclid(100)),
        'Y' => date.year.to_string(),
        'z' => offset_text(offset_s),
        'Z' => zone.to_owned(),
        '%' => "%".to_owned(),
        _ => return None,
    })
}

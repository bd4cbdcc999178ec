//! Functions of dates and times. What needs the clock or the zone is undefined when the environment lacks it.

use super::call::{Args, Function};
use super::time::{Date, strftime};
use super::types::truncate;
use crate::eval::{Machine, ScopeId, Val};
use crate::{AbsTime, ClassAd, Value};

pub(super) const TABLE: &[Function] = &[
    Function {
        name: "time",
        args_min: 0,
        args_max: 0,
        run: |args| args.machine.env.now_s.map_or(Val::Undefined, Val::Int),
    },
    Function { name: "currenttime", args_min: 0, args_max: 0, run: |args| now(args.machine) },
    Function { name: "abstime", args_min: 0, args_max: 2, run: abs_time },
    Function { name: "reltime", args_min: 1, args_max: 1, run: rel_time },
    Function { name: "timezoneoffset", args_min: 0, args_max: 0, run: time_zone_offset },
    Function { name: "daytime", args_min: 0, args_max: 0, run: day_time },
    Function { name: "getyear", args_min: 1, args_max: 1, run: |args| date_part(args, |date| date.year) },
    Function { name: "getmonth", args_min: 1, args_max: 1, run: |args| date_part(args, |date| date.month) },
    Function { name: "getdayofyear", args_min: 1, args_max: 1, run: |args| date_part(args, Date::day_of_year) },
    Function { name: "getdayofmonth", args_min: 1, args_max: 1, run: |args| date_part(args, |date| date.day) },
    Function { name: "getdayofweek", args_min: 1, args_max: 1, run: |args| date_part(args, Date::day_of_week) },
    Function { name: "getdays", args_min: 1, args_max: 1, run: |args| part(args, None, |secs| secs / 86_400) },
    Function {
        name: "gethours",
        args_min: 1,
        args_max: 1,
        run: |args| part(args, Some(|date| date.hour), |secs| secs / 3600 % 24),
    },
    Function {
        name: "getminutes",
        args_min: 1,
        args_max: 1,
        run: |args| part(args, Some(|date| date.minute), |secs| secs / 60 % 60),
    },
    Function {
        name: "getseconds",
        args_min: 1,
        args_max: 1,
        run: |args| part(args, Some(|date| date.second), |secs| secs % 60),
    },
    Function { name: "splittime", args_min: 1, args_max: 1, run: split_time },
    Function { name: "formattime", args_min: 0, args_max: 2, run: format_time },
];

/// The time local to here; `None` if the zone is not known.
fn local(machine: &Machine<'_>, secs: i64) -> Option<AbsTime> {
    let offset_at = machine.env.offset_at.as_ref()?;
    Some(AbsTime { secs, offset_s: offset_at(secs) })
}

fn local_or_undefined(machine: &Machine<'_>, secs: i64) -> Val {
    local(machine, secs).map_or(Val::Undefined, Val::AbsTime)
}

fn now(machine: &Machine<'_>) -> Val {
    machine.env.now_s.map_or(Val::Undefined, |now_s| local_or_undefined(machine, now_s))
}

/// `absTime([time[, offset]])`: now, or a number of seconds. A text that was computed comes back as it is, as in the
/// library; one that is written is a literal and never comes here.
fn abs_time(args: &mut Args<'_, '_, '_>) -> Val {
    let offset_s = match args.len() {
        0 => return now(args.machine),
        1 => None,
        _ => match args.val(1) {
            Val::Int(offset) => Some(offset as i32),
            Val::Real(offset) => Some(truncate(offset) as i32),
            _ => None,
        },
    };
    if args.len() == 2 && offset_s.is_none() {
        return Val::Error;
    }
    let secs = match args.val(0) {
        Val::Int(secs) => secs,
        Val::Real(secs) | Val::RelTime(secs) => truncate(secs),
        Val::AbsTime(time) => return Val::AbsTime(time),
        Val::Undefined => return Val::Undefined,
        text @ Val::Str(_) => return text,
        _ => return Val::Error,
    };
    match offset_s {
        Some(offset_s) => Val::AbsTime(AbsTime { secs, offset_s }),
        None => local_or_undefined(args.machine, secs),
    }
}

fn rel_time(args: &mut Args<'_, '_, '_>) -> Val {
    match args.val(0) {
        Val::Int(secs) => Val::RelTime(secs as f64),
        Val::Real(secs) => Val::RelTime(secs),
        Val::AbsTime(time) => Val::RelTime(time.secs as f64),
        // One that is written is a literal; of one that is computed the library makes no time at all.
        Val::Str(_) => Val::RelTime(0.0),
        val @ (Val::RelTime(_) | Val::Undefined) => val,
        _ => Val::Error,
    }
}

fn time_zone_offset(args: &mut Args<'_, '_, '_>) -> Val {
    match now(args.machine) {
        Val::AbsTime(now) => Val::RelTime(f64::from(now.offset_s)),
        other => other,
    }
}

/// Time since midnight.
fn day_time(args: &mut Args<'_, '_, '_>) -> Val {
    match now(args.machine) {
        Val::AbsTime(now) => Val::RelTime(now.secs.saturating_add(i64::from(now.offset_s)).rem_euclid(86_400) as f64),
        other => other,
    }
}

/// The date in the offset the time itself has.
fn local_date(time: AbsTime) -> Date {
    Date::of(time.secs.saturating_add(i64::from(time.offset_s)))
}

/// A part of a date, local to here whatever the time's own offset is.
fn date_part(args: &mut Args<'_, '_, '_>, take: fn(&Date) -> i64) -> Val {
    match args.val(0) {
        Val::AbsTime(time) => match local(args.machine, time.secs) {
            Some(here) => Val::Int(take(&local_date(here))),
            None => Val::Undefined,
        },
        _ => Val::Error,
    }
}

/// A part of a date, or of a span, which has its sign.
fn part(args: &mut Args<'_, '_, '_>, of_date: Option<fn(&Date) -> i64>, of_span: fn(i64) -> i64) -> Val {
    match args.val(0) {
        Val::RelTime(secs) => Val::Int(of_span(truncate(secs))),
        Val::AbsTime(time) => match (of_date, local(args.machine, time.secs)) {
            (Some(of_date), Some(here)) => Val::Int(of_date(&local_date(here))),
            (Some(_), None) => Val::Undefined,
            (None, _) => Val::Error,
        },
        _ => Val::Error,
    }
}

/// An ad with the parts of a date or a span.
fn split_time(args: &mut Args<'_, '_, '_>) -> Val {
    let time = match args.val(0) {
        Val::AbsTime(time) => Some(time),
        Val::Int(secs) => local(args.machine, secs),
        Val::Real(secs) => local(args.machine, truncate(secs)),
        Val::RelTime(secs) => {
            let whole = truncate(secs.abs());
            let days = whole / 86_400;
            let parts: [(&str, Value); 5] = [
                ("Type", "RelativeTime".into()),
                ("Days", if secs < 0.0 { -days } else { days }.into()),
                ("Hours", (whole / 3600 % 24).into()),
                ("Minutes", (whole / 60 % 60).into()),
                ("Seconds", ((whole % 60) as f64 + secs.abs().fract()).into()),
            ];
            return ad(args, parts);
        }
        Val::Undefined => None,
        _ => return Val::Error,
    };
    let Some(time) = time else { return Val::Undefined };
    let date = local_date(time);
    let parts: [(&str, Value); 8] = [
        ("Type", "AbsoluteTime".into()),
        ("Year", date.year.into()),
        ("Month", date.month.into()),
        ("Day", date.day.into()),
        ("Hours", date.hour.into()),
        ("Minutes", date.minute.into()),
        ("Seconds", date.second.into()),
        ("Offset", i64::from(time.offset_s).into()),
    ];
    ad(args, parts)
}

fn ad<const N: usize>(args: &mut Args<'_, '_, '_>, parts: [(&str, Value); N]) -> Val {
    let ad: ClassAd = parts.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    args.machine.alone(ad)
}

/// `formatTime([time[, format]])`: a number of seconds, a time or an ad as of `splitTime`.
fn format_time(args: &mut Args<'_, '_, '_>) -> Val {
    let time = if args.len() == 0 { now(args.machine) } else { args.val(0) };
    let format = match args.len() {
        2 => match args.val(1) {
            Val::Str(format) => format,
            _ => return Val::Error,
        },
        _ => "%c".into(),
    };
    if format.len() > 4096 {
        return Val::Error;
    }
    let here = |secs| local(args.machine, secs).map(|time| (local_date(time), time.offset_s, secs));
    let (date, offset_s, secs) = match time {
        Val::Int(secs) => match here(secs) {
            Some(found) => found,
            None => return Val::Undefined,
        },
        Val::Real(secs) => match here(truncate(secs)) {
            Some(found) => found,
            None => return Val::Undefined,
        },
        // HTCondor forgets the offset of a time once it is split.
        Val::AbsTime(time) => (local_date(time), 0, time.secs.saturating_add(i64::from(time.offset_s))),
        Val::Ad(scope) => {
            let date = date_of(args.machine, scope);
            (date, 0, date.secs())
        }
        Val::Undefined if args.len() == 0 => return Val::Undefined,
        _ => return Val::Error,
    };
    let zone = match &args.machine.env.zone_name_at {
        Some(zone_name_at) => zone_name_at(secs),
        None if offset_s == 0 => "UTC".to_owned(),
        None => super::time::offset_text(offset_s),
    };
    let text = strftime(&format, &date, secs, offset_s, &zone);
    args.machine.text(&text)
}

/// The date in an ad; what is missing is 0, the month January, the year 1900. Numbers out of all range count as missing.
fn date_of(machine: &mut Machine<'_>, scope: ScopeId) -> Date {
    let mut part = |name: &str, missing: i64| match machine.attribute_of(&name.into(), scope) {
        Some(Val::Int(part)) if part.unsigned_abs() < 1_000_000_000 => part,
        Some(Val::Real(part)) if part.abs() < 1e9 => truncate(part),
        _ => missing,
    };
    Date {
        year: part("year", 1900),
        month: part("month", 1),
        day: part("day", 0),
        hour: part("hours", 0),
        minute: part("minutes", 0),
        second: part("seconds", 0),
    }
}

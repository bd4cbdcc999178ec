//! Type tests and conversions.

use super::call::{Args, Function};
use crate::eval::Val;
use crate::eval::ops::number;

pub(super) const TABLE: &[Function] = &[
    Function {
        name: "isundefined",
        args_min: 1,
        args_max: 1,
        run: |args| is(args, |val| matches!(val, Val::Undefined)),
    },
    Function { name: "iserror", args_min: 1, args_max: 1, run: |args| is(args, |val| matches!(val, Val::Error)) },
    Function { name: "isstring", args_min: 1, args_max: 1, run: |args| is(args, |val| matches!(val, Val::Str(_))) },
    Function { name: "isinteger", args_min: 1, args_max: 1, run: |args| is(args, |val| matches!(val, Val::Int(_))) },
    Function { name: "isreal", args_min: 1, args_max: 1, run: |args| is(args, |val| matches!(val, Val::Real(_))) },
    Function { name: "isboolean", args_min: 1, args_max: 1, run: |args| is(args, |val| matches!(val, Val::Bool(_))) },
    Function { name: "islist", args_min: 1, args_max: 1, run: |args| is(args, |val| matches!(val, Val::List(..))) },
    Function { name: "isclassad", args_min: 1, args_max: 1, run: |args| is(args, |val| matches!(val, Val::Ad(_))) },
    Function {
        name: "isabstime",
        args_min: 1,
        args_max: 1,
        run: |args| is(args, |val| matches!(val, Val::AbsTime(_))),
    },
    Function {
        name: "isreltime",
        args_min: 1,
        args_max: 1,
        run: |args| is(args, |val| matches!(val, Val::RelTime(_))),
    },
    Function { name: "int", args_min: 1, args_max: 1, run: int },
    Function { name: "real", args_min: 1, args_max: 1, run: real },
    Function { name: "string", args_min: 1, args_max: 1, run: string },
    Function { name: "bool", args_min: 1, args_max: 1, run: bool },
];

fn is(args: &mut Args<'_, '_, '_>, test: fn(&Val) -> bool) -> Val {
    let val = args.val(0);
    Val::Bool(test(&val))
}

fn int(args: &mut Args<'_, '_, '_>) -> Val {
    match args.val(0) {
        Val::Str(text) => leading_real(&text).map_or(Val::Error, |r| Val::Int(truncate(r))),
        Val::Real(r) => Val::Int(truncate(r)),
        Val::RelTime(secs) => Val::Int(truncate(secs)),
        Val::AbsTime(time) => Val::Int(time.secs),
        Val::Bool(b) => Val::Int(i64::from(b)),
        val @ (Val::Int(_) | Val::Undefined) => val,
        _ => Val::Error,
    }
}

/// As the processor converts: what does not fit becomes the smallest integer.
pub(super) fn truncate(r: f64) -> i64 {
    let beyond = (1_u64 << 63) as f64;
    if (-beyond..beyond).contains(&r) { r as i64 } else { i64::MIN }
}

/// As `strtod`, hexadecimal only without fraction: blanks, sign, number or `inf` or `nan`, anything.
pub(super) fn leading_real(text: &str) -> Option<f64> {
    let text = text.trim_start();
    let bytes = text.as_bytes();
    let sign = usize::from(text.starts_with(['+', '-']));
    let word = |word: &str| text.get(sign..sign + word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    if word("inf") || word("nan") {
        let special = if word("inf") { f64::INFINITY } else { f64::NAN };
        return Some(if text.starts_with('-') { -special } else { special });
    }
    if word("0x") {
        let from = sign + 2;
        let digits = text[from..].bytes().take_while(u8::is_ascii_hexdigit).take(16).count();
        if let Ok(number) = u64::from_str_radix(&text[from..from + digits], 16) {
            return Some(if text.starts_with('-') { -(number as f64) } else { number as f64 });
        }
    }
    let digits =
        |from: usize| bytes.get(from..).map_or(0, |rest| rest.iter().take_while(|b| b.is_ascii_digit()).count());
    let whole = digits(sign);
    let mut end = sign + whole;
    let mut fraction = 0;
    if bytes.get(end) == Some(&b'.') {
        fraction = digits(end + 1);
        if whole + fraction > 0 {
            end += 1 + fraction;
        }
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let exponent_sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + exponent_sign);
        if exponent > 0 {
            end += 1 + exponent_sign + exponent;
        }
    }
    text[..end].parse().ok()
}

/// What counts as a number for `floor`, `pow` and their kin: also texts that begin with one, and times.
pub(super) fn to_number(val: &Val) -> Option<f64> {
    match val {
        Val::Str(text) => leading_real(text),
        // Whole seconds, though the value may have a fraction.
        Val::RelTime(secs) => Some(secs.trunc()),
        Val::AbsTime(time) => Some(time.secs as f64),
        other => number(other),
    }
}

fn real(args: &mut Args<'_, '_, '_>) -> Val {
    match args.val(0) {
        Val::Str(text) => leading_real(&text).map_or(Val::Error, Val::Real),
        Val::Int(i) => Val::Real(i as f64),
        Val::Bool(b) => Val::Real(f64::from(u8::from(b))),
        // Whole seconds, though the value may have a fraction.
        Val::RelTime(secs) => Val::Real(secs.trunc()),
        Val::AbsTime(time) => Val::Real(time.secs as f64),
        val @ (Val::Real(_) | Val::Undefined) => val,
        _ => Val::Error,
    }
}

fn string(args: &mut Args<'_, '_, '_>) -> Val {
    match args.val(0) {
        val @ (Val::Str(_) | Val::Undefined | Val::Error) => val,
        other => args.machine.text_of(&other).map_or(Val::Error, Val::Str),
    }
}

/// Only the words `true` and `false` are booleans among texts.
fn bool(args: &mut Args<'_, '_, '_>) -> Val {
    match args.val(0) {
        Val::Str(text) if text.eq_ignore_ascii_case("true") => Val::Bool(true),
        Val::Str(text) if text.eq_ignore_ascii_case("false") => Val::Bool(false),
        Val::Str(_) | Val::Undefined => Val::Undefined,
        Val::Bool(b) => Val::Bool(b),
        Val::Int(i) => Val::Bool(i != 0),
        Val::Real(r) => Val::Bool(r != 0.0),
        Val::RelTime(secs) => Val::Bool(secs.trunc() != 0.0),
        _ => Val::Error,
    }
}

//! Numbers.

use super::call::{Args, Function};
use super::types::{to_number, truncate};
use crate::eval::Val;

pub(super) const TABLE: &[Function] = &[
    Function { name: "floor", args_min: 1, args_max: 1, run: |args| rounded(args, f64::floor) },
    Function { name: "ceil", args_min: 1, args_max: 1, run: |args| rounded(args, f64::ceil) },
    Function { name: "ceiling", args_min: 1, args_max: 1, run: |args| rounded(args, f64::ceil) },
    Function { name: "round", args_min: 1, args_max: 1, run: |args| rounded(args, f64::round_ties_even) },
    Function { name: "pow", args_min: 2, args_max: 2, run: pow },
    Function { name: "quantize", args_min: 2, args_max: 2, run: quantize },
    Function { name: "random", args_min: 0, args_max: 1, run: random },
    Function { name: "interval", args_min: 1, args_max: 1, run: interval },
];

fn rounded(args: &mut Args<'_, '_, '_>, round: fn(f64) -> f64) -> Val {
    match args.val(0) {
        Val::Int(i) => Val::Int(i),
        other => to_number(&other).map_or(Val::Error, |r| Val::Int(truncate(round(r)))),
    }
}

/// Integers give an integer, unless the exponent is negative.
fn pow(args: &mut Args<'_, '_, '_>) -> Val {
    match (args.val(0), args.val(1)) {
        (Val::Int(base), Val::Int(exponent)) if exponent >= 0 => {
            Val::Int(truncate((base as f64).powf(exponent as f64)))
        }
        (base, exponent) => match (to_number(&base), to_number(&exponent)) {
            (Some(base), Some(exponent)) => Val::Real(base.powf(exponent)),
            _ => Val::Error,
        },
    }
}

/// Up to a multiple of a number, or to the first element of a list that is not smaller, or to a multiple of the
/// last element. Integers give an integer.
fn quantize(args: &mut Args<'_, '_, '_>) -> Val {
    let amount = args.val(0);
    let Some(wanted) = to_number(&amount) else { return Val::Error };
    let mut quantum = args.val(1);
    if let Val::List(items, _) = quantum {
        let mut last = Val::Int(0);
        for item in items.iter() {
            last = args.element(item);
            match to_number(&last) {
                Some(step) if step >= wanted => return last,
                Some(_) => {}
                None => return Val::Error,
            }
        }
        quantum = last;
    }
    match (&amount, &quantum) {
        (_, Val::Int(0)) => amount,
        (Val::Int(amount), Val::Int(quantum)) => {
            let steps = amount.wrapping_add(quantum.wrapping_sub(1)).wrapping_div(*quantum);
            Val::Int(steps.wrapping_mul(*quantum))
        }
        _ => match to_number(&quantum) {
            Some(0.0) => amount,
            Some(quantum) => Val::Real((wanted / quantum).ceil() * quantum),
            None => Val::Error,
        },
    }
}

/// An integer below the given one, a real below the given one or below 1.
fn random(args: &mut Args<'_, '_, '_>) -> Val {
    let limit = if args.len() == 0 { Val::Real(1.0) } else { args.val(0) };
    let Some(random) = args.machine.random() else { return Val::Undefined };
    let fraction = (random >> 11) as f64 / (1_u64 << 53) as f64;
    match limit {
        Val::Int(limit) if limit > 0 => Val::Int((random % limit as u64) as i64),
        Val::Real(limit) => Val::Real(fraction * limit),
        _ => Val::Error,
    }
}

/// Seconds as `days+hours:minutes:seconds`, leading zero parts left out.
fn interval(args: &mut Args<'_, '_, '_>) -> Val {
    let secs = match args.val(0) {
        Val::Int(secs) => secs,
        other => match to_number(&other) {
            Some(secs) => truncate(secs),
            None => return Val::Error,
        },
    };
    // The library keeps seconds in 32 bits here.
    let secs = secs as i32;
    let sign = if secs < 0 { "-" } else { "" };
    let secs = secs.unsigned_abs();
    let (days, hours, minutes, secs) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60, secs % 60);
    let text = if days > 0 {
        format!("{sign}{days}+{hours:02}:{minutes:02}:{secs:02}")
    } else if hours > 0 {
        format!("{sign}{hours}:{minutes:02}:{secs:02}")
    } else if minutes > 0 {
        format!("{sign}{minutes}:{secs:02}")
    } else {
        format!("{sign}{secs}")
    };
    Val::str(&text)
}

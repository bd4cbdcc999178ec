//! The operators on values.

use std::cmp::Ordering;

use super::{ScopeId, Truth, Val};
use crate::AbsTime;
use crate::expr::{BinaryOp, UnaryOp};

/// `+ - ! ~`
pub(crate) fn unary(op: UnaryOp, operand: Val) -> Val {
    match (op, operand) {
        (_, Val::Undefined) => Val::Undefined,
        (UnaryOp::Not, operand) => match operand.truth() {
            Truth::Known(known) => Val::Bool(!known),
            _ => Val::Error,
        },
        (UnaryOp::Minus, Val::Int(i)) => Val::Int(i.wrapping_neg()),
        (UnaryOp::Minus, Val::Real(r)) => Val::Real(-r),
        (UnaryOp::Minus, Val::RelTime(r)) => Val::RelTime(-r),
        (UnaryOp::Plus, number @ (Val::Int(_) | Val::Real(_) | Val::RelTime(_))) => number,
        (UnaryOp::BitNot, Val::Int(i)) => Val::Int(!i),
        _ => Val::Error,
    }
}

/// All binary operators but `&&` and `||`, which do not always evaluate their right side.
pub(crate) fn binary(op: BinaryOp, left: Val, right: Val) -> Val {
    use BinaryOp::*;
    match op {
        Is => identical(&left, &right).map_or(Val::Error, Val::Bool),
        Isnt => identical(&left, &right).map_or(Val::Error, |same| Val::Bool(!same)),
        _ => match (&left, &right) {
            (Val::Error, _) | (_, Val::Error) => Val::Error,
            (Val::Undefined, _) | (_, Val::Undefined) => Val::Undefined,
            _ => match op {
                Eq | Ne | Lt | Le | Gt | Ge => compare(op, &left, &right),
                Add | Sub | Mul | Div | Rem => arithmetic(op, &left, &right),
                _ => bits(op, &left, &right),
            },
        },
    }
}

/// `=?=`: same type and value, strings by case. `None` (an error) for two lists or two ads.
pub(crate) fn identical(left: &Val, right: &Val) -> Option<bool> {
    Some(match (left, right) {
        (Val::Undefined, Val::Undefined) | (Val::Error, Val::Error) => true,
        (Val::Bool(a), Val::Bool(b)) => a == b,
        (Val::Int(a), Val::Int(b)) => a == b,
        (Val::Real(a), Val::Real(b)) => a == b,
        (Val::Str(a), Val::Str(b)) => a == b,
        (Val::AbsTime(a), Val::AbsTime(b)) => a.secs == b.secs && a.offset_s == b.offset_s,
        (Val::RelTime(a), Val::RelTime(b)) => a == b,
        // A list that a function made is of another kind to the library than one that is written.
        (Val::List(_, a), Val::List(_, b)) if (*a == ScopeId::MADE) != (*b == ScopeId::MADE) => false,
        (Val::List(..), Val::List(..)) | (Val::Ad(_), Val::Ad(_)) => return None,
        _ => false,
    })
}

fn compare(op: BinaryOp, left: &Val, right: &Val) -> Val {
    let ordering = match (left, right) {
        (Val::Int(a), Val::Int(b)) => Some(a.cmp(b)),
        (Val::Str(a), Val::Str(b)) => Some(compare_ignoring_case(a, b)),
        (Val::AbsTime(a), Val::AbsTime(b)) => Some(a.secs.cmp(&b.secs)),
        (Val::RelTime(a), Val::RelTime(b)) => a.partial_cmp(b),
        _ => match (whole(left), whole(right)) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => match (number(left), number(right)) {
                (Some(a), Some(b)) => a.partial_cmp(&b),
                _ => return Val::Error,
            },
        },
    };
    Val::Bool(match op {
        BinaryOp::Eq => ordering == Some(Ordering::Equal),
        BinaryOp::Ne => ordering != Some(Ordering::Equal),
        BinaryOp::Lt => ordering == Some(Ordering::Less),
        BinaryOp::Le => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        BinaryOp::Gt => ordering == Some(Ordering::Greater),
        _ => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// As `strcasecmp` in the C locale.
pub(crate) fn compare_ignoring_case(a: &str, b: &str) -> Ordering {
    if a.len() == b.len() && a.eq_ignore_ascii_case(b) {
        return Ordering::Equal;
    }
    // Rarely reached: constraints compare for equality.
    match a.bytes().zip(b.bytes()).find(|(x, y)| !x.eq_ignore_ascii_case(y)) {
        Some((x, y)) => x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase()),
        None => a.len().cmp(&b.len()),
    }
}

/// Integers and booleans.
pub(crate) fn whole(val: &Val) -> Option<i64> {
    match val {
        Val::Int(i) => Some(*i),
        Val::Bool(b) => Some(i64::from(*b)),
        _ => None,
    }
}

/// Integers, booleans and reals.
pub(crate) fn number(val: &Val) -> Option<f64> {
    match val {
        Val::Real(r) => Some(*r),
        other => whole(other).map(|i| i as f64),
    }
}

fn arithmetic(op: BinaryOp, left: &Val, right: &Val) -> Val {
    if let (Some(a), Some(b)) = (whole(left), whole(right)) {
        return integers(op, a, b);
    }
    if let (Some(a), Some(b)) = (number(left), number(right)) {
        return reals(op, a, b);
    }
    times(op, left, right)
}

/// Overflow wraps; the one overflow of a division gives the largest integer, as HTCondor catches the trap.
fn integers(op: BinaryOp, a: i64, b: i64) -> Val {
    match op {
        BinaryOp::Add => Val::Int(a.wrapping_add(b)),
        BinaryOp::Sub => Val::Int(a.wrapping_sub(b)),
        BinaryOp::Mul => Val::Int(a.wrapping_mul(b)),
        BinaryOp::Div if b != 0 => Val::Int(a.checked_div(b).unwrap_or(i64::MAX)),
        BinaryOp::Rem if b != 0 => Val::Int(a.wrapping_rem(b)),
        _ => Val::Error,
    }
}

/// HTCondor takes positive infinity, and only that, for a failure.
fn reals(op: BinaryOp, a: f64, b: f64) -> Val {
    let result = match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        _ => return Val::Error,
    };
    if result == f64::INFINITY { Val::Error } else { Val::Real(result) }
}

fn times(op: BinaryOp, left: &Val, right: &Val) -> Val {
    match (op, left, right) {
        (BinaryOp::Sub, Val::AbsTime(a), Val::AbsTime(b)) => Val::RelTime(a.secs.wrapping_sub(b.secs) as f64),
        (BinaryOp::Add, Val::AbsTime(time), Val::RelTime(span))
        | (BinaryOp::Add, Val::RelTime(span), Val::AbsTime(time)) => later(*time, *span),
        (BinaryOp::Sub, Val::AbsTime(time), Val::RelTime(span)) => later(*time, -*span),
        (BinaryOp::Add, Val::RelTime(a), Val::RelTime(b)) => Val::RelTime(a + b),
        (BinaryOp::Sub, Val::RelTime(a), Val::RelTime(b)) => Val::RelTime(a - b),
        (BinaryOp::Mul, Val::RelTime(span), factor @ (Val::Int(_) | Val::Real(_)))
        | (BinaryOp::Mul, factor @ (Val::Int(_) | Val::Real(_)), Val::RelTime(span)) => {
            number(factor).map_or(Val::Error, |factor| Val::RelTime(span * factor))
        }
        (BinaryOp::Div, Val::RelTime(span), divisor @ (Val::Int(_) | Val::Real(_))) => {
            number(divisor).map_or(Val::Error, |divisor| Val::RelTime(span / divisor))
        }
        _ => Val::Error,
    }
}

fn later(time: AbsTime, span_s: f64) -> Val {
    Val::AbsTime(AbsTime { secs: time.secs.saturating_add(span_s as i64), offset_s: time.offset_s })
}

fn bits(op: BinaryOp, left: &Val, right: &Val) -> Val {
    let (Val::Int(a), Val::Int(b)) = (left, right) else { return Val::Error };
    // Shift counts are taken modulo 64, as the processor does; the library takes care of its own that negative numbers
    // keep their sign, or lose it, and counts differently there.
    Val::Int(match op {
        BinaryOp::BitAnd => a & b,
        BinaryOp::BitOr => a | b,
        BinaryOp::BitXor => a ^ b,
        BinaryOp::Shl => a.wrapping_shl(*b as u32),
        BinaryOp::Shr if *a < 0 => a >> (*b).clamp(0, 63),
        BinaryOp::Shr => a.wrapping_shr(*b as u32),
        _ if *a < 0 && b % 64 == 0 => 0,
        _ => (*a as u64).wrapping_shr(*b as u32) as i64,
    })
}

//! Texts that are lists: `"a, b c"`.

use std::sync::Arc;

use super::call::{Args, Function};
use super::types::{leading_real, truncate};
use crate::eval::Val;

pub(super) const TABLE: &[Function] = &[
    Function { name: "stringlistsize", args_min: 1, args_max: 2, run: size },
    Function { name: "stringlistsum", args_min: 1, args_max: 2, run: |args| folded(args, Fold::Sum) },
    Function { name: "stringlistavg", args_min: 1, args_max: 2, run: |args| folded(args, Fold::Avg) },
    Function { name: "stringlistmin", args_min: 1, args_max: 2, run: |args| folded(args, Fold::Min) },
    Function { name: "stringlistmax", args_min: 1, args_max: 2, run: |args| folded(args, Fold::Max) },
    Function { name: "stringlistmember", args_min: 2, args_max: 3, run: |args| member(args, by_case) },
    Function { name: "stringlistimember", args_min: 2, args_max: 3, run: |args| member(args, ignoring_case) },
    Function { name: "stringlistsintersect", args_min: 2, args_max: 3, run: intersect },
    Function { name: "stringlistsubsetmatch", args_min: 2, args_max: 3, run: |args| subset(args, by_case) },
    Function { name: "stringlistisubsetmatch", args_min: 2, args_max: 3, run: |args| subset(args, ignoring_case) },
];

const DELIMITERS: &str = ", ";

/// Those of membership when none are given.
const DELIMITERS_OF_MEMBERS: &str = ", \t\r\n";

type Same = fn(&str, &str) -> bool;

fn by_case(a: &str, b: &str) -> bool {
    a == b
}

fn ignoring_case(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// Items without blanks around them; empty ones are skipped.
pub(super) fn items<'t>(text: &'t str, delimiters: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(move |c| delimiters.contains(c)).map(str::trim).filter(|item| !item.is_empty())
}

/// The delimiters argument, or the usual ones; `None` if it is no text.
pub(super) fn delimiters(args: &mut Args<'_, '_, '_>, index: usize) -> Option<Arc<str>> {
    if args.len() <= index {
        return Some(DELIMITERS.into());
    }
    match args.val(index) {
        Val::Str(text) => Some(text),
        _ => None,
    }
}

/// As [`delimiters`] for the third argument of membership; undefined ones are the usual ones.
fn optional_delimiters(args: &mut Args<'_, '_, '_>) -> Option<Arc<str>> {
    if args.len() <= 2 {
        return Some(DELIMITERS_OF_MEMBERS.into());
    }
    match args.val(2) {
        Val::Str(text) => Some(text),
        Val::Undefined => Some(DELIMITERS_OF_MEMBERS.into()),
        _ => None,
    }
}

fn size(args: &mut Args<'_, '_, '_>) -> Val {
    match (args.val(0), delimiters(args, 1)) {
        (Val::Str(text), Some(delimiters)) => Val::Int(items(&text, &delimiters).count() as i64),
        _ => Val::Error,
    }
}

#[derive(Clone, Copy)]
enum Fold {
    Sum,
    Avg,
    Min,
    Max,
}

/// Integers give an integer, also as average; one item of another form gives a real. Nothing: 0.0, or undefined for
/// the extremes.
fn folded(args: &mut Args<'_, '_, '_>, fold: Fold) -> Val {
    let (Val::Str(text), Some(delimiters)) = (args.val(0), delimiters(args, 1)) else { return Val::Error };
    if !args.machine.charge(text.len()) {
        return Val::Error;
    }
    let mut numbers = Vec::new();
    let mut whole = true;
    for item in items(&text, &delimiters) {
        let digits = item.strip_prefix(['+', '-']).unwrap_or(item);
        whole &= !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        match leading_real(item) {
            Some(number) => numbers.push(number),
            None => return Val::Error,
        }
    }
    let count = numbers.len() as f64;
    let result = match fold {
        Fold::Sum => Some(numbers.into_iter().sum()),
        Fold::Avg if numbers.is_empty() => Some(0.0),
        Fold::Avg => Some(numbers.into_iter().sum::<f64>() / count),
        // The library begins with the largest and the smallest positive number of C's `float`.
        Fold::Min if count > 0.0 => Some(numbers.into_iter().fold(f64::from(f32::MAX), f64::min)),
        Fold::Max if count > 0.0 => Some(numbers.into_iter().fold(f64::from(f32::MIN_POSITIVE), f64::max)),
        Fold::Min | Fold::Max => None,
    };
    match result {
        None => Val::Undefined,
        Some(number) if whole && count > 0.0 => Val::Int(truncate(number)),
        // The sum of nothing must not be -0.0.
        Some(number) => Val::Real(number + 0.0),
    }
}

/// False, not undefined, when one of the texts is undefined; undefined when both are.
fn member(args: &mut Args<'_, '_, '_>, same: Same) -> Val {
    let (item, list, delimiters) = (args.val(0), args.val(1), optional_delimiters(args));
    match (item, list, delimiters) {
        (Val::Str(item), Val::Str(list), Some(delimiters)) => {
            Val::Bool(items(&list, &delimiters).any(|other| same(other, &item)))
        }
        (Val::Undefined, Val::Undefined, Some(_)) => Val::Undefined,
        (Val::Str(_) | Val::Undefined, Val::Str(_) | Val::Undefined, Some(_)) => Val::Bool(false),
        _ => Val::Error,
    }
}

fn intersect(args: &mut Args<'_, '_, '_>) -> Val {
    let vals = args.vals();
    if vals.iter().any(|val| matches!(val, Val::Undefined)) && !vals.iter().any(|val| matches!(val, Val::Error)) {
        return Val::Undefined;
    }
    let (a, b, delimiters) = match &vals[..] {
        [Val::Str(a), Val::Str(b)] => (a, b, DELIMITERS),
        [Val::Str(a), Val::Str(b), Val::Str(delimiters)] => (a, b, &**delimiters),
        _ => return Val::Error,
    };
    if !charge_pairs(args, a, b) {
        return Val::Error;
    }
    Val::Bool(items(a, delimiters).any(|item| items(b, delimiters).any(|other| other == item)))
}

/// Whether each item of the first is in the second. An undefined first text has no items, nor has an empty one; one of
/// nothing but delimiters is no subset.
fn subset(args: &mut Args<'_, '_, '_>, same: Same) -> Val {
    let (a, b, delimiters) = (args.val(0), args.val(1), optional_delimiters(args));
    match (a, b, delimiters) {
        (Val::Str(a), Val::Str(b), Some(delimiters)) => {
            if !charge_pairs(args, &a, &b) {
                return Val::Error;
            }
            let has_items = a.is_empty() || items(&a, &delimiters).next().is_some();
            let held = |item| items(&b, &delimiters).any(|other| same(other, item));
            Val::Bool(has_items && items(&a, &delimiters).all(held))
        }
        (Val::Undefined, Val::Undefined, Some(_)) => Val::Undefined,
        (Val::Undefined, Val::Str(_), Some(_)) => Val::Bool(true),
        (Val::Str(_), Val::Undefined, Some(_)) => Val::Bool(false),
        _ => Val::Error,
    }
}

/// Each item is compared with each: the cost is the product.
fn charge_pairs(args: &mut Args<'_, '_, '_>, a: &str, b: &str) -> bool {
    args.machine.charge((a.len() / 16 + 1).saturating_mul(b.len() / 64 + 1))
}

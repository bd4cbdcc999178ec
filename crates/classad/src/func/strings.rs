//! Texts.

use std::cmp::Ordering;
use std::sync::Arc;

use super::call::{Args, Function, MANY};
use crate::Value;
use crate::eval::ops::compare_ignoring_case;
use crate::eval::{LIST_MAX, TEXT_MAX, Val};

pub(super) const TABLE: &[Function] = &[
    Function { name: "strcat", args_min: 0, args_max: MANY, run: strcat },
    Function { name: "join", args_min: 0, args_max: MANY, run: join },
    Function { name: "substr", args_min: 2, args_max: 3, run: substr },
    Function { name: "strcmp", args_min: 2, args_max: 2, run: |args| compared(args, |a, b| a.cmp(b)) },
    Function { name: "stricmp", args_min: 2, args_max: 2, run: |args| compared(args, compare_ignoring_case) },
    Function { name: "toupper", args_min: 1, args_max: 1, run: |args| cased(args, str::to_ascii_uppercase) },
    Function { name: "tolower", args_min: 1, args_max: 1, run: |args| cased(args, str::to_ascii_lowercase) },
    Function { name: "split", args_min: 1, args_max: 2, run: split },
    Function { name: "splitusername", args_min: 1, args_max: 1, run: |args| split_at_sign(args, Side::Left) },
    Function { name: "splitslotname", args_min: 1, args_max: 1, run: |args| split_at_sign(args, Side::Right) },
];

/// The arguments one after another, converted as by `string()`.
fn strcat(args: &mut Args<'_, '_, '_>) -> Val {
    let mut out = String::new();
    for index in 0..args.len() {
        let val = args.val(index);
        if let Err(failed) = push(args, &mut out, &val) {
            return failed;
        }
    }
    args.machine.text(&out)
}

/// Appends a value's text; undefined, error and too long a text come back as the result.
fn push(args: &mut Args<'_, '_, '_>, out: &mut String, val: &Val) -> Result<(), Val> {
    match val {
        Val::Undefined => return Err(Val::Undefined),
        Val::Error => return Err(Val::Error),
        _ => out.push_str(&args.machine.text_of(val).ok_or(Val::Error)?),
    }
    if out.len() > TEXT_MAX { Err(Val::Error) } else { Ok(()) }
}

/// `join(separator, …)`, `join(separator, list)`, `join(list)`. Undefined items are left out.
fn join(args: &mut Args<'_, '_, '_>) -> Val {
    if args.len() == 0 {
        return Val::str("");
    }
    let first = args.val(0);
    if args.len() == 1 {
        return match first {
            Val::List(items, _) => {
                let items = items.iter().map(|item| args.element(item)).collect();
                joined(args, "", items)
            }
            Val::Undefined | Val::Error => first,
            _ => Val::str(""),
        };
    }
    let separator = match &first {
        Val::Error => return Val::Error,
        Val::Undefined => "".into(),
        other => match args.machine.text_of(other) {
            Some(text) => text,
            None => return Val::Error,
        },
    };
    if args.len() > 2 {
        let items = (1..args.len()).map(|index| args.val(index)).collect();
        return joined(args, &separator, items);
    }
    match args.val(1) {
        Val::List(items, _) => {
            let items = items.iter().map(|item| args.element(item)).collect();
            joined(args, &separator, items)
        }
        Val::Undefined => Val::Undefined,
        single => joined(args, &separator, vec![single]),
    }
}

/// Empty texts at the beginning get no separator: there is nothing yet to separate from.
fn joined(args: &mut Args<'_, '_, '_>, separator: &str, items: Vec<Val>) -> Val {
    if !items.is_empty() && items.iter().all(|item| matches!(item, Val::Undefined)) {
        return Val::Undefined;
    }
    let mut out = String::new();
    for item in items.iter().filter(|item| !matches!(item, Val::Undefined)) {
        if !out.is_empty() {
            out.push_str(separator);
        }
        if let Err(failed) = push(args, &mut out, item) {
            return failed;
        }
    }
    args.machine.text(&out)
}

/// Offsets and lengths are bytes; negative ones count from the end.
fn substr(args: &mut Args<'_, '_, '_>) -> Val {
    let vals = args.vals();
    if vals.iter().any(|val| matches!(val, Val::Undefined)) {
        return Val::Undefined;
    }
    let (text, offset, length) = match &vals[..] {
        [Val::Str(text), Val::Int(offset)] => (text, *offset, None),
        [Val::Str(text), Val::Int(offset), Val::Int(length)] => (text, *offset, Some(*length)),
        _ => return Val::Error,
    };
    // The library keeps both in 32 bits.
    let (offset, length) = (i64::from(offset as i32), length.map(|length| i64::from(length as i32)));
    let total = text.len() as i64;
    let from = if offset < 0 { total.saturating_add(offset).max(0) } else { offset.min(total) };
    let to = match length {
        None => total,
        Some(length) if length < 0 => total.saturating_add(length),
        Some(length) => from.saturating_add(length).min(total),
    };
    if to <= from {
        return Val::str("");
    }
    // Half a character is replaced: our texts are UTF-8.
    let part = &text.as_bytes()[from as usize..to as usize];
    Val::str(&String::from_utf8_lossy(part))
}

fn compared(args: &mut Args<'_, '_, '_>, compare: fn(&str, &str) -> Ordering) -> Val {
    match two_texts(args) {
        Ok((a, b)) => Val::Int(compare(&a, &b) as i64),
        Err(failed) => failed,
    }
}

/// Two arguments converted to text. One that is undefined makes the result so, whatever the other is.
pub(super) fn two_texts(args: &mut Args<'_, '_, '_>) -> Result<(Arc<str>, Arc<str>), Val> {
    let (a, b) = (args.val(0), args.val(1));
    match (&a, &b) {
        (Val::Undefined, _) | (_, Val::Undefined) => Err(Val::Undefined),
        (Val::Error, _) | (_, Val::Error) => Err(Val::Error),
        _ => {
            let mut text = |val| args.machine.text_of(val).ok_or(Val::Error);
            Ok((text(&a)?, text(&b)?))
        }
    }
}

fn cased(args: &mut Args<'_, '_, '_>, case: fn(&str) -> String) -> Val {
    match args.val(0) {
        failed @ (Val::Undefined | Val::Error) => failed,
        other => match args.machine.text_of(&other) {
            Some(text) => args.machine.text(&case(&text)),
            None => Val::Error,
        },
    }
}

/// Parts between separators. An empty part counts only between two equal separators that are no blanks.
fn split(args: &mut Args<'_, '_, '_>) -> Val {
    let Val::Str(text) = args.val(0) else { return Val::Error };
    let separators = match args.len() {
        1 => ", \t".into(),
        _ => match args.val(1) {
            Val::Str(separators) => separators,
            _ => return Val::Error,
        },
    };
    let mut parts: Vec<Value> = Vec::new();
    let mut from = 0;
    let mut last: Option<char> = None;
    for (at, c) in text.char_indices().filter(|(_, c)| separators.contains(*c)) {
        if at > from {
            parts.push(text[from..at].into());
        } else if last.is_some_and(|last| last == c && !last.is_ascii_whitespace()) {
            parts.push("".into());
        }
        if last.is_none() || !c.is_ascii_whitespace() {
            last = Some(c);
        }
        from = at + c.len_utf8();
        if parts.len() > LIST_MAX {
            return Val::Error;
        }
    }
    if from < text.len() {
        parts.push(text[from..].into());
    }
    args.machine.list(parts)
}

/// Where the whole text goes when there is no `@`.
enum Side {
    Left,
    Right,
}

fn split_at_sign(args: &mut Args<'_, '_, '_>, whole: Side) -> Val {
    let Val::Str(text) = args.val(0) else { return Val::Error };
    let (left, right) = match (text.split_once('@'), whole) {
        (Some(parts), _) => parts,
        (None, Side::Left) => (&*text, ""),
        (None, Side::Right) => ("", &*text),
    };
    args.machine.list(vec![left.into(), right.into()])
}

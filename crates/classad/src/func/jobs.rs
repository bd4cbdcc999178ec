//! What HTCondor adds for jobs: argument and environment texts, versions, users.
//!
//! The newer form of both texts separates by blanks; blanks and quotes are quoted with `'`, a quote inside is doubled.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::call::{Args, Function, MANY};
use super::strings::two_texts;
use crate::Value;
use crate::eval::{TEXT_MAX, Val};

pub(super) const TABLE: &[Function] = &[
    Function { name: "envv1tov2", args_min: 1, args_max: 1, run: env_v1_to_v2 },
    Function { name: "mergeenvironment", args_min: 0, args_max: MANY, run: merge_environment },
    Function { name: "listtoargs", args_min: 1, args_max: 2, run: list_to_args },
    Function { name: "argstolist", args_min: 1, args_max: 2, run: args_to_list },
    Function { name: "userhome", args_min: 1, args_max: 2, run: user_home },
    Function { name: "usermap", args_min: 2, args_max: 4, run: user_map },
    Function { name: "versioncmp", args_min: 2, args_max: 2, run: version_difference },
    Function { name: "versiongt", args_min: 2, args_max: 2, run: |args| version(args, Ordering::is_gt) },
    Function { name: "versionge", args_min: 2, args_max: 2, run: |args| version(args, Ordering::is_ge) },
    Function { name: "versionlt", args_min: 2, args_max: 2, run: |args| version(args, Ordering::is_lt) },
    Function { name: "versionle", args_min: 2, args_max: 2, run: |args| version(args, Ordering::is_le) },
    Function { name: "versioneq", args_min: 2, args_max: 2, run: |args| version(args, Ordering::is_eq) },
    Function { name: "version_in_range", args_min: 3, args_max: 3, run: version_in_range },
];

/// Words of the newer form; `None` if a quote is not closed.
fn split_quoted(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_ascii_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        if c != '\'' {
            word.push(c);
            continue;
        }
        loop {
            match rest.next()? {
                '\'' if rest.peek() == Some(&'\'') => {
                    rest.next();
                    word.push('\'');
                }
                '\'' => break,
                inside => word.push(inside),
            }
        }
    }
    words.extend(word);
    Some(words)
}

/// One word of the newer form: runs of blanks and quotes are quoted.
fn push_quoted(out: &mut String, word: &str) {
    let mut quoted = false;
    for c in word.chars() {
        let special = c.is_ascii_whitespace() || c == '\'';
        if special != quoted {
            out.push('\'');
            quoted = special;
        }
        out.push(c);
        if c == '\'' {
            out.push('\'');
        }
    }
    if quoted {
        out.push('\'');
    }
}

/// Adds `NAME=value` entries; `None` if one has no name.
fn add_entries<'t>(entries: &mut BTreeMap<String, String>, words: impl Iterator<Item = &'t str>) -> Option<()> {
    for word in words {
        let (name, value) = word.split_once('=').filter(|(name, _)| !name.is_empty())?;
        entries.insert(name.to_owned(), value.to_owned());
    }
    Some(())
}

fn environment(args: &mut Args<'_, '_, '_>, entries: &BTreeMap<String, String>) -> Val {
    let mut out = String::new();
    for (name, value) in entries {
        if !out.is_empty() {
            out.push(' ');
        }
        push_quoted(&mut out, &format!("{name}={value}"));
    }
    args.machine.text(&out)
}

/// What may separate the entries of the older form.
const DELIMITERS_V1: &str = "!#$%&*+,-/:;<>?@^`|~\u{1f}";

/// The older form separates by semicolons, or by what stands in front, and quotes nothing.
fn env_v1_to_v2(args: &mut Args<'_, '_, '_>) -> Val {
    let text = match args.val(0) {
        Val::Str(text) => text,
        Val::Undefined => return Val::Undefined,
        _ => return Val::Error,
    };
    // A delimiter in front names itself, so that values may contain the usual one.
    let (delimiter, body) = match text.chars().next() {
        Some(first) if DELIMITERS_V1.contains(first) => (first, &text[first.len_utf8()..]),
        _ => (';', &*text),
    };
    let mut entries = BTreeMap::new();
    let words = body.split([delimiter, '\n']).map(str::trim_start).filter(|word| !word.is_empty());
    match add_entries(&mut entries, words) {
        Some(()) => environment(args, &entries),
        None => Val::Error,
    }
}

/// Later texts win; undefined ones are skipped.
fn merge_environment(args: &mut Args<'_, '_, '_>) -> Val {
    let mut entries = BTreeMap::new();
    for val in args.vals() {
        let text = match val {
            Val::Str(text) => text,
            Val::Undefined => continue,
            _ => return Val::Error,
        };
        let added = split_quoted(&text).and_then(|words| add_entries(&mut entries, words.iter().map(String::as_str)));
        if added.is_none() {
            return Val::Error;
        }
    }
    environment(args, &entries)
}

/// The form of arguments asked for: 2 (the newer) unless 1 is given.
fn form(args: &mut Args<'_, '_, '_>) -> Option<i64> {
    if args.len() < 2 {
        return Some(2);
    }
    match args.val(1) {
        Val::Int(form @ (1 | 2)) => Some(form),
        _ => None,
    }
}

fn list_to_args(args: &mut Args<'_, '_, '_>) -> Val {
    let (Val::List(items, _), Some(form)) = (args.val(0), form(args)) else { return Val::Error };
    let mut out = String::new();
    for (index, item) in items.iter().enumerate() {
        let Val::Str(word) = args.element(item) else { return Val::Error };
        if out.len() > TEXT_MAX {
            return Val::Error;
        }
        if index > 0 {
            out.push(' ');
        }
        match form {
            1 if word.contains(|c: char| c.is_ascii_whitespace()) => return Val::Error,
            1 => out.push_str(&word),
            _ if word.is_empty() => out.push_str("''"),
            _ => push_quoted(&mut out, &word),
        }
    }
    args.machine.text(&out)
}

fn args_to_list(args: &mut Args<'_, '_, '_>) -> Val {
    let (Val::Str(text), Some(form)) = (args.val(0), form(args)) else { return Val::Error };
    let words = match form {
        1 => Some(text.split_ascii_whitespace().map(str::to_owned).collect()),
        _ => split_quoted(&text),
    };
    match words {
        Some(words) => args.machine.list(words.into_iter().map(Value::from).collect()),
        None => Val::Error,
    }
}

/// `userHome(user[, otherwise])`
fn user_home(args: &mut Args<'_, '_, '_>) -> Val {
    let user = args.val(0);
    if let Val::Str(user) = &user
        && let Some(home_of) = &args.machine.env.home_of
        && let Some(home) = home_of(user)
    {
        return Val::Str(home.into());
    }
    let otherwise = if args.len() == 2 { args.val(1) } else { Val::Undefined };
    match (otherwise, user) {
        (Val::Str(text), _) if !text.is_empty() => Val::Str(text),
        (_, Val::Str(_) | Val::Undefined) => Val::Undefined,
        _ => Val::Error,
    }
}

/// We have no maps of users, so there is only the value given for that case, whatever it is.
fn user_map(args: &mut Args<'_, '_, '_>) -> Val {
    if matches!((args.val(0), args.val(1)), (Val::Error, _) | (_, Val::Error)) {
        return Val::Error;
    }
    if args.len() == 4 { args.val(3) } else { Val::Undefined }
}

/// Natural order: numbers inside count as numbers, `1.9` before `1.10`. Numbers with leading zeros are fractions:
/// they come before others, more zeros first.
pub(super) fn natural_difference<'a>(a: &'a [u8], b: &'a [u8]) -> i64 {
    // The library's texts end at a zero byte; so none is left, and `differs` is at most the shorter one's length.
    let ended = |text: &'a [u8]| text.split(|byte| *byte == 0).next().unwrap_or_default();
    let (a, b) = (ended(a), ended(b));
    let byte = |text: &[u8], at: usize| text.get(at).copied().unwrap_or(0);
    let differs = (0..a.len().max(b.len())).find(|at| byte(a, *at) != byte(b, *at));
    let Some(differs) = differs else { return 0 };
    let run = a[..differs].iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let run_start = differs - run;
    let number = |text: &'a [u8]| {
        let from = &text[run_start.min(text.len())..];
        &from[..from.iter().take_while(|b| b.is_ascii_digit()).count()]
    };
    let (left, right) = (number(a), number(b));
    if let ([first, ..], [other, ..]) = (left, right) {
        let difference = if *first != b'0' && *other != b'0' {
            left.len() as i64 - right.len() as i64
        } else {
            zeros_before_digits(right) - zeros_before_digits(left)
        };
        if difference != 0 {
            return difference;
        }
    }
    // Bytes are signed, as C's characters here are.
    i64::from(byte(a, differs) as i8) - i64::from(byte(b, differs) as i8)
}

/// How many zeros stand before another digit at the beginning of a number.
fn zeros_before_digits(number: &[u8]) -> i64 {
    let zeros = number.iter().take_while(|digit| **digit == b'0').count();
    (if zeros == number.len() { zeros.saturating_sub(1) } else { zeros }) as i64
}

fn version_difference(args: &mut Args<'_, '_, '_>) -> Val {
    match two_texts(args) {
        Ok((a, b)) => Val::Int(natural_difference(a.as_bytes(), b.as_bytes())),
        Err(failed) => failed,
    }
}

fn version(args: &mut Args<'_, '_, '_>, holds: fn(Ordering) -> bool) -> Val {
    match two_texts(args) {
        Ok((a, b)) => Val::Bool(holds(natural_difference(a.as_bytes(), b.as_bytes()).cmp(&0))),
        Err(failed) => failed,
    }
}

/// `version_in_range(version, least, most)`, both included. Undefined if a limit is, but an error if the version is.
fn version_in_range(args: &mut Args<'_, '_, '_>) -> Val {
    let vals = args.vals();
    if vals[1..].iter().any(|limit| matches!(limit, Val::Undefined)) {
        return Val::Undefined;
    }
    let mut texts = Vec::with_capacity(3);
    for val in &vals {
        match val {
            Val::Undefined | Val::Error => return Val::Error,
            other => match args.machine.text_of(other) {
                Some(text) => texts.push(text),
                None => return Val::Error,
            },
        }
    }
    let difference = |a: usize, b: usize| natural_difference(texts[a].as_bytes(), texts[b].as_bytes());
    Val::Bool(difference(1, 0) <= 0 && difference(0, 2) <= 0)
}

//! The macro functions: `$INT`, `$SUBSTR`, `$Fpnx`, …
//!
//! Their arguments are computed with, so numbers of cluster and process enter as digits.

use classad::{Expr, Value};

use crate::expand::expand_inner;
use crate::lines::is_space;
use crate::macros::{Macros, Numbers};
use crate::printf::{Format, Printed, general};
use crate::refusal::Refusal;
use crate::values;

/// Calls `function` with the text between its parentheses.
pub(crate) fn call(function: &str, args: &str, macros: &Macros<'_>, depth: u32) -> Result<String, Refusal> {
    match function {
        "RANDOM_CHOICE" => random_choice(args, macros, depth),
        "RANDOM_INTEGER" => random_integer(args, macros),
        "CHOICE" => choice(args, macros, depth),
        "SUBSTR" => substr(args, macros, depth),
        "INT" => number(args, macros, depth, true),
        "REAL" => number(args, macros, depth, false),
        "STRING" => string(args, macros, depth),
        "EVAL" => eval(args, macros, depth),
        "BASENAME" => file_name("nx", args, macros, depth),
        "DIRNAME" => file_name("p", args, macros, depth),
        file => file_name(&file[1..], args, macros, depth),
    }
}

fn fault(problem: impl Into<String>) -> Refusal {
    Refusal::Macro { problem: problem.into() }
}

/// The `index`-th item between commas, trimmed.
fn item(args: &str, index: usize) -> Option<&str> {
    args.split(',').nth(index).map(|item| item.trim_matches(is_space))
}

/// The value of a macro by this name, else the text itself; expanded.
fn value_of(text: &str, macros: &Macros<'_>, depth: u32) -> Result<String, Refusal> {
    match macros.lookup(&text.to_ascii_lowercase(), Numbers::Digits) {
        Some(value) => expand_inner(&value, macros, Numbers::Digits, depth),
        None => expand_inner(text, macros, Numbers::Digits, depth),
    }
}

fn argument(args: &str, index: usize, macros: &Macros<'_>, depth: u32) -> Result<Option<String>, Refusal> {
    item(args, index).map(|item| value_of(item, macros, depth)).transpose()
}

fn random_choice(args: &str, macros: &Macros<'_>, depth: u32) -> Result<String, Refusal> {
    if args.is_empty() {
        return Err(fault("$RANDOM_CHOICE() error: no list"));
    }
    let list = if args.contains(',') { args.to_owned() } else { value_of(args.trim_matches(is_space), macros, depth)? };
    let items: Vec<&str> = list.split(',').collect();
    let pick = macros.world.random() % items.len() as u64;
    Ok(items[pick as usize].trim_matches(is_space).to_owned())
}

fn random_integer(args: &str, macros: &Macros<'_>) -> Result<String, Refusal> {
    let part = |index: usize, what: &str| {
        item(args, index)
            .and_then(|text| text.parse::<i64>().ok())
            .ok_or_else(|| fault(format!("$RANDOM_INTEGER() error: invalid {what}")))
    };
    let (min, max) = (part(0, "min")?, part(1, "max")?);
    let step = if item(args, 2).is_some() { part(2, "step")? } else { 1 };
    if step < 1 {
        return Err(fault("$RANDOM_INTEGER() error: invalid step"));
    }
    if min > max {
        return Err(fault("$RANDOM_INTEGER() error: min > max"));
    }
    let count = (i128::from(step) + i128::from(max) - i128::from(min)) / i128::from(step);
    let pick = i128::from(macros.world.random()) % count;
    Ok((i128::from(min) + pick * i128::from(step)).to_string())
}

fn choice(args: &str, macros: &Macros<'_>, depth: u32) -> Result<String, Refusal> {
    let Some((_, items)) = args.split_once(',') else { return Err(fault("$CHOICE() error: no list")) };
    let index = argument(args, 0, macros, depth)?.unwrap_or_default();
    let Some(number) = values::integer(&index).and_then(|number| usize::try_from(number).ok()) else {
        return Err(fault(format!("$CHOICE() error: '{index}' is invalid index")));
    };
    let list = if items.contains(',') {
        items.to_owned()
    } else {
        let name = items.trim_matches(is_space);
        let Some(value) = macros.lookup(&name.to_ascii_lowercase(), Numbers::Digits) else {
            return Err(fault(format!("$CHOICE() error: no list named {name}")));
        };
        expand_inner(&value, macros, Numbers::Digits, depth)?
    };
    item(&list, number)
        .map(str::to_owned)
        .ok_or_else(|| fault(format!("$CHOICE() error: index {number} is out of range")))
}

fn substr(args: &str, macros: &Macros<'_>, depth: u32) -> Result<String, Refusal> {
    let text = argument(args, 0, macros, depth)?.unwrap_or_default();
    if text.is_empty() {
        return Ok(text);
    }
    let number = |index: usize, what: &str| -> Result<i64, Refusal> {
        let text = argument(args, index, macros, depth)?.unwrap_or_default();
        values::integer(&text)
            .filter(|number| i32::try_from(*number).is_ok())
            .ok_or_else(|| fault(format!("$SUBSTR() error: {text} is invalid {what}")))
    };
    let has_start = item(args, 2).is_some();
    let length = number(if has_start { 2 } else { 1 }, "length")?;
    let start = if has_start { number(1, "start")? } else { 0 };
    // With two arguments HTCondor 25.13 takes the second as the start; only with three it is a length.
    let (start, length) = if has_start { (start, length) } else { (length, i64::from(i32::MAX)) };
    let bytes = text.as_bytes();
    let size = bytes.len() as i64;
    let start = (if start < 0 { size + start } else { start }).clamp(0, size);
    let left = size - start;
    let length = (if length < 0 { left + length } else { length }).clamp(0, left);
    let cut = &bytes[start as usize..(start + length) as usize];
    Ok(String::from_utf8_lossy(cut).into_owned())
}

fn number(args: &str, macros: &Macros<'_>, depth: u32, whole: bool) -> Result<String, Refusal> {
    let name = if whole { "$INT()" } else { "$REAL()" };
    let probe = if whole { Printed::Integer(0) } else { Printed::Real(0.0) };
    let format = args.split(',').nth(1);
    let parsed = match format {
        None => None,
        Some(text) => Some(
            Format::parse(text)
                .filter(|format| format.suits(probe))
                .ok_or_else(|| fault(format!("{name} error: '{text}' is not a valid format specifier")))?,
        ),
    };
    let text = argument(args, 0, macros, depth)?.unwrap_or_default();
    if whole {
        let value = values::integer(&text)
            .ok_or_else(|| fault(format!("$INT() error: {text} does not evaluate to an integer")))?;
        return Ok(parsed.map_or_else(|| value.to_string(), |format| format.print(Printed::Integer(value))));
    }
    let value =
        values::real(&text).ok_or_else(|| fault(format!("$REAL() error: {text} does not evaluate to a real")))?;
    Ok(match parsed {
        None => plain_real(value),
        Some(format) => {
            let mut printed = format.print(Printed::Real(value));
            if !printed.contains('.') {
                printed.push_str(".0");
            }
            printed
        }
    })
}

/// `%.16G`
fn plain_real(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string().to_ascii_uppercase();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    format!("{sign}{}", general(value.abs(), 16, false).to_ascii_uppercase())
}

fn string(args: &str, macros: &Macros<'_>, depth: u32) -> Result<String, Refusal> {
    let text = argument(args, 0, macros, depth)?.unwrap_or_default();
    let value = match values::constant(&text) {
        Some(Value::Str(value)) => value.to_string(),
        _ => text,
    };
    let Some(format) = args.split(',').nth(1) else { return Ok(value) };
    let parsed = Format::parse(format)
        .filter(|format| format.suits(Printed::Text("")))
        .ok_or_else(|| fault(format!("$STRING() error: '{format}' is not a valid format specifier")))?;
    Ok(parsed.print(Printed::Text(&value)))
}

fn eval(args: &str, macros: &Macros<'_>, depth: u32) -> Result<String, Refusal> {
    let text = value_of(args, macros, depth)?;
    Ok(match values::constant(&text) {
        // What is no expression vanishes.
        None => String::new(),
        Some(Value::Str(value)) => value.to_string(),
        // The new syntax of ClassAds: 16 digits.
        Some(Value::Real(value)) if value.is_finite() && value != 0.0 => {
            let format = Format::parse("%.15E").expect("a constant format");
            format.print(Printed::Real(value))
        }
        Some(value) => Expr::from(value).to_string(),
    })
}

/// The parts of a file name that the letters choose.
fn file_name(letters: &str, args: &str, macros: &Macros<'_>, depth: u32) -> Result<String, Refusal> {
    // What is no macro is a file name itself, as it stands; what is left of a reference in it is read afterwards.
    let value = match macros.lookup(&args.to_ascii_lowercase(), Numbers::Digits) {
        Some(value) => expand_inner(&value, macros, Numbers::Digits, depth)?,
        None => args.to_owned(),
    };
    if letters.contains(['f', 'F']) {
        macros.note(macros.iwd_causes);
    }
    Ok(file_parts(letters, &value, &macros.iwd))
}

/// See [`call`]; `dir` is where a relative name lies.
fn file_parts(letters: &str, value: &str, dir: &str) -> String {
    let letters = letters.to_ascii_lowercase();
    let has = |letter: char| letters.contains(letter);
    let bare_value = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote).and_then(|rest| rest.strip_suffix(*quote)))
        .unwrap_or(value);
    let mut path = bare_value.to_owned();
    if has('f') && !path.starts_with('/') {
        path = format!("{}/{path}", dir.trim_end_matches('/'));
    }
    // The letter that stands last decides about the slashes.
    if let Some(last) = letters.rfind(['w', 'u']) {
        let slash = if letters[last..].starts_with('w') { "\\" } else { "/" };
        path = path.replace(['/', '\\'], slash);
    }
    let name_at = path.rfind('/').map_or(0, |at| at + 1);
    // A dot in front makes no extension.
    let extension_at = path[name_at..].rfind('.').filter(|at| *at > 0).map_or(path.len(), |at| name_at + at);
    let (mut directory, mut parent) = (has('p'), has('d'));
    let (stem, extension) = (has('n'), has('x'));
    if name_at == 0 && (stem || extension) {
        (directory, parent) = (false, false);
    }
    let bare_end = if has('b') && name_at > 0 { name_at - 1 } else { name_at };
    let part = match (parent, directory, stem, extension) {
        (false, false, false, true) => {
            let from = if has('b') && extension_at < path.len() { extension_at + 1 } else { extension_at };
            &path[from..]
        }
        (false, false, true, true) => &path[name_at..],
        (false, false, true, false) => &path[name_at..extension_at],
        (false, false, false, false) | (false, true, _, true) => &path[..],
        (false, true, false, false) => &path[..bare_end],
        (false, true, true, false) => &path[..extension_at],
        (true, ..) if name_at == 0 => "",
        (true, _, stem, extension) => {
            let levels = letters.matches('d').count();
            let from = path[..name_at - 1].rmatch_indices('/').nth(levels - 1).map_or(0, |(at, _)| at + 1);
            let to = match (stem, extension) {
                (true, false) => extension_at,
                (false, false) => bare_end.max(from),
                _ => path.len(),
            };
            &path[from..to]
        }
    };
    if has('q') {
        let quote = if has('a') { '\'' } else { '"' };
        format!("{quote}{part}{quote}")
    } else {
        part.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::file_parts;

    #[test]
    fn parts_of_file_names() {
        for (letters, value, want) in [
            ("", "\"a b\"", "a b"),
            ("p", "/a/b/c.tar.gz", "/a/b/"),
            ("n", "/a/b/c.tar.gz", "c.tar"),
            ("x", "/a/b/c.tar.gz", ".gz"),
            ("xb", "/a/b/c.tar.gz", "gz"),
            ("nx", "/a/b/c.tar.gz", "c.tar.gz"),
            ("d", "/a/b/c.tar.gz", "b/"),
            ("dd", "/a/b/c.tar.gz", "a/b/"),
            ("db", "/a/b/c.tar.gz", "b"),
            ("pn", "/a/b/c.tar.gz", "/a/b/c.tar"),
            ("q", "/a/b/c.tar.gz", "\"/a/b/c.tar.gz\""),
            ("nxqa", "/a/b/c d", "'c d'"),
            ("f", "dir/x.txt", "/w/dir/x.txt"),
            ("a", "dir/x.txt", "dir/x.txt"),
            ("w", "dir/x.txt", "dir\\x.txt"),
            ("du", "dir/x.txt", "dir/"),
            ("d", "x.txt", ""),
            ("p", "x.txt", ""),
            ("pn", "x.txt", "x"),
            ("dnx", "/a/b/c.t", "b/c.t"),
        ] {
            assert_eq!(file_parts(letters, value, "/w"), want, "{letters} {value}");
        }
    }
}

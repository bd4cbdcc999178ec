//! Reading values: numbers with units, truth values, expressions, URLs, paths, lists.
//!
//! Many keys take either a plain number or a ClassAd expression that evaluates to one; [`integer`], [`real`] and
//! [`boolean`] do both.

use classad::{ClassAd, Env, Expr, Value};
use nom::bytes::complete::take_while;
use nom::character::complete::{char, digit0, one_of};
use nom::combinator::{opt, verify};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

use crate::lines::is_space;

/// Evaluates an expression without any attributes or time.
fn evaluate(expr: &Expr) -> Value {
    classad::eval(expr, &ClassAd::new(), None, &Env::default())
}

/// The value of an expression text that needs no attributes.
pub(crate) fn constant(text: &str) -> Option<Value> {
    classad::parse_expr(text).ok().map(|expr| evaluate(&expr))
}

/// An integer: decimal, or an expression; reals are truncated.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let trimmed = text.trim_matches(is_space);
    if let Ok(number) = trimmed.strip_prefix('+').unwrap_or(trimmed).parse() {
        return Some(number);
    }
    match constant(trimmed)? {
        Value::Int(number) => Some(number),
        Value::Bool(truth) => Some(i64::from(truth)),
        Value::Real(number) if number.is_finite() => Some(number as i64),
        _ => None,
    }
}

/// A real: decimal, or an expression.
pub(crate) fn real(text: &str) -> Option<f64> {
    let trimmed = text.trim_matches(is_space);
    if trimmed.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && let Ok(number) = trimmed.parse()
    {
        return Some(number);
    }
    constant(trimmed)?.as_real()
}

/// A truth value: `true`, `false` in any case, or an expression. `yes` is none, it is the name of an attribute.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    let trimmed = text.trim_matches(is_space);
    match trimmed.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => constant(trimmed)?.truth(),
    }
}

/// What the C library's `atoi` makes of a text.
pub(crate) fn leading_integer(text: &str) -> i64 {
    let trimmed = text.trim_start_matches(is_space);
    let (sign, digits) = match trimmed.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse::<i64>().map_or(0, |number| sign * number)
}

/// A size with an optional unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size<'a> {
    /// In units of `base` bytes, rounded up.
    pub(crate) amount: i64,
    /// What follows, from the comma on.
    pub(crate) rest: &'a str,
}

/// Reads `12`, `1.5 GB`, `512k` as a number of `base` bytes, rounded up; a number without a unit counts in `base`s.
///
/// With `list` a comma may follow. `None`: it is something else, perhaps an expression.
pub(crate) fn size(text: &str, base: i64, list: bool) -> Option<Size<'_>> {
    let blanks = || take_while(is_space);
    // A sign needs digits; a point alone is a number to the C library's way of reading.
    let whole = verify((opt(one_of("+-")), digit0), |(sign, digits): &(Option<char>, &str)| {
        sign.is_none() || !digits.is_empty()
    });
    let decimals = opt(preceded(char('.'), digit0));
    let unit = opt(terminated(one_of("kKmMgGtT"), opt(one_of("bB"))));
    let read: IResult<&str, _> =
        (preceded(blanks(), whole), decimals, delimited(blanks(), unit, blanks())).parse_complete(text);
    let (rest, ((sign, digits), decimals, unit)) = read.ok()?;
    if (digits.is_empty() && decimals.is_none()) || !(rest.is_empty() || (list && rest.starts_with(','))) {
        return None;
    }
    let size: i64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let whole = if sign == Some('-') { -size } else { size };
    let factor = match unit.map(|unit| unit.to_ascii_lowercase()) {
        None => base,
        Some('k') => 1 << 10,
        Some('m') => 1 << 20,
        Some('g') => 1 << 30,
        Some(_) => 1 << 40,
    };
    // Three digits count, as in HTCondor: the result is rounded up anyway.
    let digits = decimals.unwrap_or_default().bytes().zip([0.1, 0.01, 0.001]);
    let fraction: f64 = digits.map(|(digit, place)| f64::from(digit - b'0') * place).sum();
    let bytes = (whole as f64 + fraction) * factor as f64;
    let amount = ((bytes + (base - 1) as f64) as i64) / base;
    Some(Size { amount, rest })
}

/// Cuts a list at commas and white space; empty items do not count.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || is_space(c)).filter(|word| !word.is_empty())
}

/// Cuts a list at commas and trims its items; empty ones do not count.
pub(crate) fn comma_list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(|item| item.trim_matches(is_space)).filter(|item| !item.is_empty())
}

/// Trims, and takes off one pair of double quotes.
pub(crate) fn unquoted(text: &str) -> &str {
    let trimmed = text.trim_matches(is_space);
    trimmed.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(trimmed)
}

/// Repeated slashes are one.
pub(crate) fn compressed(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if !(c == '/' && out.ends_with('/')) {
            out.push(c);
        }
    }
    out
}

/// `path`, or, when relative, under `dir`.
pub(crate) fn full_path(path: &str, dir: &str) -> String {
    if path.starts_with('/') { compressed(path) } else { compressed(&format!("{dir}/{path}")) }
}

/// The scheme of a URL, of a compound one its last part (`chtc+https` gives `https`); `None` for other texts.
pub(crate) fn url_method(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    let fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !rest.is_empty();
    fits.then(|| scheme.rsplit(['+', '-', '.']).next().unwrap_or(scheme))
}

/// The last component of a path.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `text` matches `pattern` of literal characters and `*`, ignoring ASCII case.
pub(crate) fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    let parts: Vec<&str> = pattern.split('*').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// An expression as the ads print it, or `None` when it is none.
pub(crate) fn normalised(text: &str) -> Option<String> {
    // Small numbers are their own normal form; they are what differs between most jobs.
    let is_number = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && (text == "0" || !text.starts_with('0')) {
        return Some(text.to_owned());
    }
    classad::parse_expr(text).ok().map(|expr| expr.to_string())
}

/// Puts an expression in parentheses if one of the `looser` operators stands outside all of its brackets.
pub(crate) fn wrapped_for(text: &str, looser: &[&str]) -> String {
    let mut depth = 0_u32;
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 && looser.iter().any(|op| text[at..].starts_with(op)) => return format!("({text})"),
            _ => {}
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up() {
        let check =
            |text, base, want: Option<i64>| assert_eq!(size(text, base, false).map(|s| s.amount), want, "{text}");
        check("512", 1 << 20, Some(512));
        check("2GB", 1 << 20, Some(2048));
        check("1.5 G", 1 << 20, Some(1536));
        check("512KB", 1 << 20, Some(1));
        check("102400.000KB", 1 << 20, Some(100));
        check("512.0", 1 << 20, Some(512));
        check("1 GB", 1 << 10, Some(1 << 20));
        check("max({1,2})", 1 << 20, None);
        check("1,2", 1 << 20, None);
        check("5 x", 1 << 20, None);
        assert_eq!(size("1, 2", 1 << 20, true), Some(Size { amount: 1, rest: ", 2" }));
    }

    #[test]
    fn numbers_may_be_expressions() {
        assert_eq!(integer("1+2"), Some(3));
        assert_eq!(integer(" -7 "), Some(-7));
        assert_eq!(integer("2.9"), Some(2));
        assert_eq!(integer("abc"), None);
        assert_eq!(boolean("True"), Some(true));
        assert_eq!(boolean("yes"), None);
        assert_eq!(boolean("1 > 2"), Some(false));
        assert_eq!(real("1.5"), Some(1.5));
        assert_eq!(leading_integer("12ab"), 12);
        assert_eq!(leading_integer("SIGINT"), 0);
    }

    #[test]
    fn urls_and_paths() {
        assert_eq!(url_method("http://x"), Some("http"));
        assert_eq!(url_method("chtc+https://x"), Some("https"));
        assert_eq!(url_method("http://"), None);
        assert_eq!(url_method("/a://b"), None);
        assert_eq!(full_path("a//b", "/c/"), "/c/a/b");
    }

    #[test]
    fn wildcards() {
        for (pattern, text, want) in [
            ("FOO_*", "foo_a", true),
            ("FOO", "FOO_A", false),
            ("*", "x", true),
            ("*_b*c", "a_bxxc", true),
            ("*_b*c", "a_bxx", false),
            ("a*b*c", "ac", false),
            ("ab*ba", "aba", false),
            ("**a", "ba", true),
        ] {
            assert_eq!(wildcard(pattern, text), want, "{pattern} {text}");
        }
    }

    #[test]
    fn parentheses_only_where_needed() {
        let or = ["? "];
        assert_eq!(wrapped_for("a == 1", &or), "a == 1");
        assert_eq!(wrapped_for("a ? b : c", &or), "(a ? b : c)");
        assert_eq!(wrapped_for("(a ? b : c)", &or), "(a ? b : c)");
        assert_eq!(wrapped_for("a || b", &["||", "? "]), "(a || b)");
    }
}

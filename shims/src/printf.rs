//! The format strings of `-format`: one printf conversion with text around it.
//!
//! `%d %i %u %x %X %o %c` want a number or a boolean (reals are cut, 32 bits unless `l` is given), `%f %e %g` a
//! number, `%s` prints the attribute as it is written (strings bare), `%v` the value, `%V` the value with strings in
//! quotes, `%r` the expression. What does not fit prints nothing, texts around it included; a format without
//! conversion prints itself always. Widths, precisions and flags are those of C. Recorded from `condor_q` 25.13.2.

use classad::{Env, Expr, Value};

/// A parsed format string.
#[derive(Debug, Clone, PartialEq)]
pub struct Format {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Conversion(Conversion),
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Conversion {
    minus: bool,
    plus: bool,
    blank: bool,
    zero: bool,
    alternate: bool,
    long: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

/// Widths and precisions are cut here, so that no format string makes the program allocate without end.
const WIDTH_MAX: usize = 10_000;

/// What a format prints: the attribute of one job.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The attribute's expression; for anything else than a plain name, the expression that was asked for.
    pub expr: Option<&'a Expr>,
    /// Its value.
    pub value: &'a Value,
    /// A plain attribute name was asked for: `%s` prints its expression, not its value.
    pub plain: bool,
    /// Knows the zone for `%Y`.
    pub env: &'a Env,
}

impl Format {
    /// Reads a format string; its backslash escapes are replaced here.
    pub fn parse(text: &str) -> Format {
        let text = unescape(text);
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '%' {
                plain.push(c);
                continue;
            }
            if chars.next_if_eq(&'%').is_some() {
                plain.push('%');
                continue;
            }
            let Some(conversion) = conversion(&mut chars) else {
                continue;
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Conversion(conversion));
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Format { pieces }
    }

    /// The printed text, `None` if the attribute does not fit. A second conversion prints the same attribute again.
    pub fn print(&self, subject: Subject<'_>) -> Option<String> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Conversion(conversion) => out.push_str(&conversion.print(subject)?),
            }
        }
        Some(out)
    }

    /// Whether its conversion is one for numbers.
    pub fn is_number(&self) -> bool {
        let letter = self.pieces.iter().find_map(|piece| match piece {
            Piece::Conversion(conversion) => Some(conversion.letter),
            Piece::Text(_) => None,
        });
        letter.is_some_and(|letter| "diuxXocfFeEgGTY".contains(letter))
    }

    /// Whether it prints an attribute at all.
    pub fn has_conversion(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Conversion(_)))
    }
}

/// Flags, width, precision, length and letter; `None` when the text ends before the letter.
fn conversion(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Conversion> {
    let mut c = Conversion::default();
    loop {
        match chars.peek()? {
            '-' => c.minus = true,
            '+' => c.plus = true,
            ' ' => c.blank = true,
            '0' => c.zero = true,
            '#' => c.alternate = true,
            _ => break,
        }
        chars.next();
    }
    c.width = number(chars);
    if chars.next_if_eq(&'.').is_some() {
        c.precision = Some(number(chars));
    }
    while let Some(length) = chars.next_if(|c| matches!(c, 'l' | 'h' | 'L' | 'q' | 'j' | 'z' | 't')) {
        c.long |= !matches!(length, 'h');
    }
    c.letter = chars.next()?;
    Some(c)
}

fn number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> usize {
    let mut value = 0usize;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        value = (value * 10 + digit as usize).min(WIDTH_MAX);
        chars.next();
    }
    value
}

impl Conversion {
    fn print(&self, subject: Subject<'_>) -> Option<String> {
        let text = match self.letter {
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' => return Some(self.integer(integer(subject.value)?)),
            'c' => char::from_u32(integer(subject.value)? as u32)?.to_string(),
            'f' | 'F' | 'e' | 'E' | 'g' | 'G' => return Some(self.real(subject.value.as_real()?)),
            's' if subject.plain => bare(subject.expr?),
            's' => defined(subject)?.display_old(),
            'v' => defined(subject)?.display_old(),
            'V' => defined(subject)?.to_string(),
            'r' => subject.expr?.to_string(),
            'T' => crate::clock::span(integer(subject.value)?),
            'Y' => crate::clock::short_in(integer(subject.value)?, subject.env),
            _ => return None,
        };
        Some(self.pad(cut(&text, self.precision)))
    }

    fn integer(&self, value: i64) -> String {
        // C's int: HTCondor hands the number to printf as it is asked for, 32 bits for %d.
        let (negative, digits) = match (self.letter, self.long) {
            ('d' | 'i', true) => (value < 0, value.unsigned_abs().to_string()),
            ('d' | 'i', false) => {
                let value = value as i32;
                (value < 0, value.unsigned_abs().to_string())
            }
            (letter, long) => {
                let value = if long { value as u64 } else { u64::from(value as u32) };
                let digits = match letter {
                    'x' => format!("{value:x}"),
                    'X' => format!("{value:X}"),
                    'o' => format!("{value:o}"),
                    _ => value.to_string(),
                };
                (false, digits)
            }
        };
        let digits = match self.precision {
            Some(least) => format!("{digits:0>least$}"),
            None => digits,
        };
        let prefix = match self.letter {
            'x' if self.alternate => "0x",
            'X' if self.alternate => "0X",
            'o' if self.alternate => "0",
            _ => "",
        };
        let sign = self.sign(negative, matches!(self.letter, 'd' | 'i'));
        self.pad_number(&format!("{sign}{prefix}"), &digits, self.precision.is_none())
    }

    fn real(&self, value: f64) -> String {
        let upper = self.letter.is_ascii_uppercase();
        let magnitude = value.abs();
        let mut digits = if !value.is_finite() {
            if value.is_nan() { "nan".to_owned() } else { "inf".to_owned() }
        } else {
            let precision = self.precision.unwrap_or(6);
            match self.letter.to_ascii_lowercase() {
                'f' => format!("{magnitude:.precision$}"),
                'e' => exponential(magnitude, precision),
                _ => general(magnitude, precision, self.alternate),
            }
        };
        if upper {
            digits.make_ascii_uppercase();
        }
        let sign = self.sign(value.is_sign_negative() && !value.is_nan(), true);
        self.pad_number(sign, &digits, value.is_finite())
    }

    fn sign(&self, negative: bool, signed: bool) -> &'static str {
        match (negative, signed) {
            (true, _) => "-",
            (false, true) if self.plus => "+",
            (false, true) if self.blank => " ",
            _ => "",
        }
    }

    fn pad_number(&self, prefix: &str, digits: &str, zeros_allowed: bool) -> String {
        if self.zero && !self.minus && zeros_allowed {
            let least = self.width.saturating_sub(prefix.len());
            return format!("{prefix}{digits:0>least$}");
        }
        self.pad(&format!("{prefix}{digits}"))
    }

    fn pad(&self, text: &str) -> String {
        let width = self.width;
        if self.minus { format!("{text:<width$}") } else { format!("{text:>width$}") }
    }
}

/// An integer, a boolean, or the whole part of a real.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Real(real) => Some(*real as i64),
        other => other.as_int(),
    }
}

/// The value, unless nothing is there: a missing attribute prints nothing, one that *is* undefined says so.
fn defined<'a>(subject: Subject<'a>) -> Option<&'a Value> {
    match (subject.plain, subject.expr, subject.value) {
        (true, None, _) | (false, _, Value::Undefined) => None,
        (_, _, value) => Some(value),
    }
}

/// An expression as `%s` prints it: strings bare, all else as it is written.
fn bare(expr: &Expr) -> String {
    match expr.literal() {
        Some(value) => value.display_old(),
        None => expr.to_string(),
    }
}

fn cut(text: &str, precision: Option<usize>) -> &str {
    match precision.and_then(|most| text.char_indices().nth(most)) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// C's `%e`: at least two digits of exponent, with its sign.
fn exponential(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').expect("Rust's {:e} has an exponent");
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// C's `%g`: the shorter of both forms, without trailing zeros.
fn general(value: f64, precision: usize, keep_zeros: bool) -> String {
    let precision = precision.max(1);
    let shown = exponential(value, precision - 1);
    let (_, exponent) = shown.split_once('e').expect("made above");
    let exponent: i32 = exponent.parse().expect("made above");
    let scientific = exponent < -4 || exponent >= precision as i32;
    let text = if scientific {
        shown
    } else {
        let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
        format!("{value:.decimals$}")
    };
    if keep_zeros {
        return text;
    }
    let (mantissa, tail) = match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, format!("e{exponent}")),
        None => (text.as_str(), String::new()),
    };
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    format!("{mantissa}{tail}")
}

/// Replaces C's escapes; an unknown one stays as it is.
pub(crate) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            None => out.push('\\'),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('v') => out.push('\u{b}'),
            Some(same @ ('\\' | '\'' | '"' | '?')) => out.push(same),
            Some(first @ '0'..='7') => {
                let mut code = first.to_digit(8).expect("matched as octal");
                for _ in 0..2 {
                    let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    chars.next();
                }
                out.push(char::from((code & 0xff) as u8));
            }
            Some('x') if chars.peek().is_some_and(char::is_ascii_hexdigit) => {
                let mut code = 0;
                while let Some(digit) = chars.peek().and_then(|c| c.to_digit(16)) {
                    code = (code * 16 + digit) & 0xff;
                    chars.next();
                }
                out.push(char::from(code as u8));
            }
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `None` stands for a missing attribute.
    fn check(format: &str, attribute: Option<Value>, expected: Option<&str>) {
        let value = attribute.clone().unwrap_or_default();
        let expr = attribute.map(Expr::from);
        let subject = Subject { expr: expr.as_ref(), value: &value, plain: true, env: &Env::default() };
        assert_eq!(Format::parse(format).print(subject).as_deref(), expected, "{format}");
    }

    fn int(i: i64) -> Option<Value> {
        Some(Value::Int(i))
    }

    fn real(r: f64) -> Option<Value> {
        Some(Value::Real(r))
    }

    fn text(s: &str) -> Option<Value> {
        Some(Value::from(s))
    }

    #[test]
    fn integers() {
        check("%d\\n", int(3), Some("3\n"));
        check("%5d|%-5d|%05d|%+d", int(42), Some("   42|42   |00042|+42"));
        check("%d", int(10_000_000_000), Some("1410065408"));
        check("%ld %lld", int(10_000_000_000), Some("10000000000 10000000000"));
        check("%d", real(10_000_000_000.0), Some("1410065408"));
        check("%d", real(-2.9), Some("-2"));
        check("%d", Some(Value::Bool(true)), Some("1"));
        check("%x %o %X %u %#x", int(255), Some("ff 377 FF 255 0xff"));
        check("%u", int(-1), Some("4294967295"));
        check("%.3d", int(7), Some("007"));
        check("%c", int(65), Some("A"));
        check("[%d]", text("alice"), None);
        check("[%d]", None, None);
    }

    #[test]
    fn reals() {
        check("%.3f|", real(3.5), Some("3.500|"));
        check("%10.3f|", real(0.1), Some("     0.100|"));
        check("%f", real(0.1), Some("0.100000"));
        check("%f", int(3), Some("3.000000"));
        check("%e %.2E", real(12345.678), Some("1.234568e+04 1.23E+04"));
        check("%g %g %g", real(0.0001), Some("0.0001 0.0001 0.0001"));
        check("%g", real(1e-5), Some("1e-05"));
        check("%g", real(123_456_789.0), Some("1.23457e+08"));
        check("%g", real(100.0), Some("100"));
        check("%08.2f", real(-3.15), Some("-0003.15"));
        check("%f", real(f64::INFINITY), Some("inf"));
        check("%f", text("x"), None);
    }

    #[test]
    fn texts() {
        check("%-10s|", text("alice"), Some("alice     |"));
        check("%10s|", text("alice"), Some("     alice|"));
        check("%.2s", text("alice"), Some("al"));
        check("%s %v %V", text("a\"b"), Some("a\"b a\"b \"a\\\"b\""));
        check("%s", real(3.5), Some("3.5"));
        check("[%s]", None, None);
        check("[%v]", None, None);
        check("%s", Some(Value::Undefined), Some("undefined"));
    }

    #[test]
    fn literals_print_always() {
        check("local_pool", None, Some("local_pool"));
        check("\\n", None, Some("\n"));
        check("x %% y\\t\\101\\x42\\q\\\"", None, Some("x % y\tAB\\q\""));
        check("ends with %", None, Some("ends with "));
    }

    #[test]
    fn expressions_print_unevaluated_under_s() {
        let expr = classad::parse_expr("1 + B").unwrap();
        let subject = Subject { expr: Some(&expr), value: &Value::Int(2), plain: true, env: &Env::default() };
        assert_eq!(Format::parse("%s|%v|%d|%r").print(subject).unwrap(), "1 + B|2|2|1 + B");
        let subject = Subject { plain: false, ..subject };
        assert_eq!(Format::parse("%s").print(subject).unwrap(), "2");
    }

    #[test]
    fn huge_widths_are_cut() {
        check("%99999999999999999999d", int(1), Some(&format!("{:>10000}", 1)));
    }

    proptest::proptest! {
        #[test]
        fn no_format_string_panics(format in "[ -~\\n]{0,24}", number in proptest::prelude::any::<i64>(), real in proptest::prelude::any::<f64>()) {
            let format = Format::parse(&format);
            for value in [Value::Int(number), Value::Real(real), Value::from("text"), Value::Undefined] {
                let expr = Expr::from(value.clone());
                let _ = format.print(Subject { expr: Some(&expr), value: &value, plain: true, env: &Env::default() });
            }
        }

        #[test]
        fn integers_and_reals_print_as_rust_prints_them(number in proptest::prelude::any::<i32>(), real in -1e12f64..1e12) {
            check("%d|%12d|%-12d", int(i64::from(number)), Some(&format!("{number}|{number:>12}|{number:<12}")));
            check("%.3f|%15.1f", self::real(real), Some(&format!("{real:.3}|{real:>15.1}")));
        }
    }
}

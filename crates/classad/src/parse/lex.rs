//! Tokens.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_until, take_while, take_while1};
use nom::character::complete::{digit0, digit1, hex_digit1, one_of};
use nom::combinator::{opt, peek, recognize, value, verify};
use nom::error::{Error, ErrorKind};
use nom::multi::many0_count;
use nom::sequence::{delimited, pair, preceded};
use nom::{IResult, Parser};

use super::Quoting;
use crate::Value;
use crate::expr::BinaryOp;

/// A token. Words are identifiers until the grammar knows better.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'t> {
    Number(Value),
    Str(String),
    Word(&'t str),
    QuotedName(String),
    Op(BinaryOp),
    Punct(&'static str),
}

/// What stands before a token: blanks and comments. A `//` comment may end with the text.
pub(super) fn skip_blanks(input: &str) -> IResult<&str, ()> {
    // Most tokens have nothing before them.
    if input.starts_with(|c: char| c.is_ascii_graphic() && c != '/') {
        return Ok((input, ()));
    }
    let line_comment = recognize(pair(tag("//"), take_till(|c| c == '\n')));
    let comment = recognize(delimited(tag("/*"), take_until("*/"), tag("*/")));
    let blanks = take_while1(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    value((), many0_count(alt((blanks, line_comment, comment)))).parse(input)
}

/// One token, nothing before it skipped.
pub(super) fn token(input: &str, quoting: Quoting) -> IResult<&str, Token<'_>> {
    match input.bytes().next() {
        // Several zeros are no number, though `007` and `-00` are.
        Some(b'0') if only_zeros(input) => failed(input),
        Some(b'0') if quoting == Quoting::Old && !is_decimal(input) => failed(input),
        Some(b'0'..=b'9') => number(input),
        Some(b'.') if input[1..].starts_with(|c: char| c.is_ascii_digit()) => number(input),
        Some(b'"') => joined(input, b'"', quoting).map(|(rest, text)| (rest, Token::Str(text))),
        Some(b'\'') => joined(input, b'\'', quoting).map(|(rest, name)| (rest, Token::QuotedName(name))),
        Some(b) if b.is_ascii_alphabetic() || b == b'_' => {
            take_while(|c: char| c.is_ascii_alphanumeric() || c == '_').map(Token::Word).parse(input)
        }
        Some(b'?') if elvis(input).is_ok() => elvis(input),
        _ => alt((operator.map(Token::Op), punctuation.map(Token::Punct))).parse(input),
    }
}

/// `Name = …`, a line of an ad in the old syntax: the name, without quotes, and what follows the `=`. Words that are
/// reserved elsewhere are names here.
pub(crate) fn split_assignment(line: &str) -> Option<(String, &str)> {
    let (rest, name) = match token(line.trim_start(), Quoting::Old).ok()? {
        (rest, Token::Word(word)) => (rest, word.to_owned()),
        (rest, Token::QuotedName(name)) => (rest, name),
        _ => return None,
    };
    let expr = rest.trim_start().strip_prefix('=')?;
    if expr.starts_with('=') { None } else { Some((name, expr)) }
}

/// Longer operators first, by the byte they begin with. `=?=` is the old spelling of `is`.
fn operator(input: &str) -> IResult<&str, BinaryOp> {
    use BinaryOp::*;
    match input.as_bytes().first() {
        Some(b'=') => alt((value(Is, tag("=?=")), value(Isnt, tag("=!=")), value(Eq, tag("==")))).parse(input),
        Some(b'!') => value(Ne, tag("!=")).parse(input),
        Some(b'<') => alt((value(Shl, tag("<<")), value(Le, tag("<=")), value(Lt, tag("<")))).parse(input),
        Some(b'>') => {
            let shifts = alt((value(ShrZero, tag(">>>")), value(Shr, tag(">>"))));
            alt((shifts, value(Ge, tag(">=")), value(Gt, tag(">")))).parse(input)
        }
        Some(b'|') => alt((value(Or, tag("||")), value(BitOr, tag("|")))).parse(input),
        Some(b'&') => alt((value(And, tag("&&")), value(BitAnd, tag("&")))).parse(input),
        Some(b'^') => value(BitXor, tag("^")).parse(input),
        Some(b'+') => value(Add, tag("+")).parse(input),
        Some(b'-') => value(Sub, tag("-")).parse(input),
        Some(b'*') => value(Mul, tag("*")).parse(input),
        Some(b'/') => value(Div, tag("/")).parse(input),
        Some(b'%') => value(Rem, tag("%")).parse(input),
        _ => failed(input),
    }
}

/// `?:`, also with blanks inside.
fn elvis(input: &str) -> IResult<&str, Token<'_>> {
    value(Token::Punct("?:"), (tag("?"), take_while(|c: char| c.is_ascii_whitespace()), tag(":"))).parse(input)
}

fn punctuation(input: &str) -> IResult<&str, &'static str> {
    const ALL: [&str; 15] = ["(", ")", "[", "]", "{", "}", ",", ";", "?", ":", "=", "!", "~", "..", "."];
    match ALL.iter().find(|text| input.starts_with(**text)) {
        Some(text) => Ok((&input[text.len()..], text)),
        None => failed(input),
    }
}

/// Whether no octal or hexadecimal integer begins here: HTCondor's programs refuse these in the old syntax, `007` as
/// well as `0x1F`, though a sign in front of them, or a fraction behind, makes them good.
fn is_decimal(input: &str) -> bool {
    let digits = input.bytes().take_while(u8::is_ascii_digit).count();
    match input.as_bytes().get(digits) {
        Some(b'.' | b'e' | b'E') => true,
        Some(b'x' | b'X') => false,
        _ => digits == 1,
    }
}

fn only_zeros(input: &str) -> bool {
    let rest = input.trim_start_matches('0');
    input.len() - rest.len() > 1 && !rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E'))
}

/// An integer or a real, without sign. Integers that do not fit are 0, and so are hexadecimal ones: HTCondor reads
/// their form and takes only the decimal digits at the beginning.
pub(super) fn number(input: &str) -> IResult<&str, Token<'_>> {
    let hexadecimal = value(Token::Number(Value::Int(0)), (one_of("0"), one_of("xX"), hex_digit1));
    let exponent = (one_of("eE"), opt(one_of("+-")), digit1);
    let fraction = (digit0, one_of("."), digit1, opt(exponent));
    let exponent = (one_of("eE"), opt(one_of("+-")), digit1);
    let real = recognize(alt((recognize(fraction), recognize((digit1, exponent))))).map(|text: &str| {
        // The form is checked, so only the range could be refused, and that gives infinity.
        Token::Number(Value::Real(text.parse().unwrap_or(f64::INFINITY)))
    });
    let octal_form = |digits: &&str| !digits.starts_with('0') || digits.bytes().all(|b| b < b'8');
    let integer = verify(digit1, move |digits: &str| octal_form(&digits))
        .map(|digits: &str| Token::Number(Value::Int(digits.parse().unwrap_or(0))));
    let (rest, token) = alt((hexadecimal, real, integer)).parse(input)?;
    // `1x`, `1.` and `1e+` are no numbers followed by something, but `1is 1` compares.
    let word = &rest[..rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()];
    if !word.is_empty() && !word.eq_ignore_ascii_case("is") && !word.eq_ignore_ascii_case("isnt") {
        return failed(input);
    }
    let whole = matches!(token, Token::Number(Value::Int(_)));
    if whole && rest.starts_with('.') { failed(input) } else { Ok((rest, token)) }
}

/// A number with its minus sign, only where no operator can stand: `-7` is a literal, `- 7` is not.
pub(super) fn negative_number(input: &str) -> IResult<&str, Token<'_>> {
    let (rest, token) =
        preceded(tag("-"), preceded(peek(recognize(pair(opt(tag(".")), digit1))), number)).parse(input)?;
    let negated = match token {
        Token::Number(Value::Real(real)) => Value::Real(-real),
        // The sign belongs to the digits: the smallest integer has no positive counterpart.
        _ => Value::Int(input[..input.len() - rest.len()].parse().unwrap_or(0)),
    };
    Ok((rest, Token::Number(negated)))
}

/// What one pair of quotes holds, or in the new syntax several with only blanks between: `"a" "b"` is `"ab"`.
fn joined(input: &str, quote: u8, quoting: Quoting) -> IResult<&str, String> {
    let (mut rest, mut text) = quoted(input, quote, quoting)?;
    loop {
        let next = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
        if quoting == Quoting::Old || !next.starts_with(char::from(quote)) {
            return Ok((rest, text));
        }
        let (after, more) = quoted(next, quote, quoting)?;
        text.push_str(&more);
        rest = after;
    }
}

/// What stands between a pair of quotes.
fn quoted(input: &str, quote: u8, quoting: Quoting) -> IResult<&str, String> {
    let bytes = input.as_bytes();
    let mut text = Vec::new();
    let mut at = 1;
    loop {
        let plain = bytes[at..].iter().position(|b| *b == quote || *b == b'\\');
        let Some(plain) = plain else { return failed(input) };
        text.extend_from_slice(&bytes[at..at + plain]);
        at += plain;
        if bytes[at] == quote {
            // Octal escapes can make anything; text that is not UTF-8 cannot be kept.
            let text =
                String::from_utf8(text).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned());
            return Ok((&input[at + 1..], text));
        }
        let (byte, length) = match quoting {
            Quoting::Old => old_escape(&bytes[at..], quote),
            Quoting::New => new_escape(&bytes[at..]),
        };
        if byte == 0 || at + length > bytes.len() {
            return failed(input);
        }
        text.push(byte);
        at += length;
    }
}

/// The byte a backslash stands for and how many bytes of input that takes. Only the quote in use can be escaped, and
/// not even that at the end of a line: `"C:\dir\"` is a directory.
fn old_escape(input: &[u8], quote: u8) -> (u8, usize) {
    let ends = matches!(input.get(2), None | Some(b'\n' | b'\r'));
    if input.get(1) == Some(&quote) && !ends { (quote, 2) } else { (b'\\', 1) }
}

/// As [`old_escape`], for C escapes. An octal escape has up to three digits, two if the first is above 3; an unknown
/// letter is itself.
fn new_escape(input: &[u8]) -> (u8, usize) {
    let octal = |at: usize| input.get(at).filter(|b| (b'0'..=b'7').contains(b)).map(|b| b - b'0');
    let byte = match input.get(1) {
        Some(b'a') => 7,
        Some(b'b') => 8,
        Some(b't') => b'\t',
        Some(b'n') => b'\n',
        Some(b'v') => 11,
        Some(b'f') => 12,
        Some(b'r') => b'\r',
        Some(b'0'..=b'7') => {
            let first = octal(1).unwrap_or(0);
            return match (octal(2), octal(3)) {
                (None, _) => (first, 2),
                (Some(second), Some(third)) if first <= 3 => (first << 6 | second << 3 | third, 4),
                (Some(second), _) => (first << 3 | second, 3),
            };
        }
        Some(other) => *other,
        None => 0,
    };
    (byte, 2)
}

fn failed<T>(input: &str) -> IResult<&str, T> {
    Err(nom::Err::Error(Error::new(input, ErrorKind::Fail)))
}

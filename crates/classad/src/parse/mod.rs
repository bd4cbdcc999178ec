//! From text to expressions. [`lex`] knows the tokens, [`grammar`] how they fit together.

mod grammar;
mod lex;

pub(crate) use lex::split_assignment;

use crate::{Expr, Value};

/// Longest text that is parsed, bytes.
pub(crate) const TEXT_MAX: usize = 4 * 1024 * 1024;

/// Most tokens of an expression: what can be read in some 50 ms. Long strings are one token.
pub(crate) const TOKENS_MAX: usize = 300_000;

/// Deepest nesting: parentheses, lists, ads, calls, prefix and postfix operators, operators of rising precedence.
pub(crate) const DEPTH_MAX: usize = 250;

/// Strings up to this length, bytes, may be plain literals.
const PLAIN_MAX: usize = 64 << 10;

/// Why a text is not an expression. `at` is a byte offset into the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Something else belongs here.
    #[error("unexpected {found:?} at offset {at}")]
    Unexpected {
        /// Where.
        at: usize,
        /// The beginning of what stands there.
        found: String,
    },
    /// The text ends where something is missing.
    #[error("unexpected end")]
    UnexpectedEnd,
    /// Not a token: an unclosed quote or comment, a character the language does not use, a bad number.
    #[error("bad token at offset {at}")]
    BadToken {
        /// Where it begins.
        at: usize,
    },
    /// `absTime("…")` or `relTime("…")` whose text is not a time.
    #[error("not a time: {text:?}")]
    BadTime {
        /// The text.
        text: String,
    },
    /// Nested too deeply.
    #[error("nested deeper than {max}")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// Too many names, numbers, operators and so on.
    #[error("more than {max} words and signs")]
    TooManyTokens {
        /// The limit.
        max: usize,
    },
    /// Too long a text.
    #[error("longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
}

/// How backslashes in quotes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoting {
    /// A backslash is itself, except before a quote that does not end the text or the line.
    Old,
    /// C escapes.
    New,
}

/// Parses an expression of submit files, command lines and ads in `-long` form: in strings a backslash is an ordinary
/// character except in `\"`. The whole text must be one expression.
pub fn parse_expr(text: &str) -> Result<Expr, ParseError> {
    match plain_literal(text) {
        Some(value) => Ok(Expr::from(value)),
        None => grammar::parse(text, Quoting::Old),
    }
}

/// The value of a text that is nothing but a number, a string or a boolean in its usual form, as most attributes of most
/// ads are; for all else ask [`parse_expr`].
pub fn plain_literal(text: &str) -> Option<Value> {
    Some(match plain_text(text)? {
        Plain::Str(text) => Value::from(text),
        Plain::Int(text) => Value::Int(text.parse().ok()?),
        Plain::Bool(truth) => Value::Bool(truth),
    })
}

/// A literal of the commonest forms, which prints as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain<'a> {
    /// A string without anything that is escaped; without its quotes.
    Str(&'a str),
    /// A whole number that is not negative.
    Int(&'a str),
    /// `true` or `false`.
    Bool(bool),
}

/// The same without making a value of it.
pub fn plain_text(text: &str) -> Option<Plain<'_>> {
    match text.as_bytes() {
        [b'"', inner @ .., b'"']
            if text.len() < PLAIN_MAX && !inner.iter().any(|b| matches!(b, b'"' | b'\\' | 0..32)) =>
        {
            Some(Plain::Str(&text[1..text.len() - 1]))
        }
        // A leading zero would mean octal.
        [b'0'] => Some(Plain::Int(text)),
        [b'1'..=b'9', rest @ ..] if rest.len() < 18 && rest.iter().all(u8::is_ascii_digit) => Some(Plain::Int(text)),
        b"true" => Some(Plain::Bool(true)),
        b"false" => Some(Plain::Bool(false)),
        _ => None,
    }
}

/// Parses an expression whose strings have C escapes (`\n`, `\\`, `\101`): the syntax of `-long:new`, JSON and XML.
pub fn parse_expr_new(text: &str) -> Result<Expr, ParseError> {
    grammar::parse(text, Quoting::New)
}

#[cfg(test)]
mod tests;

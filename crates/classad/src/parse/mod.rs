//! From text to expressions. [`lex`] knows the tokens, [`grammar`] how they fit together.

mod grammar;
mod lex;

pub(crate) use lex::split_assignment;

use crate::Expr;

/// Longest text that is parsed, bytes.
pub(crate) const TEXT_MAX: usize = 4 * 1024 * 1024;

/// Most tokens of an expression: what can be read in some 50 ms. Long strings are one token.
pub(crate) const TOKENS_MAX: usize = 300_000;

/// Deepest nesting: parentheses, lists, ads, calls, prefix and postfix operators, operators of rising precedence.
pub(crate) const DEPTH_MAX: usize = 250;

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
    grammar::parse(text, Quoting::Old)
}

/// Parses an expression whose strings have C escapes (`\n`, `\\`, `\101`): the syntax of `-long:new`, JSON and XML.
pub fn parse_expr_new(text: &str) -> Result<Expr, ParseError> {
    grammar::parse(text, Quoting::New)
}

#[cfg(test)]
mod tests;

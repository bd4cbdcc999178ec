//! The grammar every line shares: a verb, then fields separated by exactly one blank.

use crate::amount::{Amount, amount};
use nom::{IResult, Parser, bytes::complete::take_till1, character::complete as chr, combinator::all_consuming};

/// Bytes a line may have before its LF, in both directions. Peers disconnect on a longer one.
/// Source: CCTools `WORK_QUEUE_LINE_MAX` (4096 with the terminator).
pub const LINE_MAX: usize = 4095;

/// Bytes of a refused text that an error keeps, enough for a log line.
const EXCERPT_MAX: usize = 64;

/// Why a peer's line was refused. The link is closed; the peer may come back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The line did not end within the limit.
    #[error("line longer than {max} bytes")]
    TooLong {
        /// The limit in bytes, LF not counted.
        max: usize,
    },
    /// The first word is none of the protocol's (an empty line has the empty verb).
    #[error("unknown message {verb:?}")]
    UnknownVerb {
        /// The first word, at most 64 bytes of it.
        verb: String,
    },
    /// The verb is known but not where it stands, for instance `cmd` outside a task.
    #[error("{verb}: not expected here")]
    Misplaced {
        /// The verb.
        verb: &'static str,
    },
    /// A field is missing.
    #[error("{verb}: field {field} is missing")]
    MissingField {
        /// The verb.
        verb: &'static str,
        /// The missing field.
        field: &'static str,
    },
    /// A field cannot be read: no number, negative, or out of range.
    #[error("{verb}: field {field} is not a {wanted}: {got:?}")]
    BadField {
        /// The verb.
        verb: &'static str,
        /// The field.
        field: &'static str,
        /// What would have been right.
        wanted: &'static str,
        /// What was there, at most 64 bytes of it.
        got: String,
    },
    /// The line goes on after its last field.
    #[error("{verb}: unexpected {got:?} at the end of the line")]
    Trailing {
        /// The verb.
        verb: &'static str,
        /// The rest, at most 64 bytes of it.
        got: String,
    },
    /// The peer speaks a protocol outside 6 to 11.
    #[error(transparent)]
    UnsupportedProtocol(#[from] crate::UnsupportedProtocol),
    /// The announced body exceeds the limit.
    #[error("{verb}: body of {len} bytes exceeds the limit of {max}")]
    BodyTooLong {
        /// The verb.
        verb: &'static str,
        /// The announced length in bytes.
        len: u64,
        /// The limit in bytes.
        max: u64,
    },
}

/// A readable piece of what the peer sent, for errors.
pub(crate) fn excerpt(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(EXCERPT_MAX)]).into_owned()
}

/// Splits a line at its first blank: the verb and, if there is a blank, what follows it.
pub(crate) fn split_verb(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    match line.iter().position(|b| *b == b' ') {
        Some(at) => (&line[..at], Some(&line[at + 1..])),
        None => (line, None),
    }
}

/// The fields behind a verb, taken from the left or the right.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    verb: &'static str,
    rest: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(verb: &'static str, rest: Option<&'a [u8]>) -> Self {
        Self { verb, rest }
    }

    pub(crate) fn verb(&self) -> &'static str {
        self.verb
    }

    /// The next field: one or more bytes other than a blank.
    pub(crate) fn word(&mut self, field: &'static str) -> Result<&'a [u8], LineError> {
        let text = self.rest.ok_or(LineError::MissingField { verb: self.verb, field })?;
        let (after, word) = word(text).map_err(|_| LineError::MissingField { verb: self.verb, field })?;
        self.rest = after.strip_prefix(b" ");
        Ok(word)
    }

    /// The last field: what follows the last blank. Names before it may hold blanks.
    pub(crate) fn last_word(&mut self, field: &'static str) -> Result<&'a [u8], LineError> {
        let text = self.rest.ok_or(LineError::MissingField { verb: self.verb, field })?;
        let (before, last) = match text.iter().rposition(|b| *b == b' ') {
            Some(at) => (Some(&text[..at]), &text[at + 1..]),
            None => (None, text),
        };
        self.rest = before;
        if last.is_empty() { Err(LineError::MissingField { verb: self.verb, field }) } else { Ok(last) }
    }

    /// Everything that is left, blanks included; never empty.
    pub(crate) fn rest(&mut self, field: &'static str) -> Result<&'a [u8], LineError> {
        self.rest.take().filter(|text| !text.is_empty()).ok_or(LineError::MissingField { verb: self.verb, field })
    }

    /// How many fields are left when each blank separates two.
    pub(crate) fn count(&self) -> usize {
        self.rest.map_or(0, |text| 1 + text.iter().filter(|b| **b == b' ').count())
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, LineError> {
        let text = self.word(field)?;
        self.read(text, field, "number", chr::u64)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, LineError> {
        let text = self.word(field)?;
        self.read(text, field, "number", chr::u32)
    }

    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, LineError> {
        let text = self.word(field)?;
        self.read(text, field, "number", chr::i32)
    }

    pub(crate) fn i64(&mut self, field: &'static str) -> Result<i64, LineError> {
        let text = self.word(field)?;
        self.read(text, field, "number", chr::i64)
    }

    pub(crate) fn amount(&mut self, field: &'static str) -> Result<Amount, LineError> {
        let text = self.word(field)?;
        self.read(text, field, "quantity", amount)
    }

    pub(crate) fn last_u64(&mut self, field: &'static str) -> Result<u64, LineError> {
        let text = self.last_word(field)?;
        self.read(text, field, "number", chr::u64)
    }

    pub(crate) fn last_u32(&mut self, field: &'static str) -> Result<u32, LineError> {
        let text = self.last_word(field)?;
        self.read(text, field, "number", chr::u32)
    }

    pub(crate) fn last_i32(&mut self, field: &'static str) -> Result<i32, LineError> {
        let text = self.last_word(field)?;
        self.read(text, field, "number", chr::i32)
    }

    /// Nothing may follow.
    pub(crate) fn end(self) -> Result<(), LineError> {
        match self.rest {
            None => Ok(()),
            Some(text) => Err(LineError::Trailing { verb: self.verb, got: excerpt(text) }),
        }
    }

    /// Applies `parser` to the whole of `text`.
    pub(crate) fn read<T>(
        &self,
        text: &'a [u8],
        field: &'static str,
        wanted: &'static str,
        parser: impl Fn(&'a [u8]) -> IResult<&'a [u8], T>,
    ) -> Result<T, LineError> {
        match all_consuming(parser).parse(text) {
            Ok((_, value)) => Ok(value),
            Err(_) => Err(LineError::BadField { verb: self.verb, field, wanted, got: excerpt(text) }),
        }
    }
}

fn word(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_till1(|b: u8| b == b' ').parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_blank_separates() {
        let (verb, rest) = split_verb(b"x 1  2");
        assert_eq!(verb, b"x");
        let mut fields = Fields::new("x", rest);
        assert_eq!(fields.u64("a"), Ok(1));
        assert_eq!(fields.u64("b"), Err(LineError::MissingField { verb: "x", field: "b" }));
    }

    #[test]
    fn numbers_have_a_range() {
        for text in ["-1", "18446744073709551616", "1x", "0x1", "1.5", "\u{0661}"] {
            let mut fields = Fields::new("x", Some(text.as_bytes()));
            assert!(matches!(fields.u64("n"), Err(LineError::BadField { field: "n", .. })), "{text}");
        }
        assert_eq!(Fields::new("x", Some(b"18446744073709551615")).u64("n"), Ok(u64::MAX));
        assert_eq!(Fields::new("x", Some(b"-2147483648")).i32("n"), Ok(i32::MIN));
    }

    #[test]
    fn names_may_hold_blanks_before_the_last_number() {
        let mut fields = Fields::new("file", Some(b"a b  c 12"));
        assert_eq!(fields.last_u64("len"), Ok(12));
        assert_eq!(fields.rest("name"), Ok(&b"a b  c"[..]));
        assert_eq!(fields.end(), Ok(()));
    }

    #[test]
    fn errors_keep_only_an_excerpt() {
        let long = vec![b'z'; 4000];
        match Fields::new("x", Some(&long)).u64("n") {
            Err(LineError::BadField { got, .. }) => assert_eq!(got.len(), EXCERPT_MAX),
            other => panic!("{other:?}"),
        }
    }
}

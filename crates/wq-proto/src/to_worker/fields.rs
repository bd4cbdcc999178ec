//! The small types that stand in fields of messages.

use crate::line::{Fields, LineError, excerpt};
use nom::{Parser, bytes::complete::tag, character::complete::oct_digit1, combinator::opt, combinator::rest_len};
use std::fmt;
use std::ops::BitOr;

/// A task on one link: 1 to 2³¹ − 1, unused on that link while the task lives. The peer keeps it as a signed 32-bit number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u32);

impl TaskId {
    /// The largest id a peer can hold.
    pub const MAX: Self = Self(i32::MAX as u32);

    pub(crate) fn parse(fields: &mut Fields<'_>) -> Result<Self, LineError> {
        let text = fields.word("task")?;
        match fields.read(text, "task", "task id", nom::character::complete::u32)? {
            id if Self(id).is_valid() => Ok(Self(id)),
            _ => Err(fields.bad("task", "task id", text)),
        }
    }

    /// Whether the number is in the range a peer accepts.
    pub const fn is_valid(self) -> bool {
        self.0 >= 1 && self.0 <= Self::MAX.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Permissions in `put` and its kin, octal on the wire. The peer adds 0600 and applies its umask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileMode {
    bits: u16,
    /// C masters write `0644` for files and `777` for buffers; both must print back.
    leading_zero: bool,
}

impl FileMode {
    /// Permission bits, written with a leading zero; bits above 07777 are cut off.
    pub const fn new(bits: u32) -> Self {
        Self { bits: (bits & 0o7777) as u16, leading_zero: true }
    }

    /// The permission bits.
    pub const fn bits(self) -> u32 {
        self.bits as u32
    }

    pub(crate) fn parse(fields: &mut Fields<'_>, text: &[u8]) -> Result<Self, LineError> {
        let bad = || fields.bad("mode", "octal mode", text);
        let (rest, (zero, digits)) =
            (opt(tag::<_, _, ()>("0")), opt(oct_digit1::<_, ()>)).parse(text).map_err(|_| bad())?;
        let digits = digits.unwrap_or(b"");
        let (_, left) = rest_len::<_, ()>(rest).map_err(|_| bad())?;
        if left > 0 || digits.len() > 4 || zero.is_none() && digits.is_empty() {
            return Err(bad());
        }
        let bits = digits.iter().fold(0, |bits, digit| bits << 3 | u16::from(digit - b'0'));
        Ok(Self { bits, leading_zero: zero.is_some() && !digits.is_empty() })
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zero = if self.leading_zero { "0" } else { "" };
        write!(f, "{zero}{:o}", self.bits)
    }
}

/// Flags of `put`, `infile` and `outfile`, a decimal sum on the wire.
///
/// A plain worker acts only on [`FileFlags::WATCH`], a foreman also on [`FileFlags::CACHE`]; the others are a C master's
/// own notes. Unknown bits are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FileFlags(pub u32);

impl FileFlags {
    /// 0.
    pub const NONE: Self = Self(0);
    /// 1: keep after the task.
    pub const CACHE: Self = Self(1);
    /// 2.
    pub const SYMLINK: Self = Self(2);
    /// 4.
    pub const PREEXIST: Self = Self(4);
    /// 8: by `thirdget` or `thirdput`.
    pub const THIRD_PARTY: Self = Self(8);
    /// 16: send growth of this output while the task runs.
    pub const WATCH: Self = Self(16);
    /// 32.
    pub const FAILURE_ONLY: Self = Self(32);
    /// 64.
    pub const SUCCESS_ONLY: Self = Self(64);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for FileFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for FileFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// KIND of `thirdget` and `thirdput`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThirdPartyKind {
    /// 1: a shell command makes or takes the content.
    Command,
    /// 2: copy from or to a path on the worker's machine.
    Copy,
    /// 3: symlink; broken in all releases.
    Symlink,
}

impl ThirdPartyKind {
    /// The number on the wire.
    pub const fn number(self) -> u32 {
        match self {
            Self::Command => 1,
            Self::Copy => 2,
            Self::Symlink => 3,
        }
    }

    pub(crate) fn parse(fields: &mut Fields<'_>) -> Result<Self, LineError> {
        let text = fields.word("kind")?;
        match text {
            b"1" => Ok(Self::Command),
            b"2" => Ok(Self::Copy),
            b"3" => Ok(Self::Symlink),
            _ => Err(fields.bad("kind", "transfer kind", text)),
        }
    }
}

impl Fields<'_> {
    pub(crate) fn bad(&self, field: &'static str, wanted: &'static str, got: &[u8]) -> LineError {
        LineError::BadField { verb: self.verb(), field, wanted, got: excerpt(got) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_print_back() {
        let mut fields = Fields::new("put", None);
        for (text, bits) in
            [("0644", 0o644), ("777", 0o777), ("0755", 0o755), ("04755", 0o4755), ("0", 0), ("600", 0o600)]
        {
            let mode = FileMode::parse(&mut fields, text.as_bytes()).unwrap();
            assert_eq!((mode.bits(), mode.to_string().as_str()), (bits, text));
        }
        for text in ["", "8", "0o644", "-1", "077777", "644x"] {
            assert!(FileMode::parse(&mut fields, text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(FileMode::new(0o100_644).to_string(), "0644");
    }

    #[test]
    fn flags_add_up() {
        let flags = FileFlags::CACHE | FileFlags::WATCH;
        assert_eq!(flags.to_string(), "17");
        assert!(flags.contains(FileFlags::WATCH) && !flags.contains(FileFlags::SYMLINK));
    }

    #[test]
    fn task_ids_fit_a_signed_number() {
        assert!(TaskId::MAX.is_valid() && !TaskId(0).is_valid() && !TaskId(1 << 31).is_valid());
    }
}

//! Identifiers and quantities: newtypes, so that a number of one thing is never taken for another.

use std::fmt;

pub use journal::JobId;

/// One connection of a worker or foreman. `slot` is a small index that is used again, `turn` tells its
/// occupants apart, so an effect for a connection that is gone never reaches the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId {
    /// Index into the table of links.
    pub slot: u32,
    /// How often the slot was used before.
    pub turn: u32,
}

impl LinkId {
    /// No connection at all.
    pub const NONE: LinkId = LinkId { slot: u32::MAX, turn: u32::MAX };
}

/// One client of the control socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// One dispatch of a job: unique as long as the master lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub u64);

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Sequence number of a journal record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RecordNo(pub u64);

/// Time of the service clock in microseconds: monotonic, carried over restarts (decision D58).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Whole seconds, the unit of job times.
    pub fn seconds(self) -> i64 {
        (self.0 / 1_000_000) as i64
    }

    /// Later by so many seconds.
    pub fn plus_s(self, seconds: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// Microseconds since `earlier`, 0 if that is later.
    pub fn since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// SHA-256 of an executable or proxy, the name under which the shell keeps its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; 32]);

impl BlobId {
    /// Reads the 64 hexadecimal digits that it is shown as.
    pub fn from_text(text: &str) -> Option<BlobId> {
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut id = [0; 32];
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(BlobId(id))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

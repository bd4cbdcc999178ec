//! Frames on the socket: `u32` length (little endian, counting what follows it), one byte of kind, payload.
//!
//! A client's first bytes are [`preamble`]: the magic `AWQ\n` and a `u16` version. A master serves every version
//! since 1 and answers a newer one with `Refused`, so both ends can be upgraded in any order.

use thiserror::Error;

/// The version this build speaks.
pub const VERSION: u16 = 1;

/// First bytes of every conversation.
pub const MAGIC: [u8; 4] = *b"AWQ\n";

/// No frame is longer; larger things are cut into several.
pub const FRAME_MAX: usize = 64 << 20;

/// Executables, proxies and spooled inputs are cut into pieces of this size.
pub const BLOB_CHUNK: usize = 1 << 20;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// JSON of [`crate::Request`].
    Request = 1,
    /// `u16` number of the blob (little endian), then bytes that continue it.
    Blob = 2,
    /// `u16` number of the cluster in the request, then `classad::packed` rows that continue its procs.
    Procs = 3,
    /// JSON of [`crate::Site`], a newline, JSON of [`crate::Reply`].
    Reply = 16,
    /// [`crate::listing`] rows.
    Rows = 17,
    /// The conversation's half is complete. From the client empty; behind a listing JSON of
    /// [`crate::ListingEnd`].
    End = 18,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            1 => Kind::Request,
            2 => Kind::Blob,
            3 => Kind::Procs,
            16 => Kind::Reply,
            17 => Kind::Rows,
            18 => Kind::End,
            _ => return None,
        })
    }
}

/// Why bytes are no conversation of ours.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// The first four bytes are wrong.
    #[error("the peer does not speak the alien-workqueue control protocol")]
    Magic,
    /// A length out of range.
    #[error("a frame of {length} bytes is longer than the limit of {FRAME_MAX}")]
    TooLong {
        /// What the peer announced.
        length: usize,
    },
    /// A length of zero: not even a kind.
    #[error("a frame without a kind")]
    Empty,
    /// A kind this version does not know.
    #[error("unknown frame kind {kind}")]
    UnknownKind {
        /// The byte.
        kind: u8,
    },
}

/// Magic and version.
pub fn preamble() -> [u8; 6] {
    let v = VERSION.to_le_bytes();
    [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], v[0], v[1]]
}

/// Reads a preamble; `None` until six bytes are there.
pub fn read_preamble(bytes: &[u8]) -> Result<Option<u16>, FrameError> {
    let seen = bytes.len().min(4);
    if bytes[..seen] != MAGIC[..seen] {
        return Err(FrameError::Magic);
    }
    Ok((bytes.len() >= 6).then(|| u16::from_le_bytes([bytes[4], bytes[5]])))
}

/// Appends a frame whose payload is made of `parts`.
pub fn put(out: &mut Vec<u8>, kind: Kind, parts: &[&[u8]]) {
    let length = 1 + parts.iter().map(|p| p.len()).sum::<usize>();
    assert!(length <= FRAME_MAX, "a frame of {length} bytes was built");
    out.reserve(4 + length);
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.push(kind as u8);
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Splits a stream of bytes into frames.
///
/// `feed` what arrived, then call [`Splitter::next_frame`] until it gives `None`. The length is checked before
/// anything is kept for it.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
    consumed: usize,
}

impl Splitter {
    /// Adds bytes from the peer.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.consumed > 0 {
            self.buffer.drain(..self.consumed);
            self.consumed = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that wait for the rest of their frame.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.consumed
    }

    /// Whether [`Splitter::next_frame`] has something to say: a frame, or what is wrong with it.
    pub fn has_frame(&self) -> bool {
        let rest = &self.buffer[self.consumed..];
        let Some(length) = rest.first_chunk().map(|length| u32::from_le_bytes(*length) as usize) else { return false };
        let wrong =
            length == 0 || length > FRAME_MAX || rest.get(4).is_some_and(|kind| Kind::from_byte(*kind).is_none());
        wrong || rest.len() >= 4 + length
    }

    /// The next whole frame.
    pub fn next_frame(&mut self) -> Result<Option<(Kind, &[u8])>, FrameError> {
        if !self.has_frame() {
            return Ok(None);
        }
        let rest = &self.buffer[self.consumed..];
        let length = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if length > FRAME_MAX {
            return Err(FrameError::TooLong { length });
        }
        let kind = Kind::from_byte(rest[4]).ok_or(FrameError::UnknownKind { kind: rest[4] })?;
        let start = self.consumed + 5;
        self.consumed += 4 + length;
        Ok(Some((kind, &self.buffer[start..self.consumed])))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn preamble_is_read_piecewise_and_foreign_bytes_are_refused_early() {
        let p = preamble();
        for n in 0..6 {
            assert_eq!(read_preamble(&p[..n]), Ok(None));
        }
        assert_eq!(read_preamble(&p), Ok(Some(VERSION)));
        assert_eq!(read_preamble(b"G"), Err(FrameError::Magic));
    }

    #[test]
    fn hostile_lengths_are_refused_before_anything_is_kept() {
        let mut s = Splitter::default();
        s.feed(&u32::MAX.to_le_bytes());
        assert_eq!(s.next_frame(), Err(FrameError::TooLong { length: u32::MAX as usize }));
        let mut s = Splitter::default();
        s.feed(&0u32.to_le_bytes());
        assert_eq!(s.next_frame(), Err(FrameError::Empty));
        let mut s = Splitter::default();
        s.feed(&[9, 0, 0, 0, 99]);
        assert_eq!(s.next_frame(), Err(FrameError::UnknownKind { kind: 99 }));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..6),
                                      cut in 1usize..40) {
            let mut wire = Vec::new();
            for p in &payloads {
                put(&mut wire, Kind::Rows, &[&p[..p.len() / 2], &p[p.len() / 2..]]);
            }
            let mut splitter = Splitter::default();
            let mut seen = Vec::new();
            for piece in wire.chunks(cut) {
                splitter.feed(piece);
                while let Some((kind, payload)) = splitter.next_frame().unwrap() {
                    prop_assert_eq!(kind, Kind::Rows);
                    seen.push(payload.to_vec());
                }
            }
            prop_assert_eq!(seen, payloads);
            prop_assert_eq!(splitter.pending(), 0);
        }
    }
}

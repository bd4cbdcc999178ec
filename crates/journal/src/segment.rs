//! Segments: the files of a journal, their names and their first bytes.
//!
//! ```text
//! offset  0  8 bytes  magic "AWQjrnl\n"
//!         8  u32      format of the file, 1
//!        12  u64      number of the segment, from 1
//!        20  u64      sequence number of its first record
//!        28  16 bytes identity of the journal, random
//!        44  u64      how many bytes of the segment before count; what follows there is a torn tail
//!        52  u32      CRC-32C of bytes 0..52
//! ```
//! The header is on disk before the first record is appended, and the segment before is on disk before this one is
//! created.

/// Random number that all segments of one journal share.
pub type JournalId = [u8; 16];

/// Length of a segment's header, bytes.
pub(crate) const SEGMENT_HEADER_LEN: usize = 56;

/// The one format there is.
pub(crate) const FORMAT: u32 = 1;

const MAGIC: &[u8; 8] = b"AWQjrnl\n";

/// Name of a segment's file in the journal's folder.
pub fn segment_name(number: u64) -> String {
    format!("{number:010}.journal")
}

/// The number in a file name that [`segment_name`] made; `None` for all other names.
pub fn segment_number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".journal")?.parse().ok()?;
    (number > 0 && segment_name(number) == name).then_some(number)
}

/// The first bytes of a segment, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u64,
    pub(crate) first_seq: u64,
    pub(crate) id: JournalId,
    pub(crate) previous_end: u64,
}

/// Why the first bytes of a file are no header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// Fewer bytes than a header has.
    Short,
    /// Wrong magic or checksum.
    Garbage,
    /// A format of another release.
    Format(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_LEN] {
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.number.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[28..44].copy_from_slice(&self.id);
        bytes[44..52].copy_from_slice(&self.previous_end.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..52]);
        bytes[52..56].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<SegmentHeader, HeaderFault> {
        let bytes: &[u8; SEGMENT_HEADER_LEN] = bytes.first_chunk().ok_or(HeaderFault::Short)?;
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes of a fixed array"));
        let u64_at =
            |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes of a fixed array"));
        if &bytes[0..8] != MAGIC || crc32c::crc32c(&bytes[..52]) != u32_at(52) {
            return Err(HeaderFault::Garbage);
        }
        if u32_at(8) != FORMAT {
            return Err(HeaderFault::Format(u32_at(8)));
        }
        Ok(SegmentHeader {
            number: u64_at(12),
            first_seq: u64_at(20),
            id: bytes[28..44].try_into().expect("sixteen bytes of a fixed array"),
            previous_end: u64_at(44),
        })
    }

    /// What the heads of this segment's frames are mixed with.
    pub(crate) fn salt(&self) -> u32 {
        let mut crc = crc32c::crc32c(&self.id);
        crc = crc32c::crc32c_append(crc, &self.number.to_le_bytes());
        crc32c::crc32c_append(crc, &self.first_seq.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_are_segments() {
        assert_eq!(segment_name(7), "0000000007.journal");
        assert_eq!(segment_number("0000000007.journal"), Some(7));
        assert_eq!(segment_number("12345678901.journal"), Some(12_345_678_901));
        for name in ["7.journal", "0000000000.journal", "0000000007.journal~", "+000000007.journal", "lock"] {
            assert_eq!(segment_number(name), None, "{name}");
        }
    }

    #[test]
    fn a_header_reads_back_and_each_changed_bit_is_seen() {
        let header = SegmentHeader { number: 3, first_seq: 77, id: [9; 16], previous_end: 1234 };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::parse(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::parse(&changed).is_err(), "bit {bit}");
        }
        assert_eq!(SegmentHeader::parse(&bytes[..55]), Err(HeaderFault::Short));
    }
}

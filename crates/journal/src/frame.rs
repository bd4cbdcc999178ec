//! Frames: one record as bytes, with its length, kind, version, sequence number and checksum.
//!
//! ```text
//! offset  0  u32  length of the payload, bytes
//!         4  u8   kind
//!         5  u8   version of the kind
//!         6  u64  sequence number
//!        14  u32  unsynced: how many records right before this one were not known to be on disk
//!        18  u32  CRC-32C of the payload
//!        22  u32  CRC-32C of the segment's salt and bytes 0..22
//!        26  …    payload (postcard)
//! ```
//! Numbers are little endian. The salt is not in the frame: a frame is valid only in the segment it was written for,
//! so neither a copy of a journal inside an executable nor blocks of an older segment can pass for records. The head has
//! a checksum of its own, so that a search for frames costs no more than one look at each byte, and so that a damaged
//! payload does not hide where the next frame begins.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::old::CheckpointJobV1;
use crate::record::Record;

/// Bytes before the payload.
pub const HEADER_LEN: usize = 26;

/// Largest payload, bytes. A longer length is damage and is never allocated.
pub const PAYLOAD_MAX: usize = 256 * 1024 * 1024;

/// A record that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The payload exceeds the limit; the submission must be refused as a whole.
    #[error("a record of {len} bytes is longer than the limit of {PAYLOAD_MAX} bytes")]
    TooLong {
        /// Length of the payload.
        len: usize,
    },
}

/// Why a payload could not be read although its checksum is right: it comes from another release, or from a bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// A kind that this release does not know.
    #[error("record kind {kind} is unknown to this release")]
    UnknownKind {
        /// The kind byte.
        kind: u8,
    },
    /// A version of a known kind that this release does not know.
    #[error("version {version} of {name} records is unknown to this release, which knows up to {known}")]
    UnknownVersion {
        /// Name of the kind.
        name: &'static str,
        /// The version byte.
        version: u8,
        /// The newest version that can be read.
        known: u8,
    },
    /// The payload does not have the shape of its kind and version.
    #[error("the payload of a {name} record is malformed: {cause}")]
    Malformed {
        /// Name of the kind.
        name: &'static str,
        /// What the decoder says.
        cause: postcard::Error,
    },
    /// The payload has bytes after its last field.
    #[error("a {name} record has {bytes} bytes more than this release knows")]
    Trailing {
        /// Name of the kind.
        name: &'static str,
        /// How many.
        bytes: usize,
    },
}

/// Kind byte of the mark that follows a sync when nothing else does; it carries only its header.
pub(crate) const KIND_SYNC_MARK: u8 = 0;
/// Kind byte of a gap that salvage left: its payload is a u64, how many sequence numbers are missing from its own on.
pub(crate) const KIND_GAP: u8 = 127;
/// Kind byte of [`Record::EventsUpto`].
pub(crate) const KIND_EVENTS_UPTO: u8 = 12;
/// Kind byte of [`Record::HistoryUpto`].
pub(crate) const KIND_HISTORY_UPTO: u8 = 13;
/// Kind byte of [`Record::CheckpointJob`].
pub(crate) const KIND_CHECKPOINT_JOB: u8 = 35;
/// Kind byte of [`Record::CheckpointBegin`].
pub(crate) const KIND_CHECKPOINT_BEGIN: u8 = 32;
/// Kind byte of [`Record::CheckpointEnd`].
pub(crate) const KIND_CHECKPOINT_END: u8 = 36;
/// Kind byte of [`Record::CheckpointFactory`].
const KIND_CHECKPOINT_FACTORY: u8 = 37;

/// Whether a kind is one of the records between the begin and the end of a checkpoint, these included.
pub(crate) fn is_of_checkpoint(kind: u8) -> bool {
    (KIND_CHECKPOINT_BEGIN..=KIND_CHECKPOINT_FACTORY).contains(&kind)
}

/// The one table of kinds: byte, newest version, variant, and what was written under earlier versions.
macro_rules! kinds {
    ($($byte:literal $version:literal $name:ident $(($old_version:literal $old:ty))*)*) => {
        impl Record {
            /// Byte that stands for the kind in a frame.
            pub fn kind(&self) -> u8 {
                match self { $(Record::$name(_) => $byte,)* }
            }

            /// Name of the kind, as in the documentation.
            pub fn name(&self) -> &'static str {
                match self { $(Record::$name(_) => stringify!($name),)* }
            }

            /// Newest version of the kind: the one that is written.
            pub fn version(&self) -> u8 {
                match self { $(Record::$name(_) => $version,)* }
            }

            fn encode_payload(&self, out: Vec<u8>) -> Vec<u8> {
                match self { $(Record::$name(payload) => encode_struct(payload, out),)* }
            }
        }

        /// Reads the payload of a frame whose checksum was right.
        ///
        /// # Errors
        /// [`PayloadError`].
        pub fn decode(kind: u8, version: u8, payload: &[u8]) -> Result<Record, PayloadError> {
            match kind {
                $($byte => match version {
                    $version => decode_struct(stringify!($name), payload).map(Record::$name),
                    $($old_version => decode_struct(stringify!($name), payload)
                        .map(|old: $old| Record::$name(old.into())),)*
                    _ => Err(PayloadError::UnknownVersion { name: stringify!($name), version, known: $version }),
                },)*
                _ => Err(PayloadError::UnknownKind { kind }),
            }
        }
    };
}
kinds! {
    1  1 Submitted
    2  1 Edited
    3  1 Held
    4  1 Released
    5  1 Removed
    6  1 Started
    7  1 Lost
    8  1 Ended
    9  1 LeftQueue
    10 1 Taken
    11 1 ClockMark
    12 1 EventsUpto
    13 1 HistoryUpto
    14 1 OutputsUpto
    32 1 CheckpointBegin
    33 1 CheckpointBlob
    34 1 CheckpointCluster
    35 2 CheckpointJob (1 CheckpointJobV1)
    36 1 CheckpointEnd
    37 1 CheckpointFactory
}

/// The payload of a record alone.
///
/// # Errors
/// [`EncodeError::TooLong`].
pub fn encode(record: &Record) -> Result<Vec<u8>, EncodeError> {
    let payload = record.encode_payload(Vec::new());
    match payload.len() {
        len if len > PAYLOAD_MAX => Err(EncodeError::TooLong { len }),
        _ => Ok(payload),
    }
}

fn encode_struct<T: Serialize>(payload: &T, out: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(payload, out).expect("a vector takes every record: no type here can fail to serialize")
}

fn decode_struct<T: DeserializeOwned>(name: &'static str, payload: &[u8]) -> Result<T, PayloadError> {
    let (value, rest) = postcard::take_from_bytes(payload).map_err(|cause| PayloadError::Malformed { name, cause })?;
    if !rest.is_empty() {
        return Err(PayloadError::Trailing { name, bytes: rest.len() });
    }
    Ok(value)
}

/// What stands before the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) len: u32,
    pub(crate) kind: u8,
    pub(crate) version: u8,
    pub(crate) seq: u64,
    pub(crate) unsynced: u32,
    pub(crate) payload_crc: u32,
}

impl Head {
    /// Reads a head; `None` if its checksum, its length or its numbers cannot be those of a frame of this segment.
    pub(crate) fn parse(bytes: &[u8; HEADER_LEN], salt: u32) -> Option<Head> {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes of a fixed array"));
        let head = Head {
            len: u32_at(0),
            kind: bytes[4],
            version: bytes[5],
            seq: u64::from_le_bytes(bytes[6..14].try_into().expect("eight bytes of a fixed array")),
            unsynced: u32_at(14),
            payload_crc: u32_at(18),
        };
        let sound = head.len as usize <= PAYLOAD_MAX
            && head.seq > u64::from(head.unsynced)
            && crc32c::crc32c_append(salt, &bytes[..HEADER_LEN - 4]) == u32_at(22);
        sound.then_some(head)
    }

    /// The newest record that was known to be on disk when this frame was written, 0 if none.
    pub(crate) fn synced_seq(&self) -> u64 {
        self.seq - 1 - u64::from(self.unsynced)
    }
}

/// Appends the frame of `record` to `out`.
///
/// # Errors
/// [`EncodeError::TooLong`]; `out` is then as before.
pub(crate) fn append_frame(
    out: &mut Vec<u8>,
    salt: u32,
    seq: u64,
    unsynced: u32,
    record: &Record,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.resize(start + HEADER_LEN, 0);
    *out = record.encode_payload(std::mem::take(out));
    let len = out.len() - start - HEADER_LEN;
    if len > PAYLOAD_MAX {
        out.truncate(start);
        return Err(EncodeError::TooLong { len });
    }
    seal(&mut out[start..], salt, record.kind(), record.version(), seq, unsynced);
    Ok(())
}

/// Appends the frame of a sync mark.
pub(crate) fn append_sync_mark(out: &mut Vec<u8>, salt: u32, seq: u64, unsynced: u32) {
    let start = out.len();
    out.resize(start + HEADER_LEN, 0);
    seal(&mut out[start..], salt, KIND_SYNC_MARK, 1, seq, unsynced);
}

/// Appends the frame of a payload that is encoded already.
pub(crate) fn append_payload(out: &mut Vec<u8>, salt: u32, seq: u64, kind: u8, version: u8, payload: &[u8]) {
    let start = out.len();
    out.resize(start + HEADER_LEN, 0);
    out.extend_from_slice(payload);
    seal(&mut out[start..], salt, kind, version, seq, 0);
}

fn seal(frame: &mut [u8], salt: u32, kind: u8, version: u8, seq: u64, unsynced: u32) {
    let len = u32::try_from(frame.len() - HEADER_LEN).expect("checked against PAYLOAD_MAX");
    let payload_crc = crc32c::crc32c(&frame[HEADER_LEN..]);
    frame[0..4].copy_from_slice(&len.to_le_bytes());
    frame[4] = kind;
    frame[5] = version;
    frame[6..14].copy_from_slice(&seq.to_le_bytes());
    frame[14..18].copy_from_slice(&unsynced.to_le_bytes());
    frame[18..22].copy_from_slice(&payload_crc.to_le_bytes());
    let head_crc = crc32c::crc32c_append(salt, &frame[..HEADER_LEN - 4]);
    frame[22..26].copy_from_slice(&head_crc.to_le_bytes());
}

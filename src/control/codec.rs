//! Bytes of a client to frames.

use bytes::{Buf, Bytes, BytesMut};
use control_proto::FrameError;
use control_proto::frame::{self, Kind, Splitter};
use tokio_util::codec::Decoder;

/// What a client sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// The version that it speaks.
    Preamble(u16),
    /// A frame.
    Frame(Kind, Bytes),
}

/// Why the client is not understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    /// The bytes are wrong.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The connection is.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The decoder of one conversation.
#[derive(Debug, Default)]
pub(crate) struct Codec {
    greeted: bool,
    splitter: Splitter,
}

/// Length of the preamble, bytes.
const PREAMBLE_LEN: usize = 6;

impl Decoder for Codec {
    type Item = Item;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Item>, CodecError> {
        if !self.greeted {
            let Some(version) = frame::read_preamble(src)? else { return Ok(None) };
            src.advance(PREAMBLE_LEN);
            self.greeted = true;
            return Ok(Some(Item::Preamble(version)));
        }
        if !src.is_empty() {
            self.splitter.feed(src);
            src.clear();
        }
        Ok(self.splitter.next_frame()?.map(|(kind, payload)| Item::Frame(kind, Bytes::copy_from_slice(payload))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(wire: &[u8], cut: usize) -> Result<Vec<Item>, String> {
        let (mut codec, mut buffer, mut items) = (Codec::default(), BytesMut::new(), Vec::new());
        for piece in wire.chunks(cut) {
            buffer.extend_from_slice(piece);
            while let Some(item) = codec.decode(&mut buffer).map_err(|error| error.to_string())? {
                items.push(item);
            }
        }
        Ok(items)
    }

    #[test]
    fn any_cutting_gives_the_same_items() {
        let mut wire = frame::preamble().to_vec();
        frame::put(&mut wire, Kind::Request, &[b"{}"]);
        frame::put(&mut wire, Kind::Blob, &[b"\0\0abc"]);
        frame::put(&mut wire, Kind::End, &[]);
        let whole = items(&wire, wire.len()).unwrap();
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[0], Item::Preamble(frame::VERSION));
        for cut in 1..wire.len() {
            assert_eq!(items(&wire, cut).unwrap(), whole);
        }
    }

    #[test]
    fn foreign_bytes_are_refused() {
        assert!(items(b"GET / HTTP/1.1\r\n", 3).unwrap_err().contains("control protocol"));
        let wire = [&frame::preamble()[..], &u32::MAX.to_le_bytes()].concat();
        assert!(items(&wire, 100).unwrap_err().contains("longer than the limit"));
    }
}

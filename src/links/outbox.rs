//! What waits to be written to one peer.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use sha2::{Digest, Sha256};
use wq_core::ids::{AttemptId, BlobId};

use crate::prepare::{open_input, read_piece};

/// Files are read in pieces of this size, bytes.
pub(crate) const PIECE: usize = 256 << 10;

/// Bytes up to this length are copied behind those that wait already, longer ones queued as they are.
const COPY_MAX: usize = 4 << 10;

/// The queue; exists only while there is something in it.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    items: VecDeque<Item>,
}

#[derive(Debug)]
enum Item {
    Text(BytesMut),
    Bytes(Bytes),
    // Most of what is sent is text.
    File(Box<Sending>),
    Mark(AttemptId),
    /// What is behind it waits.
    Gate,
}

/// A file that is being sent.
#[derive(Debug)]
struct Sending {
    attempt: AttemptId,
    path: PathBuf,
    blob: Option<BlobId>,
    open: Option<Arc<File>>,
    /// Bytes of it that are out or in `piece`.
    offset: u64,
    /// Bytes to come; a blob's length is known when it is open.
    left: Option<u64>,
    /// What must come out.
    content: Option<BlobId>,
    check: Option<Check>,
    piece: Bytes,
    asked: bool,
}

/// A file that must have a certain content.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    content: BlobId,
    /// Of what was read so far, and how much that is.
    hash: Sha256,
    seen: u64,
}

impl Check {
    fn new(content: BlobId) -> Check {
        Check { content, hash: Sha256::new(), seen: 0 }
    }

    /// Takes the next piece; false if it is the last one and the whole is not what it should be.
    fn take(&mut self, piece: &[u8], last: bool) -> bool {
        self.hash.update(piece);
        self.seen += piece.len() as u64;
        !last || self.hash.clone().finalize()[..] == self.content.0
    }
}

/// A piece of a file that was read.
#[derive(Debug)]
pub(crate) struct Piece {
    file: Arc<File>,
    /// Fewer than asked for if the file has shrunk.
    pub(crate) bytes: Bytes,
    check: Option<Check>,
}

/// A piece of a file that must be read.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The file.
    pub(crate) path: PathBuf,
    /// It is this blob.
    pub(crate) blob: Option<BlobId>,
    /// The file, if it is open.
    pub(crate) open: Option<Arc<File>>,
    /// Where to begin.
    pub(crate) offset: u64,
    /// How much.
    pub(crate) length: usize,
    /// It is the last one.
    last: bool,
    check: Option<Check>,
}

impl Wanted {
    /// Reads the piece. Blocks.
    ///
    /// # Errors
    /// What the system says; `InvalidData` if the file as a whole has not the content that it must have.
    pub(crate) fn read(self) -> io::Result<Piece> {
        let file = match self.open {
            Some(file) => file,
            None => Arc::new(open_input(&self.path)?),
        };
        let mut check = self.check;
        // An earlier program has sent the begin and taken what it had seen of it along.
        while let Some(check) = check.as_mut().filter(|check| check.seen < self.offset) {
            let length = usize::try_from(self.offset - check.seen).unwrap_or(PIECE).min(PIECE);
            let before = read_piece(&file, check.seen, length)?;
            if before.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            check.take(&before, false);
        }
        let bytes = Bytes::from(read_piece(&file, self.offset, self.length)?);
        if check.as_mut().is_some_and(|check| !check.take(&bytes, self.last)) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Piece { file, bytes, check })
    }
}

impl Sending {
    fn new(attempt: AttemptId, path: PathBuf) -> Sending {
        Sending {
            attempt,
            path,
            blob: None,
            open: None,
            offset: 0,
            left: None,
            content: None,
            check: None,
            piece: Bytes::new(),
            asked: false,
        }
    }
}

impl Outbox {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The text that may be appended to.
    pub(crate) fn text(&mut self) -> &mut BytesMut {
        if !matches!(self.items.back(), Some(Item::Text(_))) {
            self.items.push_back(Item::Text(BytesMut::new()));
        }
        match self.items.back_mut() {
            Some(Item::Text(text)) => text,
            _ => unreachable!("pushed above"),
        }
    }

    /// Queues bytes.
    pub(crate) fn bytes(&mut self, bytes: Bytes) {
        if bytes.len() <= COPY_MAX {
            self.text().extend_from_slice(&bytes);
        } else {
            self.items.push_back(Item::Bytes(bytes));
        }
    }

    /// Queues a file of exactly `size` bytes for an attempt; with a content, only that is sent.
    pub(crate) fn file(&mut self, attempt: AttemptId, path: PathBuf, size: u64, content: Option<BlobId>) {
        if size != 0 {
            let check = content.map(Check::new);
            let sending = Sending { left: Some(size), content, check, ..Sending::new(attempt, path) };
            self.items.push_back(Item::File(Box::new(sending)));
        }
    }

    /// Queues all of a blob for an attempt.
    pub(crate) fn blob(&mut self, attempt: AttemptId, path: PathBuf, blob: BlobId) {
        let sending = Sending { blob: Some(blob), ..Sending::new(attempt, path) };
        self.items.push_back(Item::File(Box::new(sending)));
    }

    /// The file that is being sent, and for whom.
    pub(crate) fn current(&self) -> Option<(AttemptId, PathBuf)> {
        self.items.iter().find_map(|item| match item {
            Item::File(sending) => Some((sending.attempt, sending.path.clone())),
            _ => None,
        })
    }

    /// Queues a mark.
    pub(crate) fn mark(&mut self, attempt: AttemptId) {
        self.items.push_back(Item::Mark(attempt));
    }

    /// Queues a gate.
    pub(crate) fn gate(&mut self) {
        self.items.push_back(Item::Gate);
    }

    /// Opens the first gate: what was parted by it is one again.
    pub(crate) fn open_gate(&mut self) {
        let Some(at) = self.items.iter().position(|item| matches!(item, Item::Gate)) else { return };
        self.items.remove(at);
        if at > 0
            && matches!(self.items.get(at - 1), Some(Item::Text(_)))
            && let Some(Item::Text(behind)) = self.items.get_mut(at).filter(|item| matches!(item, Item::Text(_)))
        {
            let behind = std::mem::take(behind);
            self.items.remove(at);
            if let Some(Item::Text(before)) = self.items.get_mut(at - 1) {
                before.extend_from_slice(&behind);
            }
        }
    }

    /// The next piece to read, if one is missing and not asked for yet.
    pub(crate) fn wanted(&mut self) -> Option<Wanted> {
        let sending = self.items.iter_mut().find_map(|item| match item {
            Item::File(sending) => Some(sending),
            _ => None,
        })?;
        if sending.asked || !sending.piece.is_empty() {
            return None;
        }
        sending.asked = true;
        let length = sending.left.map_or(PIECE, |left| usize::try_from(left).unwrap_or(PIECE).min(PIECE));
        let last = sending.left == Some(length as u64);
        let check = sending.check.take();
        let Sending { path, blob, open, offset, .. } = &**sending;
        Some(Wanted { path: path.clone(), blob: *blob, open: open.clone(), offset: *offset, length, last, check })
    }

    /// A piece has been read. False if the file is shorter than announced: the stream cannot go on.
    pub(crate) fn piece(&mut self, read: Piece) -> bool {
        let Piece { file, bytes: piece, check } = read;
        let Some((index, sending)) = self.items.iter_mut().enumerate().find_map(|(index, item)| match item {
            Item::File(sending) => Some((index, sending)),
            _ => None,
        }) else {
            return false;
        };
        let got = piece.len() as u64;
        let whole = sending.left.unwrap_or_else(|| {
            // Nothing but us writes blobs, so the length is what it was when the blob was announced.
            file.metadata().map_or(0, |facts| facts.len().saturating_sub(sending.offset))
        });
        if got > whole || (got < whole && got < PIECE as u64) {
            return false;
        }
        (sending.open, sending.piece, sending.asked, sending.check) = (Some(file), piece, false, check);
        sending.offset += got;
        sending.left = Some(whole - got);
        if got == 0 {
            self.items.remove(index);
        }
        true
    }

    /// A piece of a file is being read.
    pub(crate) fn is_reading(&self) -> bool {
        self.items.iter().any(|item| matches!(item, Item::File(sending) if sending.asked))
    }

    /// All that waits, for the next program. A piece that was read is read again there.
    pub(crate) fn hand_over(&self) -> Vec<handover::Item> {
        let items = self.items.iter().filter_map(|item| {
            Some(match item {
                Item::Text(text) => handover::Item::Text(text.to_vec()),
                Item::Bytes(bytes) => handover::Item::Text(bytes.to_vec()),
                Item::Mark(attempt) => handover::Item::Mark(attempt.0),
                // The journal is written.
                Item::Gate => return None,
                Item::File(sending) => {
                    let again = sending.piece.len() as u64;
                    handover::Item::File {
                        attempt: sending.attempt.0,
                        path: sending.path.clone(),
                        blob: sending.blob.map(|id| id.to_string()),
                        offset: sending.offset - again,
                        left: sending.left.map(|left| left + again),
                        content: sending.content.map(|id| id.to_string()),
                    }
                }
            })
        });
        items.collect()
    }

    /// The same, back. `None` if a hash is none.
    pub(crate) fn take_over(items: &[handover::Item]) -> Option<Outbox> {
        let hash = |text: &Option<String>| match text {
            None => Some(None),
            Some(text) => BlobId::from_text(text).map(Some),
        };
        let items = items.iter().map(|item| {
            Some(match item {
                handover::Item::Text(bytes) => Item::Text(BytesMut::from(&bytes[..])),
                handover::Item::Mark(attempt) => Item::Mark(AttemptId(*attempt)),
                handover::Item::File { attempt, path, blob, offset, left, content } => {
                    let (blob, content) = (hash(blob)?, hash(content)?);
                    let check = content.map(Check::new);
                    let sending = Sending::new(AttemptId(*attempt), path.clone());
                    Item::File(Box::new(Sending { blob, offset: *offset, left: *left, content, check, ..sending }))
                }
            })
        });
        Some(Outbox { items: items.collect::<Option<_>>()? })
    }

    /// A gate is closed and only text before it: both go in one write (decision D38), and the gate opens at once.
    fn waits_for_gate(&self) -> bool {
        let gate = self.items.iter().position(|item| matches!(item, Item::Gate));
        gate.is_some_and(|at| !self.items.range(..at).any(|item| matches!(item, Item::File(_))))
    }

    /// What can be written now, up to the number of places in `slices`.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        if self.waits_for_gate() {
            return 0;
        }
        for item in &self.items {
            let bytes: &[u8] = match item {
                Item::Text(text) => text,
                Item::Bytes(bytes) => bytes,
                Item::File(sending) => &sending.piece,
                Item::Mark(_) => continue,
                Item::Gate => break,
            };
            if count == slices.len() || bytes.is_empty() {
                break;
            }
            slices[count] = IoSlice::new(bytes);
            count += 1;
            if matches!(item, Item::File(sending) if sending.left != Some(0)) {
                break;
            }
        }
        count
    }

    /// So many bytes were written; gives the marks that were passed.
    pub(crate) fn advance(&mut self, mut written: usize) -> Vec<AttemptId> {
        let mut passed = Vec::new();
        while let Some(item) = self.items.front_mut() {
            let done = match item {
                Item::Text(text) => take(text, &mut written),
                Item::Bytes(bytes) => take(bytes, &mut written),
                Item::File(sending) => take(&mut sending.piece, &mut written) && sending.left == Some(0),
                Item::Mark(attempt) => {
                    passed.push(*attempt);
                    true
                }
                Item::Gate => false,
            };
            if !done {
                break;
            }
            self.items.pop_front();
        }
        passed
    }
}

/// Takes away what was written; true if nothing is left.
fn take(bytes: &mut impl Buf, written: &mut usize) -> bool {
    let part = bytes.remaining().min(*written);
    bytes.advance(part);
    *written -= part;
    bytes.remaining() == 0
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    /// Writes everything out, at most `step` bytes a time; the bytes and the marks with their places.
    fn drain(outbox: &mut Outbox, step: usize) -> (Vec<u8>, Vec<(usize, u64)>) {
        let (mut bytes, mut marks) = (Vec::new(), Vec::new());
        let mut passed = outbox.advance(0);
        loop {
            marks.extend(passed.drain(..).map(|attempt| (bytes.len(), attempt.0)));
            if outbox.is_empty() {
                return (bytes, marks);
            }
            if let Some(wanted) = outbox.wanted() {
                assert!(outbox.piece(wanted.read().unwrap()));
            }
            let mut slices = [IoSlice::new(&[]); 4];
            let count = outbox.slices(&mut slices);
            let all: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).take(step).collect();
            bytes.extend_from_slice(&all);
            passed = outbox.advance(all.len());
        }
    }

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn files_of_any_size_go_out_whole() {
        for size in [1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE] {
            let expected: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let file = file(&expected);
            let announced = Some(size as u64);
            let content = crate::blobs::hash(&expected);
            for (announced, content) in [(announced, None), (announced, Some(content)), (None, None)] {
                let mut outbox = Outbox::default();
                outbox.text().extend_from_slice(b"put\n");
                match announced {
                    Some(size) => outbox.file(AttemptId(1), file.path().into(), size, content),
                    None => outbox.blob(AttemptId(1), file.path().into(), BlobId([0; 32])),
                }
                outbox.mark(AttemptId(1));
                let (bytes, marks) = drain(&mut outbox, 100_000);
                assert!(bytes == [b"put\n", &expected[..]].concat(), "{size}");
                assert_eq!(marks, [(size + 4, 1)]);
            }
        }
    }

    #[test]
    fn what_waits_goes_out_the_same_from_the_next_program() {
        let expected: Vec<u8> = (0..2 * PIECE + 77).map(|n| (n / 3) as u8).collect();
        let file = file(&expected);
        let content = crate::blobs::hash(&expected);
        // Cut before the file, in its first piece, behind it, and in the last one.
        for cut in [2, 1000, 4 + PIECE, 4 + PIECE + 5, 4 + 2 * PIECE + 30] {
            for (size, content) in
                [(Some(expected.len() as u64), Some(content)), (Some(expected.len() as u64), None), (None, None)]
            {
                let mut outbox = Outbox::default();
                outbox.text().extend_from_slice(b"put\n");
                match size {
                    Some(size) => outbox.file(AttemptId(1), file.path().into(), size, content),
                    None => outbox.blob(AttemptId(1), file.path().into(), BlobId([0; 32])),
                }
                outbox.mark(AttemptId(1));
                let mut out = Vec::new();
                while out.len() < cut {
                    if let Some(wanted) = outbox.wanted() {
                        assert!(outbox.is_reading());
                        assert!(outbox.piece(wanted.read().unwrap()));
                    }
                    let mut slices = [IoSlice::new(&[]); 4];
                    let count = outbox.slices(&mut slices);
                    let some: Vec<u8> =
                        slices[..count].iter().flat_map(|slice| slice.iter().copied()).take(cut - out.len()).collect();
                    out.extend_from_slice(&some);
                    outbox.advance(some.len());
                }
                let mut next = Outbox::take_over(&outbox.hand_over()).unwrap();
                let (rest, marks) = drain(&mut next, 100_000);
                out.extend(rest);
                assert!(out == [b"put\n", &expected[..]].concat(), "{cut} {size:?}");
                assert_eq!(marks.len(), 1);
            }
        }
        // The whole must still have its hash.
        let mut outbox = Outbox::default();
        outbox.file(AttemptId(1), file.path().into(), expected.len() as u64, Some(crate::blobs::hash(b"other")));
        let first = outbox.wanted().unwrap().read().unwrap();
        assert!(outbox.piece(first));
        outbox.advance(PIECE);
        let mut next = Outbox::take_over(&outbox.hand_over()).unwrap();
        let second = next.wanted().unwrap().read().unwrap();
        assert!(next.piece(second));
        next.advance(PIECE);
        assert_eq!(next.wanted().unwrap().read().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_file_that_shrank_is_noticed() {
        let file = file(b"short");
        let mut outbox = Outbox::default();
        outbox.file(AttemptId(1), file.path().into(), 9, None);
        let wanted = outbox.wanted().unwrap();
        assert!(outbox.wanted().is_none(), "asked once");
        assert!(!outbox.piece(wanted.read().unwrap()));
    }

    #[test]
    fn of_a_file_with_another_content_the_last_piece_is_not_sent() {
        let content = crate::blobs::hash(&[1; PIECE + 5]);
        let file = file(&[2; PIECE + 5]);
        let mut outbox = Outbox::default();
        outbox.file(AttemptId(1), file.path().into(), PIECE as u64 + 5, Some(content));
        let first = outbox.wanted().unwrap().read().unwrap();
        assert!(outbox.piece(first));
        outbox.advance(PIECE);
        assert_eq!(outbox.wanted().unwrap().read().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn empty_files_and_blobs_are_nothing() {
        let file = file(b"");
        let mut outbox = Outbox::default();
        outbox.file(AttemptId(1), file.path().into(), 0, None);
        assert!(outbox.is_empty());
        outbox.blob(AttemptId(1), file.path().into(), BlobId([0; 32]));
        outbox.bytes(Bytes::from_static(b"end\n"));
        assert_eq!(drain(&mut outbox, 9), (b"end\n".to_vec(), vec![]));
    }

    #[test]
    fn what_is_behind_a_gate_waits_until_it_is_opened() {
        let mut outbox = Outbox::default();
        outbox.text().extend_from_slice(b"put\n");
        for number in 1..3 {
            outbox.gate();
            outbox.text().extend_from_slice(b"task\n");
            outbox.mark(AttemptId(number));
        }
        let out = |outbox: &mut Outbox| {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = outbox.slices(&mut slices);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
            let passed: Vec<u64> = outbox.advance(bytes.len()).iter().map(|attempt| attempt.0).collect();
            (String::from_utf8(bytes).unwrap(), passed)
        };
        assert_eq!(out(&mut outbox), (String::new(), vec![]), "in one write with what is behind the gate");
        outbox.open_gate();
        // Text before the second gate goes with what is behind that.
        assert_eq!(out(&mut outbox), (String::new(), vec![]));
        assert!(!outbox.is_empty());
        outbox.open_gate();
        assert_eq!(out(&mut outbox), ("put\ntask\ntask\n".to_owned(), vec![1, 2]));
        assert!(outbox.is_empty());
    }

    proptest! {
        #[test]
        fn order_is_kept_for_any_step(
            items in prop::collection::vec((0u8..4, 0usize..9000), 0..12),
            step in 1usize..20_000,
        ) {
            let files: Vec<_> = items.iter().map(|(_, size)| file(&vec![b'f'; *size])).collect();
            let mut outbox = Outbox::default();
            let (mut bytes, mut marks) = (Vec::new(), Vec::new());
            for (index, (kind, size)) in items.iter().enumerate() {
                let content = vec![b'a' + index as u8; *size];
                match kind {
                    0 => {
                        outbox.text().extend_from_slice(&content);
                        bytes.extend(content);
                    }
                    1 => {
                        bytes.extend_from_slice(&content);
                        outbox.bytes(content.into());
                    }
                    2 => {
                        outbox.file(AttemptId(1), files[index].path().into(), *size as u64, None);
                        bytes.extend(vec![b'f'; *size]);
                    }
                    _ => {
                        outbox.mark(AttemptId(index as u64));
                        marks.push((bytes.len(), index as u64));
                    }
                }
            }
            let (written, passed) = drain(&mut outbox, step);
            prop_assert_eq!(written, bytes);
            prop_assert_eq!(passed.len(), marks.len());
            for ((place, attempt), (wanted, same)) in passed.into_iter().zip(marks) {
                // Told with the write that passes it, never before.
                prop_assert_eq!(attempt, same);
                prop_assert!(wanted <= place && place < wanted + step, "{} told at {}", wanted, place);
            }
        }
    }
}

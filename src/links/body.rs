//! Where the body of a message goes while it arrives.

use std::path::PathBuf;

use wq_core::io::{BodyOutcome, OutputPart, Sink, Trouble};

use super::outbox::PIECE;
use crate::driver::Shell;
use crate::outputs::{SinkFile, Slot};
use crate::report::Report;

/// Kept text is bounded whatever is asked for, bytes.
const TEXT_MAX: usize = 1 << 20;

/// A body that is arriving.
#[derive(Debug)]
pub(crate) enum Body {
    /// Dropped.
    Discard,
    /// Its first bytes are kept.
    Text {
        /// How many.
        max: usize,
        /// So far.
        bytes: Vec<u8>,
    },
    /// Kept whole until delivery.
    Keep {
        /// Which output.
        part: OutputPart,
        /// So far.
        bytes: Vec<u8>,
    },
    /// Written to a temporary file.
    Stream(Box<Stream>),
}

/// Which file a streamed body goes to.
#[derive(Debug, Clone)]
enum Place {
    /// The temporary one of an output.
    Temporary { part: OutputPart, slot: Slot },
    /// The user's own, from this offset on, while the job runs.
    Target { path: PathBuf, offset: u64, mode: u32 },
}

/// A body on its way to a file: at most one piece is being written, and one gathers meanwhile.
#[derive(Debug)]
pub(crate) struct Stream {
    place: Place,
    piece: Vec<u8>,
    file: Option<SinkFile>,
    writing: bool,
    trouble: Option<Trouble>,
    size: u64,
    head: Vec<u8>,
    ended: bool,
}

impl Body {
    /// For a body of `len` bytes.
    pub(crate) fn new(sink: Option<Sink>, len: u64, shell: &Shell) -> Body {
        match sink {
            None | Some(Sink::Discard) => Body::Discard,
            Some(Sink::Text { max }) => Body::Text { max: max.min(TEXT_MAX), bytes: Vec::new() },
            Some(Sink::Output(part)) if shell.outputs.keeps(len) => Body::Keep { part, bytes: Vec::new() },
            Some(Sink::Output(part)) => {
                let slot = shell.outputs.slot(&part);
                Body::Stream(Box::new(Stream::new(Place::Temporary { part, slot })))
            }
            Some(Sink::Growth { target, offset, mode }) => {
                Body::Stream(Box::new(Stream::new(Place::Target { path: target.into(), offset, mode })))
            }
        }
    }

    /// Takes bytes.
    pub(crate) fn take(&mut self, bytes: &[u8], shell: &Shell, link: wq_core::ids::LinkId) {
        match self {
            Body::Discard => {}
            Body::Text { max, bytes: kept } => kept.extend_from_slice(&bytes[..bytes.len().min(*max - kept.len())]),
            Body::Keep { bytes: kept, .. } => kept.extend_from_slice(bytes),
            Body::Stream(stream) => stream.take(bytes, shell, link),
        }
    }

    /// No more may be read until a piece is written.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Body::Stream(stream) if stream.ended || (stream.writing && stream.piece.len() >= PIECE))
    }

    /// The body is complete; what became of it, unless that is known only after the last write.
    pub(crate) fn end(self, shell: &Shell, link: wq_core::ids::LinkId) -> Result<BodyOutcome, Body> {
        match self {
            Body::Discard => Ok(BodyOutcome::Discarded),
            Body::Text { bytes, .. } => Ok(BodyOutcome::Text(bytes)),
            Body::Keep { part, bytes } => {
                let outcome = BodyOutcome::Stored {
                    size: bytes.len() as u64,
                    head: bytes[..bytes.len().min(part.peek)].to_vec(),
                };
                shell.outputs.keep(&part, bytes);
                Ok(outcome)
            }
            Body::Stream(mut stream) => {
                stream.ended = true;
                stream.write(shell, link);
                if stream.writing { Err(Body::Stream(stream)) } else { Ok(stream.outcome()) }
            }
        }
    }

    /// A piece was written.
    pub(crate) fn written(
        mut self,
        outcome: Result<Option<SinkFile>, Trouble>,
        shell: &Shell,
        link: wq_core::ids::LinkId,
    ) -> Result<BodyOutcome, Body> {
        let Body::Stream(stream) = &mut self else { return Err(self) };
        stream.writing = false;
        let closed = match outcome {
            Ok(file) => {
                stream.file = file;
                stream.file.is_none()
            }
            Err(trouble) => {
                stream.trouble = Some(trouble);
                stream.piece = Vec::new();
                true
            }
        };
        if stream.ended && closed {
            let Body::Stream(stream) = self else { unreachable!("seen above") };
            return Ok(stream.outcome());
        }
        if stream.ended || stream.piece.len() >= PIECE {
            stream.write(shell, link);
        }
        Err(self)
    }
}

impl Stream {
    fn new(place: Place) -> Stream {
        Stream {
            place,
            piece: Vec::new(),
            file: None,
            writing: false,
            trouble: None,
            size: 0,
            head: Vec::new(),
            ended: false,
        }
    }

    fn take(&mut self, bytes: &[u8], shell: &Shell, link: wq_core::ids::LinkId) {
        self.size += bytes.len() as u64;
        let peek = match &self.place {
            Place::Temporary { part, .. } => part.peek,
            Place::Target { .. } => 0,
        };
        let wanted = peek.min(TEXT_MAX).saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..bytes.len().min(wanted)]);
        if self.trouble.is_some() {
            return;
        }
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.write(shell, link);
        }
    }

    /// Hands the gathered piece to the pool, unless it is busy with the one before.
    fn write(&mut self, shell: &Shell, link: wq_core::ids::LinkId) {
        if self.writing || self.trouble.is_some() {
            return;
        }
        self.writing = true;
        let (piece, file) = (std::mem::take(&mut self.piece), self.file.take());
        let (place, outputs, last, size) = (self.place.clone(), shell.outputs.clone(), self.ended, self.size);
        shell.pool.give(move || {
            let write = || {
                let mut file = match (file, &place) {
                    (Some(file), _) => file,
                    (None, Place::Temporary { part, slot }) => outputs.create(slot, part)?,
                    (None, Place::Target { path, offset, mode }) => outputs.open_in_place(path, *offset, *mode)?,
                };
                outputs.write(&mut file, &piece)?;
                if !last {
                    return Ok(Some(file));
                }
                if let Place::Temporary { part, slot } = &place {
                    outputs.close(slot, part, file, size)?;
                }
                Ok(None)
            };
            Report::Written { link, outcome: write() }
        });
    }

    fn outcome(self) -> BodyOutcome {
        match self.trouble {
            Some(trouble) => BodyOutcome::Failed(trouble),
            None => BodyOutcome::Stored { size: self.size, head: self.head },
        }
    }
}

//! One connection of a worker or foreman: a task that reads and writes at the same time.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_util::codec::Decoder;
use tokio_util::io::poll_read_buf;
use wq_core::Input;
use wq_core::ids::{AttemptId, LinkId};
use wq_core::io::{DownReason, Sink, Source, Trouble};
use wq_proto::{Event, FromWorker, MasterHandshake, Password, Protocol, ToWorker};

use super::body::Body;
use super::codec::{Codec, CodecError, Part};
use super::outbox::{Outbox, Piece};
use super::stream::Stream;
use crate::blobs::Place;
use crate::driver::Shell;
use crate::outputs::SinkFile;
use crate::report::Report;
use crate::status::{self, Question};

/// Rounds of reading and writing before other links get their turn.
const TURNS_MAX: usize = 16;

/// Pieces of one write.
const SLICES_MAX: usize = 16;

/// Without any movement in a transfer for so long the link is given up (decision D47), seconds.
const STALLED_S: u32 = 150;

/// Fewer bytes of a transfer in that time count as nothing (requirement R-13); links of 1990 were faster.
const PROGRESS_MIN: u16 = 4 << 10;

/// A peer that we hang up on has so long to read its last lines, seconds.
const CLOSING_S: u32 = 10;

/// As `STALLED_S` for a foreman, which may be busy with its own workers.
const STALLED_FOREMAN_S: u32 = 3600;

/// A link.
#[derive(Debug)]
pub(crate) struct Link {
    id: LinkId,
    pub(super) stream: RefCell<Stream>,
    pub(super) reading: RefCell<Reading>,
    pub(super) out: RefCell<Option<Box<Outbox>>>,
    sink: RefCell<Option<Box<Sink>>>,
    waker: RefCell<Option<Waker>>,
    pub(super) doomed: RefCell<Option<Box<DownReason>>>,
    pub(super) protocol: Cell<Protocol>,
    pub(super) stranger: Cell<bool>,
    pub(super) foreman: Cell<bool>,
    pub(super) closing: Cell<bool>,
    /// The peer is a status tool, and this is its question.
    pub(super) asked: RefCell<Option<Box<Question>>>,
    /// When the transfer that is under way last got on.
    moved_s: Cell<u32>,
    /// Bytes since then.
    moved: Cell<u16>,
    /// A transfer has begun since the last look.
    begun: Cell<bool>,
}

/// What only the link's own task touches.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) codec: Codec,
    /// The begin of a line whose end has not come, or what waits behind a body that is being written.
    pub(super) rest: BytesMut,
    pub(super) body: Option<Body>,
}

/// How a link's task ends.
enum End {
    /// The connection is gone, or is to go.
    Down(DownReason),
    /// A status tool has it from here.
    Asked(Question),
}

impl From<DownReason> for End {
    fn from(reason: DownReason) -> End {
        End::Down(reason)
    }
}

/// What one round of reading or writing did.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    Moved,
    Waits,
}

impl Link {
    /// A link over a fresh connection; with a password, our half of the exchange waits to be written.
    pub(crate) fn new(id: LinkId, stream: TcpStream, near: bool, password: Option<&Password>, shell: &Shell) -> Link {
        let stream = match &shell.links.credentials {
            None => Stream::clear(stream),
            Some(credentials) => Stream::open(stream, credentials.config(), credentials.required()),
        };
        Link::over(id, stream, near, password, shell)
    }

    /// The same over a connection whose kind may be known.
    pub(super) fn over(id: LinkId, stream: Stream, near: bool, password: Option<&Password>, shell: &Shell) -> Link {
        let mut out = None;
        let codec = match password {
            None => Codec::open(),
            // Status tools of this machine speak no password exchange and would stumble over ours; and as long as a
            // peer may mean TLS, it gets no clear text.
            Some(password) if near || !stream.is_clear() => {
                Codec::undecided(password.clone(), shell.links.challenges.clone(), near)
            }
            Some(password) => {
                let mut outbox = Box::new(Outbox::default());
                let challenge = shell.links.challenges.fresh();
                let state = MasterHandshake::start(password.clone(), challenge, outbox.text());
                out = Some(outbox);
                Codec::guarded(state, shell.links.challenges.clone())
            }
        };
        Link {
            id,
            stream: RefCell::new(stream),
            reading: RefCell::new(Reading { codec, rest: BytesMut::new(), body: None }),
            out: RefCell::new(out),
            sink: RefCell::new(None),
            waker: RefCell::new(None),
            doomed: RefCell::new(None),
            // Nothing that depends on it is sent before the peer has said what it speaks.
            protocol: Cell::new(Protocol::V6),
            stranger: Cell::new(true),
            foreman: Cell::new(false),
            closing: Cell::new(false),
            asked: RefCell::new(None),
            moved_s: Cell::new(shell.links.tick_s.get()),
            moved: Cell::new(0),
            begun: Cell::new(false),
        }
    }

    /// Its number.
    pub(crate) fn id(&self) -> LinkId {
        self.id
    }

    /// It has not said anything yet.
    pub(crate) fn is_stranger(&self) -> bool {
        self.stranger.get()
    }

    /// Serves the link until it ends, and tells the core.
    pub(crate) async fn serve(self: Rc<Link>, shell: Rc<Shell>, peer: SocketAddr) {
        let end = std::future::poll_fn(|cx| self.poll(cx, &shell, peer)).await;
        shell.links.remove(&self);
        let reason = match end {
            End::Down(reason) => reason,
            End::Asked(question) => {
                let link = Rc::into_inner(self).expect("nobody keeps a link that is out of the table");
                let heard = link.reading.into_inner().rest;
                // Boxed: inside this task it would cost each of ten thousand workers its room.
                return Box::pin(status::answer(link.stream.into_inner(), question, heard, shell)).await;
            }
        };
        if self.stranger.get() {
            tracing::debug!(link = ?self.id, %peer, ?reason, "a connection ended before it said anything");
        } else {
            shell.input(Input::LinkDown { link: self.id, reason });
        }
    }

    fn poll(&self, cx: &mut Context<'_>, shell: &Shell, peer: SocketAddr) -> Poll<End> {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        for _ in 0..TURNS_MAX {
            if let Some(reason) = self.doomed.take() {
                return Poll::Ready(End::Down(*reason));
            }
            let wrote = match self.write(cx, shell) {
                Ok(round) => round,
                Err(reason) => return Poll::Ready(reason.into()),
            };
            if self.is_over() && self.is_all_out() {
                if let Some(question) = self.asked.take() {
                    return Poll::Ready(End::Asked(*question));
                }
                // Told to the peer in good order; the descriptor goes with this task.
                self.stream.borrow_mut().hang_up(cx);
                return Poll::Ready(DownReason::Ours.into());
            }
            let read = match self.read(cx, shell, peer) {
                Ok(round) => round,
                Err(reason) => return Poll::Ready(reason.into()),
            };
            if (wrote, read) == (Round::Waits, Round::Waits) && !self.has_news() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Something to do that no readiness of the socket will tell of.
    fn has_news(&self) -> bool {
        self.doomed.borrow().is_some() || (self.is_over() && self.is_all_out())
    }

    /// Nothing waits to be sent.
    fn is_all_out(&self) -> bool {
        self.out.borrow().is_none() && !self.stream.borrow().has_unsent()
    }

    /// Nothing more is read from the peer here.
    fn is_over(&self) -> bool {
        self.closing.get() || self.asked.borrow().is_some()
    }

    fn write(&self, cx: &mut Context<'_>, shell: &Shell) -> Result<Round, DownReason> {
        let mut round = Round::Waits;
        match Pin::new(&mut *self.stream.borrow_mut()).poll_flush(cx) {
            Poll::Pending => return Ok(round),
            Poll::Ready(flushed) => flushed.map_err(|error| lost(&error))?,
        }
        loop {
            let mut out = self.out.borrow_mut();
            let Some(outbox) = out.as_mut() else { return Ok(round) };
            if let Some(wanted) = outbox.wanted() {
                let link = self.id;
                shell.pool.give(move || {
                    let blob = wanted.blob.filter(|_| wanted.offset == 0);
                    Report::Piece { link, outcome: wanted.read(), blob }
                });
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = outbox.slices(&mut slices);
            let written = if count == 0 {
                0
            } else {
                let mut stream = self.stream.borrow_mut();
                match Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..count]) {
                    Poll::Pending => return Ok(round),
                    Poll::Ready(written) => written.map_err(|error| lost(&error))?,
                }
            };
            let passed = outbox.advance(written);
            if outbox.is_empty() {
                *out = None;
            }
            drop(out);
            if written == 0 && passed.is_empty() {
                return Ok(round);
            }
            round = Round::Moved;
            self.got_on(written, shell);
            for attempt in passed {
                shell.input(Input::Flushed { link: self.id, attempt });
            }
            if written > 0 {
                // Reading gets its turn between two writes.
                return Ok(round);
            }
        }
    }

    fn read(&self, cx: &mut Context<'_>, shell: &Shell, peer: SocketAddr) -> Result<Round, DownReason> {
        let mut reading = self.reading.borrow_mut();
        let reading = &mut *reading;
        if reading.body.as_ref().is_some_and(Body::is_full) {
            return Ok(Round::Waits);
        }
        let mut buffer = shell.take_buffer();
        buffer.extend_from_slice(&reading.rest);
        // What stopped a body may have left whole messages behind; then they come first.
        let mut round =
            if reading.rest.is_empty() { Round::Waits } else { self.take_parts(reading, &mut buffer, shell, peer)? };
        reading.rest = BytesMut::new();
        let outcome = 'read: {
            if self.is_over() || reading.body.as_ref().is_some_and(Body::is_full) {
                break 'read Ok(());
            }
            // Unlike `try_read` this sees from a short read that the socket is empty, which saves a system call.
            let mut stream = self.stream.borrow_mut();
            let read = poll_read_buf(Pin::new(&mut *stream), cx, &mut buffer);
            drop(stream);
            match read {
                Poll::Pending => Ok(()),
                Poll::Ready(Ok(0)) => Err(DownReason::Closed),
                Poll::Ready(Ok(count)) => {
                    round = Round::Moved;
                    let before = reading.codec.in_body();
                    self.got_on(count, shell);
                    let taken = self.take_parts(reading, &mut buffer, shell, peer).map(drop);
                    if !before && reading.codec.in_body() {
                        self.begun.set(true);
                    }
                    taken
                }
                Poll::Ready(Err(error)) => {
                    if error.kind() == io::ErrorKind::InvalidData
                        && shell.links.failures.borrow_mut().is_news(peer.ip(), Instant::now())
                    {
                        tracing::warn!(%peer, %error, "a peer was refused");
                    }
                    Err(lost(&error))
                }
            }
        };
        if !buffer.is_empty() {
            reading.rest = BytesMut::from(&buffer[..]);
        }
        shell.give_buffer(buffer);
        outcome.map(|()| round)
    }

    /// Takes everything out of the buffer that is whole.
    fn take_parts(
        &self,
        reading: &mut Reading,
        buffer: &mut BytesMut,
        shell: &Shell,
        peer: SocketAddr,
    ) -> Result<Round, DownReason> {
        let mut round = Round::Waits;
        while !self.is_over() && !reading.body.as_ref().is_some_and(Body::is_full) {
            match reading.codec.decode(buffer) {
                Ok(None) => break,
                Ok(Some(Part::Answer(answer))) => self.queue(|out| out.bytes(answer.freeze())),
                Ok(Some(Part::Event(event))) => self.take_event(reading, event, shell, peer),
                Err(CodecError::Refused { refusal, answer }) => {
                    if shell.links.failures.borrow_mut().is_news(peer.ip(), Instant::now()) {
                        tracing::warn!(%peer, %refusal, "a peer failed the password exchange");
                    }
                    self.queue(|out| out.bytes(answer.freeze()));
                    self.closing.set(true);
                }
                Err(error) => return Err(DownReason::Garbage(error.to_string())),
            }
            round = Round::Moved;
        }
        Ok(round)
    }

    fn take_event(&self, reading: &mut Reading, event: Event, shell: &Shell, peer: SocketAddr) {
        match event {
            Event::Message(message) => {
                tracing::debug!(link = ?self.id, ?message, "said");
                if let Some(question) = Question::of(&message).filter(|_| self.stranger.get()) {
                    *self.asked.borrow_mut() = Some(Box::new(question));
                    return;
                }
                self.introduce(&message, shell, peer);
                let body_len = message.body_len();
                *self.sink.borrow_mut() = None;
                shell.input(Input::Said { link: self.id, message });
                reading.body = body_len.map(|len| Body::new(self.sink.take().map(|sink| *sink), len, shell));
            }
            Event::Body(bytes) => {
                let body = reading.body.as_mut().expect("a body follows its message");
                body.take(&bytes, shell, self.id);
            }
            Event::BodyEnd => {
                let body = reading.body.take().expect("a body follows its message");
                match body.end(shell, self.id) {
                    Ok(outcome) => shell.input(Input::BodyDone { link: self.id, outcome }),
                    Err(body) => reading.body = Some(body),
                }
            }
        }
    }

    fn introduce(&self, message: &FromWorker, shell: &Shell, peer: SocketAddr) {
        if self.stranger.replace(false) {
            shell.links.introduced();
            shell.input(Input::LinkUp { link: self.id, address: peer.to_string() });
        }
        if let FromWorker::Hello(hello) = message {
            self.protocol.set(hello.protocol);
            if hello.is_foreman() {
                self.foreman.set(true);
                set_user_timeout(self.stream.borrow().tcp(), STALLED_FOREMAN_S);
            }
        }
    }

    /// Queues a message in the peer's dialect.
    pub(crate) fn tell(&self, message: &ToWorker) {
        tracing::debug!(link = ?self.id, ?message, "told");
        let protocol = self.protocol.get();
        self.queue(|out| {
            if let Err(error) = message.encode(protocol, out.text()) {
                // The core checks what goes over the wire, so this is a bug; the peer must not wait for ever.
                tracing::error!(link = ?self.id, %error, "a message cannot be written");
                self.closing.set(true);
            }
        });
    }

    /// What is queued from here on waits until [`Link::go_on`] was called as often as this.
    pub(crate) fn hold_back(&self) {
        self.queue(Outbox::gate);
    }

    /// See [`Link::hold_back`].
    pub(crate) fn go_on(&self) {
        self.queue(Outbox::open_gate);
    }

    /// Queues bytes.
    pub(crate) fn send(&self, bytes: Bytes) {
        self.queue(|out| out.bytes(bytes));
    }

    /// Queues a file or blob.
    pub(crate) fn send_body(&self, source: Source, attempt: AttemptId, shell: &Shell) {
        match source {
            Source::File { path, size, content } => self.queue(|out| out.file(attempt, path.into(), size, content)),
            Source::Blob(id) => match shell.blobs.find(id) {
                Place::Memory(bytes) => self.queue(|out| out.bytes(bytes)),
                Place::File(path) => self.queue(|out| out.blob(attempt, path, id)),
            },
        }
    }

    /// Queues a mark.
    pub(crate) fn mark(&self, attempt: AttemptId) {
        self.queue(|out| out.mark(attempt));
    }

    /// Says where the body of the message just said goes.
    pub(crate) fn receive(&self, sink: Sink) {
        *self.sink.borrow_mut() = Some(Box::new(sink));
    }

    /// Hangs up when everything queued is out.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.wake();
    }

    /// Ends the link at once.
    pub(crate) fn doom(&self, reason: DownReason) {
        *self.doomed.borrow_mut() = Some(Box::new(reason));
        self.wake();
    }

    /// A piece of the file that is being sent was read. Returns whose it was and why, if it cannot be read.
    pub(crate) fn piece(&self, outcome: io::Result<Piece>) -> Option<(AttemptId, PathBuf, io::Error)> {
        let mut unreadable = None;
        let fits = match outcome {
            Ok(piece) => self.out.borrow_mut().as_mut().is_some_and(|out| out.piece(piece)),
            Err(error) => {
                tracing::warn!(link = ?self.id, %error, "a file that was announced cannot be read");
                let current = self.out.borrow().as_ref().and_then(|out| out.current());
                unreadable = current.map(|(attempt, path)| (attempt, path, error));
                false
            }
        };
        if !fits {
            // The peer waits for exactly the announced bytes; only a new connection gets both sides together again.
            self.doom(DownReason::Ours);
        }
        self.wake();
        unreadable
    }

    /// A piece of the body that arrives was written.
    pub(crate) fn written(&self, outcome: Result<Option<SinkFile>, Trouble>, shell: &Shell) {
        let mut reading = self.reading.borrow_mut();
        let Some(body) = reading.body.take() else { return };
        let done = match body.written(outcome, shell, self.id) {
            Ok(outcome) => Some(outcome),
            Err(body) => {
                reading.body = Some(body);
                None
            }
        };
        drop(reading);
        if let Some(outcome) = done {
            shell.input(Input::BodyDone { link: self.id, outcome });
        }
        self.wake();
    }

    /// A transfer is under way and has not got on for too long, however large it was announced.
    pub(crate) fn is_stalled(&self, tick_s: u32) -> bool {
        if self.begun.take() {
            self.moved.set(0);
            self.moved_s.set(tick_s);
            return false;
        }
        let limit = match (self.closing.get(), self.foreman.get()) {
            (true, _) => CLOSING_S,
            (false, true) => STALLED_FOREMAN_S,
            (false, false) => STALLED_S,
        };
        let busy = !self.is_all_out() || self.reading.borrow().codec.in_body();
        busy && tick_s.saturating_sub(self.moved_s.get()) > limit
    }

    /// Bytes have passed. Crumbs count only together: a peer that takes or gives one a second gets nowhere.
    fn got_on(&self, bytes: usize, shell: &Shell) {
        let moved = self.moved.get().saturating_add(u16::try_from(bytes).unwrap_or(u16::MAX));
        if moved < PROGRESS_MIN {
            self.moved.set(moved);
        } else {
            self.moved.set(0);
            self.moved_s.set(shell.links.tick_s.get());
        }
    }

    fn queue(&self, put: impl FnOnce(&mut Outbox)) {
        let mut out = self.out.borrow_mut();
        if out.is_none() {
            self.begun.set(true);
        }
        put(out.get_or_insert_default());
        drop(out);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

fn lost(error: &io::Error) -> DownReason {
    match error.kind() {
        io::ErrorKind::TimedOut => DownReason::Stalled,
        io::ErrorKind::InvalidData => DownReason::Garbage(error.to_string()),
        _ => DownReason::Closed,
    }
}

/// Options of a fresh connection (decision D47): dead peers are noticed by the kernel.
pub(crate) fn set_options(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    socket.set_tcp_keepalive(&keepalive)?;
    set_user_timeout(stream, STALLED_S);
    stream.set_nodelay(true)
}

fn set_user_timeout(stream: &TcpStream, seconds: u32) {
    // A system without it finds dead peers later, by keepalive and checks.
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(Duration::from_secs(seconds.into())));
}

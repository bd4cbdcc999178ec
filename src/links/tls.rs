//! TLS of one connection. Between two events it holds its keys and nothing else: bytes that wait for more of their
//! record, or for room in the socket, have exactly the memory that they need.
//!
//! That is why the library's session without buffers is used: the other one keeps 4 KiB for each connection, and ten
//! thousand strangers would keep them for as long as they stay silent (requirement R-14).

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Most bytes of a peer before the handshake is over: a hello, and two short messages.
const HANDSHAKE_MAX: usize = 6 << 10;

/// Bytes of one read, and of one write before they are encrypted. A record has at most 16 KiB and a little.
const CHUNK: usize = 32 << 10;

thread_local! {
    /// Where bytes are on their way; all links of a thread take turns.
    static ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// A connection inside TLS.
pub(super) struct Tls {
    session: UnbufferedServerConnection,
    /// Begin of a record or of a message of the handshake whose end has not come.
    rest: Vec<u8>,
    /// What the peer has said and nobody has taken.
    plain: Vec<u8>,
    /// What the socket has not taken.
    unsent: Vec<u8>,
    /// Bytes of the peer.
    heard: usize,
    /// The peer has said that nothing more comes.
    over: bool,
    /// So have we.
    ending: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither keys nor what was said.
        out.debug_struct("Tls").field("heard", &self.heard).field("over", &self.over).finish_non_exhaustive()
    }
}

impl Tls {
    /// The session of a peer whose whole hello is there; the answer is on its way when this returns.
    ///
    /// # Errors
    /// The hello is none, or none that we can answer.
    pub(super) fn begin(
        config: Arc<ServerConfig>,
        hello: &[u8],
        tcp: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> io::Result<Tls> {
        let session = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        let (rest, plain, unsent) = (Vec::new(), Vec::new(), Vec::new());
        let mut tls = Tls { session, rest, plain, unsent, heard: 0, over: false, ending: false };
        tls.hear(&mut hello.to_vec(), hello.len(), tcp, cx)?;
        Ok(tls)
    }

    /// Bytes that were taken have not reached the socket.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Says that nothing more comes, once; it waits to be sent.
    pub(super) fn end(&mut self) {
        if !std::mem::replace(&mut self.ending, true) {
            let mut rest = std::mem::take(&mut self.rest);
            // Before the end of the handshake there is nobody to say it to, and a broken session says it by itself.
            let _ = self.turn(&mut rest, |writer, out| append(out, |room| writer.queue_close_notify(room)));
            self.rest = rest;
        }
    }

    /// What the peer says.
    pub(super) fn poll_read(
        &mut self,
        tcp: &mut TcpStream,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ROOM.with_borrow_mut(|room| {
            loop {
                if !self.plain.is_empty() {
                    let count = self.plain.len().min(out.remaining());
                    out.put_slice(&self.plain[..count]);
                    self.plain = self.plain.split_off(count);
                    return Poll::Ready(Ok(()));
                }
                if self.over {
                    return Poll::Ready(Ok(()));
                }
                let begun = self.rest.len();
                if begun == room.len() {
                    return Poll::Ready(Err(broken("TLS: a message is too long".into())));
                }
                let mut some = ReadBuf::new(&mut room[begun..]);
                ready!(Pin::new(&mut *tcp).poll_read(cx, &mut some))?;
                let count = some.filled().len();
                if count == 0 {
                    // Cut off without a word, as C workers do; what came whole was taken.
                    return Poll::Ready(Ok(()));
                }
                room[..begun].copy_from_slice(&self.rest);
                self.hear(&mut room[..begun + count], count, tcp, cx)?;
            }
        })
    }

    /// Takes bytes of the peer, of which so many at the end are new.
    fn hear(&mut self, bytes: &mut [u8], new: usize, tcp: &mut TcpStream, cx: &mut Context<'_>) -> io::Result<()> {
        self.heard = self.heard.saturating_add(new);
        let outcome = self.turn(bytes, |_, _| Ok(())).map(|(done, _)| self.rest = bytes[done..].to_vec());
        // The answer, or the reason of a refusal, goes out; a full socket takes it later.
        if let Poll::Ready(sent) = self.poll_send(tcp, cx) {
            sent?;
        }
        outcome?;
        if self.session.is_handshaking() && self.heard > HANDSHAKE_MAX {
            return Err(broken("TLS: its handshake is too long".into()));
        }
        Ok(())
    }

    /// Sends what waits.
    pub(super) fn poll_send(&mut self, tcp: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sent = 0;
        let outcome = loop {
            if sent == self.unsent.len() {
                break Poll::Ready(Ok(()));
            }
            match Pin::new(&mut *tcp).poll_write(cx, &self.unsent[sent..]) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => sent += count,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        if sent > 0 {
            self.unsent = self.unsent.split_off(sent);
        }
        outcome
    }

    /// Encrypts and sends; what was taken is on its way, what the socket has not taken waits here.
    pub(super) fn poll_write(
        &mut self,
        tcp: &mut TcpStream,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // Nothing new before the old is out: never more than one write of ours waits.
        ready!(self.poll_send(tcp, cx))?;
        let count = ROOM.with_borrow_mut(|room| {
            let mut count = 0;
            for slice in slices {
                let part = slice.len().min(room.len() - count);
                room[count..count + part].copy_from_slice(&slice[..part]);
                count += part;
            }
            let plain = &room[..count];
            let mut rest = std::mem::take(&mut self.rest);
            let outcome = self.turn(&mut rest, |writer, out| append(out, |room| writer.encrypt(plain, room)));
            self.rest = rest;
            outcome.map(|(_, written)| if written { count } else { 0 })
        })?;
        if count == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            // Until the handshake is over; the peer's bytes wake the task.
            return Poll::Pending;
        }
        if let Poll::Ready(sent) = self.poll_send(tcp, cx) {
            sent?;
        }
        Poll::Ready(Ok(count))
    }

    /// Lets the session do what it can with the peer's bytes. When it may say something of ours, `say` does.
    /// Returns how many bytes are done with, and whether something was said.
    fn turn(
        &mut self,
        bytes: &mut [u8],
        say: impl FnOnce(&mut WriteTraffic<'_, ServerConnectionData>, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<(usize, bool)> {
        let (mut done, mut trouble) = (0, None);
        loop {
            if let Some(trouble) = trouble.take_if(|_| !self.session.wants_write()) {
                return Err(broken(trouble));
            }
            let UnbufferedStatus { discard, state } = self.session.process_tls_records(&mut bytes[done..]);
            let mut more = 0;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(|error| broken(format!("TLS: {error}")))?;
                        more += record.discard;
                        self.plain.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => append(&mut self.unsent, |room| data.encode(room))?,
                // It stands in `unsent`, before everything that comes.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.over = true,
                Ok(ConnectionState::WriteTraffic(mut writer)) => {
                    say(&mut writer, &mut self.unsent)?;
                    return Ok((done + discard, true));
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => {
                    return Ok((done + discard, false));
                }
                // Not returned before the peer's notice of it is encoded; the session must not see those bytes again.
                Err(error) => trouble = Some(format!("TLS: {error}")),
                // Early data is not offered.
                Ok(_) => return Err(broken("TLS: early data".into())),
            }
            done += discard + more;
        }
    }
}

/// Why something could not be put into a buffer.
trait TooSmall {
    /// The size that it needs, if the size is all that is wrong.
    fn required(&self) -> Option<usize>;
}

impl TooSmall for EncodeError {
    fn required(&self) -> Option<usize> {
        match self {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            EncodeError::AlreadyEncoded => None,
        }
    }
}

impl TooSmall for EncryptError {
    fn required(&self) -> Option<usize> {
        match self {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            EncryptError::EncryptExhausted => None,
        }
    }
}

/// Puts something behind what is there, with exactly the room that it asks for.
fn append<E: TooSmall + std::error::Error + Send + Sync + 'static>(
    out: &mut Vec<u8>,
    mut put: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> io::Result<()> {
    let begin = out.len();
    let required = match put(&mut []) {
        Ok(_) => return Ok(()),
        Err(error) => error.required().ok_or_else(|| io::Error::other(error))?,
    };
    out.reserve_exact(required);
    out.resize(begin + required, 0);
    let count = put(&mut out[begin..]).map_err(io::Error::other)?;
    out.truncate(begin + count);
    Ok(())
}

/// The peer does not keep to the protocol; its kind tells it from what the system says.
pub(super) fn broken(how: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, how)
}

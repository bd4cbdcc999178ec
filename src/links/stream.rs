//! The bytes of one connection: clear text, or TLS, which its first byte decides (decision D7).
//!
//! TLS state exists only for links that use it, and only from the moment when the peer's whole hello is there: a
//! thousand connections that send the byte 0x16 and nothing else cost what a thousand silent ones cost.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::tls::{Tls, broken};

/// First byte of a TLS record with a handshake message.
const TLS_FIRST: u8 = 0x16;

/// Bytes of a record before its content.
const RECORD_HEAD: usize = 5;

/// Longest hello that is waited for, bytes; those of today's clients have up to 2,000.
const HELLO_MAX: usize = 4 << 10;

/// Bytes taken in one read while the kind of a connection is open.
const FIRST_READ: usize = 1 << 10;

/// A connection.
#[derive(Debug)]
pub(crate) struct Stream {
    tcp: TcpStream,
    layer: Layer,
}

/// What lies between the socket and the protocol.
#[derive(Debug)]
enum Layer {
    Clear,
    /// Not decided yet.
    Open(Box<Opening>),
    Tls(Box<Tls>),
}

/// The first bytes of a connection.
#[derive(Debug)]
struct Opening {
    config: Arc<ServerConfig>,
    /// Clear text is refused.
    required: bool,
    hello: Vec<u8>,
}

/// What the first bytes say.
enum Decided {
    /// These bytes belong to the protocol.
    Clear,
    /// A whole hello is there.
    Tls,
    /// Nothing more comes.
    Over,
}

impl Stream {
    /// A connection in clear text.
    pub(super) fn clear(tcp: TcpStream) -> Stream {
        Stream { tcp, layer: Layer::Clear }
    }

    /// A fresh connection to a port that also speaks TLS.
    pub(super) fn open(tcp: TcpStream, config: Arc<ServerConfig>, required: bool) -> Stream {
        Stream { tcp, layer: Layer::Open(Box::new(Opening { config, required, hello: Vec::new() })) }
    }

    /// Whether it is clear text for sure.
    pub(super) fn is_clear(&self) -> bool {
        matches!(self.layer, Layer::Clear)
    }

    /// Whether it is inside TLS.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self.layer, Layer::Tls(_))
    }

    /// Whether nothing was read of it that another reader would miss.
    pub(super) fn is_whole(&self) -> bool {
        match &self.layer {
            Layer::Clear => true,
            Layer::Open(opening) => opening.hello.is_empty(),
            Layer::Tls(_) => false,
        }
    }

    /// The socket.
    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Bytes that were taken have not reached the socket.
    pub(super) fn has_unsent(&self) -> bool {
        matches!(&self.layer, Layer::Tls(tls) if tls.has_unsent())
    }

    /// Hangs up in good order, as far as the socket takes it at once.
    pub(super) fn hang_up(&mut self, cx: &mut Context<'_>) {
        if let Layer::Tls(tls) = &mut self.layer {
            tls.end();
            // A peer that does not read sees the end of the connection only.
            let _ = tls.poll_send(&mut self.tcp, cx);
        }
        let _ = SockRef::from(&self.tcp).shutdown(std::net::Shutdown::Write);
    }
}

impl Opening {
    /// Reads until it is decided.
    fn poll_decide(
        &mut self,
        tcp: &mut TcpStream,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Decided>> {
        loop {
            let mut room = [0; FIRST_READ];
            let most = room.len().min(out.remaining());
            let mut some = ReadBuf::new(&mut room[..most]);
            ready!(Pin::new(&mut *tcp).poll_read(cx, &mut some))?;
            let got = some.filled();
            if got.is_empty() {
                return Poll::Ready(Ok(Decided::Over));
            }
            if self.hello.is_empty() && got[0] != TLS_FIRST {
                if self.required {
                    return Poll::Ready(Err(broken("it speaks clear text, which --tls-required refuses".into())));
                }
                out.put_slice(got);
                return Poll::Ready(Ok(Decided::Clear));
            }
            // Exactly, since this is all that a stranger costs.
            self.hello.reserve_exact(got.len());
            self.hello.extend_from_slice(got);
            let Some(head) = self.hello.get(..RECORD_HEAD) else { continue };
            let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
            if head[1] != 3 || length == 0 || length > HELLO_MAX {
                return Poll::Ready(Err(broken("TLS: its first bytes are no hello".into())));
            }
            if self.hello.len() >= RECORD_HEAD + length {
                return Poll::Ready(Ok(Decided::Tls));
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Stream { tcp, layer } = self.get_mut();
        loop {
            match layer {
                Layer::Clear => return Pin::new(tcp).poll_read(cx, out),
                Layer::Tls(tls) => return tls.poll_read(tcp, cx, out),
                Layer::Open(opening) => match ready!(opening.poll_decide(tcp, cx, out))? {
                    Decided::Tls => {
                        let tls = Tls::begin(Arc::clone(&opening.config), &opening.hello, tcp, cx)?;
                        *layer = Layer::Tls(Box::new(tls));
                    }
                    Decided::Clear => {
                        *layer = Layer::Clear;
                        return Poll::Ready(Ok(()));
                    }
                    Decided::Over => return Poll::Ready(Ok(())),
                },
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Stream { tcp, layer } = self.get_mut();
        match layer {
            Layer::Clear => Pin::new(tcp).poll_write_vectored(cx, slices),
            Layer::Tls(tls) => tls.poll_write(tcp, cx, slices),
            // Whoever speaks first is the peer; its bytes wake the task.
            Layer::Open(_) => Poll::Pending,
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Stream { tcp, layer } = self.get_mut();
        match layer {
            Layer::Tls(tls) => tls.poll_send(tcp, cx),
            Layer::Clear | Layer::Open(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Stream { tcp, layer } = self.get_mut();
        if let Layer::Tls(tls) = layer {
            tls.end();
            ready!(tls.poll_send(tcp, cx))?;
        }
        Pin::new(tcp).poll_shutdown(cx)
    }
}

//! Links over a planned restart: the sockets stay open, and the bytes half read or half written go along.
//!
//! A link inside TLS cannot go along: the keys of its session cannot be taken out of the library that made them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;

use bytes::BytesMut;
use tokio::net::TcpStream;
use wq_core::ids::LinkId;
use wq_proto::{Password, Protocol};

use super::codec::Codec;
use super::link::{Link, Reading};
use super::outbox::Outbox;
use super::stream::Stream;
use crate::driver::Shell;
use crate::handover::{adopt, keep_open};

impl Link {
    /// What keeps the link from being handed over for the moment, as a part of a sentence.
    pub(super) fn unrest(&self) -> Option<&'static str> {
        let reading = self.reading.borrow();
        if self.doomed.borrow().is_some() || (self.closing.get() && !self.stranger.get()) {
            return Some("connections are being closed");
        }
        if reading.body.is_some() || reading.codec.in_body() {
            return Some("files of jobs are being received");
        }
        if self.out.borrow().as_ref().is_some_and(|out| out.is_reading()) {
            return Some("files of jobs are being read");
        }
        None
    }

    /// A worker or foreman that speaks through TLS.
    pub(super) fn is_sealed(&self) -> bool {
        !self.stranger.get() && self.stream.borrow().is_tls()
    }

    /// The link for the next program; `None` if it cannot be handed over.
    pub(super) fn hand_over(&self) -> Option<handover::Link> {
        let (reading, stream) = (self.reading.borrow(), self.stream.borrow());
        // In the password exchange both sides hold secrets of the moment: such a peer tries again.
        if self.closing.get() || self.asked.borrow().is_some() || !stream.is_whole() || reading.codec.is_in_exchange() {
            return None;
        }
        Some(handover::Link {
            slot: self.id().slot,
            turn: self.id().turn,
            descriptor: stream.tcp().as_raw_fd(),
            protocol: self.protocol.get().number(),
            foreman: self.foreman.get(),
            stranger: self.stranger.get(),
            rest: reading.rest.to_vec(),
            out: self.out.borrow().as_ref().map_or_else(Vec::new, |out| out.hand_over()),
        })
    }

    /// Whether the socket stays open when the program changes.
    pub(super) fn keep_open(&self, on: bool) -> io::Result<()> {
        keep_open(self.stream.borrow().tcp().as_fd(), on)
    }

    /// A link that an earlier program handed over. A stranger is treated as one who has just come; whoever has spoken
    /// has proved what there was to prove, and what he speaks is known.
    fn taken_over(
        from: &handover::Link,
        stream: TcpStream,
        near: bool,
        password: Option<&Password>,
        shell: &Shell,
    ) -> io::Result<Link> {
        let odd = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
        let handover::Link { slot, turn, descriptor: _, protocol, foreman, stranger, rest, out } = from;
        let id = LinkId { slot: *slot, turn: *turn };
        if *stranger && rest.is_empty() {
            return Ok(Link::new(id, stream, near, password, shell));
        }
        let rest = BytesMut::from(&rest[..]);
        if *stranger {
            // The begin of his first line was clear text.
            let link = Link::over(id, Stream::clear(stream), near, password, shell);
            link.reading.borrow_mut().rest = rest;
            return Ok(link);
        }
        let link = Link::over(id, Stream::clear(stream), near, None, shell);
        let protocol: Protocol = (*protocol).try_into().map_err(|_| odd("an unknown protocol"))?;
        link.protocol.set(protocol);
        link.foreman.set(*foreman);
        link.stranger.set(false);
        *link.reading.borrow_mut() = Reading { codec: Codec::open(), rest, body: None };
        let out = Outbox::take_over(out).ok_or_else(|| odd("a hash that is none"))?;
        *link.out.borrow_mut() = (!out.is_empty()).then(|| Box::new(out));
        Ok(link)
    }
}

impl super::Links {
    /// What keeps links from being handed over for the moment.
    pub(crate) fn unrest(&self) -> Option<&'static str> {
        self.all().iter().find_map(|link| link.unrest())
    }

    /// Links of workers and foremen that can never be handed over.
    pub(crate) fn sealed(&self) -> Vec<LinkId> {
        self.all().iter().filter(|link| link.is_sealed()).map(|link| link.id()).collect()
    }

    /// The links for the next program, and how many cannot be handed over.
    pub(crate) fn hand_over(&self) -> (Vec<handover::Link>, u64) {
        let all = self.all();
        let links: Vec<_> = all.iter().filter_map(|link| link.hand_over()).collect();
        let dropped = (all.len() - links.len()) as u64;
        (links, dropped)
    }

    /// Whether the sockets of those that are handed over stay open when the program changes.
    pub(crate) fn keep_open(&self, on: bool) -> io::Result<()> {
        self.all().iter().filter(|link| link.hand_over().is_some()).try_for_each(|link| link.keep_open(on))
    }

    /// Takes over the links of an earlier program. Those that broke meanwhile show it when they are read.
    ///
    /// # Errors
    /// A socket is not open, or its state makes no sense.
    pub(crate) fn take_over(
        &self,
        links: &[handover::Link],
        password: Option<&Password>,
        shell: &Shell,
    ) -> io::Result<Vec<(Rc<Link>, SocketAddr)>> {
        let mut taken = Vec::with_capacity(links.len());
        for from in links {
            let stream = std::net::TcpStream::from(adopt(from.descriptor)?);
            // A peer that has gone has no address any more.
            let peer = stream.peer_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
            let stream = TcpStream::from_std(stream)?;
            let link = Link::taken_over(from, stream, peer.ip().is_loopback(), password, shell)?;
            taken.push((self.put_back(link), peer));
        }
        self.count_free();
        Ok(taken)
    }
}

//! Connections between the master and its peers: real bytes both ways, cut where chance wants.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use wq_core::Input;
use wq_core::ids::{AttemptId, LinkId};
use wq_core::io::{BodyOutcome, DownReason, OutputPart, Sink};
use wq_proto::{Decoder, Event as Heard, FromWorker, Protocol, TaskId, ToWorker};

use crate::chance::Chance;
use crate::options::Fault;
use crate::peer::{Deed, Scene};
use crate::queue::{Micros, SECOND};
use crate::wire::{BAD, NORMAL, Pace, Piece, Wire};
use crate::world::{Event, World};

/// Nothing that was sent is acknowledged for so long: the system gives the connection up (decision D47).
const UNACKNOWLEDGED: Micros = 150 * SECOND;

/// The same for a foreman.
const UNACKNOWLEDGED_FOREMAN: Micros = 3600 * SECOND;

/// From one look at transfers that do not move to the next.
pub(crate) const WATCH: Micros = 15 * SECOND;

/// What waits to be written.
#[derive(Debug)]
enum Out {
    Bytes(Bytes),
    Mark(AttemptId),
}

/// A body that arrives at the master.
#[derive(Debug)]
enum Body {
    Discard,
    Text { max: usize, bytes: Vec<u8> },
    Output { part: OutputPart, size: u64, head: Vec<u8>, abandoned: u32 },
}

/// A connection, seen from both sides.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) peer: usize,
    pub(crate) link: LinkId,
    /// The master's end is there.
    pub(crate) master_end: bool,
    pub(crate) peer_end: bool,
    up: Wire,
    down: Wire,
    pub(crate) pace: Pace,
    // The master's end.
    decoder: Decoder,
    heard: BytesMut,
    body: Option<Body>,
    sink: Option<Sink>,
    stranger: bool,
    pub(crate) foreman: bool,
    protocol: Protocol,
    closing: bool,
    out: VecDeque<Out>,
    pump_due: bool,
    moved: Micros,
}

impl Conn {
    pub(crate) fn new(peer: usize, link: LinkId, pace: Pace, now: Micros) -> Conn {
        Conn {
            peer,
            link,
            master_end: true,
            peer_end: true,
            up: Wire::default(),
            down: Wire::default(),
            pace,
            decoder: Decoder::default(),
            heard: BytesMut::new(),
            body: None,
            sink: None,
            stranger: true,
            foreman: false,
            protocol: Protocol::V6,
            closing: false,
            out: VecDeque::new(),
            pump_due: false,
            moved: now,
        }
    }

    /// The master is gone: of what it said a part arrives.
    pub(crate) fn break_down(&mut self, chance: &mut Chance) {
        self.down.cut(chance);
        self.up.kill();
    }

    /// It is too slow for times of peace, or dead.
    pub(crate) fn is_bad(&self) -> bool {
        self.pace.piece < 1_000 || self.up.is_dead() || self.down.is_dead()
    }

    pub(crate) fn stall(&mut self, until: Micros) {
        self.up.stall(until);
        self.down.stall(until);
    }
}

impl World {
    // ---- the master's end ------------------------------------------------------------------------------------

    fn conn_of(&mut self, link: LinkId) -> Option<(usize, &mut Conn)> {
        let no = *self.service.as_ref()?.conns.get(&link)?;
        let conn = self.conns.get_mut(&no)?;
        conn.master_end.then_some((no, conn))
    }

    pub(crate) fn tell(&mut self, link: LinkId, message: &ToWorker) {
        let Some((_, conn)) = self.conn_of(link) else { return };
        let mut out = BytesMut::new();
        if let Err(error) = message.encode(conn.protocol, &mut out) {
            return self.auditor.violated(format!("a message cannot be written: {error}"));
        }
        self.queue_out(link, Out::Bytes(out.freeze()));
    }

    pub(crate) fn send_bytes(&mut self, link: LinkId, bytes: Bytes) {
        self.queue_out(link, Out::Bytes(bytes));
    }

    pub(crate) fn mark(&mut self, link: LinkId, attempt: AttemptId) {
        self.queue_out(link, Out::Mark(attempt));
    }

    fn queue_out(&mut self, link: LinkId, item: Out) {
        let now = self.now;
        let Some((no, conn)) = self.conn_of(link) else { return };
        conn.out.push_back(item);
        if !std::mem::replace(&mut conn.pump_due, true) {
            let at = now + self.chance.skewed(1_000);
            self.queue.put(at, Event::Pump(no));
        }
    }

    pub(crate) fn receive(&mut self, link: LinkId, sink: Sink) {
        if let Some((_, conn)) = self.conn_of(link) {
            conn.sink = Some(sink);
        }
    }

    pub(crate) fn close(&mut self, link: LinkId) {
        let now = self.now;
        let Some((no, conn)) = self.conn_of(link) else { return };
        conn.closing = true;
        if !std::mem::replace(&mut conn.pump_due, true) {
            self.queue.put(now, Event::Pump(no));
        }
    }

    /// The socket takes some bytes.
    pub(crate) fn pump(&mut self, no: usize) {
        let Some(conn) = self.conns.get_mut(&no).filter(|conn| conn.master_end) else { return };
        conn.pump_due = false;
        let mut room = self.chance.skewed(256 << 10) + 1;
        let mut passed = Vec::new();
        while let Some(item) = conn.out.front_mut() {
            match item {
                Out::Mark(attempt) => {
                    passed.push(*attempt);
                    conn.out.pop_front();
                }
                Out::Bytes(_) if room == 0 => break,
                Out::Bytes(bytes) => {
                    let piece = bytes.split_to(bytes.len().min(room as usize));
                    room -= piece.len() as u64;
                    if bytes.is_empty() {
                        conn.out.pop_front();
                    }
                    conn.moved = self.now;
                    if conn.down.is_dead() {
                        let patience = if conn.foreman { UNACKNOWLEDGED_FOREMAN } else { UNACKNOWLEDGED };
                        self.queue.put(self.now + patience, Event::MasterLoses(no, true));
                    }
                    for at in conn.down.send(self.now, piece, conn.pace, &mut self.chance) {
                        self.queue.put(at, Event::PeerHears(no));
                    }
                }
            }
        }
        let (link, over) = (conn.link, conn.closing && conn.out.is_empty());
        if !conn.out.is_empty() {
            conn.pump_due = true;
            let at = self.now + 1 + self.chance.skewed(1_000);
            self.queue.put(at, Event::Pump(no));
        }
        for attempt in passed {
            self.auditor.task_flushed(link);
            self.input(Input::Flushed { link, attempt });
        }
        if over {
            self.master_ends(no, DownReason::Ours);
        }
    }

    /// The master's end of a connection is gone, and the core hears of it.
    pub(crate) fn master_ends(&mut self, no: usize, reason: DownReason) {
        let Some(conn) = self.conns.get_mut(&no).filter(|conn| conn.master_end) else { return };
        conn.master_end = false;
        let (link, stranger) = (conn.link, conn.stranger);
        if let Some(at) = conn.down.end(self.now, conn.pace, &mut self.chance) {
            self.queue.put(at, Event::PeerHears(no));
        }
        self.service.as_mut().expect("a link has a master").leave(link);
        self.auditor.link_over(link);
        if !stranger {
            self.input(Input::LinkDown { link, reason });
        }
        self.drop_conn(no);
    }

    /// Something arrives at the master.
    pub(crate) fn master_hears(&mut self, no: usize) {
        let Some(conn) = self.conns.get_mut(&no).filter(|conn| conn.master_end) else { return };
        match conn.up.take() {
            None => {}
            Some(Piece::End) => self.master_ends(no, DownReason::Closed),
            Some(Piece::Bytes(bytes)) => {
                conn.moved = self.now;
                conn.heard.extend_from_slice(&bytes);
                self.take_messages(no);
            }
        }
    }

    fn take_messages(&mut self, no: usize) {
        loop {
            // An input may end the link, or the master.
            let Some(conn) = self.conns.get_mut(&no).filter(|conn| conn.master_end && !conn.closing) else { return };
            let link = conn.link;
            match conn.decoder.decode(&mut conn.heard) {
                Ok(None) => return,
                Ok(Some(Heard::Message(message))) => {
                    if std::mem::replace(&mut conn.stranger, false) {
                        self.input(Input::LinkUp { link, address: format!("10.0.0.{}:{no}", no % 250) });
                    }
                    let Some(conn) = self.conns.get_mut(&no) else { return };
                    if let FromWorker::Hello(hello) = &message {
                        conn.protocol = hello.protocol;
                        conn.foreman = hello.is_foreman();
                    }
                    conn.sink = None;
                    let has_body = message.body_len().is_some();
                    self.input(Input::Said { link, message });
                    let Some(conn) = self.conns.get_mut(&no) else { return };
                    conn.body = has_body.then(|| match conn.sink.take() {
                        None | Some(Sink::Discard | Sink::Growth { .. }) => Body::Discard,
                        Some(Sink::Text { max }) => Body::Text { max, bytes: Vec::new() },
                        Some(Sink::Output(part)) => {
                            let service = self.service.as_ref().expect("a link has a master");
                            let abandoned = service.abandoned.get(&part.attempt).copied().unwrap_or(0);
                            Body::Output { part, size: 0, head: Vec::new(), abandoned }
                        }
                    });
                }
                Ok(Some(Heard::Body(bytes))) => self.take_body(no, &bytes),
                Ok(Some(Heard::BodyEnd)) => {
                    let outcome = match conn.body.take().expect("a body follows its message") {
                        Body::Discard => BodyOutcome::Discarded,
                        Body::Text { bytes, .. } => BodyOutcome::Text(bytes),
                        Body::Output { part, size, head, abandoned } => {
                            let service = self.service.as_mut().expect("a link has a master");
                            if service.abandoned.get(&part.attempt).copied().unwrap_or(0) == abandoned {
                                service.parts.entry((part.attempt, part.output)).or_default();
                            }
                            BodyOutcome::Stored { size, head }
                        }
                    };
                    self.input(Input::BodyDone { link, outcome });
                }
                Err(error) => return self.master_ends(no, DownReason::Garbage(error.to_string())),
            }
        }
    }

    fn take_body(&mut self, no: usize, piece: &[u8]) {
        let conn = self.conns.get_mut(&no).expect("the caller has it");
        match conn.body.as_mut().expect("a body follows its message") {
            Body::Discard => {}
            Body::Text { max, bytes } => bytes.extend_from_slice(&piece[..piece.len().min(*max - bytes.len())]),
            Body::Output { part, size, head, abandoned } => {
                *size += piece.len() as u64;
                let wanted = part.peek.saturating_sub(head.len()).min(piece.len());
                head.extend_from_slice(&piece[..wanted]);
                let service = self.service.as_mut().expect("a link has a master");
                if service.abandoned.get(&part.attempt).copied().unwrap_or(0) == *abandoned {
                    service.parts.entry((part.attempt, part.output)).or_default().extend_from_slice(piece);
                }
            }
        }
    }

    /// Transfers on which nothing moves are given up.
    pub(crate) fn watch_links(&mut self) {
        let now = self.now;
        let stalled = |conn: &Conn| {
            let patience = match (conn.closing, conn.foreman) {
                (true, _) => 10 * SECOND,
                (false, true) => UNACKNOWLEDGED_FOREMAN,
                (false, false) => UNACKNOWLEDGED,
            };
            let busy = !conn.out.is_empty() || conn.decoder.body_left().is_some();
            conn.master_end && busy && now - conn.moved > patience
        };
        let all: Vec<usize> = self.conns.iter().filter(|(_, conn)| stalled(conn)).map(|(no, _)| *no).collect();
        for no in all {
            self.master_ends(no, DownReason::Stalled);
        }
    }

    // ---- the peer's end --------------------------------------------------------------------------------------

    /// A peer connects, if there is something to connect to.
    pub(crate) fn connect(&mut self, peer: usize) {
        self.peers[peer].connect_due = false;
        if self.peers[peer].conn.is_some() {
            return;
        }
        let Some(service) = self.service.as_mut().filter(|service| !service.ended) else {
            return self.connect_later(peer, 10 * SECOND);
        };
        let no = self.next_conn;
        self.next_conn += 1;
        let link = service.enter(no);
        let pace = if self.peers[peer].peer.nature.slow && self.faults_on {
            Pace { delay: SECOND / 2, piece: 3 }
        } else if self.may(Fault::Delay) && self.chance.once_in(4) {
            BAD
        } else {
            NORMAL
        };
        self.conns.insert(no, Conn::new(peer, link, pace, self.now));
        self.peers[peer].conn = Some(no);
        self.with_peer(peer, |peer, scene| peer.greet(scene));
    }

    pub(crate) fn connect_later(&mut self, peer: usize, most: Micros) {
        if !std::mem::replace(&mut self.peers[peer].connect_due, true) {
            let at = self.now + 1_000 + self.chance.skewed(most);
            self.queue.put(at, Event::Connect(peer));
        }
    }

    /// Lets a peer act, and does what it wants.
    pub(crate) fn with_peer(&mut self, peer: usize, act: impl FnOnce(&mut crate::peer::Peer, &mut Scene<'_>)) {
        let mut scene = Scene {
            now: self.now,
            chance: &mut self.chance,
            truth: &mut self.auditor.truth,
            faults: self.faults_on,
            deeds: Vec::new(),
        };
        act(&mut self.peers[peer].peer, &mut scene);
        for deed in scene.deeds {
            let Some(no) = self.peers[peer].conn else { return };
            match deed {
                Deed::Say(bytes) => {
                    let conn = self.conns.get_mut(&no).expect("a peer's connection is there");
                    for at in conn.up.send(self.now, bytes, conn.pace, &mut self.chance) {
                        self.queue.put(at, Event::MasterHears(no));
                    }
                }
                Deed::Wake { at, task, begins } => self.queue.put(at, Event::TaskDue { peer, conn: no, task, begins }),
                Deed::HangUp => self.peer_ends(no),
            }
        }
    }

    /// Something arrives at a peer.
    pub(crate) fn peer_hears(&mut self, no: usize) {
        let Some(conn) = self.conns.get_mut(&no).filter(|conn| conn.peer_end) else { return };
        let peer = conn.peer;
        match conn.down.take() {
            None => {}
            Some(Piece::End) => self.peer_ends(no),
            Some(Piece::Bytes(bytes)) => self.with_peer(peer, |peer, scene| peer.hear(&bytes, scene)),
        }
    }

    pub(crate) fn task_due(&mut self, peer: usize, conn: usize, task: TaskId, begins: u32) {
        if self.peers[peer].conn == Some(conn) {
            self.with_peer(peer, |peer, scene| peer.task_due(task, begins, scene));
        }
    }

    /// The peer's end is gone: it forgets everything and comes back.
    pub(crate) fn peer_ends(&mut self, no: usize) {
        let Some(conn) = self.conns.get_mut(&no).filter(|conn| conn.peer_end) else { return };
        conn.peer_end = false;
        let peer = conn.peer;
        if let Some(at) = conn.up.end(self.now, conn.pace, &mut self.chance) {
            self.queue.put(at, Event::MasterHears(no));
        }
        self.peers[peer].conn = None;
        self.peers[peer].peer.forget();
        self.connect_later(peer, 20 * SECOND);
        self.drop_conn(no);
    }

    fn drop_conn(&mut self, no: usize) {
        if self.conns.get(&no).is_some_and(|conn| !conn.master_end && !conn.peer_end) {
            self.conns.remove(&no);
        }
    }

    // ---- what happens to it ----------------------------------------------------------------------------------

    /// The connection breaks, and both sides hear of it at some time.
    pub(crate) fn cut(&mut self, no: usize) {
        let Some(conn) = self.conns.get_mut(&no) else { return };
        conn.up.cut(&mut self.chance);
        conn.down.cut(&mut self.chance);
        let at = self.now + self.chance.skewed(SECOND);
        self.queue.put(at, Event::MasterLoses(no, false));
        let at = self.now + self.chance.skewed(SECOND);
        self.queue.put(at, Event::PeerLoses(no));
    }

    /// It carries nothing any more; the peer notices some time, the master when it asks.
    pub(crate) fn half_open(&mut self, no: usize) {
        let Some(conn) = self.conns.get_mut(&no) else { return };
        conn.up.kill();
        conn.down.kill();
        let at = self.now + SECOND + self.chance.skewed(900 * SECOND);
        self.queue.put(at, Event::PeerLoses(no));
        // The kernel's own probes find a dead peer after two minutes (decision D47).
        if self.chance.once_in(2) {
            self.queue.put(self.now + 120 * SECOND, Event::MasterLoses(no, true));
        }
    }
}

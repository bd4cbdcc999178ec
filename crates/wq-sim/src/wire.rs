//! The bytes of one direction of a connection on their way.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::chance::Chance;
use crate::queue::{Micros, SECOND};

/// What arrives.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    /// The other side has closed.
    End,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    flight: VecDeque<Piece>,
    /// When the last piece arrives; none overtakes another.
    last: Micros,
    /// Nothing arrives any more, and nobody hears of it.
    dead: bool,
    /// Nothing arrives before.
    stalled_until: Micros,
    ended: bool,
}

/// How a wire behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Longest way of a piece, µs.
    pub(crate) delay: Micros,
    /// Longest piece, bytes.
    pub(crate) piece: u64,
}

impl Wire {
    /// Takes bytes in pieces cut at random; gives the times at which they arrive.
    pub(crate) fn send(&mut self, now: Micros, mut bytes: Bytes, pace: Pace, chance: &mut Chance) -> Vec<Micros> {
        let mut times = Vec::new();
        // A hundred pieces are enough to cut everything somewhere.
        let least = bytes.len() as u64 / 100;
        while !bytes.is_empty() && !self.ended && !self.dead {
            let most = (bytes.len() as u64).min(pace.piece.max(least).max(1));
            let length = if chance.once_in(2) { most } else { chance.between(1, most) };
            let piece = bytes.split_to(length as usize);
            times.push(self.put(now, Piece::Bytes(piece), pace, chance));
        }
        times
    }

    /// The sender closes; the time at which the other side hears of it.
    pub(crate) fn end(&mut self, now: Micros, pace: Pace, chance: &mut Chance) -> Option<Micros> {
        if self.dead || std::mem::replace(&mut self.ended, true) {
            return None;
        }
        Some(self.put(now, Piece::End, pace, chance))
    }

    fn put(&mut self, now: Micros, piece: Piece, pace: Pace, chance: &mut Chance) -> Micros {
        self.last = self.last.max(now + 20 + chance.skewed(pace.delay)).max(self.stalled_until);
        self.flight.push_back(piece);
        self.last
    }

    /// The next piece that has arrived.
    pub(crate) fn take(&mut self) -> Option<Piece> {
        self.flight.pop_front()
    }

    pub(crate) fn stall(&mut self, until: Micros) {
        self.stalled_until = until;
    }

    /// Carries nothing any more.
    pub(crate) fn kill(&mut self) {
        self.dead = true;
        self.flight.clear();
    }

    /// The connection breaks: of what is on its way a part arrives, cut anywhere.
    pub(crate) fn cut(&mut self, chance: &mut Chance) {
        let keep = chance.below(self.flight.len() as u64 + 1) as usize;
        self.flight.truncate(keep);
        if let Some(Piece::Bytes(bytes)) = self.flight.back_mut() {
            bytes.truncate(chance.below(bytes.len() as u64 + 1) as usize);
        }
        self.ended = false;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }
}

/// Keeps a connection of a normal network.
pub(crate) const NORMAL: Pace = Pace { delay: 2_000, piece: 1 << 20 };

/// A bad one.
pub(crate) const BAD: Pace = Pace { delay: 5 * SECOND, piece: 64 };

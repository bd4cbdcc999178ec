//! All links, and the watch over them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::Notify;
use wq_core::ids::LinkId;
use wq_core::io::DownReason;

use super::credentials::Credentials;
use super::link::Link;
use super::strangers::{Challenges, Failures, Strangers};

/// Seconds between looks at every link: idle links must cost nothing.
const WATCH_EVERY_S: u32 = 15;

/// The table.
#[derive(Debug)]
pub(crate) struct Links {
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
    /// Most links at once.
    max: usize,
    strangers_max: Cell<usize>,
    strangers: RefCell<Strangers>,
    /// TLS, if the port has it.
    pub(crate) credentials: Option<Rc<Credentials>>,
    pub(crate) challenges: Challenges,
    pub(crate) failures: RefCell<Failures>,
    /// Room has come.
    pub(crate) room: Notify,
    /// Seconds since the start, as coarse as the watch.
    pub(crate) tick_s: Cell<u32>,
}

#[derive(Debug, Default)]
struct Slot {
    turn: u32,
    link: Option<Rc<Link>>,
}

impl Links {
    /// An empty table.
    pub(crate) fn new(max: usize, strangers_max: usize, credentials: Option<Credentials>) -> Links {
        Links {
            slots: RefCell::default(),
            free: RefCell::default(),
            max,
            strangers_max: Cell::new(strangers_max),
            strangers: RefCell::default(),
            credentials: credentials.map(Rc::new),
            challenges: Challenges::default(),
            failures: RefCell::default(),
            room: Notify::new(),
            tick_s: Cell::new(0),
        }
    }

    /// Takes another limit for strangers.
    pub(crate) fn change_strangers_max(&self, strangers_max: usize) {
        self.strangers_max.set(strangers_max);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.slots.borrow().len() - self.free.borrow().len()
    }

    /// Whether one more may come.
    pub(crate) fn has_room(&self) -> bool {
        self.count() < self.max
    }

    /// Enters a new link, which is a stranger.
    pub(crate) fn enter(&self, make: impl FnOnce(LinkId) -> Link) -> Rc<Link> {
        let slot = self.free.borrow_mut().pop();
        let mut slots = self.slots.borrow_mut();
        let slot = slot.unwrap_or_else(|| {
            slots.push(Slot::default());
            u32::try_from(slots.len() - 1).expect("descriptors are fewer")
        });
        let place = &mut slots[slot as usize];
        let link = Rc::new(make(LinkId { slot, turn: place.turn }));
        place.link = Some(Rc::clone(&link));
        drop(slots);
        if self.strangers.borrow_mut().came(Instant::now(), link.id(), self.strangers_max.get()) {
            self.drop_oldest_stranger();
        }
        link
    }

    /// All links, by slot.
    pub(super) fn all(&self) -> Vec<Rc<Link>> {
        self.slots.borrow().iter().filter_map(|slot| slot.link.clone()).collect()
    }

    /// Puts a link that an earlier program had into its old place of a fresh table.
    pub(super) fn put_back(&self, link: Link) -> Rc<Link> {
        let (id, link) = (link.id(), Rc::new(link));
        let mut slots = self.slots.borrow_mut();
        if slots.len() <= id.slot as usize {
            slots.resize_with(id.slot as usize + 1, Slot::default);
        }
        slots[id.slot as usize] = Slot { turn: id.turn, link: Some(Rc::clone(&link)) };
        if link.is_stranger() {
            self.strangers.borrow_mut().came(Instant::now(), id, usize::MAX);
        }
        link
    }

    /// All old places are taken: what lies between them is free.
    pub(super) fn count_free(&self) {
        let slots = self.slots.borrow();
        let empty = slots.iter().enumerate().rev().filter(|(_, slot)| slot.link.is_none());
        *self.free.borrow_mut() = empty.map(|(at, _)| u32::try_from(at).expect("descriptors are fewer")).collect();
    }

    /// Removes a link that has ended.
    pub(crate) fn remove(&self, link: &Link) {
        let id = link.id();
        let mut slots = self.slots.borrow_mut();
        let place = &mut slots[id.slot as usize];
        place.link = None;
        place.turn = place.turn.wrapping_add(1);
        drop(slots);
        self.free.borrow_mut().push(id.slot);
        if link.is_stranger() {
            self.strangers.borrow_mut().left();
        }
        // Each listening address waits on its own.
        self.room.notify_waiters();
    }

    /// The link of this number, if it is still the same.
    pub(crate) fn get(&self, id: LinkId) -> Option<Rc<Link>> {
        let slots = self.slots.borrow();
        let place = slots.get(id.slot as usize)?;
        if place.turn == id.turn { place.link.clone() } else { None }
    }

    /// A link has introduced itself.
    pub(crate) fn introduced(&self) {
        self.strangers.borrow_mut().left();
    }

    /// Ends strangers whose time is over and links on which nothing moves; to be called every second.
    pub(crate) fn watch(&self, now: Instant, tick_s: u32) {
        self.tick_s.set(tick_s);
        while let Some(id) = { self.strangers.borrow_mut().overdue(now) } {
            self.end_stranger(id, "it did not introduce itself in time");
        }
        if tick_s.is_multiple_of(WATCH_EVERY_S) {
            let slots = self.slots.borrow();
            for link in slots.iter().filter_map(|slot| slot.link.as_ref()) {
                if link.is_stalled(tick_s) {
                    link.doom(DownReason::Stalled);
                }
            }
        }
    }

    /// Ends the oldest stranger, if there is one.
    pub(crate) fn drop_oldest_stranger(&self) {
        while let Some(id) = { self.strangers.borrow_mut().oldest() } {
            if self.end_stranger(id, "too many connections wait to introduce themselves") {
                return;
            }
        }
    }

    fn end_stranger(&self, id: LinkId, why: &str) -> bool {
        match self.get(id).filter(|link| link.is_stranger()) {
            Some(link) => {
                tracing::debug!(link = ?id, why, "a connection is closed");
                link.doom(DownReason::Stalled);
                true
            }
            None => false,
        }
    }
}

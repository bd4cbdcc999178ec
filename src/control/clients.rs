//! Clients that wait for an answer, and what is queued for them.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use control_proto::frame::{self, Kind};
use control_proto::{ListingEnd, Reply, Site, write_head};
use tokio::sync::{Notify, oneshot};
use wq_core::ids::ClientId;

/// How long the end waits for clients that are being answered.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    next: Cell<u64>,
    waiting: RefCell<HashMap<ClientId, Rc<Mailbox>>>,
    /// Those of this process itself.
    inside: RefCell<HashMap<ClientId, oneshot::Sender<Reply>>>,
    gone: Notify,
}

/// What is queued for one client.
#[derive(Debug)]
pub(crate) struct Mailbox {
    site: Site,
    /// Frames, and whether each is a `Rows` frame, whose writing is reported.
    frames: RefCell<VecDeque<(Vec<u8>, bool)>>,
    complete: Cell<bool>,
    news: Notify,
}

impl Clients {
    /// Enters a client.
    pub(crate) fn enter(&self, site: Site) -> (ClientId, Rc<Mailbox>) {
        let id = self.next_id();
        let mailbox =
            Rc::new(Mailbox { site, frames: RefCell::default(), complete: Cell::new(false), news: Notify::new() });
        self.waiting.borrow_mut().insert(id, Rc::clone(&mailbox));
        (id, mailbox)
    }

    /// Enters a part of this process that asks what is answered with one reply.
    pub(crate) fn enter_inside(&self) -> (ClientId, oneshot::Receiver<Reply>) {
        let id = self.next_id();
        let (tell, told) = oneshot::channel();
        self.inside.borrow_mut().insert(id, tell);
        (id, told)
    }

    /// Whether a part of this process waits for an answer.
    pub(crate) fn any_inside(&self) -> bool {
        !self.inside.borrow().is_empty()
    }

    fn next_id(&self) -> ClientId {
        ClientId(self.next.replace(self.next.get() + 1))
    }

    /// Its conversation is over.
    pub(crate) fn leave(&self, id: ClientId) {
        self.waiting.borrow_mut().remove(&id);
        self.gone.notify_one();
    }

    /// Queues the head of an answer; it is the whole answer unless it begins a listing.
    pub(crate) fn answer(&self, id: ClientId, reply: Reply) {
        if let Some(tell) = self.inside.borrow_mut().remove(&id) {
            // Who does not wait any more needs no answer.
            drop(tell.send(reply));
            return;
        }
        self.with(id, |mailbox| {
            let listing = reply == Reply::Listing;
            mailbox.put(Kind::Reply, &write_head(&mailbox.site, &reply));
            if !listing {
                mailbox.put(Kind::End, &[]);
                mailbox.complete.set(true);
            }
        });
    }

    /// Queues rows of a listing.
    pub(crate) fn rows(&self, id: ClientId, payload: Vec<u8>) {
        self.with(id, |mailbox| mailbox.put(Kind::Rows, &payload));
    }

    /// Ends a listing.
    pub(crate) fn finish(&self, id: ClientId, end: ListingEnd) {
        let text = serde_json::to_vec(&end).expect("sums are plain data");
        self.with(id, |mailbox| {
            mailbox.put(Kind::End, &text);
            mailbox.complete.set(true);
        });
    }

    /// Returns when all who have an answer have read it, or after a while.
    pub(crate) async fn flushed(&self) {
        let all_read = async {
            while self.waiting.borrow().values().any(|mailbox| mailbox.complete.get()) {
                self.gone.notified().await;
            }
        };
        // Who does not read does not keep the master from ending.
        let _ = tokio::time::timeout(FLUSH_MAX, all_read).await;
    }

    fn with(&self, id: ClientId, work: impl FnOnce(&Mailbox)) {
        // A client that hung up is known to the core a moment later.
        let mailbox = self.waiting.borrow().get(&id).cloned();
        if let Some(mailbox) = mailbox {
            work(&mailbox);
            mailbox.news.notify_one();
        }
    }
}

impl Mailbox {
    fn put(&self, kind: Kind, payload: &[u8]) {
        let mut bytes = Vec::with_capacity(payload.len() + 5);
        frame::put(&mut bytes, kind, &[payload]);
        self.frames.borrow_mut().push_back((bytes, kind == Kind::Rows));
    }

    /// The next frame, and whether it is one of rows; `None` when all of the answer was given out.
    pub(crate) async fn next(&self) -> Option<(Vec<u8>, bool)> {
        loop {
            if let Some(frame) = self.frames.borrow_mut().pop_front() {
                return Some(frame);
            }
            if self.complete.get() {
                return None;
            }
            self.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listing_is_complete_only_after_its_end() {
        let clients = Clients::default();
        let (id, mailbox) = clients.enter(Site::default());
        clients.answer(id, Reply::Listing);
        clients.rows(id, vec![0]);
        assert!(!mailbox.next().await.unwrap().1);
        assert_eq!(mailbox.next().await.unwrap(), (vec![2, 0, 0, 0, Kind::Rows as u8, 0], true));
        clients.finish(id, ListingEnd::default());
        assert!(mailbox.next().await.is_some());
        assert!(mailbox.next().await.is_none());
        clients.leave(id);
        clients.answer(id, Reply::Pong);
        clients.flushed().await;
    }

    #[tokio::test]
    async fn clients_have_numbers_of_their_own() {
        let clients = Clients::default();
        let (first, mailbox) = clients.enter(Site::default());
        let (second, _) = clients.enter(Site::default());
        assert_ne!(first, second);
        clients.answer(first, Reply::Pong);
        assert!(mailbox.next().await.is_some() && mailbox.next().await.is_some() && mailbox.next().await.is_none());
    }
}

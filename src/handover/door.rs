//! The doors for clients and workers, closed for the moment in which the program changes: who comes then waits in the
//! listening sockets, which are handed over, or, if we accepted him already and he has said nothing, is handed over too.

use std::cell::{Cell, RefCell};

use tokio::net::UnixStream;
use tokio::sync::watch;

/// The doors.
#[derive(Debug)]
pub(crate) struct Door {
    closed: watch::Sender<bool>,
    conversations: Cell<usize>,
    waiting: RefCell<Vec<UnixStream>>,
}

/// A conversation with a client that is under way.
#[derive(Debug)]
pub(crate) struct Inside<'a>(&'a Door);

impl Default for Door {
    fn default() -> Door {
        Door { closed: watch::Sender::new(false), conversations: Cell::new(0), waiting: RefCell::default() }
    }
}

impl Door {
    /// Lets nobody in.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Lets everybody in.
    pub(super) fn open(&self) {
        self.closed.send_replace(false);
    }

    /// Returns when nobody is let in.
    pub(crate) async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Returns when somebody is let in.
    pub(crate) async fn opened(&self) {
        let mut closed = self.closed.subscribe();
        let _ = closed.wait_for(|closed| !*closed).await;
    }

    /// A client begins to speak.
    pub(crate) fn enter(&self) -> Inside<'_> {
        self.conversations.set(self.conversations.get() + 1);
        Inside(self)
    }

    /// How many are speaking.
    pub(super) fn conversations(&self) -> usize {
        self.conversations.get()
    }

    /// A client that has not said anything waits.
    pub(crate) fn wait(&self, client: UnixStream) {
        self.waiting.borrow_mut().push(client);
    }

    /// Those who waited.
    pub(crate) fn take_waiting(&self) -> Vec<UnixStream> {
        self.waiting.take()
    }

    /// Looks at those who wait.
    pub(super) fn waiting(&self) -> std::cell::Ref<'_, Vec<UnixStream>> {
        self.waiting.borrow()
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.conversations.set(self.0.conversations.get() - 1);
    }
}

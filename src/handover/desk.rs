//! Where a planned restart is ordered: one at a time.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::Notify;

/// An order.
#[derive(Debug)]
pub(crate) struct Order {
    /// Who asked, and waits for the answer.
    pub(crate) asker: UnixStream,
    /// Another program than the one that was started.
    pub(crate) program: Option<PathBuf>,
    /// How long what is under way may take to come to rest.
    pub(crate) wait: Duration,
    /// Connections inside TLS may be lost.
    pub(crate) drop_tls: bool,
}

/// The desk.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    busy: Cell<bool>,
    order: RefCell<Option<Order>>,
    news: Notify,
}

impl Desk {
    /// Takes an order.
    ///
    /// # Errors
    /// The order, if there is one already.
    pub(crate) fn take(&self, order: Order) -> Result<(), Order> {
        if self.busy.replace(true) {
            return Err(order);
        }
        *self.order.borrow_mut() = Some(order);
        self.news.notify_one();
        Ok(())
    }

    /// The next order; until [`Desk::free`] there is no other.
    pub(super) async fn next(&self) -> Order {
        loop {
            if let Some(order) = self.order.borrow_mut().take() {
                return order;
            }
            self.news.notified().await;
        }
    }

    /// The order came to nothing: there may be another.
    pub(super) fn free(&self) {
        self.busy.set(false);
    }
}

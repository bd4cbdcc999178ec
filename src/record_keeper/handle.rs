//! The driver's end of the journal thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use journal::keeper::{Compaction, Order};
use journal::{BlobHash, Record, Storage, Writer};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use wq_core::ids::RecordNo;

use super::thread::serve;
use crate::backlog::Backlog;
use crate::report::Report;

/// The thread's other end.
#[derive(Debug)]
pub(crate) struct RecordKeeper {
    orders: Option<Sender<Vec<Order>>>,
    /// What this turn of the event loop has brought; handed over at its end, so that one write and one sync serve it.
    gathered: RefCell<Vec<Order>>,
    turn: Rc<Notify>,
    backlog: Backlog,
    thread: Option<JoinHandle<()>>,
}

impl RecordKeeper {
    /// Starts the thread. The core's next record has the writer's next sequence number, or a lower one. `contents` gives the
    /// small blobs of a checkpoint, which stand in its records.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start<S: Storage + Send + 'static>(
        writer: Writer,
        storage: S,
        compaction: Compaction,
        contents: impl Fn(&BlobHash) -> Option<Vec<u8>> + Send + 'static,
        results: UnboundedSender<Report>,
        turn: Rc<Notify>,
    ) -> std::io::Result<RecordKeeper> {
        let (orders, queue) = channel();
        let backlog = Backlog::default();
        let left = backlog.clone();
        let builder = std::thread::Builder::new().name("journal".into());
        let work = move || serve(writer, storage, compaction, contents, &results, (&queue, &left));
        let thread = builder.spawn(work)?;
        Ok(RecordKeeper { orders: Some(orders), gathered: RefCell::default(), turn, backlog, thread: Some(thread) })
    }

    /// Appends a record of the core; with `promise` it is reported when it is on disk.
    pub(crate) fn keep(&self, no: RecordNo, record: Box<Record>, promise: bool) {
        self.put(Order::Record { no: Some(no.0), record, promise });
    }

    /// Appends a record of the shell.
    pub(crate) fn note(&self, record: Record) {
        self.put(Order::Record { no: None, record: Box::new(record), promise: false });
    }

    /// Reports `upto` when everything before is on disk.
    pub(crate) fn sync(&self, upto: RecordNo) {
        self.put(Order::Sync(upto.0));
    }

    /// Everything is written that was to be.
    pub(crate) fn is_idle(&self) -> bool {
        self.gathered.borrow().is_empty() && self.backlog.is_empty()
    }

    /// Hands over what was gathered.
    pub(crate) fn flush(&self) {
        let gathered = self.gathered.take();
        if !gathered.is_empty() {
            let orders = self.orders.as_ref().expect("lives until the drop");
            self.backlog.add(1);
            orders.send(gathered).expect("the thread ends only after this sender");
        }
    }

    fn put(&self, order: Order) {
        let mut gathered = self.gathered.borrow_mut();
        if gathered.is_empty() {
            self.turn.notify_one();
        }
        gathered.push(order);
    }
}

impl Drop for RecordKeeper {
    /// Waits until everything is written and synced.
    fn drop(&mut self) {
        self.flush();
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so in the log.
            let _ = thread.join();
        }
    }
}

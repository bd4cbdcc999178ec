//! One run of the master: the real core, the real keeper of the journal, and the queues of the shell's threads.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use journal::BlobHash;
use journal::keeper::{Keeper, Order, Told};
use journal::powercut::Disk;
use wq_core::ids::{AttemptId, BlobId, ClientId, JobId, LinkId, RecordNo, Timestamp};
use wq_core::io::{Departed, LogEntry};
use wq_core::{Input, Master};

/// Contents by their hash: the folder of the spool.
pub(crate) type Blobs = Rc<RefCell<BTreeMap<BlobId, Bytes>>>;

/// The journal's keeper over the simulated disk.
pub(crate) type RecordKeeper = Keeper<Disk, Box<dyn Fn(&BlobHash) -> Option<Vec<u8>>>, Box<dyn FnMut(Told)>>;

/// What the thread of the event logs is told.
#[derive(Debug)]
pub(crate) enum LogOrder {
    Mend(Box<wq_core::io::Mending>),
    Entry(Box<LogEntry>),
    Mark(u64),
}

/// What the thread of the history is told.
#[derive(Debug)]
pub(crate) enum HistoryOrder {
    Put(Box<Departed>),
    Recall(JobId, i64),
    Sync,
}

/// A client that waits for an answer.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) client: usize,
    /// Jobs of its listing so far.
    pub(crate) rows: Vec<JobId>,
}

/// A run of the master.
pub(crate) struct Service {
    pub(crate) core: Master,
    pub(crate) keeper: RecordKeeper,
    pub(crate) told: Rc<RefCell<VecDeque<Told>>>,
    /// What the journal's thread will take next.
    pub(crate) orders: Vec<Order>,
    pub(crate) journal_due: bool,
    pub(crate) retry_due: bool,
    pub(crate) log_orders: VecDeque<LogOrder>,
    pub(crate) log_due: bool,
    pub(crate) history_orders: VecDeque<HistoryOrder>,
    pub(crate) history_due: bool,
    pub(crate) history_sync_due: bool,
    /// The last job that the history was reported to have.
    pub(crate) archived: RecordNo,
    /// Parts of outputs that are not in their places yet.
    pub(crate) parts: BTreeMap<(AttemptId, u16), Vec<u8>>,
    /// How often an attempt was abandoned: a body that has begun before goes nowhere.
    pub(crate) abandoned: BTreeMap<AttemptId, u32>,
    pub(crate) conns: BTreeMap<LinkId, usize>,
    free_slots: Vec<u32>,
    turns: Vec<u32>,
    pub(crate) clients: BTreeMap<ClientId, Waiting>,
    next_client: u64,
    /// When the core's next timer is due, as far as one is set.
    pub(crate) armed: Option<Timestamp>,
    /// Answers that are known at once.
    pub(crate) next: VecDeque<Input>,
    pub(crate) ended: bool,
    /// The journal cannot be written any more.
    pub(crate) broken: bool,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    pub(crate) fn new(core: Master, keeper: RecordKeeper, told: Rc<RefCell<VecDeque<Told>>>) -> Service {
        Service {
            core,
            keeper,
            told,
            orders: Vec::new(),
            journal_due: false,
            retry_due: false,
            log_orders: VecDeque::new(),
            log_due: false,
            history_orders: VecDeque::new(),
            history_due: false,
            history_sync_due: false,
            archived: RecordNo(0),
            parts: BTreeMap::new(),
            abandoned: BTreeMap::new(),
            conns: BTreeMap::new(),
            free_slots: Vec::new(),
            turns: Vec::new(),
            clients: BTreeMap::new(),
            next_client: 1,
            armed: None,
            next: VecDeque::new(),
            ended: false,
            broken: false,
        }
    }

    /// A number for a new connection, as the shell gives them: slots are used again, turns tell their users apart.
    pub(crate) fn enter(&mut self, conn: usize) -> LinkId {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.turns.push(0);
            (self.turns.len() - 1) as u32
        });
        let link = LinkId { slot, turn: self.turns[slot as usize] };
        self.conns.insert(link, conn);
        link
    }

    /// The connection is gone.
    pub(crate) fn leave(&mut self, link: LinkId) {
        if self.conns.remove(&link).is_some() {
            self.turns[link.slot as usize] += 1;
            self.free_slots.push(link.slot);
        }
    }

    /// A number for a client that asks.
    pub(crate) fn client(&mut self, client: usize) -> ClientId {
        let id = ClientId(self.next_client);
        self.next_client += 1;
        self.clients.insert(id, Waiting { client, rows: Vec::new() });
        id
    }
}

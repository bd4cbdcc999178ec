//! How the master ends, in good order or not, and how it begins again with what the disk has.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use control_proto::{Query, Request};
use journal::keeper::{Compaction, Keeper, Order, Told};
use journal::{BlobHash, ClockMark, Record, replay};
use wq_core::ids::{BlobId, ClientId, RecordNo};
use wq_core::io::Ask;
use wq_core::{Config, Effect, Input, Master};

use crate::clients::{PROBE, Plan};
use crate::faults::mend;
use crate::links::WATCH;
use crate::mistakes::Mistake;
use crate::queue::SECOND;
use crate::service::{Blobs, Service};
use crate::world::{Event, Turn, World};

/// How long the master has for a stop (decision D8).
const STOP: u64 = 10 * SECOND;

impl World {
    /// The master dies at once, and the machine with it if its power is cut.
    pub(crate) fn crash(&mut self, cuts_power: bool) {
        self.note(|| if cuts_power { "the power is cut".to_owned() } else { "the master is killed".to_owned() });
        self.audit_disk();
        let service = self.service.take().expect("only one that is there can die");
        self.fuse = None;
        let notes_lost = cuts_power || service.broken || service.keeper.is_full();
        self.auditor.died(&service.orders, notes_lost);
        if service.keeper.keeps_refused() {
            self.auditor.refusals_are_void();
        }
        let mut disk = service.keeper.into_storage();
        disk.crash();
        mend(&mut disk);
        self.machine.journal = Some(disk);
        if cuts_power {
            self.machine.power_cut(&mut self.chance);
        }
        self.connections_break();
        let after = SECOND + self.chance.skewed(30 * SECOND);
        self.queue.put(self.now + after, Event::Start);
    }

    /// Peers notice that the master is gone.
    fn connections_break(&mut self) {
        let conns: Vec<usize> = self.conns.iter().filter(|(_, conn)| conn.master_end).map(|(no, _)| *no).collect();
        for no in conns {
            let conn = self.conns.get_mut(&no).expect("just seen");
            conn.master_end = false;
            conn.break_down(&mut self.chance);
            let at = self.now + self.chance.skewed(5 * SECOND);
            self.queue.put(at, Event::PeerLoses(no));
        }
        self.conns.retain(|_, conn| conn.peer_end);
    }

    /// The operator stops it.
    pub(crate) fn stop(&mut self) {
        self.note(|| "the master is stopped".to_owned());
        self.later(STOP, Turn::TooLate);
        self.input(Input::Stop);
    }

    /// The core has come to its end: everything that is still to be written is.
    pub(crate) fn leave_in_order(&mut self) {
        self.note(|| "the master ends in good order".to_owned());
        let service = self.service.as_mut().expect("the caller has seen it");
        let orders = std::mem::take(&mut service.orders);
        service.keeper.take(orders);
        service.keeper.finish();
        self.audit_disk();
        self.write_logs();
        self.write_history();
        self.sync_history();
        let service = self.service.take().expect("the caller has seen it");
        if service.told.borrow().iter().any(|told| matches!(told, Told::Failed(_))) {
            self.auditor.journal_failed();
        }
        let unwritten = service.told.borrow().iter().any(|told| matches!(told, Told::EndNotWritten(_)));
        self.auditor.died(&[], service.broken || service.keeper.is_full() || unwritten);
        if service.keeper.keeps_refused() {
            self.auditor.refusals_are_void();
        }
        let mut disk = service.keeper.into_storage();
        mend(&mut disk);
        disk.crash();
        self.fuse = None;
        self.machine.journal = Some(disk);
        self.connections_break();
        self.draining = false;
        let after = SECOND + self.chance.skewed(60 * SECOND);
        self.queue.put(self.now + after, Event::Start);
    }

    /// A new run: the journal is read into a new core, then clients are served.
    pub(crate) fn start(&mut self) {
        if self.service.is_some() {
            return;
        }
        self.run += 1;
        if self.errs(Mistake::WrongZero) {
            self.answer_too_early();
        }
        let mut disk = self.machine.journal.take().expect("the master that had it is gone");
        let config =
            Config { boot_id: [self.machine.boots; 16], wall_offset_s: self.wall_offset_s, ..self.config.clone() };
        let mut core = Master::new(config);
        let blobs = &self.machine.blobs;
        let recovery = replay(&disk, |entry| {
            if !entry.before_checkpoint {
                restore(&entry.record, blobs);
                core.recover(RecordNo(entry.seq), &entry.record);
            }
        });
        let recovery = match recovery {
            Ok(recovery) => recovery,
            Err(error) => return self.auditor.violated(format!("the journal cannot be read: {error}")),
        };
        disk.set_sync_lies(self.errs(Mistake::LyingSync));
        recovery.settle(&mut disk).expect("the disk was mended");
        for record in disk.newly_durable() {
            self.auditor.durable(&record);
        }
        let needed = core.blobs();
        blobs.borrow_mut().retain(|id, _| needed.contains(id));
        let mut id = [1; 16];
        id[0] = self.chance.below(256) as u8;
        let writer = recovery.writer(id).with_rotation_at(self.rotate_at);
        let live = recovery.checkpoint.map_or(0, |checkpoint| checkpoint.bytes);
        let told = Rc::<RefCell<VecDeque<Told>>>::default();
        let (report, contents) = (Rc::clone(&told), Rc::clone(blobs));
        let keeper = Keeper::new(
            writer,
            disk,
            Compaction::new(self.floor, live),
            Box::new(move |hash: &BlobHash| contents.borrow().get(&BlobId(*hash)).map(|bytes| bytes.to_vec()))
                as Box<_>,
            Box::new(move |one| report.borrow_mut().push_back(one)) as Box<_>,
        );
        let mut service = Service::new(core, keeper, told);
        let now = self.clock();
        self.note(|| format!("run {} of the master begins", self.run));
        service.core.handle(now, Input::WallOffset { offset_s: self.wall_offset_s });
        service.core.start(now);
        self.service = Some(service);
        self.mark_clock();
        self.later(WATCH, Turn::Watch);
        self.settle();
        let backlog: Vec<(usize, Box<Plan>)> = self.backlog.drain(..).collect();
        self.asked(PROBE, Box::new(Plan::Query));
        for (client, plan) in backlog {
            self.asked(client, plan);
        }
    }

    /// The mistake that promise P6 is about: a listing from a core that has read nothing yet.
    fn answer_too_early(&mut self) {
        let mut core = Master::new(self.config.clone());
        let request = self.auditor.asked(&Plan::Query);
        core.start(self.clock());
        let ask = Ask::Other(Request::Query(Query { totals_only: true, ..Query::default() }));
        core.handle(self.clock(), Input::Asked { client: ClientId(1), caller: World::caller(), ask });
        while let Some(effect) = core.poll_effect() {
            if let Effect::Finish { end, .. } = effect {
                self.auditor.listed(request, &[], end.all.jobs);
            }
        }
    }

    /// The tie between the service clock and this boot of the machine.
    pub(crate) fn mark_clock(&mut self) {
        let mark = ClockMark {
            boot_id: [self.machine.boots; 16],
            boottime_us: self.now,
            service_s: self.clock().seconds(),
            wall_offset_s: self.wall_offset_s,
        };
        self.order(Order::Record { no: None, record: Box::new(mark.into()), promise: false });
    }

    // ---- the end ---------------------------------------------------------------------------------------------

    /// Nothing can happen any more but looks.
    pub(crate) fn is_quiet(&self) -> bool {
        let Some(service) = &self.service else { return false };
        let totals = service.core.totals();
        totals.idle == 0
            && totals.running == 0
            && totals.completed == 0
            && totals.removed == 0
            && self.machine.spool.is_empty()
            && self.backlog.is_empty()
            && service.clients.is_empty()
            && service.orders.is_empty()
            && service.log_orders.is_empty()
            && service.history_orders.is_empty()
            && !service.history_sync_due
    }

    /// The jobs that are not at an end, for a message.
    pub(crate) fn open_jobs(&mut self) -> String {
        let Some(service) = &mut self.service else { return "no master is there".to_owned() };
        let totals = service.core.totals();
        let peers: Vec<_> = self.peers.iter().map(|place| (place.peer.nature.cores, place.conn.is_some())).collect();
        format!("{totals:?}, peers {peers:?}, files {:?}", self.machine.spool.values().collect::<Vec<_>>())
    }

    /// Everything is quiet: the whole story is looked at, and once more after a restart.
    pub(crate) fn last_audit(&mut self) {
        // Holds whose run is being stopped are quiet too.
        self.run_dry();
        self.auditor.whole_story(&self.machine);
        if self.auditor.violation.is_none() {
            self.crash(true);
            self.start();
            self.run_dry();
            self.auditor.whole_story(&self.machine);
        }
    }

    fn run_dry(&mut self) {
        let begin = self.now;
        let mut end = self.now + 60 * SECOND;
        while self.auditor.violation.is_none() && self.now < end {
            if !self.is_quiet() {
                end = self.now + 60 * SECOND;
            }
            if self.now > begin + 10 * 3600 * SECOND {
                let open = self.open_jobs();
                return self.auditor.violated(format!("after the last start these jobs come to no end: {open}"));
            }
            self.step();
        }
    }
}

/// Small contents stand in the journal; a power cut may have taken their files.
fn restore(record: &Record, blobs: &Blobs) {
    let contents = match record {
        Record::Submitted(submitted) => &submitted.blobs[..],
        Record::CheckpointBlob(content) => std::slice::from_ref(&content.blob),
        _ => &[],
    };
    for blob in contents {
        if let Some(bytes) = &blob.inline {
            blobs.borrow_mut().insert(BlobId(blob.hash), Bytes::copy_from_slice(bytes));
        }
    }
}

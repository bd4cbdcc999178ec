//! Core and journal thread together on a disk whose power fails at any operation, in the middle of compactions too.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use control_proto::{Act, Action, ClusterRequest, Query, Reply, Request, Selection, Submit, Targets};
use journal::keeper::{Compaction, Keeper, Order, Told};
use journal::powercut::{Dice, Disk};
use journal::{BlobHash, Writer, replay};
use wq_core::ids::{ClientId, JobId, RecordNo, Timestamp};
use wq_core::io::{Ask, Caller};
use wq_core::{Config, Effect, Input, Master};

use super::thread::input_of;

/// Turns of a history.
const STEPS: u64 = 50;

/// What a client waits for.
enum Wish {
    In,
    Out(JobId),
}

/// Nothing: the jobs here name none.
type Contents = fn(&BlobHash) -> Option<Vec<u8>>;

struct World {
    core: Master,
    keeper: Keeper<Disk, Contents, Box<dyn FnMut(Told)>>,
    got: Rc<RefCell<VecDeque<Told>>>,
    now: Timestamp,
    wishes: BTreeMap<ClientId, Wish>,
    clients: u64,
    /// Jobs whose submission was acknowledged, and those whose removal was asked for, and acknowledged.
    submitted: BTreeSet<JobId>,
    asked_out: BTreeSet<JobId>,
    removed: BTreeSet<JobId>,
    failed: bool,
}

impl World {
    fn new(disk: Disk) -> World {
        let got = Rc::<RefCell<VecDeque<Told>>>::default();
        let results = Rc::clone(&got);
        let writer = Writer::create([1; 16]).with_rotation_at(1500);
        let mut core = Master::new(Config::default());
        core.start(Timestamp(0));
        World {
            core,
            keeper: Keeper::new(
                writer,
                disk,
                Compaction::new(2500, 0),
                |_| None,
                Box::new(move |told| results.borrow_mut().push_back(told)),
            ),
            got,
            now: Timestamp(1_000_000_000),
            wishes: BTreeMap::new(),
            clients: 0,
            submitted: BTreeSet::new(),
            asked_out: BTreeSet::new(),
            removed: BTreeSet::new(),
            failed: false,
        }
    }

    fn ask(&mut self, wish: Wish, ask: Ask) {
        self.clients += 1;
        let client = ClientId(self.clients);
        self.wishes.insert(client, wish);
        let caller = Caller { uid: 1000, gid: 1000, name: "alice".into(), superuser: false };
        self.core.handle(self.now, Input::Asked { client, caller, ask });
        self.settle();
    }

    fn step(&mut self, dice: &mut Dice) {
        let there: Vec<JobId> = self.submitted.difference(&self.asked_out).copied().collect();
        if dice.below(2) == 0 || there.is_empty() {
            let text = |name: &str, text: &str| (name.to_owned(), text.to_owned());
            let ad = vec![text("Cmd", "\"/bin/true\""), text("Args", "\"\u{1}.\u{2}\""), text("JobStatus", "1")];
            let cluster = ClusterRequest { ad, procs: 1 + dice.below(3) as u32, ..ClusterRequest::default() };
            let request = Submit { clusters: vec![cluster], ..Submit::default() };
            self.ask(Wish::In, Ask::Submit { request, rows: vec![Vec::new()], blobs: Vec::new() });
        } else {
            let job = there[dice.below(there.len() as u64) as usize];
            let targets = Targets::Jobs(vec![(job.cluster, job.proc_)]);
            let act = Act { action: Action::Remove, targets, reason: None, subcode: None };
            self.asked_out.insert(job);
            self.ask(Wish::Out(job), Ask::Other(Request::Act(act)));
        }
        self.now = self.now.plus_s(1);
        self.settle();
    }

    /// Does what the core asks for until it asks for nothing more.
    fn settle(&mut self) {
        loop {
            let mut orders = Vec::new();
            while let Some(effect) = self.core.poll_effect() {
                match effect {
                    Effect::Record { no, record, promise } => {
                        orders.push(Order::Record { no: Some(no.0), record, promise });
                    }
                    Effect::Sync { upto } => orders.push(Order::Sync(upto.0)),
                    Effect::LogMark { token } => {
                        self.core.handle(self.now, Input::Logged { token, warnings: Vec::new() });
                    }
                    Effect::Answer { client, reply } => self.answered(client, reply),
                    _ => {}
                }
            }
            let mut quiet = orders.is_empty();
            if !quiet {
                self.keeper.take(orders);
            }
            loop {
                let Some(told) = self.got.borrow_mut().pop_front() else { break };
                quiet = false;
                let Some(input) = input_of(told) else { continue };
                self.failed |= matches!(input, Input::StoreFailed { .. } | Input::StoreFull { .. });
                self.core.handle(self.now, input);
            }
            if self.core.poll_timeout().is_some_and(|due| due <= self.now) {
                quiet = false;
                self.core.on_timeout(self.now);
            }
            if quiet {
                return;
            }
        }
    }

    fn answered(&mut self, client: ClientId, reply: Reply) {
        match (self.wishes.remove(&client), reply) {
            (Some(Wish::In), Reply::Submitted { clusters, .. }) => {
                for cluster in clusters {
                    self.submitted.extend((0..cluster.procs).map(|proc| JobId::new(cluster.cluster, proc)));
                }
            }
            (Some(Wish::Out(job)), Reply::Acted(_)) => {
                self.removed.insert(job);
            }
            // Refused: the disk is gone.
            _ => assert!(self.failed),
        }
    }
}

/// The jobs that a journal gives back, and whether it has a checkpoint.
fn recovered(disk: &Disk) -> (BTreeSet<JobId>, bool) {
    let mut core = Master::new(Config::default());
    let recovery = replay(disk, |entry| {
        if !entry.before_checkpoint {
            core.recover(RecordNo(entry.seq), &entry.record);
        }
    })
    .unwrap();
    core.start(Timestamp(2_000_000_000));
    core.check_invariants();
    let select = Selection { constraints: vec!["true".to_owned()], ..Selection::default() };
    let attributes = vec!["ClusterId".to_owned(), "ProcId".to_owned()];
    let ask = Ask::Other(Request::Query(Query { select, attributes, ..Query::default() }));
    let caller = Caller { uid: 1000, gid: 1000, name: "alice".into(), superuser: false };
    let now = Timestamp(2_000_000_000);
    core.handle(now, Input::Asked { client: ClientId(1), caller, ask });
    let mut jobs = BTreeSet::new();
    while let Some(effect) = core.poll_effect() {
        if let Effect::Rows { client, payload } = effect {
            control_proto::listing::read(&payload, |row| {
                let number = |at: usize| row[at].1.parse().unwrap();
                jobs.insert(JobId::new(number(0), number(1)));
            })
            .unwrap();
            core.handle(now, Input::ClientReady { client });
        }
    }
    (jobs, recovery.checkpoint.is_some())
}

#[test]
fn the_power_may_fail_at_any_operation_of_a_history_with_compactions() {
    let (mut with_checkpoint, mut operations) = (0, 0);
    loop {
        let mut disk = Disk::new();
        disk.power_off_after(operations);
        let mut world = World::new(disk);
        let mut dice = Dice::new(11);
        for _ in 0..STEPS {
            world.step(&mut dice);
            if world.failed {
                break;
            }
        }
        let mut disk = world.keeper.into_storage();
        disk.cut(operations);
        let (jobs, checkpoint) = recovered(&disk);
        let lost: Vec<_> = world.submitted.difference(&world.asked_out).filter(|job| !jobs.contains(job)).collect();
        assert!(lost.is_empty(), "power off after {operations}: {lost:?} were acknowledged");
        let back: Vec<_> = world.removed.intersection(&jobs).collect();
        assert!(back.is_empty(), "power off after {operations}: {back:?} were removed");
        with_checkpoint += u64::from(checkpoint);
        if !world.failed {
            break;
        }
        operations += 1;
    }
    println!("{operations} operations, {with_checkpoint} journals with a checkpoint");
    assert!(operations > 200 && with_checkpoint > 100, "{operations} {with_checkpoint}");
}

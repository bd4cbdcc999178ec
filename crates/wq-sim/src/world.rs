//! The world: everything there is, and the loop that lets it happen.
//!
//! A step is one event of the queue, with all that the master does about it. After each step the core's invariants hold and
//! the auditor has found nothing. First comes a phase with faults, then one without, in which everything must end.

use std::collections::{BTreeMap, VecDeque};

use journal::powercut::Disk;
use wq_core::ids::{ClientId, Timestamp};
use wq_core::io::{Caller, DownReason};
use wq_core::{Config, Input};
use wq_proto::{Protocol, TaskId};

use crate::auditor::Auditor;
use crate::chance::Chance;
use crate::clients::Plan;
use crate::disk::Machine;
use crate::links::{Conn, WATCH};
use crate::mistakes::Mistake;
use crate::options::{Fault, Options};
use crate::peer::{Nature, Peer};
use crate::queue::{Micros, Queue, SECOND};
use crate::service::Service;

/// The world begins at this time of the service clock, so that no time is near zero.
const BEGIN_S: u64 = 1_000_000_000;

/// Longest phase without faults.
const PEACE: Micros = 40 * 3600 * SECOND;

/// Events of the phase without faults: beyond, something goes round in circles.
const PEACE_STEPS: u64 = 400_000;

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// A peer connects.
    Connect(usize),
    /// The master's socket takes bytes of this connection.
    Pump(usize),
    MasterHears(usize),
    PeerHears(usize),
    /// The master's side notices the end of a connection; stalled or broken.
    MasterLoses(usize, bool),
    PeerLoses(usize),
    /// A task's program ends.
    TaskDue {
        peer: usize,
        conn: usize,
        task: TaskId,
        begins: u32,
    },
    /// The next fault of peers and network.
    Mischief,
    /// The next fault of the machine.
    Disaster,
    /// A fault of disk or files ends.
    Mended,
    /// A foreman has its workers again.
    Regained(usize),
    /// A client does the next thing.
    Client(usize),
    /// A client's request reaches the master.
    Asked(usize, Box<Plan>),
    /// A look at the spool folder.
    Door,
    /// Of one run of the master, by its number.
    Service(u64, Turn),
    /// The master is started.
    Start,
}

/// What happens inside of a run of the master.
#[derive(Debug)]
pub(crate) enum Turn {
    /// A timer of the core.
    Timer,
    /// A report reaches the core.
    Input(Box<Input>),
    Journal,
    Retry,
    Logs,
    History,
    HistorySync,
    Watch,
    /// It did not end in time after a stop.
    TooLate,
    /// The file `drain` is there, or not.
    Drain(bool),
}

/// A peer's place in the world.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) peer: Peer,
    pub(crate) conn: Option<usize>,
    pub(crate) connect_due: bool,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) chance: Chance,
    pub(crate) queue: Queue<Event>,
    pub(crate) now: Micros,
    pub(crate) steps: u64,
    pub(crate) faults_on: bool,
    pub(crate) machine: Machine,
    pub(crate) service: Option<Service>,
    /// Number of the run.
    pub(crate) run: u64,
    pub(crate) conns: BTreeMap<usize, Conn>,
    pub(crate) next_conn: usize,
    pub(crate) peers: Vec<Place>,
    pub(crate) clients: usize,
    /// Submissions, whether or not they were accepted.
    pub(crate) submissions: usize,
    /// Requests that came while nobody listened.
    pub(crate) backlog: VecDeque<(usize, Box<Plan>)>,
    pub(crate) auditor: Auditor,
    pub(crate) config: Config,
    pub(crate) wall_offset_s: i64,
    pub(crate) floor: u64,
    pub(crate) rotate_at: u64,
    /// What is broken at the moment.
    pub(crate) outputs_fail: bool,
    pub(crate) inputs_fail: bool,
    pub(crate) slow_disk: bool,
    pub(crate) draining: bool,
    /// Effects until the master is killed.
    pub(crate) fuse: Option<u64>,
    /// With a power cut.
    pub(crate) fuse_cuts_power: bool,
}

/// What a history came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The first promise that was broken, and when.
    pub violation: Option<String>,
    /// Events in both phases.
    pub steps: u64,
    /// Simulated time, s.
    pub seconds: u64,
    /// Jobs that were accepted.
    pub jobs: u64,
    /// Runs of the master.
    pub runs: u64,
    /// Programs that began at workers.
    pub starts: u64,
    /// A number that tells histories apart: the same seed gives the same.
    pub digest: u64,
}

impl World {
    pub(crate) fn new(seed: u64, options: Options) -> World {
        let mut chance = Chance::new(seed);
        let config = Config {
            history: chance.once_in(2),
            outputs_fsync: chance.once_in(4),
            one_write: !chance.once_in(4),
            losses_max: chance.between(2, 6) as u32,
            owner_held_max: 1_000_000,
            #[cfg(feature = "mistakes")]
            mistake: match options.mistake {
                Some(Mistake::Core(mistake)) => Some(mistake),
                _ => None,
            },
            ..Config::default()
        };
        let peers = 2 + chance.below(5);
        let peers = (0..peers).map(|at| {
            let foreman = chance.once_in(4);
            let cores = if foreman { chance.between(2, 12) } else { chance.between(1, 4) };
            let lies = options.faults.has(Fault::Lies) && chance.once_in(6) && at > 0;
            let slow = options.faults.has(Fault::Slow) && chance.once_in(8) && at > 0;
            let protocol = *chance.pick(&Protocol::ALL).expect("there are six");
            // At least one peer that can run everything.
            let (foreman, cores) = if at == 0 { (false, 4) } else { (foreman, cores) };
            let nature = Nature { protocol, foreman, cores, largest: cores.min(4), lies, slow };
            Place { peer: Peer::new(nature, format!("host{}", at / 2)), conn: None, connect_due: false }
        });
        let peers: Vec<Place> = peers.collect();
        let (floor, rotate_at) = (2_000 + chance.skewed(60_000), 1_000 + chance.skewed(60_000));
        let mut world = World {
            options,
            queue: Queue::new(),
            now: 0,
            steps: 0,
            faults_on: true,
            machine: Machine { journal: Some(Disk::new()), ..Machine::default() },
            service: None,
            run: 0,
            conns: BTreeMap::new(),
            next_conn: 0,
            clients: 2 + chance.below(3) as usize,
            peers,
            submissions: 0,
            backlog: VecDeque::new(),
            auditor: Auditor::new(&config),
            config,
            wall_offset_s: 0,
            floor,
            rotate_at,
            outputs_fail: false,
            inputs_fail: false,
            slow_disk: false,
            draining: false,
            fuse: None,
            fuse_cuts_power: false,
            chance,
        };
        world.queue.put(0, Event::Start);
        for peer in 0..world.peers.len() {
            world.connect_later(peer, 5 * SECOND);
        }
        for client in 0..world.clients {
            let at = world.chance.skewed(10 * SECOND);
            world.queue.put(at, Event::Client(client));
        }
        world.queue.put(SECOND, Event::Mischief);
        world.queue.put(SECOND, Event::Disaster);
        world.queue.put(2 * SECOND, Event::Door);
        world
    }

    /// Lets everything happen.
    pub(crate) fn run(mut self) -> Outcome {
        while self.auditor.violation.is_none() && self.steps < self.options.steps {
            self.step();
        }
        if self.auditor.violation.is_none() {
            self.peace();
        }
        if self.auditor.violation.is_none() {
            self.last_audit();
        }
        let violation =
            self.auditor.violation.take().map(|what| {
                format!("{what}\n  at step {}, {}.{:06} s", self.steps, self.now / SECOND, self.now % SECOND)
            });
        Outcome {
            violation,
            steps: self.steps,
            seconds: self.now / SECOND,
            jobs: self.auditor.jobs_accepted(),
            runs: self.run,
            starts: self.auditor.truth.runs.len() as u64,
            digest: self.chance.number() ^ self.now ^ self.steps << 32,
        }
    }

    /// Nothing goes wrong any more: everything must come to its end.
    fn peace(&mut self) {
        self.faults_on = false;
        self.make_peace();
        let end = self.now + PEACE;
        let last = self.steps + PEACE_STEPS;
        while self.auditor.violation.is_none() && !self.is_quiet() {
            if self.now > end || self.steps > last {
                let open = self.open_jobs();
                return self.auditor.violated(format!("without faults these jobs come to no end: {open}"));
            }
            self.step();
        }
    }

    pub(crate) fn step(&mut self) {
        let (at, event) = self.queue.pop().expect("somebody always looks at something");
        self.now = self.now.max(at);
        self.steps += 1;
        if self.options.verbose {
            println!("{:>7} {:>6}.{:06} {event:?}", self.steps, self.now / SECOND, self.now % SECOND);
        }
        self.happen(event);
        self.settle();
        if let Some(service) = &self.service {
            service.core.check_invariants();
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Connect(peer) => self.connect(peer),
            Event::Pump(no) => self.pump(no),
            Event::MasterHears(no) => self.master_hears(no),
            Event::PeerHears(no) => self.peer_hears(no),
            Event::MasterLoses(no, stalled) => {
                self.master_ends(no, if stalled { DownReason::Stalled } else { DownReason::Closed });
            }
            Event::PeerLoses(no) => self.peer_ends(no),
            Event::TaskDue { peer, conn, task, begins } => self.task_due(peer, conn, task, begins),
            Event::Mischief => self.mischief(),
            Event::Disaster => self.disaster(),
            Event::Mended => self.mended(),
            Event::Regained(peer) => self.with_peer(peer, |peer, scene| peer.regain_workers(scene)),
            Event::Client(client) => self.client_acts(client),
            Event::Asked(client, plan) => self.asked(client, plan),
            Event::Door => self.look_at_door(),
            Event::Service(run, turn) if run == self.run && self.service.is_some() => self.turn(turn),
            Event::Service(..) => {}
            Event::Start => self.start(),
        }
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Timer => self.timer(),
            Turn::Input(input) => self.input(*input),
            Turn::Journal => self.write_journal(),
            Turn::Retry => self.retry_journal(),
            Turn::Logs => self.write_logs(),
            Turn::History => self.write_history(),
            Turn::HistorySync => self.sync_history(),
            Turn::Watch => {
                self.watch_links();
                self.queue.put(self.now + WATCH, Event::Service(self.run, Turn::Watch));
            }
            Turn::TooLate => self.crash(false),
            Turn::Drain(on) => self.input(Input::Drain { on }),
        }
    }

    /// Something of this run of the master happens after so long.
    pub(crate) fn later(&mut self, after: Micros, turn: Turn) {
        self.queue.put(self.now + after, Event::Service(self.run, turn));
    }

    /// Whether this fault happens at all, and still.
    pub(crate) fn may(&self, fault: Fault) -> bool {
        self.faults_on && self.options.faults.has(fault)
    }

    /// Whether this mistake is made.
    pub(crate) fn errs(&self, mistake: Mistake) -> bool {
        self.options.mistake == Some(mistake)
    }

    /// The service clock.
    pub(crate) fn clock(&self) -> Timestamp {
        Timestamp(BEGIN_S * 1_000_000 + self.now)
    }

    /// Everybody is the same user.
    pub(crate) fn caller() -> Caller {
        Caller { uid: 1000, gid: 1000, name: "alice".into(), superuser: false }
    }

    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        if self.options.verbose {
            println!("{:>21}  {}", "", what());
        }
    }

    pub(crate) fn answer_client(&mut self, id: ClientId) -> Option<usize> {
        Some(self.service.as_mut()?.clients.remove(&id)?.client)
    }
}

//! Simulated workers: thousands in one thread, speaking the worker's side of the wire protocol.
//!
//! They take tasks, let them run for a while without running anything, and hand over outputs of a chosen size. What each
//! task's environment calls its tag ([`TAG`]) is counted at every start, so that a test can compare what the workers saw with what
//! the master tells. They come back when the master is gone, as real ones do.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, Socket, Type};
use wq_proto::{
    Amount, FromWorker, Hello, Info, MasterDecoder, MasterEvent, MasterLimits, Protocol, Resource, ResourceKind,
    TaskId, TaskResult, TaskStatus, ToWorker,
};

/// Name of the variable whose value is a task's tag.
pub const TAG: &str = "AWQ_TEST_TAG";

/// How long the thread sleeps at most before it looks at its orders.
const LOOK_MS: u8 = 10;
/// Bytes of one read.
const CHUNK: usize = 64 * 1024;
/// Events of one look.
const EVENTS: usize = 1024;
/// Addresses from which workers connect: 127.0.0.1 and those behind it.
const SOURCES: u8 = 16;

/// How the workers are.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// How many.
    pub workers: usize,
    /// Cores of each.
    pub cores: u64,
    /// What they call their operating system; `foreman` makes foremen of them.
    pub os: String,
    /// How long tasks run: from this …
    pub run_min: Duration,
    /// … to this.
    pub run_max: Duration,
    /// Bytes of each output.
    pub output_bytes: usize,
    /// Pause before a lost connection is made again; `None`: it is not.
    pub back_after: Option<Duration>,
    /// Chance of the run times.
    pub seed: u64,
}

impl Default for FleetOptions {
    fn default() -> Self {
        FleetOptions {
            workers: 100,
            cores: 1,
            os: "Linux".to_owned(),
            run_min: Duration::ZERO,
            run_max: Duration::ZERO,
            output_bytes: 10,
            back_after: Some(Duration::from_millis(50)),
            seed: 1,
        }
    }
}

/// Running simulated workers; they hang up on drop.
#[derive(Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    connected: AtomicUsize,
    ready: AtomicUsize,
    results: AtomicU64,
    to_drop: AtomicUsize,
    may_end: AtomicBool,
    starts: Mutex<HashMap<String, u64>>,
}

impl Fleet {
    /// Starts them against the master on this loopback port.
    pub fn start(port: u16, options: FleetOptions) -> Fleet {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || Crew::new(port, options, theirs).run());
        Fleet { shared, thread: Some(thread) }
    }

    /// Connections that stand.
    pub fn connected(&self) -> usize {
        self.shared.connected.load(Ordering::Relaxed)
    }

    /// Connections of this moment to which the master has said something.
    pub fn greeted(&self) -> usize {
        self.shared.ready.load(Ordering::Relaxed)
    }

    /// Results handed over so far.
    pub fn results(&self) -> u64 {
        self.shared.results.load(Ordering::Relaxed)
    }

    /// Hangs up on this many connections, without a word.
    pub fn drop_some(&self, count: usize) {
        self.shared.to_drop.fetch_add(count, Ordering::Relaxed);
    }

    /// Lets all tasks end that are there or come, however long they were to run.
    pub fn let_end(&self) {
        self.shared.may_end.store(true, Ordering::Relaxed);
    }

    /// How often tasks of each tag have arrived whole.
    pub fn starts(&self) -> HashMap<String, u64> {
        self.shared.starts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed; a second one in drop would end the process.
            let _ = thread.join();
        }
    }
}

/// What a worker of protocol 9 says first, up to the end of its resources.
pub fn greeting(host: &str, os: &str, cores: u64) -> BytesMut {
    let resource = |kind, amount: u64| {
        let amount = Amount::new(amount);
        FromWorker::Resource(Resource { kind, total: amount, smallest: amount, largest: amount })
    };
    let words = [
        FromWorker::Hello(Box::new(Hello {
            protocol: Protocol::V9,
            host: host.to_owned(),
            os: os.to_owned(),
            arch: "x86_64".into(),
            version: "7.4.16".into(),
        })),
        FromWorker::Info(Info::WorkerId(Bytes::from_static(b"worker-0123456789abcdef0123456789abcdef"))),
        FromWorker::Alive,
        resource(ResourceKind::Workers, 1),
        resource(ResourceKind::Disk, 100_000),
        resource(ResourceKind::Memory, 4096),
        resource(ResourceKind::Gpus, 0),
        resource(ResourceKind::Cores, cores),
        FromWorker::ResourceTag(0),
        FromWorker::Info(Info::EndOfResourceUpdate),
    ];
    let mut out = BytesMut::new();
    for word in words {
        word.print(&mut out);
    }
    out
}

/// The address from which a worker comes: each has some 28,000 ports, and those of lost connections rest for a minute.
fn source_of(at: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 1 + u8::try_from(at % usize::from(SOURCES)).expect("less than SOURCES"))
}

/// Connects to a port of 127.0.0.1 from this address of loopback.
///
/// # Errors
/// What the system says.
pub fn connect_from(source: Ipv4Addr, port: u16) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket.into())
}

/// A task on its way in.
#[derive(Debug)]
struct Coming {
    id: TaskId,
    tag: String,
    outputs: Vec<Bytes>,
}

#[derive(Debug)]
struct Link {
    stream: TcpStream,
    decoder: MasterDecoder,
    input: BytesMut,
    output: BytesMut,
    waits_to_write: bool,
    coming: Option<Coming>,
    tasks: BTreeMap<TaskId, Vec<Bytes>>,
    ended: VecDeque<TaskId>,
    announced: bool,
    greeted: bool,
}

/// All workers of a fleet, in their thread.
struct Crew {
    port: u16,
    options: FleetOptions,
    shared: Arc<Shared>,
    epoll: Epoll,
    links: Vec<Option<Link>>,
    /// How often each place was connected: what is due for an earlier connection is void.
    turns: Vec<u32>,
    ends: BinaryHeap<Reverse<(Instant, usize, u32, TaskId)>>,
    returns: VecDeque<(Instant, usize)>,
    dice: u64,
    next_drop: usize,
}

impl Crew {
    fn new(port: u16, options: FleetOptions, shared: Arc<Shared>) -> Crew {
        let now = Instant::now();
        Crew {
            port,
            epoll: Epoll::new(EpollCreateFlags::empty()).expect("a descriptor for epoll"),
            links: (0..options.workers).map(|_| None).collect(),
            turns: vec![0; options.workers],
            ends: BinaryHeap::new(),
            returns: (0..options.workers).map(|at| (now, at)).collect(),
            dice: options.seed,
            next_drop: 0,
            options,
            shared,
        }
    }

    fn run(mut self) {
        let mut events = vec![EpollEvent::empty(); EVENTS];
        while !self.shared.over.load(Ordering::Relaxed) {
            self.connect_due();
            self.end_due();
            for _ in 0..self.shared.to_drop.swap(0, Ordering::Relaxed) {
                self.next_drop = (self.next_drop + 7) % self.links.len();
                self.lose(self.next_drop);
            }
            let soon = self.ends.peek().map(|Reverse((at, ..))| at.saturating_duration_since(Instant::now()));
            let wait_ms = soon.map_or(LOOK_MS, |wait| u8::try_from(wait.as_millis()).unwrap_or(LOOK_MS).min(LOOK_MS));
            let count = self.epoll.wait(&mut events, EpollTimeout::from(wait_ms)).unwrap_or(0);
            for event in &events[..count] {
                let at = usize::try_from(event.data()).expect("an index");
                if self.serve(at).is_none() {
                    self.lose(at);
                }
            }
        }
    }

    fn connect_due(&mut self) {
        let now = Instant::now();
        while self.returns.front().is_some_and(|(at, _)| *at <= now) {
            let (_, at) = self.returns.pop_front().expect("just seen");
            if self.connect(at).is_none() {
                self.come_back(at);
            }
        }
    }

    fn connect(&mut self, at: usize) -> Option<()> {
        let stream = connect_from(source_of(at), self.port).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_nonblocking(true).ok()?;
        self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, at as u64)).ok()?;
        let words = greeting(&format!("sim{at}.example.org"), &self.options.os, self.options.cores);
        // Behind the hello, so that its answer comes before any task: it says that the master has read the beginning.
        let hello = words.iter().position(|byte| *byte == b'\n').expect("a greeting has lines") + 1;
        let mut output = BytesMut::from(&words[..hello]);
        FromWorker::Name.print(&mut output);
        output.extend_from_slice(&words[hello..]);
        let mut decoder = MasterDecoder::new(Protocol::V9, MasterLimits::default());
        decoder.expect_project_name();
        self.links[at] = Some(Link {
            stream,
            decoder,
            input: BytesMut::new(),
            output,
            waits_to_write: false,
            coming: None,
            tasks: BTreeMap::new(),
            ended: VecDeque::new(),
            announced: false,
            greeted: false,
        });
        self.shared.connected.fetch_add(1, Ordering::Relaxed);
        if self.flush(at).is_none() {
            self.lose(at);
        }
        Some(())
    }

    fn lose(&mut self, at: usize) {
        let Some(link) = self.links[at].take() else { return };
        self.shared.connected.fetch_sub(1, Ordering::Relaxed);
        self.shared.ready.fetch_sub(usize::from(link.greeted), Ordering::Relaxed);
        self.turns[at] += 1;
        self.come_back(at);
    }

    fn come_back(&mut self, at: usize) {
        if let Some(pause) = self.options.back_after {
            self.returns.push_back((Instant::now() + pause, at));
        }
    }

    fn end_due(&mut self) {
        let now = Instant::now();
        let all = self.shared.may_end.load(Ordering::Relaxed);
        while self.ends.peek().is_some_and(|Reverse((at, ..))| all || *at <= now) {
            let Reverse((_, at, turn, task)) = self.ends.pop().expect("just seen");
            if self.turns[at] != turn {
                continue;
            }
            if let Some(link) = self.links[at].as_mut().filter(|link| link.tasks.contains_key(&task)) {
                link.end(task);
                if self.flush(at).is_none() {
                    self.lose(at);
                }
            }
        }
    }

    /// Reads and answers; `None` when the connection is of no use any more.
    fn serve(&mut self, at: usize) -> Option<()> {
        let mut chunk = vec![0; CHUNK];
        let link = self.links[at].as_mut()?;
        loop {
            match link.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => link.input.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
            while let Some(event) = link.decoder.decode(&mut link.input).expect("the master speaks as a worker reads") {
                let MasterEvent::Message(message) = event else { continue };
                if let Some(task) = link.hear(message, &self.shared, self.options.output_bytes)? {
                    let (min, max) = (self.options.run_min, self.options.run_max);
                    self.dice =
                        self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let share = (self.dice >> 33) as f64 / f64::from(1_u32 << 31);
                    let runs = min + max.saturating_sub(min).mul_f64(share);
                    if runs.is_zero() {
                        link.end(task);
                    } else {
                        self.ends.push(Reverse((Instant::now() + runs, at, self.turns[at], task)));
                    }
                }
            }
        }
        self.flush(at)
    }

    fn flush(&mut self, at: usize) -> Option<()> {
        let link = self.links[at].as_mut()?;
        while !link.output.is_empty() {
            match link.stream.write(&link.output) {
                Ok(count) => drop(link.output.split_to(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        let must_wait = !link.output.is_empty();
        if must_wait != link.waits_to_write {
            link.waits_to_write = must_wait;
            let writing = if must_wait { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
            let mut event = EpollEvent::new(EpollFlags::EPOLLIN | writing, at as u64);
            self.epoll.modify(&link.stream, &mut event).ok()?;
        }
        Some(())
    }
}

impl Link {
    /// A message; gives the task that has arrived whole, and `None` when the worker is to go.
    fn hear(&mut self, message: ToWorker, shared: &Shared, output_bytes: usize) -> Option<Option<TaskId>> {
        match message {
            ToWorker::ProjectName(_) => {
                shared.ready.fetch_add(usize::from(!self.greeted), Ordering::Relaxed);
                self.greeted = true;
            }
            ToWorker::Task { id } => self.coming = Some(Coming { id, tag: String::new(), outputs: Vec::new() }),
            ToWorker::Env(variable) => {
                let variable = String::from_utf8_lossy(&variable);
                if let (Some(coming), Some((TAG, tag))) = (&mut self.coming, variable.split_once('=')) {
                    tag.clone_into(&mut coming.tag);
                }
            }
            ToWorker::Outfile(outfile) => {
                if let Some(coming) = &mut self.coming {
                    coming.outputs.push(outfile.cached);
                }
            }
            ToWorker::EndTask => {
                let Coming { id, tag, outputs } = self.coming.take()?;
                *shared.starts.lock().unwrap_or_else(PoisonError::into_inner).entry(tag).or_default() += 1;
                self.tasks.insert(id, outputs);
                return Some(Some(id));
            }
            ToWorker::SendResults => {
                for task in std::mem::take(&mut self.ended) {
                    let result = TaskResult { status: TaskStatus::Success, exit: 0, len: 0, time_us: 1000, task };
                    FromWorker::Result(result).print(&mut self.output);
                    shared.results.fetch_add(1, Ordering::Relaxed);
                }
                FromWorker::End.print(&mut self.output);
                self.announced = false;
            }
            ToWorker::Get { name } => {
                if self.tasks.values().any(|outputs| outputs.contains(&name)) {
                    FromWorker::File { name, len: output_bytes as u64 }.print(&mut self.output);
                    self.output.resize(self.output.len() + output_bytes, b'x');
                } else {
                    FromWorker::Missing { name, errno: 2 }.print(&mut self.output);
                }
                FromWorker::End.print(&mut self.output);
            }
            ToWorker::Kill(Some(task)) => {
                self.tasks.remove(&task);
                self.ended.retain(|ended| *ended != task);
            }
            ToWorker::Kill(None) => {
                self.tasks.clear();
                self.ended.clear();
            }
            ToWorker::Check => FromWorker::Alive.print(&mut self.output),
            ToWorker::Release | ToWorker::Exit => return None,
            _ => {}
        }
        Some(None)
    }

    fn end(&mut self, task: TaskId) {
        self.ended.push_back(task);
        if !std::mem::replace(&mut self.announced, true) {
            FromWorker::AvailableResults.print(&mut self.output);
        }
    }
}

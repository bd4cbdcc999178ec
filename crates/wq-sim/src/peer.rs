//! A worker or foreman of any protocol: hears bytes, says bytes, runs tasks in simulated time.
//!
//! It reads as the real ones do, with `wq_proto::MasterDecoder`, which refuses what a peer of its protocol would hang up on.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use journal::JobId;
use wq_proto::{
    Amount, FromWorker, Hello, Info, MasterDecoder, MasterEvent, MasterLimits, Protocol, Resource, ResourceKind,
    TaskId, TaskResult, TaskStatus, ToWorker,
};

use crate::chance::Chance;
use crate::queue::{Micros, SECOND};
use crate::truth::{RunNo, Truth, content};

/// What a peer is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nature {
    pub(crate) protocol: Protocol,
    pub(crate) foreman: bool,
    pub(crate) cores: u64,
    /// Cores of a foreman's biggest worker.
    pub(crate) largest: u64,
    pub(crate) lies: bool,
    pub(crate) slow: bool,
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Waiting,
    Running(RunNo),
    Ended {
        run: RunNo,
        status: TaskStatus,
        exit: i32,
        time_us: u64,
    },
    /// Its result was sent; what it left stays until the `kill`.
    Reported,
}

#[derive(Debug)]
struct Task {
    job: Option<JobId>,
    cores: u64,
    state: State,
    inputs: Vec<Bytes>,
    outputs: Vec<Bytes>,
    begun: Micros,
    /// Tells a timer of an earlier begin from the present one.
    begins: u32,
    /// All its runs here.
    runs: Vec<usize>,
}

/// What a peer wants done.
#[derive(Debug)]
pub(crate) enum Deed {
    Say(Bytes),
    /// [`Peer::task_due`] at this time.
    Wake {
        at: Micros,
        task: TaskId,
        begins: u32,
    },
    HangUp,
}

/// What a peer may look at and change while it acts.
pub(crate) struct Scene<'a> {
    pub(crate) now: Micros,
    pub(crate) chance: &'a mut Chance,
    pub(crate) truth: &'a mut Truth,
    /// Lies are told only while faults are on.
    pub(crate) faults: bool,
    pub(crate) deeds: Vec<Deed>,
}

/// A peer, connected or not.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) nature: Nature,
    pub(crate) host: String,
    decoder: MasterDecoder,
    heard: BytesMut,
    cache: BTreeMap<Bytes, Bytes>,
    putting: Option<(Bytes, Vec<u8>)>,
    reading: Option<(TaskId, Task)>,
    tasks: BTreeMap<TaskId, Task>,
    /// `available_results` was said and not answered.
    announced: bool,
    /// What the foreman has lost of its cores.
    lost_cores: u64,
    hung_up: bool,
}

fn decoder(protocol: Protocol) -> MasterDecoder {
    MasterDecoder::new(protocol, MasterLimits::default())
}

/// The job's number, which stands among its arguments: `'job' '7.0'`.
fn job_of(command: &[u8]) -> Option<JobId> {
    let text = std::str::from_utf8(command).ok()?;
    text.split_once("'job' '")?.1.split_once('\'')?.0.parse().ok()
}

impl Peer {
    pub(crate) fn new(nature: Nature, host: String) -> Peer {
        Peer {
            nature,
            host,
            decoder: decoder(nature.protocol),
            heard: BytesMut::new(),
            cache: BTreeMap::new(),
            putting: None,
            reading: None,
            tasks: BTreeMap::new(),
            announced: false,
            lost_cores: 0,
            hung_up: false,
        }
    }

    /// A new connection: the greeting.
    pub(crate) fn greet(&mut self, scene: &mut Scene<'_>) {
        self.forget();
        let Nature { protocol, foreman, .. } = self.nature;
        let os = if foreman { "foreman" } else { "Linux" };
        let hello = Hello {
            protocol,
            host: self.host.clone(),
            os: os.into(),
            arch: "x86_64".into(),
            version: format!("{}.0.0", protocol.number()),
        };
        let mut out = BytesMut::new();
        FromWorker::Hello(Box::new(hello)).print(&mut out);
        self.print_resources(&mut out);
        scene.deeds.push(Deed::Say(out.freeze()));
    }

    /// The connection is gone: the tasks are killed and the cache emptied, as by the real ones.
    pub(crate) fn forget(&mut self) {
        *self = Peer::new(self.nature, std::mem::take(&mut self.host));
    }

    fn print_resources(&self, out: &mut BytesMut) {
        let Nature { cores, largest, .. } = self.nature;
        let cores = cores - self.lost_cores.min(cores);
        let largest = largest.min(cores);
        for (kind, total, largest) in [
            (ResourceKind::Cores, cores, largest),
            (ResourceKind::Memory, 8_192 * cores, 8_192 * largest),
            (ResourceKind::Disk, 100_000, 100_000),
            (ResourceKind::Gpus, 0, 0),
        ] {
            let (total, largest) = (Amount::new(total), Amount::new(largest));
            FromWorker::Resource(Resource { kind, total, smallest: Amount::new(0), largest }).print(out);
        }
        FromWorker::Info(Info::EndOfResourceUpdate).print(out);
    }

    /// Bytes of the master arrive.
    pub(crate) fn hear(&mut self, bytes: &[u8], scene: &mut Scene<'_>) {
        self.heard.put_slice(bytes);
        while !self.hung_up {
            match self.decoder.decode(&mut self.heard) {
                Ok(None) => break,
                Ok(Some(MasterEvent::Message(message))) => self.obey(message, scene),
                Ok(Some(MasterEvent::Body(bytes))) => {
                    self.putting.as_mut().expect("a body follows its put").1.extend_from_slice(&bytes);
                }
                Ok(Some(MasterEvent::BodyEnd)) => {
                    let (name, content) = self.putting.take().expect("a body follows its put");
                    self.cache.insert(name, content.into());
                }
                Err(_) => self.hang_up(scene),
            }
        }
    }

    fn hang_up(&mut self, scene: &mut Scene<'_>) {
        self.hung_up = true;
        scene.deeds.push(Deed::HangUp);
    }

    fn say(&self, message: &FromWorker, scene: &mut Scene<'_>) {
        let mut out = BytesMut::new();
        message.print(&mut out);
        scene.deeds.push(Deed::Say(out.freeze()));
    }

    fn obey(&mut self, message: ToWorker, scene: &mut Scene<'_>) {
        match message {
            ToWorker::Put { name, .. } => self.putting = Some((name, Vec::new())),
            ToWorker::Unlink { name } | ToWorker::InvalidateFile { name } => drop(self.cache.remove(&name)),
            ToWorker::Task { id } => {
                let (state, begun) = (State::Waiting, scene.now);
                let (inputs, outputs) = (Vec::new(), Vec::new());
                self.reading = Some((
                    id,
                    Task { job: None, cores: 1, state, inputs, outputs, begun, begins: 0, runs: Vec::new() },
                ));
            }
            ToWorker::Cmd(command) => self.in_task(|task| task.job = job_of(&command)),
            ToWorker::Cores(cores) => self.in_task(|task| task.cores = cores.floor()),
            ToWorker::Infile(infile) => self.in_task(|task| task.inputs.push(infile.cached.clone())),
            ToWorker::Outfile(outfile) => self.in_task(|task| task.outputs.push(outfile.cached.clone())),
            ToWorker::EndTask => self.task_complete(scene),
            ToWorker::Kill(Some(id)) => {
                self.tasks.remove(&id);
                self.begin_waiting(scene);
            }
            ToWorker::Kill(None) => self.tasks.clear(),
            ToWorker::SendResults => self.send_results(scene),
            ToWorker::Get { name } => self.send_file(&name, scene),
            ToWorker::Check => {
                let mut out = BytesMut::new();
                FromWorker::Alive.print(&mut out);
                if self.nature.foreman || self.nature.protocol.dialect().resources_after_check {
                    self.print_resources(&mut out);
                }
                scene.deeds.push(Deed::Say(out.freeze()));
            }
            ToWorker::Release | ToWorker::Exit => self.hang_up(scene),
            _ => {}
        }
    }

    fn in_task(&mut self, change: impl FnOnce(&mut Task)) {
        change(&mut self.reading.as_mut().expect("the decoder knows that a task is being read").1);
    }

    fn task_complete(&mut self, scene: &mut Scene<'_>) {
        let (id, task) = self.reading.take().expect("the decoder knows that a task is being read");
        if task.inputs.iter().any(|name| !self.cache.contains_key(name)) {
            // What the real ones do (protocol 11 tells it as a result); the master must not let it come to that.
            return self.hang_up(scene);
        }
        self.tasks.insert(id, task);
        self.begin_waiting(scene);
    }

    fn begin_waiting(&mut self, scene: &mut Scene<'_>) {
        let running = |task: &&Task| matches!(task.state, State::Running(_));
        let mut used: u64 = self.tasks.values().filter(running).map(|task| task.cores).sum();
        let waiting: Vec<TaskId> =
            self.tasks.iter().filter(|(_, task)| task.state == State::Waiting).map(|(id, _)| *id).collect();
        for id in waiting {
            let cores = self.tasks[&id].cores;
            if used + cores <= self.nature.cores {
                used += cores;
                self.begin(id, false, scene);
            }
        }
    }

    fn begin(&mut self, id: TaskId, repeated: bool, scene: &mut Scene<'_>) {
        let task = self.tasks.get_mut(&id).expect("the caller has it");
        let Some(job) = task.job else { return };
        let run = scene.truth.begin(job, self.nature.lies, repeated);
        task.state = State::Running(run);
        task.runs.push(run);
        task.begun = scene.now;
        task.begins += 1;
        let takes = scene.chance.skewed(300 * SECOND);
        scene.deeds.push(Deed::Wake { at: scene.now + takes, task: id, begins: task.begins });
    }

    /// A task's program ends.
    pub(crate) fn task_due(&mut self, id: TaskId, begins: u32, scene: &mut Scene<'_>) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.begins == begins) else { return };
        let State::Running(run) = task.state else { return };
        let exit = match scene.chance.below(20) {
            0 => 1,
            1 => 137,
            _ => 0,
        };
        scene.truth.runs[run].exit = Some(exit);
        for name in task.outputs.clone() {
            if !scene.chance.once_in(12) {
                let length = scene.chance.skewed(3_000) as usize;
                let content = content(run, &name, length);
                scene.truth.runs[run].outputs.insert(name.clone(), content.clone());
                self.cache.insert(name, content);
            }
        }
        let time_us = scene.now - task.begun;
        task.state = State::Ended { run, status: TaskStatus::Success, exit, time_us };
        self.announce(scene);
        self.begin_waiting(scene);
    }

    fn announce(&mut self, scene: &mut Scene<'_>) {
        if !std::mem::replace(&mut self.announced, true) {
            self.say(&FromWorker::AvailableResults, scene);
        }
    }

    fn send_results(&mut self, scene: &mut Scene<'_>) {
        self.announced = false;
        let mut out = BytesMut::new();
        let mut sent = Vec::new();
        for (id, task) in &self.tasks {
            if let State::Ended { status, exit, time_us, .. } = task.state {
                let text = b"words of the worker";
                let len = scene.chance.below(text.len() as u64);
                let mut result = TaskResult { status, exit, len, time_us, task: *id };
                if self.lies(scene) {
                    match scene.chance.below(4) {
                        0 => result.task = TaskId(scene.chance.between(1, 40) as u32),
                        1 => result.exit = 77,
                        2 => result.status = TaskStatus::from_number(scene.chance.below(90) as u32),
                        // Twice.
                        _ => {
                            FromWorker::Result(result).print(&mut out);
                            out.put_slice(&text[..len as usize]);
                        }
                    }
                }
                FromWorker::Result(result).print(&mut out);
                out.put_slice(&text[..len as usize]);
                sent.push(*id);
            }
        }
        FromWorker::End.print(&mut out);
        scene.deeds.push(Deed::Say(out.freeze()));
        // Once is enough: the outputs stay until the kill.
        for id in sent {
            self.tasks.get_mut(&id).expect("just seen").state = State::Reported;
        }
    }

    fn send_file(&mut self, name: &Bytes, scene: &mut Scene<'_>) {
        let mut out = BytesMut::new();
        let content = self.cache.get(name).cloned();
        let lie = self.lies(scene).then(|| scene.chance.below(5));
        match (content, lie) {
            (Some(content), None | Some(4)) => {
                FromWorker::File { name: name.clone(), len: content.len() as u64 }.print(&mut out);
                out.put_slice(&content);
            }
            (Some(content), Some(0)) => {
                // Announces a terabyte and stops.
                FromWorker::File { name: name.clone(), len: 1 << 40 }.print(&mut out);
                out.put_slice(&content);
            }
            (_, Some(1)) => {
                FromWorker::File { name: Bytes::from_static(b"../../etc/passwd"), len: 4 }.print(&mut out);
                out.put_slice(b"evil");
            }
            (_, Some(2)) => {
                FromWorker::Dir { name: name.clone() }.print(&mut out);
            }
            (Some(content), Some(3)) => {
                for _ in 0..2 {
                    FromWorker::File { name: name.clone(), len: content.len() as u64 }.print(&mut out);
                    out.put_slice(&content);
                }
            }
            _ => FromWorker::Missing { name: name.clone(), errno: 2 }.print(&mut out),
        }
        FromWorker::End.print(&mut out);
        scene.deeds.push(Deed::Say(out.freeze()));
    }

    fn lies(&self, scene: &mut Scene<'_>) -> bool {
        self.nature.lies && scene.faults && scene.chance.once_in(4)
    }

    /// A liar says something that nobody asked for.
    pub(crate) fn babble(&mut self, scene: &mut Scene<'_>) {
        let task = TaskId(scene.chance.between(1, 40) as u32);
        let message = match scene.chance.below(6) {
            0 => FromWorker::Result(TaskResult { status: TaskStatus::Success, exit: 0, len: 0, time_us: 1, task }),
            1 => FromWorker::End,
            2 => FromWorker::AvailableResults,
            3 => FromWorker::File { name: Bytes::from_static(b"a1-o0"), len: 0 },
            4 => FromWorker::Update { task, path: Bytes::from_static(b"log"), offset: 1 << 50, len: 0 },
            _ => FromWorker::Alive,
        };
        self.say(&message, scene);
    }

    /// A foreman loses workers: its tasks begin again elsewhere, or come back undone.
    pub(crate) fn lose_workers(&mut self, scene: &mut Scene<'_>) {
        self.lost_cores = scene.chance.below(self.nature.cores + 1);
        let running: Vec<TaskId> =
            self.tasks.iter().filter(|(_, task)| matches!(task.state, State::Running(_))).map(|(id, _)| *id).collect();
        let mut forsaken = false;
        for id in running {
            match scene.chance.below(3) {
                0 => self.begin(id, true, scene),
                1 => {
                    let task = self.tasks.get_mut(&id).expect("just seen");
                    if let State::Running(run) = task.state {
                        task.state = State::Ended { run, status: TaskStatus::Forsaken, exit: -1, time_us: 0 };
                        task.begins += 1;
                        // Nobody hears of any of them.
                        task.runs.iter().for_each(|run| scene.truth.runs[*run].repeated = true);
                        forsaken = true;
                    }
                }
                _ => {}
            }
        }
        let mut out = BytesMut::new();
        self.print_resources(&mut out);
        scene.deeds.push(Deed::Say(out.freeze()));
        if forsaken {
            self.announce(scene);
        }
    }

    /// The foreman has all its workers again.
    pub(crate) fn regain_workers(&mut self, scene: &mut Scene<'_>) {
        self.lost_cores = 0;
        let mut out = BytesMut::new();
        self.print_resources(&mut out);
        scene.deeds.push(Deed::Say(out.freeze()));
    }

    /// Says that it leaves.
    pub(crate) fn take_leave(&mut self, scene: &mut Scene<'_>) {
        let info = match (scene.chance.below(2), self.nature.protocol.dialect().announces_vacating) {
            (0, true) => Info::Vacating { signal: 15 },
            _ => Info::IdleDisconnecting { seconds: 900 },
        };
        self.say(&FromWorker::Info(info), scene);
        self.hang_up(scene);
    }
}

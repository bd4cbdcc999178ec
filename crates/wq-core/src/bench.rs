//! A bench for tests: the master, a fake clock, and a world that does at once what it is asked, as far as a test
//! does not take that over.

use control_proto::{Act, Action, ClusterRequest, ListingEnd, Query, Reply, Request, Selection, Submit, Targets};
use journal::{Exit, Record};
use userlog::EventJob;
use wq_proto::{FromWorker, Hello, Info, Protocol, Resource, ResourceKind, TaskId, TaskResult, TaskStatus, ToWorker};

use crate::ids::{AttemptId, ClientId, JobId, LinkId, RecordNo, Timestamp};
use crate::io::{Ask, BlobIn, BodyOutcome, Caller, DownReason, Effect, Input, LocalEnd, Prepared, Standing, Trouble};
use crate::{Config, Master};

/// What the world does by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Auto {
    pub(crate) disk: bool,
    pub(crate) prepare: bool,
    pub(crate) socket: bool,
    pub(crate) deliver: bool,
    pub(crate) logs: bool,
    pub(crate) marks: bool,
    pub(crate) history: bool,
    pub(crate) local: bool,
}

pub(crate) struct Bench {
    pub(crate) master: Master,
    pub(crate) now: Timestamp,
    pub(crate) auto: Auto,
    /// All effects, without the `get`s that were answered.
    pub(crate) seen: Vec<Effect>,
    /// Everything that went to the journal.
    pub(crate) journal: Vec<(RecordNo, Record)>,
    /// Everything that went to event logs: number and job.
    pub(crate) events: Vec<(u16, JobId, String)>,
    /// Cross-check the master's tables after each step; what is timed does without.
    pub(crate) checked: bool,
    turn: u32,
    client: u64,
    config: Config,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Bench {
        let mut master = Master::new(config.clone());
        let now = Timestamp(1_000_000_000);
        master.start(now);
        let auto = Auto {
            disk: true,
            prepare: true,
            socket: true,
            deliver: true,
            logs: true,
            marks: true,
            history: true,
            local: true,
        };
        Bench {
            master,
            now,
            auto,
            seen: Vec::new(),
            journal: Vec::new(),
            events: Vec::new(),
            checked: true,
            turn: 0,
            client: 0,
            config,
        }
    }

    /// Another master that reads what this one has written; the event logs are gone.
    pub(crate) fn restarted(&self) -> Bench {
        self.restarted_beside(&[])
    }

    /// The same with event logs that have only these of the events that went there.
    pub(crate) fn restarted_beside(&self, events: &[(u16, JobId, String)]) -> Bench {
        let mut next = Bench::new();
        next.events = events.to_vec();
        next.master = Master::new(Config::default());
        for (no, record) in &self.journal {
            next.master.recover(*no, record);
        }
        next.journal = self.journal.clone();
        next.now = self.now.plus_s(5);
        next.master.start(next.now);
        next.settle();
        next
    }

    /// Another master that this one has handed its links over to, half a second later.
    pub(crate) fn reloaded(&mut self) -> Bench {
        self.input(Input::Pause { on: true });
        assert_eq!(self.master.unrest(), None);
        let core = self.master.handed_over(|_| true);
        self.after(core)
    }

    /// Another master that this state was handed over to.
    pub(crate) fn after(&self, core: handover::Core) -> Bench {
        let state = handover::State { version: handover::VERSION, core, ..handover::State::default() };
        let state = handover::State::read(&state.write().unwrap()).unwrap();
        let mut next = Bench::new();
        next.master = Master::new(self.config.clone());
        next.master.take_over(state.core);
        for (no, record) in &self.journal {
            next.master.recover(*no, record);
        }
        next.journal = self.journal.clone();
        (next.turn, next.client, next.config) = (self.turn, self.client, self.config.clone());
        next.now = Timestamp(self.now.0 + 500_000);
        next.master.start(next.now);
        assert_eq!(next.master.misfits(), [""; 0]);
        next.settle();
        next
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.master.handle(self.now, input);
        self.settle();
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.pass_us(seconds * 1_000_000);
    }

    pub(crate) fn pass_us(&mut self, micros: u64) {
        let end = Timestamp(self.now.0 + micros);
        while let Some(at) = self.master.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.master.on_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn settle(&mut self) {
        self.check();
        while let Some(effect) = self.master.poll_effect() {
            let answer = self.react(&effect);
            self.seen.push(effect);
            if let Some(input) = answer {
                self.master.handle(self.now, input);
                self.check();
            }
            // What a turn left for the next.
            while self.master.poll_timeout().is_some_and(|at| at <= self.now) {
                self.master.on_timeout(self.now);
                self.check();
            }
        }
    }

    fn check(&self) {
        if self.checked {
            self.master.check_invariants();
        }
    }

    fn react(&mut self, effect: &Effect) -> Option<Input> {
        match effect {
            Effect::Record { no, record, promise } => {
                self.journal.push((*no, (**record).clone()));
                (*promise && self.auto.disk).then_some(Input::Stored { upto: *no })
            }
            Effect::Sync { upto } if self.auto.disk => Some(Input::Stored { upto: *upto }),
            Effect::Prepare { attempt, .. } if self.auto.prepare => {
                Some(Input::Prepared { attempt: *attempt, outcome: Ok(Prepared::default()) })
            }
            Effect::Mark { link, attempt } if self.auto.socket => {
                Some(Input::Flushed { link: *link, attempt: *attempt })
            }
            Effect::Deliver { attempt, .. } if self.auto.deliver => {
                Some(Input::Delivered { attempt: *attempt, outcome: Ok(0) })
            }
            Effect::StartLocal { attempt, .. } if self.auto.local => Some(Input::LocalStarted { attempt: *attempt }),
            Effect::EndLocal { attempt } if self.auto.local => {
                let outcome = Ok(LocalEnd { exit: Exit::Signal(9), run_time_us: 1 });
                Some(Input::LocalEnded { attempt: *attempt, outcome })
            }
            Effect::SyncOutputs { upto, .. } if self.auto.marks => {
                Some(Input::OutputsSynced { upto: *upto, done: true })
            }
            Effect::LogMark { token } if self.auto.logs => Some(Input::Logged { token: *token, warnings: Vec::new() }),
            Effect::UserLog(entry) => {
                self.events.extend(entry.events().map(logged));
                None
            }
            Effect::MendLog(mending) => {
                let mut standing = Standing::of_log(false);
                for (number, job, text) in &self.events {
                    let job = EventJob::new(job.cluster as i32, job.proc_ as i32);
                    standing.add(job, *number, text.contains("requeue: Some"));
                }
                self.events.extend(mending.missing(standing).map(logged));
                None
            }
            Effect::Archive(departed) if self.auto.history => Some(Input::Archived { upto: departed.no }),
            Effect::Rows { client, .. } => Some(Input::ClientReady { client: *client }),
            _ => None,
        }
    }

    // ---- peers ----

    pub(crate) fn worker(&mut self, cores: u64) -> LinkId {
        self.peer("Linux", Protocol::V9, [cores, 4096, 10_000, 0], [cores, 4096, 10_000, 0])
    }

    pub(crate) fn peer(&mut self, os: &str, protocol: Protocol, total: [u64; 4], largest: [u64; 4]) -> LinkId {
        self.peer_at(&format!("host{}", self.turn), os, protocol, total, largest)
    }

    /// The same on a host of this name.
    pub(crate) fn peer_at(
        &mut self,
        host: &str,
        os: &str,
        protocol: Protocol,
        total: [u64; 4],
        largest: [u64; 4],
    ) -> LinkId {
        let link = LinkId { slot: self.turn, turn: self.turn };
        self.turn += 1;
        self.input(Input::LinkUp { link, address: format!("127.0.0.1:{}", 40_000 + link.slot) });
        let hello =
            Hello { protocol, host: host.into(), os: os.into(), arch: "x86_64".into(), version: "7.4.16".into() };
        self.say(link, FromWorker::Hello(Box::new(hello)));
        self.resources(link, total, largest);
        link
    }

    pub(crate) fn resources(&mut self, link: LinkId, total: [u64; 4], largest: [u64; 4]) {
        let kinds = [ResourceKind::Cores, ResourceKind::Memory, ResourceKind::Disk, ResourceKind::Gpus];
        for (kind, (total, largest)) in kinds.into_iter().zip(total.into_iter().zip(largest)) {
            let amount = wq_proto::Amount::new;
            let resource = Resource { kind, total: amount(total), smallest: amount(0), largest: amount(largest) };
            self.say(link, FromWorker::Resource(resource));
        }
        self.say(link, FromWorker::Info(Info::EndOfResourceUpdate));
    }

    pub(crate) fn say(&mut self, link: LinkId, message: FromWorker) {
        self.input(Input::Said { link, message });
    }

    pub(crate) fn lose(&mut self, link: LinkId) {
        self.input(Input::LinkDown { link, reason: DownReason::Closed });
    }

    /// The task ids that went to a peer, oldest first, and were not killed.
    pub(crate) fn tasks(&self, link: LinkId) -> Vec<TaskId> {
        let mut tasks = Vec::new();
        for effect in &self.seen {
            match effect {
                Effect::SendTask { link: to, text } if *to == link => {
                    let line = text.split(|b| *b == b'\n').next().unwrap();
                    let number = std::str::from_utf8(line).unwrap().strip_prefix("task ").unwrap();
                    tasks.push(TaskId(number.parse().unwrap()));
                }
                Effect::Tell { link: to, message: ToWorker::Kill(Some(task)) } if *to == link => {
                    tasks.retain(|t| t != task);
                }
                _ => {}
            }
        }
        tasks
    }

    /// A worker reports a task's end and hands over what it is asked for.
    pub(crate) fn end(&mut self, link: LinkId, task: TaskId, exit: i32) {
        self.report(link, task, TaskStatus::Success, exit);
        self.hand_over(link);
    }

    pub(crate) fn report(&mut self, link: LinkId, task: TaskId, status: TaskStatus, exit: i32) {
        self.say(link, FromWorker::AvailableResults);
        self.answer(link, task, status, exit);
    }

    /// The answer to `send_results`.
    pub(crate) fn answer(&mut self, link: LinkId, task: TaskId, status: TaskStatus, exit: i32) {
        self.say(link, FromWorker::Result(TaskResult { status, exit, len: 0, time_us: 1_500_000, task }));
        self.input(Input::BodyDone { link, outcome: BodyOutcome::Text(Vec::new()) });
        self.say(link, FromWorker::End);
        if status != TaskStatus::Success {
            // What was asked for ahead is not there.
            for name in self.gets(link) {
                self.say(link, FromWorker::Missing { name, errno: 2 });
                self.say(link, FromWorker::End);
            }
        }
    }

    /// Answers every `get` seen so far with a file of five bytes.
    pub(crate) fn hand_over(&mut self, link: LinkId) {
        for name in self.gets(link) {
            self.say(link, FromWorker::File { name, len: 5 });
            self.input(Input::BodyDone { link, outcome: BodyOutcome::Stored { size: 5, head: Vec::new() } });
            self.say(link, FromWorker::End);
        }
    }

    /// Names of `get`s seen, which are taken out of what was seen.
    pub(crate) fn gets(&mut self, link: LinkId) -> Vec<bytes::Bytes> {
        let mut names = Vec::new();
        self.seen.retain(|effect| match effect {
            Effect::Tell { link: to, message: ToWorker::Get { name } } if *to == link => {
                names.push(name.clone());
                false
            }
            _ => true,
        });
        names
    }

    // ---- programs of this host ----

    /// Programs that were to be started here, in order, and to be ended.
    pub(crate) fn local(&self) -> (Vec<AttemptId>, Vec<AttemptId>) {
        let (mut started, mut ended) = (Vec::new(), Vec::new());
        for effect in &self.seen {
            match effect {
                Effect::StartLocal { attempt, .. } => started.push(*attempt),
                Effect::EndLocal { attempt } => ended.push(*attempt),
                _ => {}
            }
        }
        (started, ended)
    }

    /// A program ends by itself.
    pub(crate) fn end_local(&mut self, attempt: AttemptId, exit: Exit) {
        self.input(Input::LocalEnded { attempt, outcome: Ok(LocalEnd { exit, run_time_us: 2_000_000 }) });
    }

    // ---- clients ----

    pub(crate) fn ask(&mut self, ask: Ask) -> ClientId {
        self.client += 1;
        let client = ClientId(self.client);
        let caller = Caller { uid: 1000, gid: 1000, name: "alice".into(), superuser: false };
        self.input(Input::Asked { client, caller, ask });
        client
    }

    pub(crate) fn reply(&mut self, client: ClientId) -> Option<Reply> {
        self.seen.iter().find_map(|effect| match effect {
            Effect::Answer { client: to, reply } if *to == client => Some(reply.clone()),
            _ => None,
        })
    }

    pub(crate) fn submission(ad: &[(&str, &str)], procs: u32) -> Ask {
        let mut full: Vec<(String, String)> = [
            ("Cmd", "\"/home/a/agent.sh\""),
            ("Iwd", "\"/home/a\""),
            ("Out", "\"o\""),
            ("Err", "\"o\""),
            ("In", "\"/dev/null\""),
            ("Arguments", "\"\""),
            ("Environment", "\"\""),
            ("JobStatus", "1"),
            ("JobPrio", "0"),
            ("RequestCpus", "1"),
            ("RequestMemory", "128"),
            ("UserLog", "\"/home/a/log\""),
            ("LeaveJobInQueue", "false"),
            ("ShouldTransferFiles", "\"IF_NEEDED\""),
        ]
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect();
        full.extend(ad.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        let cluster = ClusterRequest { ad: full, procs, executable: Some(0), ..ClusterRequest::default() };
        let blob = BlobIn {
            id: crate::ids::BlobId([7; 32]),
            size: 17,
            mode: 0o755,
            inline: Some(bytes::Bytes::from_static(b"#!/bin/sh\necho hi\n")),
        };
        let request = Submit { clusters: vec![cluster], blob_sizes: vec![17], blob_modes: vec![0o755], umask: 0o022 };
        Ask::Submit { request, rows: vec![Vec::new()], blobs: vec![blob] }
    }

    /// Submits and returns the cluster.
    pub(crate) fn submit(&mut self, ad: &[(&str, &str)], procs: u32) -> u32 {
        let client = self.ask(Bench::submission(ad, procs));
        match self.reply(client) {
            Some(Reply::Submitted { clusters, .. }) => clusters[0].cluster,
            other => panic!("submission was answered by {other:?}"),
        }
    }

    pub(crate) fn act(&mut self, action: Action, targets: Targets) -> control_proto::Acted {
        let client = self.ask(Ask::Other(Request::Act(Act { action, targets, reason: None, subcode: None })));
        match self.reply(client) {
            Some(Reply::Acted(acted)) => acted,
            other => panic!("action was answered by {other:?}"),
        }
    }

    /// Asks for attributes of all jobs that match; each row as `Name = text` pairs.
    pub(crate) fn query(&mut self, constraint: &str, attributes: &[&str]) -> Vec<Vec<(String, String)>> {
        let select = Selection { constraints: vec![constraint.to_owned()], ..Selection::default() };
        let attributes = attributes.iter().map(|a| (*a).to_owned()).collect();
        let client = self.ask(Ask::Other(Request::Query(Query { select, attributes, ..Query::default() })));
        self.rows(client)
    }

    /// A whole listing.
    pub(crate) fn rows(&self, client: ClientId) -> Vec<Vec<(String, String)>> {
        let mut rows = Vec::new();
        for effect in &self.seen {
            if let Effect::Rows { client: to, payload } = effect
                && *to == client
            {
                control_proto::listing::read(payload, |row| {
                    rows.push(row.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect());
                })
                .unwrap();
            }
        }
        let end = self.listing_end(client).expect("the listing ends");
        assert_eq!(end.ads, rows.len() as u64);
        rows
    }

    pub(crate) fn listing_end(&self, client: ClientId) -> Option<ListingEnd> {
        self.seen.iter().find_map(|effect| match effect {
            Effect::Finish { client: to, end } if *to == client => Some(*end),
            _ => None,
        })
    }

    /// One attribute of one job, as text.
    pub(crate) fn attribute(&mut self, job: JobId, name: &str) -> Option<String> {
        let rows = self.query(&format!("ClusterId == {} && ProcId == {}", job.cluster, job.proc_), &[name]);
        assert!(rows.len() <= 1);
        rows.into_iter().flatten().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, text)| text)
    }

    pub(crate) fn status(&mut self, job: JobId) -> Option<String> {
        self.attribute(job, "JobStatus")
    }

    pub(crate) fn event_numbers(&self, job: JobId) -> Vec<u16> {
        self.events.iter().filter(|(_, id, _)| *id == job).map(|(number, _, _)| *number).collect()
    }

    /// Attempts whose files are to be looked up.
    pub(crate) fn preparing(&self) -> Vec<AttemptId> {
        self.seen
            .iter()
            .filter_map(|e| if let Effect::Prepare { attempt, .. } = e { Some(*attempt) } else { None })
            .collect()
    }

    pub(crate) fn fail_prepare(&mut self, attempt: AttemptId, code: i32, subcode: i32) {
        let trouble = Trouble { code, subcode, reason: "a reason".into() };
        self.input(Input::Prepared { attempt, outcome: Err(trouble) });
    }
}

fn logged(event: userlog::Event) -> (u16, JobId, String) {
    let job = JobId::new(event.job.cluster as u32, event.job.proc_ as u32);
    (event.kind.number(), job, format!("{:?}", event.kind))
}

//! Targets for bytes that come from outside: workers, clients, disks, command lines.

use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;
use control_proto::frame::{self, Splitter};
use control_proto::{ClusterRequest, HistoryQuery, Reply, Request, Site, Submit, listing};
use journal::powercut::Disk;
use shims::clock::Clock;
use shims::world::{Program, World};
use wq_core::ids::{ClientId, LinkId, Timestamp};
use wq_core::io::{Ask, BlobIn, BodyOutcome, Caller, DownReason, Effect, Input, Prepared, Sink};
use wq_core::{Config, Master};
use wq_proto::{
    Challenge, Decoder, Event, MasterDecoder, MasterHandshake, MasterLimits, Outcome, Password, Protocol,
    WorkerHandshake,
};

/// Cuts the input: the first byte says where.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    rest.chunks(usize::from(*first % 32) + 1)
}

/// What a worker says: read by the master and, as what a master says, by a simulated worker.
pub(super) fn worker(bytes: &[u8]) {
    let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::new());
    let mut printed = BytesMut::new();
    'all: for piece in pieces(bytes) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(Event::Message(message))) => message.print(&mut printed),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => break 'all,
            }
        }
        assert!(buffer.len() <= bytes.len());
    }
    for protocol in [Protocol::V6, Protocol::V8, Protocol::V11] {
        let (mut decoder, mut buffer) = (MasterDecoder::new(protocol, MasterLimits::default()), BytesMut::from(bytes));
        while let Ok(Some(_)) = decoder.decode(&mut buffer) {}
    }
}

const LINK: LinkId = LinkId { slot: 0, turn: 0 };

/// A whole worker in front of a whole master with jobs: what it says goes through the machine that fetches results.
pub(super) fn transfer(bytes: &[u8]) {
    let now = Timestamp(1_000_000_000);
    let mut master = Master::new(Config::default());
    master.start(now);
    let mut world = Shell::default();
    world.input(&mut master, now, three_jobs());
    world.input(&mut master, now, Input::LinkUp { link: LINK, address: "127.0.0.1:4711".into() });
    let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::new());
    let greeting =
        b"workqueue 9 host Linux x86_64 7.4.16\nalive\nresource cores 4 4 4\nresource memory 4096 4096 4096\n\
        resource disk 9999 9999 9999\ninfo end_of_resource_update 0\n";
    let first = bytes.first().copied().unwrap_or_default();
    let greeting = if first & 0x80 == 0 { &greeting[..] } else { b"" };
    for (at, piece) in std::iter::once(greeting).chain(pieces(bytes)).enumerate() {
        buffer.extend_from_slice(piece);
        let now = now.plus_s(at as u64);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(Event::Message(message))) => world.input(&mut master, now, Input::Said { link: LINK, message }),
                Ok(Some(Event::Body(body))) => world.got += body.len() as u64,
                Ok(Some(Event::BodyEnd)) => {
                    let outcome = match world.sink.take() {
                        Some(Sink::Text { .. }) => BodyOutcome::Text(Vec::new()),
                        Some(Sink::Output(_)) => BodyOutcome::Stored { size: world.got, head: Vec::new() },
                        _ => BodyOutcome::Discarded,
                    };
                    world.got = 0;
                    world.input(&mut master, now, Input::BodyDone { link: LINK, outcome });
                }
                Ok(None) => break,
                Err(_) => {
                    let reason = DownReason::Garbage("what it said".into());
                    return world.input(&mut master, now, Input::LinkDown { link: LINK, reason });
                }
            }
            if world.closed {
                return world.input(&mut master, now, Input::LinkDown { link: LINK, reason: DownReason::Ours });
            }
        }
    }
}

/// Jobs that bring back their output, a file and a folder.
fn three_jobs() -> Input {
    let ad = [
        ("Cmd", "\"/home/a/agent.sh\""),
        ("Iwd", "\"/home/a\""),
        ("Out", "\"o\""),
        ("Err", "\"e\""),
        ("JobStatus", "1"),
        ("RequestCpus", "1"),
        ("TransferOutput", "\"file,folder\""),
        ("ShouldTransferFiles", "\"YES\""),
        ("LeaveJobInQueue", "false"),
    ];
    let ad = ad.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
    let cluster = ClusterRequest { ad, procs: 3, executable: Some(0), ..ClusterRequest::default() };
    let inline = Some(bytes::Bytes::from_static(b"#!/bin/sh\n"));
    let blob = BlobIn { id: wq_core::ids::BlobId([7; 32]), size: 10, mode: 0o755, inline };
    let request = Submit { clusters: vec![cluster], blob_sizes: vec![10], blob_modes: vec![0o755], umask: 0o022 };
    let caller = Caller { uid: 1000, gid: 1000, name: "alice".into(), superuser: false };
    Input::Asked {
        client: ClientId(1),
        caller,
        ask: Ask::Submit { request, rows: vec![Vec::new()], blobs: vec![blob] },
    }
}

/// Does at once what a master asks for.
#[derive(Default)]
struct Shell {
    sink: Option<Sink>,
    got: u64,
    closed: bool,
}

impl Shell {
    fn input(&mut self, master: &mut Master, now: Timestamp, input: Input) {
        master.handle(now, input);
        loop {
            master.check_invariants();
            let Some(effect) = master.poll_effect() else { break };
            let answer = match effect {
                Effect::Record { no, promise: true, .. } | Effect::Sync { upto: no } => {
                    Some(Input::Stored { upto: no })
                }
                Effect::Prepare { attempt, .. } => Some(Input::Prepared { attempt, outcome: Ok(Prepared::default()) }),
                Effect::Mark { link, attempt } => Some(Input::Flushed { link, attempt }),
                Effect::Deliver { attempt, .. } => Some(Input::Delivered { attempt, outcome: Ok(0) }),
                Effect::LogMark { token } => Some(Input::Logged { token, warnings: Vec::new() }),
                Effect::Archive(departed) => Some(Input::Archived { upto: departed.no }),
                Effect::Receive { sink, .. } => {
                    self.sink = Some(sink);
                    None
                }
                Effect::Close { .. } => {
                    self.closed = true;
                    None
                }
                _ => None,
            };
            if let Some(answer) = answer {
                master.handle(now, answer);
            }
        }
    }
}

/// Both sides of the password exchange. Nobody guesses the hash of a challenge that he cannot choose.
pub(super) fn password(bytes: &[u8]) {
    let secret = || Password::from_file_content(b"secret\n");
    let mut out = BytesMut::new();
    let mut master = MasterHandshake::start(secret(), Challenge::from_random([1; 32]), &mut out);
    let mut worker = WorkerHandshake::start(secret(), Challenge::from_random([2; 32]), &mut out);
    let (mut to_master, mut to_worker) = (BytesMut::new(), BytesMut::new());
    let (mut master_ended, mut worker_ended) = (false, false);
    for piece in pieces(bytes) {
        to_master.extend_from_slice(piece);
        to_worker.extend_from_slice(piece);
        if !master_ended {
            let outcome = master.advance(&mut to_master, |challenge| challenge.starts_with(b"ours"), &mut out);
            assert_ne!(outcome, Outcome::Accepted);
            master_ended = outcome != Outcome::NeedMore;
        }
        if !worker_ended {
            let outcome = worker.advance(&mut to_worker, &mut out);
            assert_ne!(outcome, Outcome::Accepted);
            worker_ended = outcome != Outcome::NeedMore;
        }
    }
}

/// What comes over the control socket, at either end.
pub(super) fn control(bytes: &[u8]) {
    let mut splitter = Splitter::default();
    let _version = frame::read_preamble(bytes);
    for piece in pieces(bytes) {
        splitter.feed(piece);
        loop {
            match splitter.next_frame() {
                Ok(Some((_, payload))) => payloads(payload),
                Ok(None) => break,
                Err(_) => return payloads(bytes),
            }
        }
    }
    payloads(bytes);
}

fn payloads(payload: &[u8]) {
    let _request = serde_json::from_slice::<Request>(payload);
    let _question = serde_json::from_slice::<HistoryQuery>(payload);
    let mut parts = payload.splitn(2, |byte| *byte == b'\n');
    let _site = parts.next().map(serde_json::from_slice::<Site>);
    let _reply = parts.next().map(serde_json::from_slice::<Reply>);
    let mut rows = 0;
    let _damage = listing::read(payload, |_| rows += 1);
    assert!(rows <= payload.len() + 1);
    for columns in [1, 3] {
        let mut rest = payload;
        while let Some((_, behind)) = classad::unpack_row(rest, columns) {
            assert!(behind.len() < rest.len());
            rest = behind;
        }
    }
}

/// A record's payload, and a file of the journal: alone, and behind sound records.
pub(super) fn journal(bytes: &[u8]) {
    if let [kind, version, payload @ ..] = bytes
        && let Ok(record) = ::journal::frame::decode(*kind, *version, payload)
    {
        let mut disk = Disk::new();
        let mut writer = ::journal::Writer::create([7; 16]);
        writer.append(&record).expect("what was read fits");
        writer.take_batch().expect("a record was appended").carry_out(&mut disk).expect("memory does not fail");
        let mut sound = disk.content(1).expect("it was written").to_vec();
        read_all(&disk);
        sound.extend_from_slice(payload);
        disk.set_content(1, sound);
        read_all(&disk);
    }
    let mut disk = Disk::new();
    disk.set_content(1, bytes.to_vec());
    read_all(&disk);
}

fn read_all(disk: &Disk) {
    let mut read = 0;
    let _recovery = ::journal::replay(disk, |_| read += 1);
    let mut through = 0;
    let _end = ::journal::read_through(disk, |_| through += 1);
    assert!(through >= read);
    let mut copy = Disk::new();
    if let Ok(saved) = ::journal::salvage(disk, &mut copy, [9; 16]) {
        assert!(saved.records >= read);
        ::journal::replay(&copy, |_| ()).expect("a salvaged journal is sound");
    }
}

/// Programs whose command lines touch no file.
const PROGRAMS: &[(&str, Program)] = &[
    ("condor_q", shims::query::run),
    ("condor_status", shims::status::run),
    ("condor_rm", shims::act::rm),
    ("condor_hold", shims::act::hold),
    ("condor_release", shims::act::release),
    ("condor_prio", shims::prio::run),
    ("condor_qedit", shims::qedit::run),
    ("condor_config_val", shims::config_val::run),
    ("condor_transfer_data", shims::transfer_data::run),
    ("condor_vacate_job", shims::act::vacate_job),
];

/// A command line of one of them, one word a line, without a master: nothing is on standard output but help and versions.
pub(super) fn command(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.split('\n');
    let number = words.next().and_then(|word| word.bytes().next()).unwrap_or_default();
    let (program, run) = PROGRAMS[usize::from(number) % PROGRAMS.len()];
    // No file outside the folder that is not there.
    let words: Vec<String> = words.map(|word| word.replace('/', "_")).collect();
    let world = World {
        program,
        work_dir: PathBuf::from("/nonexistent/awq"),
        patience: Duration::ZERO,
        cwd: "/nonexistent".to_owned(),
        variables: Vec::new(),
        host: "host.example.org".to_owned(),
        uid: 1000,
        umask: 0o022,
        now_s: 1_795_290_000,
        clock: Clock::new(jiff::tz::TimeZone::UTC),
        output_is_screen: false,
        screen_columns: None,
        input_is_screen: false,
        errors_are_read: false,
    };
    let outcome = run(&words, &mut std::io::empty(), &world);
    let first = outcome.err.first().copied().unwrap_or_default();
    assert!(!first.is_ascii_digit(), "no line of ours looks like a job's");
}

//! Records of every kind, and small journals made of them.

use journal::powercut::{Dice, Disk};
use journal::{
    Allocation, Blob, CheckpointBegin, CheckpointBlob, CheckpointCluster, CheckpointEnd, CheckpointFactory,
    CheckpointJob, ClockMark, Edited, Ended, EventsUpto, Exit, Held, HistoryUpto, HoldReason, How, JobEnding, JobId,
    JobStatus, JobStory, LeftQueue, Lost, LostReason, OutputsUpto, Record, Released, Removed, Started, Storage,
    Submitted, SubmittedCluster, Taken, Writer, replay,
};

/// Number of kinds that [`of_kind`] knows.
pub(crate) const KINDS: u64 = 20;

/// A record that depends on the seed alone.
pub(crate) fn record(seed: u64) -> Record {
    let mut dice = Dice::new(seed);
    let kind = dice.below(13);
    of_kind(kind, &mut dice)
}

fn text(dice: &mut Dice) -> String {
    let texts = ["", "alice", "via condor_rm (by user alice)", "zwölf Boxkämpfer", "a\nb\0c"];
    let mut text = texts[dice.below(5) as usize].to_owned();
    if dice.below(8) == 0 {
        text += &"x".repeat(dice.below(2000) as usize);
    }
    text
}

fn bytes(dice: &mut Dice, most: u64) -> Vec<u8> {
    (0..dice.below(most)).map(|_| dice.roll() as u8).collect()
}

fn hash(dice: &mut Dice) -> [u8; 32] {
    std::array::from_fn(|_| dice.roll() as u8)
}

fn job(dice: &mut Dice) -> JobId {
    JobId::new(1 + dice.below(1 << 31) as u32, dice.below(1_000_000) as u32)
}

fn seconds(dice: &mut Dice) -> i64 {
    dice.roll() as i64 >> dice.below(60)
}

fn exit(dice: &mut Dice) -> Exit {
    match dice.below(2) {
        0 => Exit::Code(dice.roll() as i32),
        _ => Exit::Signal(dice.below(64) as i32),
    }
}

fn maybe<T>(dice: &mut Dice, make: impl FnOnce(&mut Dice) -> T) -> Option<T> {
    if dice.below(2) == 0 { Some(make(dice)) } else { None }
}

fn reason(dice: &mut Dice) -> LostReason {
    LostReason::ALL[dice.below(LostReason::ALL.len() as u64) as usize]
}

fn blob(dice: &mut Dice) -> Blob {
    let inline = maybe(dice, |dice| bytes(dice, 700));
    let len = inline.as_ref().map_or(1 << 30, |bytes| bytes.len() as u64);
    Blob { hash: hash(dice), len, mode: 0o755, inline }
}

fn held(dice: &mut Dice) -> Held {
    Held {
        job: job(dice),
        at_s: seconds(dice),
        code: 12,
        subcode: 28,
        reason: text(dice),
        attempt: maybe(dice, |dice| dice.roll() as u32),
        exit: maybe(dice, exit),
    }
}

fn released(dice: &mut Dice) -> Released {
    Released { job: job(dice), at_s: seconds(dice), reason: text(dice) }
}

fn removed(dice: &mut Dice) -> Removed {
    Removed { job: job(dice), at_s: seconds(dice), reason: text(dice) }
}

fn started(dice: &mut Dice) -> Started {
    Started {
        job: job(dice),
        at_s: seconds(dice),
        attempt: 1 + dice.below(9) as u32,
        host: text(dice),
        slot: "slot1@worker.example.org".to_owned(),
        cpus: 8,
        memory_mb: dice.roll(),
        disk_mb: dice.roll(),
        gpus: 1,
    }
}

fn lost(dice: &mut Dice) -> Lost {
    Lost {
        job: job(dice),
        at_s: seconds(dice),
        attempt: dice.roll() as u32,
        counted: dice.below(2) == 0,
        reason: reason(dice),
        text: text(dice),
    }
}

fn ended(dice: &mut Dice) -> Ended {
    Ended {
        job: job(dice),
        at_s: seconds(dice),
        wall_s: seconds(dice),
        attempt: dice.roll() as u32,
        exit: exit(dice),
        run_time_us: dice.roll(),
        started_s: seconds(dice),
        bytes_sent: dice.roll(),
        bytes_received: dice.roll(),
        sizes: (0..dice.below(4)).map(|_| dice.roll()).collect(),
        host: text(dice),
        requeued: maybe(dice, text),
    }
}

fn hold_reason(dice: &mut Dice) -> HoldReason {
    HoldReason { code: 12, subcode: -1, reason: text(dice) }
}

fn story(dice: &mut Dice) -> JobStory {
    JobStory {
        status_since_s: maybe(dice, seconds),
        last_status: Some(JobStatus::Idle),
        starts: dice.roll() as u32,
        hold: maybe(dice, hold_reason),
        last_hold: maybe(dice, hold_reason),
        vacate: maybe(dice, |dice| (text(dice), seconds(dice))),
        vacates: vec![("WorkerLost".to_owned(), 3)],
        edits: edits(dice),
        run_time_s: seconds(dice),
        host: maybe(dice, text),
        allocation: maybe(dice, |dice| Allocation { cpus: 8, memory_mb: dice.roll(), disk_mb: 1, gpus: 0 }),
        ending: maybe(dice, |dice| JobEnding {
            exit: exit(dice),
            at_s: seconds(dice),
            bytes_sent: dice.roll(),
            bytes_received: 7,
        }),
        ..JobStory::default()
    }
}

fn edits(dice: &mut Dice) -> Vec<(String, Option<String>)> {
    (0..dice.below(4)).map(|_| ("JobPrio".to_owned(), maybe(dice, text))).collect()
}

fn ad(dice: &mut Dice) -> Vec<(String, String)> {
    (0..dice.below(6)).map(|_| (text(dice), text(dice))).collect()
}

/// A record of the kind with this index; the first 13 make an ordinary history.
pub(crate) fn of_kind(kind: u64, dice: &mut Dice) -> Record {
    match kind {
        0 => {
            let clusters = (0..1 + dice.below(3)).map(|_| SubmittedCluster {
                cluster: 1 + dice.below(1 << 31) as u32,
                procs: dice.below(100) as u32,
                first_proc: dice.below(3) as u32,
                ad: ad(dice),
                varying: vec!["Args".to_owned(), "Out".to_owned()],
                rows: bytes(dice, 900),
                executable: maybe(dice, |_| 0),
                proxy: maybe(dice, |_| 1),
                token: maybe(dice, |_| 65_535),
            });
            let clusters = clusters.collect();
            let blobs = (0..dice.below(3)).map(|_| blob(dice)).collect();
            Submitted {
                at_s: seconds(dice),
                wall_s: seconds(dice),
                uid: 1000,
                gid: u32::MAX,
                owner: text(dice),
                clusters,
                blobs,
            }
            .into()
        }
        1 => Edited { job: job(dice), at_s: seconds(dice), attributes: edits(dice) }.into(),
        2 => held(dice).into(),
        3 => released(dice).into(),
        4 => removed(dice).into(),
        5 => started(dice).into(),
        6 => lost(dice).into(),
        7 => ended(dice).into(),
        8 => {
            let how = if dice.below(2) == 0 { How::Completed } else { How::Removed };
            LeftQueue { job: job(dice), at_s: seconds(dice), how }.into()
        }
        9 => Taken { device: 64_768, inode: dice.roll(), ctime_ns: seconds(dice), size: 99 }.into(),
        10 => ClockMark {
            boot_id: std::array::from_fn(|_| dice.roll() as u8),
            boottime_us: dice.roll(),
            service_s: seconds(dice),
            wall_offset_s: seconds(dice),
        }
        .into(),
        11 => EventsUpto { seq: 0 }.into(),
        12 => HistoryUpto { seq: 0 }.into(),
        13 => CheckpointBegin { next_cluster: dice.roll() as u32, at_s: seconds(dice) }.into(),
        14 => CheckpointBlob { uid: 1000, blob: blob(dice) }.into(),
        15 => CheckpointCluster {
            cluster: dice.roll() as u32,
            procs: 17,
            at_s: seconds(dice),
            wall_s: seconds(dice),
            uid: 0,
            gid: 0,
            owner: text(dice),
            ad: ad(dice),
            varying: Vec::new(),
            executable: maybe(dice, hash),
            proxy: None,
            token: maybe(dice, hash),
        }
        .into(),
        16 => CheckpointJob {
            reflects_seq: dice.roll(),
            job: job(dice),
            row: bytes(dice, 100),
            status: JobStatus::Running,
            story: maybe(dice, |dice| Box::new(story(dice))),
        }
        .into(),
        17 => CheckpointEnd { begin_seq: dice.roll(), jobs: dice.roll() }.into(),
        18 => OutputsUpto { seq: dice.roll() }.into(),
        19 => CheckpointFactory {
            cluster: dice.roll() as u32,
            procs: maybe(dice, |dice| (dice.roll() as u32, dice.roll() as u32)),
            rows: bytes(dice, 100),
        }
        .into(),
        _ => unreachable!("there are {KINDS} kinds"),
    }
}

/// Carries out what the writer has gathered, syncs it if it asks or `sync` says so, and writes the mark that follows.
pub(crate) fn commit(writer: &mut Writer, disk: &mut Disk, sync: bool) {
    let Some(batch) = writer.take_batch() else { return };
    batch.carry_out(disk).unwrap();
    if batch.must_sync || sync {
        disk.sync(batch.segment).unwrap();
        writer.synced(batch.upto_seq);
        if let Some(mark) = writer.take_batch() {
            assert!(!mark.must_sync);
            mark.carry_out(disk).unwrap();
        }
    }
}

/// All records that come out, with their numbers.
pub(crate) fn read_back(disk: &Disk) -> Vec<(u64, Record)> {
    let mut records = Vec::new();
    replay(disk, |entry| records.push((entry.seq, entry.record))).unwrap();
    records
}

//! Writes a small journal with a record of every kind into a folder, and what is in it into `records.txt` beside.
//!
//! Run once for each version of the format, never again for an old one:
//! `cargo run -p journal --example freeze_journal -- tests/data/journal/v3`

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use journal::powercut::Disk;
use journal::{
    Allocation, Blob, CheckpointBegin, CheckpointBlob, CheckpointCluster, CheckpointEnd, CheckpointFactory,
    CheckpointJob, ClockMark, Edited, Ended, EventsUpto, Exit, Held, HistoryUpto, HoldReason, How, JobId, JobStatus,
    JobStory, LeftQueue, Lost, LostReason, OutputsUpto, Record, Released, Removed, Started, Storage, Submitted,
    SubmittedCluster, Taken, Writer, replay, segment_name,
};

fn main() {
    let folder = PathBuf::from(env::args_os().nth(1).expect("the folder to write to is the only argument"));
    let mut disk = Disk::new();
    let mut writer = Writer::create(*b"frozen journal 1").with_rotation_at(400);
    for record in history().iter().chain(&checkpoint()).chain(&afterwards()) {
        writer.append(record).expect("small records fit");
        let batch = writer.take_batch().expect("a record was appended");
        batch.carry_out(&mut disk).expect("memory does not fail");
        if batch.must_sync {
            writer.synced(batch.upto_seq);
        }
    }
    // The last record is torn, as a power cut may leave it.
    let last = *writer.segments().keys().next_back().expect("there is a segment");
    let len = disk.len(last).expect("memory does not fail");
    disk.truncate(last, len - 3).expect("memory does not fail");

    fs::create_dir_all(&folder).expect("the folder can be created");
    for segment in disk.list().expect("memory does not fail") {
        let content = disk.content(segment).expect("it is listed");
        fs::write(folder.join(segment_name(segment)), content).expect("the folder can be written to");
    }
    let mut text = String::new();
    let recovery = replay(&disk, |entry| {
        writeln!(text, "{entry:?}").expect("strings take everything");
    })
    .expect("what was just written can be read");
    writeln!(text, "{recovery:?}").expect("strings take everything");
    fs::write(folder.join("records.txt"), text).expect("the folder can be written to");
}

fn blob() -> Blob {
    let content = b"#!/bin/sh\nexit 7\n".to_vec();
    Blob { hash: [0xA5; 32], len: content.len() as u64, mode: 0o755, inline: Some(content) }
}

fn ad() -> Vec<(String, String)> {
    vec![("Cmd".to_owned(), "\"/home/alice/job.sh\"".to_owned()), ("RequestCpus".to_owned(), "2".to_owned())]
}

fn history() -> Vec<Record> {
    let first = JobId::new(1, 0);
    let second = JobId::new(1, 1);
    let cluster = SubmittedCluster {
        cluster: 1,
        procs: 2,
        first_proc: 0,
        ad: ad(),
        varying: vec!["Args".to_owned()],
        rows: vec![3, b'"', b'0', b'"', 3, b'"', b'1', b'"'],
        executable: Some(0),
        proxy: None,
        token: Some(1),
    };
    let large = Blob { hash: [0x5A; 32], len: 70_000, mode: 0o600, inline: None };
    let submitted = Submitted {
        at_s: 100,
        wall_s: 1_795_290_000,
        uid: 1000,
        gid: 100,
        owner: "alice".to_owned(),
        clusters: vec![cluster],
        blobs: vec![blob(), large],
    };
    vec![
        ClockMark { boot_id: [7; 16], boottime_us: 1_500_000, service_s: 100, wall_offset_s: 1_795_289_900 }.into(),
        submitted.into(),
        Taken { device: 64_769, inode: 4711, ctime_ns: 1_795_289_999_123_456_789, size: 412 }.into(),
        started(first, 1).into(),
        started(second, 1).into(),
        lost().into(),
        EventsUpto { seq: 0 }.into(),
        held(first).into(),
        Released { job: first, at_s: 140, reason: "via condor_release (by user alice)".to_owned() }.into(),
        Edited {
            job: first,
            at_s: 145,
            attributes: vec![("JobPrio".to_owned(), Some("10".to_owned())), ("Rank".to_owned(), None)],
        }
        .into(),
        ended(second).into(),
        HistoryUpto { seq: 11 }.into(),
        LeftQueue { job: second, at_s: 160, how: How::Completed }.into(),
        OutputsUpto { seq: 14 }.into(),
    ]
}

fn started(job: JobId, attempt: u32) -> Started {
    Started {
        job,
        at_s: 110,
        attempt,
        host: "worker1.example.org".to_owned(),
        slot: "slot1@worker1.example.org".to_owned(),
        cpus: 2,
        memory_mb: 4096,
        disk_mb: 20_000,
        gpus: 0,
    }
}

fn lost() -> Lost {
    Lost {
        job: JobId::new(1, 0),
        at_s: 120,
        attempt: 1,
        counted: true,
        reason: LostReason::LinkLost,
        text: "connection to worker1.example.org lost".to_owned(),
    }
}

fn held(job: JobId) -> Held {
    Held {
        job,
        at_s: 130,
        code: 12,
        subcode: 28,
        reason: "No space left on device".to_owned(),
        attempt: Some(1),
        exit: Some(Exit::Signal(9)),
    }
}

fn ended(job: JobId) -> Ended {
    Ended {
        job,
        at_s: 150,
        wall_s: 1_795_290_050,
        attempt: 1,
        exit: Exit::Code(7),
        run_time_us: 40_000_000,
        started_s: 110,
        bytes_sent: 17,
        bytes_received: 1234,
        sizes: vec![1200, 34],
        host: "worker1.example.org".to_owned(),
        requeued: None,
    }
}

fn checkpoint() -> Vec<Record> {
    let job = JobId::new(1, 0);
    let cluster = CheckpointCluster {
        cluster: 1,
        procs: 2,
        at_s: 100,
        wall_s: 1_795_290_000,
        uid: 1000,
        gid: 100,
        owner: "alice".to_owned(),
        ad: ad(),
        varying: vec!["Args".to_owned()],
        executable: Some([0xA5; 32]),
        proxy: None,
        token: Some([0x5A; 32]),
    };
    let story = JobStory {
        status_since_s: Some(140),
        last_status: Some(JobStatus::Held),
        attempts: 1,
        starts: 1,
        losses: 1,
        holds: 1,
        system_holds: 1,
        last_hold: Some(HoldReason { code: 12, subcode: 28, reason: "No space left on device".to_owned() }),
        release_reason: Some("via condor_release (by user alice)".to_owned()),
        vacate: Some((lost().text, lost().at_s)),
        vacates: vec![("WorkerLost".to_owned(), 1)],
        edits: vec![("JobPrio".to_owned(), Some("10".to_owned())), ("Rank".to_owned(), None)],
        first_start_s: Some(110),
        start_s: Some(110),
        run_time_s: 10,
        last_host: Some("slot1@worker1.example.org".to_owned()),
        allocation: Some(Allocation { cpus: 2, memory_mb: 4096, disk_mb: 20_000, gpus: 0 }),
        ..JobStory::default()
    };
    let row = vec![3, b'"', b'0', b'"'];
    let state = CheckpointJob { reflects_seq: 15, job, row, status: JobStatus::Idle, story: Some(story.into()) };
    let others = CheckpointCluster { cluster: 2, procs: 3, executable: None, token: None, ..cluster.clone() };
    // Records and marks have one numbering; the begin is found at this number by the test that reads it.
    let begin_seq = 21;
    vec![
        CheckpointBegin { next_cluster: 3, at_s: 170 }.into(),
        CheckpointBlob { uid: 1000, blob: blob() }.into(),
        cluster.into(),
        state.into(),
        others.into(),
        CheckpointFactory { cluster: 2, procs: Some((1, 3)), rows: vec![3, b'"', b'1', b'"'] }.into(),
        CheckpointFactory { cluster: 2, procs: None, rows: vec![3, b'"', b'2', b'"'] }.into(),
        CheckpointEnd { begin_seq, jobs: 1 }.into(),
    ]
}

fn afterwards() -> Vec<Record> {
    let job = JobId::new(1, 0);
    vec![
        Removed { job, at_s: 180, reason: "via condor_rm (by user alice)".to_owned() }.into(),
        LeftQueue { job, at_s: 181, how: How::Removed }.into(),
    ]
}

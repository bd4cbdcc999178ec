//! Measures how fast a journal is written and read back, in memory.
//!
//! `cargo run --release -p journal --example measure_replay -- 1000000`

use std::env;
use std::time::Instant;

use journal::powercut::Disk;
use journal::{
    Allocation, CheckpointBegin, CheckpointCluster, CheckpointEnd, CheckpointJob, JobId, JobStatus, JobStory, Record,
    Storage, Writer, replay,
};

fn main() {
    let jobs: u32 = env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number of jobs"));
    let mut disk = Disk::new();
    let mut writer = Writer::create([1; 16]);

    let begun = Instant::now();
    let begin_seq = append(&mut writer, &CheckpointBegin { next_cluster: 2, at_s: 0 }.into());
    append(&mut writer, &cluster());
    for proc_ in 0..jobs {
        append(&mut writer, &checkpoint_job(proc_));
        if proc_ % 1000 == 999 {
            carry_out(&mut writer, &mut disk);
        }
    }
    append(&mut writer, &CheckpointEnd { begin_seq, jobs: u64::from(jobs) }.into());
    carry_out(&mut writer, &mut disk);
    let written = begun.elapsed();
    let size = disk.size();

    let begun = Instant::now();
    let mut records = 0u64;
    replay(&disk, |_| records += 1).expect("what was just written can be read");
    let read = begun.elapsed();

    let per_job = |time: std::time::Duration| time.as_nanos() / u128::from(jobs.max(1));
    println!("{jobs} jobs, {} bytes a job", size / u64::from(jobs.max(1)));
    println!("written in {written:?} ({} ns a job)", per_job(written));
    println!("{records} records read back in {read:?} ({} ns a job)", per_job(read));
}

fn append(writer: &mut Writer, record: &Record) -> u64 {
    writer.append(record).expect("small records fit")
}

fn carry_out(writer: &mut Writer, disk: &mut Disk) {
    if let Some(batch) = writer.take_batch() {
        batch.carry_out(disk).expect("memory does not fail");
        disk.sync_dir().expect("memory does not fail");
        writer.synced(batch.upto_seq);
    }
}

fn cluster() -> Record {
    CheckpointCluster {
        cluster: 1,
        procs: 1_000_000,
        at_s: 0,
        wall_s: 0,
        uid: 1000,
        gid: 1000,
        owner: "alice".to_owned(),
        ad: (0..60).map(|n| (format!("Attribute{n}"), format!("\"value {n}\""))).collect(),
        varying: vec!["Args".to_owned(), "Out".to_owned(), "Err".to_owned()],
        executable: Some([1; 32]),
        proxy: None,
        token: None,
    }
    .into()
}

/// A running job with two values of its own.
fn checkpoint_job(proc_: u32) -> Record {
    let job = JobId::new(1, proc_);
    CheckpointJob {
        reflects_seq: u64::from(proc_),
        job,
        row: format!("\"input{proc_}.dat\"\"out.{proc_}\"\"err.{proc_}\"").into_bytes(),
        status: JobStatus::Running,
        story: Some(Box::new(JobStory {
            status_since_s: Some(1_000),
            last_status: Some(JobStatus::Idle),
            attempts: 1,
            starts: 1,
            start_s: Some(1_000),
            host: Some("slot1@worker17.example.org".to_owned()),
            allocation: Some(Allocation { cpus: 1, memory_mb: 2048, disk_mb: 10_000, gpus: 0 }),
            ..JobStory::default()
        })),
    }
    .into()
}

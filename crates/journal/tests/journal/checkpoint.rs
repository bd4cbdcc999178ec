//! Checkpoints: what they make superfluous goes, nothing else does.

use std::collections::BTreeMap;

use journal::powercut::{Dice, Disk};
use journal::{
    CheckpointBegin, CheckpointEnd, CheckpointJob, Entry, EventsUpto, Fault, HistoryUpto, How, JobId, JobStatus,
    JobStory, JournalError, LeftQueue, Record, Released, Storage, Submitted, SubmittedCluster, Writer, replay, survey,
};

use crate::records::commit;

/// The smallest queue: each job counts its releases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Queue {
    jobs: BTreeMap<JobId, (u64, u32)>,
    next_cluster: u32,
    reflected: BTreeMap<JobId, u64>,
}

impl Queue {
    fn apply(&mut self, seq: u64, record: &Record) {
        match record {
            Record::Submitted(submitted) => {
                for cluster in &submitted.clusters {
                    self.next_cluster = self.next_cluster.max(cluster.cluster + 1);
                    for proc_ in 0..cluster.procs {
                        self.jobs.insert(JobId::new(cluster.cluster, proc_), (seq, 0));
                    }
                }
            }
            Record::Released(released) => {
                let reflected = self.reflected.get(&released.job).is_some_and(|upto| seq <= *upto);
                if let Some((last, count)) = self.jobs.get_mut(&released.job).filter(|_| !reflected) {
                    (*last, *count) = (seq, *count + 1);
                }
            }
            Record::LeftQueue(left) => {
                self.jobs.remove(&left.job);
            }
            Record::CheckpointBegin(begin) => self.next_cluster = self.next_cluster.max(begin.next_cluster),
            Record::CheckpointJob(job) => {
                let releases = job.story.as_ref().map_or(0, |story| story.holds);
                self.jobs.insert(job.job, (job.reflects_seq, releases));
                self.reflected.insert(job.job, job.reflects_seq);
            }
            _ => {}
        }
    }

    fn recovered(disk: &Disk) -> Queue {
        let mut queue = Queue::default();
        replay(disk, |Entry { seq, before_checkpoint, record, .. }| {
            if !before_checkpoint {
                queue.apply(seq, &record);
            }
        })
        .unwrap();
        queue.reflected.clear();
        queue
    }
}

fn submitted(cluster: u32, procs: u32) -> Record {
    let cluster = SubmittedCluster {
        cluster,
        procs,
        first_proc: 0,
        ad: vec![("Cmd".to_owned(), "\"/bin/true\"".to_owned())],
        varying: Vec::new(),
        rows: Vec::new(),
        executable: None,
        proxy: None,
        token: None,
    };
    Submitted {
        at_s: 1,
        wall_s: 2,
        uid: 1000,
        gid: 1000,
        owner: "alice".to_owned(),
        clusters: vec![cluster],
        blobs: Vec::new(),
    }
    .into()
}

fn checkpoint_job(job: JobId, reflects_seq: u64, count: u32) -> Record {
    let story = JobStory { holds: count, ..JobStory::default() };
    CheckpointJob { reflects_seq, job, row: Vec::new(), status: JobStatus::Idle, story: Some(story.into()) }.into()
}

/// A queue with its journal.
struct World {
    disk: Disk,
    writer: Writer,
    queue: Queue,
    checkpoint_seq: u64,
}

impl World {
    fn new() -> World {
        World {
            disk: Disk::new(),
            writer: Writer::create([1; 16]).with_rotation_at(700),
            queue: Queue::default(),
            checkpoint_seq: 0,
        }
    }

    fn write(&mut self, record: Record) -> u64 {
        let seq = self.writer.append(&record).unwrap();
        if !matches!(record, Record::CheckpointJob(_)) {
            self.queue.apply(seq, &record);
        }
        seq
    }

    /// Something happens to some job.
    fn step(&mut self, dice: &mut Dice) {
        let some = self.queue.jobs.keys().nth(dice.below(1 + self.queue.jobs.len() as u64) as usize).copied();
        match (dice.below(3), some) {
            (0, Some(job)) => self.write(LeftQueue { job, at_s: 1, how: How::Completed }.into()),
            (1, Some(job)) => self.write(Released { job, at_s: 1, reason: "via condor_release".to_owned() }.into()),
            _ if self.queue.jobs.len() < 20 => {
                let cluster = self.queue.next_cluster.max(1);
                self.write(submitted(cluster, 1 + dice.below(3) as u32))
            }
            _ => self.write(EventsUpto { seq: self.writer.next_seq() - 1 }.into()),
        };
        if dice.below(3) == 0 {
            commit(&mut self.writer, &mut self.disk, true);
        }
    }

    /// Writes a checkpoint while other things happen; gives up after `jobs` of them.
    fn checkpoint(&mut self, dice: &mut Dice, jobs: u64) {
        self.writer.rotate();
        let next_cluster = self.queue.next_cluster;
        let begin_seq = self.write(CheckpointBegin { next_cluster, at_s: 1 }.into());
        let upto = begin_seq - 1;
        self.write(EventsUpto { seq: upto }.into());
        self.write(HistoryUpto { seq: upto }.into());
        let (mut cursor, mut written) = (JobId::new(0, 0), 0);
        while let Some((&job, &(reflects, count))) = self.queue.jobs.range(cursor..).next() {
            if written == jobs {
                return;
            }
            self.write(checkpoint_job(job, reflects, count));
            written += 1;
            cursor = JobId::new(job.cluster, job.proc_ + 1);
            self.step(dice);
        }
        self.write(CheckpointEnd { begin_seq, jobs: written }.into());
        commit(&mut self.writer, &mut self.disk, true);
        self.checkpoint_seq = begin_seq;
        for step in self.writer.compact(begin_seq, upto, upto) {
            step.carry_out(&mut self.disk).unwrap();
        }
    }

    fn check(&mut self) {
        commit(&mut self.writer, &mut self.disk, true);
        assert_eq!(Queue::recovered(&self.disk), self.queue);
    }
}

#[test]
fn a_queue_comes_back_the_same_whatever_was_checkpointed_when() {
    for seed in 0..150 {
        let mut dice = Dice::new(seed);
        let mut world = World::new();
        for _ in 0..150 {
            match dice.below(30) {
                0 => world.checkpoint(&mut dice, u64::MAX),
                1 => {
                    let jobs = dice.below(4);
                    world.checkpoint(&mut dice, jobs);
                }
                2 => {
                    world.check();
                    let recovery = survey(&world.disk).unwrap();
                    world.writer = recovery.writer([3; 16]).with_rotation_at(700);
                }
                _ => world.step(&mut dice),
            }
        }
        world.check();
    }
}

#[test]
fn turnover_does_not_grow_the_journal() {
    let mut dice = Dice::new(5);
    let mut world = World::new();
    let mut most = 0;
    for _ in 0..200 {
        for _ in 0..50 {
            world.step(&mut dice);
        }
        world.checkpoint(&mut dice, u64::MAX);
        most = most.max(world.disk.size());
    }
    world.check();
    assert!(world.writer.next_seq() > 10_000);
    assert!(most < 40_000, "{most} bytes for 20 jobs");
}

#[test]
fn segments_stay_until_events_and_history_are_past_them() {
    let mut world = World::new();
    for cluster in 1..80 {
        world.write(submitted(cluster, 1));
    }
    commit(&mut world.writer, &mut world.disk, true);
    let next = world.writer.next_seq();
    let count = world.writer.segments().len();
    assert!(count > 4);
    assert_eq!(world.writer.compact(next, 0, next), []);
    assert_eq!(world.writer.compact(next, next, 0), []);
    assert_eq!(world.writer.compact(1, next, next), []);
    let second = world.writer.segments()[&2].first_seq;
    assert_eq!(world.writer.compact(next, second - 1, next).len(), 1);
    assert_eq!(world.writer.compact(next, next, next).len(), count - 2);
}

#[test]
fn records_before_a_checkpoint_come_as_far_as_their_events_are_due() {
    let mut world = World::new();
    let first = world.write(submitted(1, 1));
    let second = world.write(submitted(2, 1));
    world.write(HistoryUpto { seq: second }.into());
    world.write(EventsUpto { seq: first }.into());
    let begin_seq = world.write(CheckpointBegin { next_cluster: 3, at_s: 1 }.into());
    world.write(checkpoint_job(JobId::new(1, 0), first, 0));
    world.write(checkpoint_job(JobId::new(2, 0), second, 0));
    world.write(CheckpointEnd { begin_seq, jobs: 2 }.into());
    commit(&mut world.writer, &mut world.disk, true);
    let mut before = Vec::new();
    let recovery = replay(&world.disk, |entry| {
        if entry.before_checkpoint {
            before.push(entry.seq);
        }
    })
    .unwrap();
    assert_eq!(before, [second, second + 1, second + 2]);
    assert_eq!((recovery.events_upto, recovery.history_upto), (first, second));
    assert_eq!(recovery.checkpoint.unwrap().jobs, 2);
}

#[test]
fn removals_that_a_power_cut_undoes_do_no_harm() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let mut world = World::new();
        for _ in 0..60 {
            world.step(&mut dice);
        }
        // The power goes in the middle of the removals.
        world.disk.crash();
        world.writer.rotate();
        let begin_seq = world.write(CheckpointBegin { next_cluster: world.queue.next_cluster, at_s: 1 }.into());
        let jobs: Vec<_> = world.queue.jobs.iter().map(|(job, (seq, count))| (*job, *seq, *count)).collect();
        for (job, seq, count) in &jobs {
            world.write(checkpoint_job(*job, *seq, *count));
        }
        world.write(CheckpointEnd { begin_seq, jobs: jobs.len() as u64 }.into());
        commit(&mut world.writer, &mut world.disk, true);
        world.disk.power_off_after(1 + dice.below(8));
        for step in world.writer.compact(begin_seq, u64::MAX, u64::MAX) {
            if step.carry_out(&mut world.disk).is_err() {
                break;
            }
        }
        world.disk.cut(seed);
        let recovered = Queue::recovered(&world.disk);
        assert_eq!(recovered.jobs.keys().collect::<Vec<_>>(), world.queue.jobs.keys().collect::<Vec<_>>());
    }
}

/// A checkpoint that is longer than a segment goes piece by piece when the next one has ended.
#[test]
fn the_rest_of_an_older_checkpoint_does_no_harm_behind_a_newer_one() {
    let mut dice = Dice::new(3);
    let mut world = World::new();
    for _ in 0..200 {
        world.step(&mut dice);
    }
    let upto = world.writer.next_seq() - 1;
    for _ in 0..2 {
        world.writer.rotate();
        let begin_seq = world.write(CheckpointBegin { next_cluster: world.queue.next_cluster, at_s: 1 }.into());
        let jobs: Vec<_> = world.queue.jobs.iter().map(|(job, (seq, count))| (*job, *seq, *count)).collect();
        for (job, seq, count) in &jobs {
            world.write(checkpoint_job(*job, *seq, *count));
        }
        world.write(CheckpointEnd { begin_seq, jobs: jobs.len() as u64 }.into());
        commit(&mut world.writer, &mut world.disk, true);
        world.checkpoint_seq = begin_seq;
    }
    let steps = world.writer.compact(world.checkpoint_seq, upto + 1000, upto + 1000);
    assert!(steps.len() > 3, "the first checkpoint has several segments");
    for step in steps {
        step.carry_out(&mut world.disk).unwrap();
        assert_eq!(Queue::recovered(&world.disk).jobs, world.queue.jobs);
    }
}

#[test]
fn a_checkpoint_that_lacks_jobs_is_refused() {
    let mut world = World::new();
    let begin_seq = world.write(CheckpointBegin { next_cluster: 1, at_s: 1 }.into());
    world.write(checkpoint_job(JobId::new(1, 0), 0, 0));
    world.write(CheckpointEnd { begin_seq, jobs: 2 }.into());
    commit(&mut world.writer, &mut world.disk, true);
    assert!(matches!(survey(&world.disk), Err(JournalError::Checkpoint { expected: 2, found: 1, .. })));
}

#[test]
fn older_segments_may_be_missing_only_behind_a_checkpoint() {
    let mut world = World::new();
    for cluster in 1..80 {
        world.write(submitted(cluster, 1));
    }
    commit(&mut world.writer, &mut world.disk, true);
    world.disk.remove(1).unwrap();
    let error = survey(&world.disk).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { fault: Fault::Missing { segment: 1 }, .. }), "{error}");
}

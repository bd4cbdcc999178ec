//! Checkpoints: what replay makes of them is what it makes of the whole journal, wherever a crash cuts it.

use control_proto::{Action, ClusterRequest, Edit, Request, Submit, Targets};
use journal::{EventsUpto, Record};

use crate::bench::Bench;
use crate::ids::{JobId, LinkId, RecordNo, Timestamp};
use crate::io::{Ask, BlobIn, Effect, Input};
use crate::{Config, Master};

/// Splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

type Journal = [(RecordNo, Record)];

fn of_checkpoint(record: &Record) -> bool {
    matches!(
        record,
        Record::CheckpointBegin(_)
            | Record::CheckpointBlob(_)
            | Record::CheckpointCluster(_)
            | Record::CheckpointJob(_)
            | Record::CheckpointFactory(_)
            | Record::CheckpointEnd(_)
    )
}

/// Begin and end of the last complete checkpoint, as places in the journal.
fn last_complete(journal: &Journal) -> Option<(usize, usize)> {
    let end = journal.iter().rposition(|(_, record)| matches!(record, Record::CheckpointEnd(_)))?;
    let Record::CheckpointEnd(told) = &journal[end].1 else { unreachable!("just seen") };
    let begin = journal.iter().position(|(no, _)| no.0 == told.begin_seq).expect("the end names its begin");
    let jobs = journal[begin..end].iter().filter(|(_, record)| matches!(record, Record::CheckpointJob(_)));
    assert_eq!(jobs.count() as u64, told.jobs);
    Some((begin, end))
}

/// A master that has read these records, and everything that it does at its start.
fn start(records: &Journal, now: Timestamp, boot_id: [u8; 16]) -> (Bench, String) {
    let mut bench = Bench::new();
    bench.master = Master::new(Config { boot_id, ..Config::default() });
    for (no, record) in records {
        bench.master.recover(*no, record);
    }
    bench.master.check_invariants();
    let kept = format!("{:?} {}", bench.master.blobs(), bench.master.next_cluster());
    bench.now = now;
    bench.auto.disk = false;
    bench.master.start(now);
    bench.input(Input::WallOffset { offset_s: 0 });
    let effects = format!("{:#?}\n{kept}", bench.seen);
    (bench, effects)
}

/// Shows only where two texts begin to differ.
fn assert_same(got: &str, expected: &str, seed: u64) {
    let (got, expected): (Vec<_>, Vec<_>) = (got.lines().collect(), expected.lines().collect());
    let at = got.iter().zip(&expected).take_while(|(a, b)| a == b).count();
    let near = |lines: &[&str]| lines[at.saturating_sub(12).min(lines.len())..(at + 12).min(lines.len())].join("\n");
    assert!(got == expected, "seed {seed}: the checkpoint gives\n{}\nthe journal\n{}", near(&got), near(&expected));
}

/// What replay of single records tells less exactly than the live master, and so a checkpoint, when a run was stopped by
/// order.
const STOPPED_RUNS: [&str; 8] = [
    "LastJobStatus",
    "LastRemoteHost",
    "LastVacateTime",
    "NumVacates",
    "NumVacatesByReason",
    "RemoteHost",
    "RemoteWallClockTime",
    "VacateReason",
];

/// All that clients can see, but for these attributes.
fn all_ads(bench: &mut Bench, without: &[&str]) -> String {
    let mut rows = bench.query("true", &[]);
    rows.iter_mut().for_each(|row| {
        row.retain(|(name, _)| !without.contains(&name.as_str()));
        row.sort();
    });
    format!("{rows:#?}")
}

fn submit(b: &mut Bench, dice: &mut Dice) {
    let window = ["JobMaterializeLimit", "JobMaterializeMaxIdle"].get(dice.below(6) as usize);
    let procs = 1 + dice.below(if window.is_some() { 9 } else { 4 }) as u32;
    let Ask::Submit { mut request, mut blobs, .. } = Bench::submission(
        &[("Args", "\"x\""), ("Err", "\"e.\u{1}.\u{2}\""), ("Rank", &dice.below(3).to_string())],
        procs,
    ) else {
        unreachable!("a submission")
    };
    let Submit { clusters, .. } = &mut request;
    let mut rows = Vec::new();
    if dice.below(2) == 0 {
        clusters[0].varying = vec!["Args".to_owned(), "RequestCpus".to_owned()];
        for proc in 0..procs {
            let args = format!("\"{proc}\"");
            classad::pack_row(&mut rows, &[Some(&args), if proc % 2 == 0 { None } else { Some("1 + 0") }]);
        }
    }
    if dice.below(5) == 0 {
        let ClusterRequest { ad, .. } = &mut clusters[0];
        ad.retain(|(name, _)| name != "JobStatus");
        ad.push(("JobStatus".to_owned(), "5".to_owned()));
    }
    if let Some(window) = window {
        clusters[0].ad.push(((*window).to_owned(), (1 + dice.below(3)).to_string()));
    }
    if dice.below(8) == 0 {
        clusters[0].ad.push(("LeaveJobInQueue".to_owned(), "JobStatus == 4".to_owned()));
    }
    blobs[0] = BlobIn { id: crate::ids::BlobId([dice.below(3) as u8; 32]), ..blobs[0].clone() };
    b.ask(Ask::Submit { request, rows: vec![rows], blobs });
}

fn some_job(b: &mut Bench, dice: &mut Dice) -> Option<(u32, u32)> {
    let rows = b.query("true", &["ClusterId", "ProcId"]);
    let row = rows.get(dice.below(rows.len().max(1) as u64) as usize)?;
    let number = |at: usize| row[at].1.parse().unwrap();
    Some((number(0), number(1)))
}

fn step(b: &mut Bench, dice: &mut Dice, links: &mut Vec<LinkId>) {
    let some_link =
        |dice: &mut Dice, links: &[LinkId]| links.get(dice.below(links.len().max(1) as u64) as usize).copied();
    match dice.below(16) {
        0 | 1 => submit(b, dice),
        2 => links.push(b.worker(1 + dice.below(3))),
        3 => {
            if let Some(link) = some_link(dice, links) {
                links.retain(|other| *other != link);
                b.lose(link);
            }
        }
        4..=7 => {
            if let Some(link) = some_link(dice, links)
                && let Some(task) = b.tasks(link).first().copied()
            {
                b.end(link, task, dice.below(2) as i32);
            }
        }
        8..=10 => {
            if b.auto.disk
                && let Some(job) = some_job(b, dice)
            {
                let actions = [Action::Hold, Action::Release, Action::Remove, Action::Vacate];
                let cluster = Targets::Constraint(format!("ClusterId == {}", job.0));
                match dice.below(8) {
                    // What has not entered goes along, or waits.
                    0 => b.act(Action::Remove, cluster),
                    1 => b.act([Action::Hold, Action::Release][dice.below(2) as usize], cluster),
                    _ => b.act(actions[dice.below(4) as usize], Targets::Jobs(vec![job])),
                };
            }
        }
        11 => b.input(Input::CompactionDue),
        12 => b.auto.disk = false,
        13 => {
            b.auto.disk = true;
            if let Some((no, _)) = b.journal.last() {
                b.input(Input::Stored { upto: *no });
            }
        }
        14 => {
            if b.auto.disk
                && let Some(job) = some_job(b, dice)
            {
                let changes =
                    [("JobPrio", "7"), ("RequestCpus", "2"), ("Requirements", "Machine != \"x\""), ("Foo", "1")];
                let (name, text) = changes[dice.below(4) as usize];
                let attributes = vec![(name.to_owned(), text.to_owned())];
                let edit = Edit { targets: Targets::Jobs(vec![job]), attributes, evaluate: false, dry_run: false };
                b.ask(Ask::Other(Request::Edit(edit)));
            }
        }
        _ => b.pass(dice.below(12)),
    }
}

#[test]
fn a_checkpoint_gives_back_what_the_whole_journal_gives() {
    let (mut compared, mut of_many) = (0, 0);
    for seed in 0..20 {
        let mut dice = Dice(seed);
        let mut b = Bench::new();
        let mut links = Vec::new();
        let mut compared_to = 0;
        for _ in 0..150 {
            step(&mut b, &mut dice, &mut links);
            let Some((begin, end)) = last_complete(&b.journal) else { continue };
            if end == compared_to && dice.below(10) > 0 {
                continue;
            }
            compared_to = end;
            let cut = end + 1 + dice.below((b.journal.len() - end) as u64) as usize;
            // What is not of this checkpoint is of one that was never completed: the journal does not give it out.
            let given = |at: usize, record: &Record| (begin..=end).contains(&at) || !of_checkpoint(record);
            let mut new = b.journal[..cut].to_vec();
            new.push((RecordNo(new[cut - 1].0.0 + 1), EventsUpto { seq: 0 }.into()));
            let whole: Vec<_> = new.iter().filter(|(_, record)| !of_checkpoint(record)).cloned().collect();
            let mut at = 0;
            new.retain(|(_, record)| {
                at += 1;
                at > begin && given(at - 1, record)
            });
            let now = b.now.plus_s(1 + dice.below(100));
            let (mut whole, expected) = start(&whole, now, [0; 16]);
            let (mut new, effects) = start(&new, now, [0; 16]);
            assert_same(&effects, &expected, seed);
            assert_same(&all_ads(&mut new, &STOPPED_RUNS), &all_ads(&mut whole, &STOPPED_RUNS), seed);
            compared += 1;
            of_many += usize::from(new.master.totals().jobs > 3);
        }
        // When nothing runs any more, it is the live queue to the last attribute.
        b.auto.disk = true;
        b.input(Input::WallOffset { offset_s: 0 });
        let last = b.journal.last().map_or(RecordNo(0), |(no, _)| *no);
        b.input(Input::Stored { upto: last });
        links.drain(..).for_each(|link| b.lose(link));
        b.pass(100);
        b.input(Input::CompactionDue);
        b.pass(1);
        let (begin, _) = last_complete(&b.journal).expect("nothing is in its way");
        let (mut new, _) = start(&b.journal[begin..], b.now, [0; 16]);
        assert_same(&all_ads(&mut new, &[]), &all_ads(&mut b, &[]), seed);
    }
    println!("{compared} journals compared, {of_many} of more than three jobs");
    assert!(compared > 50 && of_many > 20, "{compared} {of_many}");
}

#[test]
fn a_task_on_its_way_while_its_job_is_written_counts_as_started_after_a_crash() {
    let mut b = Bench::new();
    b.auto.socket = false;
    b.worker(1);
    b.submit(&[], 1);
    b.input(Input::CompactionDue);
    b.pass(1);
    let (begin, _) = last_complete(&b.journal).expect("nothing is in its way");
    let (mut after, _) = start(&b.journal[begin..], b.now, [0; 16]);
    assert_eq!(after.attribute(JobId::new(1, 0), "NumJobStarts").as_deref(), Some("1"));
    assert_eq!(after.attribute(JobId::new(1, 0), "VacateReason").as_deref(), Some("\"the service was restarted\""));
}

#[test]
fn the_end_waits_for_logs_and_outputs() {
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 2);
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    (b.auto.logs, b.auto.marks) = (false, false);
    let ended = |b: &Bench| b.journal.iter().any(|(_, record)| matches!(record, Record::CheckpointEnd(_)));
    b.input(Input::CompactionDue);
    b.pass(20);
    let upto = b.seen.iter().find_map(|e| if let Effect::SyncOutputs { upto, .. } = e { Some(*upto) } else { None });
    b.input(Input::OutputsSynced { upto: upto.expect("a mark is asked for at once"), done: true });
    b.pass(5);
    assert!(!ended(&b));
    let tokens: Vec<u64> =
        b.seen.iter().filter_map(|e| if let Effect::LogMark { token } = e { Some(*token) } else { None }).collect();
    for token in tokens {
        b.input(Input::Logged { token, warnings: Vec::new() });
    }
    b.pass(1);
    assert!(ended(&b));
}

#[test]
fn a_hold_that_begins_while_a_checkpoint_is_written_is_told_after_a_crash() {
    let mut complete = 0;
    for steps in 0..5 {
        let mut b = Bench::new();
        b.worker(1);
        b.submit(&[], 1);
        b.pass(10);
        b.input(Input::CompactionDue);
        for _ in 0..steps {
            let at = b.master.poll_timeout().expect("a checkpoint has timers");
            b.pass_us(at.0.saturating_sub(b.now.0));
        }
        b.act(control_proto::Action::Hold, control_proto::Targets::Jobs(vec![(1, 0)]));
        b.pass(1);
        assert!(!b.event_numbers(JobId::new(1, 0)).contains(&12), "the worker has not answered yet");
        // One that has the hold in its job's record waits for its event.
        let Some((begin, _)) = last_complete(&b.journal) else { continue };
        let (after, _) = start(&b.journal[begin..], b.now, [0; 16]);
        assert!(after.event_numbers(JobId::new(1, 0)).contains(&12), "{steps}");
        complete += 1;
    }
    assert!(complete > 1, "{complete}");
}

#[test]
fn a_run_that_was_being_ended_while_its_job_was_written_is_over_after_a_crash() {
    let mut b = Bench::new();
    b.worker(1);
    b.submit(&[], 1);
    for action in [control_proto::Action::Hold, control_proto::Action::Release] {
        b.act(action, control_proto::Targets::Jobs(vec![(1, 0)]));
    }
    b.input(Input::CompactionDue);
    b.pass(1);
    let (begin, _) = last_complete(&b.journal).expect("nothing is in its way");
    let (mut after, _) = start(&b.journal[begin..], b.now, [0; 16]);
    assert_eq!(after.attribute(JobId::new(1, 0), "RemoteHost"), None);
    assert!(after.attribute(JobId::new(1, 0), "LastRemoteHost").is_some());
}

#[test]
fn one_checkpoint_at_a_time_in_slices_and_none_while_the_journal_cannot_be_written() {
    let mut b = Bench::new();
    b.submit(&[], 1000);
    let jobs = |b: &Bench| b.journal.iter().filter(|(_, r)| matches!(r, Record::CheckpointJob(_))).count();
    let begins = |b: &Bench| b.journal.iter().filter(|(_, r)| matches!(r, Record::CheckpointBegin(_))).count();
    b.input(Input::CompactionDue);
    b.input(Input::CompactionDue);
    let first = jobs(&b);
    assert!(first <= 200, "{first} jobs in a turn");
    b.pass(1);
    assert_eq!((jobs(&b), begins(&b)), (1000, 1));
    b.input(Input::CompactionDue);
    b.input(Input::StoreFull { reason: "No space left on device".into(), refused: vec![] });
    b.pass(10);
    assert!(jobs(&b) < 1300, "given up");
    b.input(Input::CompactionDue);
    assert_eq!(begins(&b), 2);
    b.input(Input::StoreRoom);
    b.input(Input::CompactionDue);
    b.pass(2);
    assert_eq!(begins(&b), 3);
    assert_eq!(last_complete(&b.journal).map(|(begin, _)| b.journal[begin].0), {
        let begin = b.journal.iter().rfind(|(_, record)| matches!(record, Record::CheckpointBegin(_)));
        begin.map(|(no, _)| *no)
    });
}

#[test]
fn a_full_disk_refuses_submissions_and_everything_else_waits_for_room() {
    use control_proto::{Refusal, Reply};
    let mut b = Bench::new();
    let w = b.worker(1);
    b.submit(&[], 4);
    b.auto.disk = false;
    let waiting = b.ask(Bench::submission(&[], 1));
    let refused = b.journal.pop().expect("the submission").0;
    let task = b.tasks(w)[0];
    b.end(w, task, 0);
    let last = b.journal.last().unwrap().0;
    let starts = |b: &Bench| b.journal.iter().filter(|(_, record)| matches!(record, Record::Started(_))).count();
    b.input(Input::StoreFull { reason: "No space left on device".into(), refused: vec![refused] });
    let later = b.ask(Bench::submission(&[], 1));
    for client in [waiting, later] {
        match b.reply(client) {
            Some(Reply::Refused { code: Refusal::Storage, message, .. }) => {
                assert!(message.contains("No space left on device"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    let first = JobId::new(1, 0);
    assert_eq!(b.status(first).as_deref(), Some("2"), "its end is not on disk yet");
    let sent = b.tasks(w).len();
    b.worker(1);
    assert_eq!(starts(&b), sent, "nothing new is sent");
    b.auto.disk = true;
    b.input(Input::StoreRoom);
    assert_eq!(starts(&b), sent + 1, "the next one is");
    b.input(Input::Stored { upto: last });
    assert_eq!(b.status(first), None);
    assert_eq!(b.submit(&[], 1), 3, "the refused number is used up");
    let mut after = b.restarted();
    assert_eq!(after.query("true", &["ClusterId"]).len(), 4);
}

//! A planned restart at each moment of a history: it is refused, or nobody can tell that it was.

use std::cell::RefCell;

use control_proto::{Action, Targets};
use journal::Record;
use wq_proto::{FromWorker, TaskResult, TaskStatus};

use crate::bench::Bench;
use crate::ids::LinkId;
use crate::io::{BodyOutcome, Input};

type Step<'a> = Box<dyn Fn(&mut Bench) + 'a>;

/// What became of the jobs, as the journal has it.
fn story(b: &Bench) -> Vec<String> {
    let records = b.journal.iter().filter_map(|(_, record)| match record {
        Record::Submitted(submitted) => Some(format!("submitted {}", submitted.clusters.len())),
        Record::Started(started) => Some(format!("started {} {} {}", started.job, started.attempt, started.host)),
        Record::Lost(lost) => Some(format!("lost {} {} {:?}", lost.job, lost.attempt, lost.reason)),
        Record::Ended(ended) => Some(format!("ended {} {} {:?}", ended.job, ended.attempt, ended.exit)),
        Record::Held(held) => Some(format!("held {} {}", held.job, held.code)),
        Record::Released(released) => Some(format!("released {}", released.job)),
        Record::Removed(removed) => Some(format!("removed {}", removed.job)),
        Record::LeftQueue(left) => Some(format!("left {} {:?}", left.job, left.how)),
        _ => None,
    });
    let mut story: Vec<String> = Vec::new();
    for line in records {
        // A start says again who left, as long as it does not know that the history has him.
        if !(line.starts_with("left") && story.contains(&line)) {
            story.push(line);
        }
    }
    story
}

/// The history: two workers, one of them lost, jobs that end, fail, are held and removed while they run.
fn history(links: &RefCell<Vec<LinkId>>) -> Vec<Step<'_>> {
    let worker = |cores| move |b: &mut Bench| links.borrow_mut().push(b.worker(cores));
    let link = move |at: usize| links.borrow()[at];
    let say =
        |at: usize, message: FromWorker| Box::new(move |b: &mut Bench| b.say(link(at), message.clone())) as Step<'_>;
    let act = |action: Action, proc_: u32| {
        Box::new(move |b: &mut Bench| drop(b.act(action, Targets::Jobs(vec![(1, proc_)])))) as Step<'_>
    };
    let mut steps: Vec<Step<'_>> =
        vec![Box::new(worker(2)), Box::new(|b| assert_eq!(b.submit(&[], 6), 1)), Box::new(worker(1))];
    // Word by word: the result of the first task that is there, and its output.
    let mut end = |at: usize, status: TaskStatus, exit: i32| {
        steps.push(say(at, FromWorker::AvailableResults));
        steps.push(Box::new(move |b| {
            let task = b.tasks(link(at))[0];
            b.say(link(at), FromWorker::Result(TaskResult { status, exit, len: 0, time_us: 5, task }));
        }));
        let text = move |b: &mut Bench| {
            b.input(Input::BodyDone { link: link(at), outcome: BodyOutcome::Text(Vec::new()) });
        };
        steps.push(Box::new(text));
        steps.push(say(at, FromWorker::End));
        steps.push(Box::new(move |b| {
            for name in b.gets(link(at)) {
                b.say(link(at), FromWorker::File { name, len: 5 });
                let outcome = BodyOutcome::Stored { size: 5, head: Vec::new() };
                b.input(Input::BodyDone { link: link(at), outcome });
                b.say(link(at), FromWorker::End);
            }
        }));
    };
    end(0, TaskStatus::Success, 0);
    end(1, TaskStatus::Success, 3);
    end(0, TaskStatus::Forsaken, 0);
    steps.extend([act(Action::Hold, 3), say(0, FromWorker::Alive), act(Action::Release, 3)]);
    steps.extend([act(Action::Remove, 1), say(0, FromWorker::Alive), say(0, FromWorker::Alive)]);
    steps.push(Box::new(|b| b.pass(40)));
    steps.push(Box::new(move |b| b.lose(link(1))));
    for _ in 0..6 {
        steps.push(Box::new(move |b| {
            if let Some(task) = b.tasks(link(0)).first().copied() {
                b.end(link(0), task, 0);
            }
        }));
    }
    steps
}

/// The story with a restart before each of these steps, and how many there were.
fn play(at: impl Fn(usize) -> bool) -> (Vec<String>, usize) {
    let links = RefCell::default();
    let (mut b, mut reloads) = (Bench::new(), 0);
    for (no, step) in history(&links).iter().enumerate() {
        if at(no) {
            b.input(Input::Pause { on: true });
            if b.master.unrest().is_none() {
                let mut next = b.reloaded();
                // The workers go on with what they have heard.
                next.seen.splice(0..0, std::mem::take(&mut b.seen));
                (b, reloads) = (next, reloads + 1);
            } else {
                b.input(Input::Pause { on: false });
            }
        }
        step(&mut b);
    }
    assert_eq!(b.query("true", &["ClusterId"]).len(), 0, "all jobs are over");
    (story(&b), reloads)
}

#[test]
fn a_reload_at_each_moment_of_a_history_changes_no_story() {
    let (expected, _) = play(|_| false);
    assert!(expected.iter().filter(|line| line.starts_with("ended")).count() >= 4, "{expected:#?}");
    let steps = history(&RefCell::default()).len();
    let mut done = 0;
    for moment in 0..steps {
        let (story, reloads) = play(|no| no == moment);
        assert_eq!(story, expected, "a reload before step {moment}");
        done += reloads;
    }
    assert!(done * 2 > steps, "only {done} of {steps} moments are restful");
    let (story, reloads) = play(|_| true);
    assert_eq!((story, reloads), (expected, done), "a reload before each step");
}

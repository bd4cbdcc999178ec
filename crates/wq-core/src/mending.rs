//! Events that a job event log may lack after a crash.
//!
//! The journal says how far the logs were for sure; of everything behind that the events may stand in them or not. Promises
//! (submission, end, hold, release, removal) are told of in the order of their records, so what stands there is the first
//! few of them. Begins and ends of runs are told before their records are on disk, if these ever are: for them the log
//! itself says whether a run goes on in it.

use userlog::{Event, EventJob, Kind};

use crate::log_entry::LogEntry;

/// When an event is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Unless it stands there.
    Missing,
    /// The same for the hold of this number, from 1, of its job: another one may stand there.
    MissingHold(u32),
    /// If the log does not tell of the run of this number, from 1, that began. Starts that came to nothing before their last
    /// byte was out are counted as well.
    RunUntold(u32),
    /// If the run of this number, or one before, goes on in the log.
    RunOpen(u32),
}

/// What one event log may lack.
#[derive(Debug)]
pub struct Mending {
    /// Absolute path.
    pub path: String,
    /// `log_xml = true`.
    pub xml: bool,
    pub(crate) events: Vec<(When, LogEntry)>,
}

/// What an event says of its job's story; others are not told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    RunBegins,
    RunEnds,
    /// Number of the event. An end with which the job's policy sent it back to the queue is a promise as well.
    Promise(u16),
}

impl Told {
    fn of(number: u16, is_requeue: bool) -> Option<Told> {
        match number {
            1 => Some(Told::RunBegins),
            4 if !is_requeue => Some(Told::RunEnds),
            0 | 4 | 5 | 9 | 12 | 13 | 35..=38 => Some(Told::Promise(number)),
            _ => None,
        }
    }
}

/// Number of the event of a hold.
const HELD: u16 = 12;

/// The events that stand in a log, or at its end.
#[derive(Debug)]
pub struct Standing {
    told: Vec<(EventJob, Told)>,
    is_tail: bool,
}

impl Standing {
    /// None yet, of a log of which all (or only its end) is read.
    pub fn of_log(is_tail: bool) -> Standing {
        Standing { told: Vec::new(), is_tail }
    }

    /// The next event: its job, its number, and whether it tells that the job's policy sent it back to the queue.
    pub fn add(&mut self, job: EventJob, number: u16, is_requeue: bool) {
        if let Some(told) = Told::of(number, is_requeue) {
            self.told.push((job, told));
        }
    }
}

/// Where a job's story is, while what it lacks is found.
struct Cursor {
    /// So many promises are still to come that stand there.
    standing: usize,
    runs: bool,
    /// Runs that the log tells of, where all of it is known.
    begins: Option<u32>,
}

impl Cursor {
    fn new(standing: &[(EventJob, Told)], promises: &[(u16, Option<u32>)], is_tail: bool) -> Cursor {
        let there: Vec<u16> = standing
            .iter()
            .filter_map(|(_, told)| if let Told::Promise(number) = told { Some(*number) } else { None })
            .collect();
        let first_hold = promises.iter().find_map(|(_, hold)| *hold);
        // The first so many promises are the last ones that stand there.
        let fits = |count: &usize| {
            let (_, last) = there.split_at(there.len() - count);
            last.iter().zip(promises).all(|(there, (number, _))| there == number)
        };
        // A job that was held and released before has the same events twice: the number of holds tells which these are.
        let fits_holds = |count: &usize| {
            let before = there[..there.len() - count].iter().filter(|number| **number == HELD).count();
            first_hold.is_none_or(|hold| before + 1 == hold as usize)
        };
        let mut counts = (0..=there.len().min(promises.len())).rev().filter(fits);
        let longest = counts.next().unwrap_or(0);
        let is_whole = there.first() == Some(&0);
        let standing_promises = match is_whole {
            true => std::iter::once(longest).chain(counts).find(fits_holds).unwrap_or(longest),
            false => longest,
        };
        // The journal knows of runs that began before the end that was read.
        let runs = standing.last().map_or(is_tail, |(_, last)| *last == Told::RunBegins);
        let begins = standing.iter().filter(|(_, told)| *told == Told::RunBegins).count() as u32;
        Cursor { standing: standing_promises, runs, begins: is_whole.then_some(begins) }
    }

    /// Whether the next event of the job is to be written.
    fn writes(&mut self, when: When) -> bool {
        let stands = self.standing > 0;
        match when {
            When::Missing | When::MissingHold(_) if stands => self.standing -= 1,
            When::Missing | When::MissingHold(_) => self.runs = false,
            When::RunUntold(number) if !stands => {
                let is_told = self.runs || self.begins.is_some_and(|begins| begins >= number);
                if !is_told {
                    self.runs = true;
                    self.begins = self.begins.map(|begins| begins + 1);
                }
                return !is_told;
            }
            When::RunOpen(number) if !stands => {
                let goes_on = self.runs && self.begins.is_none_or(|begins| begins <= number);
                self.runs &= !goes_on;
                return goes_on;
            }
            When::RunUntold(_) | When::RunOpen(_) => {}
        }
        !stands
    }
}

impl Mending {
    /// Of this log, nothing yet.
    pub fn new(path: &str, xml: bool) -> Mending {
        Mending { path: path.to_owned(), xml, events: Vec::new() }
    }

    /// The log may lack a promise.
    pub fn may_lack(&mut self, entry: LogEntry) {
        self.events.push((When::Missing, entry));
    }

    /// The log may lack the hold of this number, from 1, of its job.
    pub fn may_lack_hold(&mut self, hold: u32, entry: LogEntry) {
        self.events.push((When::MissingHold(hold), entry));
    }

    /// When the first of these events happened, in seconds of the wall clock: what stood in the log before is not looked
    /// for.
    pub fn first_s(&self) -> Option<i64> {
        self.events.iter().map(|(_, entry)| entry.event.time.wall_s).min()
    }

    /// The events that are to be appended to a log in which these stand. A million jobs of one submission may be among them, so
    /// that what is known of each is small, and its event made when it is asked for.
    pub fn missing(&self, standing: Standing) -> impl Iterator<Item = Event> + '_ {
        let Standing { mut told, is_tail } = standing;
        told.sort_by_key(|(job, _)| *job);
        let of_entry = |(at, (_, entry)): (usize, &(When, LogEntry))| entry.jobs().map(move |job| (job, at as u32));
        let mut expected: Vec<(EventJob, u32)> = self.events.iter().enumerate().flat_map(of_entry).collect();
        expected.sort_by_key(|(job, _)| *job);
        let mut missing: Vec<(u32, EventJob)> = Vec::new();
        let (mut told, mut promises) = (&told[..], Vec::new());
        for of_job in expected.chunk_by(|(one, _), (other, _)| one == other) {
            let job = of_job[0].0;
            told = &told[told.partition_point(|(other, _)| *other < job)..];
            let (there, rest) = told.split_at(told.partition_point(|(other, _)| *other == job));
            told = rest;
            promises.clear();
            for (_, at) in of_job {
                let (when, entry) = &self.events[*at as usize];
                let hold = match when {
                    When::Missing => None,
                    When::MissingHold(hold) => Some(*hold),
                    When::RunUntold(_) | When::RunOpen(_) => continue,
                };
                promises.push((entry.event.kind.number(), hold));
            }
            let mut cursor = Cursor::new(there, &promises, is_tail);
            missing.extend(
                of_job.iter().filter(|(_, at)| cursor.writes(self.events[*at as usize].0)).map(|(_, at)| (*at, job)),
            );
        }
        drop(expected);
        missing.sort_unstable();
        missing.into_iter().map(|(at, job)| Event { job, ..self.events[at as usize].1.event.clone() })
    }
}

/// Whether a `004` tells that the job's policy sent it back to the queue.
pub fn is_requeue(kind: &Kind) -> bool {
    matches!(kind, Kind::Evicted(evicted) if evicted.requeue.is_some())
}

#[cfg(test)]
mod tests {
    use userlog::{EventTime, Evicted};

    use super::*;

    const JOB: EventJob = EventJob::new(7, 0);

    fn kind(number: u16) -> Kind {
        match number {
            0 => Kind::Submit(userlog::Submit::default()),
            1 => Kind::Execute(userlog::Execute::default()),
            4 => Kind::Evicted(Box::<Evicted>::default()),
            9 => Kind::Aborted(None),
            12 => Kind::Held(userlog::Held { reason: String::new(), code: 1, subcode: 0 }),
            13 => Kind::Released(None),
            other => panic!("{other}"),
        }
    }

    /// The numbers that a log gets in which `there` stands: of events that are told when `when` says so.
    fn gets(there: &[u16], is_tail: bool, lacks: &[(When, u16)]) -> Vec<u16> {
        let mut standing = Standing::of_log(is_tail);
        there.iter().for_each(|number| standing.add(JOB, *number, false));
        let mut mending = Mending::new("/log", false);
        for (when, number) in lacks {
            let event = Event { job: JOB, time: EventTime::seconds(0), kind: kind(*number) };
            mending.events.push((*when, LogEntry { path: "/log".into(), xml: false, event, more: 0 }));
        }
        mending.missing(standing).map(|event| event.kind.number()).collect()
    }

    const HOLD: [(When, u16); 2] = [(When::RunOpen(1), 4), (When::MissingHold(1), 12)];
    const LOST: [(When, u16); 2] = [(When::RunOpen(1), 4), (When::RunOpen(2), 4)];

    #[test]
    fn the_rest_of_the_promises_is_missing_wherever_a_crash_cut_them_off() {
        let lacks = [(When::Missing, 0), HOLD[0], HOLD[1], (When::Missing, 13), (When::Missing, 9)];
        let whole = [0, 12, 13, 9];
        for there in 0..=whole.len() {
            assert_eq!(gets(&whole[..there], false, &lacks), whole[there..]);
        }
    }

    #[test]
    fn a_run_is_ended_in_the_log_exactly_if_the_log_tells_of_one() {
        let lost = LOST;
        assert_eq!(gets(&[0], false, &lost), [0; 0], "its begin was never told");
        assert_eq!(gets(&[0, 1], false, &lost), [4]);
        assert_eq!(gets(&[0, 1, 4], false, &lost), [0; 0]);
        assert_eq!(gets(&[0, 1, 4, 1], false, &lost), [4]);
        assert_eq!(gets(&[0, 1], false, &HOLD), [4, 12]);
        assert_eq!(gets(&[0, 1, 4], false, &HOLD), [12]);
        assert_eq!(gets(&[0, 1, 4, 12], false, &HOLD), [0; 0]);
        assert_eq!(gets(&[], true, &lost), [4], "the journal knows of a run that began before what was read");
        assert_eq!(gets(&[4], true, &lost), [0; 0]);
    }

    #[test]
    fn a_begin_is_told_before_its_end_if_it_was_not() {
        let ends = [(When::RunUntold(1), 1), (When::Missing, 9)];
        assert_eq!(gets(&[0], false, &ends), [1, 9]);
        assert_eq!(gets(&[0, 1], false, &ends), [9]);
        assert_eq!(gets(&[0, 1, 9], false, &ends), [0; 0]);
        // Runs that crashes ended, before their logs heard of them or behind that.
        let crashes = [(When::RunUntold(1), 1), LOST[0], (When::RunUntold(2), 1), LOST[1]];
        assert_eq!(gets(&[0], false, &crashes), [1, 4, 1, 4]);
        assert_eq!(gets(&[0, 1], false, &crashes), [4, 1, 4]);
        assert_eq!(gets(&[0, 1, 4], false, &crashes), [1, 4]);
        assert_eq!(gets(&[0, 1, 4, 1], false, &crashes), [4]);
        assert_eq!(gets(&[0, 1, 4, 1, 4], false, &crashes), [0; 0]);
        let then_ends = [LOST[0], (When::RunUntold(2), 1), (When::Missing, 9)];
        assert_eq!(gets(&[0, 1, 4, 1], false, &then_ends), [9]);
    }

    #[test]
    fn a_second_hold_is_not_taken_for_the_first() {
        let second = [(When::MissingHold(2), 12), (When::Missing, 13)];
        assert_eq!(gets(&[0, 12, 13], false, &second), [12, 13]);
        assert_eq!(gets(&[0, 12, 13, 12], false, &second), [13]);
        assert_eq!(gets(&[0, 12, 13, 12, 13], false, &second), [0; 0]);
        let both = [(When::MissingHold(1), 12), (When::Missing, 13), second[0], second[1]];
        assert_eq!(gets(&[0, 12, 13], false, &both), [12, 13]);
        assert_eq!(gets(&[0, 12, 13, 12, 13], false, &both), [0; 0]);
        assert_eq!(gets(&[0], false, &both), [12, 13, 12, 13]);
        // Where the log does not begin with the job's story, the longest that fits counts.
        assert_eq!(gets(&[13, 12, 13], true, &second), [0; 0]);
    }
}

//! `condor_wait`: until the jobs of an event log have ended. Reads the log alone, no master.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use userlog::{Event, EventJob, Form, Kind};

use crate::options::{Entry, Step, Takes, Walk, on, on_colon};
use crate::version;
use crate::world::{Outcome, World};

const USAGE: &str = include_str!("usage/condor_wait.txt");

/// Between two looks at a log that does not grow.
const PAUSE: Duration = Duration::from_millis(100);

/// Most bytes of one look.
const PIECE: u64 = 4 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Help,
    Version,
    Debug,
    Status,
    Echo,
    Num,
    Wait,
    AllEvents,
    EventId,
    Log,
}

const TABLE: &[Entry<Key>] = &[
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("version", 1)], Takes::Nothing, Key::Version),
    on(&[("debug", 1)], Takes::Nothing, Key::Debug),
    on(&[("status", 1)], Takes::Nothing, Key::Status),
    on_colon(&[("echo", 2)], Takes::Nothing, Key::Echo),
    on_colon(&[("event-id", 2)], Takes::Words(1), Key::EventId),
    on(&[("log", 3)], Takes::Words(1), Key::Log),
    on(&[("num", 1)], Takes::Words(1), Key::Num),
    on(&[("wait", 1)], Takes::Words(1), Key::Wait),
    on(&[("allevents", 1)], Takes::Nothing, Key::AllEvents),
];

/// What the caller wants.
#[derive(Debug, Default, PartialEq)]
struct Wish {
    log: String,
    /// Cluster, proc, subproc; only what was given must be equal.
    job: [Option<i32>; 3],
    status: bool,
    debug: bool,
    echo: Option<Form>,
    num: Option<usize>,
    /// Zero: what is there is read, and no event is waited for.
    wait: Option<Duration>,
    all_events: bool,
    /// So many events of this number are waited for, not the ends of jobs.
    events: Option<(u16, usize)>,
}

/// `condor_wait [OPTIONS] LOG [JOB]`; what it tells on the way is collected.
pub fn run(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    let mut told = Vec::new();
    let outcome = run_telling(arguments, &mut told, world);
    told.extend_from_slice(&outcome.out);
    Outcome { out: told, ..outcome }
}

/// The same; what it tells on the way goes to `told` at once.
pub fn run_telling(arguments: &[String], told: &mut dyn Write, world: &World) -> Outcome {
    match read(arguments) {
        Ok(wish) => watch(&wish, told, world),
        Err(outcome) => outcome,
    }
}

fn read(arguments: &[String]) -> Result<Wish, Outcome> {
    let mut wish = Wish::default();
    let (mut log, mut number): (Option<&str>, Option<&str>) = (None, None);
    for step in Walk::new(TABLE, arguments) {
        let (key, colon, words) = match step {
            Step::Word(word) => {
                match (log, number) {
                    (None, _) => log = Some(word),
                    (Some(_), None) => number = Some(word),
                    (Some(_), Some(_)) => return Err(usage(&format!("Extra argument: {word}\n"))),
                }
                continue;
            }
            // All clusters.
            Step::Unknown("-1") if log.is_some() && number.is_none() => {
                number = Some("-1");
                continue;
            }
            Step::Option { key, colon, words } => (key, colon, words),
            Step::Missing { key: Some(Key::EventId), .. } => return Err(usage("-event-id requires an id")),
            Step::Missing { typed, .. } => return Err(usage(&format!("{typed} requires an argument"))),
            Step::Unknown(_) | Step::Refused { .. } => return Err(Outcome::failure(USAGE)),
        };
        match key {
            Key::Help => return Err(Outcome { err: USAGE.into(), ..Outcome::default() }),
            Key::Version => return Err(version::answer()),
            Key::Debug => wish.debug = true,
            Key::Status => wish.status = true,
            // As recorded: the echo has the dates of old whatever the log has.
            Key::Echo => wish.echo = Some(Form::LEGACY.with_options(&colon.unwrap_or("").replace(':', ","))),
            Key::Num if wish.all_events => return Err(usage("-num cannot be used with -allevents")),
            Key::Num => match words[0].parse() {
                Ok(num) if num > 0 => wish.num = Some(num),
                _ => return Err(usage("-num must be greater than zero")),
            },
            Key::Wait => match words[0].parse() {
                Ok(seconds) => wish.wait = Some(Duration::from_secs(seconds)),
                Err(_) => return Err(usage("-wait wants a number of seconds")),
            },
            Key::AllEvents if wish.num.is_some() => return Err(usage("-allevents cannot be used with -num")),
            Key::AllEvents => wish.all_events = true,
            Key::EventId => {
                let count = colon.map_or(Ok(1), str::parse);
                match (words[0].parse(), count) {
                    (Ok(id), Ok(count)) if count > 0 => wish.events = Some((id, count)),
                    _ => return Err(usage("-event-id wants the number of an event, and how many of it")),
                }
            }
            Key::Log => log = Some(&words[0]),
        }
    }
    wish.log = log.ok_or_else(|| Outcome::failure(USAGE))?.to_owned();
    if let Some(word) = number.filter(|word| *word != "-1") {
        let misread = || Outcome::failure(format!("Couldn't understand job number: {word}\n"));
        wish.job = job(word).ok_or_else(misread)?;
    }
    if wish.all_events && wish.wait.is_none() {
        wish.wait = Some(Duration::ZERO);
    }
    Ok(wish)
}

fn usage(mistake: &str) -> Outcome {
    Outcome::failure(format!("{mistake}\n{USAGE}"))
}

/// `C`, `C.P` or `C.P.S`.
fn job(word: &str) -> Option<[Option<i32>; 3]> {
    let mut job = [None; 3];
    let parts: Vec<&str> = word.split('.').collect();
    if parts.len() > job.len() {
        return None;
    }
    for (place, part) in job.iter_mut().zip(parts) {
        *place = Some(part.parse().ok().filter(|number| *number >= 0)?);
    }
    Some(job)
}

/// A log that grows.
struct Tail<'a> {
    path: &'a Path,
    file: File,
    read: u64,
    /// Bytes of a character that is not complete.
    torn: Vec<u8>,
    text: String,
}

impl<'a> Tail<'a> {
    fn open(path: &'a Path) -> std::io::Result<Tail<'a>> {
        Ok(Tail { path, file: File::open(path)?, read: 0, torn: Vec::new(), text: String::new() })
    }

    /// Reads what is new; true if there was something.
    fn more(&mut self) -> std::io::Result<bool> {
        if self.file.metadata()?.len() < self.read {
            // Somebody began it anew.
            *self = Tail::open(self.path)?;
        }
        let before = self.torn.len();
        (&self.file).seek(SeekFrom::Start(self.read))?;
        let got = (&self.file).take(PIECE).read_to_end(&mut self.torn)?;
        self.read += (self.torn.len() - before) as u64;
        loop {
            let (good, bad) = match std::str::from_utf8(&self.torn) {
                Ok(text) => (text.len(), None),
                Err(error) => (error.valid_up_to(), error.error_len()),
            };
            self.text += std::str::from_utf8(&self.torn[..good]).expect("just checked");
            self.torn.drain(..good + bad.unwrap_or(0));
            match bad {
                Some(_) => self.text.push(char::REPLACEMENT_CHARACTER),
                // What is left may become a character.
                None => break,
            }
        }
        Ok(got > 0)
    }

    /// The whole events that were read.
    fn events(&mut self, world: &World) -> Vec<Event> {
        let offset = |at_s: i64| world.clock.offset_s(at_s);
        let (year, ..) = world.clock.date(world.now_s);
        let mut log = userlog::parse(&self.text, year.into(), &offset);
        // What is no event is somebody else's mistake; reading goes on behind it.
        let events = log.by_ref().filter_map(Result::ok).map(|entry| entry.event).collect();
        let end = log.position();
        self.text.drain(..end);
        events
    }
}

/// How far each job is.
#[derive(Debug, Default)]
struct Jobs {
    over: BTreeMap<EventJob, bool>,
    ended: usize,
}

impl Jobs {
    fn all_over(&self) -> bool {
        self.ended == self.over.len()
    }

    fn see(&mut self, event: &Event) {
        // Events about a whole cluster or the log itself are no job's.
        if event.job.cluster < 0 || event.job.proc_ < 0 {
            return;
        }
        let over = self.over.entry(event.job).or_default();
        if event.kind.is_final() && !std::mem::replace(over, true) {
            self.ended += 1;
        }
    }
}

/// The line of `-status`.
fn status_line(event: &Event) -> Option<String> {
    let what = match &event.kind {
        Kind::Submit(_) => "submitted".to_owned(),
        Kind::Execute(execute) => format!("executing on host {}", execute.host),
        Kind::Terminated(_) => "completed".to_owned(),
        Kind::Aborted(_) => "aborted".to_owned(),
        _ => return None,
    };
    let EventJob { cluster, proc_, subproc } = event.job;
    Some(format!("{cluster}.{proc_}.{subproc} {what}\n"))
}

fn watch(wish: &Wish, told: &mut dyn Write, world: &World) -> Outcome {
    let path = Path::new(&world.cwd).join(&wish.log);
    let failure = |error: &std::io::Error| {
        let why =
            error.raw_os_error().map_or_else(|| error.to_string(), |n| nix::errno::Errno::from_raw(n).desc().into());
        Outcome::failure(format!("Couldn't open {}: {why}\n", wish.log))
    };
    let mut tail = match Tail::open(&path) {
        Ok(tail) => tail,
        Err(error) => return failure(&error),
    };
    let deadline = wish.wait.map(|wait| Instant::now() + wait);
    let offset = |at_s: i64| world.clock.offset_s(at_s);
    let mut jobs = Jobs::default();
    let mut found = 0;
    loop {
        let grew = match tail.more() {
            Ok(grew) => grew,
            Err(error) => return failure(&error),
        };
        for event in tail.events(world) {
            let number = [event.job.cluster, event.job.proc_, event.job.subproc];
            if !wish.job.iter().zip(number).all(|(wanted, number)| wanted.is_none_or(|wanted| wanted == number)) {
                continue;
            }
            jobs.see(&event);
            let mut text = wish.echo.map(|form| userlog::format(&event, &form, &offset)).unwrap_or_default();
            if wish.status {
                text += &status_line(&event).unwrap_or_default();
            }
            // A reader that has gone away is no reason to wait less.
            let _ = told.write_all(text.as_bytes()).and_then(|()| told.flush());
            if wish.num.is_some_and(|num| jobs.ended >= num) {
                // The spelling is HTCondor's.
                return Outcome::answer(format!("Specifed number of jobs ({}) done.\n", jobs.ended));
            }
            if let Some((id, count)) = wish.events
                && event.kind.number() == id
            {
                found += 1;
                if found >= count {
                    return Outcome::answer(format!("Got {found} events of id {id}\n"));
                }
            }
        }
        if !grew {
            if jobs.all_over() && wish.num.is_none() && wish.events.is_none() && !wish.all_events {
                return Outcome::answer("All jobs done.\n");
            }
            if wish.wait.is_some_and(|wait| wait.is_zero()) {
                return Outcome::default();
            }
            let now = Instant::now();
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
            if left.is_some_and(|left| left.is_zero()) {
                let unmentioned = if wish.job[0].is_some() { "that job" } else { "any jobs" };
                return match wish.events {
                    _ if !jobs.over.is_empty() => Outcome { code: 1, out: "Time expired.\n".into(), err: Vec::new() },
                    Some((id, _)) if wish.job[0].is_none() => {
                        Outcome::failure(format!("Saw only {found} events of id {id}!\n"))
                    }
                    _ => Outcome::failure(format!("This log does not mention {unmentioned}!\n")),
                };
            }
            std::thread::sleep(left.map_or(PAUSE, |left| left.min(PAUSE)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::unreachable_names;

    fn wish(line: &str) -> Result<Wish, Outcome> {
        read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_and_numbers() {
        assert!(unreachable_names(TABLE).is_empty());
        let got = wish("-num 2 w.log 13.25.3 -wait 60").unwrap();
        assert_eq!(
            (got.num, got.wait, got.job),
            (Some(2), Some(Duration::from_secs(60)), [Some(13), Some(25), Some(3)])
        );
        assert_eq!(wish("w.log 7").unwrap().job, [Some(7), None, None]);
        assert_eq!(wish("-echo:UTC:JSON w.log").unwrap().echo, Some(Form::LEGACY.with_options("UTC,JSON")));
        assert_eq!(wish("-event-id:3 12 w.log").unwrap().events, Some((12, 3)));
        let got = wish("-log w.log -1 -all").unwrap();
        assert_eq!((got.log.as_str(), got.job, got.wait), ("w.log", [None; 3], Some(Duration::ZERO)));
        for (bad, line) in [
            ("", ""),
            ("-nosuch w.log", ""),
            ("w.log x", "Couldn't understand job number: x\n"),
            ("w.log 1.2.3.4", "Couldn't understand job number: 1.2.3.4\n"),
            ("-num 0 w.log", "-num must be greater than zero\n"),
            ("w.log -num", "-num requires an argument\n"),
            ("-wait x w.log", "-wait wants a number of seconds\n"),
            ("w.log -event-id", "-event-id requires an id\n"),
            ("w.log 1 2", "Extra argument: 2\n\n"),
            ("-num 1 -all w.log", "-allevents cannot be used with -num\n"),
            ("-all -num 1 w.log", "-num cannot be used with -allevents\n"),
        ] {
            let outcome = wish(bad).unwrap_err();
            let err = String::from_utf8(outcome.err).unwrap();
            let alone = line.starts_with("Couldn't");
            let wanted = if alone { line.to_owned() } else { format!("{line}{USAGE}") };
            assert_eq!((outcome.code, err), (1, wanted), "{bad}");
        }
    }

    #[test]
    fn torn_characters_are_put_together_and_damaged_ones_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, [b'a', 0xc3]).unwrap();
        let mut tail = Tail::open(&path).unwrap();
        assert!(tail.more().unwrap() && tail.text == "a");
        let append = |bytes: &[u8]| File::options().append(true).open(&path).unwrap().write_all(bytes).unwrap();
        append(&[0xa9, 0xff, b'b']);
        assert!(tail.more().unwrap() && !tail.more().unwrap());
        assert_eq!(tail.text, "a\u{e9}\u{fffd}b");
        std::fs::write(&path, "n").unwrap();
        assert!(tail.more().unwrap() && tail.text == "n", "begun anew");
    }
}

//! Every recorded event reads and prints back byte for byte; there are no accepted differences.

use std::fs;
use std::path::{Path, PathBuf};

use userlog::{Entry, Form, Kind, LogError, format, parse, utc};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/userlog").join(name)
}

fn files(name: &str) -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Reads a log in which nothing but events stands, checks that each prints back, and gives the events.
fn read(path: &Path, text: &str) -> Vec<Entry> {
    let entries: Vec<Entry> = parse(text, 2026, &utc)
        .collect::<Result<_, LogError>>()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut end = 0;
    for entry in &entries {
        assert_eq!(entry.bytes.start, end);
        end = entry.bytes.end;
        let stood = &text[entry.bytes.clone()];
        assert_eq!(format(&entry.event, &entry.form, &utc), stood, "{}", path.display());
        assert!(
            !matches!(entry.event.kind, Kind::Unknown(_) | Kind::Ad(..)),
            "{}: this event is not understood:\n{stood}",
            path.display()
        );
    }
    assert_eq!(end, text.len());
    entries
}

/// The folders, the form of the events in them, the line that ends an event.
const FOLDERS: &[(&str, Form, &str)] = &[
    ("iso", Form::ISO, "..."),
    ("legacy", Form::LEGACY, "..."),
    ("utc_subsecond", Form::UTC_SUB_SECOND, "..."),
    ("running", Form::ISO, "..."),
    ("xml", Form::XML, "</c>"),
    ("json", Form::JSON, "}"),
];

#[test]
fn corpus_of_event_logs() {
    let (mut logs, mut events) = (0, 0);
    for (name, form, end_of_event) in FOLDERS {
        for (path, text) in files(name) {
            let entries = read(&path, &text);
            assert!(entries.iter().all(|entry| entry.form == *form));
            let ends = text.lines().filter(|line| line == end_of_event).count();
            assert_eq!(entries.len(), ends, "{}", path.display());
            assert!(ends > 0);
            logs += 1;
            events += ends;
        }
    }
    // The echoes of condor_wait have a test of their own.
    println!("oracle: event-logs {logs}/{logs} accepted 0 missing 0");
    println!("{events} events");
}

#[test]
fn the_three_date_forms_tell_the_same_events() {
    for (path, _) in files("iso") {
        let numbers = |name: &str| -> Vec<u16> {
            let path = folder(name).join(path.file_name().unwrap());
            let text = fs::read_to_string(path).unwrap();
            let mut numbers: Vec<u16> =
                parse(&text, 2026, &utc).map(|entry| entry.unwrap().event.kind.number()).collect();
            numbers.sort_unstable();
            numbers
        };
        assert_eq!(numbers("iso"), numbers("legacy"), "{}", path.display());
    }
}

#[test]
fn echoes_of_condor_wait_read_back_around_its_last_words() {
    let text = fs::read_to_string(folder("condor_wait_echo.txt")).unwrap();
    let mut printed = String::new();
    let mut forms = Vec::new();
    for entry in parse(&text, 2026, &utc) {
        match entry {
            Ok(entry) => {
                printed += &format(&entry.event, &entry.form, &utc);
                forms.push(entry.form);
            }
            Err(LogError::Garbage { bytes }) => {
                assert_eq!(&text[bytes.clone()], "All jobs done.\n");
                printed += &text[bytes];
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(printed, text);
    forms.dedup();
    assert_eq!(forms.len(), 4);
}

#[test]
fn the_same_story_in_every_form() {
    let text = fs::read_to_string(folder("iso").join("signal.log")).unwrap();
    for form in [Form::ISO, Form::UTC_SUB_SECOND, Form::LEGACY, Form::XML, Form::JSON] {
        for entry in read(Path::new("signal.log"), &text) {
            let printed = format(&entry.event, &form, &|_| 3600);
            let mut again = parse(&printed, 2026, &|_| 3600);
            assert_eq!(again.next().unwrap().unwrap().event, entry.event, "{printed}");
            assert_eq!(again.next(), None);
        }
    }
}

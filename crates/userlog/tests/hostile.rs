//! No text in an event can end it early, begin another one, or get lost; no log can hurt its reader.

mod every_kind;

use every_kind::{JOB, TIME, events};
use proptest::prelude::*;
use userlog::{Event, Form, Kind, LogError, Unknown, format, one_line, parse, utc};

const FORMS: [Form; 4] = [Form::ISO, Form::UTC_SUB_SECOND, Form::XML, Form::JSON];

/// Prints all events into one log and checks that exactly these come back, by number.
fn check(text: &str) {
    let mut events = events(text);
    let lines = vec![text.to_owned(), "... ".to_owned()];
    events.push(Event {
        job: JOB,
        time: TIME,
        kind: Kind::Unknown(Unknown { number: 28, headline: text.to_owned(), lines }),
    });
    for form in FORMS {
        let log: String = events.iter().map(|event| format(event, &form, &utc)).collect();
        let read: Vec<u16> = parse(&log, 2026, &utc)
            .map(|entry| entry.unwrap_or_else(|error| panic!("{error} in {form:?}:\n{log}")).event.kind.number())
            .collect();
        let written: Vec<u16> = events.iter().map(|event| event.kind.number()).collect();
        assert_eq!(read, written, "{form:?}:\n{log}");
    }
}

#[test]
fn hostile_texts_stay_in_their_event() {
    for text in [
        "",
        " ",
        "...",
        "\n...\n",
        "x\n...\n005 (001.000.000) 2026-11-21 19:42:08 Job terminated.\n...",
        "x\r\n...\r\n",
        "005 (001.000.000) 2026-11-21 19:42:08 Job terminated.",
        "</s></a></c>\n<c>",
        "\"}\n{",
        "] ; \" \\",
        "\u{85}...\u{2028}...",
        "Partitionable Resources :    Usage",
        "\0\u{1b}[2J",
    ] {
        check(text);
    }
}

#[test]
fn classic_body_lines_begin_with_a_blank_or_a_tab() {
    for event in events("1 x\n2 y\n...") {
        let text = format(&event, &Form::ISO, &utc);
        let lines: Vec<&str> = text.lines().collect();
        let (header, rest) = lines.split_first().unwrap();
        let (end, body) = rest.split_last().unwrap();
        assert!(header.contains("(007.003.000)"));
        assert_eq!(*end, "...");
        assert!(body.iter().all(|line| line.starts_with(['\t', ' '])), "{text}");
    }
}

#[test]
fn ordinary_texts_come_back_whole_in_every_form() {
    for event in events("a reason (errno=2: 'No such file') <&> \"q\"") {
        for form in FORMS {
            let text = format(&event, &form, &utc);
            let entry = parse(&text, 2026, &utc).next().unwrap().unwrap();
            assert_eq!(format(&entry.event, &form, &utc), text);
            assert!(!matches!(entry.event.kind, Kind::Unknown(_) | Kind::Ad(..)), "{text}");
        }
    }
}

#[test]
fn a_log_is_read_as_far_as_it_is_written() {
    for form in FORMS {
        let first = format(&Event::aborted(JOB, TIME, "one"), &form, &utc);
        let whole = first.clone() + &format(&Event::held(JOB, TIME, "two", 1, 0), &form, &utc);
        for length in 0..whole.len() {
            let mut log = parse(&whole[..length], 2026, &utc);
            let events = log.by_ref().filter(|entry| entry.is_ok()).count();
            // The last line end of an ad adds nothing to it.
            let ends_without_line_end = form.layout != userlog::Layout::Classic;
            let complete = usize::from(length >= first.len() - usize::from(ends_without_line_end))
                + usize::from(length + usize::from(ends_without_line_end) >= whole.len());
            assert_eq!(events, complete, "{form:?} {length}");
            let seen = log.position();
            let rest = parse(&whole[seen..], 2026, &utc).filter(|entry| entry.is_ok()).count();
            assert_eq!(events + rest, 2, "{form:?}: going on at {seen} after {length}");
        }
    }
}

#[test]
fn reading_from_the_middle_finds_the_next_event() {
    let whole = format(&Event::held(JOB, TIME, "one", 1, 0), &Form::ISO, &utc)
        + &format(&Event::aborted(JOB, TIME, "two"), &Form::ISO, &utc);
    let mut log = parse(&whole[5..], 2026, &utc);
    assert!(matches!(log.next(), Some(Err(LogError::Garbage { .. }))));
    assert_eq!(log.next().unwrap().unwrap().event.kind.number(), 9);
    assert!(log.next().is_none());
}

#[test]
fn an_event_without_end_mark_does_not_swallow_the_next() {
    let torn = "012 (001.000.000) 2026-11-21 19:42:08 Job was held.\n\treas\n";
    let next = format(&Event::aborted(JOB, TIME, "two"), &Form::ISO, &utc);
    let text = format!("{torn}{next}");
    let mut log = parse(&text, 2026, &utc);
    assert_eq!(log.next(), Some(Err(LogError::Garbage { bytes: 0..torn.len() })));
    assert_eq!(log.next().unwrap().unwrap().event.kind.number(), 9);
}

#[test]
fn unknown_kinds_keep_their_lines() {
    let text = "028 (004.000.000) 2026-11-21 19:42:08 Job ad information event triggered.\n\
                Proc = 0\nFoo = \"bar\"\n...\n";
    let entry = parse(text, 2026, &utc).next().unwrap().unwrap();
    assert!(matches!(&entry.event.kind, Kind::Unknown(unknown) if unknown.lines.len() == 2));
    assert_eq!(format(&entry.event, &entry.form, &utc), text);
}

#[test]
fn line_breaks_become_one_blank() {
    assert_eq!(one_line("a\r\n\nb\tc"), "a b\tc");
    assert_eq!(one_line("plain"), "plain");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_stays_in_its_event(text in "[\\PC\n\r\t.{}<>&\\\\\"]{0,40}") {
        check(&text);
    }

    #[test]
    fn any_log_is_read_without_harm(text in "([ -~\n\t]|\\.\\.\\.\n|00[0-9] \\(1\\.0\\.0\\) 2026-01-01 00:00:00 Job |<c>\n|<a n=\"|\\{\"){0,60}") {
        let mut end = 0;
        let mut log = parse(&text, 2026, &utc);
        for entry in log.by_ref() {
            let bytes = match entry {
                Ok(entry) => entry.bytes,
                Err(LogError::Garbage { bytes } | LogError::ForeignAd { bytes }) => bytes,
            };
            prop_assert!(bytes.start >= end && bytes.end > bytes.start);
            end = bytes.end;
        }
        prop_assert!(log.position() <= text.len());
    }
}

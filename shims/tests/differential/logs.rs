//! Logs that we print, read by HTCondor's `JobEventLog`: all kinds of events in all forms, and what was recorded.

use std::path::Path;

use serde_json::json;
use userlog::{Event, Form, format, parse, utc};

use crate::python;

#[path = "../../../crates/userlog/tests/every_kind/mod.rs"]
mod every_kind;

const FORMS: &[(&str, Form)] = &[
    ("iso", Form::ISO),
    ("legacy", Form::LEGACY),
    ("utc", Form::UTC_SUB_SECOND),
    ("xml", Form::XML),
    ("json", Form::JSON),
];
/// What stands wherever an event has a text. Not `...`: that is where an event ends for HTCondor's reader, in the logs
/// of HTCondor's own as well.
const TEXTS: &[&str] = &["a reason of (several) words", "two\nlines", "", " ", "\"quoted\" & <tagged>", "005 (7.0.0)"];

/// All logs: what they are called, their form, their events.
fn logs() -> Vec<(String, Form, Vec<Event>)> {
    let mut logs = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/userlog/iso");
    for &(name, form) in FORMS {
        for (number, text) in TEXTS.iter().enumerate() {
            logs.push((format!("{name}-{number}"), form, every_kind::events(text)));
        }
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let events = parse(&text, 2026, &utc).map(|entry| entry.unwrap().event).collect();
            logs.push((format!("{name}-{}", path.file_name().unwrap().display()), form, events));
        }
    }
    logs
}

#[test]
fn logs_of_ours_are_read_event_by_event() {
    let folder = tempfile::tempdir().unwrap();
    let logs = logs();
    let mut questions = Vec::new();
    for (name, form, events) in &logs {
        let file = folder.path().join(name);
        std::fs::write(&file, events.iter().map(|event| format(event, form, &utc)).collect::<String>()).unwrap();
        questions.push(json!({ "file": file }));
    }
    let Some(answers) = python::ask("logs_of_ours_are_read_event_by_event", "log", &questions, folder.path()) else {
        return;
    };
    let mut count = 0;
    for ((name, form, events), answer) in logs.iter().zip(&answers) {
        let ours: Vec<_> = events
            .iter()
            .map(|event| {
                // The legacy form has no year.
                let time = if *form == Form::LEGACY { None } else { Some(event.time.wall_s) };
                json!([event.kind.number(), event.job.cluster, event.job.proc_, time])
            })
            .collect();
        let mut theirs = answer["events"].as_array().cloned().unwrap_or_else(|| panic!("{name}: {answer}"));
        if *form == Form::LEGACY {
            theirs.iter_mut().for_each(|event| event[3] = serde_json::Value::Null);
        }
        assert_eq!(ours, theirs, "{name}: {}", std::fs::read_to_string(folder.path().join(name)).unwrap());
        count += events.len();
    }
    println!("{count} events in {} logs read alike", logs.len());
}

//! The journal for people and their tools: one line a record. Arguments, environments, proxy paths and the contents of
//! executables and proxies stay out unless they are asked for.

use std::collections::BTreeMap;
use std::io::{self, Write};

use classad::packed::unpack_row;
use journal::{Entry, Record};
use serde_json::{Map, Value, json};
use wq_core::jobs::view::is_private;

/// What stands in place of a secret.
const SECRET: &str = "(secret)";
/// Rows of a submission that people see; tools get all.
const ROWS_SHOWN: usize = 3;

/// How a journal is printed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Form {
    /// One JSON object a line.
    pub(crate) json: bool,
    /// Secrets too.
    pub(crate) secrets: bool,
}

/// Prints records one after the other; knows from earlier ones what the columns of a cluster's rows are called.
#[derive(Debug, Default)]
pub(crate) struct Printer {
    form: Form,
    varying: BTreeMap<u32, Vec<String>>,
}

impl Printer {
    pub(crate) fn new(form: Form) -> Printer {
        Printer { form, varying: BTreeMap::new() }
    }

    /// One line.
    pub(crate) fn print(&mut self, entry: &Entry, out: &mut impl Write) -> io::Result<()> {
        self.learn(&entry.record);
        let fields = self.fields(&entry.record);
        let name = entry.record.name();
        if self.form.json {
            let mut line = json!({ "seq": entry.seq, "segment": entry.at.segment, "offset": entry.at.offset });
            let object = line.as_object_mut().expect("just made");
            object.insert("record".to_owned(), name.into());
            object.extend(fields);
            return writeln!(out, "{line}");
        }
        write!(out, "{} {}@{} {name}", entry.seq, entry.at.segment, entry.at.offset)?;
        // Whose record it is comes first.
        let (first, rest): (Vec<_>, Vec<_>) = fields.iter().partition(|(key, _)| *key == "job");
        for (key, value) in first.into_iter().chain(rest) {
            match value.as_str().filter(|_| key == "job") {
                Some(job) => write!(out, " job={job}")?,
                None => write!(out, " {key}={value}")?,
            }
        }
        writeln!(out)
    }

    fn learn(&mut self, record: &Record) {
        match record {
            Record::Submitted(submitted) => {
                self.varying.extend(submitted.clusters.iter().map(|c| (c.cluster, c.varying.clone())));
            }
            Record::CheckpointCluster(c) => {
                self.varying.insert(c.cluster, c.varying.clone());
            }
            _ => {}
        }
    }

    fn fields(&self, record: &Record) -> Map<String, Value> {
        let mut value = match record {
            Record::Submitted(payload) => serde_json::to_value(payload),
            Record::Edited(payload) => serde_json::to_value(payload),
            Record::Held(payload) => serde_json::to_value(payload),
            Record::Released(payload) => serde_json::to_value(payload),
            Record::Removed(payload) => serde_json::to_value(payload),
            Record::Started(payload) => serde_json::to_value(payload),
            Record::Lost(payload) => serde_json::to_value(payload),
            Record::Ended(payload) => serde_json::to_value(payload),
            Record::LeftQueue(payload) => serde_json::to_value(payload),
            Record::Taken(payload) => serde_json::to_value(payload),
            Record::ClockMark(payload) => serde_json::to_value(payload),
            Record::EventsUpto(payload) => serde_json::to_value(payload),
            Record::HistoryUpto(payload) => serde_json::to_value(payload),
            Record::OutputsUpto(payload) => serde_json::to_value(payload),
            Record::CheckpointBegin(payload) => serde_json::to_value(payload),
            Record::CheckpointBlob(payload) => serde_json::to_value(payload),
            Record::CheckpointCluster(payload) => serde_json::to_value(payload),
            Record::CheckpointJob(payload) => serde_json::to_value(payload),
            Record::CheckpointFactory(payload) => serde_json::to_value(payload),
            Record::CheckpointEnd(payload) => serde_json::to_value(payload),
        }
        .expect("records are structs of numbers, texts and lists");
        let cluster = value.pointer("/job/cluster").and_then(Value::as_u64).and_then(|c| u32::try_from(c).ok());
        self.tidy(&mut value, cluster);
        match value {
            Value::Object(fields) => fields,
            other => Map::from_iter([("value".to_owned(), other)]),
        }
    }

    /// Numbers that are bytes become texts, pairs become objects, secrets go.
    fn tidy(&self, value: &mut Value, cluster: Option<u32>) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.tidy(item, cluster)),
            Value::Object(fields) => {
                let own = fields.get("cluster").and_then(Value::as_u64).and_then(|c| u32::try_from(c).ok());
                for (key, field) in fields.iter_mut() {
                    let new = match key.as_str() {
                        "job" => job_id(field),
                        "hash" | "boot_id" | "executable" | "proxy" | "token" => bytes(field).map(|b| hex(&b).into()),
                        "inline" => bytes(field).map(|b| self.content(&b)),
                        "ad" | "edits" | "attributes" => Some(self.pairs(field)),
                        "rows" => bytes(field).map(|b| self.rows(&b, own)),
                        "row" => bytes(field).map(|b| self.row(&b, cluster).map_or(Value::Null, |(row, _)| row)),
                        _ => {
                            self.tidy(field, cluster);
                            None
                        }
                    };
                    if let Some(new) = new {
                        *field = new;
                    }
                }
            }
            _ => {}
        }
    }

    fn content(&self, bytes: &[u8]) -> Value {
        if self.form.secrets { String::from_utf8_lossy(bytes).into_owned().into() } else { SECRET.into() }
    }

    fn shown(&self, name: &str, text: Value) -> Value {
        if !self.form.secrets && !text.is_null() && is_private(&name.to_ascii_lowercase()) {
            return SECRET.into();
        }
        text
    }

    /// Names with their texts, `null` where an attribute was deleted.
    fn pairs(&self, field: &Value) -> Value {
        let pairs = field.as_array().into_iter().flatten();
        let entry = |pair: &Value| {
            let name = pair[0].as_str().unwrap_or_default().to_owned();
            let text = self.shown(&name, pair[1].clone());
            (name, text)
        };
        Value::Object(pairs.map(entry).collect())
    }

    /// One packed row, and what stands behind it; `None` when its columns are not known.
    fn row<'a>(&self, packed: &'a [u8], cluster: Option<u32>) -> Option<(Value, &'a [u8])> {
        let names = self.varying.get(&cluster?)?;
        let (values, rest) = unpack_row(packed, names.len())?;
        let entry = |(name, text): (&String, Option<&str>)| (name.clone(), self.shown(name, text.into()));
        Some((Value::Object(names.iter().zip(values).map(entry).collect()), rest))
    }

    fn rows(&self, mut packed: &[u8], cluster: Option<u32>) -> Value {
        let mut rows = Vec::new();
        while !packed.is_empty()
            && let Some((row, rest)) = self.row(packed, cluster)
            && rest.len() < packed.len()
        {
            packed = rest;
            if !self.form.json && rows.len() == ROWS_SHOWN {
                rows.push("…".into());
                break;
            }
            rows.push(row);
        }
        rows.into()
    }
}

fn job_id(field: &Value) -> Option<Value> {
    let (cluster, proc_) = (field.get("cluster")?, field.get("proc_")?);
    Some(format!("{cluster}.{proc_}").into())
}

/// A list of small numbers as the bytes that it is.
fn bytes(field: &Value) -> Option<Vec<u8>> {
    field.as_array()?.iter().map(|n| n.as_u64().and_then(|n| u8::try_from(n).ok())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::journal_files::FileStorage;

    fn dump(version: &str, form: Form) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/journal").join(version);
        let (mut out, mut printer) = (Vec::new(), Printer::new(form));
        let end = journal::read_through(&FileStorage::new(&folder), |entry| printer.print(&entry, &mut out).unwrap());
        let end = end.unwrap().expect("the last record of a frozen journal is torn");
        String::from_utf8(out).unwrap() + &format!("{}: {}\n", end.0, end.1)
    }

    /// `AWQ_WRITE_DUMPS=1` writes them anew.
    #[test]
    fn frozen_journals_are_dumped_as_they_were() {
        for version in ["v1", "v2"] {
            for (name, form) in [
                ("dump.txt", Form::default()),
                ("dump.json", Form { json: true, ..Form::default() }),
                ("dump-with-secrets.txt", Form { secrets: true, ..Form::default() }),
            ] {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/journal").join(version).join(name);
                let text = dump(version, form);
                if std::env::var_os("AWQ_WRITE_DUMPS").is_some() {
                    std::fs::write(&path, &text).unwrap();
                }
                assert_eq!(text, std::fs::read_to_string(&path).unwrap(), "{}", path.display());
            }
        }
    }

    #[test]
    fn secrets_are_shown_only_to_those_who_ask() {
        let (plain, all) = (dump("v2", Form::default()), dump("v2", Form { secrets: true, ..Form::default() }));
        assert!(plain.contains("\"Args\":\"(secret)\"") && !plain.contains("exit 7"), "{plain}");
        assert!(all.contains("exit 7") && !all.contains(SECRET), "{all}");
        assert_eq!(plain.lines().count(), all.lines().count(), "one line a record");
    }

    #[test]
    fn every_line_of_json_is_an_object_that_says_where_it_stands() {
        let text = dump("v2", Form { json: true, ..Form::default() });
        for line in text.lines().filter(|line| line.starts_with('{')) {
            let object: Value = serde_json::from_str(line).unwrap();
            assert!(object["seq"].is_u64() && object["record"].is_string() && object["offset"].is_u64(), "{line}");
        }
    }
}

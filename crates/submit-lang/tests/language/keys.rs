//! Every key of the language alone, against the differences it made in real HTCondor.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use submit_lang::{Options, dry_run_ads};

use crate::recorded::data;
use crate::site::{CWD, Site};

type Ad = BTreeMap<String, String>;

fn ad(site: &Site, lines: &str) -> Result<(Ad, String), String> {
    let text = format!("executable = job.sh\n{lines}\nqueue\n");
    let options = Options { file_name: "t.sub".to_owned(), ..Options::default() };
    let submission = site.submit(&text, &options).map_err(|error| error.message)?;
    let ad = dry_run_ads(&submission, 1, 0).next().unwrap().into_iter().collect();
    Ok((ad, submission.warnings.concat()))
}

/// Clauses joined by `&&` outside of parentheses.
fn clauses(text: &str) -> BTreeSet<String> {
    let mut depth = 0;
    let mut found = vec![String::new()];
    for word in text.split(' ') {
        if word == "&&" && depth == 0 {
            found.push(String::new());
            continue;
        }
        depth += word.matches('(').count() as i32 - word.matches(')').count() as i32;
        let last = found.last_mut().unwrap();
        last.push_str(if last.is_empty() { "" } else { " " });
        last.push_str(word);
    }
    found.into_iter().filter(|clause| !clause.is_empty()).collect()
}

#[test]
fn every_key_has_its_recorded_effect() {
    let mut site = Site::new();
    for name in ["a.txt", "in.txt", "sub/x"] {
        site.add(name, b"1");
    }
    let (bare, _) = ad(&site, "").unwrap();
    let mut failures = Vec::new();
    let mut count = 0;
    for line in data("keys.jsonl").lines() {
        count += 1;
        let record: Value = serde_json::from_str(line).unwrap();
        let list = |key: &str| -> Vec<&str> {
            record[key]
                .as_array()
                .map(|items| items.iter().map(|item| item.as_str().unwrap()).collect())
                .unwrap_or_default()
        };
        let lines = list("lines").join("\n");
        let (got, stderr) = match (ad(&site, &lines), record["error"].as_bool()) {
            (Err(_), Some(true)) => continue,
            (Ok(got), None) => got,
            (other, _) => {
                failures.push(format!("{lines}: {other:?}"));
                continue;
            }
        };
        if stderr != record["stderr"].as_str().unwrap_or_default() {
            failures.push(format!("{lines}: stderr {stderr:?}"));
        }
        let mut want = bare.clone();
        for (name, text) in record["set"].as_object().into_iter().flatten() {
            want.insert(name.clone(), text.as_str().unwrap().replace("\"D/", &format!("\"{CWD}/")));
        }
        for name in list("absent") {
            want.remove(name);
        }
        let mut wanted = clauses(&bare["Requirements"]);
        for clause in clauses(record["less"].as_str().unwrap_or_default()) {
            assert!(wanted.remove(&clause), "{lines}: {clause} is no clause of the bare job");
        }
        wanted.extend(clauses(record["more"].as_str().unwrap_or_default()));
        if record["more"] == "true" {
            wanted = BTreeSet::from(["true".to_owned()]);
        }
        want.remove("Requirements");
        for name in got.keys().chain(want.keys()).filter(|name| *name != "Requirements").collect::<BTreeSet<_>>() {
            if got.get(name) != want.get(name) {
                failures.push(format!("{lines}: {name}\n  got  {:?}\n  want {:?}", got.get(name), want.get(name)));
            }
        }
        let found = clauses(&got["Requirements"]);
        if found != wanted {
            failures.push(format!("{lines}: Requirements\n  got  {found:?}\n  want {wanted:?}"));
        }
    }
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
    assert!(count > 150);
}

#[test]
fn what_the_user_asked_for_is_told_from_a_default() {
    let site = Site::new();
    let asked = |lines: &str| {
        let text = format!("executable = job.sh\n{lines}\nqueue\n");
        let submission = site.submit(&text, &Options::default()).unwrap();
        let named = |note: &str| submission.clusters[0].ad.iter().any(|(name, text)| name == note && text == "true");
        (named("_AwqMemoryAsked"), named("_AwqDiskAsked"))
    };
    assert_eq!(asked(""), (false, false));
    assert_eq!(asked("request_memory = 128"), (true, false), "also when it is the default's value");
    assert_eq!(asked("request_disk = 1 GB"), (false, true));
    assert_eq!(asked("RequestMemory = 7"), (true, false));
    assert_eq!(asked("+RequestDisk = 77"), (false, true));
    let submission = site.submit("executable = job.sh\nrequest_memory = 1\nqueue\n", &Options::default()).unwrap();
    let shown = dry_run_ads(&submission, 1, 0).next().unwrap();
    assert!(shown.iter().all(|(name, _)| !name.starts_with("_Awq")), "the note is not shown");
}

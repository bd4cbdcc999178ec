//! Fifteen hundred generated submit files: the same jobs with the same attributes. `lines` has what they are made of.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use submit_lang::{ClusterText, Options, dry_run_ads};

use crate::dice::{Dice, SEED};
use crate::lines::LINES;
use crate::python;

#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/submit-lang/tests/language/site.rs"]
mod site;

use site::Site;

const COUNT: usize = 1_500;

/// When the jobs are submitted, seconds since 1970.
const QDATE_S: i64 = 1_790_000_000;

/// Attributes that are not compared, each with the reason.
const LEFT_OUT: &[(&str, &str)] = &[
    ("CondorPlatform", "names the release"),
    ("CondorVersion", "names the release"),
    ("EnteredCurrentStatus", "the reader takes its own clock"),
    ("FileSystemDomain", "of the host"),
    ("JobSubmitFile", "the reader has no file"),
    ("JobSubmitMethod", "says that it was Python"),
    ("Owner", "the reader leaves it to the schedd"),
    ("QDate", "the reader takes its own clock"),
    ("ScheddInterval", "of the schedd's configuration"),
    ("SubmitVersion", "new in 25"),
    ("TransferInputSizeMB", "24 rounds down, 25 up"),
];

/// Attributes whose value without a line of the description changed from 24 to 25, or is the configuration's.
const DEFAULTS: &[&str] = &["RequestDisk", "RequestMemory"];

/// What 25 added to the requirements.
const CLAUSE_OF_25: (&str, &str) = (
    "(versionGE(split(TARGET.CondorVersion)[1],\"25.12.0\") || (TARGET.Disk >= RequestDisk))",
    "(TARGET.Disk >= RequestDisk)",
);

/// Statements, how many jobs an item has, and the items as the reader wants them: names with values.
type Queue = (&'static str, usize, Option<&'static [&'static [(&'static str, &'static str)]]>);

const QUEUES: &[Queue] = &[
    ("queue", 1, None),
    ("queue 2", 2, None),
    ("queue V in (a b c)", 1, Some(&[&[("V", "a")], &[("V", "b")], &[("V", "c")]])),
    ("queue V, W from (\n1, one\n2, two\n)", 1, Some(&[&[("V", "1"), ("W", "one")], &[("V", "2"), ("W", "two")]])),
    ("queue 2 V in (x y)", 2, Some(&[&[("V", "x")], &[("V", "y")]])),
    ("queue V in [1:] (p q r)", 1, Some(&[&[("V", "q")], &[("V", "r")]])),
    ("queue X from (\n4\n5\n)", 1, Some(&[&[("X", "4")], &[("X", "5")]])),
];

fn lines(dice: &mut Dice) -> String {
    let mut text = "executable = job.sh\n".to_owned();
    for _ in 0..dice.below(7) {
        let (line, values) = dice.pick(LINES);
        text += &line.replace('@', dice.pick(values));
        text.push('\n');
    }
    text
}

type Ad = BTreeMap<String, String>;

/// What is compared of an ad: an attribute of [`DEFAULTS`] only where it is not what it is without any line.
fn compared(mut ad: Ad, default: &Ad) -> Ad {
    ad.retain(|name, value| {
        let is_default = DEFAULTS.contains(&name.as_str()) && default.get(name) == Some(value);
        !is_default && !LEFT_OUT.iter().any(|(left_out, _)| name == left_out)
    });
    ad
}

fn ours(site: &Site, text: &str) -> Option<Vec<Ad>> {
    let options = Options { file_name: "t.sub".to_owned(), cluster: ClusterText::Number(1), ..Options::default() };
    let submission = site.submit(text, &options).ok()?;
    let ad = |ad: Vec<(String, String)>| {
        let (clause, before) = CLAUSE_OF_25;
        ad.into_iter().map(|(name, value)| (name, value.trim().replace(clause, before))).collect()
    };
    Some(dry_run_ads(&submission, 1, QDATE_S).map(ad).collect())
}

fn theirs(answer: &serde_json::Value, here: &str) -> Option<Vec<Ad>> {
    let value = |value: &serde_json::Value| value.as_str().unwrap().replace(here, site::CWD);
    let ad = |ad: &serde_json::Value| {
        ad.as_object().unwrap().iter().map(|(name, text)| (name.clone(), value(text))).collect()
    };
    Some(answer["ads"].as_array()?.iter().map(ad).collect())
}

#[test]
fn generated_descriptions_give_the_same_jobs() {
    let mut dice = Dice::new(SEED);
    // The first one shows the defaults.
    let mut descriptions = vec![("executable = job.sh\n".to_owned(), QUEUES[0])];
    descriptions.extend((0..COUNT).map(|_| (lines(&mut dice), dice.pick(QUEUES))));
    let questions: Vec<_> = descriptions
        .iter()
        .map(|(text, (_, count, items))| {
            let items = items.map(|items| items.iter().map(|item| item.iter().copied().collect()).collect());
            let items: Option<Vec<BTreeMap<&str, &str>>> = items;
            json!({ "text": text, "count": count, "items": items, "qdate": QDATE_S })
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().to_str().unwrap();
    std::fs::write(folder.path().join("job.sh"), "#!/bin/sh\nexit 0\n").unwrap();
    let test = "generated_descriptions_give_the_same_jobs";
    let Some(answers) = python::ask(test, "submit", &questions, folder.path()) else { return };

    let site = Site::new();
    let default = (ours(&site, "executable = job.sh\nqueue\n").unwrap(), theirs(&answers[0], here).unwrap());
    let (mut attributes, mut refused, mut odd) = (0, 0, Vec::new());
    for ((lines, (queue, ..)), answer) in descriptions.iter().zip(&answers) {
        let text = format!("{lines}{queue}\n");
        let (ours, theirs) = match (ours(&site, &text), theirs(answer, here)) {
            (Some(ours), Some(theirs)) if ours.len() == theirs.len() => (ours, theirs),
            (None, None) => {
                refused += 1;
                continue;
            }
            (ours, theirs) => {
                let count = |ads: Option<Vec<Ad>>| ads.map(|ads| ads.len());
                odd.push(format!(
                    "ours {:?} jobs, theirs {:?} {}:\n{text}",
                    count(ours),
                    count(theirs),
                    answer["refused"]
                ));
                continue;
            }
        };
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            let (ours, theirs) = (compared(ours, &default.0[0]), compared(theirs, &default.1[0]));
            let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
            for name in names {
                attributes += 1;
                if ours.get(name) != theirs.get(name) {
                    odd.push(format!("{name}: ours {:?}, theirs {:?}:\n{text}", ours.get(name), theirs.get(name)));
                }
            }
        }
    }
    println!("{attributes} attributes of the jobs of {COUNT} descriptions compared, {refused} refused by both");
    assert!(odd.is_empty(), "{} differ (seed {SEED}):\n{}", odd.len(), odd.join("\n"));
    assert!(refused * 10 <= COUNT, "{refused} refused by both: the comparison says little");
}

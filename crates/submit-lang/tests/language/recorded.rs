//! Every submit description recorded from real HTCondor: exit code, standard error, and every attribute of every job.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use submit_lang::{ClusterText, Options, SubmitError, dry_run_ads};

use crate::site::Site;

const LEFT_OUT: [&str; 6] =
    ["QDate", "EnteredCurrentStatus", "CondorVersion", "CondorPlatform", "SubmitVersion", "Owner"];

pub(crate) fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/submit").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Record number and what differs (`rc`, `stderr`, `procs`, or an attribute).
fn accepted() -> BTreeSet<(u64, String)> {
    data("accepted.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split_whitespace();
            (words.next().unwrap().parse().unwrap(), words.next().unwrap().to_owned())
        })
        .collect()
}

fn options(record: &Value) -> Options {
    let words = |key: &str| -> Vec<String> {
        let list = record[key].as_array();
        list.map(|list| list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()).unwrap_or_default()
    };
    let mut options = Options { file_name: "t.sub".to_owned(), cluster: ClusterText::Number(1), ..Options::default() };
    let mut args = words("args").into_iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-append" => options.append.extend(args.next()),
            "-batch-name" => options.batch_name = args.next(),
            "-maxjobs" => options.max_jobs = args.next().map(|number| number.parse().unwrap()),
            "-spool" => options.spool = true,
            "-disable" => options.disable_file_checks = true,
            "-single-cluster" => options.single_cluster = true,
            "-terse" => {}
            other => {
                let (key, value) = other.split_once('=').expect("an option or key=value");
                options.before.push((key.to_owned(), value.to_owned()));
            }
        }
    }
    if let ["-queue", rest @ ..] = words("post_args").iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        options.queue_args = Some(rest.join(" "));
    }
    options
}

#[derive(Default)]
struct Score {
    passed: usize,
    total: usize,
}

impl Score {
    fn count(&mut self, passed: bool) -> bool {
        self.total += 1;
        self.passed += usize::from(passed);
        passed
    }
}

#[test]
fn recorded_descriptions_give_the_recorded_ads() {
    let accepted = accepted();
    let mut used = BTreeSet::new();
    let (mut codes, mut errors, mut attributes) = (Score::default(), Score::default(), Score::default());
    let mut failures = Vec::new();
    for line in data("submit.jsonl").lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let id = record["id"].as_u64().unwrap();
        let mut differs = |what: &str, got: &str, want: &str| {
            if accepted.contains(&(id, what.to_owned())) {
                used.insert((id, what.to_owned()));
            } else {
                failures.push(format!("{id} {what}\n  got  {got}\n  want {want}"));
            }
        };
        let mut site = Site::new();
        for (name, text) in record["files"].as_object().into_iter().flatten() {
            site.add(name, text.as_str().unwrap().as_bytes());
        }
        for (name, value) in record["env"].as_object().into_iter().flatten() {
            site.env.insert(name.clone(), value.as_str().unwrap().to_owned());
        }
        let result = site.submit(record["text"].as_str().unwrap(), &options(&record));
        // Spooling a dry run fails in the program, when the ads are made.
        if options(&record).spool && record["rc"] == 1 {
            continue;
        }
        // The real program looped on input with code 124, which must be refused.
        let want_code = record["rc"].as_i64().unwrap().min(1);
        let (code, stderr) = match &result {
            Ok(submission) => (0, submission.warnings.concat()),
            Err(error) => (i64::from(SubmitError::EXIT_CODE), error.message.clone()),
        };
        if !codes.count(code == want_code) {
            differs("rc", &format!("{code} {stderr}"), &want_code.to_string());
            continue;
        }
        if record["rc"] != 124 {
            let want = record["stderr"].as_str().unwrap();
            if !errors.count(stderr == want) {
                differs("stderr", &format!("{stderr:?}"), &format!("{want:?}"));
            }
        }
        if let Err(error) = &result {
            let dots = record["stdout_text"].as_array().unwrap().concat_dots();
            assert_eq!(error.dots, dots, "{id}: dots before the error");
            continue;
        }
        let submission = result.unwrap();
        let ads: Vec<_> = dry_run_ads(&submission, 1, 0).collect();
        let want = record["procs"].as_array().unwrap();
        if ads.len() != want.len() {
            differs("procs", &ads.len().to_string(), &want.len().to_string());
            continue;
        }
        for (ad, want) in ads.into_iter().zip(want) {
            let ad: BTreeMap<String, String> =
                ad.into_iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())).collect();
            let want: BTreeMap<String, String> = want
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, text)| (name.clone(), text.as_str().unwrap().to_owned()))
                .collect();
            let names: BTreeSet<&String> = ad.keys().chain(want.keys()).collect();
            for name in names {
                let shown = |text: Option<&String>| text.map_or("(none)", String::as_str).to_owned();
                if !attributes.count(ad.get(name) == want.get(name)) {
                    differs(name, &shown(ad.get(name)), &shown(want.get(name)));
                }
            }
        }
    }
    println!(
        "exit codes {}/{}, standard error {}/{}, attributes {}/{}",
        codes.passed, codes.total, errors.passed, errors.total, attributes.passed, attributes.total
    );
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(used, accepted, "accepted.txt names differences that are none");
    assert_eq!(codes.passed, codes.total);
    assert!(errors.passed * 100 >= errors.total * 99 && attributes.passed * 1000 >= attributes.total * 999);
}

trait ConcatDots {
    /// Dots behind `Dry-Run job(s)`.
    fn concat_dots(&self) -> u32;
}

impl ConcatDots for Vec<Value> {
    fn concat_dots(&self) -> u32 {
        let begin = self.iter().filter_map(Value::as_str).find_map(|line| line.strip_prefix("Dry-Run job(s)"));
        begin.map_or(0, |dots| dots.len() as u32)
    }
}

//! Every submit description recorded from HTCondor, given to `condor_submit -dry-run:full -` in a real folder: exit
//! code, standard error, and all ads as they are printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::bench::{Bench, text};

/// They vary from run to run, or are the master's to set.
const LEFT_OUT: [&str; 6] =
    ["QDate", "EnteredCurrentStatus", "CondorVersion", "CondorPlatform", "SubmitVersion", "Owner"];
/// Of programs of the machine, not of the folder.
const SIZES: [&str; 3] = ["DiskUsage", "ExecutableSize", "ImageSize"];

fn data(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/submit").join(name)).unwrap()
}

fn words(record: &Value, key: &str) -> Vec<String> {
    record[key].as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn write(bench: &Bench, name: &str, content: &str) {
    let path = bench.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if !name.ends_with('/') {
        fs::write(path, content).unwrap();
    }
}

/// The ads on standard output, and the other lines with the dots of the jobs taken together.
fn split(out: &str) -> (Vec<BTreeMap<String, String>>, String) {
    let mut ads = Vec::new();
    let mut other = String::new();
    let mut ad = BTreeMap::new();
    for line in out.lines() {
        let line = match line.strip_prefix("Dry-Run job(s)") {
            Some(rest) => {
                other.push_str("Dry-Run job(s)");
                rest
            }
            None => line,
        };
        let line = if ad.is_empty() { line.trim_start_matches('.') } else { line };
        match line.split_once(" = ") {
            Some((name, value)) if !name.contains(' ') => drop(ad.insert(name.to_owned(), value.to_owned())),
            _ if line.is_empty() && !ad.is_empty() => ads.push(std::mem::take(&mut ad)),
            _ => other.push_str(line),
        }
    }
    (ads, other)
}

/// What a description was compared in.
#[derive(Default)]
struct Score {
    codes: usize,
    texts: usize,
    attributes: usize,
    attributes_total: usize,
}

/// Differences as `RECORD what …`; what is the same is counted.
fn differences(record: &Value, score: &mut Score) -> Vec<String> {
    let id = record["id"].as_u64().unwrap();
    let mut bench = Bench::without_master();
    write(&bench, "t.sub", record["text"].as_str().unwrap());
    write(&bench, "job.sh", "#!/bin/sh\n");
    fs::set_permissions(bench.path("job.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, content) in record["files"].as_object().into_iter().flatten() {
        write(&bench, name, content.as_str().unwrap());
    }
    let variables = record["env"].as_object().into_iter().flatten();
    bench.world.variables = variables.map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned())).collect();
    if record["text"].as_str().unwrap().contains("nice_user") {
        // Such an ad names the submitter; an account that this machine does not know is called what it says.
        bench.world.uid = u32::MAX - 1;
        bench.world.variables.push(("LOGNAME".into(), "alice".into()));
    }
    let mut line = vec!["-dry-run:full".to_owned(), "-".to_owned()];
    line.extend(words(record, "args"));
    line.push("t.sub".to_owned());
    line.extend(words(record, "post_args"));
    let outcome = bench.run("condor_submit", &line.iter().map(String::as_str).collect::<Vec<_>>());
    let here = |bytes: &[u8]| text(bytes).replace(&bench.world.cwd, "/home/alice/w");

    let mut found = Vec::new();
    let wanted_code = record["rc"].as_i64().unwrap().min(1);
    if i64::from(outcome.code) != wanted_code {
        return vec![format!("{id} rc {} {}", outcome.code, here(&outcome.err))];
    }
    score.codes += 1;
    if record["rc"] != 124 && here(&outcome.err) != record["stderr"].as_str().unwrap() {
        found.push(format!("{id} stderr {:?} instead of {:?}", here(&outcome.err), record["stderr"]));
    } else {
        score.texts += 1;
    }
    if outcome.code != 0 {
        return found;
    }
    let (ads, _) = split(&here(&outcome.out));
    let wanted = record["procs"].as_array().unwrap();
    if ads.len() != wanted.len() {
        found.push(format!("{id} procs {} instead of {}", ads.len(), wanted.len()));
        return found;
    }
    for (ad, wanted) in ads.iter().zip(wanted) {
        let wanted = wanted.as_object().unwrap();
        let names: BTreeSet<&String> = ad.keys().chain(wanted.keys()).collect();
        for name in names {
            let of_the_machine =
                SIZES.contains(&name.as_str()) && ad.get("Cmd").is_some_and(|cmd| cmd.contains("\"/bin/"));
            if LEFT_OUT.contains(&name.as_str()) || of_the_machine {
                continue;
            }
            let (got, want) = (ad.get(name).map(String::as_str), wanted.get(name).and_then(Value::as_str));
            score.attributes_total += 1;
            if got == want {
                score.attributes += 1;
            } else {
                found.push(format!("{id} {name} {got:?} instead of {want:?}"));
            }
        }
    }
    found
}

#[test]
fn corpus_of_submit_files() {
    let accepted: Vec<String> = data("accepted.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ") + " ")
        .collect();
    let (mut score, mut total, mut found) = (Score::default(), 0, Vec::new());
    for line in data("submit.jsonl").lines() {
        found.extend(differences(&serde_json::from_str(line).unwrap(), &mut score));
        total += 1;
    }
    let stale: Vec<&String> =
        accepted.iter().filter(|start| !found.iter().any(|line| line.starts_with(*start))).collect();
    let listed = found.len();
    found.retain(|line| !accepted.iter().any(|start| line.starts_with(start)));
    println!("oracle: submit-codes {}/{total} accepted 0 missing 0", score.codes);
    println!("oracle: submit-stderr {}/{total} accepted 0 missing 0", score.texts);
    let accepted_ones = listed - found.len();
    println!(
        "oracle: submit-attributes {}/{} accepted {accepted_ones} missing 0",
        score.attributes, score.attributes_total
    );
    assert!(found.is_empty(), "{} differences\n{}", found.len(), found.join("\n"));
    assert!(stale.is_empty(), "accepted.txt lists differences that are none: {stale:?}");
}

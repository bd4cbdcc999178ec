//! `-hold-codes`: held jobs counted by code and subcode, with the oldest one of each.

use std::collections::BTreeMap;

use crate::job::Job;

use super::Scene;

/// Titles and a row for each code and subcode. The rows are in the order of the codes' texts, 12 before 3, as HTCondor's.
pub fn hold_codes(jobs: impl Iterator<Item = Job>, scene: &Scene<'_>) -> String {
    let mut held: BTreeMap<(String, String), (Job, u64)> = BTreeMap::new();
    for job in jobs {
        let text = |name| job.int(name, scene.env).map(|code| code.to_string()).unwrap_or_default();
        let codes = (text("holdreasoncode"), text("holdreasonsubcode"));
        let id = job.id(scene.env);
        match held.get_mut(&codes) {
            Some((oldest, count)) => {
                *count += 1;
                if id < oldest.id(scene.env) {
                    *oldest = job;
                }
            }
            None => drop(held.insert(codes, (job, 1))),
        }
    }
    let mut out = String::new();
    scene.line(&mut out, "OWNER          CODE/SUB    COUNT  OLDEST_JOB_ID HELD_SINCE  HOLD_REASON");
    for ((code, subcode), (job, count)) in held {
        let (cluster, proc) = job.id(scene.env);
        let code = if code.is_empty() { "?".into() } else { format!("{code:>4}") };
        let subcode = if subcode.is_empty() { String::new() } else { format!("/{subcode:<3}") };
        let row = format!(
            "{:<14} {code:<4}{subcode:<4} {count:>9} {:<13} {:>11} {}",
            job.text("owner", scene.env).unwrap_or_else(|| "??".into()),
            format!("{cluster}.{proc}"),
            scene.clock.short(job.int("enteredcurrentstatus", scene.env).unwrap_or(0)),
            job.text("holdreason", scene.env).unwrap_or_default()
        );
        scene.line(&mut out, &row);
    }
    out
}

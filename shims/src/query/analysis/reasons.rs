//! What stands in the way of a waiting job beyond its requirements, each with its remedy.
//!
//! HTCondor's own analysis tells of requirements, so they are not told again; what it has no words for is.

use classad::Env;
use control_proto::Explanation;

/// One sentence for each thing.
pub(super) fn reasons(why: &Explanation, env: &Env) -> Vec<String> {
    let job = format!("{}.{}", why.job.0, why.job.1);
    let m = &why.machines;
    let mut reasons = Vec::new();
    if why.starting {
        reasons.push("It is on its way to a worker: its files are looked up or sent.".to_owned());
    }
    if let Some(at_s) = why.deferred_until_s {
        let left_s = (at_s - env.now_s.unwrap_or(at_s)).max(0);
        reasons.push(format!("It may not start for another {left_s} s (deferral_time)."));
    }
    if let Some((taken, places)) = why.local {
        reasons.push(match taken < places {
            true => "It runs on this machine, and is about to start.".to_owned(),
            false => format!(
                "It runs on this machine, where {taken} jobs of the universes local and scheduler run of the {places} that \
                 may at once (local_jobs_max)."
            ),
        });
        return reasons;
    }
    if m.all == 0 {
        reasons.push(
            "No worker is connected. Start workers for this alien_work_queue; condor_status lists those that came."
                .to_owned(),
        );
        return reasons;
    }
    let short: Vec<_> = why.needs.iter().filter(|need| need.enough == 0).collect();
    for need in &short {
        reasons.push(format!(
            "It asks for {} {}, and the largest machine has {}. Ask for less (condor_qedit {job} {} {}), or start larger workers.",
            need.asked,
            need.of,
            need.largest,
            attribute(&need.of),
            if need.of == "MB of disk" { need.largest.saturating_mul(1024) } else { need.largest }
        ));
    }
    if m.small > 0 && short.is_empty() {
        reasons.push(format!("{} machines are smaller than what it asks for.", m.small));
    }
    if m.quarantined > 0 {
        reasons.push(format!(
            "{} machines get no work for a while, because jobs failed there in a row through no fault of theirs: look at \
             these machines (condor_status -constraint 'WorkQueueQuarantinedUntil > 0').",
            m.quarantined
        ));
    }
    if m.unusable > 0 {
        reasons.push(format!(
            "{} machines take no such job: they are leaving, gave such jobs back, or are foremen of CCTools 7.5 or later.",
            m.unusable
        ));
    }
    match (m.reserved, why.has_reserved) {
        (_, true) => reasons.push(
            "It has waited long, so a machine is kept free for it: it starts there as soon as there is room."
                .to_owned(),
        ),
        (0, false) => {}
        (n, false) => reasons.push(format!("{n} machines are kept free for jobs that have waited longer.")),
    }
    if m.busy > 0 {
        reasons.push(format!(
            "{} machines would do and are busy: it starts when one has room. More workers help; condor_prio puts it before \
             your other jobs.",
            m.busy
        ));
    }
    if m.free > 0 {
        reasons.push(format!("{} machines could take it now: it is about to start.", m.free));
    }
    reasons
}

/// The attribute that a need comes from.
fn attribute(of: &str) -> &'static str {
    match of {
        "cores" => "RequestCpus",
        "gpus" => "RequestGPUs",
        "MB of memory" => "RequestMemory",
        _ => "RequestDisk",
    }
}

#[cfg(test)]
mod tests {
    use control_proto::{Machines, Need};

    use super::*;

    fn why(machines: Machines) -> Explanation {
        Explanation { job: (7, 0), status: 1, machines, ..Explanation::default() }
    }

    #[track_caller]
    fn check(why: &Explanation, words: &[&str]) {
        let reasons = reasons(why, &Env::default());
        assert_eq!(reasons.len(), words.len(), "{reasons:#?}");
        for (reason, word) in reasons.iter().zip(words) {
            assert!(reason.contains(word), "{word}: {reason}");
        }
    }

    #[test]
    fn each_obstacle_has_a_sentence() {
        check(&why(Machines::default()), &["No worker is connected"]);
        let local = |taken| Explanation { local: Some((taken, 20)), ..why(Machines::default()) };
        check(&local(20), &["runs on this machine, where 20 jobs"]);
        check(&local(7), &["about to start"]);
        let unfit = Machines { all: 3, unfit: 3, ..Machines::default() };
        check(&why(unfit), &[]);
        check(&why(Machines { unfit: 2, busy: 1, ..unfit }), &["1 machines would do and are busy"]);
        let mut small = why(Machines { all: 2, small: 2, ..Machines::default() });
        small.needs = vec![Need { of: "cores".into(), asked: 8, largest: 4, enough: 0 }];
        check(&small, &["asks for 8 cores, and the largest machine has 4"]);
        let others = Machines { all: 4, quarantined: 1, unusable: 1, reserved: 1, free: 1, ..Machines::default() };
        check(&why(others), &["get no work", "take no such job", "kept free for jobs", "about to start"]);
        check(
            &Explanation { starting: true, has_reserved: true, ..why(others) },
            &["on its way", "get no work", "take no", "kept free for it", "about"],
        );
    }
}

//! What evaluation leaves behind: nothing.

use classad::{ClassAd, Env, Value, eval, parse_expr};

/// Different patterns of one round; a compiled one takes more than a kilobyte.
const PATTERNS: usize = 10_000;
/// Growth of the process that is the allocator's own affair; all patterns of a round would take ten times as much.
const SLACK_KIB: u64 = 4 << 10;

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("every process has a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number of kB")
}

fn round(number: usize) {
    let ad = ClassAd::new();
    for n in 0..PATTERNS {
        let text = format!("regexp(\"^(a|b{n})+[c-f]*(x{number}y|z)?$\", \"ab{n}cx{number}y\")");
        let expr = parse_expr(&text).expect("an expression");
        assert_eq!(eval(&expr, &ad, None, &Env::default()), Value::Bool(true), "{text}");
    }
}

#[test]
fn patterns_cost_no_memory_when_they_are_gone() {
    // Whatever is made once is made in the first round; other tests may run beside this one, so the best of some
    // rounds counts: a leak shows in each of them.
    round(0);
    let growth = (1..=5).map(|number| {
        let before = resident_kib();
        round(number);
        resident_kib().saturating_sub(before)
    });
    let least = growth.min().expect("there are rounds");
    assert!(least < SLACK_KIB, "{PATTERNS} patterns left {least} KiB behind");
}

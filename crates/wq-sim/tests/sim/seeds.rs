//! Histories in which everything goes wrong, and no promise is broken.

use wq_sim::{Fault, Faults, Options, simulate};

/// Seeds that found something once.
const KEPT: &str = include_str!("../data/seeds.txt");

fn check(seed: u64, faults: Faults) {
    let options = Options { faults, ..Options::default() };
    if let Some(violation) = simulate(seed, options).violation {
        panic!(
            "seed {seed}: {violation}\nrepeat with: cargo run -p wq-sim -- --seeds 1 --from {seed} --faults {faults} --verbose"
        );
    }
}

#[test]
fn seeds_that_found_something_find_nothing_any_more() {
    let mut seeds = 0;
    for line in KEPT.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let mut words = line.split_whitespace();
        let seed = words.next().and_then(|word| word.parse().ok()).expect("a seed begins the line");
        let faults = Faults::parse(words.next().expect("faults follow")).expect("faults have names");
        check(seed, faults);
        seeds += 1;
    }
    assert!(seeds > 0);
}

#[test]
fn no_promise_is_broken_whatever_goes_wrong() {
    (1_000..1_040).for_each(|seed| check(seed, Faults::all()));
}

#[test]
fn no_promise_is_broken_by_any_single_fault() {
    for (at, fault) in Fault::ALL.iter().enumerate() {
        check(2_000 + at as u64, Faults::NONE.with(*fault));
    }
}

#[test]
fn one_seed_is_one_history() {
    let options = Options::default();
    assert_eq!(simulate(7, options), simulate(7, options));
    assert_ne!(simulate(7, options).digest, simulate(8, options).digest);
}

//! The auditor sees: each deliberate mistake is found within a thousand seeds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wq_sim::{Mistake, Options, simulate};

/// Most seeds until a mistake must be found.
const SEEDS: u64 = 1_000;

/// What one history finds. A broken invariant of the core counts.
fn finds(seed: u64, options: Options) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| simulate(seed, options))) {
        Ok(outcome) => outcome.violation,
        Err(_) => Some("an invariant of the core".to_owned()),
    }
}

/// The first seed that finds a mistake, and what it finds. One that finds something without the mistake does not count.
fn found(mistake: Mistake) -> Option<(u64, String)> {
    let options = Options { mistake: Some(mistake), ..Options::default() };
    let mut told = (1..=SEEDS).filter_map(|seed| Some((seed, finds(seed, options)?)));
    told.find(|(seed, _)| finds(*seed, Options::default()).is_none())
}

#[test]
fn each_deliberate_mistake_is_found_within_a_thousand_seeds() {
    let mistakes = Mistake::all();
    // With the feature `mistakes` also those of the core.
    assert!(mistakes.len() >= if cfg!(feature = "mistakes") { 15 } else { 5 });
    for mistake in mistakes {
        let Some((seed, what)) = found(mistake) else { panic!("{mistake:?} is found by none of {SEEDS} seeds") };
        println!("{mistake:?}: seed {seed}: {}", what.lines().next().unwrap_or_default());
    }
}

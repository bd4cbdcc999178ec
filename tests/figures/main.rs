//! Figures: memory and latency of the real master and the real `condor_*` programs, each held against its limit.
//!
//! Master and programs are those of the profile `figures` (optimized as a release, built faster). Every figure is
//! printed as one JSON object on a line of its own, also when it is within its limit:
//! `cargo test --test figures`. Figures are taken one after the other: each has the machine for itself.

#[path = "../support/mod.rs"]
mod support;

mod crowd;
mod large_outputs;
mod latency;
mod links;
mod memory;
mod queries;
mod reload;
mod restart;
mod strangers;
mod waiting_jobs;

use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use testkit::{Site, SiteOptions};

/// Taken by each figure for its whole time.
static MACHINE: Mutex<()> = Mutex::new(());

/// Nobody else measures while this is held.
fn alone() -> MutexGuard<'static, ()> {
    // A figure that failed says nothing about the next one.
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A site with the optimized programs.
fn measured_site() -> Site {
    Site::with(SiteOptions { measured: true, ..SiteOptions::default() })
}

/// Prints a figure and fails if it is beyond its limit.
#[track_caller]
fn hold(figure: &str, value: f64, unit: &str, limit: f64) {
    tell(figure, value, unit, Some(limit));
    assert!(value <= limit, "{figure}: {value:.1} {unit}, the limit is {limit} {unit}");
}

/// Prints a figure; without a limit it stands beside another one, for comparison.
fn tell(figure: &str, value: f64, unit: &str, limit: Option<f64>) {
    let value = (value * 1000.0).round() / 1000.0;
    let line = serde_json::json!({ "figure": figure, "value": value, "unit": unit, "limit": limit });
    // Past the test's capture: a figure is wanted whether the test passes or not.
    writeln!(std::io::stdout(), "{line}").expect("the output can be written");
}

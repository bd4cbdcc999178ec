//! A whole site as its operator has it: installed by the recipe, foremen and workers started by `alien_wq_worker.sh`,
//! commands typed as the README has them, computing elements that know nothing but `env.sh`.
//!
//! Commands are typed into a [`testkit::Terminal`]: an ordinary user's shell with nothing in its environment.

mod acceptance;
mod bad_settings;
mod computing_elements;
mod drain;
mod installation;
mod many;
mod prefix;
#[path = "../e2e/support.rs"]
#[expect(dead_code, reason = "shared with the end-to-end tests, which use more of it")]
mod support;
mod units;
mod walk_through;
mod worker_script;
mod wrapper;

//! Temporary sites, process guards and real workers for end-to-end tests.
//!
//! A test builds a [`Site`]: a folder of its own, a master on a free loopback port, real `work_queue_worker`s and
//! foremen from CCTools, and the `condor_*` programs. Everything a site starts ends with it, also when the test
//! panics; then the logs of all its processes are printed.
//!
//! ```no_run
//! use std::time::Duration;
//! use testkit::{Site, WorkerOptions};
//!
//! let site = Site::start();
//! let _worker = site.worker(WorkerOptions::default());
//! let cluster = site.submit("executable = /bin/echo\narguments = hello\noutput = out.txt\nqueue\n");
//! site.wait_for_end(cluster, Duration::from_secs(30));
//! assert_eq!(site.read("out.txt"), "hello\n");
//! ```
//!
//! What this crate does not do: it never
//! sleeps outside [`wait_until`], and it ends only processes that it started (a mark in their environment says so).
//! Blocking `std` code throughout: a test is a straight story.
//!
//! Environment of a test run: `TESTKIT_KEEP=1` leaves the folders of sites behind and prints where they are;
//! `TESTKIT_BUILT=1` says that all programs are built already (the gate sets it).
//!
//! Start reading in `site.rs`; `guard.rs` holds the rule that nothing outlives a test.

mod answer;
mod fsync;
mod guard;
mod mark;
mod peers;
mod programs;
pub mod simulated;
mod site;
mod terminal;
mod wait;

pub use answer::{Answer, run_command};
pub use fsync::{FsyncTimes, fsync_times};
pub use guard::Guard;
pub use peers::{Foreman, ForemanOptions, Worker, WorkerOptions};
pub use programs::{bin, measured_bin, require};
pub use site::{Site, SiteOptions};
pub use terminal::Terminal;
pub use wait::{Expired, wait_until};

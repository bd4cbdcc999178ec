//! End-to-end tests: the master and the `condor_*` programs as built, with real CCTools workers and foremen.
//!
//! Each test has a site of its own (`testkit::Site`). Jobs that must run until something has happened wait for a file
//! ([`support::Gate`]); tests wait for conditions with a deadline. A test reads as: submit, wait, look at what a user
//! would look at: files, event logs, `condor_q`.

mod acting;
mod catalog;
mod command;
mod crash;
mod doors;
mod executable;
mod history;
mod holds;
mod inputs;
mod local;
mod losses;
mod matching;
mod others;
mod outputs;
mod packing;
mod peers;
mod reload;
mod spooled;
mod start_stop;
mod stories;
mod submission;
mod support;
mod throughput;

//! Hard times: hostile peers, crashes at any moment, full disks, and no master at all.
//!
//! Real master, real workers, real `condor_*` programs. What is random is seeded; the seed is printed.

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod compaction;
mod durable;
mod full_disk;
mod never_zero;
mod no_master;
mod one_write;
mod passwords;
mod reboot;
mod sync_order;
mod trace;
mod traversal;

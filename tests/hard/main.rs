//! Hard times: hostile peers, crashes at any moment, full disks, and no master at all.
//!
//! Real master, real workers, real `condor_*` programs. What is random is seeded; the seed is printed.

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod bad_input;
mod compaction;
mod cut_off;
mod durable;
mod faults;
mod full_disk;
mod kills;
mod never_zero;
mod no_master;
mod one_write;
mod ownership;
mod passwords;
mod reboot;
mod reload;
mod secrecy;
mod secrets;
mod sync_order;
mod tls;
mod trace;
mod traversal;

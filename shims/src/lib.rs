//! The condor_* programs: they stand first on PATH and talk to the master over its Unix socket.
//!
//! Each program is one function `(arguments, standard input, surroundings) -> Outcome`; [`world::main`] runs it in
//! a process of its own, tests run it within theirs. A program reads its options by a table ([`options`]), makes one
//! request ([`master`]), and prints what HTCondor 25.13 was recorded to print. It keeps no state, reads no
//! configuration and starts no runtime.
//!
//! Where to start reading: [`query`] for `condor_q`, [`history`] for `condor_history`, [`submit`] for `condor_submit`, [`act`] for `condor_rm` and its
//! family; [`columns`] and [`printf`] are `-af` and `-format`, [`views`] the tables.

pub mod act;
pub mod ad_files;
pub mod classad_eval;
pub mod clock;
pub mod columns;
pub mod config_val;
pub mod contact;
pub mod groups;
pub mod history;
pub mod job;
pub mod master;
pub mod options;
pub mod print_format;
pub mod printf;
pub mod prio;
pub mod qedit;
pub mod query;
mod screen;
pub mod status;
pub mod submit;
pub mod tail;
pub mod transfer_data;
pub mod unsupported;
pub mod version;
pub mod views;
pub mod wait;
pub mod watch_q;
pub mod world;

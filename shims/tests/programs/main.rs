//! The condor programs against a scripted master.
//!
//! `master` is a thread that serves the control protocol with a fixed queue; `bench` runs the programs within this
//! process. `clients` has what the AliEn and JAliEn computing elements run, to the byte; `sessions` replays sessions
//! recorded from HTCondor; `manners` is what all programs do
//! alike; `groups` is about rows that are no single jobs; `faults` is about masters that refuse, break off or are not there.

mod analysis;
mod bench;
mod classad_eval;
mod clients;
mod dry_runs;
mod editing;
mod faults;
mod groups;
mod manners;
mod master;
mod print_formats;
mod sessions;
mod shell;
mod snapshots;
mod submissions;
mod watching;

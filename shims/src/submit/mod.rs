//! `condor_submit`: from a submit file to jobs that the master has made durable.
//!
//! The program finds the master first (decision D4), reads and expands the text as the user (`system` is the
//! language's view of this machine), sends one request with executables, proxies and, with `-spool`, inputs (`send`,
//! `spool`) and prints
//! (`print`) only when the master has answered. All jobs of a text are queued or none.

mod command_line;
mod print;
mod run;
mod send;
mod spool;
mod system;

pub use run::run;

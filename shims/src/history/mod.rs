//! `condor_history`: jobs that have left the queue.
//!
//! `command_line` reads the options into a wish; [`run`] asks the master, and without one reads the file, and prints.
//! The file is a data base that this program does not link: `awq`, which stands beside it, reads it and answers as a
//! master would. `classic` reads HTCondor's own history files.

mod classic;
mod command_line;
mod place;
mod run;

pub use place::file;
pub use run::run;

//! `condor_q`: what is in the queue.
//!
//! `command_line` reads the options into a wish; [`run`] asks the master for just the
//! attributes that the wish needs and prints the answer once its end has been seen.

mod analysis;
mod command_line;
mod from_file;
mod run;

pub(crate) use command_line::job_number;
pub(crate) use from_file::jobs_of_log;
pub use run::run;

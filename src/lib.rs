//! The shell around `wq-core`: it turns sockets, timers, files and signals into inputs of the master and carries out
//! its effects. No policy lives here.
//!
//! Start reading at `start` (the order in which things come up), then `driver` (the one place where the core is
//! called). `links` is the worker port, `status` what its status tools are answered, `catalog` what catalog servers are
//! told, `control` the socket of the `condor_*` programs, `outputs`, `prepare` and `blobs` the files of jobs, `legacy`
//! the original's spool folder, `handover` the planned restart, `record_keeper` and `event_logs` the two threads that
//! write for ever.

pub mod awq;
mod backlog;
mod blobs;
pub mod catalog;
mod clock;
mod contents;
mod control;
mod driver;
mod event_logs;
mod handover;
mod history;
mod journal_dump;
mod journal_files;
mod legacy;
mod limits;
mod links;
mod local_jobs;
mod lock;
mod logging;
pub mod options;
mod outputs;
mod places;
mod pool;
mod prepare;
mod record_keeper;
mod recovery;
mod report;
mod rereading;
mod secrecy;
mod signals;
mod start;
mod starts;
mod status;
mod stop;
mod systemd;
#[cfg(test)]
mod testing;

pub use local_jobs::launch;
pub use start::{Role, check_handover, run};

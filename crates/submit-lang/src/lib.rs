//! The submit description language of HTCondor 25.13: from a text to job ads.
//!
//! [`submit`] takes the text, what the command line adds ([`Options`]) and the submitting user's side ([`World`]),
//! and gives clusters of ads whose values are expression *texts*, or a [`SubmitError`] with the exact words for
//! standard error. The crate is pure: no file, environment, clock or chance but through [`World`]. It does not assign
//! job numbers; where a text only carries them along it holds marks, see [`fill_in`].

mod ad;
mod arguments;
mod condition;
mod driver;
mod environment;
mod expand;
mod functions;
mod job;
mod keys;
mod lines;
mod macros;
mod options;
mod printf;
mod queue;
mod reader;
mod refusal;
mod rows;
mod steps;
mod submission;
mod values;
mod world;

pub use driver::{PROCS_MAX, submit};
pub use options::{ClusterText, Options};
pub use refusal::Refusal;
pub use submission::{
    CLUSTER_MARK, Cluster, ExecutableUse, PROCESS_MARK, Submission, SubmitError, dry_run_ads, fill_in,
};
pub use world::{FileError, FileFacts, GlobMatch, HostFacts, SubmitTime, World};

//! Outputs of jobs on their way to their places: whole or not at all (requirement R-23, decision D35).
//!
//! What arrives is kept under a temporary name in the folder of its target and renamed at delivery. Small files are
//! kept in memory until then, so that an ordinary job costs one visit to the disk. Everything here blocks and runs in
//! the pool, except [`Outputs::keep`] and [`Outputs::make_dir`].

mod below;
mod deliver;
mod fetch;
mod leftovers;
mod on_disk;
mod part;
mod registry;
mod trouble;

pub(crate) use registry::{Outputs, SinkFile, Slot, own_umask};
pub(crate) use trouble::{Words, errno};

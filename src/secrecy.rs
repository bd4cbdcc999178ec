//! Nothing of this process's memory goes to a disk: it holds passwords, keys, environments of jobs.

use nix::sys::resource::{Resource, setrlimit};

/// Core dumps are switched off for this process, and others of its user cannot look into it.
///
/// The limit alone is not enough: a kernel that hands dumps to a program does not ask for it.
pub(crate) fn forbid_core_dumps() {
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        tracing::warn!(%error, "the limit of core dumps cannot be set");
    }
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!(%error, "core dumps cannot be switched off");
    }
}

//! Where the history's file is, as far as that can be known without the master.

use std::path::{Path, PathBuf};

use crate::world::World;

/// The name of the file and of the door to it.
const NAME: &str = "history.db";

/// The file of the site: by the door in the work dir, which the master makes, else where it would be by default.
pub fn file(world: &World) -> PathBuf {
    let door = world.work_dir.join(NAME);
    if let Ok(file) = std::fs::canonicalize(&door) {
        return file;
    }
    let in_work_dir = world.work_dir.join("state").join(NAME);
    match default_state_dir(world).map(|dir| dir.join(NAME)) {
        Some(file) if world.work_dir == Path::new("/tmp/awq") && !in_work_dir.exists() => file,
        _ => in_work_dir,
    }
}

/// The state dir of a master that was told neither of its dirs (decision D1).
fn default_state_dir(world: &World) -> Option<PathBuf> {
    if world.uid == 0 {
        return Some("/var/lib/alien-workqueue".into());
    }
    let set = |name| world.variable(name).filter(|value| value.starts_with('/')).map(PathBuf::from);
    let base = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(base.join("alien-workqueue"))
}

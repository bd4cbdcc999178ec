//! Where the workspace is, which files belong to it, and what cargo knows about it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Folders that hold nothing of ours: results of builds, and git's own.
const SKIPPED: &[&str] = &["target", "build", ".git", "node_modules"];

/// The top folder of the workspace.
pub(crate) fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask stands in the workspace")?.to_owned())
}

/// All files below `root`, relative to it and sorted; symbolic links are not followed.
///
/// Read from the folders, not from git, so that it works in an unpacked archive too.
pub(crate) fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
            let kind = entry.file_type().with_context(|| format!("cannot look at {}", entry.path().display()))?;
            if kind.is_dir() {
                if !SKIPPED.iter().any(|name| entry.file_name() == *name) {
                    folders.push(entry.path());
                }
            } else if kind.is_file() {
                let path = entry.path();
                let relative = path.strip_prefix(root).context("an entry of a folder is below it")?;
                found.push(relative.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What `cargo metadata` says; with `deps` including all foreign packages.
pub(crate) fn metadata(deps: bool) -> Result<Value> {
    let mut command = crate::gate::cargo_command()?;
    command.args(["metadata", "--format-version", "1", "--locked"]);
    if !deps {
        command.arg("--no-deps");
    }
    let output = command.output().context("cannot start cargo")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    serde_json::from_slice(&output.stdout).context("cargo metadata prints JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_relative_and_without_results_of_builds() {
        let files = files(&root().unwrap()).unwrap();
        assert!(files.contains(&PathBuf::from("xtask/src/main.rs")));
        assert!(!files.iter().any(|path| path.starts_with("target") || path.starts_with(".git")));
        assert!(files.is_sorted());
    }
}

//! How a job's ad names files of the submitter. The program that copies inputs (`condor_submit -spool`) and the master
//! that sends them must understand the same, so the rule stands here.

/// A list of files: commas separate, blanks around are dropped, empty entries too.
pub fn split_list(raw: &str) -> Vec<String> {
    raw.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// `path` as seen from `folder`, when it is relative.
pub fn absolute(folder: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    format!("{}/{}", folder.trim_end_matches('/'), path.trim_start_matches("./"))
}

/// An entry of `TransferInput` without `file://`.
///
/// # Errors
/// The scheme of a URL, which is no file of the submitter.
pub fn local_input(entry: &str) -> Result<&str, &str> {
    let local = entry.strip_prefix("file://").unwrap_or(entry);
    match local.split_once("://") {
        Some((scheme, _)) => Err(scheme),
        None => Ok(local),
    }
}

/// Where an entry of `TransferInput` lies, as [`local_input`] gives it: absolute, without the slash behind a folder.
pub fn input_path(iwd: &str, local: &str) -> String {
    absolute(iwd, local.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_become_paths() {
        assert_eq!(split_list("a, b,"), ["a", "b"]);
        assert_eq!(local_input("file:///a/b"), Ok("/a/b"));
        assert_eq!(local_input("http://h/x"), Err("http"));
        for (entry, path) in [("a/", "/home/u/a"), ("./a", "/home/u/a"), ("/x/y", "/x/y")] {
            assert_eq!(input_path("/home/u/", entry), path);
        }
    }
}

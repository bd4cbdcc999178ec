//! `-spool` and `-remote`: which files the jobs' ads name as inputs, found with the user's rights (decisions D18, D28).
//!
//! Folders become their files, symlinks what they lead to. What an input is called in a job's sandbox is not decided
//! here: the master knows that for every job.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use classad::{ClassAd, Env, Expr, eval, parse_expr, unpack_row};
use control_proto::job_files::{absolute, input_path, local_input, split_list};
use submit_lang::{Cluster, fill_in};

use super::send::Unreadable;

/// The attributes that name inputs.
const NAMES: [&str; 4] = ["Iwd", "In", "TransferIn", "TransferInput"];

/// Files and empty folders of one submission.
const ENTRIES_MAX: usize = 65_536;

/// Bytes of all their names: they stand in one frame of the request.
const NAMES_MAX: usize = 16 << 20;

/// Folders below a folder that is copied.
const DEPTH_MAX: usize = 64;

/// A file to copy, or an empty folder to remember.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Absolute path of the input.
    pub(super) input: String,
    /// Path below it.
    pub(super) inside: String,
    /// Where its content is; `None`: an empty folder.
    pub(super) file: Option<PathBuf>,
}

/// Whether inputs have the cluster's number in their names: it must be known before they can be found.
pub(super) fn names_the_cluster(cluster: &Cluster) -> bool {
    let marked = |text: &str| text.contains(submit_lang::CLUSTER_MARK);
    let of_all = cluster.ad.iter().any(|(name, text)| NAMES.contains(&name.as_str()) && marked(text));
    of_all || rows(cluster).any(|row| row.iter().any(|(_, text)| marked(text)))
}

/// Finds inputs of all clusters of a submission.
#[derive(Debug, Default)]
pub(super) struct Search {
    entries: usize,
    name_bytes: usize,
}

impl Search {
    /// Everything that the jobs of a cluster name. `number` is the cluster's, if its texts need one.
    pub(super) fn inputs(&mut self, cluster: &Cluster, number: Option<u32>) -> Result<Vec<Entry>, Unreadable> {
        let mut known = BTreeSet::new();
        let mut found = Vec::new();
        let mut before = None;
        for (proc, row) in (0..).zip(rows(cluster)) {
            let common = cluster.ad.iter().filter(|(name, _)| NAMES.contains(&name.as_str()));
            let common = common.map(|(name, text)| (name.as_str(), text.as_str()));
            let texts: Vec<(&str, String)> =
                common.chain(row).map(|(name, text)| (name, fill_in(text, number.unwrap_or(0), proc))).collect();
            if before.as_ref() == Some(&texts) {
                continue;
            }
            for path in named(&texts) {
                if known.insert(path.clone()) {
                    self.add(&mut found, &path, String::new(), Path::new(&path), &mut Vec::new())?;
                }
            }
            before = Some(texts);
        }
        Ok(found)
    }

    /// `above` are the folders that we are in, to notice a symlink that leads back.
    fn add(
        &mut self,
        found: &mut Vec<Entry>,
        input: &str,
        inside: String,
        path: &Path,
        above: &mut Vec<(u64, u64)>,
    ) -> Result<(), Unreadable> {
        let failed = |error: io::Error| Unreadable { path: path.to_string_lossy().into_owned(), error };
        let facts = fs::metadata(path).map_err(failed)?;
        let mut names = Vec::new();
        if facts.is_dir() {
            let identity = (facts.dev(), facts.ino());
            if above.contains(&identity) || above.len() >= DEPTH_MAX {
                return Err(failed(io::Error::other("folders without end: a symlink leads back")));
            }
            above.push(identity);
            names = list(path).map_err(failed)?;
        }
        if names.is_empty() {
            self.entries += 1;
            self.name_bytes += input.len() + inside.len();
            if self.entries > ENTRIES_MAX || self.name_bytes > NAMES_MAX {
                let why = format!("more than {ENTRIES_MAX} input files in one submission: put them into archives");
                return Err(failed(io::Error::other(why)));
            }
            let file = (!facts.is_dir()).then(|| path.to_owned());
            found.push(Entry { input: input.to_owned(), inside: inside.clone(), file });
        }
        for name in names {
            let below = if inside.is_empty() { name.clone() } else { format!("{inside}/{name}") };
            self.add(found, input, below, &path.join(name), above)?;
        }
        if facts.is_dir() {
            above.pop();
        }
        Ok(())
    }
}

/// Names in a folder, sorted: two submissions of the same files are the same.
fn list(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)?.take(ENTRIES_MAX + 1) {
        let name = entry?.file_name().into_string();
        names.push(name.map_err(|name| io::Error::other(format!("the name {name:?} in it is no UTF-8")))?);
    }
    names.sort();
    Ok(names)
}

/// What differs between the jobs of a cluster, as far as it names inputs; one item for each job.
fn rows(cluster: &Cluster) -> impl Iterator<Item = Vec<(&str, &str)>> {
    let mut rest = cluster.rows.as_slice();
    (0..cluster.procs).map(move |_| {
        let (row, tail) = unpack_row(rest, cluster.varying.len())
            .expect("the rows were packed by the submit language, one for each job");
        rest = tail;
        let named = cluster.varying.iter().zip(row).filter(|(name, _)| NAMES.contains(&name.as_str()));
        named.filter_map(|(name, text)| Some((name.as_str(), text?))).collect()
    })
}

/// Paths of the inputs that a job names; of an attribute that comes twice the last text counts.
fn named(texts: &[(&str, String)]) -> Vec<String> {
    let mut ad = ClassAd::new();
    for (name, text) in texts {
        if let Ok(expr) = parse_expr(text) {
            ad.insert(name, expr);
        }
    }
    let value = |name: &str| eval(&Expr::attribute(name), &ad, None, &Env::default());
    let text = |name: &str| value(name).as_str().unwrap_or_default().to_owned();
    let iwd = text("Iwd");
    let listed = split_list(&text("TransferInput"));
    // A URL is nobody's file; the master says so when the job starts.
    let mut paths: Vec<String> =
        listed.iter().filter_map(|entry| local_input(entry).ok()).map(|local| input_path(&iwd, local)).collect();
    let stdin = text("In");
    if !stdin.is_empty() && stdin != "/dev/null" && value("TransferIn").truth() != Some(false) {
        paths.push(absolute(&iwd, &stdin));
    }
    paths
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Bench(tempfile::TempDir);

    impl Bench {
        fn new(files: &[&str]) -> Bench {
            let dir = tempfile::tempdir().unwrap();
            for file in files {
                let path = dir.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, file).unwrap();
            }
            Bench(dir)
        }

        /// Input and inside of everything found for these jobs, without the folder.
        fn find(&self, ad: &[(&str, &str)], jobs: &[&str]) -> Result<Vec<(String, String)>, String> {
            let home = self.0.path().to_str().unwrap();
            let mut rows = Vec::new();
            for job in jobs {
                classad::pack_row(&mut rows, &[Some(&classad::quote_old(job))]);
            }
            let ad =
                [&[("Iwd", classad::quote_old(home))], &*ad.iter().map(|(n, t)| (*n, (*t).into())).collect::<Vec<_>>()]
                    .concat();
            let cluster = Cluster {
                ad: ad.into_iter().map(|(name, text)| (name.to_owned(), text)).collect(),
                procs: jobs.len() as u32,
                varying: vec!["TransferInput".into()],
                rows,
                executable: None,
                proxy: None,
                token: None,
            };
            let found = Search::default().inputs(&cluster, Some(7)).map_err(|u| format!("{}: {}", u.path, u.error))?;
            let short = |text: &str| text.strip_prefix(&format!("{home}/")).unwrap_or(text).to_owned();
            Ok(found.iter().map(|entry| (short(&entry.input), entry.inside.clone())).collect())
        }
    }

    fn pair(input: &str, inside: &str) -> (String, String) {
        (input.into(), inside.into())
    }

    #[test]
    fn what_the_jobs_name_is_found_once() {
        let bench = Bench::new(&["in.7", "common", "in.0", "in.1"]);
        let stdin = ("In", "\"in.\u{1}\"");
        let jobs = ["common, in.\u{2}", "file://common,./in.\u{2},http://far/away"];
        let wanted = ["common", "in.0", "in.7", "in.1"].map(|name| pair(name, ""));
        let jobs_here = jobs.map(|job| job.replace("file://common", "common"));
        let jobs_here: Vec<&str> = jobs_here.iter().map(String::as_str).collect();
        assert_eq!(bench.find(&[stdin], &jobs_here), Ok(wanted.to_vec()));
        assert_eq!(bench.find(&[stdin, ("TransferIn", "false")], &["common"]), Ok(vec![pair("common", "")]));
        assert_eq!(bench.find(&[("In", "\"/dev/null\"")], &["", ""]), Ok(vec![]));
    }

    #[test]
    fn folders_become_their_files() {
        let bench = Bench::new(&["d/b", "d/a/x", "other/file"]);
        fs::create_dir_all(bench.0.path().join("d/void")).unwrap();
        symlink("../other", bench.0.path().join("d/link")).unwrap();
        let wanted = ["a/x", "b", "link/file", "void"].map(|inside| pair("d", inside));
        assert_eq!(bench.find(&[], &["d", "d/"]), Ok(wanted.to_vec()));
        assert_eq!(bench.find(&[], &["d/void/"]), Ok(vec![pair("d/void", "")]));
    }

    #[test]
    fn what_cannot_be_found_is_named() {
        let bench = Bench::new(&["d/x"]);
        let gone = bench.find(&[], &["d, gone"]).unwrap_err();
        assert!(gone.contains("/gone: ") && gone.contains("No such file"), "{gone}");
        symlink(".", bench.0.path().join("d/again")).unwrap();
        assert!(bench.find(&[], &["d"]).unwrap_err().contains("leads back"));
    }

    #[test]
    fn a_number_is_asked_for_only_when_it_is_needed() {
        let cluster = |text: &str| Cluster {
            ad: vec![("TransferInput".into(), text.into()), ("Out".into(), "\"\u{1}\"".into())],
            procs: 1,
            varying: vec![],
            rows: vec![],
            executable: None,
            proxy: None,
            token: None,
        };
        assert!(names_the_cluster(&cluster("\"in.\u{1}\"")));
        assert!(!names_the_cluster(&cluster("\"in.\u{2}\"")));
    }
}

//! A submitting user's side made of tables.

use std::cell::Cell;
use std::collections::BTreeMap;

use submit_lang::{FileError, FileFacts, GlobMatch, HostFacts, Options, Submission, SubmitError, SubmitTime, World};

/// Files by absolute path, and an environment.
pub(crate) struct Site {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) stats: Cell<u32>,
    seed: Cell<u64>,
    host: HostFacts,
}

pub(crate) const CWD: &str = "/home/alice/w";

impl Site {
    pub(crate) fn new() -> Site {
        let mut site = Site {
            files: BTreeMap::new(),
            env: BTreeMap::new(),
            stats: Cell::new(0),
            seed: Cell::new(1),
            host: HostFacts {
                arch: "X86_64".to_owned(),
                opsys: "LINUX".to_owned(),
                opsys_and_ver: "Debian12".to_owned(),
                opsys_major_ver: "12".to_owned(),
                filesystem_domain: "example.org".to_owned(),
                uid_domain: "example.org".to_owned(),
                condor_version: "$CondorVersion: 25.13.2 2026-08-20 BuildID: x $".to_owned(),
                condor_platform: "$CondorPlatform: x86_64_Debian12 $".to_owned(),
            },
        };
        site.add("job.sh", b"#!/bin/sh\nexit 0\n");
        for (path, size_kb) in [("/bin/sleep", 43), ("/bin/cat", 43), ("/bin/sh", 123)] {
            site.add(path, &vec![0; size_kb * 1024]);
        }
        site
    }

    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) {
        self.files.insert(absolute(name), bytes.to_vec());
    }

    pub(crate) fn submit(&self, text: &str, options: &Options) -> Result<Submission, SubmitError> {
        submit_lang::submit(text, options, self)
    }

    fn is_dir(&self, path: &str) -> bool {
        let below = format!("{}/", path.trim_end_matches('/'));
        path == CWD || self.files.keys().any(|file| file.starts_with(&below))
    }
}

fn absolute(name: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { format!("{CWD}/{name}") }
}

impl World for Site {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        self.files.get(&absolute(path)).cloned().ok_or_else(FileError::not_found)
    }

    fn stat(&self, path: &str) -> Result<FileFacts, FileError> {
        self.stats.set(self.stats.get() + 1);
        let path = absolute(path);
        let below = format!("{}/", path.trim_end_matches('/'));
        if let Some(bytes) = self.files.get(&path) {
            Ok(FileFacts { size: bytes.len() as u64, is_dir: false, executable: true, mode: 0o755 })
        } else if self.is_dir(&path) {
            let inside = self.files.iter().filter(|(file, _)| file.starts_with(&below));
            let size = inside.map(|(_, bytes)| bytes.len() as u64).sum();
            Ok(FileFacts { size, is_dir: true, executable: true, mode: 0o755 })
        } else {
            Err(FileError::not_found())
        }
    }

    fn glob(&self, pattern: &str) -> Vec<GlobMatch> {
        let prefix = format!("{CWD}/");
        let mut names: BTreeMap<String, bool> = BTreeMap::new();
        for file in self.files.keys().filter_map(|file| file.strip_prefix(&prefix)) {
            match file.split_once('/') {
                Some((dir, _)) => names.insert(dir.to_owned(), true),
                None => names.insert(file.to_owned(), false),
            };
        }
        let (begin, end) = pattern.split_once('*').unwrap_or((pattern, ""));
        let matches = |name: &str| match pattern.contains('*') {
            true => name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end),
            false => name == pattern,
        };
        names.into_iter().filter(|(name, _)| matches(name)).map(|(path, is_dir)| GlobMatch { path, is_dir }).collect()
    }

    fn command_output(&self, words: &[String]) -> Result<Vec<u8>, FileError> {
        match words[0].as_str() {
            "echo" => Ok(format!("{}\n", words[1..].join(" ")).into_bytes()),
            "seq" => {
                let end: u16 = words.get(1).and_then(|word| word.parse().ok()).ok_or_else(FileError::not_found)?;
                Ok((1..=end).map(|number| format!("{number}\n")).collect::<String>().into_bytes())
            }
            _ => Err(FileError::not_found()),
        }
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn env_all(&self) -> Vec<(String, String)> {
        self.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn cwd(&self) -> &str {
        CWD
    }

    fn now(&self) -> SubmitTime {
        SubmitTime { epoch_s: 1_790_000_000, year: 2026, month: 9, day: 21 }
    }

    fn random(&self) -> u64 {
        let next = self.seed.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.seed.set(next);
        next >> 16
    }

    fn host(&self) -> &HostFacts {
        &self.host
    }

    fn owner(&self) -> &str {
        "alice"
    }

    fn uid(&self) -> u32 {
        1000
    }
}

/// The value of an attribute of one job, marks filled in for cluster 1.
pub(crate) fn value(submission: &Submission, proc: usize, name: &str) -> Option<String> {
    let ad = submit_lang::dry_run_ads(submission, 1, 0).nth(proc).unwrap();
    ad.into_iter().find(|(other, _)| other == name).map(|(_, text)| text)
}

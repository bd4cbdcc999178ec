//! The table of macros: keys of the file, loop variables of `queue`, and the automatic ones.
//!
//! Names ignore ASCII case. A value is kept as written and expanded when it is used. Each look-up is remembered: what
//! nothing used is warned about, and what differs from job to job tells which attributes must be computed again.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use crate::options::ClusterText;
use crate::submission::{CLUSTER_MARK, PROCESS_MARK};
use crate::world::World;

/// What a value depends on that differs between jobs; a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Causes(u8);

impl Causes {
    /// The process number.
    pub(crate) const PROC: Causes = Causes(1);
    /// The number within one item.
    pub(crate) const STEP: Causes = Causes(2);
    /// The item and its number.
    pub(crate) const ITEM: Causes = Causes(4);
    /// Chance.
    pub(crate) const CHANCE: Causes = Causes(8);
    /// All of them.
    pub(crate) const ALL: Causes = Causes(15);

    pub(crate) fn union(self, other: Causes) -> Causes {
        Causes(self.0 | other.0)
    }

    pub(crate) fn meets(self, other: Causes) -> bool {
        self.0 & other.0 != 0
    }
}

/// How the numbers of cluster and process enter a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// As marks, while the cluster number is unknown: the text is only carried along.
    Marks,
    /// As numbers: the text is computed with.
    Digits,
}

#[derive(Debug)]
struct Entry {
    /// As first written.
    key: String,
    raw: String,
    used: Cell<bool>,
    /// Made by `queue`, not by a line.
    loop_variable: bool,
    causes: Causes,
}

/// Where in the submission the current job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub(crate) proc: u32,
    pub(crate) step: u32,
    pub(crate) row: u32,
}

/// All macros and what is known of the current job.
pub(crate) struct Macros<'w> {
    pub(crate) world: &'w dyn World,
    entries: BTreeMap<String, Entry>,
    pub(crate) file_name: String,
    pub(crate) cluster: ClusterText,
    pub(crate) place: Place,
    /// `$(Node)`: only in the parallel universe.
    pub(crate) node: &'static str,
    /// The job's directory, for `$Ff`.
    pub(crate) iwd: String,
    /// What the directory depends on.
    pub(crate) iwd_causes: Causes,
    /// Replacements left for the value being expanded.
    pub(crate) steps: Cell<usize>,
    causes: Cell<Causes>,
    needs_cluster: Cell<bool>,
    /// Names set by lines since the last `queue`, in lower case.
    anew: BTreeSet<String>,
}

impl<'w> Macros<'w> {
    pub(crate) fn new(world: &'w dyn World, file_name: &str, cluster: ClusterText) -> Macros<'w> {
        Macros {
            world,
            entries: BTreeMap::new(),
            file_name: file_name.to_owned(),
            cluster,
            place: Place::default(),
            node: "",
            iwd: world.cwd().to_owned(),
            iwd_causes: Causes::default(),
            steps: Cell::new(0),
            causes: Cell::default(),
            needs_cluster: Cell::new(false),
            anew: BTreeSet::new(),
        }
    }

    /// Defines a macro or gives it a new value; its first spelling stays.
    pub(crate) fn set(&mut self, key: &str, raw: String) {
        let entry = self.entries.entry(key.to_ascii_lowercase()).or_insert_with(|| Entry {
            key: key.to_owned(),
            raw: String::new(),
            used: Cell::new(false),
            loop_variable: false,
            causes: Causes::default(),
        });
        entry.raw = raw;
        entry.causes = Causes::default();
        self.anew.insert(key.to_ascii_lowercase());
    }

    /// Whether one of these (in lower case) was set since the last call.
    pub(crate) fn take_anew(&mut self, names: &[&str]) -> bool {
        let anew = names.iter().any(|name| self.anew.contains(*name));
        self.anew.clear();
        anew
    }

    /// Gives a loop variable its value for the current item.
    pub(crate) fn set_loop_variable(&mut self, name: &str, value: &str) {
        let lower = name.to_ascii_lowercase();
        let entry = self.entries.entry(lower).or_insert_with(|| Entry {
            key: name.to_owned(),
            raw: String::new(),
            used: Cell::new(false),
            loop_variable: true,
            causes: Causes::default(),
        });
        entry.raw.clear();
        entry.raw.push_str(value);
        entry.causes = Causes::ITEM;
    }

    /// The raw value, without a note that it was used.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.entries.get(&name.to_ascii_lowercase()).map(|entry| entry.raw.as_str())
    }

    /// Keys as written with their raw values, sorted ignoring case.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.values().map(|entry| (entry.key.as_str(), entry.raw.as_str()))
    }

    /// The raw value by a name in lower case, its use noted.
    pub(crate) fn lookup(&self, lower: &str, numbers: Numbers) -> Option<Cow<'_, str>> {
        // These two belong to `queue`; a line that sets them is overruled.
        match lower {
            "cluster" => return Some(self.cluster_number(numbers).into()),
            "process" => return Some(self.process_number(numbers).into()),
            _ => {}
        }
        if let Some(entry) = self.entries.get(lower) {
            entry.used.set(true);
            self.note(entry.causes);
            return Some(entry.raw.as_str().into());
        }
        self.automatic(lower, numbers)
    }

    fn automatic(&self, lower: &str, numbers: Numbers) -> Option<Cow<'_, str>> {
        let host = self.world.host();
        let number = |causes: Causes, number: u32| {
            self.note(causes);
            Cow::Owned(number.to_string())
        };
        Some(match lower {
            "clusterid" => self.cluster_number(numbers).into(),
            "procid" => self.process_number(numbers).into(),
            "jobid" => "$(ClusterId).$(ProcId)".into(),
            "joblistid" => "$(ClusterId)".into(),
            "step" => number(Causes::STEP, self.place.step),
            "row" | "itemindex" => number(Causes::ITEM, self.place.row),
            "taskid" | "iswindows" => "0".into(),
            "islinux" => "1".into(),
            "node" => self.node.into(),
            "arch" => host.arch.as_str().into(),
            "opsys" => host.opsys.as_str().into(),
            "opsysandver" => host.opsys_and_ver.as_str().into(),
            "opsysmajorver" => host.opsys_major_ver.as_str().into(),
            "opsysver" if host.opsys_major_ver.is_empty() => "".into(),
            "opsysver" => format!("{}00", host.opsys_major_ver).into(),
            "submit_file" => self.submit_file().unwrap_or_default().into(),
            "submit_time" => self.world.now().epoch_s.to_string().into(),
            "year" => format!("{:04}", self.world.now().year).into(),
            "month" => format!("{:02}", self.world.now().month).into(),
            "day" => format!("{:02}", self.world.now().day).into(),
            "request_cpus" | "vm_vcpus" => "$(RequestCPUs)".into(),
            "request_memory" | "vm_memory" => "$(RequestMemory)".into(),
            "spool" => "".into(),
            _ => return None,
        })
    }

    /// The submit file's name; the standard input has none.
    pub(crate) fn submit_file(&self) -> Option<&str> {
        Some(self.file_name.as_str()).filter(|name| !["", "<stdin>"].contains(name))
    }

    fn cluster_number(&self, numbers: Numbers) -> String {
        match (self.cluster, numbers) {
            (ClusterText::Number(number), _) => number.to_string(),
            (ClusterText::Placeholder, Numbers::Marks) => CLUSTER_MARK.to_string(),
            (ClusterText::Placeholder, Numbers::Digits) => {
                self.needs_cluster.set(true);
                "1".to_owned()
            }
        }
    }

    fn process_number(&self, numbers: Numbers) -> String {
        match (self.cluster, numbers) {
            (ClusterText::Placeholder, Numbers::Marks) => PROCESS_MARK.to_string(),
            _ => {
                self.note(Causes::PROC);
                self.place.proc.to_string()
            }
        }
    }

    /// Notes that what is being computed differs between jobs.
    pub(crate) fn note(&self, causes: Causes) {
        self.causes.set(self.causes.get().union(causes));
    }

    /// What was noted since the last call.
    pub(crate) fn take_causes(&self) -> Causes {
        self.causes.take()
    }

    /// Some text was computed with a cluster number that is not known yet.
    pub(crate) fn needs_cluster(&self) -> bool {
        self.needs_cluster.get()
    }

    /// The warnings about what nothing used. Names with a dot are the user's own affair.
    pub(crate) fn unused(&self) -> Vec<String> {
        const NEVER: [&str; 9] = [
            "dag_status",
            "failed_count",
            "job",
            "retry",
            "submitwarnemptymatches",
            "submitfailemptymatches",
            "submitwarnduplicatematches",
            "submitfailemptyfields",
            "submitwarnemptyfields",
        ];
        // HTCondor takes them off a stack on which they lie sorted by name.
        let unused = self.entries.iter().rev().filter(|(lower, entry)| {
            !entry.used.get()
                && !entry.key.contains('.')
                && !NEVER.contains(&lower.as_str())
                && *lower != "cluster"
                && *lower != "process"
        });
        unused
            .map(|(_, Entry { key, raw, loop_variable, .. })| {
                if *loop_variable {
                    format!("WARNING: the Queue variable '{key}' was unused by condor_submit. Is it a typo?\n")
                } else {
                    format!("WARNING: the line '{key} = {raw}' was unused by condor_submit. Is it a typo?\n")
                }
            })
            .collect()
    }
}

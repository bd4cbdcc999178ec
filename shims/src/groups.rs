//! Jobs that are alike, counted: `condor_q -group-by` and `-autocluster`, `SELECT UNIQUE` and `FROM AUTOCLUSTER` of print formats.

use std::collections::{BTreeSet, HashMap};

use classad::ClassAd;

use crate::job::Job;

/// In what jobs are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouped {
    /// In the attributes that are asked for.
    Shown,
    /// In what the matching looks at.
    AutoClusters,
}

impl Grouped {
    /// The attribute with the number of a group.
    pub fn id_name(self) -> &'static str {
        match self {
            Grouped::Shown => "Id",
            Grouped::AutoClusters => "AutoClusterId",
        }
    }
}

/// An ad for each kind of job: the attributes that were asked for and those that they refer to, as they are written, the group's
/// number, counted from 1 in the order of the first jobs, and `JobCount`.
pub fn group(jobs: impl Iterator<Item = Job>, names: &[String], by: Grouped) -> Vec<Job> {
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<(ClassAd, i64)> = Vec::new();
    for job in jobs {
        let ad = looked_at(&job, names);
        let alike: String = ad.iter().map(|(name, expr)| format!("{name} = {expr}\n").to_ascii_lowercase()).collect();
        // Texts that differ in case differ; names that do are one.
        let exact: String = ad.iter().map(|(_, expr)| format!("{expr}\n")).collect();
        let number = *numbers.entry(alike + &exact).or_insert_with(|| {
            groups.push((ad, 0));
            groups.len() - 1
        });
        groups[number].1 += 1;
    }
    let numbered = (1..).zip(groups).map(|(number, (mut ad, count))| {
        ad.insert(by.id_name(), number);
        ad.insert("JobCount", count);
        Job::from(ad)
    });
    numbered.collect()
}

/// The attributes of these names that a job has, with those that they refer to.
fn looked_at(job: &Job, names: &[String]) -> ClassAd {
    let mut ad = ClassAd::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<String> = names.iter().rev().cloned().collect();
    while let Some(name) = open.pop() {
        if !seen.insert(name.to_ascii_lowercase()) {
            continue;
        }
        if let Some(expr) = job.expr(&name) {
            let references = expr.references();
            open.extend(references.unscoped.iter().chain(&references.my).map(|name| name.to_string()));
            ad.insert(job.ad().spelling(&name).unwrap_or(&name), expr.clone());
        }
    }
    ad
}

#[cfg(test)]
mod tests {
    use classad::Env;

    use super::*;

    fn job(text: &str) -> Job {
        Job::from(ClassAd::from_old_text(text).unwrap())
    }

    #[test]
    fn what_is_written_alike_is_one_and_references_count() {
        let jobs = || {
            [
                "A = B + 1\nB = 1\nC = 1",
                "A = B + 1\nB = 2\nC = 2",
                "a = B + 1\nB = 1\nC = 3",
                "A = 2",
                "C = 4",
                "A = \"x\"",
                "A = \"X\"",
            ]
            .into_iter()
            .map(job)
        };
        let counts = |names: &[&str]| -> Vec<(i64, i64)> {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let env = Env::default();
            let numbers = |job: &Job| (job.int("id", &env).unwrap(), job.int("jobcount", &env).unwrap());
            group(jobs(), &names, Grouped::Shown).iter().map(numbers).collect()
        };
        assert_eq!(counts(&["A"]), [(1, 2), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1)]);
        assert_eq!(counts(&["nosuch"]), [(1, 7)]);
        assert_eq!(counts(&[]), [(1, 7)]);
        let first = &group(jobs(), &["a".to_owned()], Grouped::AutoClusters)[0];
        let names: Vec<&str> = first.ad().iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["A", "AutoClusterId", "B", "JobCount"]);
    }
}

//! What a submit text gives: clusters of job ads as expression texts, or the reason why it gives none.

use crate::refusal::Refusal;

/// Stands for the decimal cluster number in a text, see [`fill_in`].
pub const CLUSTER_MARK: char = '\u{1}';
/// Stands for the decimal process number in a text, see [`fill_in`].
pub const PROCESS_MARK: char = '\u{2}';

/// An accepted submit text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// In order of their numbers; empty when every `queue` had no item.
    pub clusters: Vec<Cluster>,
    /// What goes to standard error, in order, each text complete with its line ends.
    pub warnings: Vec<String>,
    /// With [`ClusterText::Placeholder`](crate::ClusterText::Placeholder): some text depends on the cluster number in
    /// a way that no mark can express. The ads are then unusable; reserve a number and expand again.
    pub needs_cluster_number: bool,
}

/// Jobs that share one cluster number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Attribute and expression text (old ClassAd syntax, normalised) of the first job, sorted by name ignoring case.
    /// Without `ClusterId`, `ProcId` and what the master adds (`QDate`, `Owner`, `GlobalJobId`, …).
    pub ad: Vec<(String, String)>,
    /// Number of jobs, at least 1.
    pub procs: u32,
    /// Attributes whose text differs between jobs, sorted as `ad`.
    pub varying: Vec<String>,
    /// One packed row (see `classad::packed`) per job in order, its columns are `varying`; empty when nothing varies.
    pub rows: Vec<u8>,
    /// The program to copy at submission. `None` with `transfer_executable = false`, without a program, and when the
    /// jobs name different ones (`Cmd` is then among `varying` and can only be read when a job starts).
    pub executable: Option<ExecutableUse>,
    /// Absolute path of the grid proxy to copy at submission.
    pub proxy: Option<String>,
    /// Absolute path of the token file to copy at submission.
    pub token: Option<String>,
}

/// The program of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutableUse {
    /// Absolute path on the submit host.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
}

/// Why a text was refused; nothing may be submitted and the exit code is [`SubmitError::EXIT_CODE`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SubmitError {
    /// `Submitting job(s)` was printed before it happened (without a line end).
    pub stdout_started: bool,
    /// Dots printed after it: jobs that were fine before this one.
    pub dots: u32,
    /// Exact text for standard error, earlier warnings first.
    pub message: String,
    /// The reason itself.
    #[source]
    pub refusal: Refusal,
}

impl SubmitError {
    /// Exit code of every refusal.
    pub const EXIT_CODE: i32 = 1;
}

/// Replaces the marks in `text` by the numbers.
///
/// ```
/// assert_eq!(submit_lang::fill_in("\"o.\u{1}.\u{2}\"", 7, 3), "\"o.7.3\"");
/// ```
pub fn fill_in(text: &str, cluster: u32, proc: u32) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            CLUSTER_MARK => out.push_str(&cluster.to_string()),
            PROCESS_MARK => out.push_str(&proc.to_string()),
            c => out.push(c),
        }
    }
    out
}

/// The complete ads of all jobs in order, as `-dry-run:full` and `-dump` print them: attributes sorted by name ignoring
/// case, marks filled in, with `ClusterId`, `ProcId`, `QDate`, `EnteredCurrentStatus` and an undefined `Owner`.
///
/// `first_cluster` is the number of the first cluster, `now_s` the time of submission in seconds since 1970.
pub fn dry_run_ads(
    submission: &Submission,
    first_cluster: u32,
    now_s: i64,
) -> impl Iterator<Item = Vec<(String, String)>> + '_ {
    (first_cluster..).zip(&submission.clusters).flat_map(move |(number, cluster)| {
        let mut rest = cluster.rows.as_slice();
        (0..cluster.procs).map(move |proc| {
            let (row, tail) = classad::unpack_row(rest, cluster.varying.len())
                .expect("the rows were packed by this crate, one for each job");
            rest = tail;
            full_ad(cluster, &row, number, proc, now_s)
        })
    })
}

/// Attributes whose name begins so are for the master alone and never shown.
const HIDDEN: &str = "_Awq";

fn full_ad(cluster: &Cluster, row: &[Option<&str>], number: u32, proc: u32, now_s: i64) -> Vec<(String, String)> {
    let mut ad: Vec<(String, String)> = cluster
        .ad
        .iter()
        .filter(|(name, _)| !cluster.varying.contains(name) && !name.starts_with(HIDDEN))
        .map(|(name, text)| (name.clone(), text.clone()))
        .collect();
    let own = cluster.varying.iter().zip(row).filter(|(name, _)| !name.starts_with(HIDDEN));
    let own = own.filter_map(|(name, text)| Some((name.clone(), (*text)?.to_owned())));
    ad.extend(own);
    for (_, text) in &mut ad {
        if text.contains([CLUSTER_MARK, PROCESS_MARK]) {
            *text = fill_in(text, number, proc);
        }
    }
    let added = [
        ("ClusterId", number.to_string()),
        ("ProcId", proc.to_string()),
        ("QDate", now_s.to_string()),
        ("EnteredCurrentStatus", now_s.to_string()),
        ("Owner", "undefined".to_owned()),
    ];
    for (name, text) in added {
        ad.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        ad.push((name.to_owned(), text));
    }
    ad.sort_by_cached_key(|(name, _)| name.to_ascii_lowercase());
    ad
}

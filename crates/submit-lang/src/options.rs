//! What the command line of `condor_submit` adds to the text.

/// How the cluster number enters the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClusterText {
    /// Not known yet: `$(Cluster)` becomes [`CLUSTER_MARK`](crate::CLUSTER_MARK), and where it keeps texts equal
    /// `$(Process)` becomes [`PROCESS_MARK`](crate::PROCESS_MARK). The master fills in the numbers.
    #[default]
    Placeholder,
    /// Known: every text is complete.
    Number(u32),
}

/// The options that bear on the ads. Source: `condor_submit` of HTCondor 25.13.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// How the file is called in messages and in `JobSubmitFile`: `t.sub`, `<stdin>`.
    pub file_name: String,
    /// `name=value` arguments, in order; set before the file is read.
    pub before: Vec<(String, String)>,
    /// `-append` lines, in order; each counts as a line just before every `queue`.
    pub append: Vec<String>,
    /// What follows `-queue`, joined by blanks.
    pub queue_args: Option<String>,
    /// `-batch-name`.
    pub batch_name: Option<String>,
    /// `-single-cluster`: a new executable or universe does not begin a new cluster.
    pub single_cluster: bool,
    /// `-maxjobs`.
    pub max_jobs: Option<u64>,
    /// `-disable`: no file checks. HTCondor 25 checks no file but the program anyway, and that one always.
    pub disable_file_checks: bool,
    /// `-spool`: input files travel with the submission; jobs begin as held (16).
    pub spool: bool,
    /// `-remote`: as `spool`.
    pub remote: bool,
    /// The cluster number, if one is known. The second and later clusters of one text count on from it.
    pub cluster: ClusterText,
}

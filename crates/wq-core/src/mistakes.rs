//! Deliberate mistakes, so that the simulation's auditor is known to see: only with the feature `mistakes`, and only one at a time.

/// A mistake that the master makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// A submission is acknowledged before it is on disk.
    AckBeforeSync,
    /// A result counts although its run is being stopped.
    OldResult,
    /// A job is vacated without a word to its worker, and runs twice at once.
    RequeueTwice,
    /// After a crash events are written again without a look whether they stand there.
    EventTwice,
    /// Numbers of clusters go on behind the jobs that are there.
    ClusterReused,
    /// A compaction leaves out held jobs.
    LostAtCompaction,
    /// When a link breaks while outputs arrive, what has arrived is delivered.
    HalfOutput,
    /// A job whose link breaks is not requeued.
    ForgottenOnLoss,
    /// A start is not counted.
    StartNotCounted,
    /// A hold or removal is told when the worker confirms it, on disk or not.
    ToldBeforeSync,
    /// The end of a job is told and acted on before it is on disk.
    EndBeforeSync,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Mistake; 11] = [
        Mistake::AckBeforeSync,
        Mistake::OldResult,
        Mistake::RequeueTwice,
        Mistake::EventTwice,
        Mistake::ClusterReused,
        Mistake::LostAtCompaction,
        Mistake::HalfOutput,
        Mistake::ForgottenOnLoss,
        Mistake::StartNotCounted,
        Mistake::ToldBeforeSync,
        Mistake::EndBeforeSync,
    ];
}

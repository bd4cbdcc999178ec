//! Deliberate mistakes, one at a time: those of the wiring between core and world, and with the feature `mistakes` those of the
//! core. Each must be found, so that the auditor is known to see.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// Of the core.
    #[cfg(feature = "mistakes")]
    Core(wq_core::Mistake),
    /// Clients are answered before the journal is read.
    WrongZero,
    /// No mark of the clock follows the begin of a checkpoint, so that nobody notices a reboot.
    NoClockMark,
    /// A sync of the journal is reported and not done.
    LyingSync,
    /// The spool folder is read without a look at what was taken.
    FileTwice,
    /// The history is said to be on disk when it is not.
    HistoryNotSynced,
}

impl Mistake {
    /// Those of the wiring.
    pub const WIRING: [Mistake; 5] =
        [Mistake::WrongZero, Mistake::NoClockMark, Mistake::LyingSync, Mistake::FileTwice, Mistake::HistoryNotSynced];

    /// All of them.
    pub fn all() -> Vec<Mistake> {
        let all = Mistake::WIRING.to_vec();
        #[cfg(feature = "mistakes")]
        let all = all.into_iter().chain(wq_core::Mistake::ALL.map(Mistake::Core)).collect();
        all
    }
}

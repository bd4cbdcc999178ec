//! The shell around `wq-core`.

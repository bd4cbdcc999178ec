//! The condor_* programs.

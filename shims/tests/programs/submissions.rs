//! What reaches the master from `condor_submit`.

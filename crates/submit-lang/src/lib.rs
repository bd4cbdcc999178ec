//! The submit description language of HTCondor.

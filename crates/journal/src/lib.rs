//! The journal: record format, scan and recovery over a storage trait.

//! Masters that refuse, break off or are not there.

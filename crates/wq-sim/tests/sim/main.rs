//! Seeds: some thousands of histories without a broken promise, and each deliberate mistake seen.

mod mistakes;
mod seeds;

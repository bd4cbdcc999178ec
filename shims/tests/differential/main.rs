//! What HTCondor's own Python package (24.x, the last with these readers) makes of the same texts as we do: generated
//! expressions and submit files, and logs that we print. `read.py` drives it.
//!
//! The package is installed once into the folder for tests' files below the target dir. Where that cannot be, each test
//! says so on standard error, by its name.

mod dice;
mod expressions;
mod lines;
mod logs;
mod python;
mod submits;

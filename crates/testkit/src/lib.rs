//! Temporary sites, process guards and real workers for tests.

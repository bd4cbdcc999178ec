//! The submit language as a whole: recorded texts, texts of real clients, marks and limits.

mod clients;
mod keys;
mod library;
mod limits;
mod marks;
mod recorded;
mod refusals;
mod site;

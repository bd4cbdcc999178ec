//! The functions: one table each for a field, all found by [`Call::new`].

mod call;
mod jobs;
mod lists;
mod logic;
mod numbers;
mod regex;
mod stringlists;
mod strings;
pub(crate) mod time;
mod times;
mod types;
mod unresolved;

pub(crate) use call::{Call, Function};

/// All tables, searched when a call is parsed.
const TABLES: [&[Function]; 10] = [
    logic::TABLE,
    types::TABLE,
    strings::TABLE,
    lists::TABLE,
    numbers::TABLE,
    times::TABLE,
    regex::TABLE,
    stringlists::TABLE,
    jobs::TABLE,
    unresolved::TABLE,
];

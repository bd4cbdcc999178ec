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

use std::collections::BTreeMap;
use std::sync::LazyLock;

use call::Function;

pub(crate) use call::Call;

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

/// The function of a name in lower case.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    static BY_NAME: LazyLock<BTreeMap<&str, &Function>> = LazyLock::new(|| {
        TABLES.iter().flat_map(|table| table.iter()).map(|function| (function.name, function)).collect()
    });
    BY_NAME.get(name).copied()
}

//! The functions: one table each for a field, all found by [`Call::new`].

mod call;
mod lists;
mod logic;
mod numbers;
mod strings;
pub(crate) mod time;
mod types;

pub(crate) use call::{Call, Function};

/// All tables, searched when a call is parsed.
const TABLES: [&[Function]; 6] =
    [logic::TABLE, types::TABLE, strings::TABLE, lists::TABLE, numbers::TABLE, time::TABLE];

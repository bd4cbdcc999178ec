//! Reports to catalog servers, from which workers, the factory and `work_queue_status` learn where this master is.
//!
//! Each server has a task of its own that looks up its name, sends what the core reports, and waits; a server that cannot
//! be reached is told to the operator once and tried again, and delays nobody. [`servers`] reads `--catalog-host`,
//! `update` makes and sends one message, `inform` is the task.

mod inform;
pub mod servers;
mod update;

pub(crate) use inform::inform;
pub use servers::{Server, Transport};

//! The planned restart: `awq reload` (decision D10).
//!
//! The running program brings to rest what is under way, writes down what the journal does not know, has the new program
//! prove in a child of its own that it reads that, and becomes the new program by `execve`: same process, same sockets,
//! same locks. Until the `execve` every failure ends with the running program going on as if nobody had asked.
//!
//! * `desk` who asked for it · `door` nobody is let in meanwhile · `depart` the old program's part
//! * `rehearsal` the proof · `arrive` the new program's part · `descriptors` what is inherited

mod arrive;
mod depart;
mod descriptors;
mod desk;
mod door;
mod rehearsal;

pub(crate) use arrive::{Arrival, answer};
pub(crate) use depart::{Heritage, serve};
pub(crate) use desk::{Desk, Order};
pub(crate) use door::Door;
pub(crate) use rehearsal::prove;

pub(crate) use descriptors::{adopt, keep_open};

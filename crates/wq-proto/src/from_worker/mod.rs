//! Everything a peer can say to the master.
//!
//! [`message`] has the closed list with its parser and printer; the messages with an inner structure have their own
//! files: [`hello`] (first lines), [`info`], [`resource`], [`result`].

mod hello;
mod info;
mod message;
mod resource;
mod result;

pub use hello::{Hello, StatusQuery};
pub use info::{Exhaustion, Info, Statistic};
pub use message::FromWorker;
pub(crate) use message::put;
pub use resource::{Resource, ResourceKind};
pub use result::TaskResult;

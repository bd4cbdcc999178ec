//! The worker port: connections of workers and foremen, and the bytes on them (decision D50).
//!
//! One light task a link, without a channel of its own. Reading and writing go on at the same time; a link that idles
//! holds no buffer. What bytes mean is `wq-proto`'s business, what to answer the core's.

mod body;
mod codec;
mod credentials;
mod der;
mod handover;
mod link;
mod listen;
mod outbox;
mod strangers;
mod stream;
mod table;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use credentials::Credentials;
pub(crate) use listen::{Listening, accept, addresses, listen, listen_on};
pub(crate) use outbox::Piece;
pub(crate) use stream::Stream;
pub(crate) use table::Links;

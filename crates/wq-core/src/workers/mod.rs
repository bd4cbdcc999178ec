//! The peers: workers and foremen, what they have and what is booked on them.

mod foreman;
mod handover;
mod health;
mod index;
mod kept;
pub mod machine;
mod peer;
mod shape;
mod tally;

pub use foreman::Leftover;
pub use health::{Health, HostKey};
pub use index::FreeIndex;
pub use kept::Kept;
pub use peer::{Expect, Peer, Peers, Phase};
pub use shape::{Amount, Shape, Sum};
pub use tally::{Side, Tally};

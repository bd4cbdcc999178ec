//! The queue: every job from its submission until it leaves.
//!
//! A waiting job is one fixed [`Job`] slot, a shared template and a packed delta (decision D54); what only started,
//! held or edited jobs have stands in [`Story`], which is made when it is needed. The full ad exists only while
//! somebody asks for it ([`view::JobView`]).

pub mod class;
pub mod cron;
mod idle;
mod lane;
pub mod limits;
pub mod plan;
mod reads;
mod shared;
mod story;
mod table;
pub mod template;
pub mod view;

pub use idle::{IdleQueues, QueueId, QueueKey};
pub use shared::Shared;
pub use story::{Departure, Ending, Hold, Story};
pub use table::{ClusterInfo, Deferral, Facts, Job, JobTable, NewCluster, Owner, OwnerId, Slot, Status};

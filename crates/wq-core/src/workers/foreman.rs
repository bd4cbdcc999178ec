//! What is known of a foreman beyond what every peer has: whether tasks wait there, and tasks that may not be killed.

use std::collections::BTreeMap;

use wq_proto::TaskId;

use super::shape::{Amount, Shape};
use crate::ids::{AttemptId, Timestamp};

/// A task whose job has gone on without it. It ends where it is: until then it has its share of the foreman.
#[derive(Debug)]
pub struct Leftover {
    /// Its share.
    pub shape: Shape,
    /// What it leaves in the foreman's cache.
    pub names: Vec<String>,
}

/// The state of one foreman.
#[derive(Debug, Default)]
pub struct Foreman {
    /// Last `resource tag`: the youngest task that the foreman had received when it said so.
    pub tag: u32,
    /// The next `tasks_waiting` is the second of its report and has another meaning.
    pub second: bool,
    /// Since when every report said that tasks wait.
    pub waiting_since: Option<Timestamp>,
    /// Attempts to be killed as soon as a report shows that no task waits.
    pub kills: Vec<(AttemptId, TaskId)>,
    /// Tasks that are left to end.
    pub leftovers: BTreeMap<TaskId, Leftover>,
}

impl Foreman {
    /// What the tasks that are left to end take.
    pub fn left(&self) -> (Amount, u32) {
        let mut used = Amount::default();
        for leftover in self.leftovers.values() {
            used.add(leftover.shape);
        }
        (used, self.leftovers.len() as u32)
    }
}

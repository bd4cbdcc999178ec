//! Status requests on the worker port: what `work_queue_status`, `work_queue_factory` and browsers ask.
//!
//! Whoever opens a connection with a request gets one JSON array and the end of the connection. It is no worker and is
//! counted nowhere. Without the password only programs on this machine are answered (decision D7); arguments and
//! environments of jobs are in no answer. Limits: [`answer::PLACES`] requests at once, [`answer::ANSWER_MAX`] for each,
//! [`answer::LISTED_MAX`] entries of a list.

mod answer;
mod objects;
#[cfg(test)]
mod tests;

pub(crate) use answer::{PLACES, Question, answer};
pub(crate) use objects::{About, queue};

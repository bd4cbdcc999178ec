//! What the history gets of a job that has left the queue.

use crate::ids::{JobId, RecordNo};

/// A whole job as it left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departed {
    /// The record of its leaving; the numbers ascend.
    pub no: RecordNo,
    /// Which job.
    pub job: JobId,
    /// Wall clock at its submission in seconds since 1970: tells apart jobs of one number when a journal was begun anew.
    pub submitted_s: i64,
    /// Wall clock at its leaving, seconds since 1970.
    pub left_s: i64,
    /// User id of its owner.
    pub uid: u32,
    /// Login name of its owner.
    pub owner: String,
    /// Names and expression texts of all attributes, private ones too.
    pub ad: Vec<(String, String)>,
}

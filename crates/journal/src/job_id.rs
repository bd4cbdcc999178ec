//! The identifier of a job.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `cluster.proc`, the name of a job for ever: cluster ids are never reused.
///
/// Ordered by cluster, then proc. `cluster` is 1 to 2³¹ − 1, `proc_` counts from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId {
    /// Number of the cluster, from 1.
    pub cluster: u32,
    /// Number within the cluster, from 0.
    pub proc_: u32,
}

impl JobId {
    /// The job `cluster.proc_`.
    pub const fn new(cluster: u32, proc_: u32) -> JobId {
        JobId { cluster, proc_ }
    }

    /// Both numbers in one word, cluster in the upper half; keeps the order.
    pub const fn pack(self) -> u64 {
        ((self.cluster as u64) << 32) | self.proc_ as u64
    }

    /// The job that [`JobId::pack`] packed.
    pub const fn unpack(packed: u64) -> JobId {
        JobId { cluster: (packed >> 32) as u32, proc_: packed as u32 }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.cluster, self.proc_)
    }
}

/// A text that is no `cluster.proc`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a job id of the form cluster.proc")]
pub struct JobIdError {
    /// The text as given.
    pub text: String,
}

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<JobId, JobIdError> {
        let number = |part: &str| {
            if part.bytes().all(|b| b.is_ascii_digit()) { part.parse::<u32>().ok() } else { None }
        };
        text.split_once('.')
            .and_then(|(cluster, proc_)| Some(JobId::new(number(cluster)?, number(proc_)?)))
            .ok_or_else(|| JobIdError { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_that_is_no_job_id_is_refused() {
        for text in ["", "1", "1.", ".1", "1.2.3", "+1.2", "1.-2", "4294967296.0", " 1.2"] {
            assert!(text.parse::<JobId>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn packing_and_printing_round_trip_and_keep_order(a: (u32, u32), b: (u32, u32)) {
            let (x, y) = (JobId::new(a.0, a.1), JobId::new(b.0, b.1));
            prop_assert_eq!(JobId::unpack(x.pack()), x);
            prop_assert_eq!(x.to_string().parse::<JobId>(), Ok(x));
            prop_assert_eq!(x.cmp(&y), x.pack().cmp(&y.pack()));
        }
    }
}

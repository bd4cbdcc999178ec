//! Waiting for a condition with a deadline: the only place in the tests that lets time pass.

use std::time::{Duration, Instant};

/// Pause between two looks at a condition: first short, for things that are nearly there, then longer.
const PAUSE_FIRST: Duration = Duration::from_millis(2);
/// Upper end of the pause.
const PAUSE_LAST: Duration = Duration::from_millis(10);

/// The deadline passed and the condition still did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// What was waited for, in the caller's words.
    pub what: String,
    /// How long.
    pub deadline: Duration,
}

impl std::fmt::Display for Expired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "waited {:?} in vain for: {}", self.deadline, self.what)
    }
}

impl std::error::Error for Expired {}

/// Looks at `condition` every few milliseconds until it holds.
///
/// The condition is looked at once more after the deadline, so that a machine which slept through it does not turn
/// a success into a failure. Inside a site prefer [`crate::Site::wait_until`], which shows the logs.
///
/// # Errors
/// [`Expired`] when `deadline` has passed.
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Result<(), Expired> {
    let begin = Instant::now();
    let mut pause = PAUSE_FIRST;
    loop {
        let late = begin.elapsed() >= deadline;
        if condition() {
            return Ok(());
        }
        if late {
            return Err(Expired { what: what.to_owned(), deadline });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_LAST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        let answer = wait_until(Duration::from_secs(10), "three looks", || {
            looks += 1;
            looks == 3
        });
        assert_eq!((answer, looks), (Ok(()), 3));
    }

    #[test]
    fn the_deadline_names_what_was_waited_for() {
        let error = wait_until(Duration::ZERO, "a pig with wings", || false).unwrap_err();
        assert_eq!(error.to_string(), "waited 0ns in vain for: a pig with wings");
    }

    #[test]
    fn a_true_condition_wins_over_a_passed_deadline() {
        assert_eq!(wait_until(Duration::ZERO, "now", || true), Ok(()));
    }
}

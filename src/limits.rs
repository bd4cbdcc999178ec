//! The limit of open files: raised as far as allowed, and divided.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors kept for journal, outputs, control connections and the process itself (decision D67).
pub(crate) const RESERVE: u64 = 512;

/// What the process may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// The limit that holds now.
    pub(crate) limit: u64,
    /// How many connections of workers that leaves.
    pub(crate) links: usize,
}

/// Raises the soft limit of open files to the hard one.
///
/// A system that refuses is no reason not to work: the limit that holds is used.
pub(crate) fn raise() -> Descriptors {
    let limit = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if soft < hard => match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => hard,
            Err(_) => soft,
        },
        Ok((soft, _)) => soft,
        // POSIX promises at least this many.
        Err(_) => 20,
    };
    divide(limit)
}

fn divide(limit: u64) -> Descriptors {
    // With a tiny limit half of it still serves workers, so that a mistake is seen in the log and not as silence.
    let links = limit.saturating_sub(RESERVE).max(limit / 2);
    // One million sockets is beyond what one address and port can serve; "unlimited" must not become a table size.
    Descriptors { limit, links: usize::try_from(links.min(1 << 20)).expect("at most 2^20") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept() {
        assert_eq!(divide(20_000).links, 19_488);
        assert_eq!(divide(600).links, 300);
        assert_eq!(divide(u64::MAX).links, 1 << 20);
    }

    #[test]
    fn raising_twice_gives_the_same() {
        assert_eq!(raise(), raise());
    }
}

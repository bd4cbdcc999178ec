//! The protocol numbers a peer may announce and what differs between them, in one table.

use std::fmt;

/// The protocol a peer announced in its `workqueue` line.
///
/// The number decides the spelling, never the version string: Debian's "8.0.0" is protocol 9 of 2021, other builds with
/// the same string are 10 and 11.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// CCTools 5.3.0 to 5.4.17.
    V6,
    /// CCTools 6.0.0 to 6.2.8.
    V7,
    /// CCTools 7.0.0 to 7.0.22.
    V8,
    /// CCTools 7.1.6 to 7.4.16, and Debian's 9.9.
    V9,
    /// A development tree of 2022, never released.
    V10,
    /// CCTools 7.5.0 and later.
    V11,
}

/// What one protocol version can say and how it spells it; see [`Protocol::dialect`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Which protocol this row describes.
    pub protocol: Protocol,
    /// `category WORD` is known inside a task; elsewhere the line disconnects.
    pub has_category: bool,
    /// `coprocess LEN` is known inside a task.
    pub has_coprocess: bool,
    /// Directories travel as `dir … end` with `symlink`; elsewhere as one `put a/b` for each file.
    pub has_dir: bool,
    /// `url`, `thirdget` and `thirdput` are known.
    pub has_third_party: bool,
    /// `puturl`, `putcmd`, `cache-update` and `cache-invalid` are known.
    pub has_deferred_urls: bool,
    /// `tlq URL` is known in both directions.
    pub has_tlq: bool,
    /// Names in `put`, `unlink`, `get` … are percent-encoded; elsewhere they are raw.
    pub encodes_cache_names: bool,
    /// `put` accepts blanks in its raw name.
    pub put_name_may_hold_blanks: bool,
    /// `put` without its fourth field disconnects.
    pub needs_put_flags: bool,
    /// Inputs are linked when the task starts, not when its `end` arrives: do not `unlink` them before the result.
    pub links_inputs_at_start: bool,
    /// An `infile` that is not in the cache gives a result with status 1; elsewhere it disconnects.
    pub reports_missing_inputs: bool,
    /// A plain worker answers `check` with its resource block too (foremen of all versions do).
    pub resources_after_check: bool,
    /// A task that can never fit comes back as FORSAKEN; elsewhere the worker holds it for ever without a word.
    pub forsakes_oversized_tasks: bool,
    /// `info worker-id` comes right after `workqueue`; elsewhere it is the last line of the greeting.
    pub worker_id_first: bool,
    /// `feature NAME` may be said.
    pub has_features: bool,
    /// `info vacating SIGNAL` announces a worker that was told to stop.
    pub announces_vacating: bool,
    /// Some releases report memory and disk 100 MB lower than given (all of 7 and 8, and 9 before 7.2.2).
    pub may_report_100_mb_less: bool,
    /// Foremen deliver input and output files only by the `cache/` work-around, and crash when a waiting task is killed.
    pub foremen_broken: bool,
}

/// Protocol 6; the other rows say what they changed.
const V6: Dialect = Dialect {
    protocol: Protocol::V6,
    has_category: false,
    has_coprocess: false,
    has_dir: false,
    has_third_party: true,
    has_deferred_urls: false,
    has_tlq: false,
    encodes_cache_names: false,
    put_name_may_hold_blanks: false,
    needs_put_flags: false,
    links_inputs_at_start: false,
    reports_missing_inputs: false,
    resources_after_check: true,
    forsakes_oversized_tasks: false,
    worker_id_first: false,
    has_features: false,
    announces_vacating: false,
    may_report_100_mb_less: false,
    foremen_broken: false,
};

const V7: Dialect = Dialect {
    protocol: Protocol::V7,
    has_category: true,
    resources_after_check: false,
    forsakes_oversized_tasks: true,
    worker_id_first: true,
    announces_vacating: true,
    may_report_100_mb_less: true,
    ..V6
};

const V8: Dialect =
    Dialect { protocol: Protocol::V8, put_name_may_hold_blanks: true, needs_put_flags: true, has_features: true, ..V7 };

const V9: Dialect = Dialect {
    protocol: Protocol::V9,
    has_dir: true,
    has_tlq: true,
    encodes_cache_names: true,
    put_name_may_hold_blanks: false,
    needs_put_flags: false,
    ..V8
};

const V10: Dialect = Dialect { protocol: Protocol::V10, has_coprocess: true, may_report_100_mb_less: false, ..V9 };

const V11: Dialect = Dialect {
    protocol: Protocol::V11,
    has_third_party: false,
    has_deferred_urls: true,
    links_inputs_at_start: true,
    reports_missing_inputs: true,
    foremen_broken: true,
    ..V10
};

/// One row for each protocol, in the order of [`Protocol`].
static DIALECTS: [Dialect; 6] = [V6, V7, V8, V9, V10, V11];

/// A protocol number this library does not speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("protocol {number} is not one of 6 to 11")]
pub struct UnsupportedProtocol {
    /// The number as announced.
    pub number: u32,
}

impl Protocol {
    /// All protocols, oldest first.
    pub const ALL: [Self; 6] = [Self::V6, Self::V7, Self::V8, Self::V9, Self::V10, Self::V11];

    /// The number on the wire, 6 to 11.
    pub const fn number(self) -> u32 {
        6 + self as u32
    }

    /// What this protocol can say and how. Source: CCTools worker sources and recorded conversations of all six.
    pub fn dialect(self) -> &'static Dialect {
        &DIALECTS[self as usize]
    }
}

impl TryFrom<u32> for Protocol {
    type Error = UnsupportedProtocol;

    fn try_from(number: u32) -> Result<Self, UnsupportedProtocol> {
        Self::ALL.into_iter().find(|p| p.number() == number).ok_or(UnsupportedProtocol { number })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_rows_agree() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::try_from(protocol.number()), Ok(protocol));
            assert_eq!(protocol.dialect().protocol, protocol);
        }
        for number in [0, 5, 12, u32::MAX] {
            assert_eq!(Protocol::try_from(number), Err(UnsupportedProtocol { number }));
        }
    }

    #[test]
    fn the_table_says_what_was_observed() {
        let versions = |has: fn(&Dialect) -> bool| -> Vec<u32> {
            Protocol::ALL.into_iter().filter(|p| has(p.dialect())).map(Protocol::number).collect()
        };
        assert_eq!(versions(|d| d.has_category), [7, 8, 9, 10, 11]);
        assert_eq!(versions(|d| d.has_coprocess), [10, 11]);
        assert_eq!(versions(|d| d.has_dir), [9, 10, 11]);
        assert_eq!(versions(|d| d.has_third_party), [6, 7, 8, 9, 10]);
        assert_eq!(versions(|d| d.has_deferred_urls), [11]);
        assert_eq!(versions(|d| d.has_tlq), [9, 10, 11]);
        assert_eq!(versions(|d| d.encodes_cache_names), [9, 10, 11]);
        assert_eq!(versions(|d| d.put_name_may_hold_blanks), [8]);
        assert_eq!(versions(|d| d.needs_put_flags), [8]);
        assert_eq!(versions(|d| d.links_inputs_at_start), [11]);
        assert_eq!(versions(|d| d.resources_after_check), [6]);
        assert_eq!(versions(|d| d.forsakes_oversized_tasks), [7, 8, 9, 10, 11]);
        assert_eq!(versions(|d| d.has_features), [8, 9, 10, 11]);
        assert_eq!(versions(|d| d.may_report_100_mb_less), [7, 8, 9]);
        assert_eq!(versions(|d| d.foremen_broken), [11]);
    }
}

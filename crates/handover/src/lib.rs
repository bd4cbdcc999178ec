//! What a planned restart hands to the next program (decision D10): only what the journal does not know.
//!
//! Jobs, their stories and the event logs come back by the way that every start takes, from the journal. Here stand the
//! connections with the bytes that are half read or half written, what is known of the peers behind them, and the attempts
//! that are with these peers.
//!
//! The text is one JSON object. Fields may be added: an older text is read with their defaults, an older program ignores
//! what it does not know. A change that an older program would misunderstand raises [`VERSION`], and a program refuses
//! every version but those it knows; the running master then simply goes on.

mod core;
mod link;
mod text;

pub use crate::core::{Amount, Expect, LinkId, Shape};
pub use crate::core::{
    Attempt, Below, Core, Host, Kept, Leftover, Output, OutputKind, Peer, Phase, Progress, Refused, Stage, Strikes,
    Timer,
};
pub use crate::link::{Item, Link};

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The version of the text that this crate writes, and the only one that it reads.
pub const VERSION: u32 = 1;

/// Everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// [`VERSION`].
    pub version: u32,
    /// Release of the program that wrote it.
    pub release: String,
    /// The work dir, absolute.
    pub work_dir: PathBuf,
    /// The state dir, absolute.
    pub state_dir: PathBuf,
    /// `CLOCK_BOOTTIME` in µs since when nothing is dispatched.
    pub paused_us: u64,
    /// Open files that are inherited.
    pub descriptors: Descriptors,
    /// Connections of workers, foremen, and of those who have not said yet what they are.
    pub links: Vec<Link>,
    /// Connections that could not be handed over and were closed.
    #[serde(default)]
    pub dropped: u64,
    /// What the core knows beyond the journal.
    pub core: Core,
}

/// Numbers of open files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptors {
    /// The lock file of the work dir.
    pub work_lock: i32,
    /// The lock file of the state dir.
    pub state_lock: i32,
    /// The listening socket of the clients.
    pub control: i32,
    /// The listening sockets of the workers.
    pub workers: Vec<i32>,
    /// The client that asked for the restart and waits for the answer.
    #[serde(default)]
    pub asker: Option<i32>,
    /// Clients that connected and have not been read from.
    #[serde(default)]
    pub clients: Vec<i32>,
}

impl Descriptors {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = i32> + '_ {
        [self.work_lock, self.state_lock, self.control]
            .into_iter()
            .chain(self.workers.iter().copied())
            .chain(self.asker)
            .chain(self.clients.iter().copied())
    }
}

/// Why a text is refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such text.
    #[error("the state is not what a master hands over: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Another version.
    #[error("the state has version {found}, this program reads version {VERSION}")]
    Version {
        /// Of the text.
        found: u32,
    },
}

/// What every version has.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl State {
    /// The text.
    ///
    /// # Errors
    /// A path is no UTF-8.
    pub fn write(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads the text.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(text: &[u8]) -> Result<State, ReadError> {
        let head: Head = serde_json::from_slice(text)?;
        if head.version != VERSION {
            return Err(ReadError::Version { found: head.version });
        }
        Ok(serde_json::from_slice(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_back_and_other_versions_are_refused() {
        let link =
            Link { rest: b"ali\xff".to_vec(), out: vec![Item::Text(vec![0, 10]), Item::Mark(7)], ..Link::default() };
        let attempt = Attempt { cluster: 3, kept: vec!["ab".into()], ..Attempt::default() };
        let state = State {
            version: VERSION,
            work_dir: "/tmp/awq".into(),
            links: vec![link],
            core: Core { attempts: vec![attempt], ..Core::default() },
            ..State::default()
        };
        let text = state.write().unwrap();
        assert_eq!(State::read(&text).unwrap(), state);
        let newer = State { version: VERSION + 1, ..state }.write().unwrap();
        let refused = State::read(&newer).unwrap_err().to_string();
        assert_eq!(refused, "the state has version 2, this program reads version 1");
        assert!(State::read(&text[..text.len() - 1]).is_err());
    }

    #[test]
    fn unknown_fields_of_a_later_release_are_ignored_and_missing_ones_have_defaults() {
        // Frozen: what version 1 always has.
        let text = br#"{"version":1,"release":"0.1.0","work_dir":"/w","state_dir":"/s","paused_us":5,
            "descriptors":{"work_lock":3,"state_lock":4,"control":5,"workers":[6]},"news":{"x":1},
            "links":[{"slot":0,"turn":2,"descriptor":9,"protocol":9,"more":true}],
            "core":{"next_attempt":8,"peers":[],"attempts":[]}}"#;
        let state = State::read(text).unwrap();
        assert_eq!((state.core.next_attempt, state.links[0].turn, state.descriptors.asker), (8, 2, None));
        assert_eq!(state.descriptors.all().collect::<Vec<_>>(), [3, 4, 5, 6]);
    }
}

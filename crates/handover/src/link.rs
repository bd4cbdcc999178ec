//! A connection, and the bytes on their way.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::text;

/// A connection of a worker or foreman, between two messages or in the middle of one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Its place in the table.
    pub slot: u32,
    /// How often the place was used before.
    pub turn: u32,
    /// The socket.
    pub descriptor: i32,
    /// What it speaks, as its hello said.
    pub protocol: u32,
    /// It is a foreman.
    #[serde(default)]
    pub foreman: bool,
    /// It has not said anything yet; the core does not know it.
    #[serde(default)]
    pub stranger: bool,
    /// The begin of a line whose end has not come.
    #[serde(default, with = "text", skip_serializing_if = "Vec::is_empty")]
    pub rest: Vec<u8>,
    /// What waits to be written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub out: Vec<Item>,
}

/// Something that waits to be written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// Bytes.
    Text(#[serde(with = "text")] Vec<u8>),
    /// The rest of a file.
    File {
        /// For whom.
        attempt: u64,
        /// Which.
        path: PathBuf,
        /// It is a blob of this hash.
        #[serde(default)]
        blob: Option<String>,
        /// Bytes that are out already.
        offset: u64,
        /// Bytes to come; a blob that is not open yet is sent to its end.
        left: Option<u64>,
        /// The hash that the whole must have.
        #[serde(default)]
        content: Option<String>,
    },
    /// Everything of this attempt is out.
    Mark(u64),
}

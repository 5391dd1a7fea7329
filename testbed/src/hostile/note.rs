//! What hostile nodes write down for their accomplices: one JSON line each. The audit reads these notes, and nothing else,
//! to find out what the operator knows.

use std::path::Path;

use anon::{
    position::Key,
    request::{Request, Targets},
};
use data_encoding::HEXLOWER;
use net::Peer;
use serde::{Deserialize, Serialize};

use super::behaviour::Act;

/// The file, in a node's directory.
pub(crate) const FILE: &str = "notes.jsonl";

/// One note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What was done or seen.
    pub act: Act,
    /// The other end's libp2p identity.
    pub peer: String,
    /// The other end's network address.
    pub address: String,
    /// Values by which accomplices know that they speak of the same agent or channel, hexadecimal.
    pub values: Vec<String>,
    /// The key that was asked about, hexadecimal; empty if none was.
    pub about: String,
}

impl Note {
    /// A note about this peer.
    pub(crate) fn new(act: Act, peer: &Peer, values: &[&[u8]]) -> Self {
        Self {
            act,
            peer: peer.id.to_string(),
            address: peer.address.to_string(),
            values: values.iter().map(|value| HEXLOWER.encode(value)).collect(),
            about: String::new(),
        }
    }

    /// The same about what was asked.
    pub(crate) fn about(mut self, key: Key) -> Self {
        self.about = HEXLOWER.encode(&key.0);
        self
    }

    /// The key that was asked about.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        let bytes = HEXLOWER.decode(self.about.as_bytes()).ok()?;
        Some(Key(bytes.try_into().ok()?))
    }
}

/// Whose key a request to an anonymizer is about, if it is about one.
pub(crate) fn key_of(request: &Request) -> Option<Key> {
    match request {
        Request::Closest { key, .. } | Request::Lookup { key, .. } | Request::Fetch { key } => {
            Some(*key)
        }
        Request::AppendInbox(append) => Some(append.inbox),
        Request::Store(store) => Some(store.key),
        Request::Perform { targets, request } => match targets {
            Targets::LookedUp { key, .. } | Targets::Closest { key, .. } => Some(*key),
            Targets::Nodes(_) => key_of(request),
        },
        _ => None,
    }
}

/// All notes in a node's directory so far; a line that is being written is left out.
#[must_use]
pub fn read(directory: &Path) -> Vec<Note> {
    let text = std::fs::read_to_string(directory.join(FILE)).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

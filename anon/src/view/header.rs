//! What keepers sign of a view: its header, and the id made of it.
//!
//! ```text
//! version 1 | network 32 | epoch | 0, or 1 and the id of the view before 32 | count
//!           | descriptors' root 32 | node signatures' root 32 | serial number of the network file | revocations' digest 32
//! ```
//! Numbers are in the variable-length encoding of [`crate::wire`].

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::tree::Root;
use crate::{
    hex::debug_as_short_hex,
    id::NetworkId,
    labels,
    time::Epoch,
    wire::{self, WireError},
};

/// The version of headers that this software makes and reads.
pub const HEADER_VERSION: u8 = 1;
/// The longest encoded header, bytes.
pub const MAX_HEADER: usize = 1 + 32 + 9 + 33 + 5 + 32 + 32 + 9 + 32;
/// The most nodes that a view may have.
pub const MAX_VIEW_NODES: u32 = 1_000_000;
/// The most nodes that a view has unless the network file says otherwise.
pub const DEFAULT_VIEW_NODES: u32 = 100_000;

/// A header that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Made by software that this one does not understand.
    #[error("unknown version of views: {0}")]
    UnknownVersion(u8),
    /// Not a header, or not canonically encoded.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// More than [`MAX_VIEW_NODES`] nodes.
    #[error("a view of {0} nodes is larger than any may be")]
    TooManyNodes(u32),
}

/// `SHA-256(label ‖ 0x00 ‖ encoded header)`: what a view is known by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ViewId(pub [u8; 32]);
debug_as_short_hex!(ViewId);

/// What keepers sign of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewHeader {
    /// The network whose nodes it lists.
    pub network: NetworkId,
    /// The epoch that it is for.
    pub epoch: Epoch,
    /// The view before it; none for a network's first.
    pub before: Option<ViewId>,
    /// How many nodes it lists, at most [`MAX_VIEW_NODES`].
    pub count: u32,
    /// The root over its descriptors.
    pub descriptors: Root,
    /// The root over its nodes' signatures, in the same order.
    pub signatures: Root,
    /// The serial number of the network file that keepers went by.
    pub network_serial: u64,
    /// The digest of the revocation list that keepers went by.
    pub revocations: [u8; 32],
}

impl ViewHeader {
    /// The encoding, at most [`MAX_HEADER`] bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(&(HEADER_VERSION, self))
    }

    /// Reads a header that fills `bytes`.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        match bytes.first() {
            Some(&version) if version != HEADER_VERSION => {
                return Err(HeaderError::UnknownVersion(version));
            }
            _ => {}
        }
        let (_, header): (u8, Self) = wire::decode(bytes, MAX_HEADER)?;
        if header.count > MAX_VIEW_NODES {
            return Err(HeaderError::TooManyNodes(header.count));
        }
        Ok(header)
    }

    /// What the view is known by.
    #[must_use]
    pub fn id(&self) -> ViewId {
        let mut hash = Sha256::new();
        for part in [labels::VIEW_ID.as_bytes(), &[0], &self.encode()] {
            hash.update(part);
        }
        ViewId(hash.finalize().into())
    }
}

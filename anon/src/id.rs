//! Who is who: a node's identity and a network's.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{hex::debug_as_short_hex, position::Position};

/// A network's id, 32 bytes: bound into every signature and key of that network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NetworkId(pub [u8; 32]);
debug_as_short_hex!(NetworkId);

/// A node's identity: its Ed25519 key, 32 bytes, which is also its libp2p identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub [u8; 32]);
debug_as_short_hex!(NodeId);

impl NodeId {
    /// What libp2p puts before an Ed25519 key in a peer id: identity multihash of 36 bytes, protobuf type 1.
    pub(crate) const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

    /// The libp2p peer id, 38 bytes.
    #[must_use]
    pub fn peer_id(&self) -> [u8; 38] {
        let mut id = [0; 38];
        for (to, from) in id.iter_mut().zip(Self::PEER_ID_PREFIX.iter().chain(&self.0)) {
            *to = *from;
        }
        id
    }

    /// The node with this libp2p peer id, if that is an inline Ed25519 key.
    #[must_use]
    pub fn from_peer_id(bytes: &[u8]) -> Option<Self> {
        bytes.strip_prefix(&Self::PEER_ID_PREFIX)?.try_into().ok().map(Self)
    }

    /// The node's position in the DHT space: SHA-256 of its peer id.
    #[must_use]
    pub fn position(&self) -> Position {
        Position(Sha256::digest(self.peer_id()).into())
    }

    /// The first eight hexadecimal digits, for people to compare.
    #[must_use]
    pub fn short(&self) -> String {
        data_encoding::HEXLOWER.encode(self.0.first_chunk::<4>().unwrap_or(&[0; 4]))
    }
}

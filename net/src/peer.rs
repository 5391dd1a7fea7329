//! The other end of a link.

use anon::id::NodeId;
use libp2p::{Multiaddr, PeerId};

use crate::shares::{Caller, Range};

/// The other end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its libp2p identity: a node's own, or a user agent's disposable one.
    pub id: PeerId,
    /// From where it comes, or where it was dialled.
    pub address: Multiaddr,
}

impl Peer {
    /// The node it would be, if it is one.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        NodeId::from_peer_id(&self.id.to_bytes())
    }

    /// Whose shares it takes.
    pub fn caller(&self) -> Caller {
        Caller { peer: self.id, range: Range::of(&self.address) }
    }
}

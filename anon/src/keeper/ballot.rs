//! Which keepers vote for which view: what binds every message of one vote to network, epoch and set of keepers.

use sha2::{Digest as _, Sha256};

use crate::{
    id::NetworkId,
    keys::VerifyKey,
    labels,
    time::Epoch,
    view::{header::MAX_VIEW_NODES, quorum::KeeperSet},
};

/// One vote: for the view of one epoch, by the keepers of one network file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    network: NetworkId,
    epoch: Epoch,
    keepers: KeeperSet,
    digest: [u8; 32],
    max_nodes: u32,
}

impl Ballot {
    /// The ballot for the view of `epoch`, which has at most `max_nodes` nodes; so many may a vote name, too, and never more
    /// than [`MAX_VIEW_NODES`].
    #[must_use]
    pub fn new(network: NetworkId, epoch: Epoch, keepers: KeeperSet, max_nodes: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(labels::KEEPER_SET.as_bytes());
        hash.update([0]);
        hash.update(network.0);
        for key in keepers.keys() {
            hash.update(key.0);
        }
        let digest = hash.finalize().into();
        Self { network, epoch, keepers, digest, max_nodes: max_nodes.min(MAX_VIEW_NODES) }
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        self.network
    }

    /// The epoch that the view is for.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Who votes.
    #[must_use]
    pub const fn keepers(&self) -> &KeeperSet {
        &self.keepers
    }

    /// `SHA-256(label ‖ 0x00 ‖ network ‖ the keepers' keys in order)`: a vote of one set counts for no other.
    #[must_use]
    pub const fn keepers_digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The most nodes of the view, and of a vote.
    #[must_use]
    pub const fn max_nodes(&self) -> u32 {
        self.max_nodes
    }

    /// A keeper's key.
    #[must_use]
    pub fn key(&self, keeper: u8) -> Option<&VerifyKey> {
        self.keepers.key(keeper)
    }

    /// The numbers of all keepers.
    pub fn numbers(&self) -> impl Iterator<Item = u8> + use<> {
        (0..u8::MAX).take(self.keepers.keys().len())
    }
}

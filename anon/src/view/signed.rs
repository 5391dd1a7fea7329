//! A view: its header under a quorum, its nodes, and the nodes' signatures where they are kept.

use std::fmt;

use super::{
    error::ViewError,
    header::{ViewHeader, ViewId},
    list::{NodeList, SignatureList},
    quorum::{KeeperSet, SignedView},
};
use crate::{keys::KeyError, time::Epoch};

/// A view whose nodes are those that a quorum of keepers signed.
#[derive(Clone, PartialEq, Eq)]
pub struct View {
    signed: SignedView,
    nodes: NodeList,
    signatures: Option<SignatureList>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({:?}, {} nodes)", self.signed, self.nodes.len())
    }
}

impl View {
    /// Puts a view together.
    ///
    /// # Errors
    /// [`ViewError::WrongCount`] or [`ViewError::WrongHashes`] if these are not the nodes, or not their signatures, that the
    /// keepers signed.
    pub fn new(
        signed: SignedView,
        nodes: NodeList,
        signatures: Option<SignatureList>,
    ) -> Result<Self, ViewError> {
        let header = signed.header();
        let all = |list: &SignatureList| u32::try_from(list.len()) == Ok(header.count);
        if nodes.len() != header.count || !signatures.as_ref().is_none_or(all) {
            return Err(ViewError::WrongCount);
        }
        let signatures_root = signatures.as_ref().map(SignatureList::root);
        if nodes.root() != header.descriptors
            || signatures_root.is_some_and(|root| root != header.signatures)
        {
            return Err(ViewError::WrongHashes);
        }
        Ok(Self { signed, nodes, signatures })
    }

    /// For decoders, which have checked each chunk.
    pub(super) const fn of_checked_parts(
        signed: SignedView,
        nodes: NodeList,
        signatures: Option<SignatureList>,
    ) -> Self {
        Self { signed, nodes, signatures }
    }

    /// The header under its quorum.
    #[must_use]
    pub const fn signed(&self) -> &SignedView {
        &self.signed
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &ViewHeader {
        self.signed.header()
    }

    /// What it is known by.
    #[must_use]
    pub const fn id(&self) -> ViewId {
        self.signed.id()
    }

    /// The epoch that it is for.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.header().epoch
    }

    /// Its nodes.
    #[must_use]
    pub const fn nodes(&self) -> &NodeList {
        &self.nodes
    }

    /// Its nodes' signatures, if they are kept.
    #[must_use]
    pub const fn signatures(&self) -> Option<&SignatureList> {
        self.signatures.as_ref()
    }

    /// The same view without its nodes' signatures.
    #[must_use]
    pub fn without_signatures(self) -> Self {
        Self { signatures: None, ..self }
    }

    /// The same view with no more of its keepers' signatures than make a quorum: [`SignedView::with_lowest_quorum`].
    #[must_use]
    pub fn with_lowest_quorum(self, keepers: &KeeperSet) -> Self {
        Self { signed: self.signed.with_lowest_quorum(keepers), ..self }
    }

    /// Checks every node's own signature, if they are kept: some 50 microseconds a node. Keepers did so before they voted;
    /// this is for auditors.
    ///
    /// # Errors
    /// The first node's error, by rank.
    pub fn verify_node_signatures(&self) -> Result<(), KeyError> {
        let header = self.header();
        let signatures = self.signatures.iter().flat_map(|list| list.chunks().flatten());
        for (descriptor, signature) in self.nodes.iter().zip(signatures) {
            descriptor.verify(&header.network, header.epoch, signature)?;
        }
        Ok(())
    }
}

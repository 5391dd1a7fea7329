//! What a node states for the view of one epoch: its descriptor, signed, and its family's word that it is one of them.
//!
//! The node signs `label ‖ 0x00 ‖ network ‖ version ‖ epoch ‖ descriptor` alone, so that whoever has the view can check that
//! signature without the family's. Keepers may reach it at one of two addresses only; so a node that states both signs also
//! what is left of its descriptor without either ([`Descriptor::restricted`]). The family signs `label ‖ 0x00 ‖ network ‖ node id`.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::descriptor::{Addresses, Descriptor, FamilyTag};
use crate::{
    hex::debug_as_short_hex,
    id::{NetworkId, NodeId},
    keys::{FamilySecret, IdentitySecret, KeyError, Signature, SigningSecret as _, VerifyKey},
    labels,
    time::Epoch,
    wire::{self, WireError},
};

/// The version of statements that this software makes and reads.
pub const STATEMENT_VERSION: u8 = 1;
/// The longest encoded statement, bytes: version, epoch, descriptor, signature, two more for two addresses, and a family's key
/// and signature.
pub const MAX_STATEMENT: usize =
    1 + 9 + 1 + super::descriptor::MAX_DESCRIPTOR + 65 + 1 + 2 * 65 + 1 + 32 + 65;

/// A statement that does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StatementError {
    /// Made by software that this one does not understand.
    #[error("unknown version of node statements: {0}")]
    UnknownVersion(u8),
    /// Not a statement, or not canonically encoded.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// For the view of another epoch.
    #[error("the statement is for epoch {}, not for {}", stated.0, asked.0)]
    OtherEpoch {
        /// What it states.
        stated: Epoch,
        /// What was asked for.
        asked: Epoch,
    },
    /// The node's id is no key, or the node did not sign it.
    #[error("the node's signature: {0}")]
    Node(KeyError),
    /// Signatures over single addresses are there although it states one only, or missing although it states two.
    #[error("the statement has signatures for other addresses than it states")]
    Parts,
    /// The descriptor names a family that did not sign, or a family signed that it does not name.
    #[error("the family did not sign the node's id, or the descriptor does not name that family")]
    Family,
}

/// `SHA-256(label ‖ 0x00 ‖ network ‖ encoded statement)`: what keepers vote for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StatementDigest(pub [u8; 32]);
debug_as_short_hex!(StatementDigest);

/// A family's word that a node belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyMembership {
    key: VerifyKey,
    signature: Signature,
}

impl FamilyMembership {
    /// Signs that `node` is of the family.
    #[must_use]
    pub fn issue(family: &FamilySecret, network: &NetworkId, node: NodeId) -> Self {
        let signature = family.sign(labels::FAMILY_MEMBERSHIP, network, &node);
        Self { key: family.verify_key(), signature }
    }

    /// The name that descriptors of the family carry.
    #[must_use]
    pub fn tag(&self, network: &NetworkId) -> FamilyTag {
        FamilyTag::of(network, &self.key)
    }

    fn verify(&self, network: &NetworkId, node: NodeId) -> Result<(), KeyError> {
        self.key.verify(labels::FAMILY_MEMBERSHIP, network, &node, &self.signature)
    }
}

/// What a node's signature covers, besides the label and the network.
#[derive(Serialize)]
struct Signed<'a> {
    version: u8,
    epoch: Epoch,
    descriptor: &'a Descriptor,
}

/// What a node signs besides if it states two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PartSignatures {
    tcp: Signature,
    onion: Signature,
}

impl Descriptor {
    /// The descriptor with those of its addresses that count; `None` if none is left.
    #[must_use]
    pub fn restricted(&self, tcp: bool, onion: bool) -> Option<Self> {
        let left =
            (self.addresses().tcp().filter(|_| tcp), self.addresses().onion().filter(|_| onion));
        let addresses = match left {
            (Some(tcp), Some(onion)) => Addresses::Both(tcp, onion),
            (Some(tcp), None) => Addresses::Tcp(tcp),
            (None, Some(onion)) => Addresses::Onion(onion),
            (None, None) => return None,
        };
        Self::new(self.node(), self.channel_key(), addresses, self.family()).ok()
    }

    /// Its two parts, TCP first, if it has two addresses.
    fn parts(&self) -> Option<[Self; 2]> {
        match self.addresses() {
            Addresses::Both(..) => {
                Some([self.restricted(true, false)?, self.restricted(false, true)?])
            }
            Addresses::Tcp(_) | Addresses::Onion(_) => None,
        }
    }

    fn signed(&self, epoch: Epoch) -> Signed<'_> {
        Signed { version: STATEMENT_VERSION, epoch, descriptor: self }
    }

    /// Checks that the node signed this descriptor for the view of `epoch`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn verify(
        &self,
        network: &NetworkId,
        epoch: Epoch,
        signature: &Signature,
    ) -> Result<(), KeyError> {
        let key = self.node().verify_key();
        key.verify(labels::DESCRIPTOR, network, &self.signed(epoch), signature)
    }
}

/// A statement as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnverifiedNodeStatement {
    version: u8,
    epoch: Epoch,
    descriptor: Descriptor,
    signature: Signature,
    parts: Option<PartSignatures>,
    membership: Option<FamilyMembership>,
}

/// A statement that its node signed, and its family where it names one.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeStatement {
    inner: UnverifiedNodeStatement,
    digest: StatementDigest,
}

impl fmt::Debug for NodeStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let descriptor = &self.inner.descriptor;
        write!(f, "NodeStatement({}, epoch {})", descriptor.node().short(), self.inner.epoch.0)
    }
}

impl UnverifiedNodeStatement {
    /// Signs a statement for oneself. The descriptor should name the family of `membership`, or nobody accepts it.
    #[must_use]
    pub fn issue(
        identity: &IdentitySecret,
        network: &NetworkId,
        epoch: Epoch,
        descriptor: Descriptor,
        membership: Option<FamilyMembership>,
    ) -> Self {
        let sign =
            |part: &Descriptor| identity.sign(labels::DESCRIPTOR, network, &part.signed(epoch));
        let parts = descriptor.parts();
        let parts =
            parts.map(|[tcp, onion]| PartSignatures { tcp: sign(&tcp), onion: sign(&onion) });
        let signature = sign(&descriptor);
        Self { version: STATEMENT_VERSION, epoch, descriptor, signature, parts, membership }
    }

    /// The encoding, at most [`MAX_STATEMENT`] bytes: version, epoch, descriptor, signature, membership.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads a statement; no signature is checked.
    ///
    /// # Errors
    /// [`StatementError::UnknownVersion`] or [`StatementError::Wire`].
    pub fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        match bytes.first() {
            Some(&version) if version != STATEMENT_VERSION => {
                Err(StatementError::UnknownVersion(version))
            }
            _ => Ok(wire::decode(bytes, MAX_STATEMENT)?),
        }
    }

    /// Whose statement it says it is.
    #[must_use]
    pub const fn claimed_node(&self) -> NodeId {
        self.descriptor.node()
    }

    /// For which epoch's view it says it is.
    #[must_use]
    pub const fn claimed_epoch(&self) -> Epoch {
        self.epoch
    }

    /// Checks the version, the epoch and all signatures.
    ///
    /// # Errors
    /// [`StatementError`] saying which check failed.
    pub fn verify(
        self,
        network: &NetworkId,
        asked: Epoch,
    ) -> Result<NodeStatement, StatementError> {
        if self.version != STATEMENT_VERSION {
            return Err(StatementError::UnknownVersion(self.version));
        }
        if self.epoch != asked {
            return Err(StatementError::OtherEpoch { stated: self.epoch, asked });
        }
        let node = self.descriptor.node();
        let named = self.membership.as_ref().map(|membership| membership.tag(network));
        if named != self.descriptor.family() {
            return Err(StatementError::Family);
        }
        self.descriptor
            .verify(network, self.epoch, &self.signature)
            .map_err(StatementError::Node)?;
        match (self.descriptor.parts(), &self.parts) {
            (Some([tcp, onion]), Some(signed)) => [(tcp, signed.tcp), (onion, signed.onion)]
                .iter()
                .try_for_each(|(part, signature)| part.verify(network, self.epoch, signature))
                .map_err(StatementError::Node)?,
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => return Err(StatementError::Parts),
        }
        if let Some(membership) = &self.membership {
            membership.verify(network, node).map_err(|_| StatementError::Family)?;
        }
        let mut hash = Sha256::new();
        for part in [labels::STATEMENT_DIGEST.as_bytes(), &[0], &network.0, &self.encode()] {
            hash.update(part);
        }
        let digest = StatementDigest(hash.finalize().into());
        Ok(NodeStatement { inner: self, digest })
    }
}

impl NodeStatement {
    /// For the view of which epoch it is.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    /// What goes into the view.
    #[must_use]
    pub const fn descriptor(&self) -> &Descriptor {
        &self.inner.descriptor
    }

    /// The node's signature, which the view's second root commits to.
    #[must_use]
    pub const fn signature(&self) -> Signature {
        self.inner.signature
    }

    /// The descriptor with those of its addresses that count, and the node's signature over just that; `None` if none is left.
    #[must_use]
    pub fn restricted(&self, tcp: bool, onion: bool) -> Option<(Descriptor, Signature)> {
        let descriptor = self.descriptor().restricted(tcp, onion)?;
        let signature = match (descriptor.addresses(), &self.inner.parts) {
            (Addresses::Tcp(_), Some(parts)) => parts.tcp,
            (Addresses::Onion(_), Some(parts)) => parts.onion,
            (Addresses::Both(..), _) | (_, None) => self.inner.signature,
        };
        Some((descriptor, signature))
    }

    /// What keepers vote for.
    #[must_use]
    pub const fn digest(&self) -> StatementDigest {
        self.digest
    }

    /// For sending it on: the reader verifies again.
    #[must_use]
    pub fn to_unverified(&self) -> UnverifiedNodeStatement {
        self.inner.clone()
    }

    /// Whether one node signed two different descriptors for one epoch: evidence against it. Two signatures over the same
    /// descriptor are none.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        self.epoch() == other.epoch()
            && self.descriptor().node() == other.descriptor().node()
            && self.descriptor() != other.descriptor()
    }
}

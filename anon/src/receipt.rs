//! Storage receipts (paper, 4.2: "each of these peers signs a digest … as proof that the requested storage
//! operation succeeded"), and the count of them that makes a send a success.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    certificate::NodeCertificate,
    id::{NetworkId, NodeId},
    keys::{IdentitySecret, KeyError, Signature, SigningSecret as _},
    labels,
    position::Key,
    time::Time,
    verification::ReplicaSet,
};

/// What was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReceiptKind {
    /// An object ([`crate::request::Store`]).
    Stored,
    /// A notification ([`crate::request::Append`]).
    Appended,
}

/// What a storage node vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptClaims {
    /// The network.
    pub network: NetworkId,
    /// What was kept.
    pub kind: ReceiptKind,
    /// Under which key.
    pub key: Key,
    /// [`crate::request::Store::digest`] or [`crate::request::Append::digest`].
    pub digest: [u8; 32],
    /// The object's or notification's length, bytes.
    pub size: u64,
    /// Until when the node means to keep it.
    pub expiry: Time,
    /// Who keeps it.
    pub node: NodeId,
    /// The sender's nonce.
    pub nonce: [u8; 16],
}

/// A storage node's signed statement that something is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The statement.
    pub claims: ReceiptClaims,
    /// The node's signature over it.
    pub signature: Signature,
}

/// Why a receipt is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// From a node that is not in the cross-verified replica set.
    #[error("from a node outside the replica set")]
    NotAReplica,
    /// For another network, kind, key, digest, size or nonce than this operation's.
    #[error("for another operation")]
    OtherOperation,
    /// The node means to drop the object before it could be read.
    #[error("expires too soon")]
    ExpiresTooSoon,
    /// This node's receipt was already counted.
    #[error("already counted")]
    Duplicate,
    /// Not signed by the node it names.
    #[error(transparent)]
    Forged(#[from] KeyError),
}

impl Receipt {
    /// Signs a receipt; only once the object is durable.
    #[must_use]
    pub fn issue(identity: &IdentitySecret, claims: ReceiptClaims) -> Self {
        let signature = identity.sign(labels::RECEIPT, &claims.network, &claims);
        Self { claims, signature }
    }

    /// Checks that the node it names signed it, for this network.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn verify(&self, network: &NetworkId) -> Result<(), KeyError> {
        let key = self.claims.node.verify_key();
        key.verify(labels::RECEIPT, network, &self.claims, &self.signature)
    }
}

/// The operation that receipts are expected for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The network.
    pub network: NetworkId,
    /// Store or append.
    pub kind: ReceiptKind,
    /// The object's key or the inbox.
    pub key: Key,
    /// What the receipt must acknowledge.
    pub digest: [u8; 32],
    /// The object's length, bytes.
    pub size: u64,
    /// The nonce that this operation sent.
    pub nonce: [u8; 16],
    /// The node must mean to keep it at least until then.
    pub keep_until: Time,
}

impl Expected {
    /// Checks that a receipt is for this operation and lasts, whoever signed it.
    ///
    /// # Errors
    /// [`ReceiptError::OtherOperation`], [`ReceiptError::ExpiresTooSoon`].
    pub fn fits(&self, claims: &ReceiptClaims) -> Result<(), ReceiptError> {
        let same_operation = claims.network == self.network
            && claims.kind == self.kind
            && claims.key == self.key
            && claims.digest == self.digest
            && claims.size == self.size
            && claims.nonce == self.nonce;
        if !same_operation {
            return Err(ReceiptError::OtherOperation);
        }
        if claims.expiry < self.keep_until {
            return Err(ReceiptError::ExpiresTooSoon);
        }
        Ok(())
    }
}

/// Receipts counted for one operation, at most one a node.
#[derive(Clone, Debug)]
pub struct Tally {
    expected: Expected,
    receipts: BTreeMap<NodeId, Receipt>,
}

impl Tally {
    /// Nothing counted yet.
    #[must_use]
    pub const fn new(expected: Expected) -> Self {
        Self { expected, receipts: BTreeMap::new() }
    }

    /// Counts a receipt from a member of `set`.
    ///
    /// # Errors
    /// [`ReceiptError`] saying why it does not count.
    pub fn count(&mut self, set: &ReplicaSet, receipt: Receipt) -> Result<(), ReceiptError> {
        let claims = &receipt.claims;
        if !set.contains(&claims.node) {
            return Err(ReceiptError::NotAReplica);
        }
        self.expected.fits(claims)?;
        if self.receipts.contains_key(&claims.node) {
            return Err(ReceiptError::Duplicate);
        }
        receipt.verify(&self.expected.network)?;
        self.receipts.insert(claims.node, receipt);
        Ok(())
    }

    /// How many distinct nodes gave a valid receipt.
    #[must_use]
    pub fn len(&self) -> usize {
        self.receipts.len()
    }

    /// Whether none did.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.receipts.is_empty()
    }

    /// The members of `set` that gave none, closest first.
    #[must_use]
    pub fn missing(&self, set: &ReplicaSet) -> Vec<NodeCertificate> {
        set.nodes().iter().filter(|n| !self.receipts.contains_key(&n.node())).cloned().collect()
    }
}

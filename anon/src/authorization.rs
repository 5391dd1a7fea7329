//! Who may delete an object, and who may read an inbox (paper, 2.2), proven afresh for one node at one time.
//!
//! A proof names the node it is for and the moment it was made, so that a node cannot use it elsewhere; reads
//! carry a nonce besides, which the node remembers while the moment counts.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    certificate::{Address, AddressCertificate, CertificateError, UnverifiedAddressCertificate},
    id::{NetworkId, NodeId},
    inbox::InboxQuery,
    keys::{AddressSecret, KeyError, Signature, SigningSecret, VerifyKey},
    labels,
    network::Network,
    position::Key,
    time::Time,
    wire,
};

/// Why a deletion or a read is refused. The peer is told [`crate::request::Response::Refused`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthorizationError {
    /// Made for another node.
    #[error("made for another node")]
    WrongNode,
    /// Made too long ago, or in the future.
    #[error("made at another time")]
    WrongTime,
    /// The signature is not the key's.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The owner's certificate does not verify.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// One deletion at one node, signed by the holder of a delete permission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    claims: DeletionClaims,
    signature: Signature,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DeletionClaims {
    key: Key,
    permission: VerifyKey,
    node: NodeId,
    time: Time,
}

impl Deletion {
    /// The object that is to go.
    #[must_use]
    pub const fn key(&self) -> Key {
        self.claims.key
    }

    /// Signs the deletion of the object at `key`, for `node`, at `time`.
    #[must_use]
    pub fn sign(
        secret: &impl SigningSecret,
        network: &NetworkId,
        key: Key,
        node: NodeId,
        time: Time,
    ) -> Self {
        let claims = DeletionClaims { key, permission: secret.verify_key(), node, time };
        let signature = secret.sign(labels::DELETE, network, &claims);
        Self { claims, signature }
    }

    /// The object's key and the permission that is used up, once verified at `node`.
    ///
    /// # Errors
    /// [`AuthorizationError`].
    pub fn verify(
        &self,
        network: &NetworkId,
        node: NodeId,
        now: Time,
    ) -> Result<(Key, VerifyKey), AuthorizationError> {
        check_place_and_time(self.claims.node, self.claims.time, node, now)?;
        self.claims.permission.verify(labels::DELETE, network, &self.claims, &self.signature)?;
        Ok((self.claims.key, self.claims.permission))
    }
}

fn check_place_and_time(
    for_node: NodeId,
    made: Time,
    node: NodeId,
    now: Time,
) -> Result<(), AuthorizationError> {
    if for_node != node {
        Err(AuthorizationError::WrongNode)
    } else if !made.is_close_to(now) {
        Err(AuthorizationError::WrongTime)
    } else {
        Ok(())
    }
}

/// An inbox owner's proof, for one operation at one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxProof {
    certificate: UnverifiedAddressCertificate,
    node: NodeId,
    time: Time,
    nonce: [u8; 16],
    signature: Signature,
}

#[derive(Serialize)]
struct InboxClaims<'a> {
    address: &'a Address,
    node: NodeId,
    time: Time,
    nonce: [u8; 16],
    operation: [u8; 32],
}

/// What an inbox's owner may do there.
#[derive(Clone, Copy, Debug)]
pub enum InboxOperation<'a> {
    /// Ask for this.
    Read(&'a InboxQuery),
    /// Acknowledge those with these digests, so that the node deletes them.
    Acknowledge(&'a [[u8; 32]]),
}

impl InboxOperation<'_> {
    const fn label(&self) -> labels::Label {
        match self {
            Self::Read(_) => labels::READ_INBOX,
            Self::Acknowledge(_) => labels::ACKNOWLEDGE,
        }
    }

    fn digest(&self) -> [u8; 32] {
        match self {
            Self::Read(query) => Sha256::digest(wire::encode(query)).into(),
            Self::Acknowledge(digests) => Sha256::digest(wire::encode(digests)).into(),
        }
    }
}

/// A verified [`InboxProof`]: whose inbox it is, and the nonce to remember.
#[derive(Clone, Debug)]
pub struct InboxOwner {
    /// The owner's certificate.
    pub certificate: AddressCertificate,
    /// Never accepted twice within the skew that [`crate::time::MAX_SKEW`] allows.
    pub nonce: [u8; 16],
    /// When the proof was made.
    pub time: Time,
}

impl InboxProof {
    /// Proves ownership to `node` at `time`; `nonce` is fresh randomness.
    #[must_use]
    pub fn sign(
        secret: &AddressSecret,
        certificate: &AddressCertificate,
        operation: InboxOperation<'_>,
        node: NodeId,
        time: Time,
        nonce: [u8; 16],
    ) -> Self {
        let address = certificate.address();
        let claims = InboxClaims { address, node, time, nonce, operation: operation.digest() };
        let signature = secret.sign(operation.label(), &certificate.claims().network, &claims);
        Self { certificate: certificate.to_unverified(), node, time, nonce, signature }
    }

    /// Checks the proof as `node`, at `now`. Whether the nonce is new is for the node to say.
    ///
    /// # Errors
    /// [`AuthorizationError`].
    pub fn verify(
        &self,
        network: &Network,
        operation: InboxOperation<'_>,
        node: NodeId,
        now: Time,
    ) -> Result<InboxOwner, AuthorizationError> {
        check_place_and_time(self.node, self.time, node, now)?;
        let certificate = self.certificate.clone().verify(network, now)?;
        let claims = InboxClaims {
            address: certificate.address(),
            node,
            time: self.time,
            nonce: self.nonce,
            operation: operation.digest(),
        };
        let key = certificate.claims().verify_key;
        key.verify(operation.label(), &network.id, &claims, &self.signature)?;
        Ok(InboxOwner { certificate, nonce: self.nonce, time: self.time })
    }
}

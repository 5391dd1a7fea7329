//! Keepers, and a header that enough of them signed.
//!
//! Of n keepers f = ⌊(n − 1) / 3⌋ may be hostile, and ⌈(n + f + 1) / 2⌉ make a quorum: any two quorums have f + 1 keepers in
//! common, one of them honest, and an honest keeper signs one view an epoch. The order is the network file's.
//!
//! ```text
//! signed view:  version 1 | header's length 2 (big-endian) | header | count 1 | (keeper's number 1 | signature 64) × count
//! ```
//! The numbers ascend, so that each set of signatures has one encoding and no keeper counts twice.

use std::fmt;

use thiserror::Error;

use super::header::{HeaderError, MAX_HEADER, ViewHeader, ViewId};
use crate::{
    id::NetworkId,
    keys::{KeeperSecret, Signature, SigningSecret as _, VerifyKey},
    labels,
};

/// The most keepers of a network.
pub const MAX_KEEPERS: usize = 16;
/// The version of signed views that this software makes and reads.
pub const SIGNED_VIEW_VERSION: u8 = 1;
/// The longest encoded signed view, bytes.
pub const MAX_SIGNED_VIEW: usize = 1 + 2 + MAX_HEADER + 1 + MAX_KEEPERS * 65;

/// A header that does not count, or no set of keepers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QuorumError {
    /// No keeper, more than [`MAX_KEEPERS`], one twice, or a key that is weak.
    #[error("a network has 1 to {MAX_KEEPERS} keepers with different keys of their own")]
    BadKeepers,
    /// Made by software that this one does not understand.
    #[error("unknown version of signed views: {0}")]
    UnknownVersion(u8),
    /// It ends early, or bytes follow it.
    #[error("the signed view has another length than it says")]
    Length,
    /// The header is none.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Of another network.
    #[error("the view is of another network")]
    OtherNetwork,
    /// A keeper signed twice, or the signatures are not in the keepers' order.
    #[error("the keepers' signatures are not in order, or one is there twice")]
    NotInOrder,
    /// A number that no keeper has.
    #[error("there is no keeper number {0}")]
    NoSuchKeeper(u8),
    /// A signature that does not verify.
    #[error("keeper number {0} did not sign the view")]
    BadSignature(u8),
    /// Fewer signatures than a quorum.
    #[error("{signed} keepers signed, and a quorum is {threshold}")]
    TooFew {
        /// How many did.
        signed: usize,
        /// How many it takes.
        threshold: usize,
    },
}

/// A network's keepers, in its file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeeperSet {
    keys: Vec<VerifyKey>,
}

/// One keeper's signature over a view's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeeperSignature {
    /// The keeper's number in the set, from 0.
    pub keeper: u8,
    /// Its signature.
    pub signature: Signature,
}

impl KeeperSet {
    /// The keepers with these keys.
    ///
    /// # Errors
    /// [`QuorumError::BadKeepers`].
    pub fn new(keys: Vec<VerifyKey>) -> Result<Self, QuorumError> {
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let all_good = keys.iter().all(|key| key.check().is_ok());
        if keys.is_empty() || keys.len() > MAX_KEEPERS || sorted.len() != keys.len() || !all_good {
            return Err(QuorumError::BadKeepers);
        }
        Ok(Self { keys })
    }

    /// The keys, in order.
    #[must_use]
    pub fn keys(&self) -> &[VerifyKey] {
        &self.keys
    }

    /// How many keepers may be hostile: f = ⌊(n − 1) / 3⌋.
    #[must_use]
    pub const fn faults(&self) -> usize {
        self.keys.len().saturating_sub(1) / 3
    }

    /// How many signatures make a quorum: ⌈(n + f + 1) / 2⌉.
    #[must_use]
    pub const fn threshold(&self) -> usize {
        (self.keys.len() + self.faults() + 1).div_ceil(2)
    }

    /// How many keepers are more than half of all.
    #[must_use]
    pub const fn majority(&self) -> usize {
        self.keys.len() / 2 + 1
    }

    /// The number of the keeper with this key.
    #[must_use]
    pub fn number_of(&self, key: &VerifyKey) -> Option<u8> {
        self.keys.iter().position(|one| one == key).and_then(|at| u8::try_from(at).ok())
    }

    /// The key of a keeper.
    #[must_use]
    pub fn key(&self, keeper: u8) -> Option<&VerifyKey> {
        self.keys.get(usize::from(keeper))
    }

    /// Checks one keeper's signature over a view's id.
    ///
    /// # Errors
    /// [`QuorumError::NoSuchKeeper`] or [`QuorumError::BadSignature`].
    pub fn verify(
        &self,
        network: &NetworkId,
        id: &ViewId,
        signed: &KeeperSignature,
    ) -> Result<(), QuorumError> {
        let key = self.key(signed.keeper).ok_or(QuorumError::NoSuchKeeper(signed.keeper))?;
        key.verify(labels::VIEW, network, id, &signed.signature)
            .map_err(|_| QuorumError::BadSignature(signed.keeper))
    }
}

impl KeeperSignature {
    /// Signs a view as one of `keepers`; `None` if the secret is none of theirs. A keeper calls this once an epoch, after it
    /// has durably recorded the id.
    #[must_use]
    pub fn sign(keepers: &KeeperSet, secret: &KeeperSecret, header: &ViewHeader) -> Option<Self> {
        let keeper = keepers.number_of(&secret.verify_key())?;
        let signature = secret.sign(labels::VIEW, &header.network, &header.id());
        Some(Self { keeper, signature })
    }
}

/// A header and signatures as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedSignedView {
    /// The header.
    pub header: ViewHeader,
    /// The signatures, by ascending number of the keeper.
    pub signatures: Vec<KeeperSignature>,
}

/// A header that a quorum of the network's keepers signed.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedView {
    inner: UnverifiedSignedView,
    id: ViewId,
}

impl fmt::Debug for SignedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedView(epoch {}, {:?})", self.inner.header.epoch.0, self.id)
    }
}

impl UnverifiedSignedView {
    /// The encoding, at most [`MAX_SIGNED_VIEW`] bytes for at most [`MAX_KEEPERS`] signatures.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let header = self.header.encode();
        let length = u16::try_from(header.len()).unwrap_or(u16::MAX);
        let mut bytes = vec![SIGNED_VIEW_VERSION];
        bytes.extend(length.to_be_bytes());
        bytes.extend(header);
        bytes.push(u8::try_from(self.signatures.len()).unwrap_or(u8::MAX));
        for signed in &self.signatures {
            bytes.push(signed.keeper);
            bytes.extend(signed.signature.0);
        }
        bytes
    }

    /// Reads a signed view that fills `bytes`.
    ///
    /// # Errors
    /// [`QuorumError`]; no signature is checked.
    pub fn decode(bytes: &[u8]) -> Result<Self, QuorumError> {
        let (view, length) = Self::decode_first(bytes)?.ok_or(QuorumError::Length)?;
        if length == bytes.len() { Ok(view) } else { Err(QuorumError::Length) }
    }

    /// Reads the signed view that `bytes` begin with and says how many bytes it takes; `None` while some are missing.
    ///
    /// # Errors
    /// [`QuorumError`]; no signature is checked.
    pub fn decode_first(bytes: &[u8]) -> Result<Option<(Self, usize)>, QuorumError> {
        let Some((&version, rest)) = bytes.split_first() else { return Ok(None) };
        if version != SIGNED_VIEW_VERSION {
            return Err(QuorumError::UnknownVersion(version));
        }
        let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > MAX_HEADER {
            return Err(QuorumError::Length);
        }
        let Some((header, rest)) = rest.split_at_checked(length) else { return Ok(None) };
        let header = ViewHeader::decode(header)?;
        let Some((&count, mut rest)) = rest.split_first() else { return Ok(None) };
        if usize::from(count) > MAX_KEEPERS {
            return Err(QuorumError::Length);
        }
        let mut signatures = Vec::new();
        for _ in 0..count {
            let Some((&[keeper], after)) = rest.split_first_chunk() else { return Ok(None) };
            let Some((signature, after)) = after.split_first_chunk() else { return Ok(None) };
            signatures.push(KeeperSignature { keeper, signature: Signature(*signature) });
            rest = after;
        }
        Ok(Some((Self { header, signatures }, bytes.len().saturating_sub(rest.len()))))
    }

    /// Checks that a quorum signed it, and that every signature in it counts.
    ///
    /// # Errors
    /// [`QuorumError`] saying which check failed.
    pub fn verify(
        self,
        network: &NetworkId,
        keepers: &KeeperSet,
    ) -> Result<SignedView, QuorumError> {
        if self.header.network != *network {
            return Err(QuorumError::OtherNetwork);
        }
        if !self.signatures.is_sorted_by(|one, next| one.keeper < next.keeper) {
            return Err(QuorumError::NotInOrder);
        }
        let (signed, threshold) = (self.signatures.len(), keepers.threshold());
        if signed < threshold {
            return Err(QuorumError::TooFew { signed, threshold });
        }
        let id = self.header.id();
        for signed in &self.signatures {
            keepers.verify(network, &id, signed)?;
        }
        Ok(SignedView { inner: self, id })
    }
}

impl SignedView {
    /// What the keepers signed.
    #[must_use]
    pub const fn header(&self) -> &ViewHeader {
        &self.inner.header
    }

    /// What the view is known by.
    #[must_use]
    pub const fn id(&self) -> ViewId {
        self.id
    }

    /// Who signed, by ascending number.
    #[must_use]
    pub fn signatures(&self) -> &[KeeperSignature] {
        &self.inner.signatures
    }

    /// The same with no more signatures than make a quorum of `keepers`, those of the lowest numbers. All views are handed on
    /// like this, so that what somebody hands on says as little as can be of whom it is from.
    #[must_use]
    pub fn with_lowest_quorum(mut self, keepers: &KeeperSet) -> Self {
        self.inner.signatures.truncate(keepers.threshold());
        self
    }

    /// For sending it on: the reader verifies again.
    #[must_use]
    pub fn to_unverified(&self) -> UnverifiedSignedView {
        self.inner.clone()
    }
}

//! The message of the broadcast: the digest of a vote, with the signatures of its origin and of those who relay it.
//!
//! ```text
//! version 1 │ epoch │ origin │ digest 32 │ count │ count × (keeper 1 │ signature 64)
//! ```
//!
//! Each signature covers the same: network, epoch, set of keepers, origin and digest. Whoever relays adds its own to those
//! it knows; none covers another one. That is enough, since all that the protocol counts is how many different keepers
//! signed, and it lets a keeper put together what came in several messages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{ballot::Ballot, vote::VoteDigest};
use crate::{
    keys::{KeeperSecret, KeyError, Signature, SigningSecret as _},
    labels,
    time::Epoch,
    view::quorum::MAX_KEEPERS,
    wire::{self, WireError},
};

/// The version of this format.
pub const CHAIN_VERSION: u8 = 1;
/// The longest encoded chain, bytes.
pub const MAX_CHAIN: usize = 64 + MAX_KEEPERS * 66;

/// Why a chain does not count. Whoever sent it misbehaved, or lives in another epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Of a version that this program does not know.
    #[error("a chain of version {0}, which this program does not know")]
    UnknownVersion(u8),
    /// Not an encoded chain.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// For the view of another epoch.
    #[error("for the view of epoch {}", .0.0)]
    WrongEpoch(Epoch),
    /// It names a keeper that there is not.
    #[error("there is no keeper {0}")]
    NoSuchKeeper(u8),
    /// The first signature is not its origin's, or there is none.
    #[error("its origin did not sign first")]
    OriginNotFirst,
    /// One keeper signed twice.
    #[error("keeper {0} signed it twice")]
    SignedTwice(u8),
    /// Two signatures over the same digest, which prove nothing.
    #[error("both signatures are over the same vote")]
    NoContradiction,
    /// More signatures than there are rounds.
    #[error("more than {0} signatures")]
    TooManySignatures(usize),
    /// A signature does not verify.
    #[error("keeper {keeper}: {source}")]
    Signature {
        /// Whose it should be.
        keeper: u8,
        /// What is wrong with it.
        source: KeyError,
    },
}

/// What each signature covers, after the label and the network.
#[derive(Serialize)]
struct Relayed {
    epoch: Epoch,
    keepers: [u8; 32],
    origin: u8,
    digest: VoteDigest,
}

/// A chain as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    version: u8,
    epoch: Epoch,
    /// Whose vote it says it is.
    pub origin: u8,
    /// The vote's digest.
    pub digest: VoteDigest,
    signatures: Vec<(u8, Signature)>,
}

/// Signs a digest as its origin, or to relay it.
#[must_use]
pub fn sign(ballot: &Ballot, secret: &KeeperSecret, origin: u8, digest: VoteDigest) -> Signature {
    let content =
        Relayed { epoch: ballot.epoch(), keepers: ballot.keepers_digest(), origin, digest };
    secret.sign(labels::KEEPER_CHAIN, &ballot.network(), &content)
}

/// Checks one signature of a chain.
///
/// # Errors
/// [`ChainError`] if there is no such keeper or it did not sign this.
pub(super) fn verify_one(
    ballot: &Ballot,
    keeper: u8,
    origin: u8,
    digest: VoteDigest,
    signature: &Signature,
) -> Result<(), ChainError> {
    let key = ballot.key(keeper).ok_or(ChainError::NoSuchKeeper(keeper))?;
    let content =
        Relayed { epoch: ballot.epoch(), keepers: ballot.keepers_digest(), origin, digest };
    key.verify(labels::KEEPER_CHAIN, &ballot.network(), &content, signature)
        .map_err(|source| ChainError::Signature { keeper, source })
}

impl Chain {
    /// A chain of these signatures, the origin's first and `last` last.
    pub(super) fn of(
        ballot: &Ballot,
        origin: u8,
        digest: VoteDigest,
        known: &BTreeMap<u8, Signature>,
        last: u8,
    ) -> Self {
        let mut signatures: Vec<(u8, Signature)> = known.iter().map(|(k, s)| (*k, *s)).collect();
        signatures
            .sort_by_key(|(keeper, _)| (*keeper == last && last != origin, *keeper != origin));
        Self { version: CHAIN_VERSION, epoch: ballot.epoch(), origin, digest, signatures }
    }

    /// A chain of any signatures, in this order: nothing is checked.
    #[must_use]
    pub const fn from_parts(
        epoch: Epoch,
        origin: u8,
        digest: VoteDigest,
        signatures: Vec<(u8, Signature)>,
    ) -> Self {
        Self { version: CHAIN_VERSION, epoch, origin, digest, signatures }
    }

    /// Encodes it, at most [`MAX_CHAIN`] bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Decodes one and checks its form for a ballot of `rounds` rounds: every keeper exists and signs once, the origin first.
    /// No signature is checked.
    ///
    /// # Errors
    /// [`ChainError`] saying what is wrong.
    pub fn decode(bytes: &[u8], ballot: &Ballot, rounds: usize) -> Result<Self, ChainError> {
        match bytes.first() {
            Some(&CHAIN_VERSION) => {}
            Some(&other) => return Err(ChainError::UnknownVersion(other)),
            None => return Err(WireError::Malformed.into()),
        }
        let chain: Self = wire::decode(bytes, MAX_CHAIN)?;
        if chain.epoch != ballot.epoch() {
            return Err(ChainError::WrongEpoch(chain.epoch));
        }
        if chain.signatures.len() > rounds {
            return Err(ChainError::TooManySignatures(rounds));
        }
        if chain.signatures.first().map(|(keeper, _)| *keeper) != Some(chain.origin) {
            return Err(ChainError::OriginNotFirst);
        }
        for (i, (keeper, _)) in chain.signatures.iter().enumerate() {
            if ballot.key(*keeper).is_none() {
                return Err(ChainError::NoSuchKeeper(*keeper));
            }
            if chain.signatures.iter().take(i).any(|(earlier, _)| earlier == keeper) {
                return Err(ChainError::SignedTwice(*keeper));
            }
        }
        Ok(chain)
    }

    /// Who signed it, the origin first, whoever sent it last.
    pub fn signers(&self) -> impl Iterator<Item = u8> {
        self.signatures.iter().map(|(keeper, _)| *keeper)
    }

    /// Who signed last, and so sends it and has the vote itself.
    #[must_use]
    pub fn last(&self) -> u8 {
        self.signatures.last().map_or(self.origin, |(keeper, _)| *keeper)
    }

    /// Its signatures.
    #[must_use]
    pub fn signatures(&self) -> &[(u8, Signature)] {
        &self.signatures
    }
}

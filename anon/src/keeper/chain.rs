//! The message of the broadcast: the digest of a vote, with the signatures of its origin and of those who relay it.
//!
//! ```text
//! version 1 │ epoch │ origin │ digest 32 │ count │ count × (seat │ signature 64)
//! ```
//!
//! Each signature covers the same: network, epoch, set of keepers, origin and digest. Whoever relays adds its own to those
//! it knows; none covers another one. That is enough, since all that the protocol counts is how many different keepers
//! signed, and it lets a keeper put together what came in several messages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::ballot::{Ballot, Seat};
use crate::{
    keys::{KeyError, KeeperSecret, Signature, SigningSecret as _},
    labels,
    network::Epoch,
    view::MAX_KEEPERS,
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
    #[error("there is no keeper {}", .0.0)]
    NoSuchKeeper(Seat),
    /// The first signature is not its origin's, or there is none.
    #[error("its origin did not sign first")]
    OriginNotFirst,
    /// One keeper signed twice.
    #[error("keeper {} signed it twice", .0.0)]
    SignedTwice(Seat),
    /// More signatures than there are rounds.
    #[error("more than {0} signatures")]
    TooManySignatures(usize),
    /// A signature does not verify.
    #[error("keeper {}: {source}", .seat.0)]
    Signature {
        /// Whose it should be.
        seat: Seat,
        /// What is wrong with it.
        source: KeyError,
    },
}

/// SHA-256 of an encoded vote, under a label of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VoteDigest(pub [u8; 32]);
crate::hex::debug_as_short_hex!(VoteDigest);

/// What each signature covers, after the label and the network.
#[derive(Serialize)]
struct Relayed {
    epoch: Epoch,
    keepers: [u8; 32],
    origin: Seat,
    digest: VoteDigest,
}

/// A chain as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    version: u8,
    epoch: Epoch,
    /// Whose vote it says it is.
    pub origin: Seat,
    /// The vote's digest.
    pub digest: VoteDigest,
    signatures: Vec<(Seat, Signature)>,
}

/// Signs a digest as its origin, or to relay it.
#[must_use]
pub fn sign(ballot: &Ballot, secret: &KeeperSecret, origin: Seat, digest: VoteDigest) -> Signature {
    let content = Relayed { epoch: ballot.epoch, keepers: ballot.keepers.digest(), origin, digest };
    secret.sign(labels::KEEPER_CHAIN, &ballot.network, &content)
}

/// Checks one signature of a chain.
///
/// # Errors
/// [`ChainError`] if there is no such keeper or it did not sign this.
pub(super) fn verify_one(
    ballot: &Ballot,
    seat: Seat,
    origin: Seat,
    digest: VoteDigest,
    signature: &Signature,
) -> Result<(), ChainError> {
    let key = ballot.key(seat).ok_or(ChainError::NoSuchKeeper(seat))?;
    let content = Relayed { epoch: ballot.epoch, keepers: ballot.keepers.digest(), origin, digest };
    key.verify(labels::KEEPER_CHAIN, &ballot.network, &content, signature)
        .map_err(|source| ChainError::Signature { seat, source })
}

impl Chain {
    /// A chain of these signatures, the origin's first and `last` last.
    pub(super) fn of(
        ballot: &Ballot,
        origin: Seat,
        digest: VoteDigest,
        known: &BTreeMap<Seat, Signature>,
        last: Seat,
    ) -> Self {
        let mut signatures: Vec<(Seat, Signature)> = known.iter().map(|(s, g)| (*s, *g)).collect();
        signatures.sort_by_key(|(seat, _)| (*seat == last && last != origin, *seat != origin));
        Self { version: CHAIN_VERSION, epoch: ballot.epoch, origin, digest, signatures }
    }

    /// A chain of any signatures, in this order: nothing is checked.
    #[must_use]
    pub const fn from_parts(
        epoch: Epoch,
        origin: Seat,
        digest: VoteDigest,
        signatures: Vec<(Seat, Signature)>,
    ) -> Self {
        Self { version: CHAIN_VERSION, epoch, origin, digest, signatures }
    }

    /// Encodes it, at most [`MAX_CHAIN`] bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Decodes one and checks its form for a ballot of `rounds` rounds: every seat exists and signs once, the origin first.
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
        if chain.epoch != ballot.epoch {
            return Err(ChainError::WrongEpoch(chain.epoch));
        }
        if chain.signatures.len() > rounds {
            return Err(ChainError::TooManySignatures(rounds));
        }
        if chain.signatures.first().map(|(seat, _)| *seat) != Some(chain.origin) {
            return Err(ChainError::OriginNotFirst);
        }
        for (i, (seat, _)) in chain.signatures.iter().enumerate() {
            if ballot.key(*seat).is_none() {
                return Err(ChainError::NoSuchKeeper(*seat));
            }
            if chain.signatures.iter().take(i).any(|(earlier, _)| earlier == seat) {
                return Err(ChainError::SignedTwice(*seat));
            }
        }
        Ok(chain)
    }

    /// Who signed it, the origin first, whoever sent it last.
    pub fn signers(&self) -> impl Iterator<Item = Seat> {
        self.signatures.iter().map(|(seat, _)| *seat)
    }

    /// Who signed last, and so sends it and has the vote itself.
    #[must_use]
    pub fn last(&self) -> Seat {
        self.signatures.last().map_or(self.origin, |(seat, _)| *seat)
    }

    /// Its signatures.
    #[must_use]
    pub fn signatures(&self) -> &[(Seat, Signature)] {
        &self.signatures
    }
}

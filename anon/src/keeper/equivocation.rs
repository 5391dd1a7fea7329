//! Proof that a keeper signed two different votes for one view, for anybody who knows the keepers' keys.
//!
//! ```text
//! version 1 │ epoch │ origin │ digest 32 │ signature 64 │ digest 32 │ signature 64
//! ```

use serde::{Deserialize, Serialize};

use super::{
    ballot::Ballot,
    chain::{self, ChainError},
    vote::VoteDigest,
};
use crate::{
    keys::Signature,
    time::Epoch,
    wire::{self, WireError},
};

/// The version of this format.
pub const EQUIVOCATION_VERSION: u8 = 1;
/// The longest encoding, bytes.
pub const MAX_EQUIVOCATION: usize = 1 + 9 + 1 + 2 * (32 + 65);

/// Two votes of one keeper, both signed as its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equivocation {
    version: u8,
    epoch: Epoch,
    origin: u8,
    signed: [(VoteDigest, Signature); 2],
}

impl Equivocation {
    pub(super) fn new(ballot: &Ballot, origin: u8, signed: [(VoteDigest, Signature); 2]) -> Self {
        Self { version: EQUIVOCATION_VERSION, epoch: ballot.epoch(), origin, signed }
    }

    /// Who lied.
    #[must_use]
    pub const fn keeper(&self) -> u8 {
        self.origin
    }

    /// For the view of which epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Encodes it, at most [`MAX_EQUIVOCATION`] bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Decodes it; nothing is checked but the form.
    ///
    /// # Errors
    /// [`ChainError::UnknownVersion`] or [`ChainError::Wire`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ChainError> {
        match bytes.first() {
            Some(&EQUIVOCATION_VERSION) => Ok(wire::decode(bytes, MAX_EQUIVOCATION)?),
            Some(&other) => Err(ChainError::UnknownVersion(other)),
            None => Err(WireError::Malformed.into()),
        }
    }

    /// Checks that it proves what it says, by the keepers of its epoch.
    ///
    /// # Errors
    /// [`ChainError`] if the epoch is another one, the digests are equal, or a signature does not verify.
    pub fn verify(&self, ballot: &Ballot) -> Result<(), ChainError> {
        if self.epoch != ballot.epoch() {
            return Err(ChainError::WrongEpoch(self.epoch));
        }
        let [(first, _), (second, _)] = &self.signed;
        if first == second {
            return Err(ChainError::NoContradiction);
        }
        self.signed.iter().try_for_each(|(digest, signature)| {
            chain::verify_one(ballot, self.origin, self.origin, *digest, signature)
        })
    }
}

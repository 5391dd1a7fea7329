//! A keeper's word that, at a moment, it knows of no view of an epoch; f + 1 keepers' words are believed.
//!
//! ```text
//! version 1 │ epoch │ moment (ms) │ keeper 1 │ signature 64
//! ```
//!
//! A word is no promise that there will be none: a view may still come late. So it holds for a short time
//! ([`super::schedule::Schedule::word_holds`]), and whoever keeps an agent in the past must show it ever new words of an
//! honest keeper, which says none once it has the view.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{ballot::Ballot, schedule::Moment};
use crate::{
    keys::{KeeperSecret, KeyError, Signature, SigningSecret as _},
    labels,
    time::{Epoch, MAX_SKEW},
    view::quorum::MAX_KEEPERS,
    wire::{self, WireError},
};

/// The version of this format.
pub const ABSENCE_VERSION: u8 = 1;
/// The longest encoded word, bytes.
pub const MAX_ABSENCE: usize = 1 + 9 + 9 + 1 + 65;

/// Why keepers' words are not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AbsenceError {
    /// Of a version that this program does not know.
    #[error("a word of version {0}, which this program does not know")]
    UnknownVersion(u8),
    /// Not an encoded word.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Of another epoch.
    #[error("the word is of epoch {}", .0.0)]
    WrongEpoch(Epoch),
    /// A number that no keeper has.
    #[error("there is no keeper {0}")]
    NoSuchKeeper(u8),
    /// The keeper did not sign it.
    #[error("keeper {keeper}: {source}")]
    Signature {
        /// Whose it should be.
        keeper: u8,
        /// What is wrong with it.
        source: KeyError,
    },
    /// Too old, or from too far in the future.
    #[error("keeper {0} said it at another time")]
    WrongTime(u8),
    /// More words than there can be keepers.
    #[error("more words than keepers")]
    TooMany,
    /// Fewer than f + 1 different keepers.
    #[error("{said} keepers say so, and {needed} are believed")]
    TooFew {
        /// How many said so.
        said: usize,
        /// f + 1.
        needed: usize,
    },
}

#[derive(Serialize)]
struct Claims {
    epoch: Epoch,
    keepers: [u8; 32],
    said: u64,
}

/// A keeper's word that it knows of no view, as it came; [`check_words`] makes words count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    version: u8,
    epoch: Epoch,
    said: u64,
    keeper: u8,
    signature: Signature,
}

impl Absence {
    pub(super) fn sign(ballot: &Ballot, secret: &KeeperSecret, said: Moment) -> Option<Self> {
        let keeper = ballot.keepers().number_of(&secret.verify_key())?;
        let epoch = ballot.epoch();
        let claims = Claims { epoch, keepers: ballot.keepers_digest(), said: said.0 };
        let signature = secret.sign(labels::NO_VIEW, &ballot.network(), &claims);
        Some(Self { version: ABSENCE_VERSION, epoch, said: said.0, keeper, signature })
    }

    /// Encodes it, at most [`MAX_ABSENCE`] bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Decodes it; no signature is checked.
    ///
    /// # Errors
    /// [`AbsenceError::UnknownVersion`] or [`AbsenceError::Wire`].
    pub fn decode(bytes: &[u8]) -> Result<Self, AbsenceError> {
        match bytes.first() {
            Some(&ABSENCE_VERSION) => Ok(wire::decode(bytes, MAX_ABSENCE)?),
            Some(&other) => Err(AbsenceError::UnknownVersion(other)),
            None => Err(WireError::Malformed.into()),
        }
    }

    /// Who says it says so.
    #[must_use]
    pub const fn keeper(&self) -> u8 {
        self.keeper
    }

    /// When it says that it was said.
    #[must_use]
    pub const fn said(&self) -> Moment {
        Moment(self.said)
    }

    /// For the view of which epoch it says so.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Checks that a keeper of the ballot said so, not longer than `holds` milliseconds before `now`.
    ///
    /// # Errors
    /// [`AbsenceError`] saying why the word does not count.
    pub fn verify(&self, ballot: &Ballot, now: Moment, holds: u64) -> Result<(), AbsenceError> {
        if self.epoch != ballot.epoch() {
            return Err(AbsenceError::WrongEpoch(self.epoch));
        }
        let said = Moment(self.said);
        let skew = MAX_SKEW.saturating_mul(1_000);
        if now > said.after(holds) || said > now.after(skew) {
            return Err(AbsenceError::WrongTime(self.keeper));
        }
        let key = ballot.key(self.keeper).ok_or(AbsenceError::NoSuchKeeper(self.keeper))?;
        let keepers = ballot.keepers_digest();
        let claims = Claims { epoch: self.epoch, keepers, said: self.said };
        key.verify(labels::NO_VIEW, &ballot.network(), &claims, &self.signature)
            .map_err(|source| AbsenceError::Signature { keeper: self.keeper, source })
    }
}

/// Checks that f + 1 different keepers say, not longer than `holds` milliseconds before `now`, that the ballot's epoch has
/// no view: one of them is honest. Words that do not count do no harm.
///
/// # Errors
/// [`AbsenceError::TooMany`] or [`AbsenceError::TooFew`].
pub fn check_words(
    ballot: &Ballot,
    words: &[Absence],
    now: Moment,
    holds: u64,
) -> Result<(), AbsenceError> {
    if words.len() > MAX_KEEPERS {
        return Err(AbsenceError::TooMany);
    }
    let counted = words.iter().filter(|word| word.verify(ballot, now, holds).is_ok());
    let said = counted.map(Absence::keeper).collect::<BTreeSet<u8>>().len();
    let needed = ballot.keepers().faults() + 1;
    if said < needed { Err(AbsenceError::TooFew { said, needed }) } else { Ok(()) }
}

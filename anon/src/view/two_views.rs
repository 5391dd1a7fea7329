//! Two views of one epoch that keepers signed: a proof that anybody checks offline.
//!
//! ```text
//! version 1 | signed view | signed view, whose id is the higher one
//! ```
//! A keeper signs one view an epoch, so whoever signed both broke that promise. If both have quorums of the same keepers, at
//! least f + 1 keepers did. Two views of different epochs prove nothing, even if both name the same view before them: the
//! signatures under the earlier one may have come together too late for the later one's votes.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{
    header::ViewId,
    quorum::{KeeperSet, MAX_SIGNED_VIEW, QuorumError, UnverifiedSignedView},
};
use crate::{id::NetworkId, time::Epoch};

/// The version of proofs that this software makes and reads.
pub const TWO_VIEWS_VERSION: u8 = 1;
/// The longest encoded proof, bytes.
pub const MAX_TWO_VIEWS: usize = 1 + 2 * MAX_SIGNED_VIEW;

/// What proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TwoViewsError {
    /// Made by software that this one does not understand.
    #[error("unknown version of proofs: {0}")]
    UnknownVersion(u8),
    /// Too long, too short, or not in the one order.
    #[error("malformed")]
    Malformed,
    /// One of the two is of another network, or a signature does not count.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// Nobody knows who the keepers were.
    #[error("the keepers of epoch {} are not known", .0.0)]
    UnknownKeepers(Epoch),
    /// The same view twice, two of different epochs, or two that nobody signed both.
    #[error("the two views do not contradict each other")]
    NoContradiction,
}

/// Two views as they came, the one with the lower id first; each has at least one keeper's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwoViews {
    one: UnverifiedSignedView,
    other: UnverifiedSignedView,
}

/// What two views prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Of which epoch the two are.
    pub epoch: Epoch,
    /// The ids of the two views, ascending.
    pub views: [ViewId; 2],
    /// Whether both have a quorum, so that two users may follow different ones.
    pub has_quorums: bool,
    /// Who signed both, by ascending number; never empty.
    pub signers: Vec<u8>,
}

impl TwoViews {
    /// Puts two views together, in either order.
    #[must_use]
    pub fn new(one: UnverifiedSignedView, other: UnverifiedSignedView) -> Self {
        if one.header.id() <= other.header.id() {
            Self { one, other }
        } else {
            Self { one: other, other: one }
        }
    }

    /// The encoding, at most [`MAX_TWO_VIEWS`] bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [vec![TWO_VIEWS_VERSION], self.one.encode(), self.other.encode()].concat()
    }

    /// Reads a proof; no signature is checked.
    ///
    /// # Errors
    /// [`TwoViewsError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, TwoViewsError> {
        let (&version, rest) = bytes.split_first().ok_or(TwoViewsError::Malformed)?;
        if version != TWO_VIEWS_VERSION {
            return Err(TwoViewsError::UnknownVersion(version));
        }
        let first = UnverifiedSignedView::decode_first(rest)?;
        let (one, length) = first.ok_or(TwoViewsError::Malformed)?;
        let rest = rest.get(length..).ok_or(TwoViewsError::Malformed)?;
        let read = Self { one, other: UnverifiedSignedView::decode(rest)? };
        if read.one.header.id() < read.other.header.id() {
            Ok(read)
        } else {
            Err(TwoViewsError::Malformed)
        }
    }

    /// Checks the proof. `keepers` gives the keepers of an epoch's view.
    ///
    /// # Errors
    /// [`TwoViewsError`] saying why it proves nothing.
    pub fn verify(
        &self,
        network: &NetworkId,
        keepers: impl Fn(Epoch) -> Option<KeeperSet>,
    ) -> Result<Fork, TwoViewsError> {
        let (epoch, views) =
            (self.one.header.epoch, [self.one.header.id(), self.other.header.id()]);
        let [one, other] = views;
        if one == other || epoch != self.other.header.epoch {
            return Err(TwoViewsError::NoContradiction);
        }
        let keepers = keepers(epoch).ok_or(TwoViewsError::UnknownKeepers(epoch))?;
        let signed_one = signers(&self.one, network, &keepers)?;
        let signed_other = signers(&self.other, network, &keepers)?;
        let signers: Vec<u8> = signed_one.intersection(&signed_other).copied().collect();
        if signers.is_empty() {
            return Err(TwoViewsError::NoContradiction);
        }
        let has_quorums = signed_one.len().min(signed_other.len()) >= keepers.threshold();
        Ok(Fork { epoch, views, has_quorums, signers })
    }
}

/// Who signed a view, if every signature under it counts.
fn signers(
    view: &UnverifiedSignedView,
    network: &NetworkId,
    keepers: &KeeperSet,
) -> Result<BTreeSet<u8>, QuorumError> {
    if view.header.network != *network {
        return Err(QuorumError::OtherNetwork);
    }
    let id = view.header.id();
    let verified = view.signatures.iter().map(|signed| {
        keepers.verify(network, &id, signed)?;
        Ok(signed.keeper)
    });
    verified.collect()
}

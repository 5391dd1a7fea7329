//! Two views under quorums that cannot both be right: a proof that anybody checks offline.
//!
//! ```text
//! version 1 | signed view | signed view, whose id is the higher one
//! ```
//! Two views of one epoch under quorums of the same keepers have at least f + 1 keepers in common, so that more than f broke
//! their one promise, to sign one view an epoch. Two successors of one view, for different epochs, show a fork of the chain;
//! whether that is a keeper's fault depends on the rules by which keepers take up a view that came late.

use thiserror::Error;

use super::{
    header::ViewId,
    quorum::{KeeperSet, MAX_SIGNED_VIEW, QuorumError, SignedView, UnverifiedSignedView},
};
use crate::{id::NetworkId, keys::VerifyKey, time::Epoch};

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
    /// One of the two is under no quorum.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// Nobody knows who the keepers were.
    #[error("the keepers of network file number {0} are not known")]
    UnknownKeepers(u64),
    /// The same view twice, or two that go together.
    #[error("the two views do not contradict each other")]
    NoContradiction,
}

/// Two views as they came, the one with the lower id first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwoViews {
    one: UnverifiedSignedView,
    other: UnverifiedSignedView,
}

/// What two views prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// Two views of one epoch.
    SameEpoch(Epoch),
    /// Two views, for different epochs, that name the same view as the one before them (or both none).
    TwoSuccessors(Option<ViewId>),
}

/// A contradiction under quorums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// What it is.
    pub contradiction: Contradiction,
    /// The ids of the two views, ascending.
    pub views: [ViewId; 2],
    /// Who signed both.
    pub signers: Vec<VerifyKey>,
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

    /// Checks the proof. `keepers` gives the keepers by the serial number of the network file that a view names.
    ///
    /// # Errors
    /// [`TwoViewsError`] saying why it proves nothing.
    pub fn verify(
        &self,
        network: &NetworkId,
        keepers: impl Fn(u64) -> Option<KeeperSet>,
    ) -> Result<Fork, TwoViewsError> {
        let check = |view: &UnverifiedSignedView| {
            let serial = view.header.network_serial;
            let keepers = keepers(serial).ok_or(TwoViewsError::UnknownKeepers(serial))?;
            let signed = view.clone().verify(network, &keepers)?;
            let signers = signers(&signed, &keepers);
            Ok::<_, TwoViewsError>((signed, signers))
        };
        let ((one, signed_one), (other, signed_other)) = (check(&self.one)?, check(&self.other)?);
        if one.id() == other.id() {
            return Err(TwoViewsError::NoContradiction);
        }
        let contradiction = if one.header().epoch == other.header().epoch {
            Contradiction::SameEpoch(one.header().epoch)
        } else if one.header().before == other.header().before {
            Contradiction::TwoSuccessors(one.header().before)
        } else {
            return Err(TwoViewsError::NoContradiction);
        };
        let signers = signed_one.into_iter().filter(|key| signed_other.contains(key)).collect();
        Ok(Fork { contradiction, views: [one.id(), other.id()], signers })
    }
}

fn signers(signed: &SignedView, keepers: &KeeperSet) -> Vec<VerifyKey> {
    signed.signatures().iter().filter_map(|one| keepers.key(one.keeper).copied()).collect()
}

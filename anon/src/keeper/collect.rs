//! The signatures under the views of one epoch, until a quorum signed the same.
//!
//! A keeper sends its signature with the header, as a signed view with one signature: so whoever computed another view, or
//! none in time, learns which one counts. Of each keeper two views are kept, the second as evidence against it.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::ballot::Ballot;
use crate::{
    time::Epoch,
    view::{
        header::{ViewHeader, ViewId},
        quorum::{KeeperSignature, QuorumError, SignedView, UnverifiedSignedView},
    },
};

/// How many views one keeper may sign here: two prove that it lies.
pub const MAX_VIEWS_EACH: usize = 2;

/// Why a signature was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CollectError {
    /// Not a signature of one of the keepers.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// Of another epoch.
    #[error("a view of epoch {}", .0.0)]
    WrongEpoch(Epoch),
    /// The keeper has signed [`MAX_VIEWS_EACH`] others.
    #[error("keeper {0} signs more than {MAX_VIEWS_EACH} views")]
    TooManyViews(u8),
}

#[derive(Debug)]
struct Signed {
    header: ViewHeader,
    signatures: BTreeMap<u8, KeeperSignature>,
}

/// Signatures of one epoch.
#[derive(Debug)]
pub struct Collector {
    ballot: Ballot,
    views: BTreeMap<ViewId, Signed>,
}

impl Collector {
    /// No signatures yet.
    #[must_use]
    pub const fn new(ballot: Ballot) -> Self {
        Self { ballot, views: BTreeMap::new() }
    }

    /// Takes the signatures of a signed view, of any number of keepers; those before one that does not count are kept.
    ///
    /// # Errors
    /// [`CollectError`] for the first that does not count.
    pub fn handle_signatures(&mut self, signed: &UnverifiedSignedView) -> Result<(), CollectError> {
        let (header, network) = (&signed.header, self.ballot.network());
        if header.network != network {
            return Err(QuorumError::OtherNetwork.into());
        }
        if header.epoch != self.ballot.epoch() {
            return Err(CollectError::WrongEpoch(header.epoch));
        }
        let id = header.id();
        for one in &signed.signatures {
            if self.views_of(one.keeper).any(|view| view == id) {
                continue;
            }
            if self.views_of(one.keeper).count() >= MAX_VIEWS_EACH {
                return Err(CollectError::TooManyViews(one.keeper));
            }
            self.ballot.keepers().verify(&network, &id, one)?;
            let fresh = || Signed { header: *header, signatures: BTreeMap::new() };
            self.views.entry(id).or_insert_with(fresh).signatures.insert(one.keeper, *one);
        }
        Ok(())
    }

    /// Which views a keeper signed.
    fn views_of(&self, keeper: u8) -> impl Iterator<Item = ViewId> {
        let signed = move |(id, signed): (&ViewId, &Signed)| {
            signed.signatures.contains_key(&keeper).then_some(*id)
        };
        self.views.iter().filter_map(signed)
    }

    /// The view that a quorum signed, if one did. Two would be the proof that more than f keepers lie:
    /// [`Self::quorums`].
    #[must_use]
    pub fn poll_quorum(&self) -> Option<SignedView> {
        self.quorums().into_iter().next()
    }

    /// All views that a quorum signed: none, one, or the proof that the keepers cannot be relied on.
    #[must_use]
    pub fn quorums(&self) -> Vec<SignedView> {
        let verify = |signed: &Signed| {
            let signatures = signed.signatures.values().copied().collect();
            let view = UnverifiedSignedView { header: signed.header, signatures };
            view.verify(&self.ballot.network(), self.ballot.keepers()).ok()
        };
        self.views.values().filter_map(verify).collect()
    }

    /// A view with all signatures under it that are here, be they a quorum or not.
    #[must_use]
    pub fn signed(&self, header: &ViewHeader) -> UnverifiedSignedView {
        let signed = self.views.get(&header.id());
        let signatures = signed.map(|signed| signed.signatures.values().copied().collect());
        UnverifiedSignedView { header: *header, signatures: signatures.unwrap_or_default() }
    }

    /// Who signed a view, by its id: what a status shows before a quorum is lost.
    #[must_use]
    pub fn signers(&self, id: &ViewId) -> BTreeSet<u8> {
        let signed = self.views.get(id);
        signed.map(|signed| signed.signatures.keys().copied().collect()).unwrap_or_default()
    }

    /// The keepers that signed two views, with both: whoever knows their keys can check it.
    #[must_use]
    pub fn evidence(&self) -> BTreeMap<u8, [UnverifiedSignedView; 2]> {
        let shown = |keeper: u8| {
            let mut both = self.views.values().filter_map(|signed| {
                let signature = *signed.signatures.get(&keeper)?;
                Some(UnverifiedSignedView { header: signed.header, signatures: vec![signature] })
            });
            Some((keeper, [both.next()?, both.next()?]))
        };
        self.ballot.numbers().filter_map(shown).collect()
    }
}

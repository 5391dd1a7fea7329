//! One signature an epoch, and only after it was recorded.
//!
//! That no two views of one epoch have a quorum rests on this file alone, and on no clock: any two quorums have an honest
//! keeper in common, and an honest keeper signs one view. So a keeper first promises ([`Promises::promise_view`]), the
//! caller writes the promise to the disk and flushes it, and says so ([`Promised::recorded`]); only that gives the
//! signature. After a restart the record says what was promised. A keeper whose record is lost must not sign before the
//! epoch after the next begins; its operator says so (`docs/protocol.md`).
//!
//! The record also holds that a keeper has said that there is no view: from then on it signs none for that epoch.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{absence::Absence, ballot::Ballot, schedule::Moment};
use crate::{
    keys::KeeperSecret,
    time::Epoch,
    view::{
        header::{ViewHeader, ViewId},
        quorum::KeeperSignature,
    },
    wire::{self, WireError},
};

/// The version of the record.
pub const RECORD_VERSION: u8 = 1;
/// The longest record, bytes.
pub const MAX_RECORD: usize = 1 + 9 + 33 + 1;

/// Why a keeper does not sign, or cannot read its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SigningError {
    /// It has promised another view of that epoch.
    #[error("this keeper has signed another view of epoch {}: {signed:?}", epoch.0)]
    AnotherView {
        /// The epoch.
        epoch: Epoch,
        /// What it signed, or may have signed.
        signed: ViewId,
    },
    /// It has signed for a later epoch, so that its record of this one is gone.
    #[error("this keeper has signed for epoch {} already", .0.0)]
    Past(Epoch),
    /// It has said that there is no view of that epoch.
    #[error("this keeper has said that epoch {} has no view", .0.0)]
    SaidNone(Epoch),
    /// The record is of a version that this program does not know.
    #[error("a signing record of version {0}, which this program does not know")]
    UnknownVersion(u8),
    /// The record is damaged: without it nothing may be signed.
    #[error("the signing record is damaged: {0}")]
    Damaged(#[from] WireError),
}

/// What a keeper has promised for the latest epoch that it promised anything for. Nothing that was promised for an earlier
/// one need be known, since nothing is signed for it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    version: u8,
    epoch: Epoch,
    view: Option<ViewId>,
    said_none: bool,
}

impl Record {
    /// Encodes it, at most [`MAX_RECORD`] bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Decodes it.
    ///
    /// # Errors
    /// [`SigningError`]. A keeper that cannot read its record signs nothing: it must not begin a new one by itself.
    pub fn decode(bytes: &[u8]) -> Result<Self, SigningError> {
        match bytes.first() {
            Some(&RECORD_VERSION) => Ok(wire::decode(bytes, MAX_RECORD)?),
            Some(&other) => Err(SigningError::UnknownVersion(other)),
            None => Err(WireError::Malformed.into()),
        }
    }

    /// The epoch that it is of.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The view that was promised.
    #[must_use]
    pub const fn view(&self) -> Option<ViewId> {
        self.view
    }
}

/// What a keeper has promised, as its record says. There is one for each keeper's key.
#[derive(Debug)]
pub struct Promises(Option<Record>);

/// A promise that is to be recorded before it is kept. Dropping it does not undo it: it may have been written.
#[derive(Debug)]
#[must_use = "a promise that is not recorded gives no signature"]
pub struct Promised<T> {
    record: Record,
    what: T,
}

impl Promises {
    /// The promises of a keeper with this record; `None` for a keeper that has never signed.
    #[must_use]
    pub const fn new(record: Option<Record>) -> Self {
        Self(record)
    }

    /// The record as it stands.
    #[must_use]
    pub const fn record(&self) -> Option<&Record> {
        self.0.as_ref()
    }

    /// Promises to sign this view and no other of its epoch. The same view may be promised again.
    ///
    /// # Errors
    /// [`SigningError`] if another one was promised, or it was said that there is none.
    pub fn promise_view(
        &mut self,
        header: ViewHeader,
    ) -> Result<Promised<ViewHeader>, SigningError> {
        let (id, epoch) = (header.id(), header.epoch);
        let record = self.record_of(epoch)?;
        match record.view {
            Some(signed) if signed != id => {
                return Err(SigningError::AnotherView { epoch, signed });
            }
            None if record.said_none => return Err(SigningError::SaidNone(epoch)),
            Some(_) | None => {}
        }
        let record = Record { view: Some(id), ..record };
        self.0 = Some(record);
        Ok(Promised { record, what: header })
    }

    /// Promises to sign no view of this epoch from now on, so as to say at `said` that this keeper knows of none. A view
    /// that was promised before stays so.
    ///
    /// # Errors
    /// [`SigningError::Past`].
    pub fn promise_none(
        &mut self,
        epoch: Epoch,
        said: Moment,
    ) -> Result<Promised<Moment>, SigningError> {
        let record = Record { said_none: true, ..self.record_of(epoch)? };
        self.0 = Some(record);
        Ok(Promised { record, what: said })
    }

    /// What was promised for an epoch so far.
    fn record_of(&self, epoch: Epoch) -> Result<Record, SigningError> {
        match &self.0 {
            Some(record) if record.epoch > epoch => Err(SigningError::Past(record.epoch)),
            Some(record) if record.epoch == epoch => Ok(*record),
            Some(_) | None => {
                Ok(Record { version: RECORD_VERSION, epoch, view: None, said_none: false })
            }
        }
    }
}

impl<T> Promised<T> {
    /// What is to be on the disk, flushed, in place of any earlier record, before [`Self::recorded`].
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }
}

impl Promised<ViewHeader> {
    /// The caller says that [`Self::record`] is durable: the signature, `None` if the secret is no keeper's of this ballot.
    #[must_use]
    pub fn recorded(self, ballot: &Ballot, secret: &KeeperSecret) -> Option<KeeperSignature> {
        KeeperSignature::sign(ballot.keepers(), secret, &self.what)
    }
}

impl Promised<Moment> {
    /// The caller says that [`Self::record`] is durable: the word, `None` if the secret is no keeper's of this ballot or the
    /// ballot is for another epoch.
    #[must_use]
    pub fn recorded(self, ballot: &Ballot, secret: &KeeperSecret) -> Option<Absence> {
        if ballot.epoch() != self.record.epoch {
            return None;
        }
        Absence::sign(ballot, secret, self.what)
    }
}

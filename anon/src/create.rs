//! The two messages that make a channel: the initiator's and the responder's ([`crate::handshake`]).

use serde::{Deserialize, Serialize};

use crate::{keys::AgreementKey, secretbox::TAG};

/// The room for the last hop's early request, bytes, padding included.
pub const EARLY: usize = 512;
/// The room for a go-between's question, bytes, padding included.
pub const QUESTION: usize = 64;
/// The most nodes on a path that is made in one pass: a guard, three more go-betweens, a last hop.
pub const MAX_HOPS: usize = 5;

/// The length of what is sealed in a [`Create`], tag included.
pub(crate) const BODY: usize = TAG + PLAIN;
/// What is sealed there.
pub(crate) const PLAIN: usize = 1 + EARLY + (MAX_HOPS - 1) * SHIFT;
/// What a go-between takes off, and the filler it puts on.
pub(crate) const SHIFT: usize = TAG + 1 + QUESTION + 3 * 32;
/// The initiator's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Create {
    pub(crate) certificate: [u8; 32],
    pub(crate) ephemeral: AgreementKey,
    #[serde(with = "serde_bytes")]
    pub(crate) body: [u8; BODY],
}

/// The responder's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    pub(crate) ephemeral: AgreementKey,
    pub(crate) confirmation: [u8; 32],
}

impl Create {
    /// Its length, bytes: the same for every hop of every path.
    pub const LENGTH: usize = 32 + 32 + BODY;

    /// The three fields one after the other.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.certificate[..], &self.ephemeral.0, &self.body].concat()
    }

    /// Reads what [`Self::to_bytes`] wrote from the front of `bytes`; what follows must be zero.
    #[must_use]
    pub fn from_padded(bytes: &[u8]) -> Option<Self> {
        let (certificate, rest) = bytes.split_first_chunk::<32>()?;
        let (ephemeral, rest) = rest.split_first_chunk::<32>()?;
        let (body, rest) = rest.split_first_chunk::<BODY>()?;
        let ephemeral = AgreementKey(*ephemeral);
        rest.iter().all(|b| *b == 0).then_some(Self {
            certificate: *certificate,
            ephemeral,
            body: *body,
        })
    }

    /// Which certificate's channel key it is meant for: SHA-256.
    #[must_use]
    pub const fn certificate(&self) -> [u8; 32] {
        self.certificate
    }

    /// What to remember to recognise a replay.
    #[must_use]
    pub const fn replay_tag(&self) -> [u8; 32] {
        self.ephemeral.0
    }
}

impl Created {
    /// Its length, bytes.
    pub const LENGTH: usize = 64;

    /// The two fields one after the other.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.ephemeral.0, self.confirmation].concat()
    }

    /// Reads what [`Self::to_bytes`] wrote from the front of `bytes`; what follows must be zero.
    #[must_use]
    pub fn from_padded(bytes: &[u8]) -> Option<Self> {
        let (ephemeral, rest) = bytes.split_first_chunk::<32>()?;
        let (confirmation, rest) = rest.split_first_chunk::<32>()?;
        let ephemeral = AgreementKey(*ephemeral);
        rest.iter().all(|b| *b == 0).then_some(Self { ephemeral, confirmation: *confirmation })
    }
}

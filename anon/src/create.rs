//! The two messages that make a channel: the initiator's and the responder's ([`crate::handshake`]).
//!
//! ```text
//! first message   version (1) ‖ name (33) ‖ e (32) ‖ body (1,241)                           1,307 bytes
//! name            0 ‖ SHA-256(certificate)
//!                 1 ‖ epoch of the view (8 bytes, big-endian) ‖ 24 zeros
//! answer          e' (32) ‖ confirmation (32)                                                  64 bytes
//! ```
//! The name says which of its channel keys the node is to use. It stands in the clear. Beside the epoch nothing
//! says which node is meant, since only that node receives it: so in an epoch all senders name all nodes alike.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{keys::AgreementKey, secretbox::TAG, time::Epoch};

/// The version of the first message: the byte that it begins with.
pub const CREATE_VERSION: u8 = 1;

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
pub(crate) const SHIFT: usize = TAG + 1 + QUESTION + 32 + HopName::LENGTH + 32;

const BY_CERTIFICATE: u8 = 0;
const IN_VIEW: u8 = 1;

/// Bytes that are no first message of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CreateError {
    /// Made by software that this one does not understand.
    #[error("unknown version of a handshake: {0}")]
    UnknownVersion(u8),
    /// The kind of name is none that this version knows.
    #[error("unknown kind of name in a handshake: {0}")]
    UnknownName(u8),
    /// Something follows the epoch, where each sender could write something else.
    #[error("a handshake's name is not an epoch alone")]
    NotAnEpoch,
    /// It is too short, or something follows it that is not zeros.
    #[error("a handshake's first message has another length")]
    Length,
}

/// By what a handshake names the channel key that it is for, and with it the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopName {
    /// The SHA-256 of one of the node's certificates.
    Certificate([u8; 32]),
    /// The epoch of a view in which the node stands.
    View(Epoch),
}

impl HopName {
    /// Its length, bytes: the same for both kinds.
    pub const LENGTH: usize = 33;

    /// The encoding.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let (kind, content) = match self {
            Self::Certificate(digest) => (BY_CERTIFICATE, digest.to_vec()),
            Self::View(epoch) => (IN_VIEW, epoch.0.to_be_bytes().to_vec()),
        };
        let mut bytes = [0; Self::LENGTH];
        for (to, from) in bytes.iter_mut().zip([vec![kind], content].concat()) {
            *to = from;
        }
        bytes
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`CreateError::UnknownName`] or [`CreateError::NotAnEpoch`].
    pub(crate) fn decode(bytes: &[u8; Self::LENGTH]) -> Result<Self, CreateError> {
        let [kind, content @ ..] = bytes;
        match (*kind, content.split_first_chunk()) {
            (BY_CERTIFICATE, _) => Ok(Self::Certificate(*content)),
            (IN_VIEW, Some((epoch, rest))) if rest.iter().all(|b| *b == 0) => {
                Ok(Self::View(Epoch(u64::from_be_bytes(*epoch))))
            }
            (IN_VIEW, _) => Err(CreateError::NotAnEpoch),
            (kind, _) => Err(CreateError::UnknownName(kind)),
        }
    }

    /// The epoch of the view, if it names one.
    #[must_use]
    pub const fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::View(epoch) => Some(*epoch),
            Self::Certificate(_) => None,
        }
    }
}

/// The initiator's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Fields", try_from = "Fields")]
pub struct Create {
    pub(crate) name: HopName,
    pub(crate) ephemeral: AgreementKey,
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
    pub const LENGTH: usize = 1 + HopName::LENGTH + 32 + BODY;

    /// The version and the three fields one after the other.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&[CREATE_VERSION][..], &self.name.encode(), &self.ephemeral.0, &self.body].concat()
    }

    /// Reads what [`Self::to_bytes`] wrote from the front of `bytes`; what follows must be zero.
    ///
    /// # Errors
    /// [`CreateError`].
    pub fn from_padded(bytes: &[u8]) -> Result<Self, CreateError> {
        let (&version, rest) = bytes.split_first().ok_or(CreateError::Length)?;
        if version != CREATE_VERSION {
            return Err(CreateError::UnknownVersion(version));
        }
        let (name, rest) = rest.split_first_chunk().ok_or(CreateError::Length)?;
        let name = HopName::decode(name)?;
        let (ephemeral, rest) = rest.split_first_chunk().ok_or(CreateError::Length)?;
        let (body, rest) = rest.split_first_chunk().ok_or(CreateError::Length)?;
        if rest.iter().any(|b| *b != 0) {
            return Err(CreateError::Length);
        }
        Ok(Self { name, ephemeral: AgreementKey(*ephemeral), body: *body })
    }

    /// Which channel key it is meant for.
    #[must_use]
    pub const fn name(&self) -> HopName {
        self.name
    }

    /// What to remember to recognise a replay.
    #[must_use]
    pub const fn replay_tag(&self) -> [u8; 32] {
        self.ephemeral.0
    }
}

/// What stands of a [`Create`] in a request.
#[derive(Serialize, Deserialize)]
struct Fields {
    version: u8,
    #[serde(with = "serde_bytes")]
    name: [u8; HopName::LENGTH],
    ephemeral: AgreementKey,
    #[serde(with = "serde_bytes")]
    body: [u8; BODY],
}

impl From<Create> for Fields {
    fn from(create: Create) -> Self {
        let Create { name, ephemeral, body } = create;
        Self { version: CREATE_VERSION, name: name.encode(), ephemeral, body }
    }
}

impl TryFrom<Fields> for Create {
    type Error = CreateError;

    fn try_from(fields: Fields) -> Result<Self, CreateError> {
        let Fields { version, name, ephemeral, body } = fields;
        if version != CREATE_VERSION {
            return Err(CreateError::UnknownVersion(version));
        }
        Ok(Self { name: HopName::decode(&name)?, ephemeral, body })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    fn create(name: HopName) -> Create {
        Create { name, ephemeral: AgreementKey([3; 32]), body: [4; BODY] }
    }

    #[test]
    fn both_kinds_of_names_have_one_length_and_one_encoding() {
        let epoch = HopName::View(Epoch(0x0102_0304_0506_0708));
        let expected = [&[1, 1, 2, 3, 4, 5, 6, 7, 8][..], &[0; 24]].concat();
        assert_eq!(epoch.encode()[..], expected);
        let digest = HopName::Certificate([9; 32]);
        assert_eq!(digest.encode()[..], [&[0][..], &[9; 32]].concat());
        for name in [epoch, digest, HopName::View(Epoch(0)), HopName::View(Epoch(u64::MAX))] {
            assert_eq!(HopName::decode(&name.encode()), Ok(name));
            let sent = create(name);
            assert_eq!(sent.to_bytes().len(), Create::LENGTH);
            assert_eq!(Create::from_padded(&sent.to_bytes()), Ok(sent));
        }
        assert_eq!([epoch.epoch(), digest.epoch()], [Some(Epoch(0x0102_0304_0506_0708)), None]);
    }

    #[test]
    fn what_follows_an_epoch_is_refused_byte_by_byte() {
        let name = HopName::View(Epoch(7)).encode();
        for at in 9..HopName::LENGTH {
            let mut marked = name;
            marked[at] = 1;
            assert_eq!(HopName::decode(&marked), Err(CreateError::NotAnEpoch), "{at}");
        }
    }

    #[test]
    fn other_versions_and_kinds_are_refused_by_name() {
        let mut bytes = create(HopName::View(Epoch(7))).to_bytes();
        for version in [0, 2, 255] {
            bytes[0] = version;
            assert_eq!(Create::from_padded(&bytes), Err(CreateError::UnknownVersion(version)));
            // Whatever comes behind it.
            assert_eq!(Create::from_padded(&[version]), Err(CreateError::UnknownVersion(version)));
        }
        bytes[0] = CREATE_VERSION;
        for kind in [2, 255] {
            bytes[1] = kind;
            assert_eq!(Create::from_padded(&bytes), Err(CreateError::UnknownName(kind)));
        }
    }

    #[test]
    fn a_message_is_as_long_as_it_is_and_only_a_cell_pads_it() {
        let sent = create(HopName::Certificate([9; 32]));
        let bytes = sent.to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(Create::from_padded(&bytes[..length]), Err(CreateError::Length));
        }
        let [zero, one] = [0, 1].map(|more| [&bytes[..], &[more]].concat());
        assert_eq!(Create::from_padded(&zero), Ok(sent));
        assert_eq!(Create::from_padded(&one), Err(CreateError::Length));
    }

    #[test]
    fn in_a_request_it_has_the_same_fields_and_the_same_is_refused() {
        for name in [HopName::Certificate([9; 32]), HopName::View(Epoch(7))] {
            let (sent, most) = (create(name), 2_000);
            let encoded = wire::encode(&sent);
            assert_eq!(wire::decode::<Create>(&encoded, most), Ok(sent));
            // Behind the version stands the length of the name.
            assert_eq!(encoded[..3], [CREATE_VERSION, 33, name.encode()[0]]);
            for (at, byte) in [(0, 0), (0, 2), (1, 32), (2, 2)] {
                let mut changed = encoded.clone();
                changed[at] = byte;
                assert!(wire::decode::<Create>(&changed, most).is_err(), "{at}: {byte}");
            }
        }
        let mut marked = wire::encode(&create(HopName::View(Epoch(7))));
        marked[2 + 32] = 1;
        assert!(wire::decode::<Create>(&marked, 2_000).is_err());
    }
}

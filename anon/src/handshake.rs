//! The handshake with a node that must not learn who we are: the Noise NK pattern's shape (4.1's "A generates
//! a session key … encrypts it with Z's public key, and asks X to deliver it to Z"), with forward secrecy.
//!
//! ```text
//! S, s   the node's channel key (from its certificate)      e, e'  fresh on either side
//! h0     SHA-256(label ‖ 0x00 ‖ network ‖ SHA-256(certificate) ‖ e)
//! es     X25519(e, S)          early key, chain = HKDF(salt h0, es)
//! →      SHA-256(certificate) ‖ e ‖ secretbox(early key, early request padded to 512)      592 bytes
//! h1     SHA-256(h0 ‖ sealed early request ‖ e')
//! ee     X25519(e, e')         confirmation and the four keys of a hop = HKDF(salt chain, ee, context h1)
//! ←      e' ‖ confirmation                                                                  64 bytes
//! ```
//! The first message can be replayed (a node remembers those of a key's life, as far as it has room), so an
//! early request never changes state. A key for each direction: nothing can be reflected.

use std::fmt;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::{
    certificate::NodeCertificate,
    keys::{AgreementKey, ChannelSecret, DerivedKey, EphemeralSecret, KeyError, SharedSecret},
    labels,
    network::NetworkId,
    padding,
    request::Request,
    secretbox, wire,
};

/// The room for an early request, bytes, padding included.
pub const EARLY: usize = 512;
const SEALED_EARLY: usize = EARLY + secretbox::TAG;
const NO_NONCE: [u8; 24] = [0; 24];

/// Why a handshake fails. A peer is told nothing: the stream closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// A key of small order or a badly encoded one.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// Meant for a channel key that this node does not have (any more).
    #[error("meant for another channel key")]
    UnknownKey,
    /// The early request does not open, is malformed, or would change state.
    #[error("the early request is not acceptable")]
    BadEarlyRequest,
    /// The early request does not fit.
    #[error("the early request is too long")]
    EarlyRequestTooLong,
    /// The node could not prove that it holds its channel key.
    #[error("the node does not hold the key that its certificate names")]
    NotConfirmed,
}

/// The initiator's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Create {
    certificate: [u8; 32],
    ephemeral: AgreementKey,
    #[serde(with = "serde_bytes")]
    early: [u8; SEALED_EARLY],
}

/// The responder's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    ephemeral: AgreementKey,
    confirmation: [u8; 32],
}

impl Create {
    /// Its length, bytes.
    pub const LENGTH: usize = 32 + 32 + SEALED_EARLY;

    /// The three fields one after the other.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.certificate[..], &self.ephemeral.0, &self.early].concat()
    }

    /// Reads what [`Self::to_bytes`] wrote from the front of `bytes`; what follows must be zero.
    #[must_use]
    pub fn from_padded(bytes: &[u8]) -> Option<Self> {
        let (certificate, rest) = bytes.split_first_chunk::<32>()?;
        let (ephemeral, rest) = rest.split_first_chunk::<32>()?;
        let (early, rest) = rest.split_first_chunk::<SEALED_EARLY>()?;
        let ephemeral = AgreementKey(*ephemeral);
        rest.iter().all(|b| *b == 0).then_some(Self {
            certificate: *certificate,
            ephemeral,
            early: *early,
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

/// The keys that a sender shares with one hop: cells for it as far end, layers for it as go-between.
pub struct HopKeys {
    pub(crate) cell_forward: DerivedKey,
    pub(crate) cell_backward: DerivedKey,
    pub(crate) layer_forward: DerivedKey,
    pub(crate) layer_backward: DerivedKey,
}

impl fmt::Debug for HopKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HopKeys(..)")
    }
}

struct Transcript {
    h0: [u8; 32],
    chain: DerivedKey,
    early_key: DerivedKey,
}

impl Transcript {
    fn new(
        network: &NetworkId,
        certificate: &[u8; 32],
        e: &AgreementKey,
        es: &SharedSecret,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update(labels::HANDSHAKE.as_bytes());
        hash.update([0]);
        for part in [&network.0, certificate, &e.0] {
            hash.update(part);
        }
        let h0: [u8; 32] = hash.finalize().into();
        let chain = es.derive(&h0, labels::HANDSHAKE_CHAIN, &[]);
        let early_key = es.derive(&h0, labels::HANDSHAKE_EARLY, &[]);
        Self { h0, chain, early_key }
    }

    fn finish(&self, early: &[u8], e2: &AgreementKey, ee: &SharedSecret) -> (HopKeys, [u8; 32]) {
        let mut hash = Sha256::new();
        hash.update(self.h0);
        hash.update(early);
        hash.update(e2.0);
        let h1: [u8; 32] = hash.finalize().into();
        let key = |label| ee.derive(&self.chain.0, label, &h1);
        let keys = HopKeys {
            cell_forward: key(labels::CELL_FORWARD),
            cell_backward: key(labels::CELL_BACKWARD),
            layer_forward: key(labels::LAYER_FORWARD),
            layer_backward: key(labels::LAYER_BACKWARD),
        };
        (keys, key(labels::HANDSHAKE_CONFIRM).0)
    }
}

/// The sender's side, waiting for [`Created`].
pub struct Initiator {
    ephemeral: EphemeralSecret,
    transcript: Transcript,
    early: [u8; SEALED_EARLY],
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Initiator(..)")
    }
}

impl Initiator {
    /// Starts a handshake with the node of `certificate`, with an early request if there is one.
    ///
    /// # Errors
    /// [`HandshakeError`] if the early request is too long or would change state, or the key is bad.
    pub fn start<R: CryptoRng>(
        certificate: &NodeCertificate,
        early: Option<&Request>,
        rng: &mut R,
    ) -> Result<(Self, Create), HandshakeError> {
        let early = match early {
            Some(request) if request.changes_state() => {
                return Err(HandshakeError::BadEarlyRequest);
            }
            Some(request) => wire::encode(request),
            None => Vec::new(),
        };
        let early = padding::pad(&early, EARLY).map_err(|_| HandshakeError::EarlyRequestTooLong)?;
        let ephemeral = EphemeralSecret::generate(rng);
        let public = ephemeral.agreement_key();
        let es = ephemeral.agree(&certificate.claims().channel_key)?;
        let digest = certificate.digest();
        let transcript = Transcript::new(&certificate.claims().network, &digest, &public, &es);
        let sealed = secretbox::seal(&transcript.early_key.0, &NO_NONCE, &early);
        let early = sealed.try_into().map_err(|_| HandshakeError::EarlyRequestTooLong)?;
        let create = Create { certificate: digest, ephemeral: public, early };
        Ok((Self { ephemeral, transcript, early }, create))
    }

    /// Ends the handshake: the node has proven that it holds its channel key.
    ///
    /// # Errors
    /// [`HandshakeError`] if it has not.
    pub fn finish(self, created: &Created) -> Result<HopKeys, HandshakeError> {
        let ee = self.ephemeral.agree(&created.ephemeral)?;
        let (keys, confirmation) = self.transcript.finish(&self.early, &created.ephemeral, &ee);
        if bool::from(confirmation.ct_eq(&created.confirmation)) {
            Ok(keys)
        } else {
            Err(HandshakeError::NotConfirmed)
        }
    }
}

/// Answers a handshake with the channel key that it is meant for; the caller found it by
/// [`Create::certificate`] and made sure that [`Create::replay_tag`] is new.
///
/// # Errors
/// [`HandshakeError`].
pub fn respond<R: CryptoRng>(
    create: &Create,
    secret: &ChannelSecret,
    network: &NetworkId,
    rng: &mut R,
) -> Result<(HopKeys, Created, Option<Request>), HandshakeError> {
    let es = secret.agree(&create.ephemeral)?;
    let transcript = Transcript::new(network, &create.certificate, &create.ephemeral, &es);
    let padded = secretbox::open(&transcript.early_key.0, &NO_NONCE, &create.early)
        .map_err(|_| HandshakeError::BadEarlyRequest)?;
    let early = padding::unpad(&padded).map_err(|_| HandshakeError::BadEarlyRequest)?;
    let early = if early.is_empty() {
        None
    } else {
        let request = Request::decode(early).map_err(|_| HandshakeError::BadEarlyRequest)?;
        if request.changes_state() {
            return Err(HandshakeError::BadEarlyRequest);
        }
        Some(request)
    };
    let ephemeral = EphemeralSecret::generate(rng);
    let public = ephemeral.agreement_key();
    let ee = ephemeral.agree(&create.ephemeral)?;
    let (keys, confirmation) = transcript.finish(&create.early, &public, &ee);
    Ok((keys, Created { ephemeral: public, confirmation }, early))
}

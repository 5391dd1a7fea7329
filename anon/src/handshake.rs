//! The handshake with a node that must not learn who we are: the Noise NK pattern's shape (4.1's "A generates
//! a session key … encrypts it with Z's public key, and asks X to deliver it to Z"), with forward secrecy.
//!
//! ```text
//! S, s   the node's channel key (from its certificate)      e, e'  fresh on either side
//! h0     SHA-256(label ‖ 0x00 ‖ network ‖ SHA-256(certificate) ‖ e)
//! es     X25519(e, S)          early key, filler key, chain = HKDF(salt h0, es)
//! →      SHA-256(certificate) ‖ e ‖ body = secretbox(early key, …)                        1,301 bytes
//! h1     SHA-256(h0 ‖ body ‖ e')
//! ee     X25519(e, e')         confirmation and the four keys of a hop = HKDF(salt chain, ee, context h1)
//! ←      e' ‖ confirmation                                                                  64 bytes
//! ```
//! The body holds an early request for the last hop, or a question for a go-between and the next hop's handshake
//! (`onion`): a path of up to five hops is made by one message that passes through all of them, each taking off
//! its layer, and all such messages are of one size and form. The answer binds the whole body, so a hop that
//! was given another one than the sender made does not pass.
//!
//! The first message can be replayed (a node remembers those of a key's life, as far as it has room), so an
//! early request never changes state. A replay that asks to go on gets as far as to a node that remembers. A key
//! for each direction: nothing can be reflected.

mod onion;

use onion::{Hop, OnionKeys};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::{
    certificate::NodeCertificate,
    create::{BODY, Create, Created},
    id::NetworkId,
    keys::{AgreementKey, ChannelSecret, DerivedKey, EphemeralSecret, KeyError, SharedSecret},
    labels,
    request::Request,
};

pub use onion::{Early, Onward};

/// Why a handshake fails. A peer is told nothing: the stream closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// A key of small order or a badly encoded one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Meant for a channel key that this node does not have (any more).
    #[error("meant for another channel key")]
    UnknownKey,
    /// The body does not open, is malformed, or holds a request that would change state.
    #[error("the early request is not acceptable")]
    BadEarlyRequest,
    /// The early request does not fit.
    #[error("the early request is too long")]
    EarlyRequestTooLong,
    /// No node, more than `MAX_HOPS`, or one of them twice.
    #[error("not a path that can be made in one pass")]
    BadPath,
    /// The node could not prove that it holds its channel key.
    #[error("the node does not hold the key that its certificate names")]
    NotConfirmed,
}

/// The keys that a sender shares with one hop: cells for it as last hop, layers for it as go-between.
pub struct HopKeys {
    pub(crate) cell_forward: DerivedKey,
    pub(crate) cell_backward: DerivedKey,
    pub(crate) layer_forward: DerivedKey,
    pub(crate) layer_backward: DerivedKey,
}

crate::hex::debug_as_name!(HopKeys);

struct Transcript {
    h0: [u8; 32],
    chain: DerivedKey,
    onion: OnionKeys,
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
        let onion = OnionKeys::new(&h0, es);
        Self { h0, chain, onion }
    }

    fn finish(&self, body: &[u8], e2: &AgreementKey, ee: &SharedSecret) -> (HopKeys, [u8; 32]) {
        let mut hash = Sha256::new();
        hash.update(self.h0);
        hash.update(body);
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
    body: [u8; BODY],
}

crate::hex::debug_as_name!(Initiator);

/// A handshake as far as it goes without knowing the path.
struct Begun {
    ephemeral: EphemeralSecret,
    public: AgreementKey,
    transcript: Transcript,
}

impl Begun {
    fn new<R: CryptoRng>(
        certificate: &NodeCertificate,
        rng: &mut R,
    ) -> Result<Self, HandshakeError> {
        let ephemeral = EphemeralSecret::generate(rng);
        let public = ephemeral.agreement_key();
        let claims = certificate.claims();
        let es = ephemeral.agree(&claims.channel_key)?;
        let transcript = Transcript::new(&claims.network, &certificate.digest(), &public, &es);
        Ok(Self { ephemeral, public, transcript })
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
        let (first, _, create) = Self::start_path(&[(certificate, early)], rng)?;
        Ok((first, create))
    }

    /// Starts the handshakes of a whole path: the first hop's, those of the hops behind it in their order, and
    /// the one message for all of them. Every hop but the last may be asked a question of at most
    /// `QUESTION` bytes with its padding, the last one an early request of at most `EARLY`.
    ///
    /// # Errors
    /// [`HandshakeError`] as for [`Self::start`], or if there are no hops or more than `MAX_HOPS`.
    pub fn start_path<R: CryptoRng>(
        hops: &[(&NodeCertificate, Option<&Request>)],
        rng: &mut R,
    ) -> Result<(Self, Vec<Self>, Create), HandshakeError> {
        let begun: Result<Vec<Begun>, HandshakeError> =
            hops.iter().map(|(certificate, _)| Begun::new(certificate, rng)).collect();
        let begun = begun?;
        let path: Vec<Hop<'_>> = hops
            .iter()
            .zip(&begun)
            .map(|((certificate, request), begun)| Hop {
                keys: &begun.transcript.onion,
                node: certificate.node(),
                certificate: certificate.digest(),
                ephemeral: begun.public,
                request: *request,
            })
            .collect();
        let bodies = onion::seal_path(&path, rng)?;
        let first = path.first().zip(bodies.first());
        let create = first.map(|(hop, body)| Create {
            certificate: hop.certificate,
            ephemeral: hop.ephemeral,
            body: *body,
        });
        let mut initiators = begun.into_iter().zip(bodies).map(|(begun, body)| {
            let Begun { ephemeral, transcript, .. } = begun;
            Self { ephemeral, transcript, body }
        });
        let first = initiators.next().zip(create);
        let (first, create) = first.ok_or(HandshakeError::BadPath)?;
        Ok((first, initiators.collect(), create))
    }

    /// Ends the handshake: the node has proven that it holds its channel key.
    ///
    /// # Errors
    /// [`HandshakeError`] if it has not.
    pub fn finish(self, created: &Created) -> Result<HopKeys, HandshakeError> {
        let ee = self.ephemeral.agree(&created.ephemeral)?;
        let (keys, confirmation) = self.transcript.finish(&self.body, &created.ephemeral, &ee);
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
) -> Result<(HopKeys, Created, Early), HandshakeError> {
    let es = secret.agree(&create.ephemeral)?;
    let transcript = Transcript::new(network, &create.certificate, &create.ephemeral, &es);
    let early = transcript.onion.open(&create.body)?;
    let ephemeral = EphemeralSecret::generate(rng);
    let public = ephemeral.agreement_key();
    let ee = ephemeral.agree(&create.ephemeral)?;
    let (keys, confirmation) = transcript.finish(&create.body, &public, &ee);
    Ok((keys, Created { ephemeral: public, confirmation }, early))
}

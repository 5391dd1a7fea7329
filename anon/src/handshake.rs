//! The handshake with a node that must not learn who we are: the Noise NK pattern's shape (4.1's "A generates
//! a session key … encrypts it with Z's public key, and asks X to deliver it to Z"), with forward secrecy.
//!
//! ```text
//! S, s   the node's channel key                             e, e'  fresh on either side
//! name   what says which of its channel keys the node is to use: a certificate of its own, or the view of an epoch
//! h0     SHA-256(label ‖ 0x00 ‖ version ‖ network ‖ SHA-256(certificate) ‖ e)               by a certificate
//!        SHA-256(its own label ‖ 0x00 ‖ version ‖ network ‖ epoch ‖ node ‖ S ‖ e)           in a view
//! es     X25519(e, S)          early key, filler key, chain = HKDF(salt h0, es)
//! →      version ‖ name ‖ e ‖ body = secretbox(early key, …)                              1,307 bytes
//! h1     SHA-256(h0 ‖ body ‖ e')
//! ee     X25519(e, e')         confirmation and the four keys of a hop = HKDF(salt chain, ee, context h1)
//! ←      e' ‖ confirmation                                                                  64 bytes
//! ```
//! In a view the name is the epoch alone, 8 bytes big-endian: node and key are bound by h0 and do not travel, since
//! the node knows its own. So the name is the same for all senders of an epoch, and for all nodes.
//!
//! The body holds an early request for the last hop, or a question for a go-between and the next hop's handshake
//! (`onion`): a path of up to five hops is made by one message that passes through all of them, each taking off
//! its layer, and all such messages are of one size and form. The answer binds the whole body, so a hop that
//! was given another one than the sender made does not pass.
//!
//! The first message can be replayed (a node remembers those of a key's life, as far as it has room), so an
//! early request never changes state. A replay that asks to go on gets as far as to a node that remembers. A key
//! for each direction: nothing can be reflected.

mod onion;

use onion::{OnionKeys, Prepared};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::{
    create::{BODY, CREATE_VERSION, Create, Created, HopName},
    id::{NetworkId, NodeId},
    keys::{AgreementKey, ChannelSecret, DerivedKey, EphemeralSecret, KeyError, SharedSecret},
    labels,
    request::Request,
};

pub use crate::hop::Hop;
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
    /// No node, more than `MAX_HOPS`, one of them twice, or one that is named in another way than the others.
    #[error("not a path that can be made in one pass")]
    BadPath,
    /// The node stands in a view, and a channel is extended by certificates alone.
    #[error("a channel is extended only to a node whose certificate is at hand")]
    NoCertificate,
    /// The node could not prove that it holds its channel key.
    #[error("the node does not hold the channel key that it states")]
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

/// The node that answers a handshake.
#[derive(Clone, Copy, Debug)]
pub struct Responder<'a> {
    /// Its network.
    pub network: NetworkId,
    /// Who it is.
    pub node: NodeId,
    /// The channel key that the handshake's name says.
    pub secret: &'a ChannelSecret,
}

struct Transcript {
    h0: [u8; 32],
    chain: DerivedKey,
    onion: OnionKeys,
}

/// h0. The channel key is computed where it is bound.
fn prologue(
    network: &NetworkId,
    node: &NodeId,
    name: &HopName,
    channel_key: impl FnOnce() -> AgreementKey,
    e: &AgreementKey,
) -> [u8; 32] {
    let label = match name {
        HopName::Certificate(_) => labels::HANDSHAKE,
        HopName::View(_) => labels::HANDSHAKE_VIEW,
    };
    let mut hash = Sha256::new();
    hash.update(label.as_bytes());
    hash.update([0, CREATE_VERSION]);
    hash.update(network.0);
    match name {
        HopName::Certificate(digest) => hash.update(digest),
        HopName::View(epoch) => {
            hash.update(epoch.0.to_be_bytes());
            hash.update(node.0);
            hash.update(channel_key().0);
        }
    }
    hash.update(e.0);
    hash.finalize().into()
}

impl Transcript {
    fn new(h0: [u8; 32], es: &SharedSecret) -> Self {
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
    fn new<R: CryptoRng>(to: &Hop, rng: &mut R) -> Result<Self, HandshakeError> {
        let ephemeral = EphemeralSecret::generate(rng);
        let public = ephemeral.agreement_key();
        let es = ephemeral.agree(&to.channel_key)?;
        let h0 = prologue(&to.network, &to.node, &to.name, || to.channel_key, &public);
        Ok(Self { ephemeral, public, transcript: Transcript::new(h0, &es) })
    }
}

impl Initiator {
    /// Starts a handshake with a node, with an early request if there is one.
    ///
    /// # Errors
    /// [`HandshakeError`] if the early request is too long or would change state, or the key is bad.
    pub fn start<R: CryptoRng>(
        to: &Hop,
        early: Option<&Request>,
        rng: &mut R,
    ) -> Result<(Self, Create), HandshakeError> {
        let (first, _, create) = Self::start_path(&[(*to, early)], rng)?;
        Ok((first, create))
    }

    /// Starts the handshakes of a whole path: the first hop's, those of the hops behind it in their order, and
    /// the one message for all of them. Every hop but the last may be asked a question of at most
    /// `QUESTION` bytes with its padding, the last one an early request of at most `EARLY`.
    ///
    /// # Errors
    /// [`HandshakeError`] as for [`Self::start`], or if there are no hops or more than `MAX_HOPS`.
    pub fn start_path<R: CryptoRng>(
        hops: &[(Hop, Option<&Request>)],
        rng: &mut R,
    ) -> Result<(Self, Vec<Self>, Create), HandshakeError> {
        let begun: Result<Vec<Begun>, HandshakeError> =
            hops.iter().map(|(to, _)| Begun::new(to, rng)).collect();
        let begun = begun?;
        let path: Vec<Prepared<'_>> = hops
            .iter()
            .zip(&begun)
            .map(|((to, request), begun)| Prepared {
                keys: &begun.transcript.onion,
                node: to.node,
                name: to.name,
                ephemeral: begun.public,
                request: *request,
            })
            .collect();
        let bodies = onion::seal_path(&path, rng)?;
        let first = path.first().zip(bodies.first());
        let create = first.map(|(hop, body)| Create {
            name: hop.name,
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

/// Answers a handshake; the caller found the channel key by [`Create::name`] and made sure that
/// [`Create::replay_tag`] is new.
///
/// # Errors
/// [`HandshakeError`].
pub fn respond<R: CryptoRng>(
    create: &Create,
    own: &Responder<'_>,
    rng: &mut R,
) -> Result<(HopKeys, Created, Early), HandshakeError> {
    let Responder { network, node, secret } = own;
    let es = secret.agree(&create.ephemeral)?;
    let channel_key = || secret.agreement_key();
    let h0 = prologue(network, node, &create.name, channel_key, &create.ephemeral);
    let transcript = Transcript::new(h0, &es);
    let early = transcript.onion.open(&create.body)?;
    let ephemeral = EphemeralSecret::generate(rng);
    let public = ephemeral.agreement_key();
    let ee = ephemeral.agree(&create.ephemeral)?;
    let (keys, confirmation) = transcript.finish(&create.body, &public, &ee);
    Ok((keys, Created { ephemeral: public, confirmation }, early))
}

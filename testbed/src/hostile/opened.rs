//! All that a hop can make of a first message with its own channel key, derived by hand from what
//! `anon/src/handshake.rs` documents. The library gives a hop only what an honest one needs; a hostile one looks at the
//! rest as well.

use anon::{
    create::{CREATE_VERSION, Create, HopName},
    handshake::Responder,
    labels::{self, Label},
    secretbox::{TAG, apply_stream},
};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use x25519_dalek::x25519;

/// Bytes of secretbox's stream that become the key of its tag.
const TAG_KEY: usize = 32;

/// What a hop holds once it has opened a first message.
#[derive(derive_more::Debug)]
#[debug("Opened(..)")]
pub struct Opened {
    /// What lies in the body under this hop's layer: marks, questions, names, the rest of the onion, random bytes.
    pub plain: Vec<u8>,
    h0: [u8; 32],
    chain: [u8; 32],
    theirs: [u8; 32],
    body: Vec<u8>,
}

impl Opened {
    /// Opens a first message as the node that it is for. `None` if it is none.
    pub fn of(create: &Create, own: &Responder<'_>) -> Option<Self> {
        let bytes = create.to_bytes();
        let (_, rest) = bytes.split_first_chunk::<{ 1 + HopName::LENGTH }>()?;
        let (theirs, body) = rest.split_first_chunk::<32>()?;
        let (label, bound) = match create.name() {
            HopName::Certificate(digest) => (labels::HANDSHAKE, digest.to_vec()),
            HopName::View(epoch) => {
                let (epoch, key) = (epoch.0.to_be_bytes(), own.secret.agreement_key());
                (labels::HANDSHAKE_VIEW, [&epoch[..], &own.node.0, &key.0].concat())
            }
        };
        let front = [label.as_bytes(), &[0, CREATE_VERSION], &own.network.0].concat();
        let h0: [u8; 32] = Sha256::digest([&front[..], &bound, theirs].concat()).into();
        let es = x25519(own.secret.expose_seed(), *theirs);
        let seal = derive(&h0, &es, labels::HANDSHAKE_EARLY, &[])?;
        // The layer is a stream: what its tag says does not matter to whoever only looks.
        let mut plain = vec![0; TAG_KEY];
        plain.extend(body.get(TAG..)?);
        apply_stream(&seal, &[0; 24], &mut plain);
        plain.drain(..TAG_KEY);
        let chain = derive(&h0, &es, labels::HANDSHAKE_CHAIN, &[])?;
        Some(Self { plain, h0, chain, theirs: *theirs, body: body.to_vec() })
    }

    /// The key of the cells from the sender to this hop, if the hop answered with the ephemeral key of this seed.
    pub(crate) fn cell_key(&self, own: [u8; 32]) -> Option<[u8; 32]> {
        let public = x25519(own, x25519_dalek::X25519_BASEPOINT_BYTES);
        let h1: [u8; 32] = Sha256::digest([&self.h0[..], &self.body, &public].concat()).into();
        derive(&self.chain, &x25519(own, self.theirs), labels::CELL_FORWARD, &h1)
    }
}

/// `HKDF-Expand(HKDF-Extract(salt, secret), label ‖ 0x00 ‖ context, 32)` with SHA-256.
fn derive(salt: &[u8], secret: &[u8; 32], label: Label, context: &[u8]) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    let info = [label.as_bytes(), &[0], context].concat();
    Hkdf::<Sha256>::new(Some(salt), secret).expand(&info, &mut key).ok()?;
    Some(key)
}

#[cfg(test)]
mod tests {
    use anon::{
        cell::{CELL, Cell},
        certificate::NodeClaims,
        channel::{LastHop, OpeningPath, Passage},
        id::{NetworkId, NodeId},
        keys::{ChannelSecret, IdentitySecret, SigningSecret as _},
        network::{Network, Revoked},
        request::Request,
        secretbox::{counter_nonce, open},
        time::{Time, Validity},
        verification::{CrossVerified, cross_verify},
    };
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    const NOW: Time = Time(1_800_000_000);

    fn node(network: &Network, rng: &mut StdRng) -> (ChannelSecret, CrossVerified) {
        let (identity, channel) = (IdentitySecret::generate(rng), ChannelSecret::generate(rng));
        let claims = NodeClaims {
            network: network.id,
            identity: NodeId(identity.verify_key().0),
            channel_key: channel.agreement_key(),
            addresses: vec!["/ip4/10.1.0.1/tcp/1".to_owned()],
            family: String::new(),
            validity: Validity { not_before: NOW.before(60), not_after: NOW.after(60) },
            admission: None,
        };
        let issued = anon::certificate::NodeCertificate::issue(&identity, claims);
        let certificate = issued.verify(network, NOW).unwrap();
        (channel, cross_verify(certificate.clone(), certificate).unwrap())
    }

    #[test]
    fn a_hop_finds_the_next_ones_name_and_the_key_of_the_cells() {
        let network = Network {
            id: NetworkId::derive("audit.alt", None),
            name: "audit.alt".to_owned(),
            authority: None,
            admission_required: false,
            k: 4,
            quorum: 3,
            epoch_seconds: 86_400,
            revoked: Revoked::default(),
            charter: None,
        };
        let mut rng = StdRng::seed_from_u64(1);
        let (first, last) = (node(&network, &mut rng), node(&network, &mut rng));
        let [as_first, as_last] = [&first, &last].map(|(secret, verified)| Responder {
            network: network.id,
            node: verified.node(),
            secret,
        });
        let (_, cell) = OpeningPath::start(&[(&first.1, None), (&last.1, None)], &mut rng).unwrap();
        let create = cell.to_create().unwrap();
        let opened = Opened::of(&create, &as_first).unwrap();
        let next = last.1.node().0;
        assert_eq!(opened.plain.first(), Some(&1), "the mark of a go-between");
        assert!(opened.plain.windows(32).any(|piece| piece == next));

        // A channel to one node, which knows what the library will sample.
        let (opening, cell) = OpeningPath::start(&[(&last.1, None)], &mut rng).unwrap();
        let create = cell.to_create().unwrap();
        let opened = Opened::of(&create, &as_last).unwrap();
        let (mut sampling, mut own) = (StdRng::seed_from_u64(2), [0; 32]);
        StdRng::seed_from_u64(2).fill_bytes(&mut own);
        let accepted = LastHop::accept(&create, &as_last, &mut sampling).unwrap();
        let passage = opening.finish(&Cell::created(&accepted.created)).unwrap();
        let Passage::Arrived(mut sender) = passage else { panic!("one hop is the last one") };
        let cells = sender.request(&Request::Certificate).unwrap();
        let key = opened.cell_key(own).unwrap();
        let plain = open(&key, &counter_nonce(0), cells[0].as_bytes()).unwrap();
        assert_eq!(plain.len(), CELL - TAG);
    }
}

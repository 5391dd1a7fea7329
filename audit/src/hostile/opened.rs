//! All that a hop can make of a first message with its own channel key, derived by hand from what
//! `anon/src/handshake.rs` documents. The library gives a hop only what an honest one needs; a hostile one looks at the
//! rest as well.

use anon::{
    handshake::Create,
    labels::{self, Label},
    network::NetworkId,
    secretbox::{TAG, apply_stream},
};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use x25519_dalek::x25519;

/// Bytes of secretbox's stream that become the key of its tag.
const TAG_KEY: usize = 32;

/// What a hop holds once it has opened a first message.
pub(crate) struct Opened {
    /// What lies in the body under this hop's layer: marks, questions, names, the rest of the onion, random bytes.
    pub(crate) plain: Vec<u8>,
    h0: [u8; 32],
    chain: [u8; 32],
    theirs: [u8; 32],
    body: Vec<u8>,
}

impl Opened {
    /// Opens a first message with the secret of the channel key that it is for. `None` if it is none.
    pub(crate) fn of(create: &Create, secret: [u8; 32], network: &NetworkId) -> Option<Self> {
        let bytes = create.to_bytes();
        let (certificate, rest) = bytes.split_first_chunk::<32>()?;
        let (theirs, body) = rest.split_first_chunk::<32>()?;
        let mut hash = Sha256::new();
        hash.update(labels::HANDSHAKE.as_bytes());
        hash.update([0]);
        for part in [&network.0, certificate, theirs] {
            hash.update(part);
        }
        let h0: [u8; 32] = hash.finalize().into();
        let es = x25519(secret, *theirs);
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
        let mut hash = Sha256::new();
        hash.update(self.h0);
        hash.update(&self.body);
        hash.update(public);
        let h1: [u8; 32] = hash.finalize().into();
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

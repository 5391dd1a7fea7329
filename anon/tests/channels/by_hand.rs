//! The handshake's formulas computed step by step, for whoever wants to deviate from them.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use anon::{
    create::{CREATE_VERSION, Create, Created, HopName},
    id::{NetworkId, NodeId},
    labels::{self, Label},
    padding, secretbox,
    time::Epoch,
};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

/// What stands before the body of a first message: version, name, ephemeral key.
pub(crate) const HEAD: usize = 1 + HopName::LENGTH + 32;

/// What both sides know after the first Diffie-Hellman.
pub(crate) struct ByHand {
    name: HopName,
    e: [u8; 32],
    h0: [u8; 32],
    es: [u8; 32],
}

fn derive(salt: &[u8], secret: &[u8; 32], label: Label, context: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    let info = [label.as_bytes(), &[0], context].concat();
    Hkdf::<Sha256>::new(Some(salt), secret).expand(&info, &mut key).unwrap();
    key
}

impl ByHand {
    /// With a node that is named by a certificate with this digest.
    pub(crate) fn new(
        network: NetworkId,
        certificate: [u8; 32],
        e: [u8; 32],
        es: [u8; 32],
    ) -> Self {
        let name = HopName::Certificate(certificate);
        Self::bound(labels::HANDSHAKE, name, &[&network.0, &certificate], e, es)
    }

    /// With a node that stands with this channel key in the view of an epoch.
    pub(crate) fn in_view(
        network: NetworkId,
        epoch: Epoch,
        node: NodeId,
        channel: [u8; 32],
        e: [u8; 32],
    ) -> Self {
        let (key, es) = (x25519(channel, X25519_BASEPOINT_BYTES), x25519(channel, e));
        let parts = [&network.0[..], &epoch.0.to_be_bytes(), &node.0, &key];
        Self::bound(labels::HANDSHAKE_VIEW, HopName::View(epoch), &parts, e, es)
    }

    fn bound(label: Label, name: HopName, parts: &[&[u8]], e: [u8; 32], es: [u8; 32]) -> Self {
        let front = [label.as_bytes(), &[0, CREATE_VERSION]].concat();
        let h0 = Sha256::digest([front, parts.concat(), e.to_vec()].concat()).into();
        Self { name, e, h0, es }
    }

    /// The first message, with `early` as the early request's bytes.
    pub(crate) fn create(&self, early: &[u8]) -> Create {
        self.create_padded(&padding::pad(early, 512).unwrap())
    }

    /// The first message, with `padded` as the early request in its padding.
    pub(crate) fn create_padded(&self, padded: &[u8]) -> Create {
        self.create_plain(&[&[0][..], padded].concat())
    }

    /// The first message, with `plain` and zeros behind it as what is sealed in it.
    pub(crate) fn create_plain(&self, plain: &[u8]) -> Create {
        let mut plain = plain.to_vec();
        plain.resize(Create::LENGTH - HEAD - 16, 0);
        let sealed = secretbox::seal(&self.early_key(), &[0; 24], &plain);
        let head = [&[CREATE_VERSION][..], &self.name.encode(), &self.e].concat();
        Create::from_padded(&[head, sealed].concat()).unwrap()
    }

    /// As [`Self::new`], for the node with this channel secret and this ephemeral key of the sender's.
    pub(crate) fn at(
        network: NetworkId,
        certificate: [u8; 32],
        channel: [u8; 32],
        e: [u8; 32],
    ) -> Self {
        Self::new(network, certificate, e, x25519(channel, e))
    }

    /// What is sealed in a first message.
    pub(crate) fn open(&self, create: &Create) -> Vec<u8> {
        secretbox::open(&self.early_key(), &[0; 24], &create.to_bytes()[HEAD..]).unwrap()
    }

    fn early_key(&self) -> [u8; 32] {
        derive(&self.h0, &self.es, labels::HANDSHAKE_EARLY, &[])
    }

    /// The answer to `create`.
    pub(crate) fn created(&self, create: &Create, e2: [u8; 32], ee: [u8; 32]) -> Created {
        let chain = derive(&self.h0, &self.es, labels::HANDSHAKE_CHAIN, &[]);
        let sealed = &create.to_bytes()[HEAD..];
        let h1: [u8; 32] = Sha256::digest([&self.h0[..], sealed, &e2].concat()).into();
        let confirmation = derive(&chain, &ee, labels::HANDSHAKE_CONFIRM, &h1);
        Created::from_padded(&[e2, confirmation].concat()).unwrap()
    }
}

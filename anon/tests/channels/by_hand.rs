//! The handshake's formulas computed step by step, for whoever wants to deviate from them.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use anon::{
    create::{Create, Created},
    id::NetworkId,
    labels::{self, Label},
    padding, secretbox,
};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};

/// What both sides know after the first Diffie-Hellman.
pub(crate) struct ByHand {
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
    pub(crate) fn new(
        network: NetworkId,
        certificate: [u8; 32],
        e: [u8; 32],
        es: [u8; 32],
    ) -> Self {
        let parts = [labels::HANDSHAKE.as_bytes(), &[0], &network.0, &certificate, &e].concat();
        Self { h0: Sha256::digest(parts).into(), es }
    }

    /// The first message, with `early` as the early request's bytes.
    pub(crate) fn create(&self, certificate: [u8; 32], e: [u8; 32], early: &[u8]) -> Create {
        self.create_padded(certificate, e, &padding::pad(early, 512).unwrap())
    }

    /// The first message, with `padded` as the early request in its padding.
    pub(crate) fn create_padded(
        &self,
        certificate: [u8; 32],
        e: [u8; 32],
        padded: &[u8],
    ) -> Create {
        self.create_plain(certificate, e, &[&[0][..], padded].concat())
    }

    /// The first message, with `plain` and zeros behind it as what is sealed in it.
    pub(crate) fn create_plain(&self, certificate: [u8; 32], e: [u8; 32], plain: &[u8]) -> Create {
        let mut plain = plain.to_vec();
        plain.resize(Create::LENGTH - 64 - 16, 0);
        let sealed = secretbox::seal(&self.early_key(), &[0; 24], &plain);
        Create::from_padded(&[&certificate[..], &e, &sealed].concat()).unwrap()
    }

    /// As [`Self::new`], for the node with this channel secret and this ephemeral key of the sender's.
    pub(crate) fn at(
        network: NetworkId,
        certificate: [u8; 32],
        channel: [u8; 32],
        e: [u8; 32],
    ) -> Self {
        Self::new(network, certificate, e, x25519_dalek::x25519(channel, e))
    }

    /// What is sealed in a first message.
    pub(crate) fn open(&self, create: &Create) -> Vec<u8> {
        secretbox::open(&self.early_key(), &[0; 24], &create.to_bytes()[64..]).unwrap()
    }

    fn early_key(&self) -> [u8; 32] {
        derive(&self.h0, &self.es, labels::HANDSHAKE_EARLY, &[])
    }

    /// The answer to `create`.
    pub(crate) fn created(&self, create: &Create, e2: [u8; 32], ee: [u8; 32]) -> Created {
        let chain = derive(&self.h0, &self.es, labels::HANDSHAKE_CHAIN, &[]);
        let sealed = &create.to_bytes()[64..];
        let h1: [u8; 32] = Sha256::digest([&self.h0[..], sealed, &e2].concat()).into();
        let confirmation = derive(&chain, &ee, labels::HANDSHAKE_CONFIRM, &h1);
        Created::from_padded(&[e2, confirmation].concat()).unwrap()
    }
}

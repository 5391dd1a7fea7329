//! Forged signatures and weak keys: what anybody can make without a secret must not be accepted.

use anon::{
    keys::{AgreementKey, ChannelSecret, DeleteSecret, Signature, SigningSecret as _, VerifyKey},
    labels, wire,
};
use clap::ValueEnum;
use ed25519_dalek::{SigningKey, Verifier as _, VerifyingKey};
use rand::{RngExt as _, rngs::StdRng};

use super::{
    family::{Check, Family, Seen, Tried},
    world::network,
};

/// How signatures and key agreements are checked.
pub(super) trait Keys {
    /// Whether a key is one that may sign at all.
    fn takes(&self, key: [u8; 32]) -> bool;
    /// Whether a signature over `content` is taken for this key's.
    fn verifies(&self, key: [u8; 32], content: [u8; 32], signature: [u8; 64]) -> bool;
    /// Whether a secret is agreed on with this public key.
    fn agrees(&self, secret: [u8; 32], theirs: [u8; 32]) -> bool;
}

/// The project's own checks.
struct Real;

impl Keys for Real {
    fn takes(&self, key: [u8; 32]) -> bool {
        VerifyKey(key).check().is_ok()
    }

    fn verifies(&self, key: [u8; 32], content: [u8; 32], signature: [u8; 64]) -> bool {
        let (id, signature) = (network().id, Signature(signature));
        VerifyKey(key).verify(labels::DELETE, &id, &content, &signature).is_ok()
    }

    fn agrees(&self, secret: [u8; 32], theirs: [u8; 32]) -> bool {
        ChannelSecret::from_seed(&secret).agree(&AgreementKey(theirs)).is_ok()
    }
}

/// What a check is lax about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lax {
    /// Signatures are verified by the lax rules, so that some keys verify what nobody signed.
    #[value(name = "plain verification")]
    Verify,
    /// One key has two encodings, so that what was revoked or counted under one comes back under the other.
    #[value(name = "keys in any encoding")]
    Encodings,
    /// Whoever sends a bad key knows the secret that is agreed on, and so does everybody who watches.
    #[value(name = "agreement with any key")]
    Agreement,
}

impl Keys for Lax {
    fn takes(&self, key: [u8; 32]) -> bool {
        match self {
            Self::Encodings => VerifyingKey::from_bytes(&key).is_ok_and(|key| !key.is_weak()),
            Self::Verify | Self::Agreement => Real.takes(key),
        }
    }

    fn verifies(&self, key: [u8; 32], content: [u8; 32], signature: [u8; 64]) -> bool {
        if *self != Self::Verify {
            return Real.verifies(key, content, signature);
        }
        let message =
            [labels::DELETE.as_bytes(), &[0], &network().id.0, &wire::encode(&content)].concat();
        let signature = ed25519_dalek::Signature::from_bytes(&signature);
        VerifyingKey::from_bytes(&key).is_ok_and(|key| key.verify(&message, &signature).is_ok())
    }

    fn agrees(&self, secret: [u8; 32], theirs: [u8; 32]) -> bool {
        *self == Self::Agreement || Real.agrees(secret, theirs)
    }
}

/// The points of small order of Ed25519's curve, in every encoding that is read as one: with the sign's bit, and
/// beyond p (Chalkias, Garillot and Nikolaenko, 2020, table 1).
const SMALL_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

/// Points of small order of X25519's curve and its twist (Bernstein, "Curve25519", and RFC 7748, section 7).
const SMALL_ORDER_X: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn point(text: &str) -> Option<[u8; 32]> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// Forges signatures under keys that nobody has a secret for.
fn strict_signatures(keys: &(dyn Keys + 'static), rng: &mut StdRng) -> Seen {
    const MESSAGES: usize = 64;
    let honest = DeleteSecret::from_seed(&rng.random());
    let (id, content) = (network().id, rng.random::<[u8; 32]>());
    let signed = honest.sign(labels::DELETE, &id, &content);
    let public = honest.verify_key().0;
    if !keys.takes(public) || !keys.verifies(public, content, signed.0) {
        return None;
    }
    let (mut forged, mut accepted, mut taken) = (0, 0, 0);
    for text in SMALL_ORDER {
        let key = point(text)?;
        taken += usize::from(keys.takes(key));
        for _ in 0..MESSAGES {
            // R = [S]B: holds wherever the hash takes the key to the neutral element, one time in eight or more.
            let secret = SigningKey::from_bytes(&rng.random());
            let r = secret.verifying_key().to_bytes();
            let signature = [r, secret.to_scalar().to_bytes()].concat().try_into().ok()?;
            forged += 1;
            accepted += usize::from(keys.verifies(key, rng.random(), signature));
        }
    }
    // A second encoding of what would be a good key: y and y + p.
    let encodings = (2..19_u8).filter_map(|y| {
        let (mut canonical, mut other) = ([0; 32], [0xFF; 32]);
        (canonical[0], other[0], other[31]) = (y, 0xED + y, 0x7F);
        VerifyingKey::from_bytes(&canonical).is_ok().then_some(other)
    });
    let second: Vec<[u8; 32]> = encodings.collect();
    let tried = SMALL_ORDER.len() + second.len();
    taken += second.iter().filter(|key| keys.takes(**key)).count();
    // The same signature in another form: S + L.
    let mut other_form = signed.0;
    add_order(&mut other_form);
    forged += 1;
    accepted += usize::from(keys.verifies(public, content, other_form));
    let seen = format!(
        "{forged} signatures made without the key: {accepted} accepted; {tried} weak keys or second encodings: {taken} taken"
    );
    Some((accepted == 0 && taken == 0, seen))
}

/// Adds the group's order to a signature's second half.
fn add_order(signature: &mut [u8; 64]) {
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0_u16;
    for (byte, l) in signature.iter_mut().skip(32).zip(L) {
        carry += u16::from(*byte) + u16::from(l);
        let [low, high] = carry.to_le_bytes();
        (*byte, carry) = (low, u16::from(high));
    }
}

/// Offers public keys with which the result is zero whatever the secret.
fn weak_agreement(keys: &(dyn Keys + 'static), rng: &mut StdRng) -> Seen {
    const SECRETS: usize = 20;
    let theirs = ChannelSecret::generate(rng).agreement_key().0;
    if !keys.agrees(rng.random(), theirs) {
        return None;
    }
    let (mut tried, mut agreed) = (0, 0);
    for text in SMALL_ORDER_X {
        let mut key = point(text)?;
        for _ in 0..SECRETS {
            // With and without the bit that RFC 7748 does not look at.
            key[31] ^= 0x80;
            tried += 1;
            agreed += usize::from(keys.agrees(rng.random(), key));
        }
    }
    let seen = format!("{tried} key agreements with a point of small order: {agreed} agreed");
    Some((agreed == 0, seen))
}

/// Checks of keys, and mutants of them.
pub(super) fn family() -> Box<dyn Tried> {
    Box::new(Family::<dyn Keys, Lax> {
        checks: vec![
            Check { name: "property.strict-signatures", attack: strict_signatures },
            Check { name: "property.weak-agreement", attack: weak_agreement },
        ],
        real: Box::new(Real),
        mutant: |lax| Box::new(lax),
        attack: |_| "16. Small-order and non-canonical keys",
    })
}

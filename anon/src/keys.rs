//! Keys: one type for each role of secret, zeroized when dropped; public keys refused when weak.
//!
//! Signatures are Ed25519 (RFC 8032), always by `verify_strict` and over
//! `label ‖ 0x00 ‖ network id ‖ encoded content`. Key agreement is X25519 (RFC 7748) and refuses a result
//! of zeros. Key derivation is HKDF-SHA256 (RFC 5869).

use ed25519_dalek::Signer as _;
use hkdf::Hkdf;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    hex::debug_as_short_hex,
    id::{NetworkId, NodeId},
    labels::Label,
    wire,
};

/// A key or a signature that honest software does not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a point of the curve, of small order, or not in its canonical encoding.
    #[error("the public key is weak or not canonical")]
    BadPublicKey,
    /// The signature does not verify (or is malleable).
    #[error("the signature does not verify")]
    BadSignature,
}

/// An Ed25519 public key, 32 bytes, as it came; every use checks it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VerifyKey(pub [u8; 32]);

/// An X25519 public key, 32 bytes, as it came; every use checks it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AgreementKey(pub [u8; 32]);

/// An Ed25519 signature, 64 bytes, as it came.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature(#[serde(with = "serde_bytes")] pub [u8; 64]);

debug_as_short_hex!(VerifyKey, AgreementKey, Signature);

impl NodeId {
    /// The key that verifies its signatures.
    #[must_use]
    pub const fn verify_key(&self) -> VerifyKey {
        VerifyKey(self.0)
    }
}

impl VerifyKey {
    fn checked(&self) -> Result<ed25519_dalek::VerifyingKey, KeyError> {
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| KeyError::BadPublicKey)?;
        let canonical = key.to_edwards().compress().to_bytes() == self.0;
        if canonical && !key.is_weak() { Ok(key) } else { Err(KeyError::BadPublicKey) }
    }

    /// Checks that this is a canonical point of large order.
    ///
    /// # Errors
    /// [`KeyError::BadPublicKey`].
    pub fn check(&self) -> Result<(), KeyError> {
        self.checked().map(|_| ())
    }

    /// Verifies a signature over `content`, strictly.
    ///
    /// # Errors
    /// [`KeyError`] if the key is weak or the signature is not exactly this key's over exactly this.
    pub fn verify<T: Serialize>(
        &self,
        label: Label,
        network: &NetworkId,
        content: &T,
        signature: &Signature,
    ) -> Result<(), KeyError> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.checked()?
            .verify_strict(&signed_bytes(label, network, content), &signature)
            .map_err(|_| KeyError::BadSignature)
    }
}

impl AgreementKey {
    /// Checks that the encoding is canonical: below 2^255 − 19 and without the unused bit.
    ///
    /// # Errors
    /// [`KeyError::BadPublicKey`].
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        const P: [u8; 32] = {
            let mut p = [0xff; 32];
            p[0] = 0xed;
            p[31] = 0x7f;
            p
        };
        if self.0.iter().rev().lt(P.iter().rev()) { Ok(()) } else { Err(KeyError::BadPublicKey) }
    }
}

fn signed_bytes<T: Serialize>(label: Label, network: &NetworkId, content: &T) -> Vec<u8> {
    let mut bytes = label.as_bytes().to_vec();
    bytes.push(0);
    bytes.extend(network.0);
    bytes.extend(wire::encode(content));
    bytes
}

/// Something that signs under one of the roles below.
pub trait SigningSecret {
    /// The public half.
    fn verify_key(&self) -> VerifyKey;
    /// Signs `content` for one purpose in one network.
    fn sign<T: Serialize>(&self, label: Label, network: &NetworkId, content: &T) -> Signature;
}

/// A secret from a seed that is sampled for it.
fn sampled<S>(rng: &mut impl CryptoRng, from_seed: fn(&[u8; 32]) -> S) -> S {
    let mut seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *seed);
    from_seed(&seed)
}

macro_rules! signing_secrets {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        pub struct $name(ed25519_dalek::SigningKey);

        impl $name {
            /// Makes a new secret.
            #[must_use]
            pub fn generate(rng: &mut impl CryptoRng) -> Self {
                sampled(rng, Self::from_seed)
            }

            /// The secret with this seed (RFC 8032's private key, 32 bytes).
            #[must_use]
            pub fn from_seed(seed: &[u8; 32]) -> Self {
                Self(ed25519_dalek::SigningKey::from_bytes(seed))
            }

            /// The seed, for whoever must keep it; it is the caller's to zeroize.
            #[must_use]
            pub fn expose_seed(&self) -> [u8; 32] {
                self.0.to_bytes()
            }
        }

        impl SigningSecret for $name {
            fn verify_key(&self) -> VerifyKey {
                VerifyKey(self.0.verifying_key().to_bytes())
            }

            fn sign<T: Serialize>(&self, label: Label, network: &NetworkId, content: &T) -> Signature {
                Signature(self.0.sign(&signed_bytes(label, network, content)).to_bytes())
            }
        }

        crate::hex::debug_as_name!($name);
    )*};
}

signing_secrets!(
    /// A node's identity: its libp2p key, and what signs its certificates and receipts.
    IdentitySecret,
    /// An address's signing key: reads the inbox, deletes what names its certificate, signs mail.
    AddressSecret,
    /// The certificate authority's key.
    AuthoritySecret,
    /// The secret half of a one-time delete permission; travels to one recipient in a notification.
    DeleteSecret,
    /// A keeper's key: signs one view an epoch.
    KeeperSecret,
    /// The key that the nodes of one operator share: says which nodes are of the family.
    FamilySecret
);

impl IdentitySecret {
    /// Derives a key for one purpose from the seed, as [`SharedSecret::derive`].
    pub(crate) fn derive(&self, salt: &[u8], label: Label, context: &[u8]) -> DerivedKey {
        derive_key(salt, self.0.as_bytes(), label, context)
    }
}

macro_rules! agreement_secrets {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(ZeroizeOnDrop)]
        pub struct $name(x25519_dalek::StaticSecret);

        impl $name {
            /// Makes a new secret.
            #[must_use]
            pub fn generate(rng: &mut impl CryptoRng) -> Self {
                sampled(rng, Self::from_seed)
            }

            /// The secret with this seed (RFC 7748's scalar before clamping, 32 bytes).
            #[must_use]
            pub fn from_seed(seed: &[u8; 32]) -> Self {
                Self(x25519_dalek::StaticSecret::from(*seed))
            }

            /// The seed, for whoever must keep it; it is the caller's to zeroize.
            #[must_use]
            pub fn expose_seed(&self) -> [u8; 32] {
                self.0.to_bytes()
            }

            /// The public half.
            #[must_use]
            pub fn agreement_key(&self) -> AgreementKey {
                AgreementKey(x25519_dalek::PublicKey::from(&self.0).to_bytes())
            }

            /// X25519 with a peer's key.
            ///
            /// # Errors
            /// [`KeyError::BadPublicKey`] if the peer's key is not canonical or the result is zero.
            pub fn agree(&self, theirs: &AgreementKey) -> Result<SharedSecret, KeyError> {
                theirs.check()?;
                let shared = self.0.diffie_hellman(&x25519_dalek::PublicKey::from(theirs.0));
                if shared.was_contributory() {
                    Ok(SharedSecret(shared.to_bytes()))
                } else {
                    Err(KeyError::BadPublicKey)
                }
            }
        }

        crate::hex::debug_as_name!($name);
    )*};
}

agreement_secrets!(
    /// A node's channel key: what senders run the handshake with. That of a view is sealed on the node's disk while it lives;
    /// any other is in memory alone.
    ChannelSecret,
    /// An address's sealing key: opens notifications.
    SealingSecret,
    /// Either side's key for one handshake or one seal.
    EphemeralSecret
);

/// The result of a key agreement: only ever fed to HKDF, by [`Self::derive`].
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SharedSecret([u8; 32]);

/// 32 bytes out of HKDF, to be made into a key of some role.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DerivedKey(pub(crate) [u8; 32]);

crate::hex::debug_as_name!(SharedSecret, DerivedKey);

impl SharedSecret {
    /// `HKDF-Expand(HKDF-Extract(salt, self), label ‖ 0x00 ‖ context, 32)`.
    #[must_use]
    pub fn derive(&self, salt: &[u8], label: Label, context: &[u8]) -> DerivedKey {
        derive_key(salt, &self.0, label, context)
    }
}

impl DerivedKey {
    /// Derives one more key from this one, as [`SharedSecret::derive`].
    #[must_use]
    pub(crate) fn derive(&self, salt: &[u8], label: Label, context: &[u8]) -> Self {
        derive_key(salt, &self.0, label, context)
    }
}

/// `HKDF-Expand(HKDF-Extract(salt, secret), label ‖ 0x00 ‖ context, 32)` with SHA-256.
fn derive_key(salt: &[u8], secret: &[u8; 32], label: Label, context: &[u8]) -> DerivedKey {
    let mut key = DerivedKey([0; 32]);
    #[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8,160 bytes")]
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand_multi_info(&[label.as_bytes(), &[0], context], &mut key.0)
        .expect("32 bytes are few enough");
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    const NET: NetworkId = NetworkId([7; 32]);

    #[test]
    fn a_signature_holds_for_one_label_one_network_one_content() {
        let secret = DeleteSecret::from_seed(&[1; 32]);
        let (key, s) = (secret.verify_key(), secret.sign(labels::DELETE, &NET, &1_u8));
        assert_eq!(key.verify(labels::DELETE, &NET, &1_u8, &s), Ok(()));
        let bad = Err(KeyError::BadSignature);
        assert_eq!(key.verify(labels::RECEIPT, &NET, &1_u8, &s), bad);
        assert_eq!(key.verify(labels::DELETE, &NetworkId([8; 32]), &1_u8, &s), bad);
        assert_eq!(key.verify(labels::DELETE, &NET, &2_u8, &s), bad);
    }

    #[test]
    fn malleated_signatures_are_refused() {
        // S + L verifies under lax rules; L = 2^252 + 27742317777372353535851937790883648493.
        const L: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let secret = DeleteSecret::from_seed(&[2; 32]);
        let mut s = secret.sign(labels::DELETE, &NET, &1_u8);
        let mut carry = 0_u16;
        for (byte, l) in s.0[32..].iter_mut().zip(L) {
            carry += u16::from(*byte) + u16::from(l);
            *byte = u8::try_from(carry & 0xff).unwrap();
            carry >>= 8;
        }
        let verified = secret.verify_key().verify(labels::DELETE, &NET, &1_u8, &s);
        assert_eq!(verified, Err(KeyError::BadSignature));
    }

    #[test]
    fn weak_and_non_canonical_keys_are_refused() {
        let mut one = [0; 32];
        one[0] = 1; // the neutral element
        let mut p_plus_one = [0xff; 32]; // y = p + 1, the same element encoded otherwise
        p_plus_one[0] = 0xee;
        p_plus_one[31] = 0x7f;
        for key in [[0; 32], one, p_plus_one] {
            assert_eq!(VerifyKey(key).check(), Err(KeyError::BadPublicKey), "{key:?}");
        }
        let mine = ChannelSecret::from_seed(&[3; 32]);
        let mut high = mine.agreement_key().0;
        high[31] |= 0x80;
        for key in [[0; 32], one, p_plus_one, high] {
            assert!(mine.agree(&AgreementKey(key)).is_err(), "{key:?}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let printed = format!(
            "{:?}",
            (AddressSecret::from_seed(&[9; 32]), EphemeralSecret::from_seed(&[9; 32]))
        );
        assert_eq!(printed, "(AddressSecret(..), EphemeralSecret(..))");
    }
}

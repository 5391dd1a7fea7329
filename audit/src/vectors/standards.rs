//! The published answers of the primitives: through `anon` where it shows them, otherwise directly.

use anon::{
    keys::{AgreementKey, ChannelSecret, IdentitySecret, SigningSecret as _, VerifyKey},
    position::Key,
    secretbox as anon_secretbox,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::{Compared, Known};

/// FIPS 180-4.
pub(super) fn sha256(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    for case in known.list("/cases")? {
        let text = case.text("/text")?.repeat(case.length("/repeat")?);
        let same = Key::of_identifier(&text).0 == case.array("/digest")?;
        compared.same(case.text("/case")?, same);
    }
    Some(())
}

/// RFC 5869.
pub(super) fn hkdf_sha256(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    for case in known.list("/cases")? {
        let (salt, ikm) = (case.bytes("/salt")?, case.bytes("/ikm")?);
        let (prk, hkdf) = hkdf::Hkdf::<Sha256>::extract(Some(&salt), &ikm);
        let expected = case.bytes("/okm")?;
        let mut okm = vec![0; expected.len()];
        hkdf.expand(&case.bytes("/info")?, &mut okm).ok()?;
        let same = prk.as_slice() == case.bytes("/prk")? && okm == expected;
        compared.same(case.text("/case")?, same);
    }
    Some(())
}

/// RFC 7748 and Wycheproof.
pub(super) fn x25519(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    for case in known.list("/cases")? {
        let (scalar, u) = (case.array("/scalar")?, case.array("/u")?);
        let agreed = ChannelSecret::from_seed(&scalar).agree(&AgreementKey(u)).is_ok();
        let same = x25519_dalek::x25519(scalar, u) == case.array("/out")?;
        compared.same(case.text("/case")?, same && agreed == case.flag("/accepted")?);
    }
    for pair in known.list("/pairs")? {
        let secret = ChannelSecret::from_seed(&pair.array("/secret")?);
        compared.same("a pair", secret.agreement_key().0 == pair.array("/public")?);
    }
    let (mut k, mut u) = ([0; 32], [0; 32]);
    (k[0], u[0]) = (9, 9);
    for round in 1..=1_000 {
        (k, u) = (x25519_dalek::x25519(k, u), k);
        if let 1 | 1_000 = round {
            compared.same("iterated", k == known.array(&format!("/iterated/{round}"))?);
        }
    }
    Some(())
}

/// RFC 8032, Wycheproof, and the corner cases of "Taming the many EdDSAs".
pub(super) fn ed25519(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    for case in known.list("/signing")? {
        let seed = case.array("/seed")?;
        let public = IdentitySecret::from_seed(&seed).verify_key();
        let signed = SigningKey::from_bytes(&seed).sign(&case.bytes("/message")?).to_bytes();
        let same = public.0 == case.array("/public")? && signed == case.array("/signature")?;
        compared.same(case.text("/case")?, same);
    }
    for case in known.list("/verifying")? {
        let public = case.array("/public")?;
        let signature = Signature::from_bytes(&case.array("/signature")?);
        let message = case.bytes("/message")?;
        let verified = VerifyingKey::from_bytes(&public)
            .is_ok_and(|key| key.verify_strict(&message, &signature).is_ok());
        let same = VerifyKey(public).check().is_ok() == case.flag("/key_accepted")?
            && verified == case.flag("/accepted")?;
        compared.same(case.text("/case")?, same);
    }
    Some(())
}

/// NaCl.
pub(super) fn secretbox(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    let (key, nonce) = (known.array("/key")?, known.array("/nonce")?);
    let (message, sealed) = (known.bytes("/message")?, known.bytes("/sealed")?);
    compared.same("sealing", anon_secretbox::seal(&key, &nonce, &message) == sealed);
    compared.same("opening", anon_secretbox::open(&key, &nonce, &sealed) == Ok(message));
    let mut stream = vec![0; 4_194_304];
    anon_secretbox::apply_stream(&key, &nonce, &mut stream);
    let digest: [u8; 32] = Sha256::digest(&stream).into();
    compared.same("the stream", digest == known.array("/stream_of_4194304_bytes_sha256")?);
    Some(())
}

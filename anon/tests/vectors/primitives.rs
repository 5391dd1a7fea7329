//! The primitives against their standards, through `anon` where it shows them, otherwise directly.

use anon::{
    keys::{AgreementKey, ChannelSecret, IdentitySecret, SigningSecret as _, VerifyKey},
    position::Key,
    secretbox,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use x25519_dalek::x25519;

use crate::vector::{Vector, known_answers};

#[test]
fn x25519_is_rfc_7748s_and_wycheproofs() {
    let file = known_answers!("x25519");
    for case in Vector(&file).list("/cases") {
        let (scalar, u) = (case.array("/scalar"), case.array("/u"));
        assert_eq!(x25519(scalar, u), case.array("/out"), "{}", case.text("/case"));
        let agreed = ChannelSecret::from_seed(&scalar).agree(&AgreementKey(u));
        assert_eq!(agreed.is_ok(), case.flag("/accepted"), "{}", case.text("/case"));
    }
    for pair in Vector(&file).list("/pairs") {
        let secret = ChannelSecret::from_seed(&pair.array("/secret"));
        assert_eq!(secret.agreement_key().0, pair.array("/public"));
    }
    let (mut k, mut u) = ([0; 32], [0; 32]);
    (k[0], u[0]) = (9, 9);
    for round in 1..=1_000 {
        (k, u) = (x25519(k, u), k);
        if let 1 | 1_000 = round {
            assert_eq!(k, Vector(&file).array(&format!("/iterated/{round}")));
        }
    }
}

#[test]
fn ed25519_signs_as_in_rfc_8032() {
    let file = known_answers!("ed25519");
    for case in Vector(&file).list("/signing") {
        let seed = case.array("/seed");
        let public = IdentitySecret::from_seed(&seed).verify_key();
        assert_eq!(public.0, case.array("/public"), "{}", case.text("/case"));
        let (message, signature) = (case.bytes("/message"), case.array("/signature"));
        let signed = SigningKey::from_bytes(&seed).sign(&message);
        assert_eq!(signed.to_bytes(), signature, "{}", case.text("/case"));
        let key = VerifyingKey::from_bytes(&public.0).unwrap();
        assert!(key.verify_strict(&message, &Signature::from_bytes(&signature)).is_ok());
    }
}

#[test]
fn ed25519_verifies_as_strictly_as_it_can() {
    let file = known_answers!("ed25519");
    for case in Vector(&file).list("/verifying") {
        let name = case.text("/case");
        let public = case.array("/public");
        assert_eq!(VerifyKey(public).check().is_ok(), case.flag("/key_accepted"), "{name}");
        let signature = Signature::from_bytes(&case.array("/signature"));
        let verified = VerifyingKey::from_bytes(&public)
            .and_then(|key| key.verify_strict(&case.bytes("/message"), &signature));
        assert_eq!(verified.is_ok(), case.flag("/accepted"), "{name}");
    }
}

#[test]
fn an_ed25519_key_has_one_encoding() {
    // y and y + p are the same number; 0 and ±1 are of small order besides.
    let encoded = |low: u8| {
        let mut key = [0; 32];
        key[0] = low;
        key
    };
    let beyond_p = |low: u8| {
        let mut key = [0xFF; 32];
        (key[0], key[31]) = (0xED + low, 0x7F);
        key
    };
    let points: Vec<u8> =
        (2..=18).filter(|y| VerifyingKey::from_bytes(&encoded(*y)).is_ok()).collect();
    assert!(points.len() > 3);
    for y in points {
        assert!(VerifyKey(encoded(y)).check().is_ok(), "{y}");
        assert!(VerifyingKey::from_bytes(&beyond_p(y)).is_ok_and(|key| !key.is_weak()), "{y}");
        assert!(VerifyKey(beyond_p(y)).check().is_err(), "{y} + p");
    }
}

#[test]
fn hkdf_is_rfc_5869s() {
    let file = known_answers!("hkdf-sha256");
    for case in Vector(&file).list("/cases") {
        let salt = case.bytes("/salt");
        let (prk, hkdf) = hkdf::Hkdf::<Sha256>::extract(Some(&salt), &case.bytes("/ikm"));
        assert_eq!(prk[..], case.bytes("/prk"), "{}", case.text("/case"));
        let mut okm = vec![0; case.bytes("/okm").len()];
        hkdf.expand(&case.bytes("/info"), &mut okm).unwrap();
        assert_eq!(okm, case.bytes("/okm"), "{}", case.text("/case"));
    }
}

#[test]
fn secretbox_and_its_stream_are_nacls() {
    let file = known_answers!("secretbox");
    let case = Vector(&file);
    let (key, nonce) = (case.array("/key"), case.array("/nonce"));
    let (message, sealed) = (case.bytes("/message"), case.bytes("/sealed"));
    assert_eq!(secretbox::seal(&key, &nonce, &message), sealed);
    assert_eq!(secretbox::open(&key, &nonce, &sealed), Ok(message));
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(secretbox::open(&key, &nonce, &changed).is_err(), "byte {at}");
    }
    let mut stream = vec![0; 4_194_304];
    secretbox::apply_stream(&key, &nonce, &mut stream);
    let digest: [u8; 32] = Sha256::digest(&stream).into();
    assert_eq!(digest, case.array("/stream_of_4194304_bytes_sha256"));
}

#[test]
fn sha_256_is_fips_180_4s() {
    let file = known_answers!("sha256");
    for case in Vector(&file).list("/cases") {
        let text = case.text("/text").repeat(case.length("/repeat"));
        assert_eq!(Key::of_identifier(&text).0, case.array("/digest"), "{}", case.text("/case"));
    }
}

//! Addresses and their certificates.

use anon::{
    certificate::{
        Address, AddressClaims, CertificateError, MAX_ADDRESS_VALIDITY,
        UnverifiedAddressCertificate,
    },
    keys::{AddressSecret, AuthoritySecret, KeyError, SigningSecret as _, VerifyKey},
    labels,
    network::Network,
    time::{Time, Validity},
    wire,
};

use super::edges;
use crate::world::{Change, NOW, Owner, Signed, authority, network, other_network, recode};

const BAD_SIGNATURE: CertificateError = CertificateError::Key(KeyError::BadSignature);
const BAD_KEY: CertificateError = CertificateError::Key(KeyError::BadPublicKey);

fn verify(certificate: UnverifiedAddressCertificate, now: Time) -> Result<(), CertificateError> {
    certificate.verify(&network(), now).map(|_| ())
}

fn owners() -> [Owner; 2] {
    [Owner::named("alice", 1), Owner::self_certifying(2)]
}

/// The certificate with its claims changed and its signature kept.
fn tamper(
    owner: &Owner,
    change: impl FnOnce(&mut Signed<AddressClaims>),
) -> UnverifiedAddressCertificate {
    let mut signed: Signed<AddressClaims> = recode(&owner.certificate.to_unverified());
    change(&mut signed);
    recode(&signed)
}

/// A certificate over changed claims, with a new signature by the authority.
fn issue(owner: &Owner, change: impl FnOnce(&mut AddressClaims)) -> UnverifiedAddressCertificate {
    let mut claims = owner.certificate.claims().clone();
    change(&mut claims);
    UnverifiedAddressCertificate::issue(&authority(), claims)
}

#[test]
fn it_holds_for_its_time_give_or_take_five_minutes() {
    for owner in owners() {
        for (now, expected) in edges() {
            assert_eq!(verify(owner.certificate.to_unverified(), now), expected, "{now:?}");
        }
    }
}

#[test]
fn a_named_address_is_signed_by_the_authority() {
    let alice = Owner::named("alice", 1);
    let claims = alice.certificate.claims().clone();
    let stranger = AuthoritySecret::from_seed(&[0xA1; 32]);
    let by_a_stranger = UnverifiedAddressCertificate::issue(&stranger, claims.clone());
    assert_eq!(verify(by_a_stranger, NOW), Err(BAD_SIGNATURE));
    let by_herself = UnverifiedAddressCertificate::self_signed(&alice.secret, claims.clone());
    assert_eq!(verify(by_herself, NOW), Err(BAD_SIGNATURE));
    // The authority's signature over the same claims, for another purpose.
    let elsewhere = authority().sign(labels::ADMISSION, &network().id, &claims);
    assert_eq!(verify(tamper(&alice, |c| c.signature = elsewhere), NOW), Err(BAD_SIGNATURE));

    let headless = Network { authority: None, ..network() };
    let verified = alice.certificate.to_unverified().verify(&headless, NOW).map(|_| ());
    assert_eq!(verified, Err(CertificateError::WrongSigner));
}

#[test]
fn a_fingerprint_certifies_itself_even_without_an_authority() {
    let owner = Owner::self_certifying(2);
    let headless = Network { authority: None, ..network() };
    assert!(owner.certificate.to_unverified().verify(&headless, NOW).is_ok());
}

#[test]
fn a_fingerprint_of_other_keys_is_refused() {
    let (owner, other) = (Owner::self_certifying(2), Owner::self_certifying(3));
    for swap in [
        |c: &mut AddressClaims, o: &Owner| c.verify_key = o.secret.verify_key(),
        |c: &mut AddressClaims, o: &Owner| c.sealing_key = o.sealing.agreement_key(),
    ] {
        let mut claims = owner.certificate.claims().clone();
        swap(&mut claims, &other);
        // Signed by all who could: the owner, the thief, the authority.
        for certificate in [
            UnverifiedAddressCertificate::self_signed(&owner.secret, claims.clone()),
            UnverifiedAddressCertificate::self_signed(&other.secret, claims.clone()),
            UnverifiedAddressCertificate::issue(&authority(), claims),
        ] {
            assert_eq!(verify(certificate, NOW), Err(CertificateError::WrongSigner));
        }
    }
}

#[test]
fn the_authority_cannot_sign_for_a_fingerprint() {
    let owner = Owner::self_certifying(2);
    assert_eq!(verify(issue(&owner, |_| ()), NOW), Err(BAD_SIGNATURE));
    // An address that merely looks like one.
    let looks_so = Address::parse(&format!("{}@{}", "a2".repeat(26), network().name)).unwrap();
    let certificate = issue(&Owner::named("alice", 1), |claims| claims.address = looks_so);
    assert_eq!(verify(certificate, NOW), Err(CertificateError::WrongSigner));
}

#[test]
fn it_is_for_one_network_and_that_networks_domain() {
    for owner in owners() {
        let verified = owner.certificate.to_unverified().verify(&other_network(), NOW).map(|_| ());
        assert_eq!(verified, Err(CertificateError::WrongNetwork));
    }
    let alice = Owner::named("alice", 1);
    let elsewhere = Address::parse("alice@other.alt").unwrap();
    let certificate = issue(&alice, |claims| claims.address = elsewhere);
    assert_eq!(verify(certificate, NOW), Err(CertificateError::WrongNetwork));
    // Signed for another network by the same authority, with this network's id written over the other's.
    let foreign = issue(&alice, |claims| claims.network = other_network().id);
    assert_eq!(verify(foreign.clone(), NOW), Err(CertificateError::WrongNetwork));
    let mut signed: Signed<AddressClaims> = recode(&foreign);
    signed.claims.network = network().id;
    assert_eq!(verify(recode(&signed), NOW), Err(BAD_SIGNATURE));
}

#[test]
fn every_field_is_signed() {
    let alice = Owner::named("alice", 1);
    let bob = Owner::named("bob", 2);
    let changes: [Change<'_, AddressClaims>; 5] = [
        ("address", &|c| c.address = Address::parse("alicia@test.alt").unwrap()),
        ("signing key", &|c| c.verify_key = bob.secret.verify_key()),
        ("sealing key", &|c| c.sealing_key = bob.sealing.agreement_key()),
        ("not before", &|c| c.validity.not_before = c.validity.not_before.before(1)),
        ("not after", &|c| c.validity.not_after = c.validity.not_after.after(1)),
    ];
    assert_eq!(verify(tamper(&alice, |_| ()), NOW), Ok(()));
    for (field, change) in changes {
        let changed = tamper(&alice, |signed| change(&mut signed.claims));
        assert_eq!(verify(changed, NOW), Err(BAD_SIGNATURE), "{field}");
    }
    let own = Owner::self_certifying(2);
    let longer =
        tamper(&own, |c| c.claims.validity.not_after = c.claims.validity.not_after.after(1));
    assert_eq!(verify(longer, NOW), Err(BAD_SIGNATURE));
    for at in 0..64 {
        let bent = tamper(&alice, |signed| signed.signature.0[at] ^= 1);
        assert_eq!(verify(bent, NOW), Err(BAD_SIGNATURE), "byte {at}");
    }
}

#[test]
fn weak_keys_and_keys_with_two_encodings_are_refused() {
    let alice = Owner::named("alice", 1);
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut also_neutral = [0xFF; 32];
    (also_neutral[0], also_neutral[31]) = (0xEE, 0x7F);
    for key in [neutral, also_neutral, [0; 32]] {
        let certificate = issue(&alice, |claims| claims.verify_key = VerifyKey(key));
        assert_eq!(verify(certificate, NOW), Err(BAD_KEY), "{key:?}");
    }
    let mut high = alice.sealing.agreement_key().0;
    high[31] |= 0x80;
    for key in [also_neutral, high] {
        let certificate = issue(&alice, |claims| claims.sealing_key.0 = key);
        assert_eq!(verify(certificate, NOW), Err(BAD_KEY), "{key:?}");
    }
}

#[test]
fn a_revoked_key_is_refused() {
    for owner in owners() {
        let mut network = network();
        network.revoked.addresses.insert(owner.secret.verify_key());
        let verified = owner.certificate.to_unverified().verify(&network, NOW).map(|_| ());
        assert_eq!(verified, Err(CertificateError::Revoked));
    }
    let mut network = network();
    network.revoked.addresses.insert(AddressSecret::from_seed(&[99; 32]).verify_key());
    assert!(owners()[0].certificate.to_unverified().verify(&network, NOW).is_ok());
}

#[test]
fn it_holds_for_ten_years_and_no_longer() {
    let [alice, _] = owners();
    let of = |seconds: u64| {
        let change = |c: &mut AddressClaims| {
            c.validity = Validity::starting(c.validity.not_before, seconds);
        };
        verify(issue(&alice, change), NOW)
    };
    assert_eq!(of(MAX_ADDRESS_VALIDITY), Ok(()));
    assert_eq!(of(MAX_ADDRESS_VALIDITY + 1), Err(CertificateError::OutOfBounds));
    assert_eq!(of(u64::MAX), Err(CertificateError::OutOfBounds));
}

#[test]
fn all_readers_agree_which_of_two_is_newer() {
    let alice = Owner::named("alice", 1);
    let with =
        |change: fn(&mut AddressClaims)| issue(&alice, change).verify(&network(), NOW).unwrap();
    let later = with(|c| c.validity.not_before = c.validity.not_before.after(1));
    let longer = with(|c| c.validity.not_after = c.validity.not_after.after(1));
    assert_eq!(alice.certificate.clone().newer(later.clone()), later);
    assert_eq!(later.clone().newer(alice.certificate.clone()), later);
    let either = alice.certificate.clone().newer(longer.clone());
    assert_eq!(longer.newer(alice.certificate), either);
}

#[test]
fn addresses_are_lower_case_and_plain() {
    for (text, address) in
        [("Alice@Demo.ALT", "alice@demo.alt"), (" bob_1.x-y+z@demo.alt\n", "bob_1.x-y+z@demo.alt")]
    {
        let parsed = Address::parse(text).unwrap();
        assert_eq!(parsed.to_string(), address);
        let read: Address = wire::decode(&wire::encode(address), 300).unwrap();
        assert_eq!(read, parsed);
        assert!(wire::decode::<Address>(&wire::encode(text), 300).is_err(), "{text} on the wire");
        assert!(serde_json::from_value::<Address>(text.into()).is_err(), "{text} in a file");
    }
    let (longest, long) =
        (format!("{}@demo.alt", "a".repeat(245)), format!("{}@demo.alt", "a".repeat(246)));
    for text in ["", "@", "a@", "@b", "a b@c", "a@b@c", "a@b+c", "ä@b", "a\0@b", "a@b c", &long] {
        assert!(Address::parse(text).is_err(), "{text:?}");
        assert!(wire::decode::<Address>(&wire::encode(text), 300).is_err(), "{text:?}");
    }
    assert!(Address::parse(&longest).is_ok());
}

#[test]
fn only_52_base_32_digits_look_like_a_fingerprint() {
    let looks_so =
        |local: &str| Address::parse(&format!("{local}@b")).unwrap().is_self_certifying();
    assert!(looks_so(&"a".repeat(52)));
    assert!(looks_so(&"z7".repeat(26)));
    for local in ["a".repeat(51), "a".repeat(53), "a1".repeat(26), "a8".repeat(26), "a-".repeat(26)]
    {
        assert!(!looks_so(&local), "{local}");
    }
}

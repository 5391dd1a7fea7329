//! Objects and notifications from an enemy: changed, sealed to somebody else, or sealed nonsense.
#![cfg(test)]

#[path = "support/world.rs"]
mod world;

use anon::{
    certificate::{Address, AddressCertificate, UnverifiedAddressCertificate},
    keys::Signature,
    labels,
    mail::{
        BODY_MAX, DeleteSeed, Headers, MAX_PARTS, MailError, MessageId, NOTIFICATION, Part,
        SenderProof, open_notification, seal_body, seal_notification,
    },
    padding, secretbox,
    time::Time,
    wire,
};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use x25519_dalek::x25519;

use crate::world::{Change, NOW, Owner, TODAY, authority, network, other_network, recode, rng};

/// [`Part`], [`Headers`] and [`SenderProof`] as they travel.
#[derive(Clone, Serialize, Deserialize)]
struct BarePart {
    message_id: MessageId,
    digest: [u8; 32],
    key: [u8; 32],
}

#[derive(Clone, Serialize, Deserialize)]
struct BareHeaders {
    to: Address,
    date: Time,
    subject: String,
    size: u64,
    parts: Vec<BarePart>,
    delete: Option<[u8; 32]>,
    sender: Option<BareProof>,
    reply_to: Option<Address>,
}

#[derive(Clone, Serialize, Deserialize)]
struct BareProof {
    certificate: UnverifiedAddressCertificate,
    signature: Signature,
}

const BODY: &[u8] = b"meet at noon";

fn bob() -> Owner {
    Owner::named("bob", 2)
}

/// An unsigned mail to `to`.
fn headers(to: &Address) -> Headers {
    let sealed = seal_body(BODY, &mut rng(5)).unwrap().remove(0);
    let delete = Some(DeleteSeed::from_bytes([6; 32]));
    Headers::new(to.clone(), NOW, "noon", 12, &[sealed.part], delete)
}

fn to_bob() -> Vec<u8> {
    let bob = bob().certificate;
    seal_notification(&headers(bob.address()), &bob, &mut rng(7)).unwrap()
}

fn opened(notification: &[u8], by: &Owner) -> Result<(), MailError> {
    open_notification(notification, &by.sealing, &by.certificate).map(|_| ())
}

const CLOSED: Result<(), MailError> = Err(MailError::DoesNotOpen);
/// It was sealed to this key, so its owner may drop it.
const NONSENSE: Result<(), MailError> = Err(MailError::Nonsense);

/// Seals `padded` to Bob the way `seal_notification` does.
fn sealed_by_hand(padded: &[u8], e: [u8; 32], shared: [u8; 32]) -> Vec<u8> {
    let claims = bob().certificate.claims().clone();
    let salt = [e, claims.sealing_key.0].concat();
    let address = claims.address.to_string();
    let info = [labels::NOTIFICATION.as_bytes(), &[0], &claims.network.0, address.as_bytes()];
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(&salt), &shared).expand(&info.concat(), &mut key).unwrap();
    [&e[..], &secretbox::seal(&key, &[0; 24], padded)].concat()
}

fn honest_agreement() -> ([u8; 32], [u8; 32]) {
    let mut base = [0; 32];
    base[0] = 9;
    (x25519([8; 32], base), x25519([8; 32], bob().sealing.agreement_key().0))
}

#[test]
fn a_notification_opens_for_its_recipient_alone() {
    let notification = to_bob();
    assert_eq!(opened(&notification, &bob()), Ok(()));
    assert_eq!(opened(&notification, &Owner::named("carol", 3)), CLOSED);
    // Who knows all that is public of Bob, and has another's secret.
    let carol = Owner { sealing: Owner::named("carol", 3).sealing, ..bob() };
    assert_eq!(opened(&notification, &carol), CLOSED);
    // Bob's keys under another address, and another network's.
    assert_eq!(opened(&notification, &Owner::named("robert", 2)), CLOSED);
    let mut claims = bob().certificate.claims().clone();
    let other = other_network();
    claims.network = other.id;
    claims.address = Address::parse("bob@other.alt").unwrap();
    let certificate: AddressCertificate =
        UnverifiedAddressCertificate::issue(&authority(), claims).verify(&other, NOW).unwrap();
    assert_eq!(opened(&notification, &Owner { certificate, ..bob() }), CLOSED);
}

#[test]
fn a_changed_notification_does_not_open() {
    let (notification, bob) = (to_bob(), bob());
    for at in (0..32).chain((32..NOTIFICATION).step_by(97)).chain([NOTIFICATION - 1]) {
        let mut changed = notification.clone();
        changed[at] ^= 1 << (at % 8);
        assert_eq!(opened(&changed, &bob), CLOSED, "byte {at}");
    }
    for cut in (0..64).chain((64..NOTIFICATION).step_by(97)).chain([NOTIFICATION - 1]) {
        assert_eq!(opened(&notification[..cut], &bob), CLOSED, "cut at {cut}");
    }
    assert_eq!(opened(&[&notification[..], &[0]].concat(), &bob), CLOSED);
}

#[test]
fn all_notifications_have_one_size_and_nothing_in_common() {
    let bob = bob().certificate;
    let first = to_bob();
    let second = seal_notification(&headers(bob.address()), &bob, &mut rng(8)).unwrap();
    let mut long = headers(bob.address());
    long.subject = "s".repeat(256);
    let third = seal_notification(&long, &bob, &mut rng(9)).unwrap();
    for notification in [&first, &second, &third] {
        assert_eq!(notification.len(), NOTIFICATION);
    }
    assert!(first.chunks(16).all(|block| second.chunks(16).all(|other| other != block)));
    long.subject = "s".repeat(4_000);
    let sealed = seal_notification(&long, &bob, &mut rng(9));
    assert_eq!(sealed, Err(MailError::HeadersTooLong));
}

#[test]
fn sealed_nonsense_is_told_from_what_was_sealed_to_another_key() {
    let (e, shared) = honest_agreement();
    let good: BareHeaders = recode(&headers(bob().certificate.address()));
    let seal = |headers: &BareHeaders| {
        sealed_by_hand(&padding::pad(&wire::encode(headers), 4_096).unwrap(), e, shared)
    };
    assert_eq!(opened(&seal(&good), &bob()), Ok(()));
    let most = vec![good.parts[0].clone(); MAX_PARTS];
    assert_eq!(opened(&seal(&BareHeaders { parts: most, ..good.clone() }), &bob()), Ok(()));
    let too_many = vec![good.parts[0].clone(); MAX_PARTS + 1];
    let to = Address::parse("carol@test.alt").unwrap();
    for bad in [
        BareHeaders { parts: Vec::new(), ..good.clone() },
        BareHeaders { parts: too_many, ..good.clone() },
        BareHeaders { to, ..good.clone() },
    ] {
        assert_eq!(opened(&seal(&bad), &bob()), NONSENSE);
    }
    let encoded = wire::encode(&good);
    let trailing = padding::pad(&[&encoded[..], &[0]].concat(), 4_096).unwrap();
    let mut filled = padding::pad(&encoded, 4_096).unwrap();
    filled[4_095] = 1;
    for padded in [trailing, filled, vec![0; 4_096], vec![255; 4_096], Vec::new()] {
        assert_eq!(opened(&sealed_by_hand(&padded, e, shared), &bob()), NONSENSE);
    }
}

#[test]
fn an_ephemeral_key_of_small_order_does_not_open() {
    let good = wire::encode(&headers(bob().certificate.address()));
    let padded = padding::pad(&good, 4_096).unwrap();
    let (e, shared) = honest_agreement();
    assert_eq!(opened(&sealed_by_hand(&padded, e, shared), &bob()), Ok(()));
    assert_eq!(opened(&sealed_by_hand(&padded, [0; 32], [0; 32]), &bob()), CLOSED);
}

fn signed_by_alice() -> (Owner, Headers) {
    let alice = Owner::named("alice", 1);
    let signed = headers(bob().certificate.address()).signed(&alice.secret, &alice.certificate);
    (alice, signed)
}

fn sender(bare: &BareHeaders, now: Time) -> Result<Option<Address>, MailError> {
    recode::<_, Headers>(bare).verified_sender(&network(), now)
}

#[test]
fn a_signed_mail_names_its_sender() {
    let (alice, signed) = signed_by_alice();
    let address = alice.certificate.address().clone();
    assert_eq!(signed.verified_sender(&network(), NOW), Ok(Some(address)));
    let unsigned = headers(bob().certificate.address());
    assert_eq!(unsigned.verified_sender(&network(), NOW), Ok(None));
}

#[test]
fn a_signature_is_for_one_mail_to_one_recipient() {
    let (_, signed) = signed_by_alice();
    let signed: BareHeaders = recode(&signed);
    let mallory = Owner::named("mallory", 3).certificate.to_unverified();
    let changes: [Change<'_, BareHeaders>; 6] = [
        ("recipient", &|h| h.to = Address::parse("carol@test.alt").unwrap()),
        ("date", &|h| h.date = h.date.after(1)),
        ("digest", &|h| h.parts[0].digest[0] ^= 1),
        ("one part more", &|h| h.parts.push(h.parts[0].clone())),
        ("certificate", &|h| h.sender.as_mut().unwrap().certificate = mallory.clone()),
        ("signature", &|h| h.sender.as_mut().unwrap().signature.0[0] ^= 1),
    ];
    for (what, change) in changes {
        let mut changed = signed.clone();
        change(&mut changed);
        assert_eq!(sender(&changed, NOW), Err(MailError::BadSignature), "{what}");
    }
    let too_late = TODAY.not_after.after(301);
    assert_eq!(sender(&signed, too_late), Err(MailError::BadSignature));
    let forged: SenderProof = recode(&BareProof {
        certificate: Owner::named("alice", 1).certificate.to_unverified(),
        signature: Signature([1; 64]),
    });
    let mut unsigned = headers(bob().certificate.address());
    unsigned.sender = Some(forged);
    assert_eq!(unsigned.verified_sender(&network(), NOW), Err(MailError::BadSignature));
}

#[test]
fn a_mail_is_known_by_all_its_parts_in_their_order() {
    let to = bob().certificate.address().clone();
    let parts: Vec<Part> =
        (0..3).map(|n| seal_body(&[n], &mut rng(n.into())).unwrap().remove(0).part).collect();
    let known = |order: &[usize], date| {
        let parts: Vec<Part> = order.iter().map(|at| parts[*at].duplicate()).collect();
        Headers::new(to.clone(), date, "subject", 3, &parts, None).parts_digest()
    };
    let all = known(&[0, 1, 2], NOW);
    assert_eq!(known(&[0, 1, 2], NOW.after(1)), all, "whoever announces it, whenever");
    let others = [&[0][..], &[0, 1], &[1, 0, 2], &[0, 1, 2, 2], &[0, 1, 1], &[2, 1, 0]];
    assert!(others.iter().all(|order| known(order, NOW) != all));
}

#[test]
fn what_the_recipient_could_not_open_is_not_sealed() {
    let (bob, alice) = (bob(), Owner::named("alice", 1));
    let seal = |headers: &Headers| {
        seal_notification(headers, &bob.certificate, &mut rng(7)).map(|_| ()).unwrap_err()
    };
    assert_eq!(seal(&headers(alice.certificate.address())), MailError::DoesNotOpen);
    let part = seal_body(BODY, &mut rng(5)).unwrap().remove(0).part;
    for count in [0, MAX_PARTS + 1] {
        let parts: Vec<Part> = (0..count).map(|_| part.duplicate()).collect();
        let to = bob.certificate.address().clone();
        let error = seal(&Headers::new(to, NOW, "noon", 12, &parts, None));
        assert_eq!(error, MailError::DoesNotOpen, "{count} parts");
    }
}

#[test]
fn the_longest_mail_is_sealed_and_one_byte_more_is_not() {
    let longest = vec![7; BODY_MAX];
    let sealed = seal_body(&longest, &mut rng(5)).unwrap();
    assert_eq!(sealed.len(), MAX_PARTS);
    let opened = sealed.iter().flat_map(|part| part.part.open(&part.object).unwrap());
    assert!(opened.eq(longest.iter().copied()));
    let longer = vec![7; BODY_MAX + 1];
    assert_eq!(seal_body(&longer, &mut rng(5)).unwrap_err(), MailError::TooLong);
}

#[test]
fn a_subject_is_cut_between_characters() {
    let to = bob().certificate.address().clone();
    let part = seal_body(BODY, &mut rng(5)).unwrap().remove(0).part;
    for (subject, kept) in [("s".repeat(300), 256), ("é".repeat(200), 256), ("€".repeat(200), 255)]
    {
        let headers = Headers::new(to.clone(), NOW, &subject, 12, &[part.duplicate()], None);
        assert_eq!(headers.subject.len(), kept);
    }
}

#[test]
fn a_changed_object_is_not_the_senders() {
    let sealed = seal_body(BODY, &mut rng(5)).unwrap().remove(0);
    assert_eq!(sealed.part.open(&sealed.object).as_deref(), Ok(BODY));
    let wrong = Err(MailError::WrongDigest);
    for at in 0..sealed.object.len() {
        let mut changed = sealed.object.clone();
        changed[at] ^= 0x10;
        assert_eq!(sealed.part.open(&changed), wrong, "byte {at}");
        assert_eq!(sealed.part.open(&sealed.object[..at]), wrong, "cut at {at}");
    }
    assert_eq!(sealed.part.open(&[&sealed.object[..], &[0]].concat()), wrong);
    assert_eq!(sealed.part.check(&sealed.object), Ok(()));
}

#[test]
fn an_object_that_was_nonsense_from_the_start_does_not_open() {
    let key = [4; 32];
    let part = |object: &[u8]| -> Part {
        let digest = Sha256::digest(object).into();
        recode(&BarePart { message_id: MessageId([1; 20]), digest, key })
    };
    let good = secretbox::seal(&key, &[0; 24], &padding::pad(BODY, 16).unwrap());
    assert_eq!(part(&good).open(&good).as_deref(), Ok(BODY));
    let other_key = secretbox::seal(&[5; 32], &[0; 24], &padding::pad(BODY, 16).unwrap());
    let bad_padding = secretbox::seal(&key, &[0; 24], &[255; 16]);
    for object in [other_key, bad_padding, Vec::new(), vec![0; 15], vec![0; 5_000]] {
        assert_eq!(part(&object).open(&object), Err(MailError::DoesNotOpen));
    }
}

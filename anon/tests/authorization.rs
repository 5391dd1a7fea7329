//! Proofs for deletions and inboxes: for one node, one time, one operation, one key, one network.
#![cfg(test)]

#[path = "support/world.rs"]
mod world;

use anon::{
    authorization::{AuthorizationError, Deletion, InboxOperation, InboxProof},
    certificate::{CertificateError, UnverifiedAddressCertificate},
    id::NodeId,
    keys::{DeleteSecret, KeyError, Signature, SigningSecret as _, VerifyKey},
    network::Network,
    position::Key,
    request::InboxQuery,
    time::Time,
};
use serde::{Deserialize, Serialize};

use crate::world::{NOW, Node, Owner, Signed, network, other_network, recode};

const KEY: Key = Key([3; 32]);
const NONCE: [u8; 16] = [9; 16];
const BAD_SIGNATURE: AuthorizationError = AuthorizationError::Key(KeyError::BadSignature);
const DIGESTS: [[u8; 32]; 3] = [[1; 32], [2; 32], [3; 32]];

/// [`Deletion`]'s claims and [`InboxProof`] as they travel.
#[derive(Clone, Serialize, Deserialize)]
struct DeletionClaims {
    key: Key,
    permission: VerifyKey,
    node: NodeId,
    time: Time,
}

#[derive(Clone, Serialize, Deserialize)]
struct Proof {
    certificate: UnverifiedAddressCertificate,
    node: NodeId,
    time: Time,
    nonce: [u8; 16],
    signature: Signature,
}

fn here() -> NodeId {
    Node::new(1).id()
}

fn elsewhere() -> NodeId {
    Node::new(2).id()
}

fn secret() -> DeleteSecret {
    DeleteSecret::from_seed(&[5; 32])
}

fn deletion() -> Deletion {
    Deletion::sign(&secret(), &network().id, KEY, here(), NOW)
}

#[test]
fn a_deletion_is_good_at_its_node_at_its_time() {
    let verified = deletion().verify(&network().id, here(), NOW);
    assert_eq!(verified, Ok((KEY, secret().verify_key())));
    let elsewhere = deletion().verify(&network().id, elsewhere(), NOW);
    assert_eq!(elsewhere, Err(AuthorizationError::WrongNode));
}

/// Around [`NOW`]: just within the allowed skew, and just beyond it.
const SKEWS: [(Time, bool); 4] = [
    (NOW.before(300), true),
    (NOW.after(300), true),
    (NOW.before(301), false),
    (NOW.after(301), false),
];

#[test]
fn a_deletion_holds_for_five_minutes() {
    for (now, good) in SKEWS {
        let verified = deletion().verify(&network().id, here(), now).map(|_| ());
        let expected = if good { Ok(()) } else { Err(AuthorizationError::WrongTime) };
        assert_eq!(verified, expected, "{now:?}");
    }
}

#[test]
fn a_deletion_is_for_one_network() {
    let verified = deletion().verify(&other_network().id, here(), NOW);
    assert_eq!(verified, Err(BAD_SIGNATURE));
}

#[test]
fn a_changed_deletion_is_refused() {
    let changes: [fn(&mut Signed<DeletionClaims>); 5] = [
        |d| d.claims.key.0[0] ^= 1,
        |d| d.claims.permission = DeleteSecret::from_seed(&[6; 32]).verify_key(),
        |d| d.claims.time = d.claims.time.after(1),
        |d| d.signature.0[0] ^= 1,
        |d| d.signature.0[63] ^= 0x80,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut signed: Signed<DeletionClaims> = recode(&deletion());
        change(&mut signed);
        let changed: Deletion = recode(&signed);
        let verified = changed.verify(&network().id, here(), NOW);
        assert_eq!(verified, Err(BAD_SIGNATURE), "change {number}");
    }
    let mut signed: Signed<DeletionClaims> = recode(&deletion());
    signed.claims.node = elsewhere();
    let redirected: Deletion = recode(&signed);
    assert_eq!(redirected.verify(&network().id, elsewhere(), NOW), Err(BAD_SIGNATURE));
}

#[test]
fn a_deletion_under_a_weak_key_is_refused() {
    // Under the neutral element as key, this signature verifies for every message by the lax rules.
    let mut signed: Signed<DeletionClaims> = recode(&deletion());
    let mut neutral = [0; 32];
    neutral[0] = 1;
    signed.claims.permission = VerifyKey(neutral);
    signed.signature.0 = [0; 64];
    signed.signature.0[0] = 1;
    let weak: Deletion = recode(&signed);
    let verified = weak.verify(&network().id, here(), NOW);
    assert_eq!(verified, Err(AuthorizationError::Key(KeyError::BadPublicKey)));
}

fn proof(owner: &Owner, operation: InboxOperation<'_>) -> InboxProof {
    InboxProof::sign(&owner.secret, &owner.certificate, operation, here(), NOW, NONCE)
}

fn read() -> InboxProof {
    proof(&Owner::named("bob", 3), InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST))
}

fn verify(proof: &InboxProof, operation: InboxOperation<'_>) -> Result<(), AuthorizationError> {
    proof.verify(&network(), operation, here(), NOW).map(|_| ())
}

#[test]
fn an_owner_reads_and_acknowledges() {
    for owner in [Owner::named("bob", 3), Owner::self_certifying(4)] {
        for operation in [
            InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST),
            InboxOperation::Acknowledge(&DIGESTS),
        ] {
            let proven =
                proof(&owner, operation).verify(&network(), operation, here(), NOW).unwrap();
            assert_eq!(proven.certificate, owner.certificate);
            assert_eq!((proven.nonce, proven.time), (NONCE, NOW));
        }
    }
}

#[test]
fn a_proof_is_for_one_node() {
    let verified = read()
        .verify(&network(), InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST), elsewhere(), NOW)
        .map(|_| ());
    assert_eq!(verified, Err(AuthorizationError::WrongNode));
}

#[test]
fn a_proof_holds_for_five_minutes() {
    for (now, good) in SKEWS {
        let verified = read()
            .verify(&network(), InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST), here(), now)
            .map(|_| ());
        let expected = if good { Ok(()) } else { Err(AuthorizationError::WrongTime) };
        assert_eq!(verified, expected, "{now:?}");
    }
}

#[test]
fn a_proof_is_for_one_page() {
    let list = |from, count| InboxQuery::List { from, count };
    let queries = [
        InboxQuery::FROM_THE_OLDEST,
        list(0, 4_095),
        list(1, 4_096),
        list(u64::MAX, 4_096),
        InboxQuery::HandOver(Vec::new()),
        InboxQuery::HandOver(DIGESTS.to_vec()),
        InboxQuery::HandOver(DIGESTS[..2].to_vec()),
    ];
    let owner = Owner::named("bob", 3);
    for proven in &queries {
        let proof = proof(&owner, InboxOperation::Read(proven));
        for asked in &queries {
            let expected = if asked == proven { Ok(()) } else { Err(BAD_SIGNATURE) };
            assert_eq!(
                verify(&proof, InboxOperation::Read(asked)),
                expected,
                "{proven:?} {asked:?}"
            );
        }
    }
}

#[test]
fn a_proof_is_for_one_operation() {
    let owner = Owner::named("bob", 3);
    let [a, b, c] = DIGESTS;
    for (proven, asked) in [
        (InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST), InboxOperation::Acknowledge(&DIGESTS)),
        (InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST), InboxOperation::Acknowledge(&[])),
        (InboxOperation::Acknowledge(&DIGESTS), InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST)),
        (InboxOperation::Acknowledge(&[]), InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST)),
        (InboxOperation::Acknowledge(&DIGESTS[..2]), InboxOperation::Acknowledge(&DIGESTS)),
        (InboxOperation::Acknowledge(&DIGESTS), InboxOperation::Acknowledge(&DIGESTS[..2])),
        (InboxOperation::Acknowledge(&[b, a, c]), InboxOperation::Acknowledge(&DIGESTS)),
        (InboxOperation::Acknowledge(&[a, b, [4; 32]]), InboxOperation::Acknowledge(&DIGESTS)),
    ] {
        let proof = proof(&owner, proven);
        assert_eq!(verify(&proof, proven), Ok(()), "{proven:?}");
        assert_eq!(verify(&proof, asked), Err(BAD_SIGNATURE), "{proven:?} as {asked:?}");
    }
}

#[test]
fn a_proof_is_for_one_network() {
    let other = other_network();
    let verified = read()
        .verify(&other, InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST), here(), NOW)
        .map(|_| ());
    let wrong = AuthorizationError::Certificate(CertificateError::WrongNetwork);
    assert_eq!(verified, Err(wrong));
}

#[test]
fn a_changed_proof_is_refused() {
    let changes: [fn(&mut Proof); 5] = [
        |p| p.time = p.time.after(1),
        |p| p.nonce[0] ^= 1,
        |p| p.signature.0[0] ^= 1,
        |p| p.signature.0[63] ^= 0x80,
        |p| p.certificate = Owner::named("carol", 8).certificate.to_unverified(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed: Proof = recode(&read());
        change(&mut changed);
        let result = verify(
            &recode::<_, InboxProof>(&changed),
            InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST),
        );
        assert_eq!(result, Err(BAD_SIGNATURE), "change {number}");
    }
    let mut redirected: Proof = recode(&read());
    redirected.node = elsewhere();
    let redirected: InboxProof = recode(&redirected);
    let result = redirected
        .verify(&network(), InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST), elsewhere(), NOW)
        .map(|_| ());
    assert_eq!(result, Err(BAD_SIGNATURE));
}

#[test]
fn another_users_key_opens_no_inbox() {
    let (bob, mallory) = (Owner::named("bob", 3), Owner::named("mallory", 8));
    let mixed = Owner { secret: mallory.secret, ..bob };
    assert_eq!(
        verify(
            &proof(&mixed, InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST)),
            InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST)
        ),
        Err(BAD_SIGNATURE)
    );
}

#[test]
fn one_owner_with_two_addresses_proves_one_at_a_time() {
    // The same key, so only the signed address tells the two inboxes apart.
    let (bob, robert) = (Owner::named("bob", 3), Owner::named("robert", 3));
    let mut changed: Proof =
        recode(&proof(&bob, InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST)));
    changed.certificate = robert.certificate.to_unverified();
    let result = verify(
        &recode::<_, InboxProof>(&changed),
        InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST),
    );
    assert_eq!(result, Err(BAD_SIGNATURE));
}

#[test]
fn a_revoked_owner_proves_nothing() {
    let owner = Owner::named("bob", 3);
    let mut network: Network = network();
    network.revoked.addresses.insert(owner.secret.verify_key());
    let result = read()
        .verify(&network, InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST), here(), NOW)
        .map(|_| ());
    assert_eq!(result, Err(AuthorizationError::Certificate(CertificateError::Revoked)));
}

//! Node certificates.

use anon::{
    certificate::{
        CertificateError, MAX_ADDRESS, MAX_ADDRESSES, MAX_FAMILY, MAX_NODE_VALIDITY,
        NodeCertificate, NodeClaims, UnverifiedNodeCertificate,
    },
    id::NodeId,
    keys::{IdentitySecret, KeyError, SigningSecret as _},
    labels,
    time::Time,
    wire,
};
use sha2::{Digest as _, Sha256};

use super::edges;
use crate::world::{Change, NOW, Node, Signed, TODAY, network, other_network, recode};

const BAD_SIGNATURE: CertificateError = CertificateError::Key(KeyError::BadSignature);
const BAD_KEY: CertificateError = CertificateError::Key(KeyError::BadPublicKey);

fn verify(certificate: UnverifiedNodeCertificate, now: Time) -> Result<(), CertificateError> {
    certificate.verify(&network(), now).map(|_| ())
}

/// The certificate with its claims changed and its signature kept.
fn tamper(node: &Node, change: impl FnOnce(&mut Signed<NodeClaims>)) -> UnverifiedNodeCertificate {
    let mut signed: Signed<NodeClaims> = recode(&node.certificate.to_unverified());
    change(&mut signed);
    recode(&signed)
}

#[test]
fn it_holds_for_its_time_give_or_take_five_minutes() {
    let certificate = Node::new(1).certificate.to_unverified();
    for (now, expected) in edges() {
        assert_eq!(verify(certificate.clone(), now), expected, "{now:?}");
    }
}

#[test]
fn it_says_what_was_verified() {
    let node = Node::new(1);
    let certificate = &node.certificate;
    assert_eq!(certificate.node(), NodeId(node.identity.verify_key().0));
    assert_eq!(certificate.claims().channel_key, node.channel.agreement_key());
    let unverified = certificate.to_unverified();
    assert_eq!(unverified.claimed_node(), certificate.node());
    let digest: [u8; 32] = Sha256::digest(wire::encode(&unverified)).into();
    assert_eq!(certificate.digest(), digest);
}

#[test]
fn only_the_node_itself_signs_it() {
    let (node, other) = (Node::new(1), Node::new(2));
    let claims = node.certificate.claims().clone();
    let by_another = NodeCertificate::issue(&other.identity, claims.clone());
    assert_eq!(verify(by_another, NOW), Err(BAD_SIGNATURE));
    let by_the_authority =
        NodeCertificate::issue(&IdentitySecret::from_seed(&[0xA0; 32]), claims.clone());
    assert_eq!(verify(by_the_authority, NOW), Err(BAD_SIGNATURE));
    // The node's own signature over the same claims, for another purpose.
    let elsewhere = node.identity.sign(labels::RECEIPT, &network().id, &claims);
    assert_eq!(verify(tamper(&node, |c| c.signature = elsewhere), NOW), Err(BAD_SIGNATURE));
}

#[test]
fn it_is_for_one_network() {
    let node = Node::new(1);
    let verified = node.certificate.to_unverified().verify(&other_network(), NOW).map(|_| ());
    assert_eq!(verified, Err(CertificateError::WrongNetwork));
    // One made for another network, with this network's id written over the other one's.
    let made_elsewhere = node.certify(|claims| claims.network = other_network().id);
    let mut signed: Signed<NodeClaims> = recode(&made_elsewhere);
    assert_eq!(verify(made_elsewhere, NOW), Err(CertificateError::WrongNetwork));
    signed.claims.network = network().id;
    assert_eq!(verify(recode(&signed), NOW), Err(BAD_SIGNATURE));
}

#[test]
fn every_field_is_signed() {
    let node = Node::new(1);
    let admission = node.admission(TODAY);
    let changes: [Change<'_, NodeClaims>; 8] = [
        ("identity", &|c| c.identity = Node::new(2).id()),
        ("channel key", &|c| c.channel_key = Node::new(2).channel.agreement_key()),
        ("an address", &|c| c.addresses[0].push('2')),
        ("addresses", &|c| c.addresses.push("/ip4/127.9.9.9/tcp/1".into())),
        ("family", &|c| c.family.push('2')),
        ("not before", &|c| c.validity.not_before = c.validity.not_before.before(1)),
        ("not after", &|c| c.validity.not_after = c.validity.not_after.after(1)),
        ("admission", &|c| c.admission = Some(admission.clone())),
    ];
    assert_eq!(verify(tamper(&node, |_| ()), NOW), Ok(()));
    for (field, change) in changes {
        let changed = tamper(&node, |signed| change(&mut signed.claims));
        assert_eq!(verify(changed, NOW), Err(BAD_SIGNATURE), "{field}");
    }
    for at in 0..64 {
        let bent = tamper(&node, |signed| signed.signature.0[at] ^= 1);
        assert_eq!(verify(bent, NOW), Err(BAD_SIGNATURE), "byte {at}");
    }
}

#[test]
fn weak_identities_and_keys_with_two_encodings_are_refused() {
    let node = Node::new(1);
    // Under the neutral element as key, (R = neutral, S = 0) is a signature of everything by lax rules.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut also_neutral = [0xFF; 32];
    (also_neutral[0], also_neutral[31]) = (0xEE, 0x7F);
    for identity in [neutral, also_neutral, [0; 32]] {
        let weak = tamper(&node, |signed| {
            signed.claims.identity = NodeId(identity);
            signed.signature.0 = [0; 64];
            signed.signature.0[0] = 1;
        });
        assert_eq!(verify(weak, NOW), Err(BAD_KEY), "{identity:?}");
    }
    let mut high = node.channel.agreement_key().0;
    high[31] |= 0x80;
    for channel_key in [also_neutral, high] {
        let odd = node.certify(|claims| claims.channel_key.0 = channel_key);
        assert_eq!(verify(odd, NOW), Err(BAD_KEY), "{channel_key:?}");
    }
}

#[test]
fn its_fields_have_bounds() {
    let node = Node::new(1);
    let onion = |letters: usize| format!("/onion3/{}:65535", "a".repeat(letters));
    let with = |addresses: &[String], family: usize| {
        node.certify(|claims| {
            claims.addresses = addresses.to_vec();
            claims.family = "f".repeat(family);
        })
    };
    assert_eq!(onion(56).len(), MAX_ADDRESS);
    assert_eq!(verify(with(&vec![onion(56); MAX_ADDRESSES], MAX_FAMILY), NOW), Ok(()));
    assert_eq!(verify(with(&[], 0), NOW), Ok(()));
    let out_of_bounds = Err(CertificateError::OutOfBounds);
    assert_eq!(verify(with(&vec![onion(56); MAX_ADDRESSES + 1], 1), NOW), out_of_bounds);
    assert_eq!(verify(with(&[], MAX_FAMILY + 1), NOW), out_of_bounds);
    assert_eq!(verify(with(&[onion(57)], 1), NOW), out_of_bounds);
}

#[test]
fn its_addresses_are_such_as_can_be_dialled_and_written_in_one_way() {
    let node = Node::new(1);
    let onion = "a".repeat(56);
    let with = |address: &str| verify(node.certify(|c| c.addresses = vec![address.into()]), NOW);
    for good in [
        "/ip4/192.0.2.1/tcp/4001".to_owned(),
        "/ip6/2001:db8::1/tcp/1".to_owned(),
        format!("/onion3/{onion}:4001"),
    ] {
        assert_eq!(with(&good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "a",
        "/ip4/192.0.2.1",
        "/ip4/192.0.2.1/udp/4001",
        "/ip4/192.0.2.1/tcp/4001/",
        "/ip4/192.0.2.1/tcp/04001",
        "/ip4/192.0.2.1/tcp/65536",
        "/ip4/192.0.2.1/tcp/4001/p2p/x",
        "/ip4/192.0.02.1/tcp/4001",
        "ip4/192.0.2.1/tcp/4001",
        "/ip6/2001:DB8::1/tcp/1",
        "/ip6/2001:db8:0::1/tcp/1",
        "/dns4/example.net/tcp/1",
        &format!("/onion3/{onion}"),
        &format!("/onion3/{}:1", "A".repeat(56)),
        &format!("/onion3/{onion}:1/tcp/2"),
    ] {
        assert_eq!(with(bad), Err(CertificateError::OutOfBounds), "{bad}");
    }
}

#[test]
fn it_holds_for_a_month_and_no_longer() {
    let node = Node::new(1);
    let until = |seconds: u64| {
        node.certify(|c| {
            c.validity.not_after = Time(c.validity.not_before.0.saturating_add(seconds));
        })
    };
    assert_eq!(verify(until(MAX_NODE_VALIDITY), NOW), Ok(()));
    let out_of_bounds = Err(CertificateError::OutOfBounds);
    assert_eq!(verify(until(MAX_NODE_VALIDITY + 1), NOW), out_of_bounds);
    assert_eq!(verify(until(u64::MAX), NOW), out_of_bounds);
}

#[test]
fn a_revoked_node_is_refused() {
    let (node, other) = (Node::new(1), Node::new(2));
    let mut network = network();
    network.revoked.nodes.insert(node.id());
    let verify = |node: &Node| node.certificate.to_unverified().verify(&network, NOW).map(|_| ());
    assert_eq!(verify(&node), Err(CertificateError::Revoked));
    assert_eq!(verify(&other), Ok(()));
}

#[test]
fn of_two_the_one_with_the_later_start_is_newer() {
    let node = Node::new(1);
    let later = node.certify(|c| c.validity.not_before = c.validity.not_before.after(1));
    let later = later.verify(&network(), NOW).unwrap();
    assert_eq!(node.certificate.clone().newer(later.clone()), later);
    assert_eq!(later.clone().newer(node.certificate), later);
}

#[test]
fn a_peer_id_is_a_key_in_its_frame() {
    let id = Node::new(1).id();
    let peer = id.peer_id();
    assert_eq!(NodeId::from_peer_id(&peer), Some(id));
    assert_eq!(NodeId::from_peer_id(&peer[..37]), None);
    assert_eq!(NodeId::from_peer_id(&[&peer[..], &[0]].concat()), None);
    for at in 0..6 {
        let mut other = peer;
        other[at] ^= 1;
        assert_eq!(NodeId::from_peer_id(&other), None);
    }
}

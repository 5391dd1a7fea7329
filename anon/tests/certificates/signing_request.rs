//! What the offline authority is asked to sign.

use anon::{
    certificate::{Address, RequestError, SigningRequest, Subject},
    id::{NetworkId, NodeId},
    keys::{AddressSecret, KeyError, Signature, SigningSecret as _},
};
use serde::{Deserialize, Serialize};

use crate::world::{NOW, Node, Owner, TODAY, authority, network, other_network, recode};

/// [`SigningRequest`] as it travels.
#[derive(Serialize, Deserialize)]
struct Parts {
    network: NetworkId,
    subject: Subject,
    signature: Signature,
}

fn for_address(owner: &Owner) -> SigningRequest {
    let address = owner.certificate.address().clone();
    let sealing = owner.sealing.agreement_key();
    SigningRequest::for_address(&network().id, &owner.secret, address, sealing)
}

fn changed(request: &SigningRequest, change: impl FnOnce(&mut Parts)) -> SigningRequest {
    let mut parts: Parts = recode(request);
    change(&mut parts);
    recode(&parts)
}

const NOT_OWNER: RequestError = RequestError::NotOwner(KeyError::BadSignature);

#[test]
fn what_its_subject_signed_becomes_a_certificate() {
    let (owner, node) = (Owner::named("alice", 1), Node::new(2));
    let request = for_address(&owner);
    let subject = request.verify(&network()).unwrap();
    let certificate = subject.certify(&authority(), &network().id, TODAY).unwrap();
    assert_eq!(certificate.verify(&network(), NOW).unwrap(), owner.certificate);
    assert!(subject.admit(&authority(), &network().id, TODAY).is_none());

    let request = SigningRequest::for_node(&network().id, &node.identity);
    let subject = request.verify(&network()).unwrap();
    assert_eq!(subject, &Subject::Node(node.id()));
    let admission = subject.admit(&authority(), &network().id, TODAY).unwrap();
    assert_eq!(admission, node.admission(TODAY));
    assert!(subject.certify(&authority(), &network().id, TODAY).is_none());
}

#[test]
fn nobody_asks_for_somebody_elses_key() {
    let (alice, mallory) = (Owner::named("alice", 1), Owner::named("mallory", 3));
    let stolen = changed(&for_address(&mallory), |parts| {
        let Subject::Address { verify_key, .. } = &mut parts.subject else { panic!() };
        *verify_key = alice.secret.verify_key();
    });
    assert_eq!(stolen.verify(&network()), Err(NOT_OWNER));

    let (node, other) = (Node::new(1), Node::new(2));
    let request = SigningRequest::for_node(&network().id, &other.identity);
    let stolen = changed(&request, |parts| parts.subject = Subject::Node(node.id()));
    assert_eq!(stolen.verify(&network()), Err(NOT_OWNER));
}

#[test]
fn a_changed_request_is_refused() {
    let alice = Owner::named("alice", 1);
    let request = for_address(&alice);
    let renamed = changed(&request, |parts| {
        let Subject::Address { address, .. } = &mut parts.subject else { panic!() };
        *address = Address::parse("ceo@test.alt").unwrap();
    });
    let other_sealing = changed(&request, |parts| {
        let Subject::Address { sealing_key, .. } = &mut parts.subject else { panic!() };
        *sealing_key = Owner::named("mallory", 3).sealing.agreement_key();
    });
    let bent = changed(&request, |parts| parts.signature.0[0] ^= 1);
    for request in [renamed, other_sealing, bent] {
        assert_eq!(request.verify(&network()), Err(NOT_OWNER));
    }
}

#[test]
fn a_request_is_for_one_network_and_its_domain() {
    let wrong = Err(RequestError::WrongNetwork);
    let alice = Owner::named("alice", 1);
    assert_eq!(for_address(&alice).verify(&other_network()), wrong);
    let node = SigningRequest::for_node(&network().id, &Node::new(1).identity);
    assert_eq!(node.verify(&other_network()), wrong);
    let relabelled = changed(&node, |parts| parts.network = other_network().id);
    assert_eq!(relabelled.verify(&other_network()), Err(NOT_OWNER));
    let elsewhere = Address::parse("alice@other.alt").unwrap();
    let sealing = alice.sealing.agreement_key();
    let request = SigningRequest::for_address(&network().id, &alice.secret, elsewhere, sealing);
    assert_eq!(request.verify(&network()), wrong);
}

#[test]
fn a_fingerprint_needs_no_authority_and_gets_none() {
    let request = for_address(&Owner::self_certifying(2));
    assert_eq!(request.verify(&network()), Err(RequestError::SelfCertifying));
}

#[test]
fn a_weak_key_is_nobodys() {
    let node = SigningRequest::for_node(&network().id, &Node::new(1).identity);
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let weak = changed(&node, |parts| {
        parts.subject = Subject::Node(NodeId(neutral));
        parts.signature.0 = [0; 64];
        parts.signature.0[0] = 1;
    });
    let refused = weak.verify(&network());
    assert_eq!(refused, Err(RequestError::NotOwner(KeyError::BadPublicKey)));
    assert!(AddressSecret::from_seed(&[1; 32]).verify_key().check().is_ok());
}

//! Admissions: who may serve where the authority decides it.

use anon::{
    certificate::{Admission, CertificateError, MAX_NODE_VALIDITY, UnverifiedNodeCertificate},
    keys::{AuthoritySecret, Signature},
    network::Network,
    time::{Time, Validity},
};

use super::edges;
use crate::world::{NOW, Node, Signed, TODAY, authority, network, other_network, recode};

fn strict() -> Network {
    Network { admission_required: true, ..network() }
}

fn admitted(node: &Node, admission: Option<Admission>) -> UnverifiedNodeCertificate {
    // Valid for long itself, so that only the admission's time counts.
    node.certify(|claims| {
        claims.validity = Validity::starting(NOW.before(MAX_NODE_VALIDITY / 2), MAX_NODE_VALIDITY);
        claims.admission = admission;
    })
}

fn verify(node: &Node, admission: Option<Admission>, now: Time) -> Result<(), CertificateError> {
    admitted(node, admission).verify(&strict(), now).map(|_| ())
}

#[test]
fn a_node_without_admission_serves_only_where_none_is_required() {
    let node = Node::new(1);
    assert_eq!(verify(&node, None, NOW), Err(CertificateError::NotAdmitted));
    assert!(admitted(&node, None).verify(&network(), NOW).is_ok());
    assert_eq!(verify(&node, Some(node.admission(TODAY)), NOW), Ok(()));
}

#[test]
fn an_admission_holds_for_its_time() {
    let node = Node::new(1);
    for (now, expected) in edges() {
        assert_eq!(verify(&node, Some(node.admission(TODAY)), now), expected, "{now:?}");
    }
}

#[test]
fn a_foreign_admission_does_not_count() {
    let (node, other) = (Node::new(1), Node::new(2));
    let stranger = AuthoritySecret::from_seed(&[0xA1; 32]);
    let id = network().id;
    for (what, admission) in [
        ("another node's", other.admission(TODAY)),
        ("a stranger's", Admission::issue(&stranger, &id, node.id(), TODAY)),
        (
            "for another network",
            Admission::issue(&authority(), &other_network().id, node.id(), TODAY),
        ),
    ] {
        let result = verify(&node, Some(admission), NOW);
        assert_eq!(result, Err(CertificateError::NotAdmitted), "{what}");
    }
}

#[test]
fn a_changed_admission_does_not_count() {
    let node = Node::new(1);
    let changes: [fn(&mut Validity, &mut Signature); 3] = [
        |validity, _| validity.not_before = validity.not_before.before(1),
        |validity, _| validity.not_after = validity.not_after.after(1),
        |_, signature| signature.0[0] ^= 1,
    ];
    for change in changes {
        let mut signed: Signed<Validity> = recode(&node.admission(TODAY));
        change(&mut signed.claims, &mut signed.signature);
        let result = verify(&node, Some(recode(&signed)), NOW);
        assert_eq!(result, Err(CertificateError::NotAdmitted));
    }
}

#[test]
fn without_an_authority_nobody_is_admitted() {
    let node = Node::new(1);
    let headless = Network { authority: None, ..strict() };
    let certificate = admitted(&node, Some(node.admission(TODAY)));
    let verified = certificate.verify(&headless, NOW).map(|_| ());
    assert_eq!(verified, Err(CertificateError::NotAdmitted));
}

#[test]
fn what_was_admitted_once_holds_as_long_as_its_admission() {
    let node = Node::new(1);
    let certificate = admitted(&node, Some(node.admission(TODAY)));
    let certificate = certificate.verify(&strict(), NOW).unwrap();
    // All but the ends of time, at which its own validity is over, too.
    for (now, expected) in &edges()[..5] {
        assert_eq!(certificate.holds(&strict(), *now), expected.is_ok(), "{now:?}");
        assert!(certificate.holds(&network(), *now), "where none is required");
    }
    let bare = admitted(&node, None).verify(&network(), NOW).unwrap();
    assert!(bare.holds(&network(), NOW) && !bare.holds(&strict(), NOW));
}

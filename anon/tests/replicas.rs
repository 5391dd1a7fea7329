//! Cross-verification: whom two answers must name, and what the tokens of it hold.
#![cfg(test)]

#[path = "support/world.rs"]
mod world;

use anon::{
    certificate::{CertificateError, NodeCertificate, UnverifiedNodeCertificate},
    id::NodeId,
    keys::KeyError,
    network::{Epoch, MAX_K},
    position::Key,
    roster::{Operator, Roster, Source},
    verification::{
        Disagreement, ReplicaSet, Statement, StatementClaims, cross_verify, verify_list,
    },
};

use crate::world::{NOW, Node, network, other_network};

const KEY: Key = Key([3; 32]);

fn nodes(seeds: impl IntoIterator<Item = u8>) -> Vec<Node> {
    seeds.into_iter().map(Node::new).collect()
}

fn certificates(seeds: impl IntoIterator<Item = u8>) -> Vec<NodeCertificate> {
    nodes(seeds).into_iter().map(|node| node.certificate).collect()
}

fn unverified(seeds: impl IntoIterator<Item = u8>) -> Vec<UnverifiedNodeCertificate> {
    certificates(seeds).iter().map(NodeCertificate::to_unverified).collect()
}

fn ids(nodes: &[NodeCertificate]) -> Vec<NodeId> {
    nodes.iter().map(NodeCertificate::node).collect()
}

/// A node's certificate whose channel key starts to hold a minute later.
fn newer(node: &Node) -> NodeCertificate {
    let certificate = node.certify(|claims| {
        claims.validity.not_before = claims.validity.not_before.after(60);
        claims.channel_key = Node::new(99).channel.agreement_key();
    });
    certificate.verify(&network(), NOW).unwrap()
}

fn sorted(mut list: Vec<NodeCertificate>) -> Vec<NodeCertificate> {
    list.sort_by_key(|n| n.node().position().distance(&KEY.position()));
    list
}

#[test]
fn two_answers_that_name_one_node_verify_it() {
    let node = Node::new(1);
    let verified = cross_verify(node.certificate.clone(), node.certificate.clone()).unwrap();
    assert_eq!(verified.certificate(), Some(&node.certificate));
}

#[test]
fn two_answers_that_name_two_nodes_do_not() {
    let (first, second) = (Node::new(1), Node::new(2));
    let (a, b) = (first.id(), second.id());
    let result = cross_verify(first.certificate, second.certificate);
    assert_eq!(result, Err(Disagreement::Node { first: a, second: b }));
}

#[test]
fn of_two_certificates_of_one_node_the_newer_one_counts() {
    let node = Node::new(1);
    let (old, new) = (node.certificate.clone(), newer(&node));
    for (first, second) in [(old.clone(), new.clone()), (new.clone(), old)] {
        let verified = cross_verify(first, second).unwrap();
        assert_eq!(verified.certificate(), Some(&new));
    }
}

#[test]
fn lists_that_agree_in_any_order_make_a_set_closest_first() {
    let set = ReplicaSet::agree(KEY, certificates(1..=6), certificates((1..=6).rev())).unwrap();
    assert_eq!(set.key(), KEY);
    assert_eq!(set.nodes(), sorted(certificates(1..=6)));
    assert_ne!(set.nodes(), certificates(1..=6), "the seeds happen to be sorted: take others");
    for node in nodes(1..=6) {
        assert!(set.contains(&node.id()));
    }
    assert!(!set.contains(&Node::new(7).id()));
}

#[test]
fn lists_that_differ_make_none() {
    for (first, second, only_first, only_second) in
        [(1..=4, 1..=3, 1, 0), (1..=3, 1..=4, 0, 1), (1..=4, 2..=5, 1, 1), (1..=4, 5..=9, 4, 5)]
    {
        let result = ReplicaSet::agree(KEY, certificates(first), certificates(second));
        assert_eq!(result, Err(Disagreement::Lists { only_first, only_second }));
    }
    let none = ReplicaSet::agree(KEY, Vec::new(), certificates(1..=2));
    assert_eq!(none, Err(Disagreement::Lists { only_first: 0, only_second: 2 }));
}

#[test]
fn a_set_holds_the_newer_certificates() {
    let node = Node::new(1);
    let mut fresh = certificates(1..=3);
    fresh[0] = newer(&node);
    for (first, second) in
        [(certificates(1..=3), fresh.clone()), (fresh.clone(), certificates(1..=3))]
    {
        let set = ReplicaSet::agree(KEY, first, second).unwrap();
        assert_eq!(set.nodes(), sorted(fresh.clone()));
    }
}

#[test]
fn nobody_too_many_or_somebody_twice_is_no_set() {
    let agree = |list: Vec<NodeCertificate>| ReplicaSet::agree(KEY, list.clone(), list);
    let most = u8::try_from(MAX_K).unwrap();
    assert!(agree(certificates(1..=most)).is_ok());
    assert_eq!(agree(Vec::new()), Err(Disagreement::BadList));
    assert_eq!(agree(certificates(1..=most + 1)), Err(Disagreement::BadList));
    assert_eq!(agree(certificates([1, 2, 1])), Err(Disagreement::BadList));
    let twice = ReplicaSet::agree(KEY, certificates([1, 1]), certificates([1]));
    assert_eq!(twice, Err(Disagreement::BadList));
}

#[test]
fn a_list_comes_back_verified_and_closest_first() {
    let list = verify_list(unverified(1..=6), &KEY, 6, &network(), NOW).unwrap();
    assert_eq!(list, sorted(certificates(1..=6)));
    let other = Key([200; 32]);
    let list = verify_list(unverified(1..=6), &other, 6, &network(), NOW).unwrap();
    assert_ne!(ids(&list), ids(&sorted(certificates(1..=6))));
}

#[test]
fn an_empty_or_long_list_or_one_with_a_node_twice_is_refused() {
    let verify = |list| verify_list(list, &KEY, 4, &network(), NOW);
    assert!(verify(unverified(1..=4)).is_ok());
    assert_eq!(verify(Vec::new()), Err(Disagreement::BadList));
    assert_eq!(verify(unverified(1..=5)), Err(Disagreement::BadList));
    assert_eq!(verify(unverified([1, 2, 3, 1])), Err(Disagreement::BadList));
    // The same node with two certificates is the same node.
    let node = Node::new(1);
    let two = vec![node.certificate.to_unverified(), newer(&node).to_unverified()];
    assert_eq!(verify(two), Err(Disagreement::BadList));
}

#[test]
fn one_bad_certificate_spoils_a_list() {
    let (node, other) = (Node::new(1), Node::new(2));
    let forged = NodeCertificate::issue(&other.identity, node.certificate.claims().clone());
    for (bad, error) in [
        (forged, CertificateError::Key(KeyError::BadSignature)),
        (node.certify(|c| c.network = other_network().id), CertificateError::WrongNetwork),
        (node.certify(|c| c.validity.not_after = NOW.before(301)), CertificateError::Expired),
    ] {
        let mut list = unverified(3..=5);
        list.push(bad);
        let result = verify_list(list, &KEY, 4, &network(), NOW);
        assert_eq!(result, Err(Disagreement::Certificate(error)));
    }
}

/// A roster that has had so many nodes for an epoch.
fn roster_of(count: u8) -> Roster {
    let mut roster = Roster::default();
    for node in nodes(1..=count) {
        for member in [200_u8, 201] {
            let certificate = Node::new(member).certify(|claims| {
                claims.family = format!("family {member}");
                claims.addresses = vec![format!("/ip4/127.{member}.0.1/tcp/1")];
            });
            let source =
                Source::Member(Operator::of(&certificate.verify(&network(), NOW).unwrap()));
            roster.learn(node.certificate.clone(), source, Epoch(98));
        }
    }
    roster
}

#[test]
fn a_set_of_ones_own_is_confirmed_by_the_anonymizer_and_by_the_verifier() {
    let roster = roster_of(40);
    let (near, epoch) = (roster.closest(&KEY, 40, Epoch(100)), Epoch(100));
    assert_eq!(near.len(), 40);
    let own = ids(&near[..5]);
    let confirmed = |z: &[NodeId], w: &[NodeId]| {
        let set = ReplicaSet::confirmed(KEY, &roster, 5, (z, w), epoch);
        set.map(|set| ids(set.nodes()))
    };
    assert_eq!(confirmed(&own, &own), Ok(own.clone()));
    // Nobody, too few, the next ones in line, a node that nobody has heard of, and one from far away.
    let churn = [&own[..4], &ids(&near[5..6])].concat();
    let stranger = [&own[..4], &ids(&certificates([77]))].concat();
    let far_away = [&own[..4], &ids(&near[39..])].concat();
    for lie in [Vec::new(), own[..2].to_vec(), ids(&near[5..10]), stranger, far_away] {
        let lists = |only_first, only_second| Err(Disagreement::Lists { only_first, only_second });
        assert_eq!(confirmed(&lie, &own), lists(1, 0), "the anonymizer: {lie:?}");
        assert_eq!(confirmed(&own, &lie), lists(0, 1), "the verifier: {lie:?}");
        assert_eq!(confirmed(&lie, &lie), lists(1, 1), "both: {lie:?}");
    }
    // Whom others name by churn does not come into the set.
    assert_eq!(confirmed(&churn, &churn), Ok(own.clone()));
    let nobody = ReplicaSet::confirmed(KEY, &Roster::default(), 5, (&own, &own), epoch);
    assert_eq!(nobody, Err(Disagreement::BadList));
}

fn statement(node: &Node) -> StatementClaims {
    StatementClaims {
        network: network().id,
        node: node.id(),
        epoch: Epoch(100),
        key: KEY,
        closest: vec![Node::new(2).id()],
    }
}

#[test]
fn a_statement_is_one_nodes_of_one_key_in_one_epoch() {
    let (node, other) = (Node::new(1), Node::new(2));
    let good = Statement::issue(&node.identity, statement(&node));
    let bad = Err(KeyError::BadSignature);
    let (id, elsewhere) = (network().id, other_network().id);
    for (epoch, expected) in
        [(98, bad), (99, Ok(())), (100, Ok(())), (101, Ok(())), (102, bad), (0, bad)]
    {
        assert_eq!(good.verify(&id, node.id(), KEY, Epoch(epoch)), expected, "{epoch}");
    }
    assert_eq!(good.verify(&id, other.id(), KEY, Epoch(100)), bad);
    assert_eq!(good.verify(&id, node.id(), Key([4; 32]), Epoch(100)), bad);
    assert_eq!(good.verify(&elsewhere, node.id(), KEY, Epoch(100)), bad);
}

#[test]
fn a_changed_statement_is_refused() {
    let (node, other) = (Node::new(1), Node::new(2));
    let good = Statement::issue(&node.identity, statement(&node));
    let by_another = Statement::issue(&other.identity, statement(&node));
    let in_anothers_name = Statement::issue(&node.identity, statement(&other));
    let mut longer = good.clone();
    longer.claims.closest.push(other.id());
    let mut later = good.clone();
    later.claims.epoch = Epoch(101);
    let mut foreign = statement(&node);
    foreign.network = other_network().id;
    let foreign = Statement::issue(&node.identity, foreign);
    let mut bent = good;
    bent.signature.0[0] ^= 1;
    for statement in [by_another, in_anothers_name, longer, later, foreign, bent] {
        let verified = statement.verify(&network().id, node.id(), KEY, Epoch(100));
        assert_eq!(verified, Err(KeyError::BadSignature));
    }
}

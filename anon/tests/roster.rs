//! The roster: who becomes active, on whose word, and when; and how two rosters are compared.
#![cfg(test)]

#[path = "support/world.rs"]
mod world;

use anon::{
    certificate::{CertificateError, NodeCertificate},
    network::{Epoch, Revoked},
    position::Key,
    roster::{Operator, Roster, Source},
};

use crate::world::{NOW, Node, TODAY, network};

const TODAYS: Epoch = Epoch(100);
const TOMORROW: Epoch = Epoch(101);

/// A node's certificate with another family and address.
fn certificate(seed: u8, family: &str, addresses: &[&str]) -> NodeCertificate {
    let certificate = Node::new(seed).certify(|claims| {
        claims.family = family.into();
        claims.addresses = addresses.iter().map(|a| (*a).into()).collect();
    });
    certificate.verify(&network(), NOW).unwrap()
}

/// A member of an operator of its own.
fn member(number: u8) -> Source {
    let address = format!("/ip4/127.{number}.0.1/tcp/1");
    Source::Member(operator(&format!("family {number}"), &[&address]))
}

fn operator(family: &str, addresses: &[&str]) -> Operator {
    Operator::of(&certificate(200, family, addresses))
}

/// Whether a node of which these sources told today is active today, and tomorrow.
fn active(sources: &[Source]) -> (bool, bool) {
    let (node, mut roster) = (Node::new(1), Roster::default());
    for source in sources {
        roster.learn(node.certificate.clone(), source.clone(), TODAYS);
    }
    (roster.is_active(&node.id(), TODAYS), roster.is_active(&node.id(), TOMORROW))
}

#[test]
fn two_sources_of_different_operators_make_a_node_active() {
    assert_eq!(active(&[]), (false, false));
    assert_eq!(active(&[Source::Contact]), (false, false));
    assert_eq!(active(&[member(1)]), (false, false));
    assert_eq!(active(&[member(1), member(2)]), (true, true));
    // Known to one member for long, but to us since today only.
    assert_eq!(active(&[Source::Contact, member(1)]), (false, true));
    assert_eq!(active(&[member(1), Source::Contact]), (false, true));
}

#[test]
fn one_operator_vouches_once() {
    let bare = Source::Member(operator("", &[]));
    let named = Source::Member(operator("", &["/dns4/example.alt/tcp/1"]));
    for source in [Source::Contact, member(1), bare, named] {
        assert_eq!(active(&[source.clone(), source.clone(), source]), (false, false));
    }
}

#[test]
fn operators_overlap_by_family_or_by_subnet() {
    let one = operator("one", &["/ip4/127.1.0.1/tcp/1", "/ip6/2001:db8::1/tcp/1"]);
    for (family, address, overlaps) in [
        ("one", "/ip4/127.2.0.1/tcp/1", true),
        ("two", "/ip4/127.1.255.9/udp/7", true),
        ("two", "/ip6/2001:db8:ffff::9/tcp/1", true),
        ("two", "/ip4/127.2.0.1/tcp/1", false),
        ("", "/ip4/127.2.0.1/tcp/1", false),
        ("two", "/ip6/2001:db9::1/tcp/1", false),
    ] {
        let other = operator(family, &[address]);
        assert_eq!(one.overlaps(&other), overlaps, "{family} {address}");
        assert_eq!(other.overlaps(&one), overlaps, "{family} {address}");
    }
}

#[test]
fn only_active_nodes_are_closest_and_only_settled_ones_are_handed_on() {
    let mut roster = Roster::default();
    let nodes: Vec<Node> = (1..=6).map(Node::new).collect();
    for node in &nodes[..3] {
        roster.learn(node.certificate.clone(), member(1), TODAYS);
        roster.learn(node.certificate.clone(), member(2), TODAYS);
    }
    roster.learn(nodes[3].certificate.clone(), Source::Contact, TODAYS);
    roster.learn(nodes[4].certificate.clone(), member(1), TODAYS);
    for count in 1..=6_usize {
        let key = Key([u8::try_from(count).unwrap(); 32]);
        assert_eq!(roster.closest(&key, count, TODAYS).len(), count.min(3));
        assert_eq!(roster.closest_settled(&key, count, TODAYS).len(), count.min(3));
        // A contact of yesterday is handed on, but not relied on; hearsay is neither.
        assert_eq!(roster.closest(&key, count, TOMORROW).len(), count.min(3));
        assert_eq!(roster.closest_settled(&key, count, TOMORROW).len(), count.min(4));
    }
    let key = Key([9; 32]);
    let list = roster.closest(&key, 3, TODAYS);
    let far = |n: &NodeCertificate| n.node().position().distance(&key.position());
    assert!(list.is_sorted_by_key(far));
}

#[test]
fn rosters_that_differ_by_one_node_find_it() {
    let (mut mine, mut theirs) = (Roster::default(), Roster::default());
    for node in (1..=20).map(Node::new) {
        mine.learn(node.certificate.clone(), Source::Contact, TODAYS);
        theirs.learn(node.certificate, Source::Contact, TODAYS);
    }
    assert_eq!(theirs.differing(&mine.pieces(TOMORROW), TOMORROW), []);
    let new = Node::new(21);
    theirs.learn(new.certificate.clone(), Source::Contact, TODAYS);
    let listed = theirs.differing(&mine.pieces(TOMORROW), TOMORROW);
    let unknown = mine.unknown(&listed);
    assert_eq!(unknown.len(), 1);
    assert_eq!(theirs.wanted(&unknown, TOMORROW), [new.certificate.to_unverified()]);
    // Not before it is settled there.
    assert_eq!(theirs.wanted(&unknown, TODAYS), []);
}

#[test]
fn what_comes_from_the_disk_is_verified_again() {
    let mut roster = Roster::default();
    for node in (1..=3).map(Node::new) {
        roster.learn(node.certificate, Source::Contact, TODAYS);
    }
    let mut strict = network();
    strict.revoked = Revoked { nodes: [Node::new(2).id()].into(), ..Revoked::default() };
    let known = |roster: &Roster| roster.known().map(NodeCertificate::node).collect::<Vec<_>>();
    assert_eq!(known(&Roster::restore(roster.store(), &network(), NOW)), known(&roster));
    let restored = Roster::restore(roster.store(), &strict, NOW);
    assert_eq!(restored.len(), 2);
    assert!(restored.certificate(&Node::new(2).id()).is_none());
    let too_late = TODAY.not_after.after(301);
    assert!(Roster::restore(roster.store(), &network(), too_late).is_empty());
    roster.expire(&strict, NOW);
    assert_eq!(known(&roster), known(&restored));
    let expired = Node::new(1).certificate.to_unverified().verify(&network(), too_late);
    assert_eq!(expired, Err(CertificateError::Expired));
}

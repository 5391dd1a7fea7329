//! The roster: who becomes active, on whose word, and when; and how two rosters are compared.
#![cfg(test)]

#[path = "support/world.rs"]
mod world;

#[path = "roster/kept.rs"]
mod kept;
#[path = "roster/shares.rs"]
mod shares;

use std::collections::{BTreeMap, BTreeSet};

use anon::{
    certificate::{CertificateError, NodeCertificate},
    id::NodeId,
    network::{Epoch, Network, Revoked},
    position::{Key, keep_closest},
    roster::{
        Compared, Comparison, Completeness, Operator, PIECES, Reason, Roster, ShortDigest, Source,
        alive_seconds, renewal_seconds,
    },
    selection::sample_guard,
    verification::CrossVerified,
};

use crate::world::{NOW, Node, TODAY, network, other_network, rng};

const TODAYS: Epoch = Epoch(100);
const TOMORROW: Epoch = Epoch(101);
const YESTERDAY: Epoch = Epoch(99);

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

/// A roster that was filled yesterday.
fn seasoned() -> Roster {
    let mut roster = Roster::default();
    let stranger = certificate(199, "somebody", &["/ip4/127.199.0.1/tcp/1"]);
    roster.learn(stranger.clone(), member(199), YESTERDAY);
    roster.forget(&stranger.node());
    roster
}

/// Whether a node of which these sources told today is active today, and tomorrow.
fn active_in(mut roster: Roster, sources: &[Source]) -> (bool, bool) {
    let node = Node::new(1);
    for source in sources {
        roster.learn(node.certificate.clone(), source.clone(), TODAYS);
    }
    (roster.is_active(&node.id(), TODAYS), roster.is_active(&node.id(), TOMORROW))
}

#[test]
fn two_sources_of_different_operators_make_a_node_active_an_epoch_on() {
    for sources in
        [[member(1), member(2)], [Source::Contact, member(1)], [member(1), Source::Contact]]
    {
        assert_eq!(active_in(seasoned(), &sources), (false, true), "{sources:?}");
    }
    for too_few in [&[][..], &[Source::Contact], &[member(1)]] {
        assert_eq!(active_in(seasoned(), too_few), (false, false), "{too_few:?}");
        assert_eq!(active_in(Roster::default(), too_few), (false, false), "{too_few:?}");
    }
}

#[test]
fn the_first_fill_makes_nodes_active_at_once_on_two_members_word_and_no_less() {
    let new = Roster::default;
    assert_eq!(active_in(new(), &[member(1), member(2)]), (true, true));
    assert_eq!(active_in(new(), &[Source::Contact, member(1)]), (false, true));
    assert_eq!(active_in(new(), &[member(1), Source::Contact]), (false, true));
}

#[test]
fn what_is_minted_after_the_first_fill_waits_an_epoch_whoever_vouches() {
    let mut roster = Roster::default();
    let old = Node::new(1);
    for number in 1..=3 {
        roster.learn(old.certificate.clone(), member(number), TODAYS);
    }
    assert!(roster.is_active(&old.id(), TODAYS));
    // The epoch after, and again after a restart.
    let minted = Node::new(2);
    for roster in [&mut roster.clone(), &mut Roster::restore(roster.store(), &network(), NOW)] {
        for source in [member(1), member(2), member(3), Source::Contact] {
            roster.learn(minted.certificate.clone(), source, TOMORROW);
        }
        assert!(roster.is_active(&old.id(), TOMORROW));
        assert!(!roster.is_active(&minted.id(), TOMORROW));
        assert!(roster.is_active(&minted.id(), Epoch(102)));
    }
}

#[test]
fn a_roster_of_which_nothing_is_left_is_filled_anew() {
    let mut roster = seasoned();
    roster.learn(Node::new(2).certificate, member(1), TODAYS);
    let mut strict = network();
    strict.revoked = Revoked { nodes: [Node::new(2).id()].into(), ..Revoked::default() };
    roster.expire(&strict, NOW);
    assert_eq!(active_in(roster, &[member(1), member(2)]), (true, true));
}

#[test]
fn one_operator_vouches_once() {
    let bare = Source::Member(operator("", &[]));
    let named = Source::Member(operator("", &[]));
    for source in [Source::Contact, member(1), bare, named] {
        assert_eq!(
            active_in(seasoned(), &[source.clone(), source.clone(), source]),
            (false, false)
        );
    }
}

#[test]
fn operators_overlap_by_family_or_by_subnet() {
    let one = operator("one", &["/ip4/127.1.0.1/tcp/1", "/ip6/2001:db8::1/tcp/1"]);
    for (family, address, overlaps) in [
        ("one", "/ip4/127.2.0.1/tcp/1", true),
        ("two", "/ip4/127.1.255.9/tcp/7", true),
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
fn an_onion_address_tells_operators_apart_by_nothing_but_itself() {
    let onion = |letter: &str| format!("/onion3/{}:4001", letter.repeat(56));
    let one = operator("", &[&onion("a")]);
    assert!(one.overlaps(&operator("", &[&onion("a")])));
    // Another costs nothing: L-56.
    assert!(!one.overlaps(&operator("", &[&onion("b")])));
    assert!(operator("one", &[&onion("a")]).overlaps(&operator("one", &[&onion("b")])));
    // Beside an address it changes nothing.
    let beside = operator("", &["/ip4/127.1.0.1/tcp/1", &onion("a")]);
    assert!(beside.overlaps(&operator("", &["/ip4/127.1.7.7/tcp/1", &onion("b")])));
}

#[test]
fn only_active_nodes_are_closest() {
    let mut roster = seasoned();
    let nodes: Vec<Node> = (1..=200).map(Node::new).collect();
    for (index, node) in nodes.iter().enumerate() {
        let since = if index % 2 == 0 { YESTERDAY } else { TODAYS };
        roster.learn(node.certificate.clone(), member(1), since);
        if index % 10 != 0 {
            roster.learn(node.certificate.clone(), member(2), TODAYS);
        }
    }
    let active: Vec<NodeCertificate> = roster.active(TODAYS).cloned().collect();
    assert_eq!(active.len(), 80);
    for count in [0, 1, 2, 7, 20, 80, 100] {
        for salt in 0..20 {
            let key = Key([salt; 32]);
            let mut all = active.clone();
            keep_closest(&mut all, &key, count, |n| n.node().position());
            assert_eq!(roster.closest(&key, count, TODAYS), all);
            assert_eq!(roster.stated(&key, count, TOMORROW), all);
            assert_eq!(roster.stated(&key, 1, TODAYS), roster.closest(&key, 1, YESTERDAY));
        }
    }
}

#[test]
fn a_guard_is_any_active_node_that_is_not_excluded_and_each_as_likely() {
    let mut roster = seasoned();
    let nodes: Vec<Node> = (1..=10).map(Node::new).collect();
    for node in &nodes {
        for number in [1, 2] {
            roster.learn(node.certificate.clone(), member(number), TODAYS);
        }
    }
    let inactive = Node::new(11);
    roster.learn(inactive.certificate.clone(), member(1), TODAYS);
    let (candidates, mut rng) = ((&roster, TOMORROW), rng(4));
    let ids = |range: std::ops::Range<usize>| nodes[range].iter().map(Node::id);
    for excluded in [0..0, 0..3, 4..8, 7..10, 1..10] {
        let mut excluded: BTreeSet<NodeId> = ids(excluded).collect();
        let left = 10 - excluded.len();
        // Whoever is no candidate takes nobody's place.
        excluded.insert(inactive.id());
        let mut sampled: BTreeMap<NodeId, usize> = BTreeMap::new();
        for _ in 0..1_000 * left {
            let guard = sample_guard(&candidates, &excluded, &mut rng).unwrap();
            *sampled.entry(guard.node()).or_default() += 1;
        }
        assert_eq!(sampled.len(), left);
        assert!(sampled.keys().all(|node| !excluded.contains(node)));
        // Six standard deviations.
        assert!(sampled.values().all(|count| (810..=1_190).contains(count)), "{sampled:?}");
    }
    assert!(sample_guard(&candidates, &ids(0..10).collect(), &mut rng).is_none());
}

#[test]
fn what_is_told_was_met_an_epoch_ago_or_is_vouched_for() {
    let mut roster = seasoned();
    let nodes: Vec<Node> = (1..=4).map(Node::new).collect();
    roster.learn(nodes[0].certificate.clone(), Source::Contact, TODAYS);
    roster.learn(nodes[1].certificate.clone(), member(1), TODAYS);
    for source in [member(1), member(2)] {
        roster.learn(nodes[2].certificate.clone(), source, TODAYS);
    }
    let none = vec![ShortDigest([0; 8]); PIECES];
    assert_eq!(roster.differing(&none, TODAYS).len(), 1);
    assert_eq!(roster.differing(&none, TOMORROW).len(), 2);
}

#[test]
fn rosters_that_differ_by_one_node_find_it() {
    let (mut mine, mut theirs) = (Roster::default(), Roster::default());
    assert_eq!(mine.pieces(Epoch::default()).len(), PIECES, "in the first epoch of all, too");
    for node in (1..=20).map(Node::new) {
        mine.learn(node.certificate.clone(), Source::Contact, TODAYS);
        theirs.learn(node.certificate, Source::Contact, TODAYS);
    }
    assert_eq!(theirs.differing(&mine.pieces(TOMORROW), TOMORROW), []);
    let new = Node::new(21);
    theirs.learn(new.certificate.clone(), Source::Contact, TODAYS);
    let listed = theirs.differing(&mine.pieces(TOMORROW), TOMORROW);
    assert_eq!(listed.len(), 1);
    let unknown = mine.unknown(&listed);
    assert_eq!(unknown.len(), 1);
    assert_eq!(theirs.wanted(&unknown, TOMORROW), [new.certificate.to_unverified()]);
    // Not before it is told there.
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
    assert!(!roster.store().is_empty() && Roster::default().store().is_empty());
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

/// A node's certificate that was signed `ago` seconds ago.
fn signed(node: &Node, ago: u64) -> NodeCertificate {
    let signed = node.certify(|claims| claims.validity.not_before = NOW.before(ago));
    signed.verify(&network(), NOW).unwrap()
}

#[test]
fn a_node_whose_certificate_is_old_is_silent_until_a_newer_one_comes() {
    let (node, alive, mut roster) = (Node::new(1), alive_seconds(&network()), Roster::default());
    let none = vec![ShortDigest([0; 8]); PIECES];
    for (ago, active) in [(alive, true), (alive + 1, false), (alive - 1, true)] {
        roster.forget(&node.id());
        for number in [1, 2] {
            roster.learn(signed(&node, ago), member(number), YESTERDAY);
        }
        roster.listen(&network(), NOW);
        assert_eq!(roster.is_active(&node.id(), TODAYS), active, "{ago}");
        assert_eq!(roster.alive().count(), usize::from(active));
        assert_eq!(roster.differing(&none, TODAYS).len(), usize::from(active));
    }
    // Time alone changes nothing: whoever has not compared does not know.
    assert!(roster.is_active(&node.id(), Epoch(200)) && roster.is_alive(&node.id()));
    roster.listen(&network(), NOW.after(2));
    assert!(!roster.is_active(&node.id(), TODAYS) && !roster.is_alive(&node.id()));
    // Nor does the same certificate once more, whoever brings it.
    let (other, mut heard) = (signed(&Node::new(2), alive), seasoned());
    heard.learn(other.clone(), member(1), TODAYS);
    heard.listen(&network(), NOW.after(2));
    heard.learn(other.clone(), member(2), TODAYS);
    assert!(!heard.is_alive(&other.node()));
    roster.learn(signed(&node, 0), member(1), TODAYS);
    assert!(roster.is_active(&node.id(), TODAYS), "it was known all the time");
    assert!(roster.is_alive(&node.id()) && !roster.is_alive(&Node::new(2).id()));
}

#[test]
fn a_node_signs_four_times_an_epoch_and_is_silent_after_one_and_a_half() {
    for (epoch_seconds, alive, renewal) in [(86_400, 129_600, 21_600), (10, 15, 2), (1, 10, 1)] {
        let network = Network { epoch_seconds, ..network() };
        assert_eq!((alive_seconds(&network), renewal_seconds(&network)), (alive, renewal));
    }
}

#[test]
fn an_older_certificate_is_recognised_and_answered_with_the_newer_one() {
    let (node, mut roster) = (Node::new(1), seasoned());
    let all: Vec<NodeCertificate> = (0..10).map(|n| signed(&node, 100 - n)).collect();
    let digest = |c: &NodeCertificate| ShortDigest(c.digest()[..8].try_into().unwrap());
    for certificate in &all {
        roster.learn(certificate.clone(), member(1), TODAYS);
    }
    let digests: Vec<ShortDigest> = all.iter().map(digest).collect();
    assert_eq!(roster.unknown(&digests), digests[..5]);
    roster.learn(all[9].clone(), member(2), TODAYS);
    assert_eq!(roster.wanted(&digests[8..9], TODAYS), [all[9].to_unverified()]);
    // One that was forgotten comes again, and is not taken for the newest.
    roster.learn(all[0].clone(), member(3), TODAYS);
    assert_eq!(roster.certificate(&node.id()), Some(&all[9]));
    roster.forget(&node.id());
    assert_eq!(roster.unknown(&digests), digests);
}

#[test]
fn alike_pieces_vouch_for_what_was_told_and_for_nothing_else() {
    let (met, hearsay) = (Node::new(1), Node::new(2));
    let mut roster = seasoned();
    roster.learn(met.certificate.clone(), Source::Contact, YESTERDAY);
    roster.learn(hearsay.certificate.clone(), member(1), YESTERDAY);
    let sent = roster.pieces(TODAYS);
    let honest = operator("honest", &["/ip4/127.77.0.1/tcp/1"]);
    let mut stale = roster.clone();
    roster.vouch(&sent, &[true; PIECES], &[], &honest, TODAYS);
    assert!(roster.is_active(&met.id(), TODAYS));
    assert!(!roster.is_active(&hearsay.id(), TODAYS), "a member vouched for what nobody told it");
    let verified = |node: &Node| CrossVerified::active(&roster, &node.id(), TODAYS);
    assert_eq!(verified(&met).map(|node| node.node()), Some(met.id()));
    assert_eq!(verified(&hearsay), None);
    // What has changed since it was sent was not compared.
    stale.learn(signed(&met, 0), Source::Contact, TODAYS);
    stale.vouch(&sent, &[true; PIECES], &[], &honest, TODAYS);
    assert!(!stale.is_active(&met.id(), TODAYS), "a member vouched for what it did not see");
}

#[test]
fn a_roster_says_why_it_is_incomplete() {
    let mut roster = Roster::default();
    let members: Vec<Operator> = [1, 2]
        .map(|n| operator(&format!("family {n}"), &[&format!("/ip4/127.{n}.0.1/tcp/1")]))
        .into();
    for node in (1..=8).map(Node::new) {
        for member in &members {
            roster.learn(node.certificate.clone(), Source::Member(member.clone()), TODAYS);
        }
    }
    let comparison = |missing: &[usize]| {
        let compared = missing.iter().zip(1..).map(|(missing, n)| Compared {
            operator: operator(&format!("family {n}"), &[]),
            missing: *missing,
        });
        Comparison { epoch: TODAYS, members: compared.collect() }
    };
    let good = comparison(&[0, 0]);
    let told = |roster: &Roster, comparison: &Comparison, k, now| match roster
        .completeness(comparison, k, now)
    {
        Completeness::Complete => None,
        Completeness::Incomplete(reason) => Some(reason),
    };
    assert_eq!(told(&roster, &good, 8, TODAYS), None);
    assert_eq!(told(&roster, &good, 8, TOMORROW), None);
    assert_eq!(told(&roster, &good, 8, Epoch(102)), Some(Reason::NotCompared));
    assert_eq!(told(&roster, &Comparison::default(), 8, TODAYS), Some(Reason::NotCompared));
    let few = Reason::TooFewMembers { answered: 1 };
    assert_eq!(told(&roster, &comparison(&[0]), 8, TODAYS), Some(few));
    // A hundredth of those that are alive may be missing, and one in any case.
    for (alive, missing) in [(8, 1), (199, 1), (200, 2), (1_000, 10)] {
        assert!(comparison(&[0, missing, 500]).is_done(alive), "{missing} of {alive}");
        assert!(!comparison(&[0, missing + 1, 500]).is_done(alive), "{} of {alive}", missing + 1);
    }
    // One member that lists what it does not hand out proves nothing; nor does a node that went silent.
    assert_eq!(told(&roster, &comparison(&[500, 0, 1]), 8, TODAYS), None);
    for missing in [&[500, 0][..], &[500, 0, 900], &[500]] {
        let lacking = told(&roster, &comparison(missing), 8, TODAYS);
        let expected = if missing.len() == 1 { few } else { Reason::NotTakenOver { missing: 500 } };
        assert_eq!(lacking, Some(expected));
    }
    assert_eq!(told(&roster, &good, 9, TODAYS), Some(Reason::TooFewActive { active: 8 }));
    for node in (9..=10).map(Node::new) {
        roster.learn(node.certificate, member(1), TODAYS);
    }
    assert_eq!(told(&roster, &good, 8, TODAYS), None, "churn");
    roster.learn(Node::new(11).certificate, member(1), TODAYS);
    let reason = Reason::TooManyInactive { alive: 11, inactive: 3 };
    assert_eq!(told(&roster, &good, 8, TODAYS), Some(reason));
    // A quarter is churn still.
    for member in &members {
        let ninth = Node::new(9).certificate;
        roster.learn(ninth, Source::Member(member.clone()), TODAYS);
    }
    roster.learn(Node::new(12).certificate, member(1), TODAYS);
    assert_eq!((roster.active(TODAYS).count(), roster.alive().count()), (9, 12));
    assert_eq!(told(&roster, &good, 8, TODAYS), None);
}

#[test]
fn what_another_command_of_the_same_user_has_written_is_taken_in() {
    let (first, second, third) = (Node::new(1), Node::new(2), Node::new(3));
    let (mut own, mut other) = (seasoned(), seasoned());
    own.learn(first.certificate.clone(), member(1), TODAYS);
    own.learn(second.certificate.clone(), member(1), TODAYS);
    // The other one knows the second node longer and from somebody else, and the third, which is its guard.
    other.learn(second.certificate.clone(), member(2), YESTERDAY);
    for source in [member(1), member(2)] {
        other.learn(third.certificate.clone(), source, YESTERDAY);
    }
    own.take_in(other.store(), &network(), NOW);
    assert_eq!(own.len(), 3);
    assert!(!own.is_active(&first.id(), TOMORROW), "one source");
    assert!(own.is_active(&second.id(), TODAYS), "two sources, and known since yesterday");
    assert!(own.is_active(&third.id(), TODAYS));
    assert_eq!(own.unvouched(), 1);
    // Once more changes nothing, and what does not verify is not taken in.
    let before = own.pieces(TODAYS);
    own.take_in(other.store(), &network(), NOW);
    assert_eq!((own.len(), own.pieces(TODAYS)), (3, before));
    let mut empty = Roster::default();
    empty.take_in(other.store(), &other_network(), NOW);
    assert!(empty.is_empty());
}

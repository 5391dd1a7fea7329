//! Grinding (attack 2): a hostile go-between mints the closest possible node to keyZ after it has learnt keyZ.
//! Section 4 takes it every time, since an honest witness then finds it too; a sample over a roster of the last
//! epoch never does.
#![cfg(test)]

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeSet;

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    keys::{ChannelSecret, IdentitySecret, SigningSecret as _},
    network::Epoch,
    position::{Key, keep_closest},
    roster::{Operator, Roster, Source},
    selection::{Planner, SampledKeys, Wanted, sample_guard, sample_guarded},
    verification::{CrossVerified, cross_verify, differs_by_churn},
};
use rand::rngs::StdRng;

use crate::world::{NOW, network, node_claims, rng};

const NODES: u8 = 24;
const TRIALS: usize = 1_000;
const THIS: Epoch = Epoch(7);

fn mint(rng: &mut StdRng) -> IdentitySecret {
    IdentitySecret::generate(rng)
}

/// A certificate of an operator of its own: `number` is its /16.
fn certify(identity: &IdentitySecret, number: u16, rng: &mut StdRng) -> NodeCertificate {
    let mut claims = node_claims(identity, &ChannelSecret::generate(rng));
    claims.family = String::new();
    claims.addresses = vec![format!("/ip4/10.{number}.0.1/tcp/1")];
    NodeCertificate::issue(identity, claims).verify(&network(), NOW).unwrap()
}

/// A network, the roster that one member has of it, and two members that vouched for all of it.
fn honest(rng: &mut StdRng) -> (Vec<NodeCertificate>, Roster, [Operator; 2]) {
    let nodes: Vec<NodeCertificate> = (0..NODES)
        .map(|number| {
            let identity = mint(rng);
            certify(&identity, u16::from(number), rng)
        })
        .collect();
    let members = [Operator::of(&nodes[0]), Operator::of(&nodes[1])];
    let mut roster = Roster::default();
    for node in &nodes {
        for member in &members {
            roster.learn(node.clone(), Source::Member(member.clone()), THIS);
        }
    }
    (nodes, roster, members)
}

/// The hostile node that is nearer to the key than every node there is, found by trying.
fn grind(key: &Key, nodes: &[NodeCertificate], rng: &mut StdRng) -> NodeCertificate {
    let target = key.position();
    let closest = nodes.iter().map(|n| n.node().position().distance(&target)).min().unwrap();
    loop {
        let identity = mint(rng);
        let id = NodeId(identity.verify_key().0);
        if id.position().distance(&target) < closest {
            return certify(&identity, 250, rng);
        }
    }
}

#[test]
fn section_4_takes_the_minted_node_every_time() {
    let mut rng = rng(1);
    let (nodes, ..) = honest(&mut rng);
    for _ in 0..TRIALS {
        let SampledKeys { anonymizer: key, .. } = SampledKeys::fresh(&mut rng);
        let minted = grind(&key, &nodes, &mut rng);
        // X names it; it has joined the DHT, so an honest Y finds the same.
        let mut found = nodes.clone();
        found.push(minted.clone());
        keep_closest(&mut found, &key, 1, |n| n.node().position());
        let agreed = cross_verify(minted.clone(), found.remove(0)).unwrap();
        assert_eq!(agreed.node(), minted.node());
    }
}

#[test]
fn the_guarded_sample_never_takes_a_minted_node() {
    let mut rng = rng(2);
    let (nodes, mut roster, members) = honest(&mut rng);
    let guard = sample_guard(&(&roster, THIS), &BTreeSet::new(), &mut rng).unwrap();
    let mut minted: BTreeSet<NodeId> = BTreeSet::new();
    for trial in 0..TRIALS {
        let path = sample_guarded(&(&roster, THIS), &guard, 1, &minted, &mut rng);
        let path = path.expect("honest nodes enough for a path");
        let (key, anonymizer) = &path.anonymizer;
        // X has learnt the key, mints, names the minted node, and sees to it that the sender hears of it from
        // whoever it can: from the node itself, and from one member.
        let bogus = grind(key, &nodes, &mut rng);
        minted.insert(bogus.node());
        let own = std::slice::from_ref(anonymizer);
        assert!(!differs_by_churn(key, &[bogus.node()], own, &roster));
        roster.learn(bogus.clone(), Source::Contact, THIS);
        roster.learn(bogus.clone(), Source::Member(members[trial % 2].clone()), THIS);
        assert!(CrossVerified::active(&roster, &bogus.node(), THIS).is_none());
        assert_ne!(anonymizer.node(), bogus.node());
        assert_ne!(roster.closest(key, 1, THIS)[0].node(), bogus.node());
        assert!(path.hops().all(|(_, node)| !minted.contains(&node.node())));
        roster.forget(&bogus.node());
    }
}

#[test]
fn only_the_next_in_line_can_be_churn() {
    let mut rng = rng(4);
    let (_, roster, _) = honest(&mut rng);
    for _ in 0..TRIALS {
        let SampledKeys { anonymizer: key, .. } = SampledKeys::fresh(&mut rng);
        let mut all: Vec<_> = roster.known().cloned().collect();
        keep_closest(&mut all, &key, usize::MAX, |n| n.node().position());
        let churn = |place: usize| differs_by_churn(&key, &[all[place].node()], &all[..1], &roster);
        assert!(churn(0) && churn(1) && churn(3));
        // An accomplice, active as it may be, that only somebody who knows none of those between could name.
        assert!(!churn(4) && !churn(all.len() - 1));
        // Of eight, two may be others, of the six next in line, or missing.
        let is_churn = |places: &[usize]| {
            let theirs: Vec<_> = places.iter().map(|place| all[*place].node()).collect();
            differs_by_churn(&key, &theirs, &all[..8], &roster)
        };
        assert!(is_churn(&[0, 1, 2, 3, 4, 5, 12, 13]) && is_churn(&[0, 1, 2, 3, 4, 5]));
        assert!(!is_churn(&[0, 1, 2, 3, 4, 5, 6, 14]), "too far away");
        assert!(!is_churn(&[0, 1, 2, 3, 4, 8, 9, 10]), "three others");
        assert!(!is_churn(&[0, 1, 2, 3, 4]) && !is_churn(&[0, 1, 2, 3, 4, 5, 6, 6]));
        assert!(!is_churn(&[0, 1, 2, 3, 4, 5, 6, 7, 8]), "nine");
    }
}

#[test]
fn no_two_nodes_of_a_path_have_one_operator() {
    let mut rng = rng(3);
    let (nodes, ..) = honest(&mut rng);
    // Twenty operators of three nodes each.
    let mut roster = Roster::default();
    for (index, _) in nodes.iter().enumerate() {
        let identity = mint(&mut rng);
        let node = certify(&identity, u16::try_from(index % 20).unwrap(), &mut rng);
        for number in [200, 201] {
            let vouching = mint(&mut rng);
            let member = certify(&vouching, number, &mut rng);
            roster.learn(node.clone(), Source::Member(Operator::of(&member)), THIS);
        }
    }
    let guard = sample_guard(&(&roster, THIS), &BTreeSet::new(), &mut rng).unwrap();
    for _ in 0..200 {
        let path = sample_guarded(&(&roster, THIS), &guard, 3, &BTreeSet::new(), &mut rng).unwrap();
        let mut operators = vec![Operator::of(&guard), Operator::of(&path.witness.1)];
        operators.extend(path.hops().map(|(_, node)| Operator::of(node)));
        for (index, one) in operators.iter().enumerate() {
            assert!(operators.iter().skip(index + 1).all(|other| !one.overlaps(other)));
        }
    }
}

#[test]
fn every_active_node_is_as_likely_a_guard() {
    let mut rng = rng(4);
    let (nodes, roster, _) = honest(&mut rng);
    let mut counts = vec![0_u32; nodes.len()];
    for _ in 0..2_400 {
        let guard = sample_guard(&(&roster, THIS), &BTreeSet::new(), &mut rng).unwrap();
        counts[nodes.iter().position(|n| n.node() == guard.node()).unwrap()] += 1;
    }
    // 100 each are expected; six standard deviations are 60.
    assert!(counts.iter().all(|count| (40..=160).contains(count)), "{counts:?}");
}

/// The least network in which a mail is sent: k = 3 replicas, guard, middle, witness, anonymizer and verifier. Nobody there
/// carries what it keeps; anonymizers serve again, and not before all others have.
#[test]
fn eight_nodes_carry_a_mail_of_many_paths_and_nobody_serves_twice_before_all_have() {
    let mut rng = rng(5);
    let (nodes, roster, members) = honest(&mut rng);
    let mut small = Roster::default();
    for node in &nodes[..8] {
        for member in &members {
            small.learn(node.clone(), Source::Member(member.clone()), THIS);
        }
    }
    drop(roster);
    let avoid: BTreeSet<NodeId> = nodes[..3].iter().map(NodeCertificate::node).collect();
    let (candidates, guard) = ((&small, THIS), &nodes[3]);
    let mut planner = Planner::new(vec![guard.clone()], 1);
    let wanted = Wanted { is_reading: false, near: &avoid, attempt: 0 };
    let mut anonymizers = Vec::new();
    for _ in 0..16 {
        let path = planner.next_path(&candidates, wanted, &mut rng, Vec::new);
        let anonymizer = path.expect("there is a path").anonymizer.1.node();
        assert!(!avoid.contains(&anonymizer) && anonymizer != guard.node());
        anonymizers.push(anonymizer);
    }
    // Four nodes are left for three places: two paths are possible before an anonymizer must serve again.
    for pair in anonymizers.chunks(2) {
        assert_ne!(pair[0], pair[1], "an anonymizer served twice where there were others");
    }
}

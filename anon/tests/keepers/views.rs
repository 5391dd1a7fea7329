//! Votes as bytes, what follows from them, and the view: one test for each rule.

use std::collections::{BTreeMap, BTreeSet};

use anon::{
    id::NodeId,
    keeper::{
        ballot::Ballot,
        compute::{Candidate, ComputeError, Given, compute},
        tally::{Tally, TallyError},
        vote::{Reached, Rules, Vote, VoteError, max_vote},
    },
    network::Epoch,
    view::{
        descriptor::{Addresses, TcpAddress},
        list::NodeList,
        quorum::KeeperSet,
        statement::{NodeStatement, StatementDigest},
    },
};
use proptest::prelude::*;

use crate::town::{
    EPOCH, NET, RULES, ballot, keepers, node, onion, statement, statement_for, tcp, view_before,
    vote,
};

fn tally(ballot: &Ballot, votes: &[Vote]) -> Result<Tally, TallyError> {
    tally_of(ballot, votes, |_| Some(ballot.keepers().clone()))
}

fn tally_of(
    ballot: &Ballot,
    votes: &[Vote],
    keepers_of: impl Fn(Epoch) -> Option<KeeperSet>,
) -> Result<Tally, TallyError> {
    let votes: BTreeMap<u8, &Vote> = (0..).zip(votes).collect();
    Tally::of(ballot, &votes, keepers_of)
}

/// The view that follows if every keeper votes for these statements.
fn unanimous(
    ballot: &Ballot,
    stated: &[(NodeStatement, Reached)],
    before: &[NodeStatement],
    is_capped: bool,
) -> Candidate {
    let n = ballot.keepers().keys().len();
    let nodes: Vec<_> = before.iter().map(|statement| *statement.descriptor()).collect();
    let (signed, list) = view_before(n, &nodes);
    let shown = stated.iter().map(|(statement, reached)| (statement, *reached));
    let votes = vec![vote(Some(signed.to_unverified()), shown); n];
    let statements: BTreeMap<StatementDigest, NodeStatement> =
        stated.iter().map(|(statement, _)| (statement.digest(), statement.clone())).collect();
    let given = Given {
        statements: &statements,
        before: Some(&list),
        revoked: &BTreeSet::new(),
        is_capped,
    };
    compute(ballot, &tally(ballot, &votes).unwrap(), given).unwrap()
}

fn at(ip: [u8; 4]) -> Addresses {
    Addresses::Tcp(tcp(ip))
}

fn over_tcp(number: u8, ip: [u8; 4]) -> (NodeStatement, Reached) {
    (statement(number, number, at(ip)), Reached::Tcp)
}

fn ids(candidate: &Candidate) -> Vec<NodeId> {
    candidate.nodes.nodes().collect()
}

fn sorted(numbers: &[u8]) -> Vec<NodeId> {
    let mut ids: Vec<NodeId> = numbers.iter().map(|number| node(*number)).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_vote_is_encoded_as_worked_out_by_hand() {
    let one = statement(1, 1, at([10, 0, 0, 1]));
    let vote = vote(None, [(&one, Reached::Both)]);
    let expected = [
        &[1][..],
        &[0, 0, 0, 0, 0, 0, 0, 3],
        &[0, 0, 0, 0, 0, 0, 0, 2],
        &[9; 32],
        &[0, 0],
        &[0, 0, 0, 1],
        &node(1).0,
        &one.digest().0,
        &[3],
    ]
    .concat();
    assert_eq!(vote.encode(), expected);
    assert_eq!(Vote::decode(&expected, &ballot(4)), Ok(vote));
}

#[test]
fn bytes_that_are_no_vote_are_refused_by_name() {
    let ballot = Ballot::new(NET, EPOCH, keepers(4), 2);
    let (one, two) = (statement(1, 1, at([10, 0, 0, 1])), statement(2, 2, at([10, 0, 0, 2])));
    let before = view_before(4, &[]).0.to_unverified();
    let vote = vote(Some(before), [(&one, Reached::Tcp), (&two, Reached::Onion)]);
    let good = vote.encode();
    assert!(good.len() <= max_vote(&ballot));
    assert_eq!(Vote::decode(&good, &ballot).as_ref(), Ok(&vote));
    for cut in 0..good.len() {
        assert!(Vote::decode(&good[..cut], &ballot).is_err(), "{cut}");
    }
    let refused = |bytes: &[u8]| Vote::decode(bytes, &ballot).unwrap_err();
    assert_eq!(refused(&[&good[..], &[0]].concat()), VoteError::Length);
    assert_eq!(refused(&[&[2], &good[1..]].concat()), VoteError::UnknownVersion(2));
    let nodes = good.len() - 2 * 65;
    let (head, entries) = good.split_at(nodes);
    let (first, second) = entries.split_at(65);
    assert_eq!(refused(&[head, second, first].concat()), VoteError::NotInOrder);
    assert_eq!(refused(&[head, first, first].concat()), VoteError::NotInOrder);
    for byte in [0, 4, 255] {
        let bytes = [&good[..good.len() - 1], &[byte]].concat();
        assert_eq!(refused(&bytes), VoteError::BadReach(byte));
    }
    let three = [&head[..nodes - 1], &[3], entries, second].concat();
    assert_eq!(refused(&three), VoteError::TooManyNodes(3));
    let huge = [&head[..nodes - 4], &[255; 4], entries].concat();
    assert_eq!(refused(&huge), VoteError::TooManyNodes(0xffff_ffff));
    let early = Ballot::new(NET, EPOCH.before(), keepers(4), 2);
    assert_eq!(Vote::decode(&good, &early), Err(VoteError::BeforeIsLater));
    let mut newer = good.clone();
    newer[51] = 9;
    assert!(matches!(refused(&newer), VoteError::Before(_)));
}

proptest! {
    #[test]
    fn junk_is_a_vote_only_if_that_vote_is_encoded_so(mut junk: Vec<u8>) {
        if let Some(first) = junk.first_mut() {
            *first = 1;
        }
        if let Ok(vote) = Vote::decode(&junk, &ballot(4)) {
            prop_assert_eq!(vote.encode(), junk);
        }
    }

    #[test]
    fn what_was_encoded_decodes(serial: u64, number: u64, digest: [u8; 32], nodes in prop::collection::btree_map(any::<[u8; 32]>(), (any::<[u8; 32]>(), 0_usize..3), 0..20)) {
        let rules = Rules { network_serial: serial, revocations_number: number, revocations: digest };
        let reached = [Reached::Tcp, Reached::Onion, Reached::Both];
        let nodes = nodes.into_iter().map(|(node, (statement, way))| (NodeId(node), (StatementDigest(statement), reached[way]))).collect();
        let vote = Vote { rules, before: None, nodes };
        prop_assert_eq!(Vote::decode(&vote.encode(), &ballot(4)), Ok(vote));
    }
}

#[test]
fn a_node_is_in_if_more_than_half_of_all_keepers_reached_that_statement() {
    for (n, majority) in [(1, 1), (4, 3), (7, 4), (10, 6)] {
        let ballot = ballot(n);
        let one = statement(1, 1, at([10, 0, 0, 1]));
        let votes = |reached: usize| -> Vec<Vote> {
            let chosen = |i| (i < reached).then_some((&one, Reached::Tcp));
            (0..n).map(|i| vote(None, chosen(i))).collect()
        };
        assert!(tally(&ballot, &votes(majority)).unwrap().elected().contains_key(&node(1)), "{n}");
        assert!(tally(&ballot, &votes(majority - 1)).unwrap().elected().is_empty(), "{n}");
    }
}

#[test]
fn keepers_that_did_not_vote_count_as_such_that_did_not_reach_it() {
    // Three votes of four, and two of them are no majority of four.
    let one = statement(1, 1, at([10, 0, 0, 1]));
    let votes: Vec<Vote> =
        [true, true, false].map(|r| vote(None, r.then_some((&one, Reached::Tcp)))).into();
    assert!(tally(&ballot(4), &votes).unwrap().elected().is_empty());
}

#[test]
fn an_address_counts_if_more_than_half_reached_it_there_and_the_node_signed_just_that() {
    let ballot = ballot(4);
    let both = statement(1, 1, Addresses::Both(tcp([10, 0, 0, 1]), onion(1)));
    let cases = [
        ([Reached::Both, Reached::Both, Reached::Both], Some(both.descriptor().addresses())),
        ([Reached::Both, Reached::Tcp, Reached::Tcp], Some(at([10, 0, 0, 1]))),
        ([Reached::Both, Reached::Onion, Reached::Both], Some(Addresses::Onion(onion(1)))),
        ([Reached::Tcp, Reached::Onion, Reached::Tcp], None),
    ];
    for (reached, expected) in cases {
        let votes: Vec<Vote> = reached.map(|reached| vote(None, [(&both, reached)])).into();
        let tally = tally(&ballot, &votes).unwrap();
        let statements = [(both.digest(), both.clone())].into();
        let revoked = BTreeSet::new();
        let given =
            Given { statements: &statements, before: None, revoked: &revoked, is_capped: true };
        match (compute(&ballot, &tally, given), expected) {
            (Err(error), None) => assert_eq!(error, ComputeError::NoNodes),
            (Ok(candidate), Some(expected)) => {
                let descriptor = candidate.nodes.get(0).unwrap();
                assert_eq!(descriptor.addresses(), expected);
                let signature = candidate.signatures.get(0).unwrap();
                descriptor.verify(&NET, EPOCH, &signature).unwrap();
            }
            (got, expected) => panic!("{got:?}, not {expected:?}"),
        }
    }
}

#[test]
fn an_address_that_a_node_does_not_state_does_not_count() {
    let stated = [(statement(1, 1, at([10, 0, 0, 1])), Reached::Onion), over_tcp(2, [10, 0, 0, 2])];
    assert_eq!(ids(&unanimous(&ballot(4), &stated, &[], true)), [node(2)]);
}

#[test]
fn what_is_another_nodes_statement_or_of_another_epoch_puts_nobody_in() {
    let ballot = ballot(4);
    let (own, others) = (statement(2, 2, at([10, 0, 0, 2])), statement(1, 1, at([10, 0, 0, 1])));
    let old = statement_for(EPOCH.before(), 3, 3, at([10, 0, 0, 3]));
    let listed = [(2, &own), (4, &others), (3, &old)];
    let nodes = listed.map(|(number, said)| (node(number), (said.digest(), Reached::Tcp)));
    let vote = Vote { nodes: nodes.into(), ..vote(None, []) };
    let statements = listed.map(|(_, said)| (said.digest(), said.clone())).into();
    let revoked = BTreeSet::new();
    let given = Given { statements: &statements, before: None, revoked: &revoked, is_capped: true };
    let candidate = compute(&ballot, &tally(&ballot, &vec![vote; 4]).unwrap(), given).unwrap();
    assert_eq!(ids(&candidate), [node(2)]);
}

#[test]
fn of_two_statements_the_one_with_the_majority_counts_and_both_are_evidence() {
    let ballot = ballot(4);
    let (one, two) = (statement(1, 1, at([10, 0, 0, 1])), statement(1, 2, at([10, 0, 0, 1])));
    let votes = |faces: [&NodeStatement; 4]| -> Vec<Vote> {
        faces.map(|face| vote(None, [(face, Reached::Tcp)])).into()
    };
    let three_to_one = tally(&ballot, &votes([&one, &one, &two, &one])).unwrap();
    assert_eq!(three_to_one.elected()[&node(1)].statement, one.digest());
    let half = tally(&ballot, &votes([&one, &one, &two, &two])).unwrap();
    assert!(half.elected().is_empty());
    let known = [(one.digest(), one.clone()), (two.digest(), two.clone())].into();
    for tally in [&three_to_one, &half] {
        assert_eq!(tally.disputed()[&node(1)], [one.digest(), two.digest()].into());
        let [[first, second]] = &tally.contradictions(&known)[..] else { panic!("one") };
        assert!(first.contradicts(second));
    }
    let known = [(one.digest(), one.clone())].into();
    assert!(half.contradictions(&known).is_empty());
    assert!(tally(&ballot, &votes([&one; 4])).unwrap().disputed().is_empty());
}

#[test]
fn fewer_votes_than_a_quorum_make_no_view() {
    for (n, threshold) in [(1, 1), (4, 3), (7, 5), (10, 7)] {
        let votes = vec![vote(None, []); threshold];
        assert!(tally(&ballot(n), &votes).is_ok());
        let few = tally(&ballot(n), &votes[1..]);
        assert_eq!(few, Err(TallyError::TooFewVotes { votes: threshold - 1, threshold }));
    }
}

#[test]
fn a_view_without_nodes_is_none() {
    let tally = tally(&ballot(1), &[vote(None, [])]).unwrap();
    let (statements, revoked) = (BTreeMap::new(), BTreeSet::new());
    let given = Given { statements: &statements, before: None, revoked: &revoked, is_capped: true };
    assert_eq!(compute(&ballot(1), &tally, given), Err(ComputeError::NoNodes));
}

#[test]
fn the_latest_view_before_counts_if_one_keeper_shows_its_quorum() {
    let ballot = ballot(4);
    let (signed, _) = view_before(4, &[]);
    let shown = |view| Vote { before: Some(view), ..vote(None, []) };
    let none = vote(None, []);
    let good = shown(signed.to_unverified());
    let counted = tally(&ballot, &[none.clone(), good.clone(), none.clone()]).unwrap();
    assert_eq!(counted.before().map(|before| before.id()), Some(signed.id()));
    // A later one without a quorum, an earlier one, and none do not take its place.
    let mut later = signed.to_unverified();
    later.signatures.pop();
    let mut forged = signed.to_unverified();
    forged.header.count = 9;
    let votes = [shown(later), good.clone(), shown(forged), none.clone()];
    let counted = tally(&ballot, &votes).unwrap();
    assert_eq!(counted.before().map(|before| before.id()), Some(signed.id()));
    // Nor does any whose keepers nobody knows.
    let unknown = tally_of(&ballot, &[good, none.clone(), none], |_| None).unwrap();
    assert_eq!(unknown.before(), None);
}

#[test]
fn the_latest_rules_of_f_plus_one_keepers_count_and_never_older_ones_than_before() {
    let rules = |serial, number| Rules {
        network_serial: serial,
        revocations_number: number,
        revocations: [u8::try_from(number).unwrap(); 32],
    };
    let (signed, _) = view_before(4, &[]);
    let counted = |all: [Rules; 4], has_before: bool| {
        let before = has_before.then(|| signed.to_unverified());
        let votes = all.map(|rules| Vote { rules, ..vote(before.clone(), []) });
        tally(&ballot(4), &votes).map(|tally| tally.rules())
    };
    let (old, new, newest) = (rules(2, 5), rules(3, 1), rules(4, 1));
    assert_eq!(counted([old, old, new, new], true), Ok((3, [1; 32])));
    assert_eq!(counted([old, old, old, newest], true), Ok((2, [5; 32])));
    // Of one network file the later list.
    assert_eq!(
        counted([rules(3, 1), rules(3, 1), rules(3, 2), rules(3, 2)], true),
        Ok((3, [2; 32]))
    );
    // Nothing that two name: as before; older than before (serial 2) is not taken.
    assert_eq!(counted([old, new, newest, rules(9, 9)], true), Ok((2, [8; 32])));
    assert_eq!(counted([rules(1, 7), rules(1, 7), rules(1, 7), new], true), Ok((2, [8; 32])));
    assert_eq!(counted([old, new, newest, rules(9, 9)], false), Err(TallyError::NoRules));
}

#[test]
fn a_missing_statement_or_another_view_before_stops_the_keeper() {
    let ballot = ballot(1);
    let one = statement(1, 1, at([10, 0, 0, 1]));
    let (signed, list) = view_before(1, &[*one.descriptor()]);
    let votes = [vote(Some(signed.to_unverified()), [(&one, Reached::Tcp)])];
    let tally = tally(&ballot, &votes).unwrap();
    let (none, revoked) = (BTreeMap::new(), BTreeSet::new());
    let given =
        Given { statements: &none, before: Some(&list), revoked: &revoked, is_capped: true };
    let missing = Err(ComputeError::MissingStatement(one.digest()));
    assert_eq!(compute(&ballot, &tally, given), missing);
    let other = NodeList::default();
    for before in [None, Some(&other)] {
        let result = compute(&ballot, &tally, Given { before, ..given });
        assert_eq!(result, Err(ComputeError::OtherBefore));
    }
}

#[test]
fn a_revoked_node_is_out() {
    let ballot = ballot(1);
    let stated = [over_tcp(1, [10, 0, 0, 1]), over_tcp(2, [10, 0, 0, 2])];
    let votes = [vote(None, stated.iter().map(|(s, r)| (s, *r)))];
    let statements = stated.iter().map(|(s, _)| (s.digest(), s.clone())).collect();
    let revoked = [node(1)].into();
    let given = Given { statements: &statements, before: None, revoked: &revoked, is_capped: true };
    let candidate = compute(&ballot, &tally(&ballot, &votes).unwrap(), given).unwrap();
    assert_eq!(ids(&candidate), [node(2)]);
}

#[test]
fn two_nodes_at_most_stand_at_one_address_the_lowest_ids_first() {
    let stated: Vec<_> = (1..=5).map(|number| over_tcp(number, [10, 0, 0, 1])).collect();
    let lowest = sorted(&[1, 2, 3, 4, 5])[..2].to_vec();
    assert_eq!(ids(&unanimous(&ballot(4), &stated, &[], true)), lowest);
    assert_eq!(unanimous(&ballot(4), &stated, &[], false).nodes.len(), 5);
    let apart: Vec<_> = (1..=5).map(|number| over_tcp(number, [10, 0, 0, number])).collect();
    assert_eq!(unanimous(&ballot(4), &apart, &[], true).nodes.len(), 5);
}

#[test]
fn who_stood_at_an_address_before_stays_and_who_stood_elsewhere_has_no_advantage() {
    let stated: Vec<_> = (1..=5).map(|number| over_tcp(number, [10, 0, 0, 1])).collect();
    let order = sorted(&[1, 2, 3, 4, 5]);
    let number_of = |id: NodeId| (1..=5).find(|number| node(*number) == id).unwrap();
    let highest = number_of(order[4]);
    let stood = statement(highest, 9, at([10, 0, 0, 1]));
    let mut expected = vec![order[0], order[4]];
    expected.sort_unstable();
    assert_eq!(ids(&unanimous(&ballot(4), &stated, &[stood], true)), expected);
    let elsewhere = statement(highest, 9, at([10, 9, 0, 1]));
    assert_eq!(ids(&unanimous(&ballot(4), &stated, &[elsewhere], true)), order[..2]);
}

#[test]
fn a_place_of_ipv6_is_a_slash_64() {
    let v6 = |number: u8, ip: &str| {
        let address = Addresses::Tcp(TcpAddress::new(ip.parse().unwrap(), 4_000).unwrap());
        (statement(number, number, address), Reached::Tcp)
    };
    let stated = [
        v6(1, "2001:db8:1:2::1"),
        v6(2, "2001:db8:1:2:ffff::1"),
        v6(3, "2001:db8:1:2:8000::"),
        v6(4, "2001:db8:1:3::1"),
    ];
    let candidate = unanimous(&ballot(4), &stated, &[], true);
    assert_eq!(candidate.nodes.len(), 3);
    assert!(candidate.nodes.find(&node(4)).is_some());
}

#[test]
fn who_loses_its_place_keeps_its_onion() {
    let stated: Vec<_> = (1..=3)
        .map(|number| {
            let both = Addresses::Both(tcp([10, 0, 0, 1]), onion(number));
            (statement(number, number, both), Reached::Both)
        })
        .collect();
    let candidate = unanimous(&ballot(4), &stated, &[], true);
    let last = candidate.nodes.get(2).unwrap();
    assert!(matches!(last.addresses(), Addresses::Onion(_)));
    last.verify(&NET, EPOCH, &candidate.signatures.get(2).unwrap()).unwrap();
}

#[test]
fn a_full_view_keeps_who_was_there_then_the_lowest_ids() {
    let small = Ballot::new(NET, EPOCH, keepers(1), 2);
    let order = sorted(&[1, 2, 3]);
    let number_of = |id: NodeId| (1..=3).find(|number| node(*number) == id).unwrap();
    let stated: Vec<_> = (1..=3).map(|number| over_tcp(number, [10, 0, 0, number])).collect();
    let highest = statement(number_of(order[2]), 9, at([10, 7, 7, 7]));
    // A vote for three nodes is none on this ballot; but several votes may elect more than a view holds.
    let (signed, list) = view_before(1, &[*highest.descriptor()]);
    let shown = stated.iter().map(|(s, r)| (s, *r));
    let votes = [vote(Some(signed.to_unverified()), shown)];
    let statements = stated.iter().map(|(s, _)| (s.digest(), s.clone())).collect();
    let revoked = BTreeSet::new();
    let given =
        Given { statements: &statements, before: Some(&list), revoked: &revoked, is_capped: true };
    let candidate = compute(&small, &tally(&small, &votes).unwrap(), given).unwrap();
    assert_eq!(ids(&candidate), [order[0], order[2]]);
}

#[test]
fn the_header_says_what_the_view_follows_from() {
    let stated = [over_tcp(1, [10, 0, 0, 1])];
    let candidate = unanimous(&ballot(4), &stated, &[], true);
    let header = candidate.header;
    assert_eq!((header.network, header.epoch, header.count), (NET, EPOCH, 1));
    assert_eq!(header.before, Some(view_before(4, &[]).0.id()));
    assert_eq!((header.network_serial, header.revocations), (3, RULES.revocations));
    assert_eq!(header.descriptors, candidate.nodes.root());
    assert_eq!(header.signatures, candidate.signatures.root());
}

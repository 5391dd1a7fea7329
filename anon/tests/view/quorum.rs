//! Keepers, quorums, and two views that contradict each other.

use anon::{
    id::NetworkId,
    keys::{KeeperSecret, SigningSecret as _, VerifyKey},
    network::Epoch,
    testing::views::{Keepers, NETWORK, header},
    view::{
        header::{HeaderError, MAX_HEADER, MAX_VIEW_NODES, ViewHeader, ViewId},
        quorum::{
            KeeperSet, KeeperSignature, MAX_SIGNED_VIEW, QuorumError, SignedView,
            UnverifiedSignedView,
        },
        signed::View,
        two_views::{Fork, MAX_TWO_VIEWS, TwoViews, TwoViewsError},
    },
};

fn verify(keepers: &Keepers, signed: UnverifiedSignedView) -> Result<SignedView, QuorumError> {
    signed.verify(&NETWORK, &keepers.set)
}

#[test]
fn thresholds_are_those_of_the_design() {
    let figures: Vec<_> = (1..=16)
        .map(|count| Keepers::new(count).set)
        .map(|set| (set.keys().len(), set.faults(), set.threshold(), set.majority()))
        .collect();
    assert_eq!(figures[..4], [(1, 0, 1, 1), (2, 0, 2, 2), (3, 0, 2, 2), (4, 1, 3, 3)]);
    assert_eq!((figures[6], figures[9]), ((7, 2, 5, 4), (10, 3, 7, 6)));
    for (all, faults, threshold, _) in figures {
        assert!(
            2 * threshold - all > faults,
            "two quorums of {all} may have no honest keeper in common"
        );
        assert!(threshold <= all - faults, "{faults} silent keepers of {all} end the network");
    }
}

#[test]
fn a_set_has_one_to_sixteen_different_keys() {
    let key = |seed: u8| KeeperSecret::from_seed(&[seed; 32]).verify_key();
    let set = |keys: Vec<VerifyKey>| KeeperSet::new(keys).map(|_| ());
    assert_eq!(set((1..=16).map(key).collect()), Ok(()));
    let bad = Err(QuorumError::BadKeepers);
    assert_eq!(set((1..=17).map(key).collect()), bad);
    assert_eq!(set(vec![]), bad);
    assert_eq!(set(vec![key(1), key(2), key(1)]), bad);
    assert_eq!(set(vec![VerifyKey([0; 32])]), bad);
}

#[test]
fn what_is_handed_on_has_the_lowest_signatures_and_as_many_as_make_a_quorum() {
    let keepers = Keepers::new(7);
    let header = header(5, None);
    for (signed, handed_on) in [
        (&[0, 1, 2, 3, 4, 5, 6][..], [0, 1, 2, 3, 4]),
        (&[0, 2, 3, 5, 6], [0, 2, 3, 5, 6]),
        (&[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5]),
    ] {
        let view = verify(&keepers, keepers.sign(&header, signed)).unwrap();
        let lowest = view.clone().with_lowest_quorum(&keepers.set);
        assert_eq!(lowest.to_unverified(), keepers.sign(&header, &handed_on));
        assert_eq!(lowest.id(), view.id());
        assert_eq!(verify(&keepers, lowest.to_unverified()), Ok(lowest));
    }
    let made = keepers.view_of(5, None, 0..3);
    let all = keepers.sign(made.header(), &[0, 1, 2, 3, 4, 5, 6]);
    let all = View::new(verify(&keepers, all).unwrap(), made.nodes().clone(), None).unwrap();
    assert_ne!(all, made);
    assert_eq!(all.with_lowest_quorum(&keepers.set), made);
}

#[test]
fn a_quorum_counts_and_less_does_not() {
    let keepers = Keepers::new(7);
    let header = header(5, None);
    let good = keepers.sign(&header, &[0, 2, 3, 5, 6]);
    let view = verify(&keepers, good.clone()).unwrap();
    assert_eq!((view.id(), view.header()), (header.id(), &header));
    assert!(format!("{view:?}").starts_with("SignedView(epoch 5, ViewId("));
    assert_eq!((view.to_unverified(), view.signatures()), (good.clone(), &good.signatures[..]));
    let too_few = Err(QuorumError::TooFew { signed: 4, threshold: 5 });
    assert_eq!(verify(&keepers, keepers.sign(&header, &[0, 2, 3, 5])), too_few);
    assert_eq!(good.verify(&NetworkId([1; 32]), &keepers.set), Err(QuorumError::OtherNetwork));
}

#[test]
fn no_keeper_counts_twice() {
    let keepers = Keepers::new(7);
    let header = header(5, None);
    for numbers in [[0, 1, 2, 3, 3], [0, 0, 1, 2, 3], [4, 3, 2, 1, 0]] {
        let signed = keepers.sign(&header, &numbers);
        assert_eq!(verify(&keepers, signed), Err(QuorumError::NotInOrder));
    }
    // Under another number it is not that keeper's signature.
    let mut signed = keepers.sign(&header, &[0, 1, 2, 3, 3]);
    signed.signatures[4].keeper = 4;
    assert_eq!(verify(&keepers, signed), Err(QuorumError::BadSignature(4)));
}

#[test]
fn every_signature_in_it_must_count() {
    let keepers = Keepers::new(4);
    let header = header(5, None);
    let mut signed = keepers.sign(&header, &[0, 1, 2, 3]);
    signed.signatures[3].signature.0[0] ^= 1;
    assert_eq!(verify(&keepers, signed.clone()), Err(QuorumError::BadSignature(3)));
    signed.signatures[3].keeper = 4;
    assert_eq!(verify(&keepers, signed), Err(QuorumError::NoSuchKeeper(4)));
    let strangers = KeeperSet::new(vec![KeeperSecret::from_seed(&[1; 32]).verify_key()]).unwrap();
    let good = keepers.sign(&header, &[0, 1, 2]);
    assert_eq!(good.verify(&NETWORK, &strangers), Err(QuorumError::BadSignature(0)));
    let nobody = KeeperSecret::from_seed(&[1; 32]);
    assert_eq!(KeeperSignature::sign(&keepers.set, &nobody, &header), None);
}

#[test]
fn a_signed_view_is_read_back_and_no_flipped_bit_counts() {
    let keepers = Keepers::new(4);
    let header = header(5, Some(ViewId([3; 32])));
    let signed = keepers.sign(&header, &[0, 1, 3]);
    let good = signed.encode();
    assert_eq!(UnverifiedSignedView::decode(&good), Ok(signed));
    for at in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        let read = UnverifiedSignedView::decode(&flipped);
        assert!(read.and_then(|read| verify(&keepers, read)).is_err(), "bit {at}");
    }
    for cut in 0..good.len() {
        assert_eq!(UnverifiedSignedView::decode(&good[..cut]), Err(QuorumError::Length));
    }
    let long = [&good[..], &[0]].concat();
    assert_eq!(UnverifiedSignedView::decode(&long), Err(QuorumError::Length));
    let mut newer = good.clone();
    newer[0] = 9;
    assert_eq!(UnverifiedSignedView::decode(&newer), Err(QuorumError::UnknownVersion(9)));
    newer = good;
    newer[3] = 9;
    let unknown = QuorumError::Header(HeaderError::UnknownVersion(9));
    assert_eq!(UnverifiedSignedView::decode(&newer), Err(unknown));
}

#[test]
fn the_longest_signed_view_fits() {
    let keepers = Keepers::new(16);
    let longest = ViewHeader {
        epoch: Epoch(u64::MAX),
        count: MAX_VIEW_NODES,
        network_serial: u64::MAX,
        ..header(0, Some(ViewId([1; 32])))
    };
    assert_eq!(longest.encode().len(), MAX_HEADER);
    let all: Vec<u8> = (0..16).collect();
    let signed = keepers.sign(&longest, &all);
    assert_eq!(signed.encode().len(), MAX_SIGNED_VIEW);
    assert_eq!(UnverifiedSignedView::decode(&signed.encode()).as_ref(), Ok(&signed));
    assert!(verify(&keepers, signed).is_ok());
}

#[test]
fn a_view_of_more_nodes_than_any_may_have_is_refused() {
    let with = |count| ViewHeader::decode(&ViewHeader { count, ..header(1, None) }.encode());
    assert_eq!(with(MAX_VIEW_NODES).map(|header| header.count), Ok(MAX_VIEW_NODES));
    let too_many = HeaderError::TooManyNodes(MAX_VIEW_NODES + 1);
    assert_eq!(with(MAX_VIEW_NODES + 1), Err(too_many));
}

#[test]
fn an_id_changes_with_everything_in_the_header() {
    let base = header(5, None);
    let none = base.descriptors;
    let mut other = none;
    other.0[0] ^= 1;
    let changed = [
        ViewHeader { network: NetworkId([1; 32]), ..base },
        ViewHeader { epoch: Epoch(6), ..base },
        ViewHeader { before: Some(ViewId([0; 32])), ..base },
        ViewHeader { count: 1, ..base },
        ViewHeader { descriptors: other, ..base },
        ViewHeader { signatures: other, ..base },
        ViewHeader { network_serial: 8, ..base },
        ViewHeader { revocations: [0; 32], ..base },
    ];
    for (at, one) in changed.iter().enumerate() {
        assert_ne!(one.id(), base.id());
        assert!(changed.iter().skip(at + 1).all(|next| next.id() != one.id()), "{at}");
    }
}

/// Two headers, each signed by three of four keepers.
fn two(one: &ViewHeader, other: &ViewHeader) -> TwoViews {
    let keepers = Keepers::new(4);
    TwoViews::new(keepers.sign(one, &[0, 1, 2]), keepers.sign(other, &[1, 2, 3]))
}

fn known(epoch: Epoch) -> Option<KeeperSet> {
    (epoch == Epoch(5)).then(|| Keepers::new(4).set)
}

#[test]
fn two_views_of_one_epoch_are_a_proof_that_names_who_signed_both() {
    let [one, other] = [header(5, None), header(5, Some(ViewId([1; 32])))];
    let proof = two(&one, &other);
    assert_eq!(proof, two(&one, &other));
    let mut views = [one.id(), other.id()];
    views.sort_unstable();
    let fork = Fork { epoch: Epoch(5), views, has_quorums: true, signers: vec![1, 2] };
    assert_eq!(proof.verify(&NETWORK, known), Ok(fork));
}

#[test]
fn who_signed_two_views_lied_with_or_without_quorums() {
    let keepers = Keepers::new(4);
    let [one, other] = [header(5, None), header(5, Some(ViewId([1; 32])))];
    let proof = |first: &[u8], second: &[u8]| {
        let both = TwoViews::new(keepers.sign(&one, first), keepers.sign(&other, second));
        both.verify(&NETWORK, known).map(|fork| (fork.signers, fork.has_quorums))
    };
    assert_eq!(proof(&[2], &[2]), Ok((vec![2], false)));
    assert_eq!(proof(&[0, 1, 2], &[1, 3]), Ok((vec![1], false)));
    assert_eq!(proof(&[0, 1], &[2, 3]), Err(TwoViewsError::NoContradiction));
    assert_eq!(proof(&[], &[2]), Err(TwoViewsError::NoContradiction));
}

#[test]
fn the_same_view_and_two_of_different_epochs_prove_nothing() {
    let (first, parent) = (header(5, None), Some(ViewId([1; 32])));
    let nothing = Err(TwoViewsError::NoContradiction);
    assert_eq!(two(&first, &first).verify(&NETWORK, known), nothing);
    assert_eq!(two(&header(5, parent), &header(6, parent)).verify(&NETWORK, known), nothing);
}

#[test]
fn a_proof_counts_only_if_all_its_signatures_are_of_keepers_of_this_network() {
    let [one, other] = [header(5, None), header(5, Some(ViewId([1; 32])))];
    let unknown = Err(TwoViewsError::UnknownKeepers(Epoch(5)));
    assert_eq!(two(&one, &other).verify(&NETWORK, |_| None), unknown);
    let elsewhere = two(&one, &other).verify(&NetworkId([1; 32]), known);
    assert_eq!(elsewhere, Err(TwoViewsError::Quorum(QuorumError::OtherNetwork)));
    let few = two(&one, &other).verify(&NETWORK, |_| Some(Keepers::new(1).set));
    assert_eq!(few, Err(TwoViewsError::Quorum(QuorumError::NoSuchKeeper(1))));
}

#[test]
fn a_proof_is_read_back_and_no_flipped_bit_counts() {
    let proof = two(&header(5, None), &header(5, Some(ViewId([1; 32]))));
    let good = proof.encode();
    assert!(good.len() <= MAX_TWO_VIEWS);
    assert_eq!(TwoViews::decode(&good).as_ref(), Ok(&proof));
    for at in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        let read = TwoViews::decode(&flipped);
        assert!(read.and_then(|read| read.verify(&NETWORK, known)).is_err(), "bit {at}");
    }
    for cut in 0..good.len() {
        assert!(TwoViews::decode(&good[..cut]).is_err(), "{cut}");
    }
    let mut newer = good.clone();
    newer[0] = 2;
    assert_eq!(TwoViews::decode(&newer), Err(TwoViewsError::UnknownVersion(2)));
    // The same two in the other order.
    let middle = good.len() - second_length(&good);
    let swapped = [&good[..1], &good[middle..], &good[1..middle]].concat();
    assert_eq!(TwoViews::decode(&swapped), Err(TwoViewsError::Malformed));
    let twice = two(&header(5, None), &header(5, None)).encode();
    assert_eq!(TwoViews::decode(&twice), Err(TwoViewsError::Malformed));
}

/// How long the second signed view of a proof is: the end that can be read as one.
fn second_length(good: &[u8]) -> usize {
    (1..good.len())
        .map(|length| (length, UnverifiedSignedView::decode(&good[good.len() - length..])))
        .find_map(|(length, read)| read.is_ok().then_some(length))
        .unwrap()
}

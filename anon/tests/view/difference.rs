//! The difference between two views as bytes.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use anon::{
    testing::views::{Keepers, NETWORK, channel_key, descriptor},
    view::{
        descriptor::{Addresses, Descriptor, DescriptorError, TcpAddress},
        difference::DifferenceDecoder,
        error::ViewError,
        list::NodeList,
        quorum::QuorumError,
        signed::View,
        whole::WholeDecoder,
    },
};
use proptest::prelude::*;

fn keepers() -> Keepers {
    Keepers::new(1)
}

fn base(count: u32) -> View {
    keepers().view_of(5, None, 0..count)
}

fn bytes(base: &View, view: &View) -> Vec<u8> {
    view.difference_from(base).unwrap().flatten().collect()
}

fn apply(base: &View, bytes: &[u8], piece: usize) -> Result<View, ViewError> {
    let mut decoder = DifferenceDecoder::new(base, keepers().set);
    bytes.chunks(piece).try_for_each(|piece| decoder.feed(piece))?;
    decoder.finish()
}

/// The same node elsewhere.
fn moved(number: u32, epoch: u64) -> Descriptor {
    let old = descriptor(number, epoch);
    let ip = IpAddr::V4(Ipv4Addr::from((99 << 24) + number));
    let there = Addresses::Tcp(TcpAddress::new(ip, 1).unwrap());
    Descriptor::new(old.node(), channel_key(number, epoch), there, old.family()).unwrap()
}

/// The next view: those that `how` gives a number of the base's count and 100 more.
fn next(base: &View, how: impl Fn(u32) -> Option<Descriptor>) -> View {
    let mut nodes: Vec<Descriptor> = (0..base.nodes().len() + 100).filter_map(how).collect();
    nodes.sort_by_key(Descriptor::node);
    keepers().view(6, Some(base), NodeList::new(nodes).unwrap(), None)
}

/// 600 nodes, of which every tenth leaves and every seventh moves; 100 join.
fn churned() -> (View, View) {
    let base = base(600);
    let view = next(&base, |number| match number {
        0..600 if number.is_multiple_of(10) => None,
        0..600 if number.is_multiple_of(7) => Some(moved(number, 6)),
        _ => Some(descriptor(number, 6)),
    });
    (base, view)
}

#[test]
fn a_difference_makes_the_next_view_in_pieces_of_any_size() {
    let (base, view) = churned();
    let bytes = bytes(&base, &view);
    for piece in [1, 33, 8_192, 1 << 20] {
        assert_eq!(apply(&base, &bytes, piece).as_ref(), Ok(&view), "{piece}");
    }
    let mut shared = DifferenceDecoder::new(Arc::new(base), keepers().set);
    shared.feed(&bytes).unwrap();
    assert_eq!(shared.finish(), Ok(view));
}

#[test]
fn everybody_may_leave_and_everybody_may_join() {
    for (old, new) in [(0, 0), (0, 300), (300, 0), (1, 1)] {
        let base = base(old);
        let view = keepers().view_of(6, Some(&base), 1_000..1_000 + new);
        assert_eq!(apply(&base, &bytes(&base, &view), 50), Ok(view), "{old} to {new}");
    }
}

/// The front of a difference with so many chunks of new nodes.
fn front(view: &View) -> usize {
    let mut pieces = view.whole();
    pieces.next().unwrap().len()
}

#[test]
fn a_node_that_stays_takes_32_bytes() {
    let base = base(1_000);
    let view = next(&base, |number| (number < 1_000).then(|| descriptor(number, 6)));
    assert_eq!(bytes(&base, &view).len(), front(&view) + 32 * 1_000);
}

#[test]
fn one_that_joins_or_changes_takes_a_byte_more_than_its_descriptor() {
    let (base, view) = churned();
    let stayed = view.nodes().iter().filter(|node| {
        let old = base.nodes().find(&node.node());
        old.is_some_and(|old| old.with_channel_key(node.channel_key()) == Ok(*node))
    });
    let stayed = stayed.count();
    let total: usize = view.nodes().iter().map(|node| node.encode().len()).sum();
    let others = usize::try_from(view.nodes().len()).unwrap() - stayed;
    let unchanged: usize = view
        .nodes()
        .iter()
        .filter(|node| {
            let old = base.nodes().find(&node.node());
            old.is_some_and(|old| old.with_channel_key(node.channel_key()) == Ok(*node))
        })
        .map(|node| node.encode().len())
        .sum();
    let changed = total - unchanged;
    let length = bytes(&base, &view).len();
    // Whoever left or moved costs a byte at most.
    let gone = usize::try_from(base.nodes().len()).unwrap() - stayed;
    assert!(length <= front(&view) + 32 * stayed + changed + others + gone);
    // The bound, and it is a bound that was close.
    let bound = 32 * stayed + changed * 13 / 10;
    assert!(length - front(&view) <= bound, "{length} of {bound}");
    assert!((length - front(&view)) * 100 > bound * 85);
}

#[test]
fn up_to_64_that_leave_together_take_one_byte() {
    for (left, operations) in [(1, 1), (64, 1), (65, 2), (128, 2), (300, 5)] {
        // By rank, not by number: the first so many of the list.
        let base = base(600);
        let staying: Vec<Descriptor> = base
            .nodes()
            .iter()
            .skip(left)
            .map(|node| node.with_channel_key(channel_key(1, 6)).unwrap())
            .collect();
        let nodes = NodeList::new(staying).unwrap();
        let view = keepers().view(6, Some(&base), nodes, None);
        let bytes = bytes(&base, &view);
        assert_eq!(bytes.len(), front(&view) + 32 * (600 - left) + operations, "{left}");
        assert_eq!(apply(&base, &bytes, 1_000), Ok(view));
    }
}

#[test]
fn a_difference_with_one_flipped_bit_anywhere_is_refused() {
    let base = base(12);
    let view = next(&base, |number| match number {
        0 | 5 => None,
        3 => Some(moved(3, 6)),
        1..15 => Some(descriptor(number, 6)),
        _ => None,
    });
    let good = bytes(&base, &view);
    assert_eq!(apply(&base, &good, 100), Ok(view));
    for at in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        assert!(apply(&base, &flipped, flipped.len()).is_err(), "bit {at}");
    }
    for cut in 0..good.len() {
        assert_eq!(apply(&base, &good[..cut], 1 << 20), Err(ViewError::EndsEarly), "{cut}");
    }
    for more in [0, 0x80, 0xc0] {
        let long = [&good[..], &[more]].concat();
        assert_eq!(apply(&base, &long, 100), Err(ViewError::TrailingBytes));
    }
}

#[test]
fn it_is_applied_to_the_view_before_and_to_no_other() {
    let (base, view) = churned();
    let bytes = bytes(&base, &view);
    let other = keepers().view_of(5, None, 0..599);
    assert_eq!(apply(&other, &bytes, 100), Err(ViewError::OtherBase));
    assert_eq!(view.difference_from(&other).map(|_| ()), Err(ViewError::OtherBase));
    assert_eq!(base.difference_from(&view).map(|_| ()), Err(ViewError::OtherBase));
    // It is refused as soon as the header is there.
    let mut decoder = DifferenceDecoder::new(&other, keepers().set);
    assert_eq!(decoder.feed(&bytes[..front(&view)]), Err(ViewError::OtherBase));
    let mut decoder = DifferenceDecoder::new(&base, Keepers::new(4).set);
    let too_few = QuorumError::TooFew { signed: 1, threshold: 3 };
    assert_eq!(decoder.feed(&bytes), Err(ViewError::Quorum(too_few)));
    assert!(decoder.signed().is_none());
}

#[test]
fn a_whole_view_and_a_difference_are_not_taken_for_each_other() {
    let (base, view) = churned();
    let whole: Vec<u8> = view.whole().flatten().collect();
    assert_eq!(apply(&base, &whole, 100), Err(ViewError::OtherKind(0)));
    let mut decoder = WholeDecoder::new(NETWORK, keepers().set);
    assert_eq!(decoder.feed(&bytes(&base, &view)), Err(ViewError::OtherKind(2)));
}

#[test]
fn each_chunk_is_checked_before_it_is_kept() {
    let (base, view) = churned();
    let mut pieces: Vec<Vec<u8>> = view.difference_from(&base).unwrap().collect();
    let mut decoder = DifferenceDecoder::new(&base, keepers().set);
    for (piece, verified) in pieces.iter().zip([0, 256]) {
        decoder.feed(piece).unwrap();
        assert_eq!(decoder.verified(), verified);
        assert!(decoder.signed().is_some());
    }
    *pieces[2].last_mut().unwrap() ^= 1;
    let refused = Err(ViewError::WrongChunk(1));
    assert_eq!(decoder.feed(&pieces[2]), refused);
    assert_eq!(decoder.feed(&[]), refused);
    assert_eq!(decoder.verified(), 256);
}

#[test]
fn operations_that_make_no_sense_are_refused() {
    let base = base(3);
    let view = next(&base, |number| (number < 3).then(|| descriptor(number, 6)));
    let good = bytes(&base, &view);
    let with = |body: &[u8]| apply(&base, &[&good[..front(&view)], body].concat(), 1 << 20);
    for unknown in 0x81..0xc0 {
        assert_eq!(with(&[unknown]), Err(ViewError::BadOperation(unknown)));
    }
    // Three may leave, not four, and then nobody is left to stay.
    assert_eq!(with(&[0xc2]), Err(ViewError::EndsEarly));
    assert_eq!(with(&[0xc3]), Err(ViewError::BadOperation(0xc3)));
    assert_eq!(with(&[0xc2, 0xc0]), Err(ViewError::BadOperation(0xc0)));
    assert_eq!(with(&[&[0xc2][..], &[7; 32]].concat()), Err(ViewError::BadOperation(7)));
    let mut unknown = vec![0x80];
    unknown.extend([0x10; 65]);
    assert_eq!(with(&unknown), Err(DescriptorError::UnknownKind(0x10).into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_two_views_have_a_difference(fates in proptest::collection::vec(0..6_u8, 0..700)) {
        let fates: BTreeMap<u32, u8> = (0..).zip(fates).collect();
        let old = fates.iter().filter(|(_, fate)| **fate != 1).map(|(number, _)| *number);
        let base = keepers().view_of(5, None, old);
        let new = |(number, fate): (&u32, &u8)| match fate {
            0 => None,
            2 => Some(moved(*number, 6)),
            _ => Some(descriptor(*number, 6)),
        };
        let mut nodes: Vec<Descriptor> = fates.iter().filter_map(new).collect();
        nodes.sort_by_key(Descriptor::node);
        let view = keepers().view(6, Some(&base), NodeList::new(nodes).unwrap(), None);
        prop_assert_eq!(apply(&base, &bytes(&base, &view), 1_000), Ok(view));
    }
}

//! A whole view as bytes.

use anon::{
    id::NetworkId,
    keys::KeyError,
    testing::views::{Keepers, NETWORK, descriptor, header, node, placeholders},
    view::{
        descriptor::{Descriptor, DescriptorError},
        error::ViewError,
        header::{HeaderError, MAX_VIEW_NODES, ViewHeader},
        list::{NodeList, SignatureList},
        quorum::QuorumError,
        signed::View,
        tree::{CHUNK, Hash, Root, fold, leaf, root_of_chunks},
        whole::WholeDecoder,
    },
};

fn keepers() -> Keepers {
    Keepers::new(1)
}

pub(crate) fn nodes(count: u32) -> NodeList {
    let mut nodes: Vec<Descriptor> = (0..count).map(|number| descriptor(number, 5)).collect();
    nodes.sort_by_key(Descriptor::node);
    NodeList::new(nodes).unwrap()
}

fn view(count: u32, with_signatures: bool) -> View {
    keepers().view(5, None, nodes(count), with_signatures.then(|| placeholders(count)))
}

fn bytes(view: &View) -> Vec<u8> {
    view.whole().flatten().collect()
}

fn decode(bytes: &[u8], piece: usize) -> Result<View, ViewError> {
    let mut decoder = WholeDecoder::new(NETWORK, keepers().set);
    bytes.chunks(piece).try_for_each(|piece| decoder.feed(piece))?;
    decoder.finish()
}

/// A stream with hashes and a body of one's own under a quorum.
fn stream(header: &ViewHeader, hashes: &[Hash], body: &[u8]) -> Vec<u8> {
    let front = [vec![1, 0], keepers().sign(header, &[0]).encode()].concat();
    [front, hashes.iter().flat_map(|hash| hash.0).collect(), body.to_vec()].concat()
}

/// A view that keepers signed although it lists these descriptors.
fn signed_anyway(descriptors: &[Descriptor]) -> Vec<u8> {
    let entries: Vec<Vec<u8>> = descriptors.iter().map(Descriptor::encode).collect();
    let hashes: Vec<Hash> =
        entries.chunks(CHUNK).map(|chunk| fold(chunk.iter().map(|entry| leaf(entry)))).collect();
    let count = u32::try_from(descriptors.len()).unwrap();
    let header = ViewHeader { count, descriptors: root_of_chunks(&hashes), ..header(5, None) };
    stream(&header, &hashes, &entries.concat())
}

#[test]
fn what_was_encoded_is_read_in_pieces_of_any_size() {
    for count in [0, 1, 255, 256, 257, 600] {
        for with_signatures in [false, true] {
            let view = view(count, with_signatures);
            let bytes = bytes(&view);
            for piece in [1, 97, 1 << 20] {
                assert_eq!(decode(&bytes, piece).as_ref(), Ok(&view), "{count} by {piece}");
            }
        }
    }
}

#[test]
fn a_node_takes_its_descriptor_and_an_eighth_of_a_byte() {
    let descriptors: usize = nodes(1_024).iter().map(|node| node.encode().len()).sum();
    let hashes = 1_024 / 8;
    let front = 2 + keepers().sign(&header(5, None), &[0]).encode().len() + 2;
    assert_eq!(bytes(&view(1_024, false)).len(), front + descriptors + hashes);
    assert_eq!(bytes(&view(1_024, true)).len(), front + descriptors + 2 * hashes + 64 * 1_024);
}

#[test]
fn a_view_with_one_flipped_bit_anywhere_is_refused() {
    for with_signatures in [false, true] {
        let good = bytes(&view(9, with_signatures));
        for at in 0..good.len() * 8 {
            let mut flipped = good.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(decode(&flipped, flipped.len()).is_err(), "bit {at}");
        }
    }
    let good = bytes(&view(600, true));
    for at in (0..good.len() * 8).step_by(1_999) {
        let mut flipped = good.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        assert!(decode(&flipped, flipped.len()).is_err(), "bit {at}");
    }
}

#[test]
fn a_view_that_ends_early_or_goes_on_is_refused() {
    for with_signatures in [false, true] {
        let good = bytes(&view(9, with_signatures));
        for cut in 0..good.len() {
            assert_eq!(decode(&good[..cut], 1 << 20), Err(ViewError::EndsEarly), "{cut}");
        }
        for more in [0, 0x80, 0xff] {
            let long = [&good[..], &[more]].concat();
            assert_eq!(decode(&long, 1 << 20), Err(ViewError::TrailingBytes));
        }
    }
    let none = bytes(&view(0, true));
    assert_eq!(decode(&[&none[..], &[0]].concat(), 10), Err(ViewError::TrailingBytes));
}

#[test]
fn an_unsorted_list_or_one_with_a_node_twice_is_refused_whoever_signed_it() {
    let sorted: Vec<Descriptor> = nodes(300).iter().collect();
    assert_eq!(decode(&signed_anyway(&sorted), 500).map(|view| view.nodes().len()), Ok(300));
    // Within a chunk, and where one chunk ends and the next begins.
    for at in [0, 7, 255, 298] {
        let mut swapped = sorted.clone();
        swapped.swap(at, at + 1);
        assert_eq!(NodeList::new(swapped.clone()), Err(ViewError::NotInOrder), "{at}");
        assert_eq!(decode(&signed_anyway(&swapped), 500), Err(ViewError::NotInOrder), "{at}");
        let mut twice = sorted.clone();
        twice[at + 1] = twice[at];
        assert_eq!(NodeList::new(twice.clone()), Err(ViewError::NotInOrder), "{at}");
        assert_eq!(decode(&signed_anyway(&twice), 500), Err(ViewError::NotInOrder), "{at}");
    }
}

#[test]
fn a_chunk_that_is_not_the_signed_one_is_refused_before_it_is_kept() {
    let view = view(600, false);
    let pieces: Vec<Vec<u8>> = view.whole().collect();
    let mut decoder = WholeDecoder::new(NETWORK, keepers().set);
    for (piece, verified) in pieces.iter().zip([0, 256]) {
        decoder.feed(piece).unwrap();
        assert_eq!(decoder.verified(), verified);
    }
    let refused = Err(ViewError::WrongChunk(1));
    let mut other = pieces[2].clone();
    *other.last_mut().unwrap() ^= 1;
    assert_eq!(decoder.feed(&other), refused);
    assert_eq!(decoder.verified(), 256);
    // And it stays refused.
    assert_eq!(decoder.feed(&pieces[2]), refused);
    assert_eq!(decoder.feed(&[]), refused);
    assert_eq!(decoder.finish(), Err(ViewError::WrongChunk(1)));
}

#[test]
fn signatures_that_are_not_the_signed_ones_are_refused() {
    let view = view(300, true);
    let mut pieces: Vec<Vec<u8>> = view.whole().collect();
    *pieces[1].last_mut().unwrap() ^= 1;
    assert_eq!(decode(&pieces.concat(), 100), Err(ViewError::WrongChunk(0)));
    let nodes = nodes(9);
    let [few, others] = [placeholders(8), SignatureList::new(placeholders_reversed(9))];
    let signed = keepers().view(5, None, nodes.clone(), None).signed().clone();
    let made = |list| View::new(signed.clone(), nodes.clone(), Some(list)).map(|_| ());
    assert_eq!(made(placeholders(9)), Ok(()));
    assert_eq!(made(few), Err(ViewError::WrongCount));
    assert_eq!(made(others), Err(ViewError::WrongHashes));
}

fn placeholders_reversed(count: u32) -> Vec<anon::keys::Signature> {
    (0..count).rev().filter_map(|rank| placeholders(count).get(rank)).collect()
}

#[test]
fn a_view_has_the_nodes_that_keepers_signed() {
    let signed = view(9, false).signed().clone();
    assert_eq!(View::new(signed.clone(), nodes(8), None), Err(ViewError::WrongCount));
    let mut others: Vec<Descriptor> = nodes(10).iter().skip(1).collect();
    assert_eq!(others.len(), 9);
    let list = NodeList::new(others.clone()).unwrap();
    assert_eq!(View::new(signed, list, None), Err(ViewError::WrongHashes));
    others.clear();
    assert!(NodeList::new(others).unwrap().is_empty());
}

#[test]
fn hashes_without_the_signed_root_are_refused_before_any_chunk() {
    let view = view(600, true);
    let pieces: Vec<Vec<u8>> = view.whole().collect();
    // The last hash of the descriptors' chunks, and of the signatures'.
    for back in [32 * 3 + 1, 1] {
        let mut front = pieces[0].clone();
        let at = front.len() - back;
        front[at] ^= 1;
        let mut decoder = WholeDecoder::new(NETWORK, keepers().set);
        assert_eq!(decoder.feed(&front), Err(ViewError::WrongHashes));
    }
}

#[test]
fn nothing_is_read_before_a_quorum_is_verified() {
    let good = bytes(&view(9, false));
    let front = keepers().sign(&header(5, None), &[0]).encode().len();
    let mut decoder = WholeDecoder::new(NETWORK, Keepers::new(4).set);
    let too_few = ViewError::Quorum(QuorumError::TooFew { signed: 1, threshold: 3 });
    assert_eq!(decoder.feed(&good), Err(too_few));
    assert!(decoder.signed().is_none());
    let mut decoder = WholeDecoder::new(NetworkId([1; 32]), keepers().set);
    assert_eq!(decoder.feed(&good), Err(ViewError::Quorum(QuorumError::OtherNetwork)));
    let mut decoder = WholeDecoder::new(NETWORK, keepers().set);
    decoder.feed(&good[..front + 1]).unwrap();
    assert!(decoder.signed().is_none());
    decoder.feed(&good[front + 1..front + 2]).unwrap();
    assert_eq!(decoder.signed().map(|signed| signed.header().count), Some(9));
}

#[test]
fn a_count_that_lies_is_found_out() {
    let nodes = nodes(9);
    let entries: Vec<u8> = nodes.iter().flat_map(|node| node.encode()).collect();
    let hash = Hash(nodes.root().0);
    let with = |count| {
        let header = ViewHeader { count, descriptors: nodes.root(), ..header(5, None) };
        decode(&stream(&header, &[hash], &entries), 100)
    };
    assert!(with(9).is_ok());
    assert_eq!(with(8), Err(ViewError::WrongChunk(0)));
    assert_eq!(with(10), Err(ViewError::EndsEarly));
    assert_eq!(with(256), Err(ViewError::EndsEarly));
    // What follows is read as hashes of chunks, of which there are not enough.
    assert_eq!(with(MAX_VIEW_NODES), Err(ViewError::EndsEarly));
    let too_many = HeaderError::TooManyNodes(MAX_VIEW_NODES + 1);
    assert_eq!(with(MAX_VIEW_NODES + 1), Err(ViewError::Quorum(QuorumError::Header(too_many))));
}

#[test]
fn a_descriptor_that_no_node_states_is_refused_whoever_signed_it() {
    let good = descriptor(1, 5).encode();
    let signed = |entry: &[u8]| {
        let hash = leaf(entry);
        let header = ViewHeader { count: 1, descriptors: Root(hash.0), ..header(5, None) };
        decode(&stream(&header, &[hash], entry), 100).map(|view| view.nodes().len())
    };
    assert_eq!(signed(&good), Ok(1));
    let with = |at: usize, byte: u8| {
        let mut entry = good.clone();
        entry[at] = byte;
        signed(&entry)
    };
    assert_eq!(with(64, 0x13), Err(DescriptorError::UnknownKind(0x13).into()));
    assert_eq!(with(63, 0xff), Err(DescriptorError::BadChannelKey.into()));
    assert_eq!(with(65, 0xe0), Err(DescriptorError::BadAddress.into()));
}

#[test]
fn unknown_versions_and_kinds_are_refused_by_number() {
    let good = bytes(&view(9, false));
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        decode(&bytes, 1)
    };
    for version in [0, 2, 255] {
        assert_eq!(with(0, version), Err(ViewError::UnknownVersion(version)));
        let signed = QuorumError::UnknownVersion(version);
        assert_eq!(with(2, version), Err(ViewError::Quorum(signed)));
        let header = QuorumError::Header(HeaderError::UnknownVersion(version));
        assert_eq!(with(5, version), Err(ViewError::Quorum(header)));
    }
    for kind in [2, 3, 255] {
        assert_eq!(with(1, kind), Err(ViewError::OtherKind(kind)));
    }
}

#[test]
fn a_node_is_found_by_its_id_and_by_its_rank() {
    for count in [0, 1, 2, 256, 257, 600] {
        let list = nodes(count);
        assert_eq!(list.len(), count);
        for (rank, descriptor) in (0..).zip(list.iter()) {
            assert_eq!(list.get(rank), Some(descriptor));
            assert_eq!(list.node(rank), Some(descriptor.node()));
            assert_eq!(list.rank_of(&descriptor.node()), Some(rank));
            assert_eq!(list.find(&descriptor.node()), Some(descriptor));
        }
        assert_eq!(list.iter().count(), usize::try_from(count).unwrap());
        assert!(list.nodes().eq(list.iter().map(|one| one.node())));
        assert_eq!((list.get(count), list.node(count)), (None, None));
        for stranger in 1_000..1_100 {
            assert_eq!(list.rank_of(&node(stranger)), None);
        }
        for edge in [[0; 32], [0xff; 32]] {
            assert_eq!(list.rank_of(&anon::id::NodeId(edge)), None);
        }
    }
}

#[test]
fn each_descriptor_is_proved_by_a_short_path() {
    for count in [1, 256, 257, 600] {
        let list = nodes(count);
        for rank in (0..count).step_by(41).chain([count - 1]) {
            let (proof, entry) = (list.prove(rank).unwrap(), list.get(rank).unwrap().encode());
            assert!(proof.proves(&list.root(), count, &entry), "{rank} of {count}");
            assert!(!proof.proves(&list.root(), count, &descriptor(9_999, 5).encode()));
            assert!(proof.path.len() <= 10);
        }
        assert_eq!(list.prove(count), None);
    }
    assert_eq!(nodes(0).prove(0), None);
}

#[test]
fn signatures_of_nobody_do_not_verify() {
    let refused = view(9, true).verify_node_signatures();
    assert!(matches!(refused, Err(KeyError::BadPublicKey | KeyError::BadSignature)));
    assert_eq!(view(9, false).verify_node_signatures(), Ok(()));
    assert_eq!(view(9, true).without_signatures(), view(9, false));
}

#[test]
fn signatures_stand_at_their_nodes_ranks() {
    let list = placeholders(300);
    assert_eq!((list.len(), list.is_empty()), (300, false));
    assert!(list.get(299).is_some() && list.get(300).is_none());
    assert_ne!(list.get(0), list.get(256));
    assert!(placeholders(0).is_empty());
}
